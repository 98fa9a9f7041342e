/* exchange/attempt.c - the upstream side of an exchange: pool, backend, connection. What follows when one fails is retry.c's. */
#include "base/obj.h"
#include "exchange/exchange.h"
#include "io/transport.h"
#include "upstream/stick.h"

static bool was_tried(const struct exchange *x, const struct backend *b)
{
	for (uint8_t i = 0; i < x->tried_n; i++)
		if (x->tried[i] == b)
			return true;
	return false;
}

static bool can_be_asked(const struct exchange *x, const struct backend *b)
{
	return edge_backend(x->edge, b) && !was_tried(x, b);
}

/* Panic disbelieves the checks that have failed; who has not been checked yet has still to pass one. */
static bool health_allows(const struct backend *b, bool panic)
{
	enum backend_state state = backend_standing(b);

	return !backend_draining(b) && (state == BACKEND_UP || (panic && state == BACKEND_DOWN));
}

bool attempt_may_ask(const struct exchange *x, const struct backend *b)
{
	const struct conn_pool *p = health_allows(b, x->panic) ? edge_backend(x->edge, b) : NULL;

	return p && !was_tried(x, b) && !conn_pool_is_full(p);
}

static bool backend_usable(const void *ctx, const struct backend *b)
{
	return attempt_may_ask(ctx, b);
}

static uint32_t backend_load(const void *ctx, const struct backend *b)
{
	const struct exchange *x = ctx;

	const struct conn_pool *p = edge_backend(x->edge, b);

	return p->streams + p->waiting_n;
}

static const struct latency *backend_latency(const void *ctx, const struct backend *b)
{
	const struct exchange *x = ctx;

	return &edge_backend(x->edge, b)->latency;
}

/* By what balance: hash tells requests apart. */
static void find_key(const struct exchange *x, struct candidates *c)
{
	const struct conf_policy *policy = x->pool->conf->policy;
	struct str key = STR_NONE;
	const struct field *f;

	if (policy->hash_header.n) {
		f = fields_find_name(&x->request.fields, policy->hash_header);
		key = f ? field_value(f) : STR_NONE;
	} else if (policy->hash_cookie.n) {
		key = cookie_value(&x->request, policy->hash_cookie);
	} else if (policy->hash_path) {
		key = str_head(x->path, str_find(x->path, '?'));
	} else if (x->client_addr.family == ADDR_IP4 || x->client_addr.family == ADDR_IP6) {
		key = (struct str){
			(const char *)x->client_addr.ip, x->client_addr.family == ADDR_IP4 ? 4 : 16};
	}
	c->has_key = key.n > 0;
	c->key = hash_bytes(key.p, key.n, 0);
}

static bool somebody_can_be_asked(const struct exchange *x, const struct pool *pool, bool panic)
{
	for (uint32_t i = 0; i < pool->n; i++)
		if (health_allows(pool->backends[i], panic) && can_be_asked(x, pool->backends[i]))
			return true;
	return false;
}

static bool pool_usable(const void *ctx, const struct pool *pool)
{
	const struct exchange *x = ctx;
	struct pool_census census;

	/* Nearly always the first backend says so: who is up needs no panic. */
	if (somebody_can_be_asked(x, pool, false))
		return true;
	census = pool_census(pool);
	/* A pool with nobody up leaves its share to others before it is tried in panic. */
	return (census.up > 0 || x->panic) && pool_panics(pool, census) &&
	       somebody_can_be_asked(x, pool, true);
}

const struct backend *attempt_pick(struct exchange *x)
{
	struct candidates c = {.pool = x->pool,
		.loop = x->edge->loop,
		.usable = backend_usable,
		.load = backend_load,
		.latency = backend_latency,
		.ctx = x,
		.panic = x->panic};
	struct balance_state *state = &x->edge->balance[x->pool->slot->number];
	uint32_t i;

	x->panic = pool_panics(x->pool, pool_census(x->pool));
	if (x->stuck_to && attempt_may_ask(x, x->stuck_to))
		return x->stuck_to;
	/* With one there is nothing to weigh: 300 instructions of two random draws. */
	if (x->pool->n == 1)
		return attempt_may_ask(x, x->pool->backends[0]) ? x->pool->backends[0] : NULL;
	if (x->pool->conf->policy->balance == CONF_HASH)
		find_key(x, &c);
	i = balance_pick(state, &c);
	return i == BALANCE_NOBODY ? NULL : x->pool->backends[i];
}

