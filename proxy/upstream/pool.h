/* upstream/pool.h - one version of a service: its backends and how they are used. Const, part of a snapshot; what changes without
 * a new configuration is in struct pool_now. */
#ifndef WEIR_UPSTREAM_POOL_H
#define WEIR_UPSTREAM_POOL_H

#include "base/obj.h"
#include "upstream/backend.h"

/* What is known of a pool's members beyond those that it has. */
enum pool_lookup {
	POOL_KNOWN, /* all sources have been heard, some time */
	POOL_ASKED, /* a name or a file was never heard of yet, but is being asked: requests may wait for it */
	POOL_UNKNOWN, /* a name or a file could never be resolved or read so far */
};

#define STICK_CHARS     16
#define STICK_KEY_BYTES 32

/* The value of a cookie that names a backend: upstream/stick.h. */
struct stick_token {
	char text[STICK_CHARS];
};

struct pool {
	const struct conf_pool *conf;
	struct slot *slot; /* its key is "acme/shop/blue"; where workers keep their balancing state */
	uint32_t index; /* in the service's pools */
	uint32_t n;
	struct backend **backends; /* in declared order, names replaced by what they have become */
	const struct conf_backend *
		members; /* beside them: what this snapshot says of each; the conf's own where it is what counts */
	uint64_t fingerprint; /* of the members and their order: what tables are made from */
	uint8_t lookup; /* enum pool_lookup */
	uint8_t priorities; /* bit n: some backend has priority n */
	const bool *in_zone; /* by backend: is it in weir's own zone? NULL: all are, or none */
	const struct stick_token *tokens; /* by backend; NULL without `stick` */
};

#define POOL_WHOLE 1024 /* capacities are parts of this */

/* What a pool is worth at the moment. Control decides, each worker has a copy of its own by pool slot, which changes by mail alone
 * (worker/worker.h): so all pools of one decision change together, between two requests. */
struct pool_now {
	uint32_t weight;
	uint16_t capacity; /* 0..POOL_WHOLE: the part of its weight that its healthy backends can carry */
	uint8_t state; /* enum pool_state */
};

/* As the configuration says, with all it can carry. */
static inline struct pool_now pool_now_of(const struct conf_pool *conf)
{
	return (struct pool_now){conf->weight, POOL_WHOLE, conf->state};
}

/* The effective weight: what it lies on the line with, or takes turns by. Only to be compared with others of its service. With no capacity
 * at all it keeps a sliver, so that a service whose pools are all down still knows their proportions when it panics; whether
 * anybody is there to take a request is asked apart. */
static inline uint64_t pool_share(const struct pool_now *now)
{
	return now->state == POOL_OPEN ? (uint64_t)now->weight * MAX(now->capacity, 1) : 0;
}

/* Do some backends wait until others are gone? */
static inline bool pool_has_groups(const struct pool *p)
{
	return (p->priorities & (p->priorities - 1)) != 0;
}

/* How many of its backends are in which state now; one that is ejected counts as down, one that drains not at all: that it is out says
 * nothing of the others' health. */
struct pool_census {
	uint32_t up, down, checking;
};

static inline uint32_t *pool_census_of(struct pool_census *c, enum backend_state state)
{
	return state == BACKEND_UP ? &c->up : state == BACKEND_CHECKING ? &c->checking : &c->down;
}

struct pool_census pool_census(const struct pool *p);
/* Are so few up (panic_threshold) that health is no longer a guide, and all are tried? When most of a pool fails its checks it is
 * more likely that the checks are wrong, or that the rest would drown. New backends do not count until they have been checked, and
 * while one of them may be the first to pass there is no panic. A pool with priorities panics only when nobody is up: taking over
 * from most of the others is what the later groups are for. */
bool pool_panics(const struct pool *p, struct pool_census census);

#endif
