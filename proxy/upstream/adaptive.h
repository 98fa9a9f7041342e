/* upstream/adaptive.h - how many requests a pool can take at once, learned from how long its backends take to begin their answers
 * (breaker.adaptive).
 *
 * After the gradient limit of Netflix's concurrency-limits and Envoy's adaptive concurrency filter. As long as requests do not wait for
 * each other inside the backends, another one in flight costs no time; from the point on where they do, it costs all of them time
 * and gains nothing. So the limit follows
 *
 *      limit = limit * min(1, 1.5 * floor / mean) + sqrt(limit)
 *
 * mean: of the latencies of the last moments; floor: what it is when little is in flight. Both are means of logarithms, that is
 * geometric ones: among a hundred answers a slow one shifts them by little, and fast and slow kinds of requests mix without harm.
 *
 * The floor must not be learned under load, or it would creep up with the queue that it is to keep short. So every ADAPTIVE_PERIOD_MS
 * the limit is halved for ADAPTIVE_LOOK_MS, and what is measured then is the new floor. Periods are those of CLOCK_MONOTONIC, which
 * is the same for all workers: they look at the same time, without a word between them.
 *
 * Belongs to one worker and pool; no call reads a clock. */
#ifndef WEIR_UPSTREAM_ADAPTIVE_H
#define WEIR_UPSTREAM_ADAPTIVE_H

#include <stdint.h>

#define ADAPTIVE_PERIOD_MS 30000u
#define ADAPTIVE_LOOK_MS   500u
#define ADAPTIVE_WINDOW_MS 100u /* between two changes of the limit, at least */
#define ADAPTIVE_SAMPLES   25 /* and so many latencies */
#define ADAPTIVE_START     20 /* in flight, before anything is known */

/* Latencies, summed up. */
struct adaptive_window {
	uint64_t sum; /* of their logarithms */
	uint32_t n;
};

/* Zeroed is fresh. */
struct adaptive {
	uint32_t limit; /* requests in flight, in 1/1024; 0: fresh */
	uint32_t min, max; /* within which it stays; max 0: there is no limit at all */
	uint32_t floor, mean; /* logarithms; 0: not known yet */
	uint32_t busiest; /* most in flight since the limit was changed last */
	uint64_t changed_us; /* when that was */
	struct adaptive_window window, look;
};

/* The range has come from a configuration, as this worker's part of it. max 0 turns it off. */
void adaptive_configure(struct adaptive *a, uint32_t min, uint32_t max);
/* How many may be in flight now; UINT32_MAX when it is off. */
uint32_t adaptive_limit(const struct adaptive *a, uint64_t now_us);
/* One more is in flight. */
void adaptive_enter(struct adaptive *a, uint32_t in_flight);
/* An answer to what was sent at start_us has begun. */
void adaptive_observe(struct adaptive *a, uint64_t start_us, uint64_t now_us);
/* The pool says itself that it has too much, or has not answered in time: a tenth less, once in each window. */
void adaptive_overload(struct adaptive *a, uint64_t now_us);

#endif
