#include "control/guard.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/obj.h"
#include "config/unit.h"

const char *const guard_outcome_names[] = {
	[GUARD_PASS] = "pass", [GUARD_INCONCLUSIVE] = "inconclusive", [GUARD_FAIL] = "fail"};

const char *const guard_limit_names[GUARD_VALUES] = {[GUARD_ERROR_RATE] = "max_error_rate",
	[GUARD_P50] = "max_p50",
	[GUARD_P90] = "max_p90",
	[GUARD_P99] = "max_p99"};

static const char *const value_names[GUARD_VALUES] = {[GUARD_ERROR_RATE] = "error_rate",
	[GUARD_P50] = "p50_ms",
	[GUARD_P90] = "p90_ms",
	[GUARD_P99] = "p99_ms"};

static const char *const spoken_names[GUARD_VALUES] = {
	[GUARD_ERROR_RATE] = "error rate", [GUARD_P50] = "p50", [GUARD_P90] = "p90", [GUARD_P99] = "p99"};

/* "1.5x": a factor of at least 1, so that the same is never too bad. */
static bool parse_factor(struct str text, double *factor)
{
	char buf[32], *end;

	if (text.n < 2 || text.n >= sizeof(buf) || text.p[text.n - 1] != 'x' || text.p[0] < '0' ||
		text.p[0] > '9')
		return false;
	memcpy(buf, text.p, text.n - 1);
	buf[text.n - 1] = '\0';
	*factor = strtod(buf, &end);
	return *end == '\0' && *factor >= 1 && *factor <= 1000;
}

bool guard_limit_parse(enum guard_value value, struct str text, struct guard_limit *limit)
{
	uint64_t n;

	if (parse_factor(text, &limit->most)) {
		limit->kind = GUARD_RELATIVE;
		return true;
	}
	limit->kind = GUARD_ABSOLUTE;
	if (value == GUARD_ERROR_RATE) {
		if (!unit_share(text, &n))
			return false;
		limit->most = (double)n / UNIT_SHARE_ONE;
		return true;
	}
	if (!unit_duration(text, &n) || n == 0)
		return false;
	limit->most = (double)n;
	return true;
}

bool guard_rules_relative(const struct guard_rules *r)
{
	for (int i = 0; i < GUARD_VALUES; i++)
		if (r->limits[i].kind == GUARD_RELATIVE)
			return true;
	return false;
}

void guard_figures_of(const struct tally_sums *window, struct guard_figures *f)
{
	*f = (struct guard_figures){.requests = window->requests, .failures = window->failures};
	f->values[GUARD_ERROR_RATE] = tally_sums_error_rate(window);
	f->values[GUARD_P50] = (double)histogram_quantile_us(window->duration, 0.5) / 1000;
	f->values[GUARD_P90] = (double)histogram_quantile_us(window->duration, 0.9) / 1000;
	f->values[GUARD_P99] = (double)histogram_quantile_us(window->duration, 0.99) / 1000;
}

json_t *guard_figures_json(const struct guard_figures *f)
{
	json_t *j = json_pack(
		"{s:I, s:I}", "requests", (json_int_t)f->requests, "failures", (json_int_t)f->failures);

	for (int i = 0; i < GUARD_VALUES; i++)
		json_object_set_new(j, value_names[i], json_real(f->values[i]));
	return j;
}

bool guard_figures_read(const json_t *j, struct guard_figures *f)
{
	if (!json_is_object(j))
		return false;
	f->requests = (uint64_t)json_integer_value(json_object_get(j, "requests"));
	f->failures = (uint64_t)json_integer_value(json_object_get(j, "failures"));
	for (int i = 0; i < GUARD_VALUES; i++)
		f->values[i] = json_number_value(json_object_get(j, value_names[i]));
	return true;
}

