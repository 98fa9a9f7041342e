/* http/h1/client.c - the client role: requests go out, responses come in (RFC 9112). */
#include "http/h1/conn.h"

static void client_send_head(struct stream *stream, const struct head *h, bool last);
static const struct stream_ops client_stream_ops = {
	.send_head = client_send_head,
	.send_body = h1_send_body,
	.send_trailers = h1_send_trailers,
	.credit = h1_credit,
	.reset = h1_reset,
	.release = h1_release,
};

/* -- requests -- */

static void make_websocket_key(struct h1_conn *c, struct h1_stream *s, char key[WEBSOCKET_KEY_LEN + 1])
{
	uint64_t random[2] = {loop_random(c->base.loop), loop_random(c->base.loop)};

	websocket_accept(websocket_key((const uint8_t *)random, key), s->websocket);
}

/* RFC 9110 8.6: these methods say so when there is no content. */
static bool anticipates_content(uint8_t method_id)
{
	return method_id == METHOD_POST || method_id == METHOD_PUT || method_id == METHOD_PATCH;
}

static void client_send_head(struct stream *stream, const struct head *h, bool last)
{
	struct h1_stream *s = h1_stream_of(stream);
	struct h1_conn *c = h1_conn_of(stream->conn);
	char key[WEBSOCKET_KEY_LEN + 1];
	struct h1_lines l = {0};

	if (c->stream != s || c->state != H1_OPEN || s->tx != TX_HEAD)
		return;
	s->method_id = h->method_id;
	if (h->method_id == METHOD_CONNECT) {
		/* HTTP/1 can ask for no other tunnel. */
		if (h->body != BODY_TUNNEL || !str_eq(h->protocol, STR("websocket"))) {
			h1_close(c, REASON_UPSTREAM_BAD_UPGRADE);
			return;
		}
		make_websocket_key(c, s, key);
		l.websocket = (struct str){key, WEBSOCKET_KEY_LEN};
		s->tunnel = true;
		h1_tx_set(s, TX_CONSENT);
	} else if (h->body == BODY_NONE || (last && h->body == BODY_STREAM)) {
		l.length = h->has_length || anticipates_content(h->method_id);
		h1_tx_set(s, TX_VOID);
	} else {
		h1_begin_body(s, h, &l);
	}
	if (!h1_write_request(h1_mem(c), &c->out, h, &l)) {
		h1_close(c, REASON_INTERNAL);
		return;
	}
	if (last)
		h1_end_message(c, s);
	else
		h1_want_flush(c);
}

/* -- responses -- */

static enum h1_result client_parse_head(struct h1_conn *c, struct h1_message *m, char *p, size_t n)
{
	const struct h1_asked asked = {c->stream->method_id, c->stream->tunnel};

	return h1_parse_response(m, &c->progress, p, n, c->base.limits, &asked);
}

/* The backend's answer to a handshake: what the owner sent early goes on its way, or nowhere. */
static void end_consent(struct h1_conn *c, struct h1_stream *s, bool agreed)
{
	if (agreed) {
		h1_tx_set(s, TX_TUNNEL);
		s->queued += s->held.n;
		chain_move(&c->out, &s->held);
	} else {
		h1_tx_set(s, TX_VOID);
		s->sent += s->held.n;
		chain_clear(h1_mem(c), &s->held);
	}
	if (s->last_held)
		h1_end_message(c, s);
	h1_want_flush(c);
}

static bool consent_is_valid(const struct h1_stream *s, const struct h1_message *m)
{
	return str_eq(m->websocket_accept, (struct str){s->websocket, WEBSOCKET_ACCEPT_LEN});
}

static void rx_begin(struct h1_stream *s, const struct h1_message *m)
{
	switch (m->head.body) {
	case BODY_LENGTH:
		s->rx_left = m->head.length;
		h1_rx_set(s, RX_LENGTH);
		break;
	case BODY_STREAM:
		h1_rx_set(s, m->chunked ? RX_CHUNKED : RX_UNTIL_CLOSE);
		break;
	case BODY_TUNNEL:
		h1_rx_set(s, RX_TUNNEL);
		break;
	default:
		h1_rx_set(s, RX_DONE);
	}
}

