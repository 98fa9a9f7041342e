#include "control/fetch.h"

#include <stdio.h>
#include <string.h>
#include "base/obj.h"
#include "http/conn.h"
#include "io/resolver.h"
#include "io/tls.h"

#define FETCH_MAGIC 0xfe7c4001
#define HEAD_BYTES  (32u * 1024)
#define HEAD_FIELDS 200

#define RESOLVE_TIMEOUT_MS 2000 /* of one try; the fetch's own is over everything */

enum fetch_state {
	FETCH_BEGUN, /* the next tick knows more */
	FETCH_RESOLVING,
	FETCH_CONNECTING,
	FETCH_WAITING, /* for the answer */
	FETCH_ENDED,
	FETCH_STATES
};

static const uint8_t legal[FETCH_STATES] = {
	[FETCH_BEGUN] = BIT(FETCH_RESOLVING) | BIT(FETCH_CONNECTING) | BIT(FETCH_ENDED),
	[FETCH_RESOLVING] = BIT(FETCH_CONNECTING) | BIT(FETCH_ENDED),
	[FETCH_CONNECTING] = BIT(FETCH_WAITING) | BIT(FETCH_ENDED),
	[FETCH_WAITING] = BIT(FETCH_ENDED),
};

struct fetch {
	uint32_t magic;
	uint8_t state; /* enum fetch_state */
	bool tls;
	uint16_t status;
	uint16_t port;
	struct loop *loop;
	void (*done)(void *ctx, const struct fetch_answer *answer);
	void *ctx;
	struct arena arena; /* the texts */
	struct str method, authority, host, path, content_type, body;
	struct task begin; /* then: go on with what the resolver said */
	struct deadline timeout;
	struct addr addr; /* ADDR_NONE: the name has none */
	struct resolver resolver;
	bool resolver_there;
	struct resolve *question;
	struct tls_client *client;
	struct transport *transport;
	struct http_conn *conn;
	struct stream *stream;
	struct chain received;
	char detail[96];
};

static const struct http_limits limits = {
	.header_bytes = HEAD_BYTES, .header_count = HEAD_FIELDS, .max_streams = 1};

static void set_state(struct fetch *f, enum fetch_state to)
{
	MUST(legal[f->state] & BIT(to));
	f->state = (uint8_t)to;
}

static void fetch_free(struct fetch *f)
{
	struct http_conn *conn = TAKE(&f->conn);

	deadline_disarm(f->loop, &f->timeout);
	task_cancel(&f->begin);
	resolve_cancel(&f->question);
	if (f->resolver_there)
		resolver_free(&f->resolver);
	if (conn)
		conn->owner = NULL; /* its last word finds nobody */
	stream_release(&f->stream);
	if (conn)
		http_conn_close(conn, REASON_CANCELLED);
	transport_close(&f->transport);
	tls_client_release(f->client);
	chain_clear(&f->loop->mem, &f->received);
	arena_free(&f->arena);
	f->magic = 0;
	mem_obj_free(&f->loop->mem, f, sizeof(*f));
}

/* Tells and ends it. */
static void finish(struct fetch *f, enum reason why)
{
	struct fetch_answer a = {.why = why, .status = f->status};
	char *text = arena_bytes(&f->arena, f->received.n + 1);

	OBJ_CHECK(f, FETCH_MAGIC);
	set_state(f, FETCH_ENDED);
	a.body = (struct str){text, chain_peek(&f->received, text, f->received.n)};
	text[a.body.n] = '\0';
	memcpy(a.detail, f->detail, sizeof(a.detail));
	f->done(f->ctx, &a);
	fetch_free(f);
}

/* -- the answer -- */

static void on_head(struct stream *s, const struct head *head, bool last)
{
	struct fetch *f = s->owner;

	if (head->status < 200)
		return;
	f->status = head->status;
	if (last)
		finish(f, REASON_NONE);
}

