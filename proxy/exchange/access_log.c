#include "exchange/access_log.h"

#include "base/escape.h"

#define TEXT_MAX 1024 /* of one value: a line stays readable, and one line */

enum kind {
	KIND_TEXT,
	KIND_WORD, /* made or checked by weir: no byte of it needs escaping in JSON */
	KIND_NUMBER,
	KIND_MS,
};

/* A value of the line: text, or a number; absent ones are left out. */
struct value {
	struct str text;
	uint64_t number;
	bool absent;
};

static struct value text_value(struct str s)
{
	return (struct value){.text = s, .absent = s.n == 0};
}

static struct value number_value(uint64_t n)
{
	return (struct value){.number = n};
}

/* From one moment to a later one; absent when either did not happen. */
static struct value span(uint64_t from, uint64_t to)
{
	return (struct value){.number = to - from, .absent = from == 0 || to < from};
}

static struct str version_text(uint8_t version)
{
	switch ((enum http_version)version) {
	case HTTP_1_0:
		return STR("HTTP/1.0");
	case HTTP_1_1:
		return STR("HTTP/1.1");
	case HTTP_2:
		return STR("HTTP/2");
	default:
		return STR_NONE;
	}
}

/* What the line is made of, for the getters. */
struct source {
	struct exchange *x;
	const struct moment *moment;
	char client[ADDR_TEXT_MAX];
	char reason[REASON_NAME_MAX];
	char first_reason[REASON_NAME_MAX];
};

static struct value request_field(const struct source *s, enum field_id id)
{
	const struct field *f = fields_find(&s->x->request.fields, id);

	return text_value(f ? field_value(f) : STR_NONE);
}

/* clang-format off */
#define GETTER(name) static struct value get_##name(struct source *s)

GETTER(time) { return text_value(str_of(s->moment->iso)); }
GETTER(id) { return text_value(s->x->id); }
GETTER(client) { return text_value(addr_ip_text(&s->x->client_addr, s->client)); }
GETTER(listener) { return text_value(s->x->entry->conf.name); }
GETTER(tenant) { return text_value(exchange_tenant(s->x)); }
GETTER(service) { return text_value(exchange_service(s->x)); }
GETTER(pool) { return text_value(exchange_pool(s->x)); }
GETTER(split) { return text_value(exchange_pool(s->x).n ? str_of(split_why_name((enum split_why)s->x->pool_why)) : STR_NONE); }
GETTER(backend) { return text_value(exchange_backend(s->x)); }
GETTER(route) { return text_value(exchange_route_path(s->x)); }
GETTER(method) { return text_value(exchange_method(s->x)); }
GETTER(scheme) { return text_value(s->x->tls_version ? STR("https") : STR("http")); }
GETTER(host) { return text_value(s->x->host); }
GETTER(path) { return text_value(s->x->path); }
GETTER(protocol) { return text_value(version_text(s->x->request.version)); }
GETTER(status) { return number_value(exchange_status(s->x)); }
GETTER(reason) { return text_value(reason_name((enum reason)s->x->reason, s->reason)); }
GETTER(side) { return text_value(reason_side((enum reason)s->x->reason)); }
GETTER(retried) { return text_value(s->x->attempts > 1 ? reason_name((enum reason)s->x->first_reason, s->first_reason) : STR_NONE); }
GETTER(bytes_in) { return number_value(s->x->bytes_in); }
GETTER(bytes_out) { return number_value(s->x->bytes_out); }
GETTER(duration) { return span(s->x->start_us, s->x->edge->loop->now_us); }
GETTER(queue) { return number_value(s->x->queue_us); }
GETTER(connect) { return number_value(s->x->connect_us); }
GETTER(first_byte) { return span(s->x->start_us, s->x->first_byte_us); }
GETTER(attempts) { return number_value(s->x->attempts); }
GETTER(upstream_protocol) { return text_value(version_text(s->x->upstream_version)); }
GETTER(upstream_tls) { return text_value(s->x->upstream_tls ? STR("on") : STR_NONE); }
GETTER(tls) { return text_value(str_of(s->x->tls_version)); }
GETTER(generation) { return number_value(exchange_generation(s->x)); }
GETTER(user_agent) { return request_field(s, FIELD_USER_AGENT); }
GETTER(referer) { return request_field(s, FIELD_REFERER); }

#undef GETTER
/* clang-format on */

/* The line, field by field; json and logfmt write it as it stands. */
#define TEXT(name, kind, get) \
	{ \
		STR(name), STR(",\"" name "\":\""), kind, get \
	}
#define NUMBER(name, kind, get) \
	{ \
		STR(name), STR(",\"" name "\":"), kind, get \
	}