/* The one that a module chose, if it can take the request. */
static const struct pool *wanted_pool(const struct exchange *x)
{
	const struct pool *pool = service_pool(x->service, x->modules->pool);

	return pool && edge_now(x->edge, pool)->state <= POOL_PINNED && pool_usable(x, pool) ? pool : NULL;
}

static void split(struct exchange *x)
{
	struct edge *e = x->edge;
	const struct split_request rq = {
		.service = x->service,
		.now = e->now,
		.head = &x->request,
		.client = &x->client_addr,
		.keys = e->cookie_keys,
		.now_s = x->service->pin_cookie.n ? edge_wall_us(e, e->loop->now_us) / 1000000 : 0,
		.usable = pool_usable,
		.ctx = x,
		.had = x->pool && x->pool_why == SPLIT_TURN ? x->pool->slot : NULL,
	};
	struct split_result result = split_pick(&e->split[x->service->slot->number], e->loop, &rq);
	const struct pool *wanted = x->modules && x->modules->pool.n ? wanted_pool(x) : NULL;

	if (wanted && result.why != SPLIT_OVERRIDE)
		result = (struct split_result){.pool = wanted, .why = SPLIT_MODULE, .chosen = result.chosen};
	if (result.issue_id && !result.id.n && !x->sticky_id.n) {
		x->sticky_id = (struct str){arena_bytes(&x->arena, SPLIT_ID_CHARS), SPLIT_ID_CHARS};
		split_new_id(e->loop, (char *)(uintptr_t)x->sticky_id.p);
	} else if (result.issue_id && result.id.n) {
		x->sticky_id = result.id;
	}
	if (result.issue_id && !result.id.n)
		split_place(&rq, x->sticky_id, &result);
	x->pool = result.pool;
	x->pool_why = (uint8_t)result.why;
	x->issue_pin = result.issue_pin;
	x->chose_pool = result.chosen;
}

/* Is somebody about to be found for this pool, or to be checked for the first time? One that has left the configuration meanwhile is
 * not. */
static bool is_coming_up(const struct exchange *x, const struct pool *pool)
{
	if (pool->lookup == POOL_ASKED && !exchange_is_outdated(x))
		return true;
	for (uint32_t i = 0; i < pool->n; i++)
		if (backend_standing(pool->backends[i]) == BACKEND_CHECKING &&
			!backend_draining(pool->backends[i]) && edge_backend(x->edge, pool->backends[i]))
			return true;
	return false;
}

/* The pool that would take this request, had one of its backends only passed its first check; NULL: none. */
static const struct pool *coming_up(const struct exchange *x)
{
	/* Chosen whatever its state. */
	if (x->pool)
		return is_coming_up(x, x->pool) ? x->pool : NULL;
	for (uint32_t p = 0; p < x->service->n; p++)
		if (pool_share(edge_now(x->edge, &x->service->pools[p])) > 0 &&
			is_coming_up(x, &x->service->pools[p]))
			return &x->service->pools[p];
	return NULL;
}

static void pick_pool(struct exchange *x)
{
	x->panic = false;
	split(x);
	/* Nobody is up in any pool, and nobody is about to be. */
	if (!x->pool && !coming_up(x)) {
		x->panic = true;
		split(x);
	}
}

/* Whom the client's cookie names: looked up once, before its head is edited. */
static void find_stuck(struct exchange *x)
{
	const struct pool *pool = x->pool;
	uint32_t i = STICK_NOBODY;

	if (pool && pool->tokens)
		i = stick_find(pool, cookie_value(&x->request, pool->conf->policy->stick.cookie));
	x->stuck_to = i == STICK_NOBODY ? NULL : pool->backends[i];
}

/* -- one attempt -- */

void attempt_drop(struct exchange *x)
{
	conn_waiter_cancel(&x->waiter);
	hold_leave(x);
	queue_leave(x);
	deadline_disarm(x->edge->loop, &x->pause);
	traffic_leave(x);
	if (!x->upstream)
		return;
	conn_pool_done(x->conn_pool);
	stream_release(&x->upstream);
	x->conn_pool = NULL;
}

