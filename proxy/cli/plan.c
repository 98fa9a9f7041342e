#include "cli/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include "base/str.h"

static void put_text(json_t *object, const char *name, const char *text)
{
	if (text)
		json_object_set_new(object, name, json_string(text));
}

static bool number(const char *text, double *n)
{
	char *end;

	*n = strtod(text, &end);
	return end != text && *end == '\0';
}

/* Takes an object with something in it. */
static void put_object(json_t *plan, const char *name, json_t *object)
{
	if (json_object_size(object))
		json_object_set_new(plan, name, object);
	else
		json_decref(object);
}

/* "1,5,25%" */
static bool put_steps(json_t *plan, const char *text)
{
	struct str list = str_of(text), one;
	json_t *steps = json_array();
	char buf[32];
	double n;

	json_object_set_new(plan, "steps", steps);
	while (str_next_element(&list, &one)) {
		if (one.n && one.p[one.n - 1] == '%')
			one.n--;
		snprintf(buf, sizeof(buf), STR_FMT, STR_ARG(one));
		if (!number(buf, &n))
			return false;
		json_array_append_new(steps, json_real(n));
	}
	return true;
}

static bool put_bound(
	const struct cli_command *c, json_t *object, const char *name, const char *option, const char *text)
{
	double n;

	if (!text)
		return true;
	if (!number(text, &n)) {
		cli_usage(c, "--%s takes a number, not \"%s\"", option, text);
		return false;
	}
	json_object_set_new(object, name, json_real(n));
	return true;
}

static json_t *guards(const struct plan_options *o)
{
	json_t *g = json_object();
	uint64_t n;

	put_text(g, "max_error_rate", o->max_error_rate);
	put_text(g, "max_p50", o->max_p50);
	put_text(g, "max_p90", o->max_p90);
	put_text(g, "max_p99", o->max_p99);
	if (o->min_samples && str_to_u64(str_of(o->min_samples), &n))
		json_object_set_new(g, "min_samples", json_integer((json_int_t)n));
	return g;
}

static bool check_numbers(const struct cli_command *c, const struct plan_options *o)
{
	uint64_t n;

	if (!o->min_samples || str_to_u64(str_of(o->min_samples), &n))
		return true;
	cli_usage(c, "--min-samples takes a number, not \"%s\"", o->min_samples);
	return false;
}

static json_t *query(const struct cli_command *c, const struct plan_options *o)
{
	json_t *p = json_object();

	put_text(p, "url", o->prometheus);
	put_text(p, "query", o->query);
	if (put_bound(c, p, "max", "query-max", o->query_max) &&
		put_bound(c, p, "min", "query-min", o->query_min))
		return p;
	json_decref(p);
	return NULL;
}

json_t *plan_json(const struct cli_command *c, const struct plan_options *o)
{
	json_t *plan = json_object(), *hook = json_object(), *schedule = json_object(),
	       *prometheus = query(c, o);

	put_text(plan, "every", o->every);
	put_text(plan, "ramp", o->ramp);
	put_object(plan, "guards", guards(o));
	put_text(hook, "url", o->hook);
	put_text(hook, "timeout", o->hook_timeout);
	put_object(plan, "hook", hook);
	put_text(schedule, "between", o->between);
	put_text(schedule, "days", o->days);
	put_text(schedule, "tz", o->tz);
	put_object(plan, "schedule", schedule);
	if (prometheus)
		put_object(plan, "prometheus", prometheus);
	if (prometheus && check_numbers(c, o)) {
		if (!o->steps || put_steps(plan, o->steps))
			return plan;
		cli_usage(c, "the steps are percentages, such as 1,5,25,50,100; not \"%s\"", o->steps);
	}
	json_decref(plan);
	return NULL;
}

void plan_drain(const struct plan_options *o, json_t *body)
{
	if (o->drain)
		json_object_set_new(body, "drain", json_true());
	put_text(body, "drain_timeout", o->drain_timeout);
}
