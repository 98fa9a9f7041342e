#include "upstream/connect.h"

#include <stdlib.h>
#include "base/obj.h"
#include "io/proxy_protocol.h"
#include "io/tls.h"

struct opening {
	struct list link; /* in pool->opening; when it has a connection, in pool->settling */
	struct conn_pool *pool;
	struct http_conn *
		conn; /* is made, but has still to be told how many requests it may carry; NULL: not made yet */
	uint32_t carries; /* requests that are counted on it, beyond those that the connection has taken */
	struct conn_waiter *waiter; /* in whose name it is made; NULL: nobody's */
	bool http1; /* whatever the settings' protocol: the waiter needs it */
	bool outdated; /* begun under other settings than those of now */
	struct transport *transport;
	struct deadline deadline;
	char preamble[PROXY_WRITE_MAX]; /* the PROXY header, to be sent first */
	uint8_t preamble_n;
};

static void count_on(struct opening *o, uint32_t requests)
{
	o->pool->coming += requests - o->carries;
	o->carries = requests;
}

void opening_end(struct opening *o)
{
	struct conn_pool *p = o->pool;

	count_on(o, 0);
	if (o->waiter)
		o->waiter->own = NULL;
	list_remove(&o->link);
	if (!o->conn)
		p->opening_n--;
	deadline_disarm(p->loop, &o->deadline);
	transport_close(&o->transport);
	mem_obj_free(&p->loop->mem, o, sizeof(*o));
}

static void opening_fail(struct opening *o, enum reason why)
{
	struct conn_pool *p = o->pool;
	struct conn_waiter *w = o->waiter;
	const char *text = tls_error_text(o->transport);
	uint32_t requests = o->carries;

	if (*text && p->on_tls_failed)
		p->on_tls_failed(p, why, text);
	opening_end(o);
	conn_pool_open_failed(p, why, w, requests);
}

/* What the backend agreed to speak. REASON_NONE and *version, or why it will not do. */
static enum reason agreed(const struct opening *o, enum http_version *version)
{
	uint8_t protocol = o->pool->settings.protocol;
	const struct tls_info *tls = transport_tls(o->transport);
	bool h2 = tls && str_eq(tls->alpn, STR("h2"));

	if (o->http1) {
		*version = HTTP_1_1;
		return REASON_NONE;
	}
	switch ((enum conf_protocol)protocol) {
	case CONF_H2C:
		*version = HTTP_2;
		return REASON_NONE;
	case CONF_H2:
		/* A backend that ignores ALPN was told to speak h2 by its operator all the same (RFC 9113 3.3). */
		*version = HTTP_2;
		return tls && tls->alpn.n && !h2 ? REASON_UPSTREAM_ALPN : REASON_NONE;
	case CONF_AUTO:
		*version = h2 ? HTTP_2 : HTTP_1_1;
		return REASON_NONE;
	default:
		*version = HTTP_1_1;
		return REASON_NONE;
	}
}

/* A socket just opened takes a hundred bytes at once, or it is not worth having. TLS has sent them before its handshake. */
static enum reason send_preamble(struct opening *o)
{
	struct iovec iov = {o->preamble, o->preamble_n};

	if (o->preamble_n == 0 || o->pool->settings.tls)
		return REASON_NONE;
	return transport_writev(o->transport, &iov, 1) == (ssize_t)iov.iov_len ? REASON_NONE
									       : REASON_UPSTREAM_CONNECT;
}

/* For whoever asks why. */
static void keep_error(struct conn_pool *p, const struct transport *t)
{
	const char *text = p->settings.tls ? tls_error_text(t) : "";

	if (text[0] == '\0' || (p->error && strcmp(p->error, text) == 0))
		return;
	free(p->error);
	p->error = strdup(text);
}

static void on_event(struct transport *t)
{
	struct opening *o = t->user;
	struct conn_pool *p = o->pool;
	struct conn_waiter *w = o->waiter;
	enum http_version version;
	struct transport *open;
	enum reason why;

	if (t->state == TRANSPORT_DEAD) {
		keep_error(p, t);
		opening_fail(o, t->why ? (enum reason)t->why : REASON_UPSTREAM_CONNECT);
		return;
	}
	if (t->state != TRANSPORT_OPEN)
		return;
	if (o->outdated) {
		opening_end(o);
		conn_pool_open_again(p);
		return;
	}
	why = agreed(o, &version);
	if (why == REASON_NONE)
		why = send_preamble(o);
	if (why != REASON_NONE) {
		opening_fail(o, why);
		return;
	}
	open = TAKE(&o->transport);
	open->on_event = NULL;
	conn_pool_opened(p, o, &open, version, w);
}

