/* control/shift_plan.h - what a shift shall do, as it was asked for: a JSON object, checked and taken apart. Pure.
 *
 *   {"pool": "green", "steps": [1, 5, 25, 50, 100], "every": "60s",      or "ramp": "10m" in place of both
 *    "guards": {"max_error_rate": "1%", "max_p50": "1.5x", "max_p90": "300ms", "max_p99": "1.5x", "min_samples": 200},
 *    "hook": {"url": "http://judge.internal/shop", "timeout": "5s"},
 *    "prometheus": {"url": "http://prometheus:9090", "query": "...", "max": 0.01, "min": 0, "timeout": "5s"},
 *    "schedule": {"between": "09:00-17:00", "days": "mon-fri", "tz": "+02:00"},
 *    "drain": true, "drain_timeout": "60s"} */
#ifndef WEIR_CONTROL_SHIFT_PLAN_H
#define WEIR_CONTROL_SHIFT_PLAN_H

#include <jansson.h>
#include "config/conf.h"
#include "control/guard.h"
#include "control/schedule.h"

#define SHIFT_STEPS_MAX 100
#define SHIFT_WHOLE     10000 /* shares are parts of this */
#define SHIFT_EVERY_MIN 500 /* ms */

/* Somebody outside who is asked at the end of each window. */
struct shift_judge {
	const char *hook; /* URL; NULL: none */
	const char *prometheus; /* URL; NULL: none */
	const char *query;
	bool has_min, has_max;
	double min, max; /* of the query's value */
	uint32_t timeout_ms; /* of either */
};

/* Texts are the JSON's. */
struct shift_plan {
	const char *pool; /* that shall have the users */
	uint16_t steps[SHIFT_STEPS_MAX]; /* its shares, rising */
	uint32_t step_n;
	uint32_t every_ms; /* the least time between two steps: the length of a window */
	bool ramp; /* steps do not begin a new window */
	struct guard_rules guards;
	struct shift_judge judge;
	struct schedule schedule;
	bool drain; /* afterwards, the old pool drains and is closed */
	uint32_t drain_ms; /* at most */
};

/* Members of other nouns in the same object are `ignored` (ends with NULL). False: err (err_n bytes) says what is wrong and what to do. */
bool shift_plan_parse(
	struct shift_plan *plan, const json_t *json, const char *const *ignored, char *err, size_t err_n);

/* The weights that give the pool `share` of the new users, the others sharing the rest as they do in base ({pool: weight}); pools that are
 * not in base are left alone. New reference. */
json_t *shift_weights(const struct shift_plan *plan, const json_t *base, uint32_t share);
/* What share the pool has by these weights. */
uint32_t shift_share(const json_t *weights, const char *pool);

#endif
