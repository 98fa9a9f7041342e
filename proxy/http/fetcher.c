#include "http/fetcher.h"

#include <stdio.h>
#include <stdlib.h>
#include "http/conn.h"
#include "io/resolver.h"
#include "io/tls.h"

#define FETCHING_MAGIC 0xfe7c4002
#define HEAD_BYTES     (32u * 1024)
#define HEAD_FIELDS    200
#define KEPT_MAX       8
#define KEPT_MS        20000 /* less than what servers commonly keep them for */

struct fetcher {
	struct loop *loop;
	struct resolver resolver;
	bool resolver_there;
	const struct conf_upstream_tls *tls_conf;
	struct tls_client *tls; /* NULL: none was needed yet */
	struct list kept; /* struct kept, the last one first */
	uint32_t kept_n;
};

/* A connection at rest. */
struct kept {
	struct list link;
	struct fetcher *fetcher;
	struct http_conn *conn;
	bool tls;
	char authority[256];
};

enum fetching_state {
	FETCHING_BEGUN, /* the next tick knows more */
	FETCHING_RESOLVING,
	FETCHING_CONNECTING,
	FETCHING_WAITING, /* for the answer */
	FETCHING_ENDED,
	FETCHING_STATES
};

static const uint8_t legal[FETCHING_STATES] = {
	[FETCHING_BEGUN] = BIT(FETCHING_RESOLVING) | BIT(FETCHING_CONNECTING) | BIT(FETCHING_WAITING) |
			   BIT(FETCHING_ENDED),
	[FETCHING_RESOLVING] = BIT(FETCHING_BEGUN) | BIT(FETCHING_ENDED),
	[FETCHING_CONNECTING] = BIT(FETCHING_WAITING) | BIT(FETCHING_ENDED),
	[FETCHING_WAITING] = BIT(FETCHING_BEGUN) | BIT(FETCHING_ENDED),
};

struct fetching {
	uint32_t magic;
	uint8_t state; /* enum fetching_state */
	bool tls, reused, fresh_only; /* reused: by a kept connection, which may close under the request */
	uint16_t status, port;
	struct fetcher *fetcher;
	void (*done)(void *ctx, const struct fetcher_answer *answer);
	void *ctx;
	struct arena arena; /* the texts */
	struct str method, authority, host, path, body;
	struct fields fields, answer;
	uint32_t body_max;
	struct task begin; /* goes on in the next phase: nobody is called from below, nothing freed above */
	struct deadline timeout;
	struct addr addr; /* ADDR_NONE: not known */
	bool asked; /* DNS has been */
	struct resolve *question;
	struct transport *transport;
	struct http_conn *conn;
	struct stream *stream;
	struct chain received;
	char detail[96];
};

static const struct http_limits limits = {
	.header_bytes = HEAD_BYTES, .header_count = HEAD_FIELDS, .max_streams = 1, .idle_ms = KEPT_MS};

static void set_state(struct fetching *g, enum fetching_state to)
{
	MUST(legal[g->state] & BIT(to));
	g->state = (uint8_t)to;
}

static struct loop *loop_of(const struct fetching *g)
{
	return g->fetcher->loop;
}

/* -- connections at rest -- */

static void kept_free(struct kept *k)
{
	list_remove(&k->link);
	k->fetcher->kept_n--;
	free(k);
}

static void on_kept_closed(struct http_conn *c, enum reason why)
{
	(void)why;
	if (c->owner)
		kept_free(c->owner);
}

static void on_change(struct http_conn *c)
{
	(void)c;
}

static const struct http_conn_owner_ops kept_ops = {.on_change = on_change, .on_closed = on_kept_closed};

static void drop_conn(struct http_conn *conn)
{
	conn->owner = NULL; /* its last word finds nobody */
	http_conn_close(conn, REASON_CANCELLED);
}

static void keep(struct fetching *g)
{
	struct fetcher *f = g->fetcher;
	struct http_conn *conn = TAKE(&g->conn);
	struct kept *k;

	if (conn->draining || f->kept_n == KEPT_MAX || g->authority.n >= sizeof(k->authority)) {
		drop_conn(conn);
		return;
	}
	k = calloc(1, sizeof(*k));
	MUST(k);
	k->fetcher = f;
	k->conn = conn;
	k->tls = g->tls;
	memcpy(k->authority, g->authority.p, g->authority.n);
	list_push_front(&f->kept, &k->link);
	f->kept_n++;
	conn->owner_ops = &kept_ops;
	conn->owner = k;
}

