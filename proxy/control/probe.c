#include "control/probe.h"

#include <errno.h>
#include <stdio.h>
#include "base/obj.h"
#include "io/proxy_protocol.h"
#include "io/tls.h"

#define PROBE_MAGIC 0x940be001
#define BODY_LOOK   (64u * 1024) /* how much of an answer is searched for health.body */
#define HEAD_BYTES  (16u * 1024)
#define HEAD_FIELDS 100

/* A kept connection is asked so often, more or less, before a new one has to show that the backend still accepts any. */
#define KEPT_ASKS        16
#define KEPT_ASKS_SPREAD 32

enum probe_state {
	PROBE_RESTING, /* not asking; a connection may be kept */
	PROBE_CONNECTING,
	PROBE_WAITING, /* for the answer */
	PROBE_ENDING, /* it has passed, which was told; the rest of the answer stands between the connection and the next question */
	PROBE_STATES
};

static const uint8_t legal[PROBE_STATES] = {
	[PROBE_RESTING] = BIT(PROBE_CONNECTING) | BIT(PROBE_WAITING),
	[PROBE_CONNECTING] = BIT(PROBE_WAITING) | BIT(PROBE_RESTING),
	[PROBE_WAITING] = BIT(PROBE_ENDING) | BIT(PROBE_RESTING) | BIT(PROBE_CONNECTING),
	[PROBE_ENDING] = BIT(PROBE_RESTING),
};

struct probe {
	uint32_t magic;
	uint8_t state; /* enum probe_state */
	bool reused; /* the question went over a kept connection */
	uint32_t asks_left; /* until the connection is renewed */
	struct loop *loop;
	struct probe_target target;
	void (*done)(const struct probe_outcome *, void *);
	void *ctx;
	struct probe_outcome outcome;
	uint64_t start_us;
	struct deadline timeout;
	struct task failed_at_once; /* the outcome was known before probe_ask() returned */
	struct transport *transport; /* until there is a connection */
	struct http_conn *conn; /* kept while resting */
	struct stream *stream;
	struct chain body; /* what is searched */
	struct arena arena;
};

/* The probe's own timeout is the only one; a connection outlives its probe by the rest of a tick. */
static const struct http_limits limits = {
	.header_bytes = HEAD_BYTES, .header_count = HEAD_FIELDS, .max_streams = 1};

static void set_state(struct probe *p, enum probe_state to)
{
	MUST(legal[p->state] & BIT(to));
	p->state = (uint8_t)to;
}

static void hang_up(struct probe *p)
{
	struct http_conn *conn = TAKE(&p->conn);

	if (conn)
		conn->owner = NULL; /* its last word finds nobody */
	stream_release(&p->stream);
	if (conn)
		http_conn_close(conn, REASON_CANCELLED);
	transport_close(&p->transport);
}

static void clean_up(struct probe *p)
{
	deadline_disarm(p->loop, &p->timeout);
	task_cancel(&p->failed_at_once);
	chain_clear(&p->loop->mem, &p->body);
	arena_free(&p->arena);
}

static void tell(struct probe *p, enum reason why)
{
	struct probe_outcome outcome = p->outcome;

	OBJ_CHECK(p, PROBE_MAGIC);
	outcome.why = why;
	outcome.duration_us = (uint32_t)(p->loop->now_us - p->start_us);
	clean_up(p);
	p->done(&outcome, p->ctx);
}

static bool may_keep(const struct probe *p)
{
	return p->target.keep && p->asks_left > 0;
}

/* whole: the answer has ended, so that the connection could take another question. */
static void finish(struct probe *p, enum reason why, bool whole)
{
	if (why == REASON_NONE && whole && may_keep(p))
		stream_release(&p->stream);
	else
		hang_up(p);
	set_state(p, PROBE_RESTING);
	tell(p, why);
}

/* Without a connection. */
static void rest(struct probe *p)
{
	hang_up(p);
	if (p->state == PROBE_ENDING)
		set_state(p, PROBE_RESTING);
}

/* The answer that was told of already has ended: the connection is free. */
static void end(struct probe *p)
{
	stream_release(&p->stream);
	set_state(p, PROBE_RESTING);
}

/* -- the answer -- */

static bool status_is_good(const struct conf_health *h, unsigned status)
{
	for (uint32_t i = 0; i < h->status_n; i++)
		if (status >= h->status[i].from && status <= h->status[i].to)
			return true;
	return false;
}

static bool body_contains(struct probe *p, struct str wanted)
{
	size_t n = MIN(p->body.n, BODY_LOOK);
	char *text = arena_bytes(&p->arena, n + 1);

	chain_peek(&p->body, text, n);
	return n >= wanted.n && memmem(text, n, wanted.p, wanted.n) != NULL;
}

