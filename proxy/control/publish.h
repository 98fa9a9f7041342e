/* control/publish.h - what pools are worth (struct pool_now), told to all workers at once, and the moment when all of them follow.
 *
 * A change that is made known before the last one was acknowledged does not wait for it: each worker takes them in order. */
#ifndef WEIR_CONTROL_PUBLISH_H
#define WEIR_CONTROL_PUBLISH_H

#include "base/list.h"
#include "worker/worker.h"

struct publisher {
	struct worker *workers;
	uint32_t worker_n;
	uint64_t serial; /* of the last one */
	struct list pending; /* struct publication, in order */
};

/* Of a pool of the current snapshot. */
struct pool_change {
	const struct pool *pool;
	struct pool_now now;
};

void publish_init(struct publisher *p, struct worker *workers, uint32_t worker_n);
/* Sends n changes, which take effect together in each worker. done: later, on the control thread, when all workers follow; NULL:
 * nobody asks. What every worker is given with its next snapshot is control_pool_now(): make sure that it says the same. */
void publish_pools(
	struct publisher *p, const struct pool_change *v, uint32_t n, void (*done)(void *ctx), void *ctx);
/* A worker follows: its on_pools_set. */
void publish_followed(struct publisher *p, uint64_t serial);
/* When the workers have ended: what is pending is dropped, and so is what still comes; done() is not called. */
void publish_free(struct publisher *p);

#endif
