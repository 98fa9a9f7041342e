#include "config/fields.h"
#include "config/module.h"

#include "base/obj.h"

/* -- timeouts, limits -- */

static const struct config_field timeouts_fields[] = {
	DURATION("client_header", struct conf_timeouts, client_header,
		"for a client to send a request's head, from its first byte; also for the TLS handshake",
		.dflt = 15000),
	DURATION("client_body", struct conf_timeouts, client_body,
		"without progress while a client sends a body or reads an answer", .dflt = 30000),
	DURATION("client_idle", struct conf_timeouts, client_idle,
		"between requests on a client's connection", .dflt = 60000),
	DURATION("connect", struct conf_timeouts, connect,
		"for a connection to a backend; TLS handshake included, and over HTTP/2 the SETTINGS that "
		"others wait for",
		.dflt = 3000),
	DURATION("response", struct conf_timeouts, response,
		"for a backend to begin its answer, and between two parts of it", .dflt = 60000),
	DURATION("upstream_idle", struct conf_timeouts, upstream_idle,
		"that an unused connection to a backend is kept; less than the backend's own", .dflt = 30000),
	DURATION("drain", struct conf_timeouts, drain,
		"that requests in flight are given when something drains", .dflt = 60000),
	DURATION("upgrade", struct conf_timeouts, upgrade,
		"after which what a weir that was replaced by a new binary still has open is closed",
		.dflt = 600000),
	DURATION("drain_spread", struct conf_timeouts, drain_spread,
		"over which kept-alive clients of what drains are told to go, and by which WebSockets and "
		"streams end before their time, each by another share of it: so that they do not all come "
		"back at once",
		.dflt = 5000),
	DURATION("tunnel_drain", struct conf_timeouts, tunnel_drain,
		"that a WebSocket is given when something drains; then it is closed with 1001",
		.dflt = 30000),
	DURATION("stream_drain", struct conf_timeouts, stream_drain,
		"that an event stream or a gRPC call is given when something drains; then it is ended so "
		"that the client comes back",
		.dflt = 30000),
	DURATION("readiness", struct conf_timeouts, readiness,
		"that /readyz fails before a stopping weir accepts no more: as long as the balancer in front "
		"needs to notice",
		.dflt = 0),
	DURATION("shutdown", struct conf_timeouts, shutdown,
		"after which a stopping weir closes what is left", .dflt = 300000),
	END,
};

const struct config_object timeouts_object = {
	.id = OBJECT_TIMEOUTS,
	.path = "timeouts",
	.what = "timeouts",
	.doc = "How long weir waits. 0 waits for ever.",
	.size = sizeof(struct conf_timeouts),
	.fields = timeouts_fields,
};

static const struct config_field limits_fields[] = {
	COUNT("connections", struct conf_limits, connections,
		"client connections at once; above it the oldest idle one is closed", .dflt = 100000,
		.min = 1),
	SIZE("header_bytes", struct conf_limits, header_bytes, "of a request's head, or of its trailers",
		.dflt = 65536, .min = 1024, .max = 1048576),
	COUNT("header_count", struct conf_limits, header_count, "header lines of a request", .dflt = 100,
		.min = 1, .max = 10000),
	SIZE("body", struct conf_limits, body, "of a request's body; 0: any", .dflt = 104857600),
	SIZE("body_rate", struct conf_limits, body_rate,
		"bytes a second that each request's body comes with at least, however many share a "
		"connection, "
		"taken over `timeouts.client_body`, until its answer begins; else 408. gRPC calls may be "
		"slower; "
		"0: any",
		.dflt = 240, .max = 1048576),
	SIZE("memory", struct conf_limits, memory,
		"that buffers may take before new work is answered 503; 0: no limit", .dflt = 0),
	DURATION("loop_lag", struct conf_limits, loop_lag,
		"by which a worker may be late, look after look, before it answers new requests with 503; 0: "
		"any",
		.dflt = 1000),
	END,
};

const struct config_object limits_object = {
	.id = OBJECT_LIMITS,
	.path = "limits",
	.what = "limits",
	.doc = "What weir accepts from all clients together.",
	.size = sizeof(struct conf_limits),
	.fields = limits_fields,
};

/* -- the root -- */

