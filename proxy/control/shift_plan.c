#include "control/shift_plan.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include "base/obj.h"
#include "config/suggest.h"
#include "config/unit.h"
#include "http/fetcher.h"

#define EVERY_DEFAULT   60000
#define EVERY_MAX       (24u * 3600 * 1000)
#define SAMPLES_DEFAULT 200
#define TIMEOUT_DEFAULT 5000
#define DRAIN_DEFAULT   60000
#define RAMP_STEP_MS    1000 /* a ramp moves at most once in this time */

/* The plan that is being read. */
struct reading {
	char *err;
	size_t err_n;
};

__attribute__((format(printf, 2, 3))) static bool refuse(const struct reading *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->err, r->err_n, fmt, ap);
	va_end(ap);
	return false;
}

/* -- members -- */

static bool known_in(const char *name, const char *const *names, struct suggestion *s)
{
	for (; names && *names; names++) {
		if (strcmp(name, *names) == 0)
			return true;
		suggest_try(s, str_of(*names));
	}
	return false;
}

static bool check_names(const struct reading *r, const json_t *object, const char *where,
	const char *const *names, const char *const *more)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)object, name, value)
	{
		struct suggestion s = {.word = str_of(name)};

		if (known_in(name, names, &s) || known_in(name, more, &s))
			continue;
		if (s.best.n)
			return refuse(r, "unknown member \"%.64s\"%s; did you mean \"" STR_FMT "\"?", name,
				where, STR_ARG(s.best));
		return refuse(r, "unknown member \"%.64s\"%s", name, where);
	}
	return true;
}

static bool given(const json_t *object, const char *name)
{
	const json_t *v = json_object_get(object, name);

	return v && !json_is_null(v);
}

static bool read_duration(
	const struct reading *r, const json_t *object, const char *name, uint32_t min, uint32_t *ms)
{
	uint64_t n;

	if (!given(object, name))
		return true;
	if (!unit_duration(str_of(json_string_value(json_object_get(object, name))), &n) || n < min ||
		n > EVERY_MAX)
		return refuse(r, "\"%s\" must be a duration from %ums to 24h, such as \"60s\"", name, min);
	*ms = (uint32_t)n;
	return true;
}

static bool read_text(const struct reading *r, const json_t *object, const char *name, const char **text)
{
	if (!given(object, name))
		return true;
	*text = json_string_value(json_object_get(object, name));
	return *text ? true : refuse(r, "\"%s\" must be a text", name);
}

/* An object, or NULL when it is not given. False: it is something else. */
static bool read_object(const struct reading *r, const json_t *in, const char *name, const json_t **object)
{
	*object = given(in, name) ? json_object_get(in, name) : NULL;
	return !*object || json_is_object(*object) ? true : refuse(r, "\"%s\" must be an object", name);
}

/* -- steps -- */

static bool read_steps(const struct reading *r, struct shift_plan *p, const json_t *steps)
{
	json_t *one;
	size_t i;

	if (!json_is_array(steps) || json_array_size(steps) == 0 || json_array_size(steps) > SHIFT_STEPS_MAX)
		return refuse(r,
			"\"steps\" must be a list of 1 to %d percentages, such as [1, 5, 25, 50, 100]",
			SHIFT_STEPS_MAX);
	json_array_foreach(steps, i, one)
	{
		double percent = json_number_value(one);
		uint32_t share = (uint32_t)(fmin(fmax(percent, 0), 101) * 100 + 0.5);

		if (!json_is_number(one) || share == 0 || share > SHIFT_WHOLE)
			return refuse(r, "each of \"steps\" must be a percentage above 0 and at most 100");
		if (i && share <= p->steps[i - 1])
			return refuse(r, "\"steps\" must rise: %g comes after %g", percent,
				p->steps[i - 1] / 100.0);
		p->steps[p->step_n++] = (uint16_t)share;
	}
	return true;
}

/* A smooth ramp is many small steps. */
static void make_ramp(struct shift_plan *p, uint32_t ms)
{
	p->ramp = true;
	p->step_n = MIN(MAX(ms / RAMP_STEP_MS, 1u), (uint32_t)SHIFT_STEPS_MAX);
	p->every_ms = ms / p->step_n;
	for (uint32_t i = 0; i < p->step_n; i++)
		p->steps[i] = (uint16_t)(SHIFT_WHOLE * (i + 1) / p->step_n);
}

