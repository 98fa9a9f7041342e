/* control/discovery.h - keeps `dns:` backends resolved: asks again when the time to live is over, tells workers what changed,
 * keeps the last good addresses when a name fails. */
#ifndef WEIR_CONTROL_DISCOVERY_H
#define WEIR_CONTROL_DISCOVERY_H

#include "exchange/snapshot.h"
#include "io/resolver.h"

struct io_thread;
struct worker;

struct discovery {
	struct loop *loop;
	struct io_thread *io;
	struct worker *workers;
	uint32_t worker_n;
	bool begun; /* there was a name to resolve: the resolver is set up */
	struct resolver resolver;
	struct list watches;
};

void discovery_init(
	struct discovery *d, struct loop *l, struct io_thread *io, struct worker *workers, uint32_t worker_n);
/* Watches exactly the names of this snapshot. Names that were watched already keep what is known of them. */
void discovery_follow(struct discovery *d, const struct snapshot *s);
void discovery_free(struct discovery *d);

#endif
