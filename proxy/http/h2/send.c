#include "base/obj.h"
#include "http/h2/conn.h"

#define IOV_MAX_TURN 128
#define STAGE_SIZE   4000 /* frame headers and small payloads of a turn */
#define COPY_MAX \
	512 /* a payload up to that size is copied behind its frame header: cheaper than another iovec */

void h2_send_frame(struct h2_conn *c, enum h2_frame_type type, uint8_t flags, uint32_t stream,
	const void *payload, uint32_t n)
{
	struct h2_frame f = {n, stream, (uint8_t)type, flags};
	uint8_t *p;

	if (!h2_conn_lives(c))
		return;
	p = (uint8_t *)chain_reserve(h2_mem(c), &c->control, H2_FRAME_HEADER + n);
	h2_frame_pack(p, &f);
	if (n)
		memcpy(p + H2_FRAME_HEADER, payload, n);
	chain_commit(h2_mem(c), &c->control, H2_FRAME_HEADER + n);
	loop_defer(h2_loop(c), &c->flush_task, LOOP_FLUSH);
}

void h2_send_rst(struct h2_conn *c, uint32_t stream, enum h2_error code)
{
	uint8_t p[4];

	h2_put32(p, code);
	h2_send_frame(c, H2_FRAME_RST_STREAM, 0, stream, p, sizeof(p));
}

void h2_send_window_update(struct h2_conn *c, uint32_t stream, uint32_t n)
{
	uint8_t p[4];

	h2_put32(p, n);
	h2_send_frame(c, H2_FRAME_WINDOW_UPDATE, 0, stream, p, sizeof(p));
}

static uint8_t *setting(uint8_t *p, enum h2_setting id, uint32_t value)
{
	h2_put16(p, (uint16_t)id);
	h2_put32(p + 2, value);
	return p + 6;
}

void h2_send_hello(struct h2_conn *c, bool server)
{
	const struct http_limits *lim = c->base.limits;
	uint8_t p[4 * 6], *end = p;

	if (server) {
		if (lim->max_streams)
			end = setting(end, H2_SET_MAX_CONCURRENT_STREAMS, lim->max_streams);
		end = setting(end, H2_SET_ENABLE_CONNECT_PROTOCOL, 1);
	} else {
		chain_add_copy(h2_mem(c), &c->control, H2_PREFACE, H2_PREFACE_LEN);
		end = setting(end, H2_SET_ENABLE_PUSH, 0);
	}
	end = setting(end, H2_SET_INITIAL_WINDOW_SIZE, (uint32_t)h2_stream_window(c));
	end = setting(end, H2_SET_MAX_HEADER_LIST_SIZE, lim->header_bytes);
	h2_send_frame(c, H2_FRAME_SETTINGS, 0, 0, p, (uint32_t)(end - p));
	h2_send_window_update(c, 0, H2_CONN_WINDOW - H2_WINDOW_DEFAULT);
	c->recv_window = H2_CONN_WINDOW;
}

void h2_send_settle(struct h2_stream *s)
{
	if (!s->settled)
		chain_settle(h2_mem(s->c), &s->pending);
	s->settled = true;
}

void h2_send_wake(struct h2_stream *s)
{
	struct h2_conn *c = s->c;

	if (s->out != H2_HALF_BODY && s->out != H2_HALF_ENDING)
		return;
	if (chain_empty(&s->pending) && s->out != H2_HALF_ENDING)
		return;
	if (!chain_empty(&s->pending) && s->send_window <= 0) {
		h2_stream_expect(s);
		return;
	}
	if (!list_linked(&s->send_link))
		list_push_back(&c->sending, &s->send_link);
	loop_defer(h2_loop(c), &c->flush_task, LOOP_FLUSH);
}

/* n writable bytes for frame headers. They lie in a block of the turn's, because the wire's last slice is usually
 * somebody's payload. */
static char *stage_room(struct h2_conn *c, size_t n)
{
	if (!c->stage || c->stage->size - c->stage->used < n) {
		block_unref(c->stage);
		c->stage = block_new(h2_mem(c), STAGE_SIZE);
	}
	return c->stage->data + c->stage->used;
}

static void stage_commit(struct h2_conn *c, size_t n)
{
	chain_add_ref(h2_mem(c), &c->wire, c->stage, c->stage->data + c->stage->used, n);
	c->stage->used += (uint32_t)n;
}

static void put_data(struct h2_stream *s, size_t n, bool end)
{
	struct h2_conn *c = s->c;
	struct h2_frame f = {(uint32_t)n, s->id, H2_FRAME_DATA, end ? H2_FLAG_END_STREAM : 0};
	size_t copied = n <= COPY_MAX ? n : 0;
	char *p = stage_room(c, H2_FRAME_HEADER + copied);

	h2_frame_pack((uint8_t *)p, &f);
	chain_peek(&s->pending, p + H2_FRAME_HEADER, copied);
	stage_commit(c, H2_FRAME_HEADER + copied);
	if (copied)
		chain_drain(h2_mem(c), &s->pending, copied);
	else
		chain_move_n(h2_mem(c), &c->wire, &s->pending, n);
	s->send_window -= (int32_t)n;
	c->send_window -= (int32_t)n;
	s->framed += n;
	if (end || n >= H2_DATA_HONEST)
		h2_guard_reward(&c->guard, H2_WORK_DATA);
}

