/* route/split.h - which pool of a service a request goes to: the split rule, the same on every node and worker.
 *
 *   1. an override: a header, the pool's own host, or a cookie that names it, from those who may choose
 *      (then a module's choice, which the exchange knows: before all but this)
 *   2. a pin (route/pin.h): the pool that the user was given before
 *   3. a stable user id (the weir_id cookie, a header, the client's address), hashed with the service's name to a point in
 *      [0,1); the pools lie end to end in declared order, so raising one weight only moves users towards it
 *   4. without an id, a smooth weighted turn
 * Weights, states and capacities are those of the moment (struct pool_now). 1 and 2 reach a pool that is open or pinned, whatever
 * its weight; 3 and 4 one that is open. What 1 asks for in vain is left to the rest of the rule: a forgotten cookie must not be an
 * outage. A pool that cannot take requests leaves those of 2, 3 and 4 to the others, unless `spill: false`. */
#ifndef WEIR_ROUTE_SPLIT_H
#define WEIR_ROUTE_SPLIT_H

#include "http/head.h"
#include "io/loop.h"
#include "route/cookie.h"
#include "route/service.h"

enum split_why { SPLIT_NONE, SPLIT_OVERRIDE, SPLIT_MODULE, SPLIT_PIN, SPLIT_STABLE, SPLIT_TURN };

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
	const struct cookie_keys *keys; /* needed by sticky: cookie, and by pins */
	uint64_t now_s; /* since 1970; needed by pins */
	/* May this pool take a request: has it a backend that is usable? */
	bool (*usable)(const void *ctx, const struct pool *pool);
	const void *ctx;
	/* Of the pool whose turn this request has taken already, before it had to wait: it takes no other. NULL: none. */
	const struct slot *had;
};

struct split_result {
	const struct pool *pool; /* NULL: nobody can take it */
	enum split_why why;
	struct str id; /* the stable id, when it was one; borrowed from the head */
	bool chosen; /* the request may choose its pool, and did, whether or not the pool takes it */
	bool issue_id; /* sticky: cookie: give it one (split_new_id, split_place), or `id` with a new signature */
	bool issue_pin; /* give it one for `pool` */
	double point; /* of the id */
};

#define SPLIT_COOKIE       "weir_id"
#define SPLIT_ID_CHARS     32
#define SPLIT_COOKIE_AGE_S (365u * 86400)

struct split_result split_pick(struct split_state *state, struct loop *l, const struct split_request *rq);
/* Finishes the result for an id that was just made. */
void split_place(const struct split_request *rq, struct str id, struct split_result *result);
/* A fresh id: lower-case hex, not a secret. */
void split_new_id(struct loop *l, char id[SPLIT_ID_CHARS]);
void split_state_free(struct split_state *state);
/* A sentence for people, a word for programs. */
const char *split_why_text(enum split_why why);
const char *split_why_name(enum split_why why);

#endif
