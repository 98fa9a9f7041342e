/* http/h1/send.c - the outgoing half of a connection, and the verbs of a stream that both roles share. */
#include "http/h1/conn.h"

void h1_want_flush(struct h1_conn *c)
{
	if (c->state < H1_CLOSED)
		loop_defer(c->base.loop, &c->flush, LOOP_FLUSH);
}

/* What of the stream's body has left. Framing counts as going first, so with a blocked peer the sum may be late by some bytes, never
 * early. */
static void count_sent(struct h1_conn *c)
{
	struct h1_stream *s = c->stream;
	size_t left;

	if (!s)
		return;
	left = MIN(s->queued, c->out.n);
	s->sent += s->queued - left;
	s->queued = left;
	if (chain_empty(&c->out) && s->tx == TX_DONE)
		s->base.sent_all = true;
}

static void all_written(struct h1_conn *c)
{
	struct h1_stream *s = c->stream;

	deadline_disarm(c->base.loop, &c->write_by);
	if (c->state == H1_CLOSING) {
		h1_all_written(c);
		return;
	}
	if (!s) {
		/* The next request may be here already. */
		if (c->base.transport->readable || !chain_empty(&c->in))
			h1_wake(c);
		return;
	}
	/* Half-close. If the peer has finished too, the end of the exchange closes. */
	if (s->tunnel && s->tx == TX_DONE && s->rx == RX_TUNNEL && !s->shut) {
		s->shut = true;
		transport_shutdown(c->base.transport);
	}
}

/* A backend may have answered without waiting for the whole request, and closed: what it said is read first (RFC 9112 9.5). */
static void write_failed(struct h1_conn *c)
{
	struct h1_stream *s = c->stream;

	if (c->base.server || !s || s->rx == RX_DONE) {
		c->role->on_end(c, true);
		return;
	}
	/* What may lie there is no answer to what was never asked. */
	if (!s->begun) {
		h1_close(c, REASON_UPSTREAM_UNSENT);
		return;
	}
	c->keep = false;
	chain_clear(h1_mem(c), &c->out);
	if (s->tx != TX_HEAD && s->tx != TX_DONE)
		h1_tx_set(s, TX_DONE);
	h1_wake(c);
}

void h1_flush(struct h1_conn *c)
{
	struct iovec iov[H1_IOV];

	if (c->state >= H1_LINGERING)
		return;
	while (!chain_empty(&c->out)) {
		ssize_t n = transport_writev(c->base.transport, iov, chain_iov(&c->out, iov, H1_IOV));

		if (n > 0) {
			chain_drain(h1_mem(c), &c->out, (size_t)n);
			if (c->stream)
				c->stream->begun = true;
			deadline_disarm(c->base.loop, &c->write_by);
			continue;
		}
		if (n == TRANSPORT_ERROR) {
			write_failed(c);
			return;
		}
		chain_settle(h1_mem(c), &c->out);
		if (!deadline_armed(&c->write_by))
			deadline_arm(c->base.loop, &c->write_by, c->base.limits->body_ms);
		break;
	}
	count_sent(c);
	if (chain_empty(&c->out))
		all_written(c);
}

void h1_begin_body(struct h1_stream *s, const struct head *h, struct h1_lines *l)
{
	if (h->body == BODY_LENGTH) {
		l->length = true;
		l->content_length = h->length;
		s->tx_left = h->length;
		h1_tx_set(s, TX_LENGTH);
	} else {
		l->chunked = true;
		h1_tx_set(s, TX_CHUNKED);
	}
}

void h1_end_message(struct h1_conn *c, struct h1_stream *s)
{
	/* Short of its length: cut, so that it cannot look complete. */
	if (s->tx == TX_LENGTH && s->tx_left) {
		h1_close(c, REASON_CANCELLED);
		return;
	}
	if (s->tx == TX_CONSENT) {
		s->last_held = true;
		return;
	}
	h1_tx_set(s, TX_DONE);
	h1_want_flush(c);
}

