/* http/h1/server.c - the server role: requests come in, responses go out (RFC 9112). */
#include "http/h1/conn.h"

/* RFC 9113 3.4 */
static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
#define PREFACE_LEN (sizeof(preface) - 1)

static void server_send_head(struct stream *stream, const struct head *h, bool last);
static const struct stream_ops server_stream_ops = {
	.send_head = server_send_head,
	.send_body = h1_send_body,
	.send_trailers = h1_send_trailers,
	.credit = h1_credit,
	.reset = h1_reset,
	.release = h1_release,
};

/* -- requests -- */

static enum h1_result server_parse_head(struct h1_conn *c, struct h1_message *m, char *p, size_t n)
{
	if (c->base.limits->h2c && c->served == 0 && c->base.owner_ops->on_preface &&
		memcmp(p, preface, MIN(n, PREFACE_LEN)) == 0) {
		m->head.version = HTTP_2;
		m->size = 0;
		return n < PREFACE_LEN ? H1_PARTIAL : H1_COMPLETE;
	}
	return h1_parse_request(m, &c->progress, p, n, c->base.limits);
}

static void hand_over(struct h1_conn *c)
{
	struct transport *t = TAKE(&c->base.transport);
	struct chain received = c->in;

	c->in = (struct chain){0};
	t->on_event = NULL;
	c->base.owner_ops->on_preface(&c->base, &t, &received);
	MUST(!t);
	h1_close(c, REASON_NONE);
}

static void rx_begin(struct h1_stream *s, const struct h1_message *m)
{
	switch (m->head.body) {
	case BODY_LENGTH:
		s->rx_left = m->head.length;
		h1_rx_set(s, RX_LENGTH);
		break;
	case BODY_STREAM:
		h1_rx_set(s, RX_CHUNKED);
		break;
	case BODY_TUNNEL:
		s->tunnel = true;
		websocket_accept(m->websocket_key, s->websocket);
		h1_rx_set(s, RX_CONSENT);
		break;
	default:
		h1_rx_set(s, RX_DONE);
	}
}

/* A request for the owner: to be answered whether it is acceptable (head.reject) or not. */
static void begin_exchange(struct h1_conn *c, struct h1_message *m)
{
	struct h1_stream *s = h1_stream_new(c, &server_stream_ops);
	bool accepted = m->head.reject == REASON_NONE;

	deadline_disarm(c->base.loop, &c->read_by);
	c->base.unused = false;
	c->peer_last = accepted && !m->keep_alive;
	c->keep = accepted && m->keep_alive && !c->base.draining &&
		  (c->base.limits->requests == 0 || c->served < c->base.limits->requests);
	s->method_id = m->head.method_id;
	s->version = m->head.version;
	s->expects = m->head.expect_continue;
	if (!accepted)
		m->head.body = BODY_NONE;
	rx_begin(s, m);
	c->base.owner_ops->on_stream(&c->base, &s->base);
	MUST(s->base.owner_ops);
	s->base.owner_ops->on_head(&s->base, &m->head, s->rx == RX_DONE);
}

static void server_on_head(struct h1_conn *c, struct h1_message *m, enum h1_result r)
{
	if (r == H1_COMPLETE && m->head.version == HTTP_2)
		hand_over(c);
	else
		begin_exchange(c, m);
}

static void server_on_bad_body(struct h1_conn *c, enum reason why)
{
	struct h1_stream *s = c->stream;

	if (s->tx == TX_HEAD || h1_released(s))
		h1_stream_dead(c, why);
	else
		h1_close(c, why);
}

static void server_on_end(struct h1_conn *c, bool error)
{
	struct h1_stream *s = c->stream;

	if (!s) {
		h1_close(c, error || c->part ? REASON_CLIENT_GONE : REASON_NONE);
		return;
	}
	if (error || s->rx == RX_CONSENT) {
		h1_close(c, REASON_CLIENT_GONE);
		return;
	}
	if (s->rx != RX_DONE) {
		server_on_bad_body(c, REASON_CLIENT_CUT_BODY);
		return;
	}
	if (s->tx == TX_HEAD)
		deadline_arm(c->base.loop, &c->read_by, H1_HALF_CLOSED_MS);
}

static void server_on_read_deadline(struct h1_conn *c)
{
	struct h1_stream *s = c->stream;
	struct h1_message m;

	if (!s && !c->part) {
		h1_close(c, REASON_CLIENT_IDLE);
	} else if (!s) {
		block_unref(TAKE(&c->part));
		m = (struct h1_message){.head.reject = REASON_CLIENT_SLOW_HEADER};
		begin_exchange(c, &m);
	} else if (s->rx != RX_DONE) {
		server_on_bad_body(c, REASON_CLIENT_SLOW_BODY);
	} else if (s->tx == TX_HEAD && c->eof) {
		h1_close(c, REASON_CLIENT_GONE); /* it has half-closed and was not answered soon */
	} else if (s->tx == TX_HEAD) {
		c->base.transport->suspect = true;
		h1_wake(c);
	}
}