#define GRPC_FRAME   5 /* bytes in front of a message: compressed or not, then its length */
#define GRPC_SERVING 1

static const char *const serving_names[] = {"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"};

/* The status in a grpc.health.v1.HealthCheckResponse: field 1, a varint, absent when it is 0. -1: no answer of that kind. */
static int serving_status(const struct probe *p)
{
	uint8_t frame[GRPC_FRAME + 2] = {0};
	size_t n = chain_peek(&p->body, (char *)frame, sizeof(frame));

	if (n < GRPC_FRAME || frame[0] != 0 || p->body.n != GRPC_FRAME + (size_t)frame[4])
		return -1;
	if (n == GRPC_FRAME)
		return 0;
	return n == sizeof(frame) && frame[GRPC_FRAME] == 0x08 ? frame[GRPC_FRAME + 1] : -1;
}

/* What the server says of the call itself: "5 unknown service" (a trailer, or a header when there is nothing else). */
static void note_grpc_status(struct probe *p, const struct fields *fields)
{
	const struct field *code = fields_find_name(fields, STR("grpc-status"));
	const struct field *text = fields_find_name(fields, STR("grpc-message"));
	struct str status = code ? field_value(code) : STR_NONE,
		   message = text ? field_value(text) : STR_NONE;

	if (status.n && !str_eq(status, STR("0")))
		snprintf(p->outcome.detail, sizeof(p->outcome.detail), "grpc-status %.*s %.*s",
			(int)MIN(status.n, 4u), status.p, (int)MIN(message.n, 64u),
			message.p ? message.p : "");
}

static enum reason judge_grpc(struct probe *p)
{
	int status = serving_status(p);

	if (p->outcome.detail[0])
		return REASON_CHECK_GRPC;
	if (status >= 0 && status < (int)COUNT_OF(serving_names) && status != GRPC_SERVING)
		snprintf(p->outcome.detail, sizeof(p->outcome.detail), "%s", serving_names[status]);
	return status == GRPC_SERVING ? REASON_NONE : REASON_CHECK_GRPC;
}

static void judge(struct probe *p, bool whole)
{
	const struct conf_health *h = &p->target.health;

	if (h->kind == CONF_CHECK_GRPC)
		finish(p, judge_grpc(p), whole);
	else
		finish(p, h->body.n && !body_contains(p, h->body) ? REASON_CHECK_BODY : REASON_NONE, whole);
}

static void on_head(struct stream *s, const struct head *head, bool last)
{
	struct probe *p = s->owner;
	const struct conf_health *h = &p->target.health;

	if (head->status < 200)
		return;
	p->outcome.status = head->status;
	if (h->kind == CONF_CHECK_HTTP && !status_is_good(h, head->status)) {
		finish(p, REASON_CHECK_STATUS, false);
		return;
	}
	if (h->kind == CONF_CHECK_GRPC)
		note_grpc_status(p, &head->fields);
	if (last) {
		judge(p, true);
	} else if (h->kind == CONF_CHECK_HTTP && h->body.n == 0) {
		if (!may_keep(p)) {
			finish(p, REASON_NONE, false);
			return;
		}
		set_state(p, PROBE_ENDING);
		tell(p, REASON_NONE);
	}
}

static void on_body(struct stream *s, struct chain *chain, bool last)
{
	struct probe *p = s->owner;

	if (p->state == PROBE_ENDING) {
		if (last)
			end(p);
		return;
	}
	chain_move(&p->body, chain);
	/* What comes later is not looked at, so it need not be waited for. */
	if (last || p->body.n >= BODY_LOOK)
		judge(p, last);
}

static void on_trailers(struct stream *s, const struct fields *trailers)
{
	struct probe *p = s->owner;

	if (p->state == PROBE_ENDING) {
		end(p);
		return;
	}
	if (p->target.health.kind == CONF_CHECK_GRPC)
		note_grpc_status(p, trailers);
	judge(p, true);
}

static void on_sent(struct stream *s, size_t n)
{
	(void)s;
	(void)n;
}

static void begin_connect(struct probe *p);

static void on_reset(struct stream *s, enum reason why)
{
	struct probe *p = s->owner;

	if (p->state == PROBE_ENDING) {
		rest(p);
		return;
	}
	/* The backend may close a kept connection whenever it likes: only a new one tells how it is. */
	if (p->reused && p->outcome.status == 0) {
		hang_up(p);
		begin_connect(p);
		return;
	}
	finish(p, why, false);
}

static const struct stream_owner_ops stream_ops = {on_head, on_body, on_trailers, on_sent, on_reset};

/* -- the connection -- */

static bool is_tls(const struct probe *p)
{
	return p->target.tls && p->target.health.kind != CONF_CHECK_TCP;
}

static void on_change(struct http_conn *c)
{
	(void)c;
}

