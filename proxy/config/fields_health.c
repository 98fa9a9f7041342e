/* How the backends of a service or a pool are probed. */
#include "base/obj.h"
#include "config/fields.h"

/* As it stands in a request: with a query, but no fragment. */
static bool is_check_path(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] <= 0x20 || (unsigned char)s.p[i] >= 0x7f || strchr("#\\", s.p[i]))
			return false;
	return s.n > 0 && s.p[0] == '/';
}

static const struct config_type type_check_path = {
	.name = "path and query",
	.expects = "a path, with a query if need be: it begins with /, has no #, and other characters are "
		   "%-encoded",
	.schema = "{\"type\": \"string\", \"pattern\": \"^/[^#]*$\"}",
	.valid = is_check_path,
	.parse = type_text_parse,
	.init = type_text_init,
	.say = type_text_say,
};

#define STATUS_LOWEST  100
#define STATUS_HIGHEST 599

/* "200-399" or "204" */
static bool status_range(struct str s, uint16_t *from, uint16_t *to)
{
	size_t dash = str_find(s, '-');
	uint64_t low, high;

	if (!str_to_u64(str_trim(str_head(s, dash)), &low))
		return false;
	high = low;
	if (dash < s.n && !str_to_u64(str_trim(str_skip(s, dash + 1)), &high))
		return false;
	*from = (uint16_t)low;
	*to = (uint16_t)high;
	return low >= STATUS_LOWEST && low <= high && high <= STATUS_HIGHEST;
}

static void each_status(struct parse *p, const struct config_field *f, const struct node *e, void *obj)
{
	struct conf_health *h = obj;
	struct str list = e->kind == NODE_SCALAR ? node_str(e) : STR_NONE, s;
	__typeof__(h->status) all;
	uint32_t n = h->status_n + 1;

	for (size_t i = 0; i < list.n; i++)
		n += list.p[i] == ',';
	all = arena_alloc(&p->conf->arena, n * sizeof(*all));
	if (h->status_n)
		memcpy(all, h->status, h->status_n * sizeof(*all));
	h->status = all;
	if (list.n == 0)
		parse_bad(p, f, e, f->type->expects);
	while (str_next_element(&list, &s)) {
		if (!status_range(s, &all[h->status_n].from, &all[h->status_n].to)) {
			parse_bad(p, f, e, f->type->expects);
			return;
		}
		h->status_n++;
	}
}

static void parse_status(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	((struct conf_health *)obj)->status_n = 0;
	parse_list(p, f, v, each_status, obj);
}

static void init_status(struct parse *p, const struct config_field *f, void *obj)
{
	struct conf_health *h = obj;

	h->status = arena_alloc(&p->conf->arena, sizeof(*h->status));
	h->status_n = 1;
	MUST(status_range(str_of(f->text), &h->status->from, &h->status->to));
}

static const struct config_type type_status = {
	.name = "statuses",
	.expects = "statuses such as 200-399 or 200,204",
	.schema = "{\"anyOf\": [{\"type\": [\"string\", \"integer\"]}, {\"type\": \"array\", \"items\":"
		  "{\"type\": [\"string\", \"integer\"]}}]}",
	.parse = parse_status,
	.init = init_status,
};

static const struct config_field http_check_fields[] = {
	CUSTOM("path", type_check_path, struct conf_health, path, "what is asked for", .text = "/"),
	STRING("host", struct conf_health, host, "the Host that is sent; unset: the backend's address",
		NULLABLE),
	CUSTOM("method", type_method, struct conf_health, method, "how it is asked for", .text = "GET"),
	PAIRS("headers", struct conf_health, headers, header_n, type_header_value,
		"what else is sent, such as `Authorization`; `User-Agent` in place of weir's own"),
	{.key = "status", .type = &type_status, .text = "200-399", .doc = "what a healthy backend answers"},
	STRING("body", struct conf_health, body, "a text that the answer must contain; null: any answer",
		NULLABLE),
	END,
};

