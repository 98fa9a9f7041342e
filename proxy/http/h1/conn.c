#include "http/h1/conn.h"

_Static_assert(sizeof(struct h1_conn) <= 320, "an idle connection is cheap");

static const uint8_t legal[H1_STATES] = {
	[H1_OPEN] = BIT(H1_CLOSING) | BIT(H1_CLOSED),
	[H1_CLOSING] = BIT(H1_LINGERING) | BIT(H1_CLOSED),
	[H1_LINGERING] = BIT(H1_CLOSED),
	[H1_CLOSED] = BIT(H1_GONE),
};

static void set_state(struct h1_conn *c, enum h1_state to)
{
	MUST(legal[c->state] & BIT(to));
	c->state = (uint8_t)to;
}

static const uint16_t rx_legal[RX_STATES] = {
	[RX_HEAD] = BIT(RX_LENGTH) | BIT(RX_CHUNKED) | BIT(RX_UNTIL_CLOSE) | BIT(RX_CONSENT) |
		    BIT(RX_TUNNEL) | BIT(RX_DONE),
	[RX_LENGTH] = BIT(RX_DONE),
	[RX_CHUNKED] = BIT(RX_TRAILERS) | BIT(RX_DONE),
	[RX_TRAILERS] = BIT(RX_DONE),
	[RX_UNTIL_CLOSE] = BIT(RX_DONE),
	[RX_CONSENT] = BIT(RX_TUNNEL) | BIT(RX_DONE),
	[RX_TUNNEL] = BIT(RX_DONE),
};

/* The hot path asks nothing of the kernel: the event that brought the end of a message has said enough for now. Behind it may be a reset all
 * the same. A write tells, or, if none comes soon, a look. */
static void suspect_no_more(struct h1_conn *c, const struct h1_stream *s)
{
	struct transport *t = c->base.transport;

	if (c->base.server && t->suspect && s->tx == TX_HEAD && c->state == H1_OPEN)
		deadline_arm(c->base.loop, &c->read_by, H1_LOOK_MS);
	t->suspect = false;
}

void h1_rx_set(struct h1_stream *s, enum h1_rx to)
{
	MUST(rx_legal[s->rx] & BIT(to));
	s->rx = (uint8_t)to;
	if (to == RX_DONE)
		suspect_no_more(h1_conn_of(s->base.conn), s);
}

static const uint16_t tx_legal[TX_STATES] = {
	[TX_HEAD] = BIT(TX_LENGTH) | BIT(TX_CHUNKED) | BIT(TX_UNTIL_CLOSE) | BIT(TX_VOID) | BIT(TX_CONSENT) |
		    BIT(TX_TUNNEL) | BIT(TX_DONE),
	[TX_LENGTH] = BIT(TX_DONE),
	[TX_CHUNKED] = BIT(TX_DONE),
	[TX_UNTIL_CLOSE] = BIT(TX_DONE),
	[TX_VOID] = BIT(TX_DONE),
	[TX_CONSENT] = BIT(TX_TUNNEL) | BIT(TX_VOID) | BIT(TX_DONE),
	[TX_TUNNEL] = BIT(TX_DONE),
};

void h1_tx_set(struct h1_stream *s, enum h1_tx to)
{
	MUST(tx_legal[s->tx] & BIT(to));
	s->tx = (uint8_t)to;
}

/* -- life -- */

static void conn_reap(struct task *t)
{
	struct h1_conn *c = CONTAINER(t, struct h1_conn, flush);
	struct mem *m = h1_mem(c);

	c->base.magic = 0;
	mem_obj_free(m, c, sizeof(*c));
}

/* Nobody refers to it any more when it was told closed and has no stream. */
static void free_if_gone(struct h1_conn *c)
{
	if (c->state != H1_GONE || c->stream)
		return;
	task_cancel(&c->ready);
	task_cancel(&c->flush);
	c->flush.run = conn_reap;
	loop_defer(c->base.loop, &c->flush, LOOP_REAP);
}

