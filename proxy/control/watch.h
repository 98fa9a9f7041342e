/* control/watch.h - notices that the configuration's files have changed (`weir run --watch`), and asks for a reload when they have been
 * quiet for a moment, because an editor or a checkout writes more than once.
 *
 * Directories are watched, not files: most programs replace a file instead of writing into it, and a mounted Kubernetes ConfigMap
 * changes by the rename of its "..data". */
#ifndef WEIR_CONTROL_WATCH_H
#define WEIR_CONTROL_WATCH_H

#include "config/conf.h"
#include "io/loop.h"

#define WATCH_QUIET_MS 300

struct watch {
	struct loop *loop;
	int fd; /* inotify; -1: not watching */
	struct event *event;
	struct deadline quiet;
	const struct conf *conf; /* whose files are meant: the current snapshot's */
	void (*changed)(void *ctx);
	void *ctx;
};

/* False when the system has no inotify instance left. changed comes from the loop. */
bool watch_init(struct watch *w, struct loop *l, void (*changed)(void *ctx), void *ctx);
/* From now on these files, and what lies beside them with the same ending: an included directory may get one more. Harmless when it
 * is not watching. */
void watch_follow(struct watch *w, const struct conf *conf);
/* Zeroed is fine. */
void watch_free(struct watch *w);

/* May a change of a file of that name change what these files say? */
bool watch_concerns(const struct conf *conf, struct str name);

#endif
