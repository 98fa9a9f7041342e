#include "config/fields.h"

#include <sys/un.h>
#include "base/obj.h"

bool parse_ip_address(struct parse *p, const struct config_field *f, const struct node *v, struct str *text,
	struct addr *addr)
{
	if (v->kind != NODE_SCALAR || !addr_parse(addr, node_str(v))) {
		parse_bad(p, f, v, f->type->expects);
		return false;
	}
	*text = arena_str(&p->conf->arena, node_str(v));
	return true;
}

bool parse_address(struct parse *p, const struct config_field *f, const struct node *v, struct str *text,
	struct addr *addr, struct str *unix_path)
{
	const size_t room = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
	struct node path = *v;

	if (v->kind != NODE_SCALAR || v->n <= 5 || !str_starts(node_str(v), STR("unix:")))
		return parse_ip_address(p, f, v, text, addr);
	path.text += 5;
	path.n -= 5;
	*unix_path = parse_path(p, &path);
	if (unix_path->n > room) {
		parse_error(p, v, "the path of a unix socket has at most %zu bytes, " STR_FMT " has %zu",
			room, STR_ARG(*unix_path), unix_path->n);
		return false;
	}
	*addr = (struct addr){.family = ADDR_UNIX};
	*text = arena_str(&p->conf->arena, node_str(v));
	return true;
}

static void parse_listener_address(
	struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	struct conf_listener *l = obj;

	parse_address(p, f, v, &l->address, &l->addr, &l->unix_path);
}

static const struct config_type type_address = {
	.name = "address",
	.expects = "an address and port such as 0.0.0.0:8080 or [::]:8443, or unix:PATH",
	.schema = "{\"type\": \"string\"}",
	.parse = parse_listener_address,
	.say = type_text_say,
};

static bool read_mode(struct str s, uint64_t *mode)
{
	*mode = 0;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '7' || i == 5)
			return false;
		*mode = *mode << 3 | (uint64_t)(s.p[i] - '0');
	}
	return s.n >= 3 && *mode <= 0777;
}

static void write_mode(uint64_t mode, struct text *out)
{
	text_fmt(out, "0%03o", (unsigned)mode);
}

static void parse_mode(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	uint64_t mode;

	if (v->kind != NODE_SCALAR || !read_mode(node_str(v), &mode))
		parse_bad(p, f, v, f->type->expects);
	else
		*(uint32_t *)field_member(f, obj) = (uint32_t)mode;
}

static const struct config_type type_mode = {
	.name = "octal mode",
	.expects = "an octal mode such as 0660",
	.schema = "{\"type\": [\"string\", \"integer\"]}",
	.write = write_mode,
	.parse = parse_mode,
	.init = type_number_init,
	.say = type_number_say,
};

/* -- certificates -- */

static const struct config_field cert_fields[] = {
	INPUT("cert", struct conf_cert, cert, "the certificate and its chain, PEM", REQUIRED),
	INPUT("key", struct conf_cert, key, "its private key, PEM", REQUIRED),
	INPUT("ocsp", struct conf_cert, ocsp, "an OCSP response to staple, DER", NULLABLE),
	END,
};

static const struct config_object cert_object = {
	.id = OBJECT_CERT,
	.path = "listeners.NAME.tls.certificates",
	.what = "certificate",
	.doc = "One certificate of a listener. The names in it say which hosts it is for.",
	.size = sizeof(struct conf_cert),
	.place_offset = offsetof(struct conf_cert, place),
	.fields = cert_fields,
};

static const char *const version_names[] = {[CONF_TLS_1_2] = "1.2", [CONF_TLS_1_3] = "1.3", NULL};
static const char *const auth_names[] = {
	[CONF_CLIENT_OPTIONAL] = "optional",
	[CONF_CLIENT_REQUIRED] = "required",
	NULL,
};

static const struct config_field tls_fields[] = {
	LIST_OF("certificates", struct conf_listener_tls, certs, cert_n, cert_object,
		"the first is shown to clients that name no host, or one that no certificate has"),
	INPUT("directory", struct conf_listener_tls, directory,
		"every NAME.pem or NAME.crt in it that has a NAME.key; NAME.ocsp is stapled", NULLABLE),
	ENUM("min_version", struct conf_listener_tls, min_version, version_names,
		"the oldest TLS that is spoken", .dflt = CONF_TLS_1_2),
	STRING("ciphers", struct conf_listener_tls, ciphers,
		"for TLS 1.2, as OpenSSL writes them; unset: modern ones", NULLABLE),
	INPUT("client_ca", struct conf_listener_tls, client_ca,
		"clients are asked for a certificate of this authority, PEM; null: they are not", NULLABLE),
	ENUM("client_auth", struct conf_listener_tls, client_auth, auth_names,
		"with `client_ca`: may a client have none?", .dflt = CONF_CLIENT_REQUIRED),
	CUSTOM("client_subject_header", type_token, struct conf_listener_tls, client_subject_header,
		"tells backends the verified subject; never passed on from clients",
		.text = "X-Client-Cert-Subject"),
	END,
};

static void tls_check(struct parse *p, const struct node *v, void *obj)
{
	const struct conf_listener_tls *t = obj;

	if (t->cert_n == 0 && t->directory.n == 0 && !node_get(v, STR("certificates")) &&
		!node_get(v, STR("directory")))
		parse_error(p, v, "TLS needs a certificate: \"certificates\" or \"directory\"");
	else if (t->cert_n == 0 && t->directory.n == 0)
		parse_error(p, v, "TLS needs a certificate, and none is left here");
}

