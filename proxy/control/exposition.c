#include "control/exposition.h"

#include <stdlib.h>
#include "base/obj.h"

#define SAMPLE_MAX 256 /* of a sample beside its labels: the longest name, a number, punctuation */

/* The bounds that are told: a subset of the histogram's own, so that the counts are exact. */
static const struct {
	struct str text;
	uint32_t us;
} bounds[] = {
	{STR("0.0005"), 500},
	{STR("0.001"), 1000},
	{STR("0.0025"), 2500},
	{STR("0.005"), 5000},
	{STR("0.01"), 10000},
	{STR("0.025"), 25000},
	{STR("0.05"), 50000},
	{STR("0.1"), 100000},
	{STR("0.25"), 250000},
	{STR("0.5"), 500000},
	{STR("1.0"), 1000000},
	{STR("2.5"), 2500000},
	{STR("5.0"), 5000000},
	{STR("10.0"), 10000000},
	{STR("30.0"), 30000000},
	{STR("60.0"), 60000000},
};

void exposition_init(struct exposition *e, bool openmetrics)
{
	*e = (struct exposition){.openmetrics = openmetrics};
}

void exposition_free(struct exposition *e)
{
	free(e->p);
	e->p = NULL;
}

const char *exposition_type(bool openmetrics)
{
	return openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
			   : "text/plain; version=0.0.4; charset=utf-8";
}

/* A writer with room for n bytes; without any when there is too much already. What was written counts after took(). */
static struct text room(struct exposition *e, size_t n)
{
	if (e->n + n > EXPOSITION_MAX) {
		e->cut = true;
		return text_in(e->p, 0);
	}
	if (e->cap - e->n < n) {
		e->cap = MAX(e->cap * 2, MAX(e->n + n, (size_t)16384));
		e->p = realloc(e->p, e->cap);
		MUST(e->p);
	}
	return text_in(e->p + e->n, e->cap - e->n);
}

static void took(struct exposition *e, const struct text *t)
{
	e->n += t->n;
}

/* -- names and labels -- */

/* Inside quotes: backslash, quote and newline are escaped; what is not UTF-8 would make the whole text unreadable and is "?". */
static void put_value(struct text *t, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '\\' || c == '"')
			text_char(t, '\\');
		if (c == '\n')
			text_put(t, STR("\\n"));
		else
			text_char(t, c >= 0x80 || c < 0x20 ? '?' : (char)c);
	}
}

static void put_label(struct text *t, bool first, struct str name, struct str value)
{
	if (!first)
		text_char(t, ',');
	text_put(t, name);
	text_put(t, STR("=\""));
	put_value(t, value);
	text_char(t, '"');
}

/* Of a counter OpenMetrics names the family without the suffix that its samples have. */
static struct str family_name(const struct exposition *e)
{
	const struct metric_row *row = &metric_rows[e->metric];

	if (e->openmetrics && row->type == METRIC_COUNTER)
		return str_head(row->name, row->name.n - sizeof("_total") + 1);
	return row->name;
}

static void put_head(struct exposition *e)
{
	const struct metric_row *row = &metric_rows[e->metric];
	struct str name = family_name(e), type = metric_type_name((enum metric_type)row->type);
	struct text t = room(e, SAMPLE_MAX * 3 + row->help.n);

	e->headed = true;
	text_fmt(&t, "# HELP " STR_FMT " " STR_FMT "\n# TYPE " STR_FMT " " STR_FMT "\n", STR_ARG(name),
		STR_ARG(row->help), STR_ARG(name), STR_ARG(type));
	if (e->openmetrics && row->unit.n)
		text_fmt(&t, "# UNIT " STR_FMT " " STR_FMT "\n", STR_ARG(name), STR_ARG(row->unit));
	took(e, &t);
}

void exposition_family(struct exposition *e, enum metric metric)
{
	e->metric = metric;
	e->headed = false;
	e->names = metric_rows[metric].labels;
	e->labels_n = 0;
}

void exposition_of(struct exposition *e, const struct str *values, uint32_t n)
{
	struct text t = text_in(e->labels, sizeof(e->labels));
	struct str name;

	e->names = metric_rows[e->metric].labels;
	for (uint32_t i = 0; i < n; i++) {
		MUST(str_next_element(&e->names, &name));
		put_label(&t, i == 0, name, values[i]);
	}
	MUST(!t.cut); /* names and addresses are limited by the configuration's tables */
	e->labels_n = t.n;
}

/* Everything of a sample's line before its value. */
static struct text begin_sample(struct exposition *e, struct str suffix, struct str name, struct str last)
{
	struct text t;

	if (!e->headed)
		put_head(e);
	t = room(e, SAMPLE_MAX + e->labels_n + 2 * last.n);
	text_put(&t, metric_rows[e->metric].name);
	text_put(&t, suffix);
	if (e->labels_n || last.p) {
		text_char(&t, '{');
		text_put(&t, (struct str){e->labels, e->labels_n});
		if (last.p)
			put_label(&t, e->labels_n == 0, name, last);
		text_char(&t, '}');
	}
	text_char(&t, ' ');
	return t;
}

/* -- samples -- */

static void put_millionths(struct text *t, uint64_t n)
{
	char digits[] = ".000000";

	text_u64(t, n / 1000000);
	n %= 1000000;
	for (int i = 6; i > 0; i--, n /= 10)
		digits[i] = (char)('0' + n % 10);
	text_put(t, (struct str){digits, 7});
}

void exposition_count(struct exposition *e, struct str last, uint64_t value)
{
	struct text t = begin_sample(e, STR_NONE, e->names, last);

	text_u64(&t, value);
	text_char(&t, '\n');
	took(e, &t);
}

void exposition_millionths(struct exposition *e, struct str last, uint64_t n)
{
	struct text t = begin_sample(e, STR_NONE, e->names, last);

	put_millionths(&t, n);
	text_char(&t, '\n');
	took(e, &t);
}

void exposition_histogram(struct exposition *e, const uint64_t counts[HISTOGRAM_BUCKETS], uint64_t sum_us)
{
	uint64_t n = 0;
	uint32_t i = 0;
	struct text t;

	for (size_t b = 0; b < COUNT_OF(bounds); b++) {
		while (i < HISTOGRAM_BOUNDS && histogram_bounds_us[i] <= bounds[b].us)
			n += counts[i++];
		t = begin_sample(e, STR("_bucket"), STR("le"), bounds[b].text);
		text_u64(&t, n);
		text_char(&t, '\n');
		took(e, &t);
	}
	while (i < HISTOGRAM_BUCKETS)
		n += counts[i++];
	t = begin_sample(e, STR("_bucket"), STR("le"), STR("+Inf"));
	text_u64(&t, n);
	text_char(&t, '\n');
	took(e, &t);
	t = begin_sample(e, STR("_sum"), STR_NONE, STR_NONE);
	put_millionths(&t, sum_us);
	text_char(&t, '\n');
	took(e, &t);
	t = begin_sample(e, STR("_count"), STR_NONE, STR_NONE);
	text_u64(&t, n);
	text_char(&t, '\n');
	took(e, &t);
}

void exposition_end(struct exposition *e)
{
	struct text t = room(e, SAMPLE_MAX);

	if (e->openmetrics)
		text_put(&t, STR("# EOF\n"));
	took(e, &t);
}
