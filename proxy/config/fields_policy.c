/* What a service says about how its backends are used, and a pool may say otherwise. */
#include "base/obj.h"
#include "config/fields.h"

/* -- balance -- */

static const char *const balance_names[] = {
	[CONF_ROUND_ROBIN] = "round_robin",
	[CONF_LEAST_REQUEST] = "least_request",
	[CONF_RANDOM] = "random",
	[CONF_HASH] = "hash",
	[CONF_EWMA] = "ewma",
	NULL,
};

const char *conf_balance_name(uint8_t balance)
{
	return balance_names[balance];
}

static const struct config_field balance_name_field =
	ENUM("balance", struct conf_policy, balance, balance_names, "");

static const struct config_field hash_header_field = STRING("header", struct conf_policy, hash_header, "");
static const struct config_field hash_cookie_field = STRING("cookie", struct conf_policy, hash_cookie, "");

/* {hash: {header: NAME}}, {hash: {cookie: NAME}} or {hash: {path: true}}; what was inherited is forgotten. */
static bool parse_hash(struct parse *p, const struct node *v, struct conf_policy *policy)
{
	const struct node *hash = v->kind == NODE_MAP && v->n == 1 ? node_get(v, STR("hash")) : NULL;
	const struct node *key = hash && hash->kind == NODE_MAP && hash->n == 1 ? hash->first : NULL;
	struct str what = key ? node_str(key) : STR_NONE, name;
	bool header = str_eq(what, STR("header")), path = str_eq(what, STR("path"));

	if (path && !str_eq(key->next->kind == NODE_SCALAR ? node_str(key->next) : STR_NONE, STR("true")))
		return false;
	if (!header && !path && !str_eq(what, STR("cookie")))
		return false;
	policy->balance = CONF_HASH;
	if (!path && !parse_text(p, header ? &hash_header_field : &hash_cookie_field, &type_token, key->next,
			     &name))
		return true;
	policy->hash_path = path;
	policy->hash_header = header ? name : STR_NONE;
	policy->hash_cookie = !path && !header ? name : STR_NONE;
	return true;
}

static void parse_balance(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	struct conf_policy *policy = obj;

	if (v->kind == NODE_SCALAR) {
		policy->hash_header = policy->hash_cookie = STR_NONE;
		policy->hash_path = false;
		type_enum.parse(p, &balance_name_field, v, obj);
	} else if (!parse_hash(p, v, policy)) {
		parse_bad(p, f, v, f->type->expects);
	}
}

static void say_balance(const struct config_field *f, const void *obj, struct text *out)
{
	const struct conf_policy *policy = obj;

	(void)f;
	if (policy->hash_path)
		text_put(out, STR("{hash: {path: true}}"));
	else if (policy->hash_header.n)
		text_fmt(out, "{hash: {header: " STR_FMT "}}", STR_ARG(policy->hash_header));
	else if (policy->hash_cookie.n)
		text_fmt(out, "{hash: {cookie: " STR_FMT "}}", STR_ARG(policy->hash_cookie));
	else
		text_put(out, str_of(balance_names[policy->balance]));
}

static const struct config_type type_balance = {
	.name = "round_robin, least_request, random, ewma, hash, {hash: {header: NAME}}, {hash: "
		"{cookie: NAME}} or {hash: {path: true}}",
	.expects = "round_robin, least_request, random, ewma, hash, {hash: {header: NAME}}, {hash: "
		   "{cookie: NAME}} or {hash: {path: true}}",
	.schema = "{\"anyOf\": [{\"enum\": [\"round_robin\", \"least_request\", \"random\", \"ewma\", "
		  "\"hash\"]},"
		  "{\"type\": \"object\", \"additionalProperties\": false, \"required\": [\"hash\"], "
		  "\"properties\":"
		  "{\"hash\": {\"type\": \"object\", \"additionalProperties\": false, \"minProperties\": 1,"
		  "\"maxProperties\": 1, \"properties\": {\"header\": {\"type\": \"string\"}, \"cookie\":"
		  "{\"type\": \"string\"}, \"path\": {\"const\": true}}}}}]}",
	.parse = parse_balance,
	.init = type_number_init,
	.say = say_balance,
};