static void stream_reap(struct task *t)
{
	struct h1_stream *s = CONTAINER(t, struct h1_stream, reap);
	struct mem *m = &s->base.conn->loop->mem;

	chain_clear(m, &s->held);
	s->base.magic = 0;
	mem_obj_free(m, s, sizeof(*s));
}

struct h1_stream *h1_stream_new(struct h1_conn *c, const struct stream_ops *ops)
{
	struct h1_stream *s = mem_obj(h1_mem(c), sizeof(*s));

	s->base.magic = STREAM_MAGIC;
	s->base.ops = ops;
	s->base.conn = &c->base;
	s->reap.run = stream_reap;
	c->stream = s;
	c->base.streams = 1;
	c->served++;
	return s;
}

/* The stream's reap runs before the connection's: it is queued first. */
static void stream_detach(struct h1_conn *c)
{
	struct h1_stream *s = TAKE(&c->stream);

	c->base.streams = 0;
	loop_defer(c->base.loop, &s->reap, LOOP_REAP);
}

static void tell_stream(struct h1_conn *c)
{
	struct h1_stream *s = c->stream;
	size_t sent;

	if (!s || s->told || h1_released(s))
		return;
	if (s->dead) {
		s->told = true;
		s->base.owner_ops->on_reset(&s->base, (enum reason)s->dead);
		return;
	}
	if (s->sent == 0 && (!s->base.sent_all || s->sent_told))
		return;
	sent = s->sent;
	s->sent = 0;
	s->sent_told = s->base.sent_all;
	s->base.owner_ops->on_sent(&s->base, sent);
}

static void on_ready(struct task *t)
{
	struct h1_conn *c = CONTAINER(t, struct h1_conn, ready);

	tell_stream(c);
	if (c->state == H1_CLOSED) {
		set_state(c, H1_GONE);
		if (c->base.owner_ops->on_closed)
			c->base.owner_ops->on_closed(&c->base, (enum reason)c->why);
		free_if_gone(c);
		return;
	}
	if (c->state == H1_GONE)
		return;
	if (c->change_owed) {
		c->change_owed = false;
		if (c->base.owner_ops->on_change)
			c->base.owner_ops->on_change(&c->base);
	}
	h1_receive(c);
}

/* What has left is told of at once: the loop is above, no owner. */
static void flush_and_tell(struct h1_conn *c)
{
	h1_flush(c);
	if (c->state < H1_CLOSED)
		tell_stream(c);
}

static void on_flush(struct task *t)
{
	flush_and_tell(CONTAINER(t, struct h1_conn, flush));
}

static void on_event(struct transport *t)
{
	struct h1_conn *c = t->user;

	/* Reading comes first: an early answer may lie before the reset that a write would run into. */
	h1_receive(c);
	if (c->state < H1_CLOSED && (!chain_empty(&c->out) || c->state == H1_CLOSING))
		flush_and_tell(c);
}

static void on_read_deadline(struct deadline *d)
{
	struct h1_conn *c = CONTAINER(d, struct h1_conn, read_by);

	if (c->state == H1_LINGERING)
		h1_close(c, REASON_NONE);
	else if (c->state == H1_OPEN && c->stream && c->stream->rx == RX_TUNNEL)
		h1_ask_tunnel(c);
	else if (c->state == H1_OPEN)
		c->role->on_read_deadline(c);
}

static void on_write_deadline(struct deadline *d)
{
	struct h1_conn *c = CONTAINER(d, struct h1_conn, write_by);

	h1_close(c, c->role->slow_peer);
}

struct h1_conn *h1_conn_new(struct transport **t, const struct http_limits *lim,
	const struct http_conn_owner_ops *ops, void *owner, const struct http_conn_ops *conn_ops,
	const struct h1_role *role, bool server)
{
	struct loop *l = (*t)->loop;
	struct h1_conn *c = mem_obj(&l->mem, sizeof(*c));

	c->base = (struct http_conn){
		.magic = HTTP_CONN_MAGIC,
		.version = HTTP_1_1,
		.server = server,
		.unused = true,
		.ops = conn_ops,
		.owner_ops = ops,
		.owner = owner,
		.loop = l,
		.transport = TAKE(t),
		.limits = lim,
	};
	c->role = role;
	c->keep = true;
	c->ready.run = on_ready;
	c->flush.run = on_flush;
	c->read_by.fire = on_read_deadline;
	c->write_by.fire = on_write_deadline;
	c->base.transport->user = c;
	c->base.transport->on_event = on_event;
	h1_wake(c);
	return c;
}

