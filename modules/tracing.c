/* modules/tracing.c - each request as a span of a trace: who it belongs to is read from the client and told to backends (W3C Trace
 * Context), what became of it is told to a collector (trace_exporter.h). */
#include <stdlib.h>
#include "modules.h"
#include "trace_exporter.h"
#include "trace_text.h"

#define ATTEMPTS_MAX 8 /* that are told of one request */

_Static_assert(ATTEMPTS_MAX + 3 <= TRACE_LINE_SPANS, "with the request, the queue and the handshake");

/* Whose word counts when a client brings a context. */
enum parent { PARENT_FOLLOW, PARENT_CONTINUE, PARENT_IGNORE };

struct tracing {
	struct trace_export export;
	uint32_t sample; /* 1/10000 */
	uint8_t parent; /* enum parent */
	bool errors;
};

/* -- configuration -- */

static const char *const parent_names[] = {"follow", "continue", "ignore", NULL};

static const struct config_field fields[] = {
	STRING("endpoint", struct tracing, export.endpoint,
		"where spans are sent: a URL such as http://127.0.0.1:4318/v1/traces; one without a path "
		"gets "
		"/v1/traces. Required, here or at a wider level, whose `headers` and `tls` come with it"),
	PAIRS("headers", struct tracing, export.headers, export.header_n, type_header_value,
		"that the collector wants, a token for example"),
	STRING("service", struct tracing, export.service, "weir's name in traces: service.name",
		.text = "weir"),
	PAIRS("resource", struct tracing, export.resource, export.resource_n, type_header_value,
		"further attributes of all spans: deployment.environment and the like"),
	SHARE("sample", struct tracing, sample, "of the traces that begin here, those that are told",
		.dflt = 100),
	ENUM("parent", struct tracing, parent, parent_names,
		"of a trace that a client brings: follow its decision whether it is told; continue it, but "
		"decide by "
		"`sample`; ignore it, and begin a new one",
		.dflt = PARENT_FOLLOW),
	BOOL("errors", struct tracing, errors,
		"what fails (5xx, no answer) is told also if it is not among the sample", .dflt = false),
	DURATION("interval", struct tracing, export.interval_ms,
		"how long spans may wait for others to be sent with", .dflt = 2000, .min = 100, .max = 60000),
	DURATION("timeout", struct tracing, export.timeout_ms, "for the collector's answer", .dflt = 10000,
		.min = 100, .max = 60000),
	SIZE("buffer", struct tracing, export.buffer,
		"of each worker, rounded up to a power of two: what does not fit is dropped", .dflt = 1048576,
		.min = 131072, .max = 268435456),
	OBJECT("tls", struct tracing, export.tls, upstream_tls_object,
		"how https:// is verified; null: against the system's authorities",
		.present = offsetof(struct tracing, export.tls.on), NULLABLE),
	END,
};

/* A collector's address alone is how it is often written (OTEL_EXPORTER_OTLP_ENDPOINT); at "/" none takes spans. */
static struct str with_path(struct arena *a, struct str url)
{
	size_t host = str_find(url, ':') + sizeof("://") - 1, path = str_find(str_skip(url, host), '/');

	if (host + path + 1 < url.n || str_find(url, '?') < url.n)
		return url;
	return arena_fmt(a, STR_FMT "/v1/traces", STR_ARG(str_head(url, host + path)));
}

static void check(struct parse *p, const struct node *v, void *obj)
{
	struct trace_export *to = &((struct tracing *)obj)->export;

	if (to->endpoint.n && !fetcher_url_is_valid(to->endpoint))
		parse_error(p, v, "\"endpoint\" must be an http:// or https:// URL, not %s",
			parse_quote(p, to->endpoint));
	else if (to->endpoint.n)
		to->endpoint = with_path(&p->conf->arena, to->endpoint);
}

