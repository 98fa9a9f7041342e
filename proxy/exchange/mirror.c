#include "exchange/mirror.h"

#include "base/obj.h"
#include "exchange/exchange.h"

#define MIRROR_MAGIC 0x3144047e
#define WINDOW       (64u * 1024) /* of an answer, which is dropped as it comes */
#define SHARE_WHOLE  10000

enum mirror_state {
	MIRROR_COLLECTING, /* the request has not come as a whole */
	MIRROR_CONNECTING,
	MIRROR_ASKING, /* it was sent */
	MIRROR_ENDED,
	MIRROR_STATES
};

struct mirror {
	uint32_t magic;
	uint8_t state; /* enum mirror_state */
	struct edge *edge;
	struct list link; /* in edge->mirrors */
	struct exchange *of; /* whose copy it is; NULL once it is complete */
	struct snapshot_use *use;
	const struct pool *pool;
	struct arena arena;
	struct head head;
	struct chain body;
	struct addr client, client_local;
	struct conn_pool *conn_pool; /* of the stream that is open; conn_pool_done() is owed */
	struct conn_waiter waiter;
	struct stream *stream;
	struct deadline deadline; /* mirror.timeout, from the complete request on */
};

static const uint8_t legal[MIRROR_STATES] = {
	[MIRROR_COLLECTING] = BIT(MIRROR_CONNECTING) | BIT(MIRROR_ASKING) | BIT(MIRROR_ENDED),
	[MIRROR_CONNECTING] = BIT(MIRROR_ASKING) | BIT(MIRROR_ENDED),
	[MIRROR_ASKING] = BIT(MIRROR_ENDED),
};

static void set_state(struct mirror *m, enum mirror_state to)
{
	MUST(legal[m->state] & BIT(to));
	m->state = (uint8_t)to;
}

/* counter: the tally's that says how it went. */
static void end(struct mirror *m, _Atomic uint64_t *counter)
{
	struct edge *e = m->edge;
	struct snapshot_use *use = m->use;

	OBJ_CHECK(m, MIRROR_MAGIC);
	set_state(m, MIRROR_ENDED);
	counter_add(counter, 1);
	if (m->of)
		m->of->mirror = NULL;
	conn_waiter_cancel(&m->waiter);
	if (m->stream) {
		conn_pool_done(m->conn_pool);
		stream_release(&m->stream);
	}
	deadline_disarm(e->loop, &m->deadline);
	chain_clear(&e->loop->mem, &m->body);
	list_remove(&m->link);
	e->mirror_n--;
	if (--use->exchanges == 0 && !use->current)
		e->let_go(e, use);
	arena_free(&m->arena);
	m->magic = 0;
	mem_obj_free(&e->loop->mem, m, sizeof(*m));
}

static void fail(struct mirror *m)
{
	end(m, &m->edge->tally.mirrors_failed);
}

/* -- the answer -- */

static struct mirror *of_stream(struct stream *s)
{
	struct mirror *m = s->owner;

	OBJ_CHECK(m, MIRROR_MAGIC);
	return m;
}

static void on_head(struct stream *s, const struct head *head, bool last)
{
	struct mirror *m = of_stream(s);

	if (last && head->status >= 200)
		end(m, &m->edge->tally.mirrors_answered);
	else if (head->status >= 200)
		stream_credit(s, WINDOW);
}

static void on_body(struct stream *s, struct chain *chain, bool last)
{
	struct mirror *m = of_stream(s);

	if (last)
		end(m, &m->edge->tally.mirrors_answered);
	else
		stream_credit(s, chain->n);
}

static void on_trailers(struct stream *s, const struct fields *trailers)
{
	struct mirror *m = of_stream(s);

	(void)trailers;
	end(m, &m->edge->tally.mirrors_answered);
}

static void on_sent(struct stream *s, size_t n)
{
	(void)s;
	(void)n;
}

static void on_reset(struct stream *s, enum reason why)
{
	(void)why;
	fail(of_stream(s));
}

static const struct stream_owner_ops ops = {on_head, on_body, on_trailers, on_sent, on_reset};

/* -- the request -- */

static void on_timeout(struct deadline *d)
{
	fail(CONTAINER(d, struct mirror, deadline));
}

static void send_copy(struct mirror *m, struct http_conn *c)
{
	bool last = m->body.n == 0;

	m->stream = conn_pool_open(m->conn_pool, c, &ops, m);
	if (!m->stream) {
		fail(m);
		return;
	}
	set_state(m, MIRROR_ASKING);
	m->head.scheme = transport_tls(c->transport) ? STR("https") : STR("http");
	stream_send_head(m->stream, &m->head, last);
	if (!last)
		stream_send_body(m->stream, &m->body, true);
}