/* Whether the owner's verb still has an effect. */
static bool is_sending(const struct h1_conn *c, const struct h1_stream *s)
{
	return c->stream == s && c->state == H1_OPEN && s->tx != TX_HEAD && s->tx != TX_DONE;
}

void h1_send_body(struct stream *stream, struct chain *body, bool last)
{
	struct h1_stream *s = h1_stream_of(stream);
	struct h1_conn *c = h1_conn_of(stream->conn);
	size_t n = body->n;

	if (!is_sending(c, s)) {
		chain_clear(h1_mem(c), body);
		return;
	}
	switch (s->tx) {
	case TX_LENGTH:
		/* More than was announced would be read as the next message. */
		if (n > s->tx_left) {
			chain_clear(h1_mem(c), body);
			h1_close(c, REASON_INTERNAL);
			return;
		}
		s->tx_left -= n;
		chain_move(&c->out, body);
		break;
	case TX_CHUNKED:
		h1_write_chunk(h1_mem(c), &c->out, body);
		if (last)
			h1_write_last_chunk(h1_mem(c), &c->out, NULL);
		break;
	case TX_CONSENT:
		chain_move(&s->held, body);
		n = 0;
		break;
	case TX_VOID:
		chain_clear(h1_mem(c), body);
		break;
	default:
		chain_move(&c->out, body);
	}
	s->queued += n;
	if (last)
		h1_end_message(c, s);
	else if (n)
		h1_want_flush(c);
}

void h1_send_trailers(struct stream *stream, const struct fields *trailers)
{
	struct h1_stream *s = h1_stream_of(stream);
	struct h1_conn *c = h1_conn_of(stream->conn);

	if (!is_sending(c, s))
		return;
	/* Other framings have no place for trailers (RFC 9110 6.5.1): they are dropped. */
	if (s->tx == TX_CHUNKED)
		h1_write_last_chunk(h1_mem(c), &c->out, trailers);
	h1_end_message(c, s);
}

void h1_credit(struct stream *stream, size_t n)
{
	struct h1_stream *s = h1_stream_of(stream);
	struct h1_conn *c = h1_conn_of(stream->conn);

	if (s->told || c->state != H1_OPEN)
		return;
	s->credit += n;
	/* From below h1_receive() it is seen when that goes on. */
	if (!c->receiving && (!chain_empty(&c->in) || c->base.transport->readable || c->eof ||
				     c->base.transport->peer_closed || c->base.limits->body_ms))
		h1_wake(c);
}

void h1_reset(struct stream *stream, enum reason why)
{
	struct h1_stream *s = h1_stream_of(stream);

	s->told = true;
	h1_close(h1_conn_of(stream->conn), why);
}

void h1_release(struct stream *stream)
{
	struct h1_stream *s = h1_stream_of(stream);
	struct h1_conn *c = h1_conn_of(stream->conn);

	stream->owner_ops = NULL;
	stream->owner = NULL;
	if (c->state >= H1_CLOSED) {
		h1_forget_stream(c);
		return;
	}
	if (s->tx == TX_VOID)
		h1_tx_set(s, TX_DONE);
	/* A client whose answer is complete may go on sending for a while; everything else that is unfinished is given up. */
	if (c->base.server && s->tx == TX_DONE &&
		(s->rx == RX_LENGTH || s->rx == RX_CHUNKED || s->rx == RX_TRAILERS)) {
		if (!c->keep) {
			/* It learns now that no more is wanted; lingering reads the rest. */
			h1_rx_set(s, RX_DONE);
			h1_check_end(c);
			return;
		}
		s->credit = H1_DISCARD_MAX;
		deadline_arm(c->base.loop, &c->read_by, H1_DISCARD_MS);
		h1_wake(c);
	} else if (s->tx == TX_DONE && s->rx == RX_DONE) {
		h1_check_end(c);
	} else {
		h1_close(c, REASON_CANCELLED);
	}
}
