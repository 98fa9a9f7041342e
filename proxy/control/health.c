#include "control/health.h"

#include <stdlib.h>
#include "base/obj.h"
#include "control/io_thread.h"
#include "control/probe.h"

#define JITTER_PERCENT 10 /* so that ten thousand checks that begin together do not stay together */
#define FAST_DIVISOR   4 /* while a backend may be about to change its state it is asked so much more often */
#define FAST_MIN_MS    100

/* One address, asked in one way, for however many backends. */
struct check {
	struct list link; /* in engine->queue */
	char *key;
	struct health_engine *engine;
	struct list subscribers; /* struct health */
	struct deadline next;
	struct probe *probe; /* under way */
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

static void tell(struct health_engine *e, const struct health *h, enum backend_state from, const struct probe_outcome *outcome)
{
	char reason[REASON_NAME_MAX];
	struct str name = reason_name(outcome->why, reason);
	struct pool_census census = pool_census(h->pool);
	json_t *event = json_pack("{s:s, s:s, s:s, s:f, s:i, s:i, s:b}", "backend", h->backend->slot->key.p, "from",
		backend_state_name(from), "to", backend_state_name(backend_state(h->backend)), "probe_ms",
		outcome->duration_us / 1000.0, "pool_up", (int)census.up, "pool_size", (int)h->pool->n, "panic",
		pool_panics(h->pool, census));

	if (outcome->why)
		json_object_set_new(event, "reason", json_stringn(name.p, name.n));
	if (outcome->status)
		json_object_set_new(event, "status", json_integer(outcome->status));
	if (outcome->detail[0])
		json_object_set_new(event, "detail", json_string(outcome->detail));
	event_emit(e->io, outcome->why ? CONF_LEVEL_WARNING : CONF_LEVEL_INFO, "health", event);
}

static void set_state(struct health_engine *e, struct health *h, enum backend_state to, const struct probe_outcome *outcome)
{
	enum backend_state from = backend_state(h->backend);

	MUST(legal[from] & BIT(to));
	h->streak = 0;
	h->since_ms = e->loop->now_ms;
	atomic_store_explicit(&h->backend->state, (uint8_t)to, memory_order_release);
	tell(e, h, from, outcome);
	/* Requests may be waiting for somebody to be up, or for the news that nobody is. */
	for (uint32_t i = 0; i < e->worker_n; i++)
		worker_health_changed(&e->workers[i]);
}

static void observe(struct health_engine *e, struct health *h, const struct probe_outcome *outcome)
{
	enum backend_state state = backend_state(h->backend);
	bool passed = outcome->why == REASON_NONE;

	h->why = (uint16_t)outcome->why;
	h->status = outcome->status;
	h->duration_us = outcome->duration_us;
	if (passed == (state == BACKEND_UP)) {
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

static void begin_next(struct health_engine *e)
{
	struct list *link;

	while (e->probing < HEALTH_PROBES_MAX && (link = list_pop_front(&e->queue)))
		run(CONTAINER(link, struct check, link));
}

/* The shortest interval that a subscriber wants; shorter while one of them may be changing. */
static uint32_t interval_of(const struct check *c)
{
	uint32_t interval = UINT32_MAX;

	list_each(link, &c->subscribers)
	{
		const struct health *h = CONTAINER(link, struct health, link);
		bool changing = h->streak > 0 || backend_state(h->backend) == BACKEND_CHECKING;
		uint32_t wanted = h->conf->interval;

		if (changing)
			wanted = MAX(wanted / FAST_DIVISOR, MIN(wanted, FAST_MIN_MS));
		interval = MIN(interval, wanted);
	}
	return interval;
}

static void schedule(struct check *c)
{
	uint32_t interval = interval_of(c), spread = interval * JITTER_PERCENT / 100;

	if (spread)
		interval = interval - spread + (uint32_t)(loop_random(c->engine->loop) % (2 * spread));
	deadline_arm(c->engine->loop, &c->next, interval);
}

static void on_outcome(const struct probe_outcome *outcome, void *ctx)
{
	struct check *c = ctx;
	struct health_engine *e = c->engine;

	c->probe = NULL;
	e->probing--;
	list_each(link, &c->subscribers)
		observe(e, CONTAINER(link, struct health, link), outcome);
	schedule(c);
	begin_next(e);
}

static void run(struct check *c)
{
	struct health_engine *e = c->engine;
	const struct health *h = CONTAINER(list_first(&c->subscribers), struct health, link);
	const struct backend *b = h->backend;
	const struct conf_policy *policy = CONTAINER(h->conf, struct conf_policy, health);
	struct str name = policy->tls.server_name.n ? policy->tls.server_name : b->host;
	struct probe_target target = {
		.health = *h->conf,
		.protocol = policy->protocol,
		.tls = tls_clients_get(&e->tls, policy),
		.addr = b->addr.family == ADDR_NONE ? h->addr : b->addr,
		.unix_path = b->unix_path,
		.name = name,
		.authority = b->host.n ? b->host : b->unix_path.n ? STR("localhost") : b->address,
	};

	e->probing++;
	c->probe = probe_start(e->loop, &target, on_outcome, c);
}

static void on_due(struct deadline *d)
{
	struct check *c = CONTAINER(d, struct check, next);

	list_push_back(&c->engine->queue, &c->link);
	begin_next(c->engine);
}

/* -- who is checked how -- */

/* Everything that a probe's outcome depends on, as text. */
static struct str check_key(const struct backend *b, const struct conf_policy *policy, char *buf, size_t cap)
{
	const struct conf_health *h = &policy->health;
	struct text t = text_in(buf, cap);

	text_fmt(&t, STR_FMT "|%u|%u|%u|", STR_ARG(b->address), h->kind, policy->protocol, h->timeout);
	text_fmt(&t, STR_FMT "|" STR_FMT "|" STR_FMT "|" STR_FMT "|" STR_FMT "|", STR_ARG(h->method), STR_ARG(h->path),
		STR_ARG(h->host), STR_ARG(h->body), STR_ARG(h->grpc_service));
	for (uint32_t i = 0; i < h->status_n; i++)
		text_fmt(&t, "%u-%u,", h->status[i].from, h->status[i].to);
	if (policy->tls.on)
		text_fmt(&t, "|tls %d " STR_FMT " " STR_FMT " " STR_FMT, policy->tls.verify, STR_ARG(policy->tls.ca),
			STR_ARG(policy->tls.server_name), STR_ARG(policy->tls.cert));
	return text_str(&t);
}

static struct check *check_of(struct health_engine *e, struct str key)
{
	struct check *c = map_get(&e->checks, key);

	if (c)
		return c;
	c = calloc(1, sizeof(*c));
	MUST(c);
	c->key = strndup(key.p, key.n);
	MUST(c->key);
	c->engine = e;
	c->next.fire = on_due;
	list_init(&c->subscribers);
	map_put(&e->checks, (struct str){c->key, key.n}, c);
	return c;
}

static void check_free(struct check *c)
{
	map_remove(&c->engine->checks, str_of(c->key));
	if (c->probe) {
		probe_cancel(&c->probe);
		c->engine->probing--;
	}
	list_remove(&c->link);
	deadline_disarm(c->engine->loop, &c->next);
	free(c->key);
	free(c);
}

static void unsubscribe(struct health *h)
{
	struct check *c = TAKE(&h->check);

	if (!c)
		return;
	list_remove(&h->link);
	if (list_empty(&c->subscribers))
		check_free(c);
}

static void subscribe(struct health_engine *e, struct health *h, const struct conf_policy *policy)
{
	char buf[8192];
	struct check *c = check_of(e, check_key(h->backend, policy, buf, sizeof(buf)));

	h->conf = &policy->health;
	if (h->check == c)
		return;
	list_remove(&h->link);
	list_push_back(&c->subscribers, &h->link);
	if (h->check && list_empty(&h->check->subscribers))
		check_free(h->check);
	h->check = c;
	/* The first probe comes at once: requests may be waiting for it. */
	if (!c->probe && !deadline_armed(&c->next) && !list_linked(&c->link))
		list_push_back(&e->queue, &c->link);
}

static void follow_backend(struct health_engine *e, struct backend *b, const struct pool *pool, uint64_t generation)
{
	const struct conf_policy *policy = &pool->conf->policy;
	bool fresh = b->refs == 1 && !b->health; /* no older snapshot has it */

	if (policy->health.kind == CONF_CHECK_NONE) {
		if (b->health) {
			unsubscribe(b->health);
			free(b->health);
			b->health = NULL;
			atomic_store_explicit(&b->state, BACKEND_UP, memory_order_release);
		}
		return;
	}
	if (!b->health) {
		b->health = calloc(1, sizeof(*b->health));
		MUST(b->health);
		b->health->backend = b;
		b->health->since_ms = e->loop->now_ms;
		/* One that has served unchecked so far goes on until its checks say otherwise. */
		if (fresh)
			atomic_store_explicit(&b->state, BACKEND_CHECKING, memory_order_release);
	}
	subscribe(e, b->health, policy);
	b->health->pool = pool;
	b->health->generation = generation;
}

/* Backends that the new snapshot does not name are checked no more; requests of the old one see them as they were. */
static void forget_others(struct health_engine *e, uint64_t generation)
{
	struct map_entry *entry = map_next(&e->checks, NULL);

	while (entry) {
		struct check *c = entry->value;
		bool freed = false;

		list_each_safe(link, &c->subscribers)
		{
			struct health *h = CONTAINER(link, struct health, link);

			if (h->generation == generation)
				continue;
			h->backend->health = NULL;
			freed = h->link.next == h->link.prev;
			unsubscribe(h);
			free(h);
			if (freed)
				break;
		}
		/* Removing moves entries about: begin again. */
		entry = freed ? map_next(&e->checks, NULL) : map_next(&e->checks, entry);
	}
}

void health_init(struct health_engine *e, struct loop *l, struct io_thread *io, struct worker *workers, uint32_t worker_n)
{
	*e = (struct health_engine){.loop = l, .io = io, .workers = workers, .worker_n = worker_n};
	list_init(&e->queue);
}

void health_follow(struct health_engine *e, struct snapshot *s)
{
	for (uint32_t p = 0; p < s->pool_n; p++)
		for (uint32_t i = 0; i < s->pools[p]->n; i++)
			follow_backend(e, s->pools[p]->backends[i], s->pools[p], s->generation);
	forget_others(e, s->generation);
	begin_next(e);
}

void health_set_addr(struct backend *b, const struct addr *addr)
{
	if (b->health)
		b->health->addr = *addr;
}

void health_free(struct health_engine *e)
{
	forget_others(e, 0);
	map_free(&e->checks);
	tls_clients_free(&e->tls);
}