/* The next frame of a stream onto the wire. False: the connection's window is used up. */
static bool frame_stream(struct h2_conn *c, struct h2_stream *s)
{
	size_t n = MIN(s->pending.n, H2_FRAME_MAX);
	bool end;

	if (n) {
		if (s->send_window <= 0) {
			h2_send_settle(s);
			h2_stream_expect(s);
			return true;
		}
		if (c->send_window <= 0) {
			list_push_front(&c->sending, &s->send_link);
			return false;
		}
		n = MIN(n, (size_t)MIN(s->send_window, c->send_window));
	}
	end = s->out == H2_HALF_ENDING && n == s->pending.n;
	if (n || (end && !s->trailers_out))
		put_data(s, n, end && !s->trailers_out);
	if (!list_linked(&s->wire_link))
		list_push_back(&c->on_wire, &s->wire_link);
	if (end) {
		if (s->trailers_out) {
			h2_hpack_write(&c->hpack, h2_mem(c), &c->wire, s->id, H2_HEADERS_TRAILERS,
				&s->trailers_out->head, true);
			h2_unkeep(c, &s->trailers_out);
		}
		h2_stream_received(s);
		h2_stream_set_out(s, H2_HALF_DONE);
		h2_stream_settle(s);
	} else if (!chain_empty(&s->pending)) {
		list_push_back(&c->sending, &s->send_link);
	}
	return true;
}

/* Gathers the next write: control frames, then a frame of each stream in turn. */
static void fill(struct h2_conn *c)
{
	struct list *link;

	c->window_blocked = false;
	c->wire_settled = false;
	for (;;) {
		/* Framing may queue control frames, and trailers are compressed as they are framed: what was compressed
		 * before them has to leave before them. */
		chain_move(&c->wire, &c->control);
		while ((link = list_pop_front(&c->in_control)))
			list_push_back(&c->on_wire, link);
		if (c->wire.n >= H2_TURN_BYTES || c->window_blocked)
			return;
		link = list_pop_front(&c->sending);
		if (!link)
			return;
		c->window_blocked = !frame_stream(c, CONTAINER(link, struct h2_stream, send_link));
	}
}

/* The write is done: whose bytes they were hears of it. */
static void wire_is_out(struct h2_conn *c)
{
	struct list *link;

	while ((link = list_pop_front(&c->on_wire))) {
		struct h2_stream *s = CONTAINER(link, struct h2_stream, wire_link);

		s->sent += s->framed;
		s->framed = 0;
		s->base.sent_all = s->out == H2_HALF_DONE;
		s->owes_sent = true;
		h2_stream_wake(s);
		h2_stream_settle(s);
	}
}

/* The socket, or the connection's window, takes no more. What waits now may wait long: it must not hold the block that the thread reads into. */
static void blocked(struct h2_conn *c)
{
	if (!c->wire_settled)
		chain_settle(h2_mem(c), &c->wire);
	c->wire_settled = true;
	list_each (link, &c->sending)
		h2_send_settle(CONTAINER(link, struct h2_stream, send_link));
}

/* Writes until all is out or the socket is full. False: the transport is dead. */
static bool write_out(struct h2_conn *c, bool *progress)
{
	struct iovec iov[IOV_MAX_TURN];
	ssize_t n;

	*progress = false;
	for (;;) {
		if (chain_empty(&c->wire)) {
			fill(c);
			if (c->window_blocked)
				blocked(c);
			if (chain_empty(&c->wire))
				return true;
		}
		if (!c->base.transport->writable)
			n = TRANSPORT_AGAIN;
		else
			n = transport_writev(c->base.transport, iov, chain_iov(&c->wire, iov, IOV_MAX_TURN));
		if (n == TRANSPORT_AGAIN) {
			blocked(c);
			return true;
		}
		if (n < 0)
			return false;
		*progress = true;
		chain_drain(h2_mem(c), &c->wire, (size_t)n);
		if (chain_empty(&c->wire))
			wire_is_out(c);
	}
}

void h2_conn_flush(struct h2_conn *c)
{
	bool progress;

	if (!h2_conn_lives(c))
		return;
	if (!write_out(c, &progress)) {
		h2_conn_lost(c, true);
		return;
	}
	block_unref(c->stage);
	c->stage = NULL;
	if (c->resting)
		h2_conn_rests(c);
	if (chain_empty(&c->wire) && !c->window_blocked)
		deadline_disarm(h2_loop(c), &c->write_stall);
	else if (progress || !deadline_armed(&c->write_stall))
		deadline_arm(h2_loop(c), &c->write_stall, c->base.limits->body_ms);
	if (c->state == H2_CONN_CLOSING && chain_empty(&c->wire) && chain_empty(&c->control) &&
		!c->base.transport->unsent) {
		transport_shutdown(c->base.transport);
		h2_conn_set_state(c, H2_CONN_LINGER);
		deadline_arm(h2_loop(c), &c->reply, H2_PING_MS);
		c->more = true;
	}
	/* Reading stops while too much waits for the peer to read it. */
	if (c->more && c->control.n <= H2_OUT_MAX)
		loop_defer(h2_loop(c), &c->ready_task, LOOP_READY);
}
