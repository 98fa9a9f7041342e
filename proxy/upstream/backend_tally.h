/* upstream/backend_tally.h - what workers count at each backend: requests, answers, failures, connections. Belongs to the backend's
 * identity, so that a reload loses nothing. Each worker counts in a record of its own, made when it first has something to
 * count; control sums them up. */
#ifndef WEIR_UPSTREAM_BACKEND_TALLY_H
#define WEIR_UPSTREAM_BACKEND_TALLY_H

#include "base/counter.h"
#include "base/reason.h"

#define BACKEND_CLASSES 5 /* 1xx to 5xx */

/* One worker's. Written by that worker alone. */
struct backend_tally {
	_Alignas(64) _Atomic uint64_t requests; /* streams that were opened */
	_Atomic uint64_t responses[BACKEND_CLASSES]; /* final heads, by class */
	_Atomic uint64_t connects, connect_failures;
	_Atomic uint64_t in_flight, connections; /* now */
	struct counter_block *_Atomic failures[COUNTER_BLOCKS(REASONS)];
};

struct backend_tallies {
	uint32_t n;
	struct backend_tally *_Atomic v[]; /* by worker; NULL: nothing to count yet */
};

/* All workers' together. */
struct backend_sums {
	uint64_t requests, responses[BACKEND_CLASSES], connects, connect_failures, in_flight, connections;
	uint64_t failures[REASONS];
};

struct backend_tallies *backend_tallies_new(uint32_t worker_n);
void backend_tallies_free(struct backend_tallies **tp);
/* That worker's record. By that worker. */
struct backend_tally *backend_tally(struct backend_tallies *t, uint32_t worker);
/* From any thread. False, and all zero, when no worker has counted anything. */
bool backend_tallies_sum(const struct backend_tallies *t, struct backend_sums *sums);

#endif
