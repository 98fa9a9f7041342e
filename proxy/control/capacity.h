/* control/capacity.h - how much of its weight a pool can carry: a green with one of ten backends healthy does not take half of the
 * traffic.
 *
 * The part is 1.4 times the healthy part of its backends' weight, at most all of it; with priorities, the sum over the groups. The factor is
 * Envoy's overprovisioning: one of four may be missing without anybody being moved. Backends that are down, ejected or draining do not count;
 * one that is new in a pool that serves already is left out until it has been checked, so that growing a pool moves nobody.
 *
 * Zones do not count: what a zone cannot take the others of the pool do, and this weir's own may be asked for what those of other weirs
 * have lost. All of them together are the pool.
 *
 * Nothing but health, ejection, draining and the configuration changes it, so users move only then. Pools that are alone in their
 * service, that do not spill, or whose service says `capacity: false` keep all of their weight. */
#ifndef WEIR_CONTROL_CAPACITY_H
#define WEIR_CONTROL_CAPACITY_H

#include "exchange/snapshot.h"
#include "io/loop.h"

struct io_thread;

/* Of one pool, by its slot. */
struct pool_capacity {
	const struct pool *pool; /* the current snapshot's; NULL: it names none here */
	uint16_t capacity; /* 0..POOL_WHOLE, as in struct pool_now */
	bool counts; /* it is capped at all */
	bool told; /* that it is capped */
	bool changed; /* and the owner has not been told yet */
};

struct capacity_engine {
	struct loop *loop;
	struct io_thread *io;
	struct pool_capacity *v;
	uint32_t n;
	struct task publish;
	/* The capacity of these pools is another one: once a tick, never from within a call of this engine. */
	void (*on_changed)(void *ctx, const struct pool *const *pools, uint32_t n);
	void *ctx;
};

void capacity_init(struct capacity_engine *e, struct loop *l, struct io_thread *io,
	void (*on_changed)(void *ctx, const struct pool *const *pools, uint32_t n), void *ctx);
/* Looks at all pools of this snapshot. After health and outliers follow it, before it goes to the workers. */
void capacity_follow(struct capacity_engine *e, const struct snapshot *s);
/* A backend of this pool has come up, gone down, was ejected, returned, or drains. Nothing if e is NULL. */
void capacity_look(struct capacity_engine *e, const struct pool *pool);
/* 0..POOL_WHOLE; all for a pool that is not known. */
uint16_t capacity_of(const struct capacity_engine *e, const struct pool *pool);
void capacity_free(struct capacity_engine *e);

/* -- the decision -- */
/* What the pool's backends can carry, as they are now. */
uint16_t capacity_now(const struct pool *pool);

#endif
