/* control/rebuild.h - the members of some pool have changed: the same configuration is served with others, without a reload.
 *
 * What is unchanged is not touched: connections, health and counters belong to identities. A rebuild that finds nobody changed costs a
 * look at every pool; many that are asked for in one tick, or while another snapshot is being installed, become one. */
#ifndef WEIR_CONTROL_REBUILD_H
#define WEIR_CONTROL_REBUILD_H

#include "io/loop.h"

struct control;

struct rebuild {
	struct control *control;
	bool wanted; /* asked for, and no snapshot has been built since */
	bool files; /* ... because files of modules have changed */
	struct list waiters; /* those who want to know when it is served, in the order in which they asked */
	struct task soon;
};

void rebuild_init(struct rebuild *r, struct control *c);
/* Who the members are has changed, or may have: asks the roster again. done (may be NULL) is called on the control thread, never from
 * within this call, once all workers serve what the roster says by then; or when weir has been told to stop, for then nobody cares. */
void control_rebuild(struct control *c, void (*done)(void *ctx), void *ctx);

/* The same because a file has changed that modules are built from. */
void control_rebuild_modules(struct control *c);

/* -- between the files of control/ -- */
/* In CONTROL_SERVING: builds and installs a snapshot, if it would differ. */
void rebuild_begin(struct control *c);
/* A snapshot of that serial has asked the roster: those who waited for that wait for it to be installed. */
void rebuild_answered_by(struct rebuild *r, uint64_t serial);
void rebuild_installed(struct rebuild *r, uint64_t serial);
/* weir has been told to stop: nothing is built any more, and nobody waits. */
void rebuild_stop(struct rebuild *r);

#endif
