#include "config/fields.h"

#include "base/obj.h"

static const char *const role_names[] = {"viewer", "operator", "admin", NULL};

static int hex_digit(char c)
{
	c = str_lower_char(c);
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void parse_sha256(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	uint8_t *out = field_member(f, obj);

	((struct conf_token *)obj)->has_sha256 = true;
	for (size_t i = 0; i < 32; i++) {
		int high = v->kind == NODE_SCALAR && v->n == 64 ? hex_digit(v->text[2 * i]) : -1;
		int low = high >= 0 ? hex_digit(v->text[2 * i + 1]) : -1;

		if (low < 0) {
			/* Somebody may have written the token itself: not into a log. */
			parse_error(p, v, "\"%s\" must be %s", f->key, f->type->expects);
			return;
		}
		out[i] = (uint8_t)(high << 4 | low);
	}
}

static const struct config_type type_sha256 = {
	.name = "64 hexadecimal digits",
	.expects = "the token's SHA-256 in 64 hexadecimal digits",
	.schema = "{\"type\": \"string\", \"pattern\": \"^[0-9A-Fa-f]{64}$\"}",
	.parse = parse_sha256,
};

static const struct config_field token_fields[] = {
	CUSTOM("name", type_name, struct conf_token, name, "who uses it; stands in events", REQUIRED),
	ENUM("role", struct conf_token, role, role_names, "what it may do", .dflt = 0),
	STRINGS("tenants", struct conf_token, tenants, type_name,
		"the tenants that it may see and change; empty: all"),
	CUSTOM("sha256", type_sha256, struct conf_token, sha256, "the token's hash, as of `sha256sum`"),
	STRING("subject", struct conf_token, subject,
		"instead of a token: the subject of a client certificate that `tls.client_ca` has signed, as "
		"of `openssl x509 -subject -nameopt RFC2253`"),
	END,
};

static void token_check(struct parse *p, const struct node *v, void *obj)
{
	const struct conf_token *t = obj;

	if (t->has_sha256 == (t->subject.n > 0))
		parse_error(p, v, "a token has either \"sha256\" or \"subject\"");
}

static const struct config_object token_object = {
	.id = OBJECT_TOKEN,
	.path = "admin.tokens",
	.what = "token",
	.doc = "Who may use the admin API over TCP.",
	.size = sizeof(struct conf_token),
	.fields = token_fields,
	.check = token_check,
};

static const struct config_object admin_tls_object;

static void parse_admin_listen(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	struct conf_admin *a = obj;

	if (node_is_null(v))
		a->listen = STR_NONE;
	else
		parse_ip_address(p, f, v, &a->listen, &a->listen_addr);
}

static const struct config_type type_admin_listen = {
	.name = "address",
	.expects = "an address and port such as 127.0.0.1:9900",
	.schema = "{\"type\": \"string\"}",
	.parse = parse_admin_listen,
	.say = type_text_say,
};

/* Scheme, host and port, nothing else: a path can be left again with "..". */
static bool is_origin(struct str s)
{
	size_t skip = str_starts(s, STR("https://")) ? 8 : 7;
	struct str authority = str_skip(s, skip);

	if (skip == 7 && !str_starts(s, STR("http://")))
		return false;
	for (size_t i = 0; i < authority.n; i++)
		if ((unsigned char)authority.p[i] <= ' ' || strchr("/?#@\\\"'", authority.p[i]))
			return false;
	return authority.n > 0;
}

static const struct config_type type_origin = {
	.name = "http:// or https:// URL without a path",
	.plural = "http:// or https:// URLs without a path",
	.expects = "a URL without a path, such as http://judge.internal:8080",
	.schema = "{\"type\": \"string\", \"pattern\": \"^https?://[^/?#@]+$\"}",
	.valid = is_origin,
};

static const struct config_field admin_fields[] = {
	PATH("socket", struct conf_admin, socket,
		"the command line's way in; its permissions are the authorisation",
		.text = "/run/weir/admin.sock"),
	CUSTOM("listen", type_admin_listen, struct conf_admin, listen,
		"TCP for the dashboard, the API and /metrics; beyond loopback only with `tls` and `tokens`",
		NULLABLE),
	OBJECT("tls", struct conf_admin, tls, admin_tls_object, "the certificate of `listen`",
		.present = offsetof(struct conf_admin, has_tls), NULLABLE),
	LIST_OF("tokens", struct conf_admin, tokens, token_n, token_object,
		"who may come in by `listen`; without any, everybody who reaches it may look, and nobody may "
		"change"),
	STRINGS("hosts", struct conf_admin, hosts, type_host,
		"names by which `listen` is asked for, besides localhost, addresses and the names of its "
		"certificate"),
	STRINGS("judges", struct conf_admin, judges, type_origin,
		"whom a shift or deploy may have weir ask (`hook`, `prometheus`) when the token behind it is "
		"none of role admin for all tenants"),
	END,
};

static void admin_check(struct parse *p, const struct node *v, void *obj)
{
	struct conf_admin *a = obj;
	const struct node *listen = node_get(v, STR("listen")), *socket = node_get(v, STR("socket"));

	a->socket_given = socket != NULL;
	a->place = node_place(socket ? socket : v);
	for (uint32_t i = 0; i < a->token_n; i++)
		if (a->tokens[i].subject.n && !(a->has_tls && a->tls.client_ca.n))
			parse_error(p, v, "a token with a \"subject\" needs \"client_ca\" in \"tls\"");

	if (!a->listen.n || addr_is_loopback(&a->listen_addr) || (a->has_tls && a->token_n))
		return;
	parse_error(p, listen ? listen : v,
		"\"listen\" reaches beyond loopback: that needs \"tls\" and at least one of \"tokens\"");
}

const struct config_object admin_object = {
	.id = OBJECT_ADMIN,
	.path = "admin",
	.what = "admin",
	.doc = "How a running weir is talked to.",
	.size = sizeof(struct conf_admin),
	.digest_offset = offsetof(struct conf_admin, digest),
	.fields = admin_fields,
	.check = admin_check,
};

static const struct config_field admin_tls_fields[] = {
	INPUT("cert", struct conf_admin_tls, cert.cert, "the certificate and its chain, PEM", REQUIRED),
	INPUT("key", struct conf_admin_tls, cert.key, "its private key, PEM", REQUIRED),
	INPUT("client_ca", struct conf_admin_tls, client_ca,
		"who signs the certificates that clients must show, PEM", NULLABLE),
	END,
};

static const struct config_object admin_tls_object = {
	.id = OBJECT_ADMIN_TLS,
	.path = "admin.tls",
	.what = "tls",
	.doc = "The certificate of `admin.listen`.",
	.size = sizeof(struct conf_admin_tls),
	.place_offset = offsetof(struct conf_admin_tls, cert.place),
	.fields = admin_tls_fields,
};
