#include "exchange/entry.h"

#include <stdlib.h>
#include "base/obj.h"
#include "io/tls.h"

#define H2_WINDOW (256u * 1024) /* a stream's upload in flight: 20 Mbit/s at 100 ms */

static struct str copy(struct arena *a, struct str s)
{
	return s.n ? arena_str(a, s) : STR_NONE;
}

/* Of a body, within timeouts.client_body. */
static uint32_t body_least(const struct conf *conf)
{
	uint64_t bytes = (uint64_t)conf->limits.body_rate * conf->timeouts.client_body / 1000;

	return (uint32_t)MIN(bytes, UINT32_MAX);
}

static void set_limits(struct http_limits *limits, const struct conf_listener *l, const struct conf *conf)
{
	*limits = (struct http_limits){
		.header_ms = conf->timeouts.client_header,
		.body_ms = conf->timeouts.client_body,
		.body_least = body_least(conf),
		.idle_ms = conf->timeouts.client_idle,
		.header_bytes = conf->limits.header_bytes,
		.header_count = conf->limits.header_count,
		.max_streams = l->max_concurrent_streams,
		.window = H2_WINDOW,
		.tls = l->has_tls,
		.h2c = l->http2 && !l->has_tls,
	};
}

struct entry *entry_new(struct edge *edge, const struct conf_listener *l, const struct conf *conf)
{
	struct entry *e = calloc(1, sizeof(*e));
	struct arena *a;

	MUST(e);
	a = &e->arena;
	arena_init(a, NULL);
	e->magic = ENTRY_MAGIC;
	e->refs = 1;
	e->edge = edge;
	e->conf = *l;
	e->conf.name = copy(a, l->name);
	e->conf.address = copy(a, l->address);
	e->conf.socket_key = copy(a, l->socket_key);
	e->conf.unix_path = copy(a, l->unix_path);
	e->conf.hsts = copy(a, l->hsts);
	e->conf.trusted = arena_array(a, struct cidr, l->trusted_n);
	if (l->trusted_n)
		memcpy(e->conf.trusted, l->trusted, l->trusted_n * sizeof(*l->trusted));
	/* The copy keeps of the TLS part only what requests need. */
	e->conf.tls = (struct conf_listener_tls){
		.client_subject_header = copy(a, l->tls.client_subject_header),
		.client_ca = copy(a, l->tls.client_ca),
		.client_auth = l->tls.client_auth,
	};
	e->proto_line = arena_fmt(a, "x-forwarded-proto: %s\r\nx-forwarded-port: %u\r\n",
		l->has_tls ? "https" : "http", l->addr.port);
	e->port_line = str_skip(e->proto_line, str_find(e->proto_line, '\n') + 1);
	e->proto_line.n -= e->port_line.n;
	set_limits(&e->limits, l, conf);
	return e;
}

void entry_ref(struct entry *e)
{
	e->refs++;
}

void entry_unref(struct entry **ep)
{
	struct entry *e = TAKE(ep);

	OBJ_CHECK(e, ENTRY_MAGIC);
	if (--e->refs > 0)
		return;
	tls_server_release(e->tls);
	arena_free(&e->arena);
	e->magic = 0;
	free(e);
}

bool entry_same(const struct entry *e, const struct conf_listener *l, const struct conf *conf)
{
	struct http_limits limits;

	set_limits(&limits, l, conf);
	return memcmp(&limits, &e->limits, sizeof(limits)) == 0 && str_eq(e->conf.name, l->name) &&
	       str_eq(e->conf.address, l->address) && str_eq(e->conf.hsts, l->hsts) &&
	       str_eq(e->conf.tls.client_subject_header, l->tls.client_subject_header) &&
	       e->conf.has_tls == l->has_tls && e->conf.redirect_https == l->redirect_https &&
	       e->conf.redirect_port == l->redirect_port && e->conf.http2 == l->http2 &&
	       e->conf.proxy_protocol == l->proxy_protocol && e->conf.underscores == l->underscores &&
	       e->conf.trusted_n == l->trusted_n &&
	       (l->trusted_n == 0 ||
		       memcmp(e->conf.trusted, l->trusted, l->trusted_n * sizeof(*l->trusted)) == 0);
}

static bool trusts(const struct conf_listener *l, const struct addr *peer)
{
	if (l->addr.family == ADDR_UNIX && !l->proxy_protocol)
		return true;
	for (uint32_t i = 0; i < l->trusted_n; i++)
		if (cidr_has(&l->trusted[i], peer))
			return true;
	return false;
}

bool entry_trusts(const struct entry *e, const struct addr *peer)
{
	return trusts(&e->conf, peer);
}

bool entry_redirects(const struct conf_listener *l, const struct addr *peer, const struct fields *request)
{
	const struct field *proto = NULL;

	if (!l->redirect_https)
		return false;
	/* Of several the last, as it is passed on. */
	for (uint32_t i = 0; i < request->n; i++)
		if (request->v[i].id == FIELD_X_FORWARDED_PROTO)
			proto = &request->v[i];
	return !proto || !str_case_eq(field_value(proto), STR("https")) || !trusts(l, peer);
}