/* NULL: none to that server. */
static struct http_conn *take_kept(struct fetching *g)
{
	for (struct list *l = g->fetcher->kept.next; l != &g->fetcher->kept; l = l->next) {
		struct kept *k = CONTAINER(l, struct kept, link);
		struct http_conn *conn = k->conn;

		if (k->tls == g->tls && str_eq(str_of(k->authority), g->authority) && conn->capacity &&
			!conn->draining) {
			kept_free(k);
			return conn;
		}
	}
	return NULL;
}

/* -- the end -- */

/* Lets go of the connection: kept if it is at rest. */
static void let_go(struct fetching *g, bool whole)
{
	struct http_conn *conn = g->conn;

	transport_close(&g->transport);
	if (!conn) {
		stream_release(&g->stream);
		return;
	}
	conn->owner = NULL;
	stream_release(&g->stream);
	if (whole) {
		keep(g);
	} else {
		g->conn = NULL;
		drop_conn(conn);
	}
}

/* From here on it needs its fetcher no more. */
static void stop(struct fetching *g, bool whole)
{
	struct loop *l = loop_of(g);

	deadline_disarm(l, &g->timeout);
	task_cancel(&g->begin);
	resolve_cancel(&g->question);
	let_go(g, whole);
	chain_clear(&l->mem, &g->received);
}

static void fetching_free(struct fetching *g, struct loop *l)
{
	arena_free(&g->arena);
	g->magic = 0;
	mem_obj_free(&l->mem, g, sizeof(*g));
}

/* Tells and ends it. */
static void finish(struct fetching *g, enum reason why)
{
	/* Half an answer is none. */
	struct fetcher_answer a = {.why = why,
		.status = why == REASON_NONE ? g->status : 0,
		.fields = &g->answer,
		.detail = g->detail};
	char *text = arena_bytes(&g->arena, g->received.n + 1);
	struct loop *l = loop_of(g);

	OBJ_CHECK(g, FETCHING_MAGIC);
	set_state(g, FETCHING_ENDED);
	a.body = (struct str){text, chain_peek(&g->received, text, g->received.n)};
	text[a.body.n] = '\0';
	stop(g, why == REASON_NONE);
	g->done(g->ctx, &a); /* whereupon the fetcher itself may go */
	fetching_free(g, l);
}

/* A kept connection may have been closed as the request came: that one is sent again, on a connection of its own. */
static void fail(struct fetching *g, enum reason why)
{
	if (g->state != FETCHING_WAITING || !g->reused || g->status) {
		finish(g, why ? why : REASON_UPSTREAM_CLOSED);
		return;
	}
	let_go(g, false);
	g->reused = false;
	g->fresh_only = true;
	set_state(g, FETCHING_BEGUN);
	loop_defer(loop_of(g), &g->begin, LOOP_READY);
}

/* -- the answer -- */

static void on_head(struct stream *s, const struct head *head, bool last)
{
	struct fetching *g = s->owner;

	if (head->status < 200)
		return;
	g->status = head->status;
	fields_copy(&g->arena, &g->answer, &head->fields);
	if (last)
		finish(g, REASON_NONE);
}

static void on_body(struct stream *s, struct chain *chain, bool last)
{
	struct fetching *g = s->owner;

	chain_move(&g->received, chain);
	if (g->received.n > g->body_max) {
		snprintf(g->detail, sizeof(g->detail), "the answer is longer than %u bytes", g->body_max);
		finish(g, REASON_UPSTREAM_BAD_RESPONSE);
	} else if (last) {
		finish(g, REASON_NONE);
	}
}

static void on_trailers(struct stream *s, const struct fields *trailers)
{
	(void)trailers;
	finish(s->owner, REASON_NONE);
}

static void on_sent(struct stream *s, size_t n)
{
	(void)s;
	(void)n;
}

static void on_reset(struct stream *s, enum reason why)
{
	fail(s->owner, why);
}

static const struct stream_owner_ops stream_ops = {on_head, on_body, on_trailers, on_sent, on_reset};

/* -- the connection -- */

static void on_closed(struct http_conn *c, enum reason why)
{
	struct fetching *g = c->owner;

	if (!g)
		return;
	g->conn = NULL;
	if (g->state != FETCHING_ENDED)
		fail(g, why);
}

static const struct http_conn_owner_ops conn_ops = {.on_change = on_change, .on_closed = on_closed};

static void send_request(struct fetching *g)
{
	struct head head = {
		.method = g->method,
		.method_id = method_of(g->method),
		.scheme = g->tls ? STR("https") : STR("http"),
		.authority = g->authority,
		.path = g->path,
		.body = g->body.n ? BODY_LENGTH : BODY_NONE,
		.has_length = g->body.n != 0,
		.length = g->body.n,
		.fields = g->fields,
	};
	struct chain chain = {0};

	set_state(g, FETCHING_WAITING);
	stream_credit(g->stream, (size_t)g->body_max + 1);
	stream_send_head(g->stream, &head, g->body.n == 0);
	if (g->body.n == 0)
		return;
	chain_add_copy(&loop_of(g)->mem, &chain, g->body.p, g->body.n);
	stream_send_body(g->stream, &chain, true);
}

