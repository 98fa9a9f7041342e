/* control/shift_ask.c - the judges outside: a hook that is sent the evidence, a query to Prometheus. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/escape.h"
#include "base/obj.h"
#include "control/control.h"
#include "control/shift_run.h"

#define ASK_AGAIN_MIN 1000 /* ms */
#define ASK_AGAIN_MAX 10000
#define ANSWER_MAX    (256u * 1024)
#define SAID_MAX      200 /* bytes of an answer that are told */

static void no_answer(struct shift *s, const char *fmt, const char *what)
{
	char why[SHIFT_TEXT];

	snprintf(why, sizeof(why), fmt, what);
	s->ask_ms = shift_now_ms(s) +
		    MIN(MAX(s->plan.every_ms, (uint32_t)ASK_AGAIN_MIN), (uint32_t)ASK_AGAIN_MAX);
	shift_set_state(s, SHIFT_INCONCLUSIVE, why);
}

static void failed(struct shift *s, const struct fetcher_answer *a, const char *who)
{
	char fmt[80], what[FETCHER_PROBLEM_MAX];

	snprintf(fmt, sizeof(fmt), "%s has no answer: %%s; it is asked again", who);
	no_answer(s, fmt, fetcher_problem(a, what));
}

/* Of Prometheus's answer, or the text that says why there is none. */
static bool value_outside(const struct shift_judge *j, const json_t *value, bool *outside, double *v)
{
	const char *text = json_string_value(json_array_get(value, 1));
	char *end;

	if (!text)
		return false;
	*v = strtod(text, &end);
	if (*end || isnan(*v))
		return false;
	*outside = (j->has_max && *v > j->max) || (j->has_min && *v < j->min);
	return true;
}

/* Each of a vector's values must be within the bounds. NULL: it is; else why not, *fail if it is outside. */
static const char *judge_result(
	const struct shift_judge *j, const json_t *data, bool *fail, char *why, size_t n)
{
	const json_t *result = json_object_get(data, "result");
	const char *type = json_string_value(json_object_get(data, "resultType"));
	bool vector = type && strcmp(type, "vector") == 0, outside;
	size_t count = vector ? json_array_size(result) : 1;
	double v = 0;

	for (size_t i = 0; i < count; i++) {
		const json_t *value = vector ? json_object_get(json_array_get(result, i), "value") : result;

		if (!value_outside(j, value, &outside, &v))
			return "its value is no number";
		if (outside) {
			*fail = true;
			snprintf(why, n, "Prometheus: %g is %s %g (" STR_FMT ")", v,
				j->has_max && v > j->max ? "above" : "below",
				j->has_max && v > j->max ? j->max : j->min,
				STR_ARG(str_head_utf8(str_of(j->query), 100)));
			return why;
		}
	}
	return count ? NULL : "the query has no result";
}

static void on_prometheus(void *ctx, const struct fetcher_answer *a)
{
	struct shift *s = ctx;
	bool fail = false;
	char why[SHIFT_TEXT];
	const char *problem;
	json_t *body;

	s->question = NULL;
	if (!control_may_change(s->engine->control))
		return;
	if (a->why || a->status != 200) {
		failed(s, a, "Prometheus");
		return;
	}
	body = json_loadb(a->body.p, a->body.n, 0, NULL);
	problem = judge_result(&s->plan.judge, json_object_get(body, "data"), &fail, why, sizeof(why));
	json_decref(body);
	if (fail)
		shift_return(s, SHIFT_ROLLED_BACK, why);
	else if (problem)
		no_answer(s, "Prometheus has no answer: %s; it is asked again", problem);
	else
		shift_advance(s);
}

static void put_escaped(struct text *t, const char *p)
{
	for (; *p; p++) {
		unsigned char c = (unsigned char)*p;

		if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
			c == '-')
			text_char(t, (char)c);
		else
			text_fmt(t, "%%%02X", c);
	}
}

static void ask(struct shift *s, struct str method, struct str url, struct str body,
	void (*done)(void *ctx, const struct fetcher_answer *a))
{
	struct fetcher_request rq = {.method = method,
		.url = url,
		.body = body,
		.once = body.n > 0,
		.timeout_ms = s->plan.judge.timeout_ms,
		.body_max = ANSWER_MAX};
	struct arena arena;

	arena_init(&arena, &s->engine->control->loop.mem);
	fields_add(&arena, &rq.fields, FIELD_ACCEPT, STR("accept"), STR("application/json"));
	if (body.n)
		fields_add(
			&arena, &rq.fields, FIELD_CONTENT_TYPE, STR("content-type"), STR("application/json"));
	s->question = fetcher_begin(s->engine->fetcher, &rq, done, s);
	arena_free(&arena);
}

static void ask_prometheus(struct shift *s)
{
	const struct shift_judge *j = &s->plan.judge;
	size_t cap = strlen(j->prometheus) + 3 * strlen(j->query) + 64;
	struct text url = text_in(malloc(cap), cap);
	struct str base = str_of(j->prometheus);

	MUST(url.p);
	while (base.n && base.p[base.n - 1] == '/')
		base.n--;
	text_put(&url, base);
	text_put(&url, STR("/api/v1/query?query="));
	put_escaped(&url, j->query);
	ask(s, STR("GET"), text_str(&url), STR_NONE, on_prometheus);
	free(url.p);
}

static void on_hook(void *ctx, const struct fetcher_answer *a)
{
	struct shift *s = ctx;
	char why[SHIFT_TEXT], bytes[SAID_MAX];
	struct text said = text_in(bytes, sizeof(bytes));

	s->question = NULL;
	if (!control_may_change(s->engine->control))
		return;
	text_utf8(&said, a->body, SAID_MAX);
	if (a->why == REASON_NONE && a->status >= 200 && a->status < 300) {
		s->asked_hook = true;
		shift_ask(s);
	} else if (a->why == REASON_NONE && a->status >= 400 && a->status < 500) {
		snprintf(why, sizeof(why), "the hook says no: %u " STR_FMT, a->status,
			STR_ARG(text_str(&said)));
		shift_return(s, SHIFT_ROLLED_BACK, why);
	} else {
		failed(s, a, "the hook");
	}
}

static void ask_hook(struct shift *s)
{
	struct guard_verdict v;
	json_t *evidence = NULL, *question;
	char *text;

	shift_judge_window(s, &v, &evidence);
	question = json_pack("{s:O, s:s, s:s, s:O, s:O, s:i, s:O, s:o}", "id", json_object_get(s->doc, "id"),
		"service", s->key, "pool", s->plan.pool, "from", json_object_get(s->doc, "from"), "step",
		json_object_get(s->doc, "step"), "steps", (int)s->plan.step_n, "share",
		json_object_get(s->doc, "share"), "verdict", evidence);
	text = json_dumps(question, JSON_COMPACT);
	MUST(text);
	ask(s, STR("POST"), str_of(s->plan.judge.hook), str_of(text), on_hook);
	free(text);
	json_decref(question);
}

void shift_ask(struct shift *s)
{
	if (s->plan.judge.hook && !s->asked_hook)
		ask_hook(s);
	else if (s->plan.judge.prometheus)
		ask_prometheus(s);
	else
		shift_advance(s);
}
