#include "exchange/access_log.h"

#include "base/escape.h"

#define TEXT_MAX 1024 /* of one value: a line stays readable, and one line */

enum kind { KIND_TEXT, KIND_NUMBER, KIND_MS };

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
GETTER(method) { return text_value(s->x->request.method); }
GETTER(scheme) { return text_value(s->x->tls_version ? STR("https") : STR("http")); }
GETTER(host) { return text_value(s->x->host); }
GETTER(path) { return text_value(s->x->path); }
GETTER(protocol) { return text_value(version_text(s->x->request.version)); }
GETTER(status) { return number_value(s->x->status); }
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
static const struct {
	struct str name;
	uint8_t kind;
	struct value (*get)(struct source *s);
} columns[] = {
	{STR("time"), KIND_TEXT, get_time},
	{STR("id"), KIND_TEXT, get_id},
	{STR("client"), KIND_TEXT, get_client},
	{STR("listener"), KIND_TEXT, get_listener},
	{STR("tenant"), KIND_TEXT, get_tenant},
	{STR("service"), KIND_TEXT, get_service},
	{STR("pool"), KIND_TEXT, get_pool},
	{STR("split"), KIND_TEXT, get_split},
	{STR("backend"), KIND_TEXT, get_backend},
	{STR("route"), KIND_TEXT, get_route},
	{STR("method"), KIND_TEXT, get_method},
	{STR("scheme"), KIND_TEXT, get_scheme},
	{STR("host"), KIND_TEXT, get_host},
	{STR("path"), KIND_TEXT, get_path},
	{STR("protocol"), KIND_TEXT, get_protocol},
	{STR("status"), KIND_NUMBER, get_status},
	{STR("reason"), KIND_TEXT, get_reason},
	{STR("side"), KIND_TEXT, get_side},
	{STR("retried"), KIND_TEXT, get_retried},
	{STR("bytes_in"), KIND_NUMBER, get_bytes_in},
	{STR("bytes_out"), KIND_NUMBER, get_bytes_out},
	{STR("duration_ms"), KIND_MS, get_duration},
	{STR("queue_ms"), KIND_MS, get_queue},
	{STR("connect_ms"), KIND_MS, get_connect},
	{STR("first_byte_ms"), KIND_MS, get_first_byte},
	{STR("attempts"), KIND_NUMBER, get_attempts},
	{STR("upstream_protocol"), KIND_TEXT, get_upstream_protocol},
	{STR("upstream_tls"), KIND_TEXT, get_upstream_tls},
	{STR("tls"), KIND_TEXT, get_tls},
	{STR("generation"), KIND_NUMBER, get_generation},
	{STR("user_agent"), KIND_TEXT, get_user_agent},
	{STR("referer"), KIND_TEXT, get_referer},
};

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
	char separator = '{';

	for (size_t i = 0; i < COUNT_OF(columns); i++) {
		struct value v = columns[i].get(s);

		if (v.absent)
			continue;
		text_char(t, separator);
		separator = ',';
		text_char(t, '"');
		text_put(t, columns[i].name);
		text_put(t, STR("\":"));
		if (columns[i].kind == KIND_TEXT) {
			text_char(t, '"');
			text_json(t, v.text, TEXT_MAX);
			text_char(t, '"');
		} else {
			put_number(t, columns[i].kind, v.number);
		}
	}
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
		if (columns[i].kind == KIND_TEXT)
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
	text_combined(t, x->request.method, TEXT_MAX);
	text_char(t, ' ');
	text_combined(t, x->path, TEXT_MAX);
	text_char(t, ' ');
	text_put(t, version_text(x->request.version));
	text_put(t, STR("\" "));
	text_u64(t, x->status);
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
