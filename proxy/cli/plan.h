/* cli/plan.h - the options that say how users are shifted: of `weir shift`, and of `weir deploy`. */
#ifndef WEIR_CLI_PLAN_H
#define WEIR_CLI_PLAN_H

#include <jansson.h>
#include "cli/command.h"

/* A member `plan` of the command's struct, and PLAN_OPTIONS(struct ...) among its rows. */
struct plan_options {
	const char *steps, *every, *ramp;
	const char *max_error_rate, *max_p50, *max_p90, *max_p99, *min_samples;
	const char *hook, *hook_timeout;
	const char *prometheus, *query, *query_max, *query_min;
	const char *between, *days, *tz;
	const char *drain_timeout;
	bool drain;
};

#define PLAN_OPTIONS(s) \
	TEXT("every", 0, "TIME", s, plan.every, "the least time between two steps; 60s"), \
		TEXT("ramp", 0, "TIME", s, plan.ramp, "a smooth rise over this time, in place of steps"), \
		TEXT("max-error-rate", 0, "LIMIT", s, plan.max_error_rate, \
			"1%, or 1.5x that of the old pool"), \
		TEXT("max-p50", 0, "LIMIT", s, plan.max_p50, \
			"of the time that requests take: 200ms, or 1.5x"), \
		TEXT("max-p90", 0, "LIMIT", s, plan.max_p90, "the same"), \
		TEXT("max-p99", 0, "LIMIT", s, plan.max_p99, "the same"), \
		TEXT("min-samples", 0, "N", s, plan.min_samples, \
			"requests without which nothing passes: it is held; 200, with a limit"), \
		TEXT("hook", 0, "URL", s, plan.hook, \
			"gets the evidence by POST after each window: 2xx passes, 4xx fails, anything else " \
			"is asked again"), \
		TEXT("hook-timeout", 0, "TIME", s, plan.hook_timeout, "5s"), \
		TEXT("prometheus", 0, "URL", s, plan.prometheus, \
			"asked after each window, with --query and a bound"), \
		TEXT("query", 0, "PROMQL", s, plan.query, "an instant query"), \
		TEXT("query-max", 0, "X", s, plan.query_max, "its value must not be above"), \
		TEXT("query-min", 0, "X", s, plan.query_min, "its value must not be below"), \
		TEXT("between", 0, "HH:MM-HH:MM", s, plan.between, "steps are taken only then"), \
		TEXT("days", 0, "DAYS", s, plan.days, "and only on these: mon-fri,sun"), \
		TEXT("tz", 0, "OFFSET", s, plan.tz, "of those hours from UTC: +02:00"), \
		SWITCH("drain", 0, s, plan.drain, "afterwards the old pool drains and is closed"), \
		TEXT("drain-timeout", 0, "TIME", s, plan.drain_timeout, \
			"closed after this time at the latest; 60s")

/* What the options say of a plan, for the API; NULL: something was no number, which was said. drain is left to the caller. */
json_t *plan_json(const struct cli_command *c, const struct plan_options *o);
/* Drain and its timeout, into the body of either. */
void plan_drain(const struct plan_options *o, json_t *body);

#endif
