/* upstream/slow_start.h - the share of its weight that a backend takes while it warms up.
 *
 * A backend that has just become healthy takes a linearly growing share, so that cold caches and just-in-time compilers are not
 * hit with full traffic. Control says since when, the pool's policy for how long; time is CLOCK_MONOTONIC, the same for every
 * thread. */
#ifndef WEIR_UPSTREAM_SLOW_START_H
#define WEIR_UPSTREAM_SLOW_START_H

#include "upstream/pool.h"

struct slow_start {
	uint64_t since_ms; /* when it became healthy; 0: warm, takes all */
	uint32_t window_ms; /* length of the ramp; 0: none configured */
};

#define SLOW_START_WHOLE 1024 /* shares are parts of this */
#define SLOW_START_LEAST 64 /* so that it is tried at all */

/* Share of the configured weight, between SLOW_START_LEAST and SLOW_START_WHOLE. Never fails. */
uint32_t slow_start_share(const struct slow_start *ss, uint64_t now_ms);
/* The backend has come up, or back: it warms up from now on. Control's. */
void slow_start_begin(struct backend *b, uint64_t now_ms);

/* What pool->backends[i] weighs now: its configured weight times its share, never 0. Only to be compared with others of the
 * same pool. */
static inline uint32_t backend_weight_now(const struct pool *pool, uint32_t i, uint64_t now_ms)
{
	struct slow_start ss = {.window_ms = pool->conf->policy->health.slow_start};

	if (ss.window_ms == 0)
		return pool->members[i].weight * SLOW_START_WHOLE;
	ss.since_ms = atomic_load_explicit(&pool->backends[i]->warm_from_ms, memory_order_relaxed);
	return pool->members[i].weight * slow_start_share(&ss, now_ms);
}

#endif