static void parse_workers(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	struct str s = v->kind == NODE_SCALAR ? node_str(v) : STR_NONE;
	uint64_t n = 0;

	if (!str_eq(s, STR("auto")) && (!str_to_u64(s, &n) || n < 1 || n > CONF_WORKERS_MAX))
		parse_bad(p, f, v, f->type->expects);
	else
		*(uint32_t *)field_member(f, obj) = (uint32_t)n;
	((struct conf *)obj)->workers_place = node_place(v);
}

static void say_workers(const struct config_field *f, const void *obj, struct text *out)
{
	const uint32_t *n = field_member_const(f, obj);

	if (*n)
		text_u64(out, *n);
	else
		text_put(out, STR("auto"));
}

_Static_assert(CONF_WORKERS_MAX == 256, "the texts below say so");
static const struct config_type type_workers = {
	.name = "auto, or a count",
	.expects = "auto, or a number from 1 to 256",
	.schema = "{\"anyOf\": [{\"const\": \"auto\"}, {\"type\": \"integer\", \"minimum\": 1, \"maximum\": "
		  "256}]}",
	.parse = parse_workers,
	.say = say_workers,
};

static void parse_user(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	type_string.parse(p, f, v, obj);
	((struct conf *)obj)->user_place = node_place(v);
}

static const struct config_type type_user = {
	.name = "text",
	.expects = "a text on one line",
	.schema = "{\"type\": [\"string\", \"number\", \"boolean\"]}",
	.parse = parse_user,
	.init = type_text_init,
	.say = type_text_say,
};

static void each_secret(struct parse *p, const struct config_field *f, const struct node *e, void *obj)
{
	struct conf_strs *secrets = field_member(f, obj);
	struct str s = e->kind == NODE_SCALAR && !node_is_null(e) ? node_str(e) : STR_NONE;

	/* What was written is not for messages. */
	if (e->kind != NODE_SCALAR || (s.n && s.n < COOKIE_SECRET_MIN))
		parse_error(p, e,
			"a \"cookie_secret\" needs at least %d characters, such as those of: openssl rand "
			"-hex 32",
			COOKIE_SECRET_MIN);
	else if (s.n && secrets->n == COOKIE_SECRETS_MAX)
		parse_error(p, e,
			"\"cookie_secret\" has more than %d elements: take away those that nobody needs any "
			"more",
			COOKIE_SECRETS_MAX);
	else if (s.n)
		secrets->v[secrets->n++] = arena_str(&p->conf->arena, s);
}

/* Empty ones are left out: ${NAME:-} may be anywhere in the list. */
static void parse_cookie_secret(
	struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	struct conf_strs *secrets = field_member(f, obj);

	secrets->v = arena_array(&p->conf->arena, struct str, COOKIE_SECRETS_MAX);
	parse_list(p, f, v, each_secret, obj);
}

static const struct config_type type_cookie_secret = {
	.name = "text, or list of texts",
	.expects = "a text, or a list of texts",
	.schema = "{\"anyOf\": [{\"type\": \"string\"}, {\"type\": \"array\", \"items\": {\"type\": "
		  "\"string\"}}]}",
	.parse = parse_cookie_secret,
};

static void each_include(struct parse *p, const struct config_field *f, const struct node *e, void *obj)
{
	(void)obj;
	if (e->kind != NODE_SCALAR || e->n == 0) {
		parse_bad(p, f, e, f->type->expects);
		return;
	}
	p->includes[p->include_n].pattern = arena_str(&p->scratch, node_str(e));
	p->includes[p->include_n++].place = node_place(e);
}

/* Only remembered: the files are read when this one is done. */
static void parse_include(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	p->includes = arena_array(&p->scratch, struct include, v->kind == NODE_LIST ? v->n : 1);
	parse_list(p, f, v, each_include, obj);
}

static const struct config_type type_include = {
	.name = "list of paths or patterns",
	.expects = "a list of paths or patterns such as tenants.d/*.yaml",
	.schema = "{\"type\": \"array\", \"items\": {\"type\": \"string\"}}",
	.parse = parse_include,
};

static void parse_tenants(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	(void)obj;
	if (v->kind != NODE_MAP && !node_is_null(v)) {
		parse_bad(p, f, v, "a mapping of names");
		return;
	}
	if (v->kind == NODE_MAP)
		for (const struct node *k = v->first; k; k = k->next->next)
			tenant_add(p, k, k->next);
}

