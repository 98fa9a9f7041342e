/* exchange/tally.h - what workers count of the requests that they have served: by pool, and of the worker itself.
 *
 * The counts of a pool belong to its name, "acme/shop/blue": they hang on its slot, outlive configurations with it and go when nothing
 * names it any more, so that none is ever told under another's name. Each worker counts in a record of its own, made with the first
 * request; a pool that gets none costs a pointer a worker. Control reads while workers count: sums may be a request apart. */
#ifndef WEIR_EXCHANGE_TALLY_H
#define WEIR_EXCHANGE_TALLY_H

#include "base/counter.h"
#include "base/histogram.h"
#include "base/reason.h"
#include "base/slots.h"

#define TALLY_CODES 1000 /* HTTP statuses; 0: the client got none */

/* One worker's count of one pool's requests, or of one service's that found no pool. Written by that worker alone. */
struct tally {
	struct counter_block *_Atomic codes[COUNTER_BLOCKS(TALLY_CODES)]; /* requests that have ended */
	struct counter_block *_Atomic duration[COUNTER_BLOCKS(HISTOGRAM_BUCKETS)]; /* without tunnels */
	struct counter_block *_Atomic first_byte[COUNTER_BLOCKS(HISTOGRAM_BUCKETS)];
	_Atomic uint64_t duration_us, first_byte_us; /* sums of what the histograms hold */
	_Atomic uint64_t failures; /* requests that failed, and not by the client's doing */
	_Atomic uint64_t bytes_in, bytes_out; /* bodies */
	_Atomic uint64_t retries, retries_denied; /* denied: by the budget */
	_Atomic uint64_t in_flight; /* now */
};

/* All workers' of one name: slot->kept. */
struct tallies {
	uint32_t n;
	struct tally *_Atomic v[]; /* by worker; NULL: nothing to count yet */
};

/* What all workers have counted of one name. The difference of two is what happened between them: a window. */
struct tally_sums {
	uint64_t requests, failures;
	uint64_t codes[TALLY_CODES];
	uint64_t duration[HISTOGRAM_BUCKETS], first_byte[HISTOGRAM_BUCKETS];
	uint64_t duration_us, first_byte_us;
	uint64_t bytes_in, bytes_out, retries, retries_denied;
	uint64_t in_flight; /* not a count: of a difference it is the later one's */
};

/* What a worker counts of itself. Written by that worker alone. */
struct worker_tally {
	struct tally unrouted; /* requests that came to no service */
	_Atomic uint64_t connections; /* open now */
	_Atomic uint64_t exchanges, tunnels,
		streams; /* requests, and of them WebSockets, event streams and gRPC calls, now */
	/* Copies of requests: answered, failed, and those that were not made or not completed. */
	_Atomic uint64_t headers_dropped; /* of requests: names with an underscore */
	_Atomic uint64_t mirrors_answered, mirrors_failed, mirrors_dropped;
	_Atomic uint64_t accepted, refused;
	_Atomic uint64_t closed[REASONS]; /* connections that ended, by reason */
	_Atomic uint64_t handshakes[2]; /* of TLS: 1.2, 1.3 */
	_Atomic uint64_t protocols[4]; /* requests, by enum http_version */
	_Atomic uint64_t errors[REASONS]; /* requests that failed */
	_Atomic uint64_t lag_us, memory; /* when control last asked */
};

/* Gives the slot its tallies, if it has none. By control, before workers know the slot. */
void tallies_attach(struct slots *slots, struct slot *slot, uint32_t worker_n);
/* NULL: the slot has none. By that worker. */
struct tally *tally_of(const struct slot *slot, uint32_t worker);
/* From any thread that the slot is safe from. False, and all zero, when no worker has counted anything. */
bool tallies_sum(const struct slot *slot, struct tally_sums *sums);
/* Requests of all workers together. */
uint64_t tallies_in_flight(const struct slot *slot);
/* Adds one worker's count to sums. From any thread. */
void tally_sum(const struct tally *t, struct tally_sums *sums);
/* Frees what hangs on it; t itself is the caller's. */
void tally_free(struct tally *t);

/* What happened after `before` was taken. The same name's; a name that was gone meanwhile began anew, and so does the window. */
void tally_sums_since(
	const struct tally_sums *now, const struct tally_sums *before, struct tally_sums *window);
/* The share of requests that failed: 0 to 1; 0 if there were none. */
double tally_sums_error_rate(const struct tally_sums *s);

#endif