static void value_text(enum guard_value value, double v, char *out, size_t n)
{
	if (value == GUARD_ERROR_RATE)
		snprintf(out, n, "%.2f%%", v * 100);
	else
		snprintf(out, n, v < 10 ? "%.1fms" : "%.0fms", v);
}

static double limit_of(const struct guard_rules *r, enum guard_value value, const struct guard_figures *old)
{
	const struct guard_limit *l = &r->limits[value];
	double noise = value == GUARD_ERROR_RATE ? GUARD_NOISE_RATE : GUARD_NOISE_MS;

	if (l->kind == GUARD_ABSOLUTE)
		return l->most;
	return fmax(old->values[value] * l->most, old->values[value] + noise);
}

static void tell_failure(const struct guard_rules *r, enum guard_value value, const struct guard_figures *f,
	const struct guard_figures *old, struct guard_verdict *v)
{
	char is[24], most[24], was[24], behind[96];

	value_text(value, f->values[value], is, sizeof(is));
	value_text(value, limit_of(r, value, old), most, sizeof(most));
	value_text(value, old->values[value], was, sizeof(was));
	if (r->limits[value].kind == GUARD_RELATIVE)
		snprintf(behind, sizeof(behind), ", %gx of the old pool's %s", r->limits[value].most, was);
	else
		behind[0] = '\0';
	v->outcome = GUARD_FAIL;
	if (value == GUARD_ERROR_RATE)
		snprintf(v->text, sizeof(v->text),
			"error rate %s is above %s%s (%llu of %llu requests failed)", is, most, behind,
			(unsigned long long)f->failures, (unsigned long long)f->requests);
	else
		snprintf(v->text, sizeof(v->text), "%s of %s is above %s%s (%llu requests)",
			spoken_names[value], is, most, behind, (unsigned long long)f->requests);
}

/* Above its limit, whatever comes until there are enough requests? */
static bool exceeds(const struct guard_rules *r, enum guard_value value, const struct guard_figures *f,
	const struct guard_figures *old)
{
	double most = limit_of(r, value, old);

	if (value == GUARD_ERROR_RATE)
		return f->requests &&
		       (double)f->failures / (double)MAX(f->requests, MAX(r->min_samples, 1u)) > most;
	return f->requests && f->requests >= r->min_samples && f->values[value] > most;
}

void guard_judge(const struct guard_rules *r, const struct guard_figures *new_pool,
	const struct guard_figures *old, struct guard_verdict *v)
{
	bool compares = guard_rules_relative(r),
	     old_counts = old->requests && old->requests >= r->min_samples;

	*v = (struct guard_verdict){.outcome = GUARD_PASS};
	for (int i = 0; i < GUARD_VALUES; i++) {
		if (!r->limits[i].kind || (r->limits[i].kind == GUARD_RELATIVE && !old_counts))
			continue;
		if (exceeds(r, (enum guard_value)i, new_pool, old)) {
			tell_failure(r, (enum guard_value)i, new_pool, old, v);
			return;
		}
	}
	if (new_pool->requests < r->min_samples || (guard_rules_any(r) && !new_pool->requests)) {
		v->outcome = GUARD_INCONCLUSIVE;
		snprintf(v->text, sizeof(v->text), "%llu of at least %llu requests so far",
			(unsigned long long)new_pool->requests, (unsigned long long)MAX(r->min_samples, 1u));
		return;
	}
	if (compares && !old_counts) {
		v->outcome = GUARD_INCONCLUSIVE;
		snprintf(v->text, sizeof(v->text),
			"the old pool has had %llu of at least %llu requests so far",
			(unsigned long long)old->requests, (unsigned long long)MAX(r->min_samples, 1u));
		return;
	}
	snprintf(v->text, sizeof(v->text), "%llu requests, %.2f%% failed, p99 %.1fms",
		(unsigned long long)new_pool->requests, new_pool->values[GUARD_ERROR_RATE] * 100,
		new_pool->values[GUARD_P99]);
}
