#include "control/rebuild.h"

#include <stdlib.h>
#include "base/obj.h"
#include "control/control.h"
#include "control/install.h"

#define SERIAL_NONE UINT64_MAX /* no snapshot has been built since */

struct waiter {
	struct list link;
	uint64_t serial; /* of the snapshot that it waits for */
	void (*done)(void *ctx);
	void *ctx;
};

/* done() may ask for another rebuild: its waiter comes to the end of the list, and waits for another serial. */
static void tell_waiters(struct rebuild *r, uint64_t serial)
{
	struct list *link;

	while ((link = list_first(&r->waiters)) && CONTAINER(link, struct waiter, link)->serial <= serial) {
		struct waiter *w = CONTAINER(link, struct waiter, link);

		list_remove(&w->link);
		if (w->done)
			w->done(w->ctx);
		free(w);
	}
}

static bool is_stopping(const struct control *c)
{
	return c->state == CONTROL_DRAINING || c->state == CONTROL_STOPPING;
}

static void on_soon(struct task *t)
{
	struct rebuild *r = CONTAINER(t, struct rebuild, soon);

	if (is_stopping(r->control))
		rebuild_stop(r);
	else
		install_next(r->control);
}

void rebuild_init(struct rebuild *r, struct control *c)
{
	*r = (struct rebuild){.control = c, .soon = {.run = on_soon}};
	list_init(&r->waiters);
}

void control_rebuild(struct control *c, void (*done)(void *ctx), void *ctx)
{
	struct waiter *w;

	c->rebuild.wanted = true;
	loop_defer(&c->loop, &c->rebuild.soon, LOOP_FLUSH);
	if (!done)
		return;
	w = calloc(1, sizeof(*w));
	MUST(w);
	w->serial = SERIAL_NONE;
	w->done = done;
	w->ctx = ctx;
	list_push_back(&c->rebuild.waiters, &w->link);
}

void rebuild_begin(struct control *c)
{
	struct conf *conf;

	if (snapshot_is_outdated(c->snapshot, &c->roster)) {
		conf = conf_ref(c->snapshot->conf);
		install_begin(c, &conf, c->snapshot->modules, c->snapshot->generation);
		return;
	}
	rebuild_answered_by(&c->rebuild, c->snapshot->serial);
	rebuild_installed(&c->rebuild, c->snapshot->serial);
}

void rebuild_answered_by(struct rebuild *r, uint64_t serial)
{
	r->wanted = false;
	list_each (link, &r->waiters) {
		struct waiter *w = CONTAINER(link, struct waiter, link);

		if (w->serial == SERIAL_NONE)
			w->serial = serial;
	}
}

void rebuild_installed(struct rebuild *r, uint64_t serial)
{
	tell_waiters(r, serial);
}

void rebuild_stop(struct rebuild *r)
{
	r->wanted = false;
	tell_waiters(r, SERIAL_NONE);
	task_cancel(&r->soon);
}
