#include "control/health.h"

#include <stdlib.h>
#include <sys/resource.h>
#include "base/obj.h"
#include "control/capacity.h"
#include "control/io_thread.h"
#include "control/pool_news.h"
#include "control/probe.h"
#include "upstream/slow_start.h"

#define JITTER_PERCENT 10 /* so that ten thousand checks that begin together do not stay together */
#define JITTER_STEPS   8 /* few, because the loop keeps a queue for each length of time */
#define FAST_DIVISOR   4 /* while a backend may be about to change its state it is asked so much more often */
#define FAST_MIN_MS    100

/* A connection that rests longer costs the backend more than a new one now and then; most would close it before. */
#define KEEP_INTERVAL_MS 10000

/* One address, asked in one way, for however many backends. */
struct check {
	struct list link; /* in engine->due or engine->suspects */
	struct str key;
	struct health_engine *engine;
	struct list subscribers; /* struct health */
	struct deadline next;
	struct probe *probe;
	bool suspect; /* the last probe failed */
};

static const uint8_t legal[BACKEND_STATES] = {
	[BACKEND_CHECKING] = BIT(BACKEND_UP) | BIT(BACKEND_DOWN),
	[BACKEND_UP] = BIT(BACKEND_DOWN),
	[BACKEND_DOWN] = BIT(BACKEND_UP),
};

const char *backend_state_name(enum backend_state state)
{
	static const char *const names[] = {"checking", "up", "down"};

	return names[state];
}

/* -- one backend's conclusion -- */

static void tell(struct health_engine *e, const struct health *h, enum backend_state from,
	const struct probe_outcome *outcome)
{
	char reason[REASON_NAME_MAX];
	struct str name = reason_name(outcome->why, reason);
	struct pool_census census = pool_census(h->pool);
	json_t *event = json_pack("{s:s, s:s, s:s, s:f, s:i, s:i, s:b}", "backend", h->backend->slot->key.p,
		"from", backend_state_name(from), "to", backend_state_name(backend_state(h->backend)),
		"probe_ms", outcome->duration_us / 1000.0, "pool_up", (int)census.up, "pool_size",
		(int)h->pool->n, "panic", pool_panics(h->pool, census));

	if (outcome->why)
		json_object_set_new(event, "reason", json_stringn(name.p, name.n));
	if (outcome->status)
		json_object_set_new(event, "status", json_integer(outcome->status));
	if (outcome->detail[0])
		json_object_set_new(event, "detail", json_string(outcome->detail));
	event_emit(e->io, outcome->why ? CONF_LEVEL_WARNING : CONF_LEVEL_INFO, "health", event);
}

static void on_tell_workers(struct task *t)
{
	struct health_engine *e = CONTAINER(t, struct health_engine, tell_workers);

	for (uint32_t i = 0; i < e->worker_n; i++)
		worker_health_changed(&e->workers[i]);
	if (e->changed)
		e->changed(e->ctx);
}

/* Requests may be waiting for somebody to be up, or for the news that nobody is: once a tick is soon enough for them. */
static void move_to(struct health_engine *e, struct backend *b, enum backend_state to)
{
	atomic_store_explicit(&b->state, (uint8_t)to, memory_order_release);
	loop_defer(e->loop, &e->tell_workers, LOOP_FLUSH);
}

static void set_state(
	struct health_engine *e, struct health *h, enum backend_state to, const struct probe_outcome *outcome)
{
	enum backend_state from = backend_state(h->backend);
	struct pool_census before = pool_census(h->pool);

	MUST(legal[from] & BIT(to));
	h->streak = 0;
	h->since_ms = e->loop->now_ms;
	/* Those that come up together with their pool share evenly from the start. */
	if (to == BACKEND_UP && (from == BACKEND_DOWN || h->joins))
		slow_start_begin(h->backend, e->loop->now_ms);
	move_to(e, h->backend, to);
	capacity_look(e->capacity, h->pool);
	tell(e, h, from, outcome);
	pool_news(e->io, h->pool, before);
}

static void observe(struct health_engine *e, struct health *h, const struct probe_outcome *outcome)
{
	enum backend_state state = backend_state(h->backend);
	bool passed = outcome->why == REASON_NONE,
	     against = passed ? state != BACKEND_UP : state != BACKEND_DOWN;

	h->why = (uint16_t)outcome->why;
	h->status = outcome->status;
	h->duration_us = outcome->duration_us;
	if (!against) {
		h->streak = 0;
		return;
	}
	h->streak++;
	/* The first pass of a new backend is enough: it has not disappointed anybody yet. */
	if (passed && (state == BACKEND_CHECKING || h->streak >= h->conf->rise))
		set_state(e, h, BACKEND_UP, outcome);
	else if (!passed && h->streak >= h->conf->fall)
		set_state(e, h, BACKEND_DOWN, outcome);
}