/* -- stick -- */

/* RFC 6265 4.1.1: what a Set-Cookie's Path may hold. */
static bool is_cookie_path(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] <= 0x20 || (unsigned char)s.p[i] >= 0x7f || s.p[i] == ';')
			return false;
	return s.n > 0 && s.p[0] == '/';
}

static const struct config_type type_cookie_path = {
	.name = "path",
	.expects = "a path such as /app, without spaces and semicolons",
	.schema = "{\"type\": \"string\", \"pattern\": \"^/[^; ]*$\"}",
	.valid = is_cookie_path,
	.parse = type_text_parse,
	.init = type_text_init,
	.say = type_text_say,
};

static const struct config_field stick_fields[] = {
	CUSTOM("cookie", type_token, struct conf_stick, cookie,
		"its name, which must be given; another one for each service that a browser sees under the "
		"same path"),
	DURATION("ttl", struct conf_stick, ttl,
		"that a browser keeps it, in whole seconds; 0: until the browser is closed", .dflt = 0),
	CUSTOM("path", type_cookie_path, struct conf_stick, path, "for which a browser sends it",
		.text = "/"),
	STRING("secret", struct conf_stick, secret,
		"what its values are made with: give all nodes the same, and users stay where they are over "
		"restarts too; unset: "
		"drawn at each start",
		NULLABLE, SECRET),
	END,
};

static void stick_check(struct parse *p, const struct node *v, void *obj)
{
	const struct conf_stick *stick = obj;

	if (stick->cookie.n == 0)
		parse_error(p, v, "\"stick\" needs the name of a \"cookie\"");
	if (stick->ttl % 1000)
		parse_error(p, v, "\"ttl\" of a cookie is in whole seconds");
}

static const struct config_object stick_object = {
	.id = OBJECT_STICK,
	.path = "stick",
	.what = "stick",
	.doc = "A cookie brings a client back to the backend that served it before, while that one can take "
	       "requests; "
	       "otherwise `balance` finds another, and the cookie is given anew. It names the backend "
	       "without "
	       "giving its address away.",
	.size = sizeof(struct conf_stick),
	.fields = stick_fields,
	.check = stick_check,
};

/* -- outlier, retries, breaker -- */

static const struct config_field outlier_fields[] = {
	COUNT("consecutive_errors", struct conf_outlier, consecutive_errors,
		"failures in a row, by all workers, after which a backend is ejected; 5xx answers (but 501 "
		"and 505) and answers "
		"that did not come are counted apart",
		.dflt = 5, .min = 1),
	DURATION("interval", struct conf_outlier, interval,
		"over which the backends of a pool are compared, if there are five with 100 requests each: "
		"one that fails much more than "
		"the others is ejected. Each interval without an ejection shortens a backend's next one",
		.dflt = 10000, .min = 100),
	DURATION("ejection", struct conf_outlier, ejection,
		"of the first ejection; the second in a row lasts twice as long, and so on to ten times",
		.dflt = 30000, .min = 100),
	SHARE("max_ejected", struct conf_outlier, max_ejected,
		"of a pool's backends that may be out at once; one always may, unless this is 0, but never "
		"the last that serves",
		.dflt = 1000),
	END,
};

static const struct config_object outlier_object = {
	.id = OBJECT_OUTLIER,
	.path = "outlier",
	.what = "outlier",
	.doc = "Ejection of backends that fail real requests.",
	.size = sizeof(struct conf_outlier),
	.fields = outlier_fields,
};