static void attempt_send(struct exchange *x, struct http_conn *c)
{
	bool last = x->request_last && x->request_body.n == 0 && !x->request_trailers;

	/* Time that ends with a new connection went into making it; otherwise into waiting for another request to end. */
	*(c->unused ? &x->connect_us : &x->queue_us) += x->edge->loop->now_us - x->wait_us;
	x->upstream_reused = !c->unused;
	x->upstream = conn_pool_open(x->conn_pool, c, &exchange_upstream_ops, x);
	if (!x->upstream) {
		attempt_failed(x, REASON_UPSTREAM_STALE);
		return;
	}
	x->upstream_version = c->version;
	x->upstream_tls = transport_tls(c->transport) != NULL;
	/* The scheme is that of this hop: backends check it against how they were reached. */
	x->request.scheme = x->upstream_tls ? STR("https") : STR("http");
	exchange_set_state(x, EXCHANGE_AWAITING);
	x->request_given = last;
	stream_send_head(x->upstream, &x->request, last);
	exchange_pump_request(x);
	attempt_await(x);
}

void attempt_await(struct exchange *x)
{
	uint32_t own = x->route->conf->response_timeout;

	/* The time for one try began with the try and is not prolonged. */
	if (x->pool->conf->policy->retries.per_try_timeout == 0)
		deadline_arm(
			x->edge->loop, &x->deadline, own ? own : x->use->snapshot->conf->timeouts.response);
}

void attempt_measure(struct exchange *x, bool good)
{
	struct conn_pool *p = edge_backend(x->edge, x->backend);
	uint64_t now_us = x->edge->loop->now_us;

	if (!p || x->pool->conf->policy->balance != CONF_EWMA)
		return;
	if (good)
		latency_observe(&p->latency, now_us - x->wait_us, now_us);
	else
		latency_fail(&p->latency, now_us - x->wait_us, now_us);
}

static void on_ready(struct conn_waiter *w, struct http_conn *c)
{
	attempt_send(CONTAINER(w, struct exchange, waiter), c);
}

static void on_failed(struct conn_waiter *w, enum reason why)
{
	attempt_failed(CONTAINER(w, struct exchange, waiter), why);
}

void attempt_start(struct exchange *x, const struct backend *b)
{
	struct http_conn *c;
	enum reason why;

	x->backend = b;
	x->attempts++;
	traffic_enter(x);
	x->conn_pool = edge_backend(x->edge, b);
	x->wait_us = x->edge->loop->now_us;
	if (x->modules)
		modules_attempt(x);
	deadline_arm(x->edge->loop, &x->deadline, x->pool->conf->policy->retries.per_try_timeout);
	c = x->waiter.fresh || x->waiter.http1 ? NULL : conn_pool_take(x->conn_pool);
	if (c) {
		attempt_send(x, c);
		return;
	}
	exchange_set_state(x, EXCHANGE_CONNECTING);
	x->waiter.ready = on_ready;
	x->waiter.failed = on_failed;
	x->waiter.client = &x->client_addr;
	x->waiter.client_local = &x->local;
	why = conn_pool_wait(x->conn_pool, &x->waiter);
	if (why != REASON_NONE)
		attempt_failed(x, why);
}

enum reason attempt_why_nobody(const struct exchange *x)
{
	enum reason why = REASON_NO_POOL;

	for (uint32_t p = 0; p < x->service->n; p++) {
		const struct pool *pool = &x->service->pools[p];

		if (pool != x->pool && pool_share(edge_now(x->edge, pool)) == 0)
			continue;
		if (pool->n > 0 || pool->lookup == POOL_KNOWN)
			return REASON_NO_BACKEND;
		why = REASON_UPSTREAM_RESOLVE;
	}
	return why;
}

/* What there is to wait for, and where; REASON_NONE: nothing. */
static enum reason holdup(const struct exchange *x, const struct pool **where)
{
	enum reason why = x->pool ? queue_why(x->edge, x->pool) : REASON_NONE;

	*where = x->pool;
	if (why != REASON_NONE)
		return why;
	if (x->pool && pool_usable(x, x->pool))
		return REASON_BREAKER_BACKENDS;
	*where = coming_up(x);
	return *where ? REASON_NO_BACKEND : REASON_NONE;
}