static void on_body(struct stream *s, struct chain *chain, bool last)
{
	struct fetch *f = s->owner;

	chain_move(&f->received, chain);
	if (f->received.n > FETCH_BODY_MAX) {
		snprintf(f->detail, sizeof(f->detail), "the answer is longer than %u bytes", FETCH_BODY_MAX);
		finish(f, REASON_UPSTREAM_BAD_RESPONSE);
	} else if (last) {
		finish(f, REASON_NONE);
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
	finish(s->owner, why ? why : REASON_UPSTREAM_CLOSED);
}

static const struct stream_owner_ops stream_ops = {on_head, on_body, on_trailers, on_sent, on_reset};

/* -- the connection -- */

static void on_change(struct http_conn *c)
{
	(void)c;
}

static void on_closed(struct http_conn *c, enum reason why)
{
	struct fetch *f = c->owner;

	if (!f)
		return;
	f->conn = NULL;
	if (f->state != FETCH_ENDED)
		finish(f, why ? why : REASON_UPSTREAM_CLOSED);
}

static const struct http_conn_owner_ops conn_ops = {.on_change = on_change, .on_closed = on_closed};

static void send_request(struct fetch *f)
{
	struct head head = {
		.method = f->method,
		.method_id = method_of(f->method),
		.scheme = f->tls ? STR("https") : STR("http"),
		.authority = f->authority,
		.path = f->path,
		.body = f->body.n ? BODY_LENGTH : BODY_NONE,
		.has_length = f->body.n != 0,
		.length = f->body.n,
	};
	struct chain chain = {0};

	fields_add(&f->arena, &head.fields, FIELD_USER_AGENT, STR("user-agent"), STR("weir/" WEIR_VERSION));
	fields_add(&f->arena, &head.fields, FIELD_OTHER, STR("accept"), STR("application/json"));
	if (f->body.n)
		fields_add(&f->arena, &head.fields, FIELD_CONTENT_TYPE, STR("content-type"), f->content_type);
	stream_credit(f->stream, FETCH_BODY_MAX + 1);
	stream_send_head(f->stream, &head, f->body.n == 0);
	if (f->body.n == 0)
		return;
	chain_add_copy(&f->loop->mem, &chain, f->body.p, f->body.n);
	stream_send_body(f->stream, &chain, true);
}

static void on_transport(struct transport *t)
{
	struct fetch *f = t->user;

	if (t->state == TRANSPORT_DEAD) {
		if (f->tls)
			snprintf(f->detail, sizeof(f->detail), "%s", tls_error_text(t));
		finish(f, t->why ? (enum reason)t->why : REASON_UPSTREAM_CONNECT);
		return;
	}
	if (t->state != TRANSPORT_OPEN)
		return;
	t->on_event = NULL;
	f->conn = h1_client(&f->transport, &limits, &conn_ops, f);
	f->stream = f->conn ? http_conn_open(f->conn, &stream_ops, f) : NULL;
	if (!f->stream) {
		finish(f, REASON_UPSTREAM_CONNECT);
		return;
	}
	set_state(f, FETCH_WAITING);
	send_request(f);
}

static bool make_client(struct fetch *f)
{
	const struct conf_upstream_tls tls = {.on = true, .verify = true};

	f->client = tls_client_new(&tls, CONF_HTTP1, f->detail, sizeof(f->detail));
	return f->client != NULL;
}

static void connect_to(struct fetch *f, const struct addr *to)
{
	enum reason why = REASON_UPSTREAM_CONNECT;

	set_state(f, FETCH_CONNECTING);
	if (f->tls && !make_client(f)) {
		finish(f, REASON_UPSTREAM_TLS);
		return;
	}
	f->transport = f->tls ? tls_connect(f->loop, to, NULL, f->client, f->host, STR_NONE, &why)
			      : plain_connect(f->loop, to, NULL, &why);
	if (!f->transport) {
		finish(f, why);
		return;
	}
	f->transport->user = f;
	f->transport->on_event = on_transport;
}

static void on_go_on(struct task *t)
{
	struct fetch *f = CONTAINER(t, struct fetch, begin);

	if (f->addr.family == ADDR_NONE)
		finish(f, REASON_UPSTREAM_RESOLVE);
	else
		connect_to(f, &f->addr);
}

/* The resolver, which is in the middle of telling, may end with the fetch: later. */
static void on_resolved(const struct resolve_answer *answer, void *ctx)
{
	struct fetch *f = ctx;

	f->question = NULL;
	if (answer->n)
		f->addr = answer->addrs[0];
	else
		snprintf(f->detail, sizeof(f->detail), "%s", answer->error);
	f->begin.run = on_go_on;
	loop_defer(f->loop, &f->begin, LOOP_READY);
}

/* http://host[:port][/path]; false: it is no such URL. */
static bool take_apart(struct fetch *f, struct str url)
{
	struct str rest = str_skip(url, str_find(url, '/') + 2);
	size_t slash = MIN(str_find(rest, '/'), str_find(rest, '?')), bracket, colon;
	uint64_t port;

	f->tls = str_starts(url, STR("https://"));
	if (!f->tls && !str_starts(url, STR("http://")))
		return false;
	f->authority = arena_str(&f->arena, str_head(rest, slash));
	f->path = str_skip(rest, slash);
	f->path = f->path.n && f->path.p[0] == '/' ? arena_str(&f->arena, f->path)
						   : arena_fmt(&f->arena, "/" STR_FMT, STR_ARG(f->path));
	bracket = f->authority.n && f->authority.p[0] == '[' ? str_find(f->authority, ']') : 0;
	colon = bracket + str_find(str_skip(f->authority, bracket), ':');
	f->host = str_head(f->authority, colon);
	if (bracket)
		f->host = str_head(str_skip(f->host, 1), f->host.n - 2);
	f->host = arena_str(&f->arena, f->host);
	f->port = f->tls ? 443 : 80;
	if (colon < f->authority.n) {
		if (!str_to_u64(str_skip(f->authority, colon + 1), &port) || port == 0 || port > UINT16_MAX)
			return false;
		f->port = (uint16_t)port;
	}
	for (size_t i = 0; i < f->path.n; i++)
		if ((unsigned char)f->path.p[i] <= ' ' || f->path.p[i] == 0x7f)
			return false;
	return f->host.n && authority_is_valid(f->authority);
}

static void on_begin(struct task *t)
{
	struct fetch *f = CONTAINER(t, struct fetch, begin);
	const struct resolver_options options = {.timeout_ms = RESOLVE_TIMEOUT_MS, .tries = 2};
	struct addr addr;

	if (!f->host.n) {
		snprintf(f->detail, sizeof(f->detail), "it is no http:// or https:// URL");
		finish(f, REASON_UPSTREAM_RESOLVE);
	} else if (addr_parse_ip(&addr, f->host)) {
		addr.port = f->port;
		f->host = STR_NONE; /* the certificate must have the address */
		connect_to(f, &addr);
	} else {
		set_state(f, FETCH_RESOLVING);
		f->resolver_there = resolver_init(&f->resolver, f->loop, &options);
		if (f->resolver_there)
			f->question =
				resolver_ask(&f->resolver, f->host.p, f->port, RESOLVE_BOTH, on_resolved, f);
		else
			finish(f, REASON_UPSTREAM_RESOLVE);
	}
}

static void on_timeout(struct deadline *d)
{
	struct fetch *f = CONTAINER(d, struct fetch, timeout);

	f->status = 0; /* half an answer is none */
	finish(f, REASON_CHECK_TIMEOUT);
}

struct fetch *fetch_begin(struct loop *l, const struct fetch_request *rq,
	void (*done)(void *ctx, const struct fetch_answer *answer), void *ctx)
{
	struct fetch *f = mem_obj(&l->mem, sizeof(*f));

	f->magic = FETCH_MAGIC;
	f->loop = l;
	f->done = done;
	f->ctx = ctx;
	arena_init(&f->arena, &l->mem);
	f->method = arena_str(&f->arena, rq->method);
	f->content_type = arena_str(&f->arena, rq->content_type);
	f->body = arena_str(&f->arena, rq->body);
	if (!take_apart(f, rq->url))
		f->host = STR_NONE;
	f->begin.run = on_begin;
	f->timeout.fire = on_timeout;
	deadline_arm(l, &f->timeout, rq->timeout_ms);
	loop_defer(l, &f->begin, LOOP_READY);
	return f;
}

void fetch_cancel(struct fetch **fp)
{
	struct fetch *f = TAKE(fp);

	if (!f)
		return;
	OBJ_CHECK(f, FETCH_MAGIC);
	fetch_free(f);
}