/* -- the schedule -- */

static void run(struct check *c);

/* A rack that has gone dark makes every one of its probes wait for its timeout. Who failed last time therefore has only a part of
 * the probes to share, so that the others are still asked when it is their turn. */
static struct check *next_due(struct health_engine *e)
{
	struct list *link = NULL;

	if (e->probing < HEALTH_PROBES_MAX)
		link = list_pop_front(&e->due);
	if (!link && e->suspected < HEALTH_SUSPECTS_MAX)
		link = list_pop_front(&e->suspects);
	return link ? CONTAINER(link, struct check, link) : NULL;
}

static void begin_next(struct health_engine *e)
{
	struct check *c;

	while ((c = next_due(e)))
		run(c);
}

/* It is its turn, as soon as a probe is free. */
static void queue(struct check *c)
{
	deadline_disarm(c->engine->loop, &c->next);
	if (!probe_is_asking(c->probe) && !list_linked(&c->link))
		list_push_back(c->suspect ? &c->engine->suspects : &c->engine->due, &c->link);
}

static uint32_t interval_wanted(const struct health *h)
{
	uint32_t wanted = h->conf->interval;

	if (h->streak > 0 || backend_state(h->backend) == BACKEND_CHECKING)
		wanted = MAX(wanted / FAST_DIVISOR, MIN(wanted, FAST_MIN_MS));
	return wanted;
}

/* The shortest interval that a subscriber wants; shorter while one of them may be changing. */
static uint32_t interval_of(const struct check *c)
{
	uint32_t interval = UINT32_MAX;

	list_each (link, &c->subscribers)
		interval = MIN(interval, interval_wanted(CONTAINER(link, struct health, link)));
	return interval;
}

static uint32_t spread_of(uint32_t interval)
{
	return interval / 100 * JITTER_PERCENT;
}

static void schedule(struct check *c, uint32_t interval)
{
	uint32_t spread = spread_of(interval);
	uint32_t step = (uint32_t)(loop_random(c->engine->loop) % (JITTER_STEPS + 1));

	deadline_arm(c->engine->loop, &c->next, interval - spread + spread / JITTER_STEPS * 2 * step);
}

static void count_probe(struct check *c, bool begins)
{
	*(c->suspect ? &c->engine->suspected : &c->engine->probing) += begins ? 1u : -1u;
}

static void on_outcome(const struct probe_outcome *outcome, void *ctx)
{
	struct check *c = ctx;
	struct health_engine *e = c->engine;

	count_probe(c, false);
	/* What this machine lacks says nothing of the backend: ask again. */
	if (!outcome->not_asked) {
		c->suspect = outcome->why != REASON_NONE;
		list_each (link, &c->subscribers)
			observe(e, CONTAINER(link, struct health, link), outcome);
	}
	schedule(c, interval_of(c));
	begin_next(e);
}

static void run(struct check *c)
{
	count_probe(c, true);
	probe_ask(c->probe);
}

static void on_due(struct deadline *d)
{
	struct check *c = CONTAINER(d, struct check, next);

	queue(c);
	begin_next(c->engine);
}

/* -- who is checked how -- */

/* With its length in front, so that no two lists of texts look the same. */
static void put_part(struct text *t, struct str part)
{
	text_fmt(t, "|%zu:", part.n);
	text_put(t, part);
}

/* Everything that a probe's outcome depends on, as text; malloc'ed. */
static struct str check_key(const struct conf_backend *b, const struct conf_policy *policy)
{
	const struct conf_health *h = &policy->health;
	const struct conf_upstream_tls *tls = &policy->tls;
	const struct str parts[] = {b->address, b->host, h->method, h->path, h->host, h->body,
		h->grpc_service, tls->ca, tls->server_name, tls->cert, tls->key};
	size_t cap = 128 + h->status_n * 16;
	struct text t;

	for (size_t i = 0; i < COUNT_OF(parts); i++)
		cap += parts[i].n + 24;
	for (uint32_t i = 0; i < h->header_n; i++)
		cap += h->headers[i].name.n + h->headers[i].value.n + 48;
	t = text_in(malloc(cap), cap);
	MUST(t.p);
	text_fmt(&t, "%u|%u|%u|%u|%d%d", h->kind, policy->protocol, policy->proxy_protocol, h->timeout,
		tls->on, tls->verify);
	for (size_t i = 0; i < COUNT_OF(parts); i++)
		put_part(&t, parts[i]);
	for (uint32_t i = 0; i < h->status_n; i++)
		text_fmt(&t, "|%u-%u", h->status[i].from, h->status[i].to);
	for (uint32_t i = 0; i < h->header_n; i++) {
		put_part(&t, h->headers[i].name);
		put_part(&t, h->headers[i].value);
	}
	MUST(!t.cut);
	return text_str(&t);
}