static void wait_in_queue(struct exchange *x, const struct pool *where, enum reason why)
{
	if (!tenancy_may_wait(x)) {
		exchange_fail(x, REASON_TENANT_QUEUE);
		return;
	}
	if (!queue_join(x, where, why)) {
		tenancy_waits_no_more(x);
		exchange_fail(x, why == REASON_NO_BACKEND ? REASON_PENDING_FULL : why);
		return;
	}
	/* One that has waited before goes on waiting. */
	if (x->state == EXCHANGE_CONNECTING)
		return;
	exchange_set_state(x, EXCHANGE_CONNECTING);
	deadline_arm(x->edge->loop, &x->deadline, where->conf->policy->breaker.pending_timeout);
}

/* Goes on, waits, or fails. behind: others wait for the pool already. */
static void enter_pool(struct exchange *x, bool behind)
{
	enum reason why = x->pool ? traffic_refuses(x) : REASON_NONE;
	const struct backend *b = x->pool && !behind && why == REASON_NONE ? attempt_pick(x) : NULL;
	const struct pool *where = x->pool;

	if (b) {
		retry_budget_earn(&edge_traffic(x->edge, x->pool)->retries, x->edge->loop->now_ms,
			x->pool->conf->policy->retries.budget);
		if (!forward_request(x))
			return;
		if (x->service->conf->mirror.pool.n)
			mirror_begin(x);
		attempt_start(x, b);
		return;
	}
	if (why == REASON_NONE)
		why = holdup(x, &where);
	if (why == REASON_NONE || why == REASON_BREAKER_REQUESTS) {
		deadline_disarm(x->edge->loop, &x->deadline);
		exchange_fail(x, why == REASON_NONE ? attempt_why_nobody(x) : why);
	} else {
		wait_in_queue(x, where, why);
	}
}

bool attempt_has_place(struct exchange *x)
{
	if (!x->pool || traffic_refuses(x) != REASON_NONE)
		return false;
	x->panic = pool_panics(x->pool, pool_census(x->pool));
	for (uint32_t i = 0; i < x->pool->n; i++)
		if (attempt_may_ask(x, x->pool->backends[i]))
			return true;
	return false;
}

void attempt_resume(struct exchange *x)
{
	queue_leave(x);
	enter_pool(x, false);
}

void attempt_begin(struct exchange *x)
{
	exchange_follow_names(x);
	pick_pool(x);
	find_stuck(x);
	enter_pool(x, x->pool && queue_why(x->edge, x->pool) != REASON_NONE);
}

void attempts_leave_retired(struct edge *e)
{
	list_each_safe (link, &e->exchanges) {
		struct exchange *x = CONTAINER(link, struct exchange, link);
		const struct backend *b;

		if (x->state != EXCHANGE_CONNECTING || !x->waiter.pool || !x->waiter.pool->retired)
			continue;
		b = attempt_pick(x);
		if (!b)
			continue;
		attempt_drop(x);
		attempt_start(x, b);
	}
}

/* A WebSocket that the backend does not take over HTTP/2 is asked for once more over HTTP/1, if there is ALPN to agree on that. */
static bool falls_back(struct exchange *x, enum reason why)
{
	if (why != REASON_UPSTREAM_NO_WEBSOCKET || x->waiter.http1 || !x->conn_pool->settings.tls)
		return false;
	x->waiter.http1 = true;
	return true;
}

void attempt_failed(struct exchange *x, enum reason why)
{
	/* A kept-alive connection that closed under the request says nothing of the backend. */
	bool stale =
		((why == REASON_UPSTREAM_STALE || (why == REASON_UPSTREAM_UNSENT && x->upstream_reused)) &&
			x->stale_replays == 0) ||
		falls_back(x, why);

	if (x->state == EXCHANGE_CONNECTING)
		x->queue_us += x->edge->loop->now_us - x->wait_us;
	cause_note(x, why);
	if (x->modules)
		modules_attempt_failed(x, why);
	attempt_drop(x);
	deadline_disarm(x->edge->loop, &x->deadline);
	/* A backend is none the worse for having no HTTP/1 either. */
	if (!stale && !x->waiter.http1) {
		outcome_of_failure(x, why);
		attempt_measure(x, false);
	}
	if (!stale)
		traffic_failed(x, why);
	if (x->first_reason == REASON_NONE)
		x->first_reason = (uint16_t)why;
	if (!retry_begin(x, why, stale))
		exchange_fail(x, why);
}
