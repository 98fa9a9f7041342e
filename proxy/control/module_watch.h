/* control/module_watch.h - the files that modules are built from (module.watches): when one changes, what was built of it is built anew
 * and served without a reload. One that is refused leaves everything as it was; both are events. */
#ifndef WEIR_CONTROL_MODULE_WATCH_H
#define WEIR_CONTROL_MODULE_WATCH_H

#include "base/map.h"

struct control;
struct module_set;

struct module_watch {
	struct control *control;
	struct map files; /* by path -> struct watched_file */
	uint64_t mark; /* of files that are named now */
};

/* Zeroed is valid, but for control. From now on the files of this configuration (set NULL: of none). */
void module_watch_follow(struct module_watch *w, const struct module_set *set);

/* A file has changed: what the modules of the current snapshot come to now, for the caller to unref, and an event on it. Without a change
 * it is the set that is served. */
struct module_set *module_watch_build(struct control *c);

#endif
