/* worker/install.c - a worker takes on a new configuration: what is unchanged is not touched. */
#include <stdlib.h>
#include "base/obj.h"
#include "worker/worker.h"

#define H2_UPSTREAM_WINDOW  (256u * 1024)
#define H2_UPSTREAM_STREAMS 1000 /* at once on a connection to a backend, if it allows so many */

static void *grow(void *array, uint32_t *n, uint32_t want, size_t each)
{
	if (want <= *n)
		return array;
	array = realloc(array, want * each);
	MUST(array);
	memset((char *)array + *n * each, 0, (want - *n) * each);
	*n = want;
	return array;
}

/* Each worker has its part of a limit; rounded up, so that a small limit does not become none. */
static uint32_t part_of(uint32_t limit, uint32_t workers)
{
	return limit / workers + (limit % workers > 0);
}

static void fill_settings(struct conn_settings *set, struct worker *w, const struct conf *conf,
	const struct conf_policy *policy, struct tls_client *tls)
{
	*set = (struct conn_settings){
		.protocol = policy->protocol,
		.proxy_protocol = policy->proxy_protocol,
		.tls = tls,
		.tls_lost = policy->tls.on && !tls,
		.limits = {.header_ms = conf->timeouts.response,
			.body_ms = conf->timeouts.response,
			.idle_ms = conf->timeouts.upstream_idle,
			.header_bytes = conf->limits.header_bytes,
			.header_count = conf->limits.header_count,
			.max_streams = H2_UPSTREAM_STREAMS,
			.window = H2_UPSTREAM_WINDOW},
		.connect_ms = conf->timeouts.connect,
		.max_conns = part_of(policy->breaker.connections, w->workers),
		.max_pending = part_of(policy->breaker.pending, w->workers),
		.pending_ms = policy->breaker.pending_timeout,
	};
}

/* What a member's certificate must say, and is asked for: what the policy names, or the name that the member was found by. */
static void set_server_name(
	struct conn_settings *set, const struct conf_policy *policy, const struct conf_backend *member)
{
	struct text name = text_in(set->server_name, sizeof(set->server_name) - 1);

	text_put(&name, policy->tls.server_name.n ? policy->tls.server_name : member->host);
	set->server_name[name.n] = '\0';
}

/* 0: any number. */
static uint32_t requests_of(const struct conf_backend *b, const struct conf_breaker *breaker)
{
	return b->requests ? b->requests : breaker->backend_requests;
}

/* What the snapshot says of the backend; the rest of the pool's members say the same. */
static void configure(
	struct worker *w, struct conn_pool *p, const struct snapshot *s, const struct pool *pool, uint32_t i)
{
	const struct conf_policy *policy = pool->conf->policy;
	struct conn_settings set;

	fill_settings(&set, w, s->conf, policy, edge_traffic(&w->edge, pool)->tls);
	set.max_requests = part_of(requests_of(&pool->members[i], &policy->breaker), w->workers);
	set_server_name(&set, policy, &pool->members[i]);
	p->serial = s->serial;
	conn_pool_configure(p, &set);
}

static void visit_pools(struct worker *w, const struct worker_install *order)
{
	const struct snapshot *s = order->snapshot;

	for (uint32_t p = 0; p < s->pool_n; p++) {
		const struct pool *pool = s->pools[p];
		struct pool_traffic *traffic = edge_traffic(&w->edge, pool);
		const struct conf_breaker *breaker = &pool->conf->policy->breaker;

		w->edge.now[pool->slot->number] = order->now[p];
		traffic->requests_max = breaker->requests;
		traffic->requests_free =
			w->workers == 1 ? breaker->requests : breaker->requests / w->workers / 2;
		traffic->pending_max = part_of(breaker->pending, w->workers);
		traffic->tls = tls_clients_get(&w->tls_clients, pool->conf->policy);
		adaptive_configure(&traffic->adaptive, part_of(breaker->adaptive.min, w->workers),
			breaker->adaptive.on ? part_of(breaker->adaptive.max, w->workers) : 0);
		for (uint32_t i = 0; i < pool->n; i++) {
			struct conn_pool *known = w->edge.backends[pool->backends[i]->slot->number];

			if (known)
				configure(w, known, s, pool, i);
		}
	}
}

static bool drains(const struct worker *w, const struct pool *pool, const struct backend *b)
{
	return edge_now(&w->edge, pool)->state >= POOL_DRAINING || backend_draining(b);
}

/* Of ten thousand tenants most have no request in hours: nothing is made for their backends. */
struct conn_pool *install_reach(struct edge *e, const struct backend *b)
{
	struct worker *w = CONTAINER(e, struct worker, edge);
	const struct snapshot *s = e->use->snapshot;
	struct membership at = snapshot_member(s, b->slot->number);
	struct conn_pool *p;

	if (!at.pool)
		return NULL;
	p = conn_pool_new(&w->loop, b);
	p->on_tls_failed = failure_of_backend;
	p->user = w;
	p->worker = w->index;
	configure(w, p, s, at.pool, at.index);
	conn_pool_set_draining(p, drains(w, at.pool, b));
	e->backends[b->slot->number] = p;
	return p;
}