static void client_on_head(struct h1_conn *c, struct h1_message *m, enum h1_result r)
{
	struct h1_stream *s = c->stream;
	bool agreed = m->head.body == BODY_TUNNEL;

	deadline_disarm(c->base.loop, &c->read_by);
	if (r == H1_BAD || s->tx == TX_HEAD) {
		h1_close(c, r == H1_BAD ? m->why : REASON_UPSTREAM_BAD_RESPONSE);
		return;
	}
	if (m->head.status < 200) {
		if (++s->interim > H1_INTERIM_MAX)
			h1_close(c, REASON_UPSTREAM_TOO_MANY_1XX);
		else
			s->base.owner_ops->on_head(&s->base, &m->head, false);
		return;
	}
	if (agreed && !consent_is_valid(s, m)) {
		h1_close(c, REASON_UPSTREAM_BAD_UPGRADE);
		return;
	}
	/* RFC 9112 9.3: after an answer that did not wait for the whole request nobody knows where the next one would begin. */
	if (!m->keep_alive || agreed || (s->tx != TX_DONE && s->tx != TX_CONSENT) || !chain_empty(&c->out))
		c->keep = false;
	if (s->tx == TX_CONSENT)
		end_consent(c, s, agreed);
	rx_begin(s, m);
	s->base.owner_ops->on_head(&s->base, &m->head, s->rx == RX_DONE);
}

static void client_on_bad_body(struct h1_conn *c, enum reason why)
{
	h1_close(c, why == REASON_CLIENT_HEADERS_TOO_LARGE ? REASON_UPSTREAM_HEADERS_TOO_LARGE
							   : REASON_UPSTREAM_BAD_FRAMING);
}

static void client_on_end(struct h1_conn *c, bool error)
{
	struct h1_stream *s = c->stream;

	c->keep = false;
	if (!s) {
		h1_close(c, REASON_NONE);
	} else if (s->rx == RX_DONE && !s->tunnel) {
		/* The answer is complete; what is left of the request has nobody to go to any more. */
		if (error && s->tx != TX_DONE) {
			chain_clear(h1_mem(c), &c->out);
			h1_tx_set(s, TX_DONE);
			h1_want_flush(c);
		}
	} else if (s->rx != RX_HEAD) {
		if (error || s->rx != RX_DONE)
			h1_close(c, REASON_UPSTREAM_CUT_BODY);
	} else if (c->part) {
		h1_close(c, error ? REASON_UPSTREAM_RESET : REASON_UPSTREAM_BAD_RESPONSE);
	} else if (c->served > 1 && s->interim == 0) {
		h1_close(c, REASON_UPSTREAM_STALE);
	} else {
		h1_close(c, error ? REASON_UPSTREAM_RESET : REASON_UPSTREAM_CLOSED);
	}
}

static void client_on_read_deadline(struct h1_conn *c)
{
	if (!c->stream)
		h1_close(c, REASON_NONE);
	else
		h1_close(
			c, c->stream->rx == RX_HEAD ? REASON_UPSTREAM_TIMEOUT : REASON_UPSTREAM_BODY_TIMEOUT);
}

static void client_on_exchange_end(struct h1_conn *c)
{
	if (!c->keep || c->base.draining || c->eof || !chain_empty(&c->in) || !chain_empty(&c->out)) {
		h1_close(c, REASON_NONE);
		return;
	}
	c->base.capacity = 1;
	c->change_owed = true;
	deadline_arm(c->base.loop, &c->read_by, c->base.limits->idle_ms);
	h1_wake(c);
}

/* -- the connection -- */

static struct stream *client_open(struct http_conn *conn, const struct stream_owner_ops *ops, void *owner)
{
	struct h1_conn *c = h1_conn_of(conn);
	struct h1_stream *s;

	if (conn->capacity == 0)
		return NULL;
	deadline_disarm(conn->loop, &c->read_by);
	conn->capacity = 0;
	conn->unused = false;
	s = h1_stream_new(c, &client_stream_ops);
	s->base.owner_ops = ops;
	s->base.owner = owner;
	return &s->base;
}

static void client_drain(struct http_conn *conn)
{
	struct h1_conn *c = h1_conn_of(conn);

	conn->draining = true;
	conn->capacity = 0;
	if (!c->stream)
		h1_close(c, REASON_NONE);
}

static void client_close(struct http_conn *conn, enum reason why)
{
	h1_close(h1_conn_of(conn), why);
}

static const struct http_conn_ops client_ops = {
	.open = client_open, .drain = client_drain, .close = client_close};

static const struct h1_role client_role = {
	.parse_head = client_parse_head,
	.on_head = client_on_head,
	.on_bad_body = client_on_bad_body,
	.on_end = client_on_end,
	.on_exchange_end = client_on_exchange_end,
	.on_read_deadline = client_on_read_deadline,
	.slow_peer = REASON_UPSTREAM_TIMEOUT,
};

struct http_conn *h1_client(struct transport **t, const struct http_limits *lim,
	const struct http_conn_owner_ops *ops, void *owner)
{
	struct h1_conn *c = h1_conn_new(t, lim, ops, owner, &client_ops, &client_role, false);

	c->base.capacity = 1;
	c->base.settled = true;
	deadline_arm(c->base.loop, &c->read_by, lim->idle_ms);
	return &c->base;
}