static void on_transport(struct transport *t)
{
	struct fetching *g = t->user;

	if (t->state == TRANSPORT_DEAD) {
		if (g->tls)
			snprintf(g->detail, sizeof(g->detail), "%s", tls_error_text(t));
		finish(g, t->why ? (enum reason)t->why : REASON_UPSTREAM_CONNECT);
		return;
	}
	if (t->state != TRANSPORT_OPEN)
		return;
	t->on_event = NULL;
	g->conn = h1_client(&g->transport, &limits, &conn_ops, g);
	g->stream = g->conn ? http_conn_open(g->conn, &stream_ops, g) : NULL;
	if (g->stream)
		send_request(g);
	else
		finish(g, REASON_UPSTREAM_CONNECT);
}

static bool has_tls(struct fetching *g)
{
	struct fetcher *f = g->fetcher;

	if (!f->tls)
		f->tls = tls_client_new(f->tls_conf, CONF_HTTP1, g->detail, sizeof(g->detail));
	return f->tls != NULL;
}

static void connect_to(struct fetching *g, const struct addr *to)
{
	enum reason why = REASON_UPSTREAM_CONNECT;
	struct loop *l = loop_of(g);
	struct str name = g->fetcher->tls_conf->server_name;
	struct addr literal;

	set_state(g, FETCHING_CONNECTING);
	if (g->tls && !has_tls(g)) {
		finish(g, REASON_UPSTREAM_TLS);
		return;
	}
	/* Of a URL with an address the certificate must have that address. */
	if (!name.n && !addr_parse_ip(&literal, g->host))
		name = g->host;
	g->transport = g->tls ? tls_connect(l, to, NULL, g->fetcher->tls, name, STR_NONE, &why)
			      : plain_connect(l, to, NULL, &why);
	if (!g->transport) {
		finish(g, why);
		return;
	}
	g->transport->user = g;
	g->transport->on_event = on_transport;
}

static void on_resolved(const struct resolve_answer *answer, void *ctx)
{
	struct fetching *g = ctx;

	g->question = NULL;
	g->asked = true;
	if (answer->n)
		g->addr = answer->addrs[0];
	else
		snprintf(g->detail, sizeof(g->detail), "%s", answer->error);
	set_state(g, FETCHING_BEGUN);
	loop_defer(loop_of(g), &g->begin, LOOP_READY);
}

static void resolve(struct fetching *g)
{
	/* The system's servers: the whole answer has a deadline of its own. */
	static const struct resolver_options options = {.timeout_ms = 2000, .tries = 2};
	struct fetcher *f = g->fetcher;

	set_state(g, FETCHING_RESOLVING);
	if (!f->resolver_there)
		f->resolver_there = resolver_init(&f->resolver, f->loop, &options);
	if (f->resolver_there)
		g->question = resolver_ask(&f->resolver, g->host.p, g->port, RESOLVE_BOTH, on_resolved, g);
	else
		finish(g, REASON_UPSTREAM_RESOLVE);
}

static void on_begin(struct task *t)
{
	struct fetching *g = CONTAINER(t, struct fetching, begin);
	struct http_conn *conn = g->fresh_only || g->asked ? NULL : take_kept(g);

	if (conn) {
		g->conn = conn;
		conn->owner_ops = &conn_ops;
		conn->owner = g;
		g->reused = true;
		g->stream = http_conn_open(conn, &stream_ops, g);
		if (g->stream) {
			send_request(g);
			return;
		}
		let_go(g, false);
		g->reused = false;
	}
	if (g->addr.family != ADDR_NONE) {
		connect_to(g, &g->addr);
	} else if (!g->host.n) {
		snprintf(g->detail, sizeof(g->detail), "it is no http:// or https:// URL");
		finish(g, REASON_UPSTREAM_RESOLVE);
	} else if (g->asked) {
		finish(g, REASON_UPSTREAM_RESOLVE);
	} else if (addr_parse_ip(&g->addr, g->host)) {
		g->addr.port = g->port;
		connect_to(g, &g->addr);
	} else {
		resolve(g);
	}
}

const char *fetcher_problem(const struct fetcher_answer *a, char buf[FETCHER_PROBLEM_MAX])
{
	char name[REASON_NAME_MAX];

	if (a->why == REASON_NONE)
		snprintf(buf, FETCHER_PROBLEM_MAX, "it answered %u", a->status);
	else
		snprintf(buf, FETCHER_PROBLEM_MAX, STR_FMT "%s%s", STR_ARG(reason_name(a->why, name)),
			a->detail[0] ? ": " : "", a->detail);
	return buf;
}