static const struct {
	struct str name;
	uint32_t bit;
} retry_on[] = {
	{STR("connect"), CONF_RETRY_CONNECT},
	{STR("reset"), CONF_RETRY_RESET},
	{STR("refused_stream"), CONF_RETRY_REFUSED_STREAM},
	{STR("502"), CONF_RETRY_502},
	{STR("503"), CONF_RETRY_503},
	{STR("504"), CONF_RETRY_504},
	{STR("timeout"), CONF_RETRY_TIMEOUT},
};

static void each_retry_on(struct parse *p, const struct config_field *f, const struct node *e, void *obj)
{
	for (size_t i = 0; e->kind == NODE_SCALAR && i < COUNT_OF(retry_on); i++) {
		if (str_eq(node_str(e), retry_on[i].name)) {
			((struct conf_retries *)obj)->on |= retry_on[i].bit;
			return;
		}
	}
	parse_bad(p, f, e, f->type->expects);
}

static void parse_retry_on(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	((struct conf_retries *)obj)->on = 0;
	parse_list(p, f, v, each_retry_on, obj);
}

static void say_retry_on(const struct config_field *f, const void *obj, struct text *out)
{
	const char *comma = "";

	(void)f;
	text_char(out, '[');
	for (size_t i = 0; i < COUNT_OF(retry_on); i++) {
		if (!(((const struct conf_retries *)obj)->on & retry_on[i].bit))
			continue;
		text_fmt(out, "%s" STR_FMT, comma, STR_ARG(retry_on[i].name));
		comma = ", ";
	}
	text_char(out, ']');
}

static const struct config_type type_retry_on = {
	.name = "list of connect, reset, refused_stream, 502, 503, 504, timeout",
	.expects = "a list of connect, reset, refused_stream, 502, 503, 504 and timeout",
	.schema = "{\"type\": \"array\", \"items\": {\"enum\": [\"connect\", \"reset\", \"refused_stream\", "
		  "502, 503,"
		  "504, \"502\", \"503\", \"504\", \"timeout\"]}}",
	.parse = parse_retry_on,
	.init = type_number_init,
	.say = say_retry_on,
};

static const struct config_field retries_fields[] = {
	COUNT("attempts", struct conf_retries, attempts, "in all, the first included; 0 and 1: no retry",
		.dflt = 2, .max = 10),
	SHARE("budget", struct conf_retries, budget,
		"of the requests that may be retries, saved up for some ten seconds; three a second and "
		"worker always may",
		.dflt = 2000),
	DURATION("per_try_timeout", struct conf_retries, per_try_timeout,
		"for one attempt to begin its answer; 0: `timeouts.response`", .dflt = 0),
	CUSTOM("on", type_retry_on, struct conf_retries, on, "what is tried again, if the request allows it",
		.text = "[connect, reset, refused_stream, 503]",
		.dflt = CONF_RETRY_CONNECT | CONF_RETRY_RESET | CONF_RETRY_REFUSED_STREAM | CONF_RETRY_503),
	SIZE("body", struct conf_retries, body,
		"of a request's body that is kept until its answer begins, so that it can be sent again; a "
		"request with more is not tried "
		"again once a part has gone out",
		.dflt = 65536, .max = 67108864),
	END,
};

static const struct config_object retries_object = {
	.id = OBJECT_RETRIES,
	.path = "retries",
	.what = "retries",
	.doc = "A request is tried again only while that is provably safe: nothing was processed, or it is "
	       "idempotent "
	       "and nothing of the answer was seen. The first retry goes to another backend at once; one to "
	       "the same, and "
	       "every further one, comes after a pause. An answer with `Retry-After` is passed on instead.",
	.size = sizeof(struct conf_retries),
	.fields = retries_fields,
};

static const struct config_field adaptive_fields[] = {
	COUNT("min", struct conf_adaptive, min, "requests in flight that are always let through", .dflt = 4,
		.min = 1, .max = 1000000),
	COUNT("max", struct conf_adaptive, max, "requests in flight above which it never goes", .dflt = 1000,
		.min = 1, .max = 1000000),
	END,
};

