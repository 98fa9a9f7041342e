/* control/guard.h - is the new pool as good as it must be? Two windows over the same time in, a verdict with its numbers out. Pure.
 *
 * A limit is absolute ("1%", "500ms") or relative to the old pool ("1.5x"). With too few requests nothing passes: INCONCLUSIVE. A
 * failure is told as soon as it is certain: so many errors that no number of good requests up to min_samples could make up for it. */
#ifndef WEIR_CONTROL_GUARD_H
#define WEIR_CONTROL_GUARD_H

#include <jansson.h>
#include "exchange/tally.h"

enum guard_outcome { GUARD_PASS, GUARD_INCONCLUSIVE, GUARD_FAIL };

enum guard_kind { GUARD_NONE, GUARD_ABSOLUTE, GUARD_RELATIVE };

/* What is compared. */
enum guard_value { GUARD_ERROR_RATE, GUARD_P50, GUARD_P90, GUARD_P99, GUARD_VALUES };

struct guard_limit {
	uint8_t kind; /* enum guard_kind */
	double most; /* a share (0 to 1) or ms; RELATIVE: times what the old pool has */
};

struct guard_rules {
	struct guard_limit limits[GUARD_VALUES];
	uint64_t min_samples; /* requests that a pool must have had in the window */
};

/* What a pool has done in a window. */
struct guard_figures {
	uint64_t requests, failures;
	double values[GUARD_VALUES];
};

struct guard_verdict {
	uint8_t outcome; /* enum guard_outcome */
	char text[256]; /* "error rate 2.31% is above 1% (46 of 1991 requests)" */
};

/* Below these differences from the old pool a relative limit does not see: one error among a thousand and a millisecond are noise. */
#define GUARD_NOISE_RATE 0.001
#define GUARD_NOISE_MS   1.0

extern const char *const guard_outcome_names[];
/* As they are written: "max_error_rate", "max_p50", ... */
extern const char *const guard_limit_names[GUARD_VALUES];

/* "1%", "1.5x" for the error rate; "500ms", "1.5x" for the others. False: it is none. */
bool guard_limit_parse(enum guard_value value, struct str text, struct guard_limit *limit);
static inline bool guard_rules_any(const struct guard_rules *r)
{
	for (int i = 0; i < GUARD_VALUES; i++)
		if (r->limits[i].kind)
			return true;
	return false;
}
bool guard_rules_relative(const struct guard_rules *r);
void guard_figures_of(const struct tally_sums *window, struct guard_figures *f);
/* {"requests", "failures", "error_rate", "p50_ms", "p90_ms", "p99_ms"} */
json_t *guard_figures_json(const struct guard_figures *f);
bool guard_figures_read(const json_t *j, struct guard_figures *f);
/* old: over the same time, or what it last was when it gets nobody any more. */
void guard_judge(const struct guard_rules *r, const struct guard_figures *new_pool,
	const struct guard_figures *old, struct guard_verdict *v);

#endif