static bool read_pace(const struct reading *r, struct shift_plan *p, const json_t *json)
{
	static const uint16_t usual[] = {100, 500, 2500, 5000, 10000};
	uint32_t ramp = 0;

	if (!read_duration(r, json, "ramp", RAMP_STEP_MS, &ramp) ||
		!read_duration(r, json, "every", SHIFT_EVERY_MIN, &p->every_ms))
		return false;
	if (ramp && (given(json, "steps") || given(json, "every")))
		return refuse(
			r, "\"ramp\" stands in place of \"steps\" and \"every\": give one or the other");
	if (ramp)
		make_ramp(p, ramp);
	else if (given(json, "steps"))
		return read_steps(r, p, json_object_get(json, "steps"));
	else
		for (p->step_n = 0; p->step_n < COUNT_OF(usual); p->step_n++)
			p->steps[p->step_n] = usual[p->step_n];
	return true;
}

/* -- guards -- */

static bool read_guards(const struct reading *r, struct shift_plan *p, const json_t *json)
{
	static const char *const names[] = {
		"max_error_rate", "max_p50", "max_p90", "max_p99", "min_samples", NULL};
	const json_t *guards;
	json_int_t n;

	if (!read_object(r, json, "guards", &guards) ||
		!check_names(r, guards, " of \"guards\"", names, NULL))
		return false;
	for (int i = 0; i < GUARD_VALUES; i++) {
		const char *text = NULL;

		if (!read_text(r, guards, guard_limit_names[i], &text))
			return false;
		if (text && !guard_limit_parse((enum guard_value)i, str_of(text), &p->guards.limits[i]))
			return refuse(r,
				"\"%s\" must be %s or a factor from \"1x\" on, such as \"1.5x\"; not "
				"\"%.32s\"",
				guard_limit_names[i],
				i == GUARD_ERROR_RATE ? "a share such as \"1%\""
						      : "a duration such as \"500ms\"",
				text);
	}
	p->guards.min_samples = guard_rules_any(&p->guards) ? SAMPLES_DEFAULT : 0;
	if (!given(guards, "min_samples"))
		return true;
	n = json_integer_value(json_object_get(guards, "min_samples"));
	if (n < 1 || n > 1000000000)
		return refuse(r, "\"min_samples\" must be a whole number from 1 on");
	p->guards.min_samples = (uint64_t)n;
	return true;
}

/* A relative limit needs somebody to compare with before the old pool has nobody any more. */
static bool check_comparable(const struct reading *r, const struct shift_plan *p)
{
	if (guard_rules_relative(&p->guards) && p->steps[0] == SHIFT_WHOLE)
		return refuse(r,
			"a limit like \"1.5x\" compares the two pools, and with one step of 100%% there is "
			"nothing to compare: add a smaller step, or give an absolute limit");
	return true;
}

/* -- who else is asked -- */

static bool check_url(const struct reading *r, const char *name, const char *url)
{
	if (url && !fetcher_url_is_valid(str_of(url)))
		return refuse(r, "the URL of \"%s\" must be one such as http://judge.internal/verdict", name);
	return url ? true : refuse(r, "\"%s\" needs a \"url\"", name);
}

static bool read_hook(const struct reading *r, struct shift_plan *p, const json_t *json)
{
	static const char *const names[] = {"url", "timeout", NULL};
	const json_t *hook;

	if (!read_object(r, json, "hook", &hook) || !check_names(r, hook, " of \"hook\"", names, NULL))
		return false;
	return !hook || (read_text(r, hook, "url", &p->judge.hook) && check_url(r, "hook", p->judge.hook) &&
				read_duration(r, hook, "timeout", 100, &p->judge.timeout_ms));
}

static bool read_bound(const struct reading *r, const json_t *in, const char *name, bool *has, double *bound)
{
	*has = given(in, name);
	*bound = json_number_value(json_object_get(in, name));
	return !*has || json_is_number(json_object_get(in, name))
		       ? true
		       : refuse(r, "\"%s\" must be a number", name);
}

static bool read_prometheus(const struct reading *r, struct shift_plan *p, const json_t *json)
{
	static const char *const names[] = {"url", "query", "min", "max", "timeout", NULL};
	const json_t *prom;
	struct shift_judge *j = &p->judge;

	if (!read_object(r, json, "prometheus", &prom) ||
		!check_names(r, prom, " of \"prometheus\"", names, NULL))
		return false;
	if (!prom)
		return true;
	if (!read_text(r, prom, "url", &j->prometheus) || !check_url(r, "prometheus", j->prometheus) ||
		!read_text(r, prom, "query", &j->query) ||
		!read_bound(r, prom, "min", &j->has_min, &j->min) ||
		!read_bound(r, prom, "max", &j->has_max, &j->max) ||
		!read_duration(r, prom, "timeout", 100, &j->timeout_ms))
		return false;
	if (!j->query || (!j->has_min && !j->has_max))
		return refuse(
			r, "\"prometheus\" needs a \"query\", and a \"max\" or a \"min\" for its value");
	return true;
}

