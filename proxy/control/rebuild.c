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

void control_rebuild_modules(struct control *c)
{
	c->rebuild.files = true;
	control_rebuild(c, NULL, NULL);
}

/* The addresses of those in p whom the snapshot of that serial is the first to name (added), or does not name. */
static json_t *differing(const struct pool *p, uint64_t serial, bool added)
{
	json_t *all = json_array();

	for (uint32_t i = 0; i < p->n; i++)
		if (added ? p->backends[i]->named_since == serial : p->backends[i]->named_last != serial)
			json_array_append_new(all, json_string(p->backends[i]->address.p));
	return all;
}

/* Both are of the same configuration: their pools lie beside each other. */
static void tell_changes(struct control *c, const struct snapshot *before, const struct snapshot *after)
{
	for (uint32_t p = 0; p < after->pool_n; p++) {
		const struct pool *from = before->pools[p], *to = after->pools[p];

		if (from->fingerprint != to->fingerprint)
			event_emit(&c->io, CONF_LEVEL_INFO, "members",
				json_pack("{s:s, s:o, s:o, s:i}", "pool", to->slot->key.p, "added",
					differing(to, after->serial, true), "removed",
					differing(from, after->serial, false), "pool_size", (int)to->n));
	}
}

void rebuild_begin(struct control *c)
{
	const struct snapshot *before = c->snapshot;
	struct module_set *modules =
		c->rebuild.files ? module_watch_build(c) : module_set_ref(before->modules);
	bool outdated = modules != before->modules || snapshot_is_outdated(before, &c->roster);
	struct conf *conf;

	c->rebuild.files = false;
	if (outdated) {
		conf = conf_ref(before->conf);
		install_begin(c, &conf, modules, before->generation);
		/* Workers have only just been told: they cannot have let go of it. */
		tell_changes(c, before, c->snapshot);
	}
	module_set_unref(modules);
	if (outdated)
		return;
	rebuild_answered_by(&c->rebuild, c->snapshot->serial);
	rebuild_installed(&c->rebuild, c->snapshot->serial);
}

void rebuild_answered_by(struct rebuild *r, uint64_t serial)
{
	r->wanted = r->files; /* that snapshot may have been built of the old ones */
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