static const struct config_object tls_object = {
	.id = OBJECT_LISTENER_TLS,
	.path = "listeners.NAME.tls",
	.what = "tls",
	.doc = "TLS towards clients.",
	.size = sizeof(struct conf_listener_tls),
	.place_offset = offsetof(struct conf_listener_tls, place),
	.fields = tls_fields,
	.check = tls_check,
};

/* -- HTTP/2: true, false, or its settings -- */

static const struct config_field http2_fields[] = {
	COUNT("max_concurrent_streams", struct conf_listener, max_concurrent_streams,
		"requests at once on one connection", .dflt = 100, .min = 1, .max = 10000),
	END,
};

static const struct config_object http2_object = {
	.id = OBJECT_HTTP2,
	.path = "listeners.NAME.http2",
	.what = "http2",
	.doc = "HTTP/2 from clients: by ALPN on TLS, with prior knowledge otherwise. `false` turns it off.",
	.size = sizeof(struct conf_listener),
	.fields = http2_fields,
};

static void parse_http2(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	struct conf_listener *l = obj;

	if (v->kind == NODE_MAP) {
		l->http2 = true;
		object_parse(p, f->object, STR_NONE, v, obj);
	} else if (v->kind == NODE_SCALAR &&
		   (str_eq(node_str(v), STR("true")) || str_eq(node_str(v), STR("false")))) {
		l->http2 = v->n == 4;
	} else {
		parse_bad(p, f, v, f->type->expects);
	}
}

static void init_http2(struct parse *p, const struct config_field *f, void *obj)
{
	((struct conf_listener *)obj)->http2 = true;
	object_init_within(p, f, obj);
}

static const struct config_type type_http2 = {
	.name = "mapping, true or false",
	.expects = "a mapping, true or false",
	.schema = "{\"anyOf\": [{\"type\": \"boolean\"}, {\"$ref\": \"#/$defs/listeners.NAME.http2\"}]}",
	.parse = parse_http2,
	.init = init_http2,
};

/* -- listeners -- */

static const char *const underscores_names[] = {[CONF_UNDERSCORES_DROP] = "drop",
	[CONF_UNDERSCORES_PASS] = "pass",
	[CONF_UNDERSCORES_REFUSE] = "refuse",
	NULL};

static const struct config_field listener_fields[] = {
	CUSTOM("address", type_address, struct conf_listener, address,
		"where to listen: `0.0.0.0:8080`, `[::]:8443`, `unix:/run/weir/http.sock`; port 0: any free "
		"one",
		REQUIRED),
	CUSTOM("unix_mode", type_mode, struct conf_listener, unix_mode, "permissions of a unix socket",
		.dflt = 0660),
	OBJECT("tls", struct conf_listener, tls, tls_object, "TLS towards clients; null: plain HTTP",
		.present = offsetof(struct conf_listener, has_tls), NULLABLE),
	{.key = "http2",
		.type = &type_http2,
		.object = &http2_object,
		.present = offsetof(struct conf_listener, http2),
		.text = "true",
		.doc = "HTTP/2 from clients"},
	BOOL("redirect_https", struct conf_listener, redirect_https,
		"answer every request with a redirect to https, but for those of which one of "
		"`trusted_proxies` says that they came so (`X-Forwarded-Proto: https`); plain listeners only",
		.dflt = false),
	COUNT("redirect_port", struct conf_listener, redirect_port, "the port of that redirect", .dflt = 443,
		.min = 1),
	CUSTOM("hsts", type_header_value, struct conf_listener, hsts,
		"value of Strict-Transport-Security on every answer, such as `max-age=31536000`; TLS "
		"listeners only",
		NULLABLE),
	BOOL("proxy_protocol", struct conf_listener, proxy_protocol,
		"require PROXY protocol v1 or v2, and only from `trusted_proxies`", .dflt = false),
	NETWORKS("trusted_proxies", struct conf_listener, trusted, trusted_n,
		"whose X-Forwarded-* and PROXY protocol are believed; a unix socket's peers always are"),
	ENUM("underscore_headers", struct conf_listener, underscores, underscores_names,
		"what becomes of request headers with an underscore in their names: CGI, WSGI, PHP and the "
		"like take `X_Real_IP` for `X-Real-IP`, which clients could so forge. `pass` lets go by what "
		"nobody takes for a header that weir knows",
		.dflt = CONF_UNDERSCORES_DROP),
	COUNT("backlog", struct conf_listener, backlog,
		"connections that the kernel keeps before they are accepted", .dflt = 4096, .min = 1,
		.max = 65535),
	END,
};

static const struct node *value_or(const struct node *map, struct str key)
{
	const struct node *v = node_get(map, key);

	return v ? v : map;
}

static void listener_check(struct parse *p, const struct node *v, void *obj)
{
	const struct conf_listener *l = obj;

	if (l->has_tls && l->redirect_https)
		parse_error(p, value_or(v, STR("redirect_https")),
			"\"redirect_https\" is for plain listeners; this one has \"tls\" already");
	if (!l->has_tls && l->hsts.n)
		parse_error(p, value_or(v, STR("hsts")),
			"\"hsts\" is for TLS listeners; browsers ignore it elsewhere");
	if (l->proxy_protocol && l->trusted_n == 0 && l->addr.family != ADDR_UNIX)
		parse_error(p, value_or(v, STR("proxy_protocol")),
			"\"proxy_protocol\" needs \"trusted_proxies\": without them nobody may connect");
}

const struct config_object listener_object = {
	.id = OBJECT_LISTENER,
	.path = "listeners.NAME",
	.what = "listener",
	.doc = "An address that clients connect to.",
	.size = sizeof(struct conf_listener),
	.place_offset = offsetof(struct conf_listener, place),
	.digest_offset = offsetof(struct conf_listener, digest),
	.fields = listener_fields,
	.check = listener_check,
};