/* -- URLs -- */

struct url {
	bool tls;
	uint16_t port;
	struct str authority, host, path; /* path: with the query; may be empty */
};

/* http://host[:port][/path]; false: it is no such URL. */
static bool take_apart(struct url *u, struct str url)
{
	size_t slash, bracket, colon;
	uint64_t port;
	struct str rest;

	u->tls = str_starts(url, STR("https://"));
	if (!u->tls && !str_starts(url, STR("http://")))
		return false;
	rest = str_skip(url, u->tls ? 8 : 7);
	slash = MIN(str_find(rest, '/'), str_find(rest, '?'));
	u->authority = str_head(rest, slash);
	u->path = str_skip(rest, slash);
	bracket = u->authority.n && u->authority.p[0] == '[' ? str_find(u->authority, ']') : 0;
	colon = bracket + str_find(str_skip(u->authority, bracket), ':');
	u->host = str_head(u->authority, colon);
	if (bracket)
		u->host = str_head(str_skip(u->host, 1), u->host.n - 2);
	u->port = u->tls ? 443 : 80;
	if (colon < u->authority.n) {
		if (!str_to_u64(str_skip(u->authority, colon + 1), &port) || port == 0 || port > UINT16_MAX)
			return false;
		u->port = (uint16_t)port;
	}
	for (size_t i = 0; i < u->path.n; i++)
		if ((unsigned char)u->path.p[i] <= ' ' || (unsigned char)u->path.p[i] >= 0x7f)
			return false;
	return u->host.n && authority_is_valid(u->authority);
}

bool fetcher_url_is_valid(struct str url)
{
	struct url u;

	return take_apart(&u, url);
}

static void on_timeout(struct deadline *d)
{
	finish(CONTAINER(d, struct fetching, timeout), REASON_CHECK_TIMEOUT);
}

struct fetching *fetcher_begin(struct fetcher *f, const struct fetcher_request *rq,
	void (*done)(void *ctx, const struct fetcher_answer *answer), void *ctx)
{
	struct fetching *g = mem_obj(&f->loop->mem, sizeof(*g));
	struct url u;

	g->magic = FETCHING_MAGIC;
	g->fetcher = f;
	g->done = done;
	g->ctx = ctx;
	g->body_max = rq->body_max;
	arena_init(&g->arena, &f->loop->mem);
	g->method = arena_str(&g->arena, rq->method);
	g->body = arena_str(&g->arena, rq->body);
	fields_copy(&g->arena, &g->fields, &rq->fields);
	fields_add(&g->arena, &g->fields, FIELD_USER_AGENT, STR("user-agent"), STR("weir/" WEIR_VERSION));
	g->fresh_only = rq->once;
	if (take_apart(&u, rq->url)) {
		g->tls = u.tls;
		g->port = u.port;
		g->authority = arena_str(&g->arena, u.authority);
		g->host = arena_str(&g->arena, u.host);
		g->path = u.path.n && u.path.p[0] == '/' ? arena_str(&g->arena, u.path)
							 : arena_fmt(&g->arena, "/" STR_FMT, STR_ARG(u.path));
	}
	g->begin.run = on_begin;
	g->timeout.fire = on_timeout;
	deadline_arm(f->loop, &g->timeout, rq->timeout_ms);
	loop_defer(f->loop, &g->begin, LOOP_READY);
	return g;
}

void fetching_cancel(struct fetching **gp)
{
	struct fetching *g = TAKE(gp);
	struct loop *l;

	if (!g)
		return;
	OBJ_CHECK(g, FETCHING_MAGIC);
	l = loop_of(g);
	stop(g, false);
	fetching_free(g, l);
}

struct fetcher *fetcher_new(struct loop *l, const struct conf_upstream_tls *tls)
{
	static const struct conf_upstream_tls system = {.on = true, .verify = true};
	struct fetcher *f = calloc(1, sizeof(*f));

	MUST(f);
	f->loop = l;
	f->tls_conf = tls ? tls : &system;
	list_init(&f->kept);
	return f;
}

void fetcher_free(struct fetcher **fp)
{
	struct fetcher *f = TAKE(fp);
	struct list *link;

	if (!f)
		return;
	while ((link = list_first(&f->kept))) {
		struct kept *k = CONTAINER(link, struct kept, link);
		struct http_conn *conn = k->conn;

		kept_free(k);
		drop_conn(conn);
	}
	if (f->resolver_there)
		resolver_free(&f->resolver);
	tls_client_release(f->tls);
	free(f);
}
