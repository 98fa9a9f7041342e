#include "control/probe.h"

#include <stdio.h>
#include "base/obj.h"
#include "io/tls.h"

#define PROBE_MAGIC 0x940be001
#define BODY_LOOK   (64u * 1024) /* how much of an answer is searched for health.body */
#define HEAD_BYTES  (16u * 1024)
#define HEAD_FIELDS 100

struct probe {
	uint32_t magic;
	struct loop *loop;
	struct probe_target target;
	void (*done)(const struct probe_outcome *, void *);
	void *ctx;
	struct probe_outcome outcome;
	uint64_t start_us;
	struct deadline timeout;
	struct task failed_at_once; /* the outcome was known before probe_start() returned */
	struct transport *transport; /* until there is a connection */
	struct http_conn *conn;
	struct stream *stream;
	struct http_limits limits;
	struct chain body; /* what is searched */
	struct arena arena;
};

static void probe_free(struct probe *p)
{
	deadline_disarm(p->loop, &p->timeout);
	task_cancel(&p->failed_at_once);
	if (p->conn)
		p->conn->owner = NULL; /* its last word finds nobody */
	stream_release(&p->stream);
	if (p->conn)
		http_conn_close(p->conn, REASON_CANCELLED);
	transport_close(&p->transport);
	chain_clear(&p->loop->mem, &p->body);
	arena_free(&p->arena);
	p->magic = 0;
	mem_obj_free(&p->loop->mem, p, sizeof(*p));
}

static void finish(struct probe *p, enum reason why)
{
	void (*done)(const struct probe_outcome *, void *) = p->done;
	struct probe_outcome outcome = p->outcome;
	void *ctx = p->ctx;

	OBJ_CHECK(p, PROBE_MAGIC);
	outcome.why = why;
	outcome.duration_us = (uint32_t)(p->loop->now_us - p->start_us);
	probe_free(p);
	done(&outcome, ctx);
}

/* -- the answer -- */

static bool status_is_good(const struct conf_health *h, unsigned status)
{
	for (uint32_t i = 0; i < h->status_n; i++)
		if (status >= h->status[i].from && status <= h->status[i].to)
			return true;
	return false;
}

static bool body_contains(const struct probe *p, struct str wanted)
{
	size_t n = MIN(p->body.n, BODY_LOOK);
	char *text = arena_bytes((struct arena *)(uintptr_t)&p->arena, n + 1);

	chain_peek(&p->body, text, n);
	return n >= wanted.n && memmem(text, n, wanted.p, wanted.n) != NULL;
}

/* grpc.health.v1.HealthCheckResponse in its frame: field 1, a varint; SERVING is 1. */
static bool is_serving(const struct probe *p)
{
	uint8_t message[7];

	return chain_peek(&p->body, (char *)message, sizeof(message)) == sizeof(message) && message[0] == 0 &&
	       message[5] == 0x08 && message[6] == 1;
}

static void judge(struct probe *p)
{
	const struct conf_health *h = &p->target.health;

	if (h->kind == CONF_CHECK_GRPC) {
		finish(p, is_serving(p) ? REASON_NONE : REASON_CHECK_GRPC);
		return;
	}
	finish(p, h->body.n && !body_contains(p, h->body) ? REASON_CHECK_BODY : REASON_NONE);
}

static void on_head(struct stream *s, const struct head *head, bool last)
{
	struct probe *p = s->owner;
	const struct conf_health *h = &p->target.health;

	if (head->status < 200)
		return;
	p->outcome.status = head->status;
	if (h->kind == CONF_CHECK_HTTP && !status_is_good(h, head->status)) {
		finish(p, REASON_CHECK_STATUS);
		return;
	}
	if (last || (h->kind == CONF_CHECK_HTTP && h->body.n == 0))
		judge(p);
}

static void on_body(struct stream *s, struct chain *chain, bool last)
{
	struct probe *p = s->owner;

	chain_move(&p->body, chain);
	/* What was found early need not be waited for. */
	if (last || p->body.n >= BODY_LOOK)
		judge(p);
}

static void on_trailers(struct stream *s, const struct fields *trailers)
{
	(void)trailers;
	judge(s->owner);
}

static void on_sent(struct stream *s, size_t n)
{
	(void)s;
	(void)n;
}

static void on_reset(struct stream *s, enum reason why)
{
	finish(s->owner, why);
}

static const struct stream_owner_ops stream_ops = {on_head, on_body, on_trailers, on_sent, on_reset};

/* -- the connection -- */

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
	finish(p, why ? why : REASON_UPSTREAM_CLOSED);
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

	fields_add(&p->arena, &head.fields, FIELD_USER_AGENT, STR("user-agent"), STR("weir-health/" WEIR_VERSION));
	stream_send_head(p->stream, &head, true);
}