static void on_closed(struct http_conn *c, enum reason why)
{
	struct probe *p = c->owner;

	/* A stream that was open has been told before, and has ended the probe. */
	if (!p)
		return;
	p->conn = NULL;
	if (probe_is_asking(p))
		finish(p, why ? why : REASON_UPSTREAM_CLOSED, false);
}

static const struct http_conn_owner_ops conn_ops = {.on_change = on_change, .on_closed = on_closed};

static void send_http(struct probe *p, bool tls)
{
	const struct conf_health *h = &p->target.health;
	struct head head = {
		.method = h->method,
		.method_id = method_of(h->method),
		.scheme = tls ? STR("https") : STR("http"),
		.authority = h->host.n ? h->host : p->target.authority,
		.path = h->path,
	};

	for (uint32_t i = 0; i < h->header_n; i++)
		fields_add(&p->arena, &head.fields, field_id_of(h->headers[i].name), h->headers[i].name,
			h->headers[i].value);
	if (!fields_find(&head.fields, FIELD_USER_AGENT))
		fields_add(&p->arena, &head.fields, FIELD_USER_AGENT, STR("user-agent"),
			STR("weir-health/" WEIR_VERSION));
	stream_send_head(p->stream, &head, true);
}

/* A length as Protocol Buffers write it: seven bits a byte, the lowest first. */
static size_t put_varint(char *to, size_t n)
{
	size_t i = 0;

	for (; n > 0x7f; n >>= 7)
		to[i++] = (char)(0x80 | (n & 0x7f));
	to[i++] = (char)n;
	return i;
}

/* What stands before the service's name in HealthCheckRequest{service}: a frame's five bytes (gRPC over HTTP/2, "Length-Prefixed-Message"),
 * field 1, a string, and its length. Returns the number of bytes. */
static size_t grpc_prefix(char to[16], struct str service)
{
	size_t n = 0, message;

	if (service.n) {
		to[5] = 0x0a;
		n = 1 + put_varint(to + 6, service.n);
	}
	message = n + service.n;
	to[0] = 0; /* not compressed */
	for (unsigned i = 0; i < 4; i++)
		to[1 + i] = (char)(message >> (24 - 8 * i));
	return 5 + n;
}

static void send_grpc(struct probe *p, bool tls)
{
	struct str service = p->target.health.grpc_service;
	struct head head = {
		.method = STR("POST"),
		.method_id = METHOD_POST,
		.scheme = tls ? STR("https") : STR("http"),
		.authority = p->target.health.host.n ? p->target.health.host : p->target.authority,
		.path = STR("/grpc.health.v1.Health/Check"),
		.body = BODY_STREAM,
		.te_trailers = true,
	};
	struct chain chain = {0};
	char prefix[16];

	fields_add(&p->arena, &head.fields, FIELD_CONTENT_TYPE, STR("content-type"), STR("application/grpc"));
	stream_send_head(p->stream, &head, false);
	chain_add_copy(&p->loop->mem, &chain, prefix, grpc_prefix(prefix, service));
	chain_add_copy(&p->loop->mem, &chain, service.p, service.n);
	stream_send_body(p->stream, &chain, true);
}

/* False: the connection takes no question. */
static bool ask(struct probe *p)
{
	p->stream = http_conn_open(p->conn, &stream_ops, p);
	if (!p->stream)
		return false;
	p->asks_left--;
	set_state(p, PROBE_WAITING);
	stream_credit(p->stream, BODY_LOOK);
	if (p->target.health.kind == CONF_CHECK_GRPC)
		send_grpc(p, is_tls(p));
	else
		send_http(p, is_tls(p));
	return true;
}

static void ask_first(struct probe *p)
{
	const struct tls_info *tls = transport_tls(p->transport);
	uint8_t protocol = p->target.protocol;
	bool h2 = protocol == CONF_H2 || protocol == CONF_H2C || p->target.health.kind == CONF_CHECK_GRPC ||
		  (tls && str_eq(tls->alpn, STR("h2")));

	p->transport->on_event = NULL;
	p->conn = h2 ? h2_client(&p->transport, &limits, &conn_ops, p)
		     : h1_client(&p->transport, &limits, &conn_ops, p);
	p->asks_left = KEPT_ASKS + (uint32_t)(loop_random(p->loop) % KEPT_ASKS_SPREAD);
	if (!p->conn || !ask(p))
		finish(p, REASON_UPSTREAM_CONNECT, false);
}

/* LOCAL, or UNKNOWN: the connection is the proxy's own (proxy-protocol.txt 2.1, 2.2). */
static size_t preamble_of(const struct probe *p, char out[PROXY_WRITE_MAX])
{
	const struct addr nobody = {0};

	return p->target.proxy_protocol
		       ? proxy_protocol_write(p->target.proxy_protocol, &nobody, &nobody, out)
		       : 0;
}

