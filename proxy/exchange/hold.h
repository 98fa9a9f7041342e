/* exchange/hold.h - a service is held: its requests wait in weir, first come, first served, before a pool or backend is chosen, while what is
 * behind it is swapped. No more than a part of the whole for each worker, for no longer than the hold lasts; then they go on over a while,
 * so that what has just come up does not get all of them at once. */
#ifndef WEIR_EXCHANGE_HOLD_H
#define WEIR_EXCHANGE_HOLD_H

#include "base/counter.h"
#include "base/list.h"
#include "base/str.h"
#include "io/loop.h"

#define HOLD_PATH_MAX 256

struct edge;
struct exchange;
struct hold;

/* What a worker says of a hold. One worker's; written by it alone. */
struct hold_counts {
	_Alignas(64) _Atomic uint64_t waiting; /* now */
	_Atomic uint64_t held, full, timed_out; /* requests that had to wait, found no room, waited in vain */
};

/* How fast those who wait go on in the end. */
struct hold_pace {
	uint32_t spread_ms; /* all of them within that */
	uint32_t per_ks; /* or no more than so many in 1,000 seconds; 0: spread_ms counts */
};

struct hold_terms {
	uint64_t until_ms; /* on the loop's clock: then it is released by itself */
	uint32_t queue; /* this worker's part of how many may wait */
	uint32_t wait_ms; /* that each may wait; 0: any time */
	struct hold_pace pace; /* when it ends by itself */
	char path[HOLD_PATH_MAX]; /* weir answers it itself: checks of whoever is in front; empty: none */
	uint16_t status; /* with that */
	struct hold_counts *counts; /* outlives the worker */
};

/* Those of one worker. Zeroed: none. */
struct holds {
	struct hold **v; /* by service slot; NULL: not held */
	uint32_t n;
};

/* The service of that slot is held on those terms; or is on others, from now on. */
void hold_begin(struct edge *e, uint32_t slot, const struct hold_terms *terms);
/* Requests pass again; those who wait go on at that pace. Nothing if it is not held. */
void hold_release(struct edge *e, uint32_t slot, const struct hold_pace *pace);
/* The worker drains: nobody waits longer than that. */
void holds_shorten(struct edge *e, uint32_t ms);
void holds_free(struct edge *e);

/* Is the request's service held? Then it waits, or was answered. */
bool hold_takes(struct exchange *x);
/* It waits no more; nothing if it did not. */
void hold_leave(struct exchange *x);
/* It has waited as long as it may. */
void hold_timed_out(struct exchange *x);

/* How many may go on after ms more at per_ks; what is left of the last one stays in *credit. */
static inline uint32_t hold_paced(uint64_t *credit, uint32_t per_ks, uint64_t ms)
{
	uint64_t one = 1000 * 1000, n;

	*credit += per_ks * ms;
	n = *credit / one;
	*credit %= one;
	return (uint32_t)(n < UINT32_MAX ? n : UINT32_MAX);
}

/* How many of n are to go on in this tick, so that all have in left_ms. */
static inline uint32_t hold_share(uint32_t n, uint64_t left_ms)
{
	if (left_ms <= LOOP_TICK_MS)
		return n;
	return (uint32_t)((n * (uint64_t)LOOP_TICK_MS + left_ms - 1) / left_ms);
}

#endif
