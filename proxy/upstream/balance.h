/* upstream/balance.h - which backend of a pool takes the next request.
 *
 * One file per way of choosing. State belongs to one worker; a worker begins at a place of its own, so that many workers together
 * are as even as one. Weights are backend_weight_now(). */
#ifndef WEIR_UPSTREAM_BALANCE_H
#define WEIR_UPSTREAM_BALANCE_H

#include "io/loop.h"
#include "upstream/latency.h"
#include "upstream/slow_start.h"
#include "upstream/zone.h"

/* What a worker knows of the backends while it chooses. */
struct candidates {
	const struct pool *pool;
	struct loop *loop; /* for random numbers */
	/* May this backend be used now (usable, not tried before in this exchange)? */
	bool (*usable)(const void *ctx, const struct backend *b);
	/* Requests in flight to it from this worker. */
	uint32_t (*load)(const void *ctx, const struct backend *b);
	/* How fast it answers this worker. Asked by ewma alone. */
	const struct latency *(*latency)(const void *ctx, const struct backend *b);
	const void *ctx;
	uint64_t key; /* hash: of what the policy says requests are alike by */
	bool has_key; /* false: the request has none, and goes to the least busy */
	bool panic; /* usable() looks at nobody's health */
	uint8_t priority; /* of the group that is chosen from; balance_pick() sets it */
	uint8_t side; /* enum zone_side: likewise */
};

static inline bool is_candidate(const struct candidates *c, uint32_t i)
{
	return (!pool_has_groups(c->pool) || c->pool->members[i].priority == c->priority) &&
	       (c->side == ZONE_ANY || c->pool->in_zone[i] == (c->side == ZONE_OWN)) &&
	       c->usable(c->ctx, c->pool->backends[i]);
}

/* A worker's memory of a pool; zeroed is fresh. */
struct balance_state {
	int64_t *credit; /* round robin: one per backend */
	uint64_t
		*taken; /* least request: how far each has come with its share, in turns over weight; wraps */
	uint32_t taken_n;
	uint32_t *table; /* hash: index into pool->backends by slot */
	uint32_t table_size;
	uint64_t fingerprint; /* of the pool that it was made for */
	uint32_t n; /* backends of that pool */
};

#define BALANCE_NOBODY UINT32_MAX

/* What a backend may have in flight under hash: this percentage of the mean, by weight; */
#define HASH_LOAD_BOUND 125
/* but so many from each worker always: where hardly anything is in flight, the mean would tear a user's second request from
 * the first. */
#define HASH_LOAD_FREE 8

struct balancer {
	const char *name; /* as in the configuration */
	/* Index into pool->backends, or BALANCE_NOBODY. */
	uint32_t (*pick)(struct balance_state *state, const struct candidates *c);
};

/* By enum conf_balance; never NULL. */
const struct balancer *balancer_of(uint8_t balance);
/* By the pool's own policy, among the usable backends of the lowest priority, of weir's own zone first. Index into pool->backends, or BALANCE_NOBODY. */
uint32_t balance_pick(struct balance_state *state, struct candidates *c);
void balance_state_free(struct balance_state *state);

extern const struct balancer balance_round_robin;
extern const struct balancer balance_least_request;
extern const struct balancer balance_random;
extern const struct balancer balance_hash;
extern const struct balancer balance_ewma;

/* At random by weight, but not that one (BALANCE_NOBODY: anyone). */
uint32_t balance_random_but(const struct candidates *c, uint32_t except);

#endif