/* -- end -- */

void h1_wake(struct h1_conn *c)
{
	loop_defer(c->base.loop, &c->ready, LOOP_READY);
}

/* Whether FIN would make something look complete that is not. */
static bool is_cut_short(const struct h1_conn *c)
{
	const struct h1_stream *s = c->stream;

	if (!chain_empty(&c->out))
		return true;
	if (!s)
		return false;
	if (!c->base.server && s->rx != RX_DONE)
		return true;
	return s->tx != TX_HEAD && s->tx != TX_VOID && s->tx != TX_DONE;
}

void h1_close(struct h1_conn *c, enum reason why)
{
	struct mem *m = h1_mem(c);

	if (c->state >= H1_CLOSED)
		return;
	if (is_cut_short(c))
		transport_abort(&c->base.transport);
	else
		transport_close(&c->base.transport);
	chain_clear(m, &c->in);
	chain_clear(m, &c->out);
	block_unref(TAKE(&c->part));
	deadline_disarm(c->base.loop, &c->read_by);
	deadline_disarm(c->base.loop, &c->write_by);
	task_cancel(&c->flush);
	c->base.capacity = 0;
	c->base.draining = true;
	c->why = (uint16_t)why;
	if (c->stream && !c->stream->dead)
		c->stream->dead = (uint16_t)(why ? why : REASON_CANCELLED);
	set_state(c, H1_CLOSED);
	if (c->stream && h1_released(c->stream))
		stream_detach(c);
	h1_wake(c);
}

void h1_finish(struct h1_conn *c)
{
	if (c->state != H1_OPEN)
		return;
	set_state(c, H1_CLOSING);
	c->base.draining = true;
	deadline_disarm(c->base.loop, &c->read_by);
	h1_want_flush(c);
}

/* All is written: FIN, and what the peer may still be sending is read and dropped until it closes too. To close with unread
 * input would send RST, which can take the answer away from the client (RFC 9112 9.6). */
static void finish_now(struct h1_conn *c)
{
	if (!c->base.server || c->eof ||
		(c->peer_last && chain_empty(&c->in) && !c->base.transport->readable)) {
		h1_close(c, REASON_NONE);
		return;
	}
	set_state(c, H1_LINGERING);
	transport_shutdown(c->base.transport);
	chain_clear(h1_mem(c), &c->in);
	block_unref(TAKE(&c->part));
	deadline_arm(c->base.loop, &c->read_by, H1_LINGER_MS);
	h1_wake(c);
}

void h1_all_written(struct h1_conn *c)
{
	if (c->state != H1_CLOSING)
		return;
	if (c->base.transport->unsent)
		deadline_arm(c->base.loop, &c->write_by, c->base.limits->body_ms);
	else
		finish_now(c);
}

void h1_stream_dead(struct h1_conn *c, enum reason why)
{
	struct h1_stream *s = c->stream;

	c->keep = false;
	deadline_disarm(c->base.loop, &c->read_by);
	h1_rx_set(s, RX_DONE);
	if (!h1_released(s) && !s->told) {
		s->told = true;
		s->dead = (uint16_t)why;
		s->base.owner_ops->on_reset(&s->base, why);
	}
	h1_check_end(c);
}

void h1_check_end(struct h1_conn *c)
{
	struct h1_stream *s = c->stream;

	if (!s || !h1_released(s) || s->rx != RX_DONE || (s->tx != TX_DONE && s->tx != TX_VOID))
		return;
	stream_detach(c);
	if (c->state == H1_OPEN)
		c->role->on_exchange_end(c);
}

void h1_forget_stream(struct h1_conn *c)
{
	stream_detach(c);
	free_if_gone(c);
}