static void adaptive_check(struct parse *p, const struct node *v, void *obj)
{
	const struct conf_adaptive *a = obj;

	if (a->min > a->max)
		parse_error(p, v, "\"min\" of \"adaptive\", %u, is above its \"max\", %u", a->min, a->max);
}

static const struct config_object adaptive_object = {
	.id = OBJECT_ADAPTIVE,
	.path = "breaker.adaptive",
	.what = "adaptive",
	.doc = "How many requests a pool can take at once is learned from how long its backends take to "
	       "begin "
	       "their answers: more wait "
	       "in the queue. `true` is short for `{}`.",
	.size = sizeof(struct conf_adaptive),
	.fields = adaptive_fields,
	.check = adaptive_check,
};

/* true, false or the mapping. */
static void parse_adaptive(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	struct str s = v->kind == NODE_SCALAR ? node_str(v) : STR_NONE;
	struct conf_adaptive *a = field_member(f, obj);

	if (str_eq(s, STR("true")) || str_eq(s, STR("false")))
		a->on = s.n == 4;
	else
		type_object.parse(p, f, v, obj);
}

static void init_adaptive(struct parse *p, const struct config_field *f, void *obj)
{
	type_object.init(p, f, obj);
}

static const struct config_type type_adaptive = {
	.name = "bool or mapping",
	.expects = "true, false or a mapping",
	.schema = "{\"anyOf\": [{\"type\": \"boolean\"}, {\"$ref\": \"#/$defs/breaker.adaptive\"}]}",
	.parse = parse_adaptive,
	.init = init_adaptive,
};

static const struct config_field breaker_fields[] = {
	COUNT("connections", struct conf_breaker, connections, "to one backend", .dflt = 1024, .min = 1),
	COUNT("requests", struct conf_breaker, requests,
		"in flight to the pool, of all workers together; more are answered 503", .dflt = 1024,
		.min = 1),
	COUNT("pending", struct conf_breaker, pending,
		"requests that wait for a connection to one backend, and that wait for the pool to take "
		"them; "
		"more are answered 503; 0: no limit",
		.dflt = 1024),
	DURATION("pending_timeout", struct conf_breaker, pending_timeout, "after which waiting ends in 503",
		.dflt = 10000),
	COUNT("backend_requests", struct conf_breaker, backend_requests,
		"in flight to one backend, if it does not say otherwise by `requests`; one that has so many "
		"is "
		"passed over, and when all "
		"have, requests wait; 0: no limit",
		.dflt = 0),
	CUSTOM("adaptive", type_adaptive, struct conf_breaker, adaptive,
		"learn how many requests in flight the pool can take", .object = &adaptive_object,
		.present = offsetof(struct conf_breaker, adaptive.on), .text = "false", NULLABLE),
	END,
};

static const struct config_object breaker_object = {
	.id = OBJECT_BREAKER,
	.path = "breaker",
	.what = "breaker",
	.doc = "What weir lets through. Each worker has its part of each limit, rounded up.",
	.size = sizeof(struct conf_breaker),
	.fields = breaker_fields,
};

/* -- protocol, TLS -- */

static const char *const protocol_names[] = {
	[CONF_HTTP1] = "http1",
	[CONF_H2] = "h2",
	[CONF_H2C] = "h2c",
	[CONF_AUTO] = "auto",
	NULL,
};

const char *conf_protocol_name(uint8_t protocol)
{
	return protocol_names[protocol];
}

static const char *const proxy_protocol_names[] = {"off", "v1", "v2", NULL};