static const struct config_object http_check_object = {
	.id = OBJECT_HEALTH_HTTP,
	.path = "health.http",
	.what = "http",
	.doc = "Healthy is who answers a request as expected.",
	.size = sizeof(struct conf_health),
	.fields = http_check_fields,
};

static const struct config_field no_fields[] = {END};

static const struct config_object tcp_check_object = {
	.id = OBJECT_HEALTH_TCP,
	.path = "health.tcp",
	.what = "tcp",
	.doc = "Healthy is who accepts a connection.",
	.size = sizeof(struct conf_health),
	.fields = no_fields,
};

static const struct config_object tls_check_object = {
	.id = OBJECT_HEALTH_TLS,
	.path = "health.tls",
	.what = "tls",
	.doc = "Healthy is who completes a TLS handshake.",
	.size = sizeof(struct conf_health),
	.fields = no_fields,
};

static const struct config_field grpc_check_fields[] = {
	STRING("service", struct conf_health, grpc_service,
		"the service that is asked about; empty: the server as a whole"),
	END,
};

static const struct config_object grpc_check_object = {
	.id = OBJECT_HEALTH_GRPC,
	.path = "health.grpc",
	.what = "grpc",
	.doc = "Healthy is who answers SERVING to grpc.health.v1.",
	.size = sizeof(struct conf_health),
	.fields = grpc_check_fields,
};

static const struct config_field health_fields[] = {
	CHOICE("http", struct conf_health, kind, CONF_CHECK_HTTP, http_check_object, "by a request"),
	CHOICE("tcp", struct conf_health, kind, CONF_CHECK_TCP, tcp_check_object, "by a connection"),
	CHOICE("tls", struct conf_health, kind, CONF_CHECK_TLS, tls_check_object, "by a TLS handshake"),
	CHOICE("grpc", struct conf_health, kind, CONF_CHECK_GRPC, grpc_check_object, "by grpc.health.v1"),
	DURATION("interval", struct conf_health, interval, "between two probes of one backend", .dflt = 2000,
		.min = 100),
	DURATION("timeout", struct conf_health, timeout, "after which a probe has failed", .dflt = 2000,
		.min = 10),
	COUNT("rise", struct conf_health, rise, "successes in a row before a backend is up", .dflt = 2,
		.min = 1, .max = 100),
	COUNT("fall", struct conf_health, fall, "failures in a row before a backend is down", .dflt = 3,
		.min = 1, .max = 100),
	DURATION("slow_start", struct conf_health, slow_start,
		"over which a backend that came up takes a growing share; 0: its whole share at once",
		.dflt = 0),
	END,
};

static void health_check(struct parse *p, const struct node *v, void *obj)
{
	const struct conf_health *h = obj;
	const struct node *first = NULL;

	for (const struct node *k = v->first; k; k = k->next->next) {
		struct str s = node_str(k);

		if (!str_eq(s, STR("http")) && !str_eq(s, STR("tcp")) && !str_eq(s, STR("tls")) &&
			!str_eq(s, STR("grpc")))
			continue;
		if (first)
			parse_error(p, k,
				"\"health\" has one of http, tcp, tls and grpc; \"%s\" stands on line %u "
				"already",
				first->text, first->line);
		else
			first = k;
	}
	if (h->kind == CONF_CHECK_NONE)
		parse_error(p, v, "\"health\" needs one of http, tcp, tls and grpc");
}

const struct config_object health_object = {
	.id = OBJECT_HEALTH,
	.path = "health",
	.what = "health",
	.doc = "Probing of backends. Exactly one of `http`, `tcp`, `tls` and `grpc` says how.",
	.size = sizeof(struct conf_health),
	.fields = health_fields,
	.check = health_check,
};

static void parse_health(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	if (node_is_null(v))
		((struct conf_health *)field_member(f, obj))->kind = CONF_CHECK_NONE;
	else
		type_object.parse(p, f, v, obj);
}

static void init_health(struct parse *p, const struct config_field *f, void *obj)
{
	type_object.init(p, f, obj);
}

const struct config_type type_health = {.name = "mapping", .parse = parse_health, .init = init_health};