static const struct config_object object = {
	.id = OBJECT_MODULE,
	.path = "modules.tracing",
	.what = "tracing",
	.doc = "Requests as spans of traces, told to a collector. See [tracing](modules/tracing.md).",
	.size = sizeof(struct tracing),
	.fields = fields,
	.check = check,
};

static const char *inherit(void *values, const void *wider)
{
	struct trace_export *to = &((struct tracing *)values)->export;
	const struct trace_export *from = wider ? &((const struct tracing *)wider)->export : NULL;

	if (to->endpoint.n == 0 && from) {
		to->endpoint = from->endpoint;
		to->headers = from->headers;
		to->header_n = from->header_n;
		to->tls = from->tls;
	}
	return to->endpoint.n ? NULL : "endpoint";
}

/* -- control's side -- */

static void *home_begin(struct loop *l)
{
	return trace_home_new(l);
}

static bool home_is_busy(void *home)
{
	return trace_home_busy(home);
}

static void home_end(void *home)
{
	trace_home_free(home);
}

static void *build(struct module_build *b, const void *values)
{
	const struct tracing *conf = values;
	struct trace_exporter *e;

	if (b->previous && trace_exporter_is(b->previous, &conf->export))
		return b->previous;
	for (uint32_t i = 0; (e = b->other(b, i)); i++)
		if (trace_exporter_is(e, &conf->export))
			return e;
	return trace_exporter_new(b->home, &conf->export);
}

static void release(void *data)
{
	trace_exporter_release(data);
}

static void *worker_begin(struct loop *l, void *data, uint32_t worker, uint32_t workers)
{
	(void)l;
	(void)workers;
	return trace_exporter_ring(data, worker);
}

static void counts(const void *values, void *data, struct module_counts *out)
{
	(void)values;
	trace_exporter_counts(data, out);
}

static bool depends(const void *values, void *data, struct module_dependency *out)
{
	(void)values;
	trace_exporter_depends(data, out);
	return true;
}

/* -- requests -- */

struct attempt {
	uint8_t span[SPAN_ID];
	uint64_t begun_us, ended_us; /* ended 0: with the request */
	enum reason why; /* NONE: it has not failed by itself */
	struct str backend;
};

/* What is known of a request. In its arena. */
struct trace {
	const struct tracing *conf; /* that has decided last */
	struct trace_context own; /* trace, the request's span, is it told */
	struct trace_context parent;
	bool has_parent;
	struct str state; /* tracestate */
	struct str method, host, path; /* as they came */
	uint64_t handshake_us, handshaken_us; /* of the connection, with its first request; 0: none */
	uint64_t queue_us; /* before the first attempt */
	uint32_t attempt_n; /* made; the first ATTEMPTS_MAX are told */
	struct attempt attempts[ATTEMPTS_MAX];
};

/* Several tracestate headers are one list (RFC 9110 5.3). */
static struct str join_state(struct module_call *c, const struct fields *all)
{
	struct text t = text_in(arena_bytes(c->arena, STATE_MAX), STATE_MAX);

	for (uint32_t i = 0; i < all->n; i++) {
		if (!str_case_eq(field_name(&all->v[i]), STR("tracestate")) || !field_value(&all->v[i]).n)
			continue;
		text_put(&t, t.n ? STR(",") : STR_NONE);
		text_put(&t, field_value(&all->v[i]));
	}
	return t.cut ? STR_NONE : text_str(&t);
}

static uint32_t count_of(const struct fields *all, struct str name)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < all->n; i++)
		n += str_case_eq(field_name(&all->v[i]), name);
	return n;
}

/* Two parents are none. */
static bool parent_in(const struct fields *all, struct trace_context *parent)
{
	const struct field *f = fields_find_name(all, STR("traceparent"));

	return f && count_of(all, STR("traceparent")) == 1 && trace_context_parse(parent, field_value(f));
}

static void read_parent(struct module_call *c, struct trace *t)
{
	const struct fields *all = &module_request(c)->fields;

	t->has_parent = parent_in(all, &t->parent);
	if (t->has_parent)
		t->state = join_state(c, all);
}