/* At the end nobody is asked any more. */
static struct conn_pool *reach_nobody(struct edge *e, const struct backend *b)
{
	(void)e;
	(void)b;
	return NULL;
}

void install_drains(struct worker *w)
{
	const struct snapshot *s = w->edge.use->snapshot;

	for (uint32_t i = 0; i < w->edge.backend_n; i++) {
		struct membership at = snapshot_member(s, i);

		if (at.pool && w->edge.backends[i])
			conn_pool_set_draining(
				w->edge.backends[i], drains(w, at.pool, at.pool->backends[at.index]));
	}
}

static void retire_others(struct worker *w, uint64_t serial)
{
	for (uint32_t i = 0; i < w->edge.backend_n; i++)
		if (w->edge.backends[i] && w->edge.backends[i]->serial != serial)
			conn_pool_retire(&w->edge.backends[i]);
}

static void set_log(struct worker *w, const struct conf *conf)
{
	w->edge.access_format = conf->log.access_format;
	w->edge.access = conf->log.access_format == CONF_LOG_OFF ? NULL : &w->access;
}

static void use_snapshot(struct worker *w, struct snapshot *s, uint32_t workers)
{
	struct snapshot_use *old = w->edge.use, *use = calloc(1, sizeof(*use));

	MUST(use);
	use->snapshot = s;
	use->current = true;
	use->modules = module_locals_new(s->modules, old ? old->modules : NULL, &w->loop, w->index, workers);
	w->edge.use = use;
	if (!old)
		return;
	old->current = false;
	if (old->exchanges == 0)
		w->edge.let_go(&w->edge, old);
}

void install_deliver(struct mail *m, void *receiver)
{
	struct worker_install *order = CONTAINER(m, struct worker_install, mail);
	struct worker *w = receiver;
	struct snapshot *s = order->snapshot;
	const struct conf *conf = s->conf;

	OBJ_CHECK(w, WORKER_MAGIC);
	w->edge.backends =
		grow(w->edge.backends, &w->edge.backend_n, order->backend_slots, sizeof(*w->edge.backends));
	w->edge.balance =
		grow(w->edge.balance, &w->edge.balance_n, order->pool_slots, sizeof(*w->edge.balance));
	w->edge.traffic =
		grow(w->edge.traffic, &w->edge.traffic_n, order->pool_slots, sizeof(*w->edge.traffic));
	w->edge.now = grow(w->edge.now, &w->edge.now_n, order->pool_slots, sizeof(*w->edge.now));
	w->edge.split = grow(w->edge.split, &w->edge.split_n, order->service_slots, sizeof(*w->edge.split));
	w->workers = order->workers;
	w->conn_max = conf->limits.connections / order->workers;
	w->edge.memory_max = conf->limits.memory / order->workers;
	w->edge.lag_max_us = (uint32_t)MIN(conf->limits.loop_lag * 1000ull, UINT32_MAX);
	cookie_keys_unref(w->edge.cookie_keys);
	w->edge.cookie_keys = order->cookie_keys;
	set_log(w, conf);
	visit_pools(w, order);
	retire_others(
		w, s->serial); /* before the snapshot that names them is let go of: they may go with it */
	use_snapshot(w, s, order->workers);
	install_drains(w);
	attempts_leave_retired(&w->edge);
	exchanges_follow(&w->edge);
	queues_look_again(&w->edge);
	if (!w->draining && !order->members_only) {
		for (uint32_t i = 0; i < order->listener_n; i++)
			gate_open(w, &order->listeners[i], conf, order->keys, s->generation, order->workers);
		gates_sweep(w, s->generation, &conf->timeouts);
	}
	for (uint32_t i = 0; i < order->listener_n; i++)
		cert_store_unref(order->listeners[i].store);
	ticket_keys_unref(order->keys);
	free(order->listeners);
	free(order->now);
	free(order);
	worker_tell(w, w->owner.on_installed, NULL, s->serial, 0);
}

void install_free(struct worker *w)
{
	struct edge *e = &w->edge;

	e->reach = reach_nobody;
	mirrors_end_all(e);
	for (uint32_t i = 0; i < e->backend_n; i++) {
		if (!e->backends[i])
			continue;
		conn_pool_close(e->backends[i]);
		conn_pool_retire(&e->backends[i]);
	}
	loop_run_tasks(&w->loop);
	for (uint32_t i = 0; i < e->balance_n; i++)
		balance_state_free(&e->balance[i]);
	for (uint32_t i = 0; i < e->split_n; i++)
		split_state_free(&e->split[i]);
	gates_close_conns(w, REASON_SHUTDOWN);
	loop_run_tasks(&w->loop);
	for (uint32_t i = 0; i < e->traffic_n; i++)
		queue_free(&e->traffic[i]);
	e->backend_n = e->now_n = 0;
	holds_free(e);
	free(e->backends);
	free(e->balance);
	free(e->traffic);
	free(e->now);
	cookie_keys_unref(e->cookie_keys);
	free(e->split);
	if (e->use)
		module_locals_free(&e->use->modules);
	free(e->use);
	tls_clients_free(&w->tls_clients);
}
