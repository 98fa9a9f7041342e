/* control/install.c - a snapshot is built, given to all workers, and served once all of them have answered. One at a time: what is
 * asked for meanwhile comes after it, all at once. */
#include "control/install.h"

#include <stdlib.h>
#include "base/obj.h"
#include "control/control.h"
#include "control/handover.h"

static void order_install(struct control *c, struct worker *w, bool members_only)
{
	const struct conf *conf = c->snapshot->conf;
	struct worker_install *order = calloc(1, sizeof(*order));

	MUST(order);
	order->snapshot = c->snapshot;
	order->members_only = members_only;
	order->now = calloc(c->snapshot->pool_n + 1, sizeof(*order->now));
	MUST(order->now);
	for (uint32_t p = 0; p < c->snapshot->pool_n; p++)
		order->now[p] = control_pool_now(c, c->snapshot->pools[p]);
	order->backend_slots = c->backends.slots.n;
	order->pool_slots = c->pool_slots.n;
	order->service_slots = c->service_slots.n;
	order->workers = c->worker_n;
	order->listener_n = members_only ? 0 : conf->listener_n;
	order->listeners = calloc(order->listener_n + 1, sizeof(*order->listeners));
	MUST(order->listeners);
	for (uint32_t i = 0; i < order->listener_n; i++) {
		order->listeners[i].conf = &conf->listeners[i];
		order->listeners[i].socket =
			listener_sockets_find(&c->sockets, conf->listeners[i].socket_key);
		order->listeners[i].shut =
			listener_drain_document(&c->listener_drains, conf->listeners[i].name);
		order->listeners[i].store = c->stores.v[i] ? cert_store_ref(c->stores.v[i]) : NULL;
	}
	order->keys = ticket_keys_ref(c->keys);
	order->cookie_keys = cookie_keys_ref(c->cookie_keys);
	worker_install(w, order);
}

/* Weir's own secret is always believed: cookies of before the configuration named one are still good. */
static void set_cookie_keys(struct control *c)
{
	const struct conf_strs *named = &c->snapshot->conf->cookie_secrets;
	struct str secrets[COOKIE_SECRETS_MAX + 1];

	for (uint32_t i = 0; i < named->n; i++)
		secrets[i] = named->v[i];
	secrets[named->n] = str_of(c->own_secret);
	cookie_keys_unref(c->cookie_keys);
	c->cookie_keys = cookie_keys_new(secrets, named->n + 1);
}

void install_begin(struct control *c, struct conf **conf, struct module_set *modules, uint64_t generation)
{
	struct snapshot_parts parts = {generation, ++c->serial, &c->roster, &c->backends, &c->pool_slots,
		&c->service_slots, modules, &c->tenant_slots};
	bool members_only = c->snapshot && c->snapshot->generation == generation;

	discovery_configure(&c->discovery, &(*conf)->resolver);
	discovery_begin(&c->discovery);
	c->snapshot = snapshot_build(conf, &parts);
	discovery_sweep(&c->discovery);
	c->snapshot->workers_left = c->worker_n;
	c->snapshots_alive++;
	rebuild_answered_by(&c->rebuild, c->serial);
	if (!members_only)
		set_cookie_keys(c);
	health_follow(&c->health, c->snapshot);
	outlier_follow(&c->outliers, c->snapshot);
	handover_load(c, c->orders.state);
	json_decref(c->orders.state);
	c->orders.state = NULL;
	capacity_follow(&c->capacity, c->snapshot);
	drains_follow(&c->drains, c->snapshot);
	listener_drains_follow(&c->listener_drains, c->snapshot->conf);
	holds_follow(&c->holds, c->snapshot);
	dependencies_follow(&c->dependencies, modules);
	c->workers_waited_for = c->worker_n;
	for (uint32_t i = 0; i < c->worker_n; i++)
		order_install(c, &c->workers[i], members_only);
	control_set_state(c, c->state == CONTROL_STARTING ? CONTROL_STARTING : CONTROL_INSTALLING);
}

void install_answered(struct control *c, uint64_t serial)
{
	/* Told to stop meanwhile, workers are waited for to stop: this must not count as one that has. */
	if ((c->state != CONTROL_STARTING && c->state != CONTROL_INSTALLING) ||
		serial != c->snapshot->serial || --c->workers_waited_for > 0)
		return;
	if (c->generation_served != c->snapshot->generation)
		reload_installed(c);
	c->generation_served = c->snapshot->generation;
	control_set_state(c, CONTROL_SERVING);
	rebuild_installed(&c->rebuild, serial);
	known_changed(&c->known);
	install_next(c);
}

void install_next(struct control *c)
{
	/* A reload asks who the members are as well. */
	orders_settled(c);
	if (c->state == CONTROL_SERVING && c->reload_again && !c->frozen) {
		c->reload_again = false;
		control_reload(c);
	}
	if (c->state == CONTROL_SERVING && c->rebuild.wanted)
		rebuild_begin(c);
}