/* The check with that key, made if it is new. Takes the key. */
static struct check *check_of(struct health_engine *e, struct str key)
{
	struct check *c = map_get(&e->checks, key);

	if (c) {
		free((char *)(uintptr_t)key.p);
		return c;
	}
	c = calloc(1, sizeof(*c));
	MUST(c);
	c->key = key;
	c->engine = e;
	c->next.fire = on_due;
	list_init(&c->subscribers);
	c->probe = probe_new(e->loop, on_outcome, c);
	map_put(&e->checks, c->key, c);
	return c;
}

/* How the check speaks TLS: *lost when it cannot. Looked up with each configuration, because certificates change under their names. */
static struct tls_client *choose_tls(
	struct health_engine *e, const struct conf_policy *policy, enum reason *lost)
{
	struct conf_policy way = {.protocol = policy->protocol, .tls = policy->tls};
	struct tls_client *client;

	if (policy->health.kind == CONF_CHECK_TCP)
		return NULL;
	/* gRPC is HTTP/2, whatever else the backend speaks. */
	if (policy->health.kind == CONF_CHECK_GRPC)
		way.protocol = CONF_H2;
	/* A handshake where requests go in the clear: there is no authority to hold the certificate against. */
	if (policy->health.kind == CONF_CHECK_TLS && !way.tls.on) {
		way.protocol = CONF_AUTO;
		way.tls = (struct conf_upstream_tls){.on = true};
	}
	client = tls_clients_get(&e->tls, &way);
	/* Never in the clear to one that is to be spoken to over TLS. */
	if (way.tls.on && !client)
		*lost = REASON_UPSTREAM_TLS;
	return client;
}

void health_target(struct health_engine *e, const struct conf_backend *b, const struct conf_policy *policy,
	struct probe_target *target)
{
	*target = (struct probe_target){
		.health = policy->health,
		.protocol = policy->protocol,
		.proxy_protocol = policy->proxy_protocol,
		.addr = b->addr,
		.unix_path = b->unix_path,
		.name = policy->tls.server_name.n ? policy->tls.server_name : b->host,
		.authority = b->host.n        ? b->host
			     : b->unix_path.n ? STR("localhost")
					      : b->address,
	};

	target->tls = choose_tls(e, policy, &target->lost);
}

/* Points the check's probe at the texts of the current snapshot. */
static void aim(struct check *c, const struct health *h)
{
	struct probe_target target;

	health_target(c->engine, h->member, CONTAINER(h->conf, struct conf_policy, health), &target);
	target.keep = c->engine->keep && h->conf->interval <= KEEP_INTERVAL_MS;
	probe_aim(c->probe, &target);
}

static void check_free(struct check *c)
{
	map_remove(&c->engine->checks, c->key);
	if (probe_is_asking(c->probe))
		count_probe(c, false);
	probe_free(&c->probe);
	list_remove(&c->link);
	deadline_disarm(c->engine->loop, &c->next);
	free((char *)(uintptr_t)c->key.p);
	free(c);
}

static void unsubscribe(struct health *h)
{
	struct check *c = TAKE(&h->check);

	list_remove(&h->link);
	if (list_empty(&c->subscribers))
		check_free(c);
}

static void subscribe(struct health_engine *e, struct health *h, const struct conf_policy *policy)
{
	struct check *c = check_of(e, check_key(h->member, policy));

	h->conf = &policy->health;
	if (h->check != c) {
		if (h->check)
			unsubscribe(h);
		list_push_back(&c->subscribers, &h->link);
		h->check = c;
	}
	aim(c, h);
	/* The first probe of a new backend comes at once, also of one that shares its check: requests may be waiting for it. */
	if (!deadline_armed(&c->next) || backend_state(h->backend) == BACKEND_CHECKING)
		queue(c);
	else if (c->next.at_ms > e->loop->now_ms + interval_wanted(h) + spread_of(interval_wanted(h)))
		schedule(c, interval_wanted(h));
}

static void health_end(struct health *h)
{
	h->backend->health = NULL;
	unsubscribe(h);
	list_remove(&h->all);
	free(h);
}

static struct health *health_begin(struct health_engine *e, struct backend *b)
{
	struct health *h = calloc(1, sizeof(*h));

	MUST(h);
	h->backend = b;
	h->since_ms = e->loop->now_ms;
	list_push_back(&e->all, &h->all);
	return h;
}

