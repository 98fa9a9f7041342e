/* cli/top.c - `weir top`: pools by their traffic, from the differences of two readings of /metrics. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/map.h"
#include "base/obj.h"
#include "cli/client.h"
#include "cli/paint.h"
#include "cli/term.h"
#include "config/unit.h"

#define INTERVAL_MS 2000
#define LINES       20
#define BUCKETS     32 /* at most so many bounds are told */
#define NUMBERS     71 /* columns of a line behind the name */
#define NAME_MIN    16

struct top_options {
	struct client_options client;
	const char *interval, *count;
	bool all;
};

static const struct cli_option options[] = {
	TEXT("interval", 'i', "TIME", struct top_options, interval, "between two tables; 2s"),
	TEXT("count", 'n', "N", struct top_options, count,
		"so many tables, then end; on a terminal: until Ctrl-C, else 1"),
	SWITCH("all", 'a', struct top_options, all, "all pools, not only the 20 busiest"),
	CLIENT_OPTIONS(struct top_options),
	OPTIONS_END,
};

/* One pool's numbers at a time. */
struct reading {
	double requests, failures, in_flight, weight, up, backends;
	double bound[BUCKETS], upto[BUCKETS]; /* seconds, and how many took no longer */
	uint32_t bucket_n;
};

/* A pool, then and now. */
struct line {
	char *name; /* "acme/shop/blue" */
	struct reading before, now;
	double rate; /* per second */
};

struct top {
	const struct top_options *options;
	struct map by_name; /* struct line */
	double read_at, seconds; /* on a steady clock; since the reading before */
};

/* -- reading -- */

/* The value of a label; empty when there is none. Names of pools hold nothing that would be escaped. */
static struct str label(struct str labels, const char *name)
{
	char want[32];
	const char *at;

	snprintf(want, sizeof(want), "%s=\"", name);
	at = memmem(labels.p, labels.n, want, strlen(want));
	if (!at)
		return STR_NONE;
	labels = str_skip(labels, (size_t)(at - labels.p) + strlen(want));
	return str_head(labels, str_find(labels, '"'));
}

static struct line *line_of(struct top *t, struct str labels)
{
	struct str tenant = label(labels, "tenant"), service = label(labels, "service"),
		   pool = label(labels, "pool");
	char name[256];
	struct line *l;

	if (pool.n == 0)
		return NULL;
	snprintf(name, sizeof(name), STR_FMT "/" STR_FMT "/" STR_FMT, STR_ARG(tenant), STR_ARG(service),
		STR_ARG(pool));
	l = map_get(&t->by_name, str_of(name));
	if (l)
		return l;
	l = calloc(1, sizeof(*l));
	MUST(l);
	l->name = strdup(name);
	MUST(l->name);
	map_put(&t->by_name, str_of(l->name), l);
	return l;
}

static void take_bucket(struct reading *r, struct str labels, double value)
{
	struct str le = label(labels, "le");

	if (r->bucket_n == BUCKETS)
		return;
	r->bound[r->bucket_n] = strtod(le.p, NULL); /* "+Inf" too */
	r->upto[r->bucket_n++] = value;
}

static void take_sample(struct top *t, struct str name, struct str labels, double value)
{
	static const struct {
		struct str name;
		size_t offset;
	} sums[] = {
		{STR("weir_requests_total"), offsetof(struct reading, requests)},
		{STR("weir_request_failures_total"), offsetof(struct reading, failures)},
		{STR("weir_requests_in_flight"), offsetof(struct reading, in_flight)},
		{STR("weir_pool_weight"), offsetof(struct reading, weight)},
		{STR("weir_pool_backends_up"), offsetof(struct reading, up)},
		{STR("weir_pool_backends"), offsetof(struct reading, backends)},
	};
	bool bucket = str_eq(name, STR("weir_request_duration_seconds_bucket"));
	struct line *l;

	for (size_t i = 0; i < COUNT_OF(sums); i++) {
		if (!str_eq(name, sums[i].name))
			continue;
		l = line_of(t, labels);
		if (l)
			*(double *)(void *)((char *)&l->now + sums[i].offset) += value;
		return;
	}
	l = bucket ? line_of(t, labels) : NULL;
	if (l)
		take_bucket(&l->now, labels, value);
}

