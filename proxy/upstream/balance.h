/* upstream/balance.h - which backend of a pool takes the next request.
 *
 * One file per way of choosing. State belongs to one worker; a worker begins at a place of its own, so that many workers together
 * are as even as one. Weights are the backends' configured ones. */
#ifndef WEIR_UPSTREAM_BALANCE_H
#define WEIR_UPSTREAM_BALANCE_H

#include "io/loop.h"
#include "upstream/pool.h"

/* What a worker knows of the backends while it chooses. */
struct candidates {
	const struct pool *pool;
	struct loop *loop; /* for random numbers */
	/* May this backend be used now (usable, not tried before in this exchange)? */
	bool (*usable)(const void *ctx, const struct backend *b);
	/* Requests in flight to it from this worker. */
	uint32_t (*load)(const void *ctx, const struct backend *b);
	const void *ctx;
};

/* A worker's memory of a pool; zeroed is fresh. */
struct balance_state {
	int64_t *credit; /* round robin: one per backend */
	uint32_t n;
};

#define BALANCE_NOBODY UINT32_MAX

struct balancer {
	const char *name; /* as in the configuration */
	/* Index into pool->backends, or BALANCE_NOBODY. */
	uint32_t (*pick)(struct balance_state *state, const struct candidates *c);
};

/* By enum conf_balance; never NULL. */
const struct balancer *balancer_of(uint8_t balance);
void balance_state_free(struct balance_state *state);

extern const struct balancer balance_round_robin;
extern const struct balancer balance_least_request;
extern const struct balancer balance_random;

#endif