static void tell_context(const struct module_call *c, struct head *head, const struct trace_context *context)
{
	char *text = arena_bytes(c->arena, TRACE_TEXT);

	trace_context_write(context, text);
	module_set_header(c, head, STR("traceparent"), (struct str){text, TRACE_TEXT});
}

/* By the keys of the level that has come to count. */
static void decide(struct module_call *c, struct trace *t)
{
	t->conf = c->values;
	if (t->has_parent && t->conf->parent == PARENT_FOLLOW)
		t->own.sampled = t->parent.sampled;
	else
		t->own.sampled = trace_context_is_among(&t->own, t->conf->sample);
	tell_context(c, module_request(c), &t->own);
}

static struct str hex(const struct module_call *c, const uint8_t *id, size_t n)
{
	char *text = arena_bytes(c->arena, 2 * n);

	trace_hex(text, id, n);
	return (struct str){text, 2 * n};
}

static void begin(struct module_call *c)
{
	const struct tracing *conf = c->values;
	struct head *head = module_request(c);
	struct trace *t = *c->slot = arena_new(c->arena, struct trace);

	/* As the client spoke: its canonical form is HTTP/2's. */
	t->method = head->body == BODY_TUNNEL && head->version < HTTP_2 ? STR("GET") : head->method;
	t->host = head->authority;
	t->path = head->path;
	if (conf->parent != PARENT_IGNORE)
		read_parent(c, t);
	if (t->has_parent)
		memcpy(t->own.trace, t->parent.trace, TRACE_ID);
	else
		trace_context_new_trace(&t->own, c->loop);
	trace_context_new_span(t->own.span, c->loop);
	fields_remove_name(&head->fields, STR("tracestate"));
	if (t->state.n)
		module_set_header(c, head, STR("tracestate"), t->state);
	module_handshake(c, &t->handshake_us, &t->handshaken_us);
	decide(c, t);
	module_log_field(c, STR("span_id"), hex(c, t->own.span, SPAN_ID));
	module_log_field(c, STR("trace_id"), hex(c, t->own.trace, TRACE_ID));
}

static int request(struct module_call *c)
{
	begin(c);
	return MODULE_PASS;
}

static int routed(struct module_call *c)
{
	struct trace *t = *c->slot;

	if (!t)
		begin(c);
	else if (t->conf != c->values)
		decide(c, t);
	return MODULE_PASS;
}

static struct attempt *last_attempt(struct trace *t)
{
	return t->attempt_n && t->attempt_n <= ATTEMPTS_MAX ? &t->attempts[t->attempt_n - 1] : NULL;
}

static void attempt(struct module_call *c, struct head *head)
{
	struct trace *t = *c->slot;
	struct attempt *before = last_attempt(t), *a;
	struct trace_context context = t->own;

	if (before && !before->ended_us)
		before->ended_us = module_attempt_us(c); /* it was left for another backend */
	if (t->attempt_n++ == 0)
		t->queue_us = module_queue_us(c);
	a = last_attempt(t);
	trace_context_new_span(context.span, c->loop);
	tell_context(c, head, &context);
	if (!a)
		return;
	memcpy(a->span, context.span, SPAN_ID);
	a->begun_us = module_attempt_us(c);
	a->backend = arena_str(c->arena, module_backend(c));
}

static void attempt_failed(struct module_call *c, enum reason why)
{
	struct trace *t = *c->slot;
	struct attempt *a = last_attempt(t);

	if (!a || a->ended_us)
		return;
	a->ended_us = c->loop->now_us;
	a->why = why;
}

/* -- telling -- */

struct telling {
	struct module_call *c;
	const struct trace *t;
	struct text out;
	unsigned n;
};