static const struct config_field upstream_tls_fields[] = {
	BOOL("verify", struct conf_upstream_tls, verify, "refuse backends whose certificate does not hold",
		.dflt = true),
	INPUT("ca", struct conf_upstream_tls, ca,
		"the authorities that are trusted, PEM; unset: the system's", NULLABLE),
	STRING("server_name", struct conf_upstream_tls, server_name,
		"SNI, and the name that is verified; unset: the backend's own name", NULLABLE),
	INPUT("cert", struct conf_upstream_tls, cert, "a client certificate, PEM; with `key`", NULLABLE),
	INPUT("key", struct conf_upstream_tls, key, "its private key, PEM", NULLABLE),
	END,
};

static void upstream_tls_check(struct parse *p, const struct node *v, void *obj)
{
	const struct conf_upstream_tls *t = obj;

	if (!t->cert.n != !t->key.n)
		parse_error(p, v, "\"cert\" and \"key\" go together; \"%s\" is missing",
			t->cert.n ? "key" : "cert");
}

const struct config_object upstream_tls_object = {
	.id = OBJECT_UPSTREAM_TLS,
	.path = "tls",
	.what = "tls",
	.doc = "TLS towards backends.",
	.size = sizeof(struct conf_upstream_tls),
	.place_offset = offsetof(struct conf_upstream_tls, place),
	.fields = upstream_tls_fields,
	.check = upstream_tls_check,
};

/* -- all of it -- */

static const struct config_field policy_fields[] = {
	CUSTOM("balance", type_balance, struct conf_policy, balance,
		"which backend of the pool; plain `hash` is by the client's address, `path` is without the "
		"query",
		.dflt = CONF_LEAST_REQUEST, .text = "least_request"),
	OBJECT("stick", struct conf_policy, stick, stick_object,
		"a cookie that keeps a client at its backend; null: none",
		.present = offsetof(struct conf_policy, stick.on), NULLABLE),
	CUSTOM("health", type_health, struct conf_policy, health,
		"probing of backends; null: they are taken for healthy", .object = &health_object, NULLABLE),
	OBJECT("outlier", struct conf_policy, outlier, outlier_object,
		"ejection of backends that fail real requests; null: none",
		.present = offsetof(struct conf_policy, outlier.on), NULLABLE),
	SHARE("panic_threshold", struct conf_policy, panic_threshold,
		"of a pool's backends: with fewer healthy, all are used", .dflt = 5000),
	OBJECT("retries", struct conf_policy, retries, retries_object, "what is tried again"),
	OBJECT("breaker", struct conf_policy, breaker, breaker_object, "what is let through"),
	ENUM("protocol", struct conf_policy, protocol, protocol_names,
		"to the backends; h2 needs `tls`, h2c has none, auto asks by ALPN. A WebSocket that a "
		"backend with TLS does not take over HTTP/2 (RFC 8441) goes over HTTP/1.1",
		.dflt = CONF_HTTP1),
	OBJECT("tls", struct conf_policy, tls, upstream_tls_object, "TLS to the backends; null: plain",
		.present = offsetof(struct conf_policy, tls.on), NULLABLE),
	ENUM("proxy_protocol", struct conf_policy, proxy_protocol, proxy_protocol_names,
		"tell backends the client's address this way", .dflt = 0),
	END,
};

const struct config_object policy_object = {
	.id = OBJECT_POLICY,
	.path = "policy",
	.what = "policy",
	.doc = "Keys of services and, to override them, of pools.",
	.size = sizeof(struct conf_policy),
	.fields = policy_fields,
};

void policy_check(struct parse *p, const struct node *at, const struct conf_policy *policy)
{
	if (policy->protocol == CONF_H2 && !policy->tls.on)
		parse_error(p, at, "\"protocol: h2\" needs \"tls\"; HTTP/2 without TLS is \"h2c\"");
	if (policy->protocol == CONF_H2C && policy->tls.on)
		parse_error(p, at,
			"\"protocol: h2c\" is HTTP/2 without TLS, but \"tls\" is set; with TLS it is \"h2\"");
}