static void take_text(struct top *t, struct str text)
{
	for (struct map_entry *e = map_next(&t->by_name, NULL); e; e = map_next(&t->by_name, e)) {
		struct line *l = e->value;

		l->before = l->now;
		l->now = (struct reading){0};
	}
	while (text.n) {
		struct str line = str_head(text, str_find(text, '\n')),
			   name = str_head(line, str_find(line, '{'));
		struct str labels = str_skip(line, name.n + 1);
		const char *end = labels.n ? memrchr(labels.p, '}', labels.n) : NULL;

		text = str_skip(text, line.n + 1);
		if (end && line.p[0] != '#')
			take_sample(
				t, name, str_head(labels, (size_t)(end - labels.p)), strtod(end + 1, NULL));
	}
}

static double clock_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void wait_ms(uint64_t ms)
{
	struct timespec ts = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};

	nanosleep(&ts, NULL);
}

static int read_metrics(struct top *t)
{
	struct client_answer a;
	int status = client_call(&t->options->client, "GET", "/metrics", NULL, &a);

	if (status == CLI_DONE) {
		double now = clock_seconds();

		t->seconds = now - t->read_at;
		t->read_at = now;
		take_text(t, a.text);
	}
	client_answer_free(&a);
	return status;
}

/* -- the table -- */

/* In ms; below 0: there is nothing to tell it from. */
static double quantile(const struct line *l, double q)
{
	const struct reading *now = &l->now, *before = &l->before;
	double all, low = 0, below = 0;

	if (now->bucket_n == 0)
		return -1;
#define DONE(i) (now->upto[i] - (before->bucket_n == now->bucket_n ? before->upto[i] : 0))
	all = DONE(now->bucket_n - 1);
	if (all <= 0)
		return -1;
	for (uint32_t i = 0; i + 1 < now->bucket_n; i++) {
		double upto = DONE(i);

		if (upto >= q * all)
			return 1000 * (low + (now->bound[i] - low) * (q * all - below) / (upto - below));
		low = now->bound[i];
		below = upto;
	}
#undef DONE
	return 1000 * low;
}

static void put_ms(double ms)
{
	if (ms < 0)
		printf(" %9s", "-");
	else
		printf(" %7.1fms", ms);
}

static int busiest_first(const void *a, const void *b)
{
	const struct line *left = *(struct line *const *)a, *right = *(struct line *const *)b;

	if (left->rate != right->rate)
		return left->rate < right->rate ? 1 : -1;
	return strcmp(left->name, right->name);
}

/* Of those that it was asked for, how many failed, from 0 to 1. */
static double failed_share(const struct line *l, double seconds)
{
	return l->rate > 0 ? (l->now.failures - l->before.failures) / seconds / l->rate : 0;
}

/* The end of a name tells more than its beginning. */
static void put_name(const char *name, unsigned width)
{
	size_t n = strlen(name);

	if (n > width)
		printf("<%s", name + n - width + 1);
	else
		printf("%-*s", (int)width, name);
}

static void print_line(const struct line *l, double seconds, unsigned name_width)
{
	double share = 100 * failed_share(l, seconds);

	put_name(l->name, name_width);
	printf(" %6.0f %9.1f %s%6.2f%%%s", l->now.weight, l->rate, share > 0 ? paint(PAINT_BAD) : "", share,
		share > 0 ? paint_end() : "");
	put_ms(quantile(l, 0.5));
	put_ms(quantile(l, 0.99));
	printf(" %9.0f %s%4.0f/%.0f%s\n", l->now.in_flight,
		l->now.up < l->now.backends ? paint(PAINT_WARN) : "", l->now.up, l->now.backends,
		l->now.up < l->now.backends ? paint_end() : "");
}

/* Wide enough for all of them, as far as the terminal has room. */
static unsigned name_width(struct line *const *v, uint32_t n)
{
	unsigned widest = NAME_MIN, room = term_width();

	for (uint32_t i = 0; i < n; i++)
		widest = MAX(widest, (unsigned)strlen(v[i]->name));
	if (room && widest + NUMBERS > room)
		widest = room > NUMBERS + NAME_MIN ? room - NUMBERS : NAME_MIN;
	return widest;
}