static void open_span(struct telling *to, const uint8_t *id, const uint8_t *parent, struct str name,
	struct str suffix, enum span_kind kind, uint64_t begun_us, uint64_t ended_us)
{
	if (to->n++)
		text_char(&to->out, ',');
	span_begin(&to->out, &(struct span){.trace = to->t->own.trace,
				     .id = id,
				     .parent = parent,
				     .state = to->t->state,
				     .name = name,
				     .suffix = suffix,
				     .kind = (uint8_t)kind,
				     .begun_us = module_wall_us(to->c, begun_us),
				     .ended_us = module_wall_us(to->c, ended_us)});
}

/* The part of the request that passed before a backend was asked, or in the handshake. */
static void tell_part(struct telling *to, const char *name, uint64_t begun_us, uint64_t ended_us)
{
	uint8_t id[SPAN_ID];

	trace_context_new_span(id, to->c->loop);
	open_span(to, id, to->t->own.span, str_of(name), STR_NONE, SPAN_INTERNAL, begun_us, ended_us);
	span_end(&to->out, STR_NONE);
}

/* from: the first status that is an error. To a server a client's mistakes are none. */
static struct str error_of(const struct module_call *c, unsigned from, char buf[REASON_NAME_MAX])
{
	unsigned status = module_status(c);

	if (status && status < from)
		return STR_NONE;
	if (module_reason(c))
		return reason_name(module_reason(c), buf);
	return arena_fmt(c->arena, "%u", status);
}

/* "10.0.0.1:80", "[::1]:80", "unix:/path" in two. */
static void tell_server(struct text *out, struct str address)
{
	size_t colon = address.n;
	uint64_t port;

	while (colon && address.p[colon - 1] != ':')
		colon--;
	if (colon && str_to_u64(str_skip(address, colon), &port)) {
		attribute_text(out, STR("server.address"), str_head(address, colon - 1));
		attribute_number(out, STR("server.port"), port);
	} else {
		attribute_text(out, STR("server.address"), address);
	}
}

static void tell_attempt(struct telling *to, uint32_t i)
{
	const struct attempt *a = &to->t->attempts[i];
	bool last = i + 1 == to->t->attempt_n;
	char buf[REASON_NAME_MAX];
	struct str error = a->why ? reason_name(a->why, buf) : last ? error_of(to->c, 400, buf) : STR_NONE;
	struct text *out = &to->out;

	open_span(to, a->span, to->t->own.span, to->t->method, STR_NONE, SPAN_CLIENT, a->begun_us,
		a->ended_us ? a->ended_us : to->c->loop->now_us);
	attribute_text(out, STR("http.request.method"), to->t->method);
	tell_server(out, a->backend);
	if (i)
		attribute_number(out, STR("http.request.resend_count"), i);
	if (last && !a->why && module_status(to->c))
		attribute_number(out, STR("http.response.status_code"), module_status(to->c));
	attribute_text(out, STR("error.type"), error);
	span_end(out, error);
}

static struct str version_of(const struct head *head)
{
	return head->version == HTTP_2 ? STR("2") : head->version == HTTP_1_0 ? STR("1.0") : STR("1.1");
}