const struct config_type type_tenants = {.name = "mapping of names", .parse = parse_tenants};

#define TENANTS \
	{ \
		.key = "tenants", .type = &type_tenants, .object = &tenant_object, .element = &type_name, \
		.doc = "the customers of the platform, by name" \
	}

static const struct config_field root_fields[] = {
	CUSTOM("workers", type_workers, struct conf, workers,
		"worker threads; auto: one for each usable CPU. A change takes effect when weir is started "
		"again",
		.text = "auto"),
	CUSTOM("user", type_user, struct conf, user,
		"the user that weir becomes once its sockets are bound, if started as root. A change takes "
		"effect "
		"when weir is started again",
		NULLABLE),
	PATH("state_dir", struct conf, state_dir,
		"where runtime weights, shifts and events are kept; made if missing",
		.text = "/var/lib/weir"),
	STRING("zone", struct conf, zone,
		"where this weir runs: backends that say the same `zone` are preferred while enough of them "
		"are healthy",
		NULLABLE),
	{.key = "cookie_secret",
		.type = &type_cookie_secret,
		MEMBER(struct conf, cookie_secrets),
		.doc = "what weir signs its cookies with, at least 16 characters, the same on every node; a "
		       "list: the first "
		       "signs, all are believed; empty: one is made and kept in `state_dir`, which no other "
		       "node knows"},
	OBJECT("log", struct conf, log, log_object, "where logs go"),
	OBJECT("admin", struct conf, admin, admin_object, "how a running weir is talked to"),
	MAP_OF("listeners", struct conf, listeners, listener_n, listener_object,
		"the addresses that clients connect to", REQUIRED),
	OBJECT("timeouts", struct conf, timeouts, timeouts_object, "how long weir waits"),
	OBJECT("limits", struct conf, limits, limits_object, "what weir accepts"),
	OBJECT("resolver", struct conf, resolver, resolver_object, "who resolves the names of backends"),
	TENANTS,
	{.key = "include",
		.type = &type_include,
		.doc = "files with more `tenants`; patterns may match none; relative to this file"},
	MODULES(struct conf, modules, MODULE_GLOBAL),
	END,
};

static void set_socket_key(struct conf *c, struct conf_listener *l)
{
	l->socket_key = l->address;
	if (l->addr.family != ADDR_UNIX && l->addr.port == 0)
		l->socket_key =
			arena_fmt(&c->arena, STR_FMT "=" STR_FMT, STR_ARG(l->name), STR_ARG(l->address));
}

/* The two would share a socket. */
static void check_admin_address(struct parse *p, const struct conf *c, const struct conf_listener *l)
{
	bool same = l->addr.family == ADDR_UNIX ? str_eq(l->unix_path, c->admin.socket)
						: c->admin.listen.n && str_eq(l->socket_key, c->admin.listen);

	if (same)
		conf_report_add(p->report, c, l->place, false,
			"listener \"" STR_FMT "\" has the address of \"admin\", " STR_FMT, STR_ARG(l->name),
			STR_ARG(l->address));
}

static void root_check(struct parse *p, const struct node *v, void *obj)
{
	struct conf *c = obj;

	(void)v;
	for (uint32_t i = 0; i < c->listener_n; i++) {
		struct conf_listener *a = &c->listeners[i];

		set_socket_key(c, a);
		check_admin_address(p, c, a);
		for (uint32_t j = 0; j < i; j++) {
			const struct conf_listener *b = &c->listeners[j];

			if (!str_eq(a->socket_key, b->socket_key))
				continue;
			conf_report_add(p->report, c, a->place, false,
				"listener \"" STR_FMT "\" has the address of listener \"" STR_FMT
				"\", " STR_FMT,
				STR_ARG(a->name), STR_ARG(b->name), STR_ARG(a->address));
		}
	}
}

const struct config_object root_object = {
	.id = OBJECT_ROOT,
	.path = "",
	.what = "configuration",
	.doc = "The file given with `-c`.",
	.size = sizeof(struct conf),
	.fields = root_fields,
	.check = root_check,
};

static const struct config_field included_fields[] = {
	TENANTS,
	END,
};

const struct config_object included_object = {
	.id = OBJECT_INCLUDED,
	.path = "include",
	.what = "included file",
	.doc = "A file that `include` names.",
	.size = sizeof(struct conf),
	.fields = included_fields,
};