static void on_too_slow(struct deadline *d)
{
	struct opening *o = CONTAINER(d, struct opening, deadline);
	uint32_t requests = o->carries;

	if (!o->conn) {
		opening_fail(o, REASON_UPSTREAM_CONNECT_TIMEOUT);
		return;
	}
	/* The request that it has taken may still be answered. The others have waited long enough. */
	count_on(o, 0);
	if (requests > 0)
		conn_pool_open_failed(o->pool, REASON_UPSTREAM_CONNECT_TIMEOUT, NULL, requests);
}

enum reason opening_begin(struct conn_pool *p, struct conn_waiter *w, uint32_t carries)
{
	const char *unix_path = p->backend->unix_path.n ? p->backend->unix_path.p : NULL;
	enum reason why = REASON_UPSTREAM_CONNECT;
	struct opening *o;

	if (p->settings.tls_lost)
		return REASON_UPSTREAM_TLS;
	if (p->backend->addr.family == ADDR_NONE)
		return REASON_UPSTREAM_RESOLVE;
	o = mem_obj(&p->loop->mem, sizeof(*o));
	if (p->settings.proxy_protocol)
		o->preamble_n = (uint8_t)proxy_protocol_write(
			p->settings.proxy_protocol, w->client, w->client_local, o->preamble);
	if (p->settings.tls)
		o->transport = tls_connect(p->loop, &p->backend->addr, unix_path, p->settings.tls,
			str_of(p->settings.server_name), (struct str){o->preamble, o->preamble_n}, &why);
	else
		o->transport = plain_connect(p->loop, &p->backend->addr, unix_path, &why);
	if (!o->transport) {
		mem_obj_free(&p->loop->mem, o, sizeof(*o));
		counter_add(&conn_pool_tally(p)->connect_failures, 1);
		return why;
	}
	o->pool = p;
	if (p->settings.proxy_protocol || w->http1) {
		o->waiter = w;
		w->own = o;
	}
	o->http1 = w->http1;
	/* A reload may have taken TLS away meanwhile. */
	if (w->http1 && p->settings.tls)
		tls_offer_http1(o->transport);
	o->transport->user = o;
	o->transport->on_event = on_event;
	list_push_back(&p->opening, &o->link);
	p->opening_n++;
	count_on(o, carries);
	o->deadline.fire = on_too_slow;
	deadline_arm(p->loop, &o->deadline, p->settings.connect_ms);
	return REASON_NONE;
}

void openings_outdate(struct conn_pool *p)
{
	list_each_safe (link, &p->opening)
		CONTAINER(link, struct opening, link)->outdated = true;
}

void opening_close_beyond(struct conn_pool *p, uint32_t requests)
{
	struct list *newer;

	for (struct list *link = p->opening.prev; link != &p->opening; link = newer) {
		struct opening *o = CONTAINER(link, struct opening, link);

		newer = link->prev;
		if (p->coming - o->carries < requests)
			return;
		/* What is made in somebody's name is given up with him alone. */
		if (!o->waiter || requests == 0)
			opening_end(o);
	}
}

void opening_made(struct opening *o, struct http_conn *c)
{
	struct conn_pool *p = o->pool;

	if (c->settled) {
		opening_end(o);
		return;
	}
	/* The first request goes with our preface, whatever the backend will say. */
	count_on(o, o->carries - 1);
	if (o->waiter)
		o->waiter->own = NULL;
	o->waiter = NULL;
	o->conn = c;
	p->opening_n--;
	list_remove(&o->link);
	list_push_back(&p->settling, &o->link);
}

uint32_t opening_settle(struct conn_pool *p, const struct http_conn *c)
{
	uint32_t requests = 0;

	list_each_safe (link, &p->settling) {
		struct opening *o = CONTAINER(link, struct opening, link);

		if (o->conn != c)
			continue;
		requests = o->carries;
		opening_end(o);
	}
	return requests;
}