static const struct {
	struct str name;
	struct str json; /* what goes before the value: three writes in one */
	uint8_t kind;
	struct value (*get)(struct source *s);
} columns[] = {
	TEXT("time", KIND_WORD, get_time),
	TEXT("id", KIND_WORD, get_id),
	TEXT("client", KIND_WORD, get_client),
	TEXT("listener", KIND_TEXT, get_listener),
	TEXT("tenant", KIND_TEXT, get_tenant),
	TEXT("service", KIND_TEXT, get_service),
	TEXT("pool", KIND_TEXT, get_pool),
	TEXT("split", KIND_WORD, get_split),
	TEXT("backend", KIND_TEXT, get_backend),
	TEXT("route", KIND_TEXT, get_route),
	TEXT("method", KIND_TEXT, get_method),
	TEXT("scheme", KIND_WORD, get_scheme),
	TEXT("host", KIND_TEXT, get_host),
	TEXT("path", KIND_TEXT, get_path),
	TEXT("protocol", KIND_WORD, get_protocol),
	NUMBER("status", KIND_NUMBER, get_status),
	TEXT("reason", KIND_WORD, get_reason),
	TEXT("side", KIND_WORD, get_side),
	TEXT("retried", KIND_WORD, get_retried),
	NUMBER("bytes_in", KIND_NUMBER, get_bytes_in),
	NUMBER("bytes_out", KIND_NUMBER, get_bytes_out),
	NUMBER("duration_ms", KIND_MS, get_duration),
	NUMBER("queue_ms", KIND_MS, get_queue),
	NUMBER("connect_ms", KIND_MS, get_connect),
	NUMBER("first_byte_ms", KIND_MS, get_first_byte),
	NUMBER("attempts", KIND_NUMBER, get_attempts),
	TEXT("upstream_protocol", KIND_WORD, get_upstream_protocol),
	TEXT("upstream_tls", KIND_WORD, get_upstream_tls),
	TEXT("tls", KIND_WORD, get_tls),
	NUMBER("generation", KIND_NUMBER, get_generation),
	TEXT("user_agent", KIND_TEXT, get_user_agent),
	TEXT("referer", KIND_TEXT, get_referer),
};
#undef TEXT
#undef NUMBER

static void put_number(struct text *t, uint8_t kind, uint64_t n)
{
	if (kind == KIND_MS)
		text_ms(t, n);
	else
		text_u64(t, n);
}

static const struct module_field *module_fields(const struct exchange *x)
{
	return x->modules ? x->modules->log : NULL;
}

static void write_json(struct source *s, struct text *t)
{
	size_t begin = t->n;

	for (size_t i = 0; i < COUNT_OF(columns); i++) {
		struct value v = columns[i].get(s);

		if (v.absent)
			continue;
		text_put(t, columns[i].json);
		switch ((enum kind)columns[i].kind) {
		case KIND_TEXT:
			text_json(t, v.text, TEXT_MAX);
			text_char(t, '"');
			break;
		case KIND_WORD:
			text_put(t, v.text);
			text_char(t, '"');
			break;
		default:
			put_number(t, columns[i].kind, v.number);
		}
	}
	/* Each has a comma before it. */
	if (t->n > begin)
		t->p[begin] = '{';
	for (const struct module_field *f = module_fields(s->x); f; f = f->next) {
		text_put(t, STR(",\""));
		text_json(t, f->name, TEXT_MAX);
		text_put(t, STR("\":\""));
		text_json(t, f->value, TEXT_MAX);
		text_char(t, '"');
	}
	text_put(t, STR("}\n"));
}

static void write_logfmt(struct source *s, struct text *t)
{
	bool first = true;

	for (size_t i = 0; i < COUNT_OF(columns); i++) {
		struct value v = columns[i].get(s);

		if (v.absent)
			continue;
		if (!first)
			text_char(t, ' ');
		first = false;
		text_put(t, columns[i].name);
		text_char(t, '=');
		if (columns[i].kind == KIND_TEXT || columns[i].kind == KIND_WORD)
			text_logfmt(t, v.text, TEXT_MAX);
		else
			put_number(t, columns[i].kind, v.number);
	}
	for (const struct module_field *f = module_fields(s->x); f; f = f->next) {
		text_char(t, ' ');
		text_put(t, f->name);
		text_char(t, '=');
		text_logfmt(t, f->value, TEXT_MAX);
	}
	text_char(t, '\n');
}

static void put_quoted(struct text *t, struct value v)
{
	text_char(t, '"');
	if (v.absent)
		text_char(t, '-');
	else
		text_combined(t, v.text, TEXT_MAX);
	text_char(t, '"');
}

/* Apache's "combined", which every log reader knows. */
static void write_combined(struct source *s, struct text *t)
{
	const struct exchange *x = s->x;

	text_put(t, addr_ip_text(&x->client_addr, s->client));
	text_put(t, STR(" - - ["));
	text_put(t, str_of(s->moment->common));
	text_put(t, STR("] \""));
	text_combined(t, exchange_method(x), TEXT_MAX);
	text_char(t, ' ');
	text_combined(t, x->path, TEXT_MAX);
	text_char(t, ' ');
	text_put(t, version_text(x->request.version));
	text_put(t, STR("\" "));
	text_u64(t, exchange_status(x));
	text_char(t, ' ');
	text_u64(t, x->bytes_out);
	text_char(t, ' ');
	put_quoted(t, get_referer(s));
	text_char(t, ' ');
	put_quoted(t, get_user_agent(s));
	text_char(t, '\n');
}

void access_log_format(struct exchange *x, uint8_t format, struct text *t)
{
	struct source s = {.x = x, .moment = edge_moment(x->edge)};

	switch ((enum conf_log_format)format) {
	case CONF_LOG_JSON:
		write_json(&s, t);
		break;
	case CONF_LOG_LOGFMT:
		write_logfmt(&s, t);
		break;
	case CONF_LOG_COMBINED:
		write_combined(&s, t);
		break;
	case CONF_LOG_OFF:
		break;
	}
}

void access_log_write(struct exchange *x)
{
	char line[ACCESS_LINE_MAX];
	struct text t = text_in(line, sizeof(line));

	access_log_format(x, x->edge->access_format, &t);
	/* Every value is bounded, but a text of nothing but controls grows sixfold: rather a short line than half a one. */
	if (t.cut) {
		x->path = x->host = STR_NONE;
		x->request.fields.n = 0;
		if (x->modules)
			x->modules->log = NULL;
		t = text_in(line, sizeof(line));
		access_log_format(x, x->edge->access_format, &t);
	}
	if (t.n && ring_put(x->edge->access, text_str(&t)) && ring_urgent(x->edge->access))
		x->edge->wake_log(x->edge);
}