static void follow_backend(struct health_engine *e, const struct pool *pool, uint32_t i, uint64_t serial)
{
	struct backend *b = pool->backends[i];
	const struct conf_policy *policy = pool->conf->policy;
	bool fresh = b->named_since == serial; /* an older snapshot may have it, for a request that lasts */

	if (policy->health.kind == CONF_CHECK_NONE) {
		if (b->health)
			health_end(b->health);
		if (backend_state(b) != BACKEND_UP)
			move_to(e, b, BACKEND_UP);
		return;
	}
	if (!b->health) {
		b->health = health_begin(e, b);
		/* One that has served unchecked so far goes on until its checks say otherwise. */
		if (fresh) {
			b->health->joins = pool->slot->refs > 1;
			move_to(e, b, BACKEND_CHECKING);
		}
	}
	b->health->pool = pool;
	b->health->member = &pool->members[i];
	b->health->serial = serial;
	subscribe(e, b->health, policy);
}

/* Backends that the new snapshot does not name are checked no more; requests of the old one see them as they were. */
static void forget_others(struct health_engine *e, uint64_t serial)
{
	list_each_safe (link, &e->all) {
		struct health *h = CONTAINER(link, struct health, all);

		if (h->serial != serial)
			health_end(h);
	}
}

void health_init(struct health_engine *e, struct loop *l, struct io_thread *io, struct worker *workers,
	uint32_t worker_n)
{
	*e = (struct health_engine){.loop = l, .io = io, .workers = workers, .worker_n = worker_n};
	e->tell_workers.run = on_tell_workers;
	list_init(&e->all);
	list_init(&e->due);
	list_init(&e->suspects);
}

/* Kept connections must leave most descriptors to those of clients. */
static bool may_keep(const struct snapshot *s)
{
	struct rlimit limit;
	uint64_t backends = 0;

	for (uint32_t p = 0; p < s->pool_n; p++)
		backends += s->pools[p]->n;
	return getrlimit(RLIMIT_NOFILE, &limit) == 0 && backends <= limit.rlim_cur / 2;
}

void health_follow(struct health_engine *e, struct snapshot *s)
{
	e->keep = may_keep(s);
	for (uint32_t p = 0; p < s->pool_n; p++)
		for (uint32_t i = 0; i < s->pools[p]->n; i++)
			follow_backend(e, s->pools[p], i, s->serial);
	forget_others(e, s->serial);
	begin_next(e);
}

json_t *health_save(const struct health_engine *e)
{
	json_t *all = json_object();

	list_each (link, &e->all) {
		const struct health *h = CONTAINER(link, struct health, all);
		uint64_t warm = atomic_load_explicit(&h->backend->warm_from_ms, memory_order_relaxed);

		json_object_set_new(all, h->backend->slot->key.p,
			json_pack("{s:s, s:I, s:I, s:I}", "state",
				backend_state_name(backend_state(h->backend)), "streak",
				(json_int_t)h->streak, "since_ms", (json_int_t)h->since_ms, "warm_from_ms",
				(json_int_t)warm));
	}
	return all;
}

static uint64_t saved_number(const json_t *saved, const char *name)
{
	json_int_t v = json_integer_value(json_object_get(saved, name));

	return v > 0 ? (uint64_t)v : 0;
}

static void load_one(struct health_engine *e, struct health *h, const json_t *saved)
{
	const char *name = json_string_value(json_object_get(saved, "state"));
	enum backend_state to = BACKEND_CHECKING;

	while (to < BACKEND_STATES && (!name || strcmp(name, backend_state_name(to)) != 0))
		to++;
	/* Of one that nobody has checked there is nothing to take over. */
	if (to == BACKEND_STATES || to == BACKEND_CHECKING)
		return;
	h->joins = false;
	h->streak = (uint32_t)saved_number(saved, "streak");
	h->since_ms = MIN(saved_number(saved, "since_ms"), e->loop->now_ms);
	atomic_store_explicit(
		&h->backend->warm_from_ms, saved_number(saved, "warm_from_ms"), memory_order_relaxed);
	move_to(e, h->backend, to);
}

void health_load(struct health_engine *e, const json_t *saved)
{
	list_each (link, &e->all) {
		struct health *h = CONTAINER(link, struct health, all);
		const json_t *one = json_object_get(saved, h->backend->slot->key.p);

		if (one)
			load_one(e, h, one);
	}
}

void health_free(struct health_engine *e)
{
	forget_others(e, 0);
	task_cancel(&e->tell_workers);
	map_free(&e->checks);
	tls_clients_free(&e->tls);
}