static void on_ready(struct conn_waiter *w, struct http_conn *c)
{
	send_copy(CONTAINER(w, struct mirror, waiter), c);
}

static void on_failed(struct conn_waiter *w, enum reason why)
{
	(void)why;
	fail(CONTAINER(w, struct mirror, waiter));
}

static bool usable(const void *ctx, const struct backend *b)
{
	const struct mirror *m = ctx;
	const struct conn_pool *p = edge_backend(m->edge, b);

	return backend_standing(b) == BACKEND_UP && !backend_draining(b) && p && !conn_pool_is_full(p);
}

static uint32_t load(const void *ctx, const struct backend *b)
{
	const struct mirror *m = ctx;
	const struct conn_pool *p = edge_backend(m->edge, b);

	return p->streams + p->waiting_n;
}

/* At random by weight: the pool's own balance is for requests that matter. */
static const struct backend *pick(const struct mirror *m)
{
	const struct candidates c = {
		.pool = m->pool, .loop = m->edge->loop, .usable = usable, .load = load, .ctx = m};
	uint32_t i = balance_random_but(&c, BALANCE_NOBODY);

	return i == BALANCE_NOBODY ? NULL : m->pool->backends[i];
}

static void ask(struct mirror *m)
{
	const struct backend *b = pick(m);
	struct http_conn *c;

	m->of = NULL;
	if (!b) {
		fail(m);
		return;
	}
	m->conn_pool = edge_backend(m->edge, b);
	c = conn_pool_take(m->conn_pool);
	if (c) {
		send_copy(m, c);
		return;
	}
	set_state(m, MIRROR_CONNECTING);
	chain_settle(&m->edge->loop->mem, &m->body);
	m->waiter.ready = on_ready;
	m->waiter.failed = on_failed;
	m->waiter.client = &m->client;
	m->waiter.client_local = &m->client_local;
	if (conn_pool_wait(m->conn_pool, &m->waiter) != REASON_NONE)
		fail(m);
}

/* -- which -- */

static bool is_busy(const struct edge *e, const struct conf_mirror *conf)
{
	return (conf->requests && e->mirror_n >= conf->requests) ||
	       (e->memory_max && e->loop->mem.in_use > e->memory_max / 2) ||
	       (e->lag_max_us && e->loop->lag_us > e->lag_max_us / 2);
}

static struct mirror *mirror_new(struct exchange *x, const struct pool *pool)
{
	struct edge *e = x->edge;
	struct mirror *m = mem_obj(&e->loop->mem, sizeof(*m));

	m->magic = MIRROR_MAGIC;
	m->edge = e;
	m->of = x;
	m->use = x->renewed ? x->renewed : x->use;
	m->use->exchanges++;
	m->pool = pool;
	m->client = x->client_addr;
	m->client_local = x->local;
	m->deadline.fire = on_timeout;
	arena_init(&m->arena, &e->loop->mem);
	head_copy(&m->arena, &m->head, &x->request);
	fields_add(&m->arena, &m->head.fields, FIELD_OTHER, STR("x-weir-mirror"), STR("1"));
	list_push_back(&e->mirrors, &m->link);
	e->mirror_n++;
	return m;
}

void mirror_begin(struct exchange *x)
{
	const struct conf_mirror *conf = &x->service->conf->mirror;
	const struct pool *pool;

	if (conf->pool.n == 0 || x->tunnel || x->mirror ||
		loop_random(x->edge->loop) % SHARE_WHOLE >= conf->share)
		return;
	pool = service_pool(x->service, conf->pool);
	if (!pool || pool == x->pool || (x->request.has_length && x->request.length > conf->body))
		return;
	if (is_busy(x->edge, conf)) {
		counter_add(&x->edge->tally.mirrors_dropped, 1);
		return;
	}
	x->mirror = mirror_new(x, pool);
	mirror_body(x, &x->request_body, x->request_last);
}

void mirror_body(struct exchange *x, const struct chain *c, bool last)
{
	const struct conf_mirror *conf = &x->service->conf->mirror;
	struct mirror *m = x->mirror;

	if (m->body.n + c->n > conf->body) {
		end(m, &x->edge->tally.mirrors_dropped);
		return;
	}
	chain_share(&x->edge->loop->mem, &m->body, c);
	if (!last)
		return;
	x->mirror = NULL;
	deadline_arm(x->edge->loop, &m->deadline, conf->timeout);
	ask(m);
}

void mirror_abandon(struct exchange *x)
{
	if (x->mirror)
		end(x->mirror, &x->edge->tally.mirrors_dropped);
}

void mirrors_end_all(struct edge *e)
{
	struct list *link;

	while ((link = list_first(&e->mirrors)))
		end(CONTAINER(link, struct mirror, link), &e->tally.mirrors_dropped);
}