/* grpc.health.v1.Health/Check with HealthCheckRequest{service}: a frame of five bytes, then field 1, a string. */
static void send_grpc(struct probe *p, bool tls)
{
	struct str service = str_head(p->target.health.grpc_service, 120);
	struct head head = {
		.method = STR("POST"),
		.method_id = METHOD_POST,
		.scheme = tls ? STR("https") : STR("http"),
		.authority = p->target.health.host.n ? p->target.health.host : p->target.authority,
		.path = STR("/grpc.health.v1.Health/Check"),
		.body = BODY_STREAM,
		.te_trailers = true,
	};
	size_t n = service.n ? service.n + 2 : 0;
	char frame[7] = {0, 0, 0, 0, (char)n, 0x0a, (char)service.n};
	struct chain chain = {0};

	fields_add(&p->arena, &head.fields, FIELD_CONTENT_TYPE, STR("content-type"), STR("application/grpc"));
	stream_send_head(p->stream, &head, false);
	chain_add_copy(&p->loop->mem, &chain, frame, n ? 7 : 5);
	chain_add_copy(&p->loop->mem, &chain, service.p, service.n);
	stream_send_body(p->stream, &chain, true);
}

static void ask(struct probe *p)
{
	const struct tls_info *tls = transport_tls(p->transport);
	uint8_t protocol = p->target.protocol;
	bool h2 = protocol == CONF_H2 || protocol == CONF_H2C || p->target.health.kind == CONF_CHECK_GRPC ||
		  (tls && str_eq(tls->alpn, STR("h2")));

	p->transport->on_event = NULL;
	p->conn = h2 ? h2_client(&p->transport, &p->limits, &conn_ops, p) : h1_client(&p->transport, &p->limits, &conn_ops, p);
	if (p->conn)
		p->stream = http_conn_open(p->conn, &stream_ops, p);
	if (!p->stream) {
		finish(p, REASON_UPSTREAM_CONNECT);
		return;
	}
	stream_credit(p->stream, BODY_LOOK);
	if (p->target.health.kind == CONF_CHECK_GRPC)
		send_grpc(p, tls != NULL);
	else
		send_http(p, tls != NULL);
}

static void on_transport(struct transport *t)
{
	struct probe *p = t->user;

	if (t->state == TRANSPORT_DEAD) {
		snprintf(p->outcome.detail, sizeof(p->outcome.detail), "%s", p->target.tls ? tls_error_text(t) : "");
		finish(p, t->why ? (enum reason)t->why : REASON_UPSTREAM_CONNECT);
		return;
	}
	if (t->state != TRANSPORT_OPEN)
		return;
	if (p->target.health.kind == CONF_CHECK_TCP || p->target.health.kind == CONF_CHECK_TLS)
		finish(p, REASON_NONE);
	else
		ask(p);
}

static void on_timeout(struct deadline *d)
{
	finish(CONTAINER(d, struct probe, timeout), REASON_CHECK_TIMEOUT);
}

static void on_failed_at_once(struct task *t)
{
	struct probe *p = CONTAINER(t, struct probe, failed_at_once);

	finish(p, p->outcome.why);
}

/* A probe outlives the configuration that asked for it. */
static void copy_target(struct probe *p, const struct probe_target *from)
{
	struct conf_health *h = &p->target.health;
	struct str *const texts[] = {&h->path, &h->host, &h->method, &h->body, &h->grpc_service, &p->target.unix_path,
		&p->target.name, &p->target.authority};

	p->target = *from;
	for (size_t i = 0; i < COUNT_OF(texts); i++)
		if (texts[i]->n)
			*texts[i] = arena_str(&p->arena, *texts[i]);
	h->status = arena_alloc(&p->arena, h->status_n * sizeof(*h->status));
	if (h->status_n)
		memcpy(h->status, from->health.status, h->status_n * sizeof(*h->status));
}

struct probe *probe_start(struct loop *l, const struct probe_target *target,
	void (*done)(const struct probe_outcome *outcome, void *ctx), void *ctx)
{
	struct probe *p = mem_obj(&l->mem, sizeof(*p));
	const char *unix_path = target->unix_path.n ? target->unix_path.p : NULL;
	bool tls = target->tls && target->health.kind != CONF_CHECK_TCP;
	enum reason why = REASON_UPSTREAM_RESOLVE;

	p->magic = PROBE_MAGIC;
	p->loop = l;
	arena_init(&p->arena, &l->mem);
	copy_target(p, target);
	p->done = done;
	p->ctx = ctx;
	p->start_us = l->now_us;
	p->limits = (struct http_limits){.header_bytes = HEAD_BYTES, .header_count = HEAD_FIELDS, .max_streams = 1};
	p->timeout.fire = on_timeout;
	deadline_arm(l, &p->timeout, target->health.timeout);
	if (target->addr.family != ADDR_NONE)
		p->transport = tls ? tls_connect(l, &target->addr, unix_path, target->tls, target->name, STR_NONE, &why) :
				     plain_connect(l, &target->addr, unix_path, &why);
	if (!p->transport) {
		p->outcome.why = why;
		p->failed_at_once.run = on_failed_at_once;
		loop_defer(l, &p->failed_at_once, LOOP_READY);
		return p;
	}
	p->transport->user = p;
	p->transport->on_event = on_transport;
	return p;
}

void probe_cancel(struct probe **pp)
{
	struct probe *p = TAKE(pp);

	if (p)
		probe_free(p);
}
