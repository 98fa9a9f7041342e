/* route/split.h - which pool of a service a request goes to: the split rule, the same on every node and worker.
 *
 *   1. an override header or cookie that names a pool, from those who may override
 *   2. a stable user id (the weir_id cookie, a header, the client's address), hashed with the service's name to a point in
 *      [0,1); the pools lie end to end in declared order, so raising one weight only moves users towards it
 *   3. without an id, a smooth weighted turn
 * Weights, states and capacities are those of the moment (struct pool_now). Which states a pool may be in: for an override open
 * or pinned, whatever its weight; for the others open. A pool that cannot take requests gives its share to the others, unless `spill: false`. */
#ifndef WEIR_ROUTE_SPLIT_H
#define WEIR_ROUTE_SPLIT_H

#include "http/head.h"
#include "io/loop.h"
#include "route/service.h"

enum split_why { SPLIT_NONE, SPLIT_OVERRIDE, SPLIT_MODULE, SPLIT_STABLE, SPLIT_TURN };

/* What a pool has earned in turns, and at which share. */
struct split_turn {
	int64_t credit;
	uint64_t share;
};

/* A worker's memory of a service's turns; zeroed is fresh. */
struct split_state {
	struct split_turn *turns; /* one per pool */
	uint32_t n;
};

struct split_request {
	const struct service *service;
	const struct pool_now *now; /* by pool slot */
	const struct head *head;
	const struct addr *client;
	/* May this pool take a request: has it a backend that is usable? */
	bool (*usable)(const void *ctx, const struct pool *pool);
	const void *ctx;
};

struct split_result {
	const struct pool *pool; /* NULL: nobody can take it */
	enum split_why why;
	struct str id; /* the stable id, when it was one; borrowed from the head */
	bool issue_id; /* sticky: cookie, and the client brought none: give it one (split_new_id) */
	double point; /* of the id */
};

#define SPLIT_COOKIE   "weir_id"
#define SPLIT_ID_CHARS 32

struct split_result split_pick(struct split_state *state, struct loop *l, const struct split_request *rq);
/* The same for an id that was just issued. */
struct split_result split_pick_id(const struct split_request *rq, struct str id);
/* A fresh id: lower-case hex, not a secret. */
void split_new_id(struct loop *l, char id[SPLIT_ID_CHARS]);
void split_state_free(struct split_state *state);
const char *split_why_text(enum split_why why);
/* A cookie's value, or an empty string (RFC 6265 4.2.1). */
struct str cookie_value(const struct head *head, struct str name);

#endif