/* A socket just opened takes that much at once. TLS has sent it before its handshake. */
static bool send_preamble(struct probe *p)
{
	char preamble[PROXY_WRITE_MAX];
	struct iovec iov = {preamble, preamble_of(p, preamble)};

	return iov.iov_len == 0 || is_tls(p) ||
	       transport_writev(p->transport, &iov, 1) == (ssize_t)iov.iov_len;
}

static void on_transport(struct transport *t)
{
	struct probe *p = t->user;

	if (t->state == TRANSPORT_DEAD) {
		snprintf(p->outcome.detail, sizeof(p->outcome.detail), "%s",
			is_tls(p) ? tls_error_text(t) : "");
		finish(p, t->why ? (enum reason)t->why : REASON_UPSTREAM_CONNECT, false);
		return;
	}
	if (t->state != TRANSPORT_OPEN)
		return;
	if (p->target.health.kind == CONF_CHECK_TCP || p->target.health.kind == CONF_CHECK_TLS)
		finish(p, REASON_NONE, false);
	else if (!send_preamble(p))
		finish(p, REASON_UPSTREAM_CONNECT, false);
	else
		ask_first(p);
}

static void on_timeout(struct deadline *d)
{
	finish(CONTAINER(d, struct probe, timeout), REASON_CHECK_TIMEOUT, false);
}

static void on_failed_at_once(struct task *t)
{
	struct probe *p = CONTAINER(t, struct probe, failed_at_once);

	finish(p, p->outcome.why, false);
}

/* What this machine lacks, not the backend. */
static bool is_our_want(int err)
{
	return err == EMFILE || err == ENFILE || err == ENOBUFS || err == ENOMEM;
}

static enum reason open_transport(struct probe *p)
{
	const struct probe_target *target = &p->target;
	const char *unix_path = target->unix_path.n ? target->unix_path.p : NULL;
	char preamble[PROXY_WRITE_MAX];
	enum reason why = REASON_UPSTREAM_CONNECT;

	if (target->lost)
		return target->lost;
	if (target->addr.family == ADDR_NONE)
		return REASON_UPSTREAM_RESOLVE;
	errno = 0;
	if (is_tls(p))
		p->transport = tls_connect(p->loop, &target->addr, unix_path, target->tls, target->name,
			(struct str){preamble, preamble_of(p, preamble)}, &why);
	else
		p->transport = plain_connect(p->loop, &target->addr, unix_path, &why);
	if (p->transport)
		return REASON_NONE;
	p->outcome.not_asked = is_our_want(errno);
	return why;
}

static void begin_connect(struct probe *p)
{
	set_state(p, PROBE_CONNECTING);
	p->reused = false;
	p->outcome.why = open_transport(p);
	if (!p->transport) {
		loop_defer(p->loop, &p->failed_at_once, LOOP_READY);
		return;
	}
	p->transport->user = p;
	p->transport->on_event = on_transport;
}

struct probe *probe_new(
	struct loop *l, void (*done)(const struct probe_outcome *outcome, void *ctx), void *ctx)
{
	struct probe *p = mem_obj(&l->mem, sizeof(*p));

	p->magic = PROBE_MAGIC;
	p->loop = l;
	arena_init(&p->arena, &l->mem);
	p->done = done;
	p->ctx = ctx;
	p->timeout.fire = on_timeout;
	p->failed_at_once.run = on_failed_at_once;
	return p;
}

void probe_aim(struct probe *p, const struct probe_target *target)
{
	bool moved = p->target.tls != target->tls || p->target.addr.port != target->addr.port ||
		     p->target.addr.family != target->addr.family ||
		     !addr_eq_ip(&p->target.addr, &target->addr);

	p->target = *target;
	if (!probe_is_asking(p) && (moved || !target->keep))
		rest(p);
}

void probe_ask(struct probe *p)
{
	OBJ_CHECK(p, PROBE_MAGIC);
	if (p->state == PROBE_ENDING)
		rest(p);
	p->outcome = (struct probe_outcome){0};
	p->start_us = p->loop->now_us;
	deadline_arm(p->loop, &p->timeout, p->target.health.timeout);
	p->reused = p->conn != NULL;
	if (p->reused && ask(p))
		return;
	hang_up(p);
	begin_connect(p);
}

bool probe_is_asking(const struct probe *p)
{
	return p->state == PROBE_CONNECTING || p->state == PROBE_WAITING;
}

void probe_free(struct probe **pp)
{
	struct probe *p = TAKE(pp);

	if (!p)
		return;
	OBJ_CHECK(p, PROBE_MAGIC);
	hang_up(p);
	clean_up(p);
	p->magic = 0;
	mem_obj_free(&p->loop->mem, p, sizeof(*p));
}