static bool read_schedule(const struct reading *r, struct shift_plan *p, const json_t *json)
{
	static const char *const names[] = {"between", "days", "tz", NULL};
	const char *between = NULL, *days = NULL, *tz = NULL;
	const json_t *s;

	return read_object(r, json, "schedule", &s) && check_names(r, s, " of \"schedule\"", names, NULL) &&
	       read_text(r, s, "between", &between) && read_text(r, s, "days", &days) &&
	       read_text(r, s, "tz", &tz) &&
	       schedule_parse(&p->schedule, str_of(between), str_of(days), str_of(tz), r->err, r->err_n);
}

static bool read_drain(const struct reading *r, struct shift_plan *p, const json_t *json)
{
	const json_t *drain = json_object_get(json, "drain");

	if (drain && !json_is_boolean(drain) && !json_is_null(drain))
		return refuse(r, "\"drain\" must be true or false");
	p->drain = json_is_true(drain);
	if (!read_duration(r, json, "drain_timeout", 100, &p->drain_ms))
		return false;
	if (p->drain && p->steps[p->step_n - 1] < SHIFT_WHOLE)
		return refuse(r, "the old pool can only be drained when the last step is 100");
	return true;
}

bool shift_plan_parse(
	struct shift_plan *plan, const json_t *json, const char *const *ignored, char *err, size_t err_n)
{
	static const char *const names[] = {"pool", "steps", "every", "ramp", "guards", "hook", "prometheus",
		"schedule", "drain", "drain_timeout", NULL};
	struct reading r = {err, err_n};

	*plan = (struct shift_plan){.every_ms = EVERY_DEFAULT, .drain_ms = DRAIN_DEFAULT};
	plan->judge.timeout_ms = TIMEOUT_DEFAULT;
	if (!json_is_object(json))
		return refuse(&r, "the body must be a JSON object");
	if (!check_names(&r, json, "", names, ignored) || !read_text(&r, json, "pool", &plan->pool))
		return false;
	if (!plan->pool)
		return refuse(&r, "which pool shall get the users? {\"pool\": \"green\"}");
	return read_pace(&r, plan, json) && read_guards(&r, plan, json) && check_comparable(&r, plan) &&
	       read_hook(&r, plan, json) && read_prometheus(&r, plan, json) &&
	       read_schedule(&r, plan, json) && read_drain(&r, plan, json);
}

/* -- weights -- */

/* Percent where all steps are whole ones, for people read them. */
static uint32_t scale_of(const struct shift_plan *p)
{
	for (uint32_t i = 0; i < p->step_n; i++)
		if (p->steps[i] % 100)
			return SHIFT_WHOLE;
	return 100;
}

json_t *shift_weights(const struct shift_plan *plan, const json_t *base, uint32_t share)
{
	uint32_t scale = json_object_size(base) > 2 ? SHIFT_WHOLE : scale_of(plan);
	uint64_t others = 0, mine = (uint64_t)share * scale / SHIFT_WHOLE;
	json_t *weights = json_object(), *w;
	const char *name;

	json_object_foreach((json_t *)base, name, w)
	{
		if (strcmp(name, plan->pool) != 0)
			others += (uint64_t)json_integer_value(w);
	}
	json_object_foreach((json_t *)base, name, w)
	{
		uint64_t n = (uint64_t)json_integer_value(w);

		if (strcmp(name, plan->pool) == 0)
			n = mine;
		else
			n = others ? (n * (scale - mine) + others / 2) / others : 0;
		json_object_set_new(weights, name, json_integer((json_int_t)n));
	}
	return weights;
}

uint32_t shift_share(const json_t *weights, const char *pool)
{
	uint64_t sum = 0;
	const char *name;
	json_t *w;

	json_object_foreach((json_t *)weights, name, w)
	{
		sum += (uint64_t)json_integer_value(w);
	}
	return sum ? (uint32_t)((uint64_t)json_integer_value(json_object_get(weights, pool)) * SHIFT_WHOLE /
				sum)
		   : 0;
}