static void print_table(struct line *const *v, uint32_t n, uint32_t all, double seconds)
{
	unsigned width = name_width(v, n);

	printf("%s%-*s %6s %9s %7s %9s %9s %9s %s%s\n", paint(PAINT_BOLD), (int)width, "POOL", "WEIGHT",
		"REQ/S", "FAILED", "P50", "P99", "IN FLIGHT", "  UP", paint_end());
	for (uint32_t i = 0; i < n; i++)
		print_line(v[i], seconds, width);
	if (all > n)
		printf("... and %u more; --all shows them\n", all - n);
}

/* null: there were none to tell it from. */
static json_t *ms_or_null(double ms)
{
	return ms < 0 ? json_null() : json_real(ms);
}

/* One table, one line. */
static void print_json(struct line *const *v, uint32_t n, double seconds)
{
	json_t *pools = json_array(), *table = json_pack("{s:f, s:o}", "seconds", seconds, "pools", pools);

	for (uint32_t i = 0; i < n; i++)
		json_array_append_new(pools,
			json_pack("{s:s, s:f, s:f, s:f, s:o, s:o, s:I, s:I, s:I}", "pool", v[i]->name,
				"weight", v[i]->now.weight, "requests_per_second", v[i]->rate, "failed_share",
				failed_share(v[i], seconds), "p50_ms", ms_or_null(quantile(v[i], 0.5)),
				"p99_ms", ms_or_null(quantile(v[i], 0.99)), "in_flight",
				(json_int_t)v[i]->now.in_flight, "up", (json_int_t)v[i]->now.up, "backends",
				(json_int_t)v[i]->now.backends));
	json_dumpf(table, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
	putchar('\n');
	json_decref(table);
}

static void print(struct top *t)
{
	struct line **v = calloc(t->by_name.n + 1, sizeof(struct line *));
	uint32_t n = 0, shown;

	MUST(v);
	for (struct map_entry *e = map_next(&t->by_name, NULL); e; e = map_next(&t->by_name, e)) {
		struct line *l = e->value;

		/* A counter that has gone back began anew. */
		l->rate = MAX(l->now.requests - l->before.requests, 0.0) / t->seconds;
		if (l->now.backends > 0 || l->rate > 0)
			v[n++] = l;
	}
	qsort(v, n, sizeof(struct line *), busiest_first);
	shown = t->options->all ? n : MIN(n, (uint32_t)LINES);
	if (t->options->client.json)
		print_json(v, shown, t->seconds);
	else
		print_table(v, shown, n, t->seconds);
	fflush(stdout);
	free(v);
}

static void top_free(struct top *t)
{
	for (struct map_entry *e = map_next(&t->by_name, NULL); e; e = map_next(&t->by_name, e)) {
		struct line *l = e->value;

		free(l->name);
		free(l);
	}
	map_free(&t->by_name);
}

static int run(const void *parsed, const struct cli_list *arguments)
{
	const struct top_options *o = parsed;
	bool live = isatty(STDOUT_FILENO) && !o->client.json;
	uint64_t interval = INTERVAL_MS, count = live ? UINT64_MAX : 1;
	struct top t = {.options = o};
	int status;

	(void)arguments;
	if (o->interval && (!unit_duration(str_of(o->interval), &interval) || interval < 100))
		return cli_usage(&top_command, "--interval %s: write a duration of at least 100ms, as 5s",
			o->interval);
	if (o->count && (!str_to_u64(str_of(o->count), &count) || count == 0))
		return cli_usage(&top_command, "--count %s: write a number from 1", o->count);
	status = read_metrics(&t);
	for (; status == CLI_DONE && count > 0; count--) {
		wait_ms(interval);
		status = read_metrics(&t);
		if (status != CLI_DONE)
			break;
		if (live)
			fputs("\x1b[H\x1b[2J", stdout);
		print(&t);
	}
	top_free(&t);
	return status;
}

const struct cli_command top_command = {
	.name = "top",
	.synopsis = "[--interval TIME] [--count N] [--all] [--json]",
	.summary = "the busiest pools, as they are now",
	.examples = "  weir top\n"
		    "  weir top --interval 10s --count 6 --all > a-minute.txt",
	.help = "Prints for each pool its weight, requests a second, the share of them that failed, how long "
		"they took, how many\n"
		"are in flight, and how many of its backends are up. On a terminal the table is renewed "
		"until Ctrl-C; elsewhere it\n"
		"is printed once. The numbers are those of the last interval. With --json a table is an "
		"object on a line of its own.",
	.options = options,
	.options_size = sizeof(struct top_options),
	.run = run,
};