static void server_on_exchange_end(struct h1_conn *c)
{
	/* A request may be on its way from one who was told that the connection stays. */
	if (!c->keep || (c->base.draining && !c->base.patient) || (c->eof && chain_empty(&c->in))) {
		h1_finish(c);
		return;
	}
	deadline_arm(c->base.loop, &c->read_by, c->base.limits->idle_ms);
	if (c->base.transport->readable || c->base.transport->peer_closed || !chain_empty(&c->in))
		h1_wake(c);
}

/* -- responses -- */

/* RFC 9110 15.2: HTTP/1.0 knows no interim answers. A 100 that nobody waits for is of no use. */
static void send_interim(struct h1_conn *c, struct h1_stream *s, const struct head *h)
{
	const struct h1_lines none = {0};

	if (s->version != HTTP_1_1 || (h->status == 100 && !s->expects))
		return;
	if (h->status == 100)
		s->expects = false;
	h1_write_response(h1_mem(c), &c->out, h, &none);
	h1_want_flush(c);
}

static void send_consent(struct h1_conn *c, struct h1_stream *s, const struct head *h)
{
	const struct h1_lines l = {.websocket = {s->websocket, WEBSOCKET_ACCEPT_LEN}};

	if (s->rx != RX_CONSENT) {
		h1_close(c, REASON_INTERNAL);
		return;
	}
	c->keep = false;
	h1_write_response(h1_mem(c), &c->out, h, &l);
	h1_tx_set(s, TX_TUNNEL);
	h1_rx_set(s, RX_TUNNEL);
	h1_want_flush(c);
	h1_wake(c);
}

/* Whether the connection can outlive this answer, which may come before the end of the request. */
static bool worth_waiting(const struct h1_stream *s, unsigned status)
{
	/* RFC 9110 15.5.14: who sends too much is to stop. Whether all of it has come already is chance. */
	if (status == 413)
		return false;
	switch (s->rx) {
	case RX_LENGTH:
		return s->rx_left <= H1_DISCARD_MAX && !s->expects;
	case RX_CHUNKED:
		/* RFC 9110 10.1.1: a client that was not told to continue may send the body or not. */
		return !s->expects;
	default:
		return true;
	}
}

static void server_send_head(struct stream *stream, const struct head *h, bool last)
{
	struct h1_stream *s = h1_stream_of(stream);
	struct h1_conn *c = h1_conn_of(stream->conn);
	struct h1_lines l = {0};

	if (c->stream != s || c->state != H1_OPEN || s->tx != TX_HEAD)
		return;
	if (h->status < 200) {
		send_interim(c, s, h);
		return;
	}
	if (h->body == BODY_TUNNEL) {
		send_consent(c, s, h);
		return;
	}
	if (s->rx == RX_CONSENT)
		h1_rx_set(s, RX_DONE);
	if (c->base.draining || !worth_waiting(s, h->status))
		c->keep = false;
	if (s->method_id == METHOD_HEAD || h->status == 204 || h->status == 304) {
		l.length = h->has_length && h->status != 204;
		l.content_length = h->length;
		h1_tx_set(s, TX_VOID);
	} else if (h->body == BODY_NONE || (last && h->body == BODY_STREAM)) {
		l.length = true;
		h1_tx_set(s, TX_VOID);
	} else if (h->body == BODY_STREAM && s->version != HTTP_1_1) {
		c->keep = false;
		h1_tx_set(s, TX_UNTIL_CLOSE);
	} else {
		h1_begin_body(s, h, &l);
	}
	l.close = !c->keep;
	l.keep_alive = c->keep && s->version == HTTP_1_0;
	h1_write_response(h1_mem(c), &c->out, h, &l);
	if (last)
		h1_end_message(c, s);
	else
		h1_want_flush(c);
}

/* -- the connection -- */

static void server_drain(struct http_conn *conn)
{
	struct h1_conn *c = h1_conn_of(conn);

	conn->draining = true;
	conn->patient = false;
	if (!c->stream && !c->part && chain_empty(&c->in))
		h1_finish(c);
}

static void server_close(struct http_conn *conn, enum reason why)
{
	h1_close(h1_conn_of(conn), why);
}

static const struct http_conn_ops server_ops = {.drain = server_drain, .close = server_close};

static const struct h1_role server_role = {
	.parse_head = server_parse_head,
	.on_head = server_on_head,
	.on_bad_body = server_on_bad_body,
	.on_end = server_on_end,
	.on_exchange_end = server_on_exchange_end,
	.on_read_deadline = server_on_read_deadline,
	.slow_peer = REASON_CLIENT_SLOW_READ,
};

struct http_conn *h1_server(struct transport **t, const struct http_limits *lim,
	const struct http_conn_owner_ops *ops, void *owner)
{
	struct h1_conn *c = h1_conn_new(t, lim, ops, owner, &server_ops, &server_role, true);

	deadline_arm(c->base.loop, &c->read_by, lim->header_ms);
	return &c->base;
}