static void tell_request(struct telling *to)
{
	struct module_call *c = to->c;
	const struct trace *t = to->t;
	const struct head *head = module_request(c);
	const struct field *agent = fields_find(&head->fields, FIELD_USER_AGENT);
	struct text *out = &to->out;
	char ip[ADDR_TEXT_MAX], buf[REASON_NAME_MAX];
	struct str error = error_of(c, 500, buf), route = module_route(c);

	open_span(to, t->own.span, t->has_parent ? t->parent.span : NULL, t->method, route, SPAN_SERVER,
		module_start_us(c), c->loop->now_us);
	attribute_text(out, STR("http.request.method"), t->method);
	attribute_text(out, STR("http.route"), route);
	attribute_text(out, STR("url.scheme"), module_is_tls(c) ? STR("https") : STR("http"));
	/* Without the query, which may hold what is nobody's business. */
	attribute_text(out, STR("url.path"), str_head(t->path, str_find(t->path, '?')));
	attribute_text(out, STR("server.address"), t->host);
	attribute_text(out, STR("client.address"), addr_ip_text(module_client(c), ip));
	attribute_text(out, STR("network.protocol.version"), version_of(head));
	attribute_text(out, STR("user_agent.original"), agent ? field_value(agent) : STR_NONE);
	if (module_status(c))
		attribute_number(out, STR("http.response.status_code"), module_status(c));
	attribute_number(out, STR("http.request.body.size"), module_bytes_in(c));
	attribute_number(out, STR("http.response.body.size"), module_bytes_out(c));
	attribute_text(out, STR("error.type"), error);
	attribute_text(
		out, STR("weir.reason"), module_reason(c) ? reason_name(module_reason(c), buf) : STR_NONE);
	attribute_text(out, STR("weir.tenant"), module_tenant(c));
	attribute_text(out, STR("weir.service"), module_service(c));
	attribute_text(out, STR("weir.pool"), module_pool(c));
	attribute_text(out, STR("weir.listener"), module_listener(c));
	attribute_text(out, STR("weir.request_id"), module_request_id(c));
	attribute_number(out, STR("weir.attempts"), module_attempts(c));
	span_end(out, error);
}

static void log_request(struct module_call *c)
{
	const struct trace *t = *c->slot;
	char *room = (char *)c->loop->scratch;
	struct telling to = {.c = c, .t = t, .out = text_in(room, LOOP_SCRATCH)};
	uint64_t asked_us;

	if (!t || !(t->own.sampled || (t->conf->errors && (module_status(c) >= 500 || !module_status(c)))))
		return;
	text_char(&to.out, ' ');
	tell_request(&to);
	if (t->handshaken_us)
		tell_part(&to, "tls handshake", t->handshake_us, t->handshaken_us);
	asked_us = t->attempt_n ? t->attempts[0].begun_us : c->loop->now_us;
	if (t->attempt_n ? t->queue_us : module_queue_us(c))
		tell_part(
			&to, "queue", asked_us - (t->attempt_n ? t->queue_us : module_queue_us(c)), asked_us);
	for (uint32_t i = 0; i < MIN(t->attempt_n, (uint32_t)ATTEMPTS_MAX); i++)
		tell_attempt(&to, i);
	trace_line_put(c->worker, &to.out, to.n);
}

static void explain(const void *values, void *data, const struct head *request, const struct addr *client,
	struct text *out)
{
	const struct tracing *conf = values;
	struct trace_context parent;

	(void)data;
	(void)client;
	if (conf->parent != PARENT_IGNORE && parent_in(&request->fields, &parent)) {
		bool told = conf->parent == PARENT_FOLLOW ? parent.sampled
							  : trace_context_is_among(&parent, conf->sample);

		text_fmt(out, "continues the client's trace, %s by %s", told ? "told" : "not told",
			conf->parent == PARENT_FOLLOW ? "its sampled flag" : "sample");
		if (told)
			text_fmt(out, ", to " STR_FMT, STR_ARG(conf->export.endpoint));
		return;
	}
	text_fmt(out, "tells %u.%02u%% of new traces to " STR_FMT, conf->sample / 100, conf->sample % 100,
		STR_ARG(conf->export.endpoint));
}

const struct module tracing_module = {
	.config = {.abi = MODULE_ABI,
		.name = "tracing",
		.levels = MODULE_ANYWHERE,
		.object = &object,
		.inherit = inherit},
	.build = build,
	.release = release,
	.home_init = home_begin,
	.home_busy = home_is_busy,
	.home_free = home_end,
	.worker_init = worker_begin,
	.request = request,
	.routed = routed,
	.attempt = attempt,
	.attempt_failed = attempt_failed,
	.log = log_request,
	.explain = explain,
	.counts = counts,
	.depends = depends,
};
