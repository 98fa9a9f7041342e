#include "base/obj.h"
#include "http/h2/conn.h"

/* -- streams that are gone -- */

enum gone { GONE_IDLE, GONE_EXPECTED, GONE_CLOSED, GONE_UNKNOWN };

/* What a frame on a stream that is not in the table means (RFC 9113 5.1). */
static enum gone gone(const struct h2_conn *c, uint32_t id)
{
	if (c->role->is_idle(c, id))
		return GONE_IDLE;
	/* After the last GOAWAY what the client had under way is ignored (RFC 9113 6.8). */
	if (c->base.server && c->goaway == H2_GOAWAY_FINAL && id > c->goaway_id)
		return GONE_EXPECTED;
	for (unsigned i = 0; i < H2_CLOSED_KEPT; i++) {
		if (c->closed[i] == id)
			return GONE_CLOSED;
		if (c->closed[i] == (id | H2_BY_OUR_RESET))
			return GONE_EXPECTED;
	}
	return c->base.server ? GONE_UNKNOWN : GONE_EXPECTED;
}

/* DATA, RST_STREAM, WINDOW_UPDATE on such a stream. */
static void on_gone(struct h2_conn *c, const struct h2_frame *f)
{
	switch (gone(c, f->stream)) {
	case GONE_IDLE:
		h2_conn_fault(c, H2_PROTOCOL_ERROR);
		break;
	case GONE_EXPECTED:
		h2_conn_charge(c, H2_COST_SMALL);
		break;
	default:
		/* RFC 9113 5.1: the other two may arrive for a while after the end. */
		if (f->type == H2_FRAME_DATA) {
			h2_send_rst(c, f->stream, H2_STREAM_CLOSED);
			h2_conn_charge(c, H2_COST_RESET);
		} else {
			h2_conn_charge(c, H2_COST_SMALL);
		}
	}
}

/* -- DATA -- */

/* The connection's window is returned as bytes arrive, whoever they are for: a stream that is not read, or gone, never stops its
 * siblings. False: the peer overran it. */
static bool take_conn_window(struct h2_conn *c, uint32_t n)
{
	if (n > (uint32_t)c->recv_window) {
		h2_conn_fault(c, H2_FLOW_CONTROL_ERROR);
		return false;
	}
	c->recv_window -= (int32_t)n;
	if (c->recv_window <= H2_CONN_WINDOW / 2) {
		h2_send_window_update(c, 0, (uint32_t)(H2_CONN_WINDOW - c->recv_window));
		c->recv_window = H2_CONN_WINDOW;
	}
	return true;
}

/* May the stream take a DATA frame with that many payload bytes? Raises what is wrong. */
static bool stream_takes(struct h2_stream *s, const struct h2_frame *f, uint32_t payload)
{
	const struct h2_role *role = s->c->role;
	bool end = f->flags & H2_FLAG_END_STREAM;

	if (s->in >= H2_HALF_ENDING) {
		h2_stream_fault(s, H2_STREAM_CLOSED, role->fault(H2_STREAM_CLOSED));
		return false;
	}
	if (s->in == H2_HALF_HEAD) { /* client role: a body without a head */
		h2_stream_fault(s, H2_PROTOCOL_ERROR, role->fault(H2_PROTOCOL_ERROR));
		return false;
	}
	if (f->length > (uint32_t)MAX(s->recv_window, 0)) {
		h2_stream_fault(s, H2_FLOW_CONTROL_ERROR, role->fault(H2_FLOW_CONTROL_ERROR));
		return false;
	}
	if (s->has_length && payload > s->length_left) {
		h2_stream_fault(s, H2_PROTOCOL_ERROR, role->body_long);
		return false;
	}
	if (s->has_length && end && payload < s->length_left) {
		h2_stream_fault(s, H2_PROTOCOL_ERROR, role->body_short);
		return false;
	}
	if (!end && payload == 0)
		return h2_conn_charge(s->c, H2_COST_EMPTY_DATA);
	if (!end && payload < H2_DATA_TINY && !s->tunnel)
		return h2_conn_charge(s->c, H2_COST_TINY_DATA);
	if (payload >= H2_DATA_HONEST)
		h2_guard_reward(&s->c->guard, H2_WORK_DATA);
	return true;
}

static void data_ends(struct h2_conn *c)
{
	struct h2_stream *s = c->input.data_stream ? h2_conn_find(c, c->input.data_stream) : NULL;

	if (!s || s->in != H2_HALF_BODY)
		return;
	if (c->input.data_end) {
		h2_stream_set_in(s, s->released ? H2_HALF_DONE : H2_HALF_ENDING);
		h2_stream_received(s);
		h2_stream_wake(s);
		h2_stream_settle(s);
	} else {
		h2_stream_expect(s);
	}
}

void h2_data_begins(struct h2_conn *c, const struct h2_frame *f)
{
	struct h2_input *in = &c->input;
	bool padded = f->flags & H2_FLAG_PADDED;
	uint32_t overhead = padded ? 1u + in->header[H2_FRAME_HEADER] : 0;
	struct h2_stream *s;

	if (overhead > f->length) {
		h2_conn_fault(c, H2_PROTOCOL_ERROR);
		return;
	}
	if (!take_conn_window(c, f->length))
		return;
	in->data_left = f->length - overhead;
	in->pad_left = padded ? overhead - 1 : 0;
	in->data_end = f->flags & H2_FLAG_END_STREAM;
	in->data_stream = 0;
	s = h2_conn_find(c, f->stream);
	if (!s) {
		on_gone(c, f);
	} else if (stream_takes(s, f, in->data_left)) {
		in->data_stream = f->stream;
		s->recv_window -= (int32_t)f->length;
		s->unreturned += overhead; /* nobody else will return it */
		s->length_left -= s->has_length ? in->data_left : 0;
	}
	if (in->data_left + in->pad_left == 0)
		data_ends(c);
}

void h2_data_piece(struct h2_conn *c, struct block *b, const char *p, size_t n)
{
	struct h2_input *in = &c->input;
	size_t body = MIN(n, in->data_left);
	struct h2_stream *s = in->data_stream && body ? h2_conn_find(c, in->data_stream) : NULL;

	if (s && !s->released && s->in == H2_HALF_BODY) {
		s->arrived += body;
		/* What the owner will take in this tick is referred to where it lies. What has to wait is copied, so that small
		 * frames do not hold large blocks. */
		if (b && s->received.n + body <= s->credit)
			chain_add_ref(h2_mem(c), &s->received, b, p, body);
		else
			chain_add_copy(h2_mem(c), &s->received, p, body);
		if (s->credit)
			h2_stream_wake(s);
	}
	in->data_left -= (uint32_t)body;
	in->pad_left -= (uint32_t)(n - body);
	if (in->data_left + in->pad_left == 0)
		data_ends(c);
}

/* -- header blocks -- */

static void block_done(struct h2_conn *c)
{
	struct h2_block *b = TAKE(&c->block);
	struct h2_stream *s = h2_conn_find(c, b->stream);

	h2_block_finish(b, s ? s->method : METHOD_OTHER);
	if (b->kind == H2_BLOCK_TRAILERS && s) {
		if (b->self_depends || b->too_large || s->tunnel)
			b->wrong = b->wrong ? b->wrong : REASON_CLIENT_BAD_HEADER;
		if (b->wrong) {
			h2_stream_fault(s, H2_PROTOCOL_ERROR, c->role->fault(H2_PROTOCOL_ERROR));
		} else if (s->has_length && s->length_left) {
			h2_stream_fault(s, H2_PROTOCOL_ERROR, c->role->body_short);
		} else {
			h2_stream_set_in(s, s->released ? H2_HALF_DONE : H2_HALF_ENDING);
			if (!s->released)
				s->trailers_in = h2_keep(c, &b->head, true);
			h2_stream_received(s);
			h2_stream_wake(s);
			h2_stream_settle(s);
		}
	} else if (b->kind == H2_BLOCK_REQUEST || (b->kind == H2_BLOCK_RESPONSE && s)) {
		c->role->head_in(c, s, b);
	}
	h2_block_free(b);
	mem_obj_free(h2_mem(c), b, sizeof(*b));
}

static void block_feed(struct h2_conn *c, const struct h2_frame *f, struct str fragment)
{
	bool last = f->flags & H2_FLAG_END_HEADERS;
	enum h2_error code =
		h2_block_feed(c->block, &c->hpack, (const uint8_t *)fragment.p, fragment.n, last);

	if (code)
		h2_conn_fault(c, code);
	else if (last)
		block_done(c);
}

/* HEADERS on a stream that is there, or was: what is it? */
static enum h2_block_kind old_stream_block(struct h2_conn *c, const struct h2_frame *f, struct h2_stream *s)
{
	if (s) {
		if (s->in < H2_HALF_ENDING)
			return H2_BLOCK_TRAILERS;
		h2_stream_fault(s, H2_STREAM_CLOSED, c->role->fault(H2_STREAM_CLOSED));
		return H2_BLOCK_IGNORED;
	}
	switch (gone(c, f->stream)) {
	case GONE_EXPECTED:
		h2_conn_charge(c, H2_COST_SMALL);
		break;
	case GONE_CLOSED:
		h2_conn_fault(c, H2_STREAM_CLOSED);
		break;
	default:
		/* RFC 9113 5.1.1: even, or lower than one that was used already. */
		h2_conn_fault(c, H2_PROTOCOL_ERROR);
	}
	return H2_BLOCK_IGNORED;
}

static void on_headers(struct h2_conn *c, const struct h2_frame *f, struct str payload)
{
	struct h2_stream *s = h2_conn_find(c, f->stream);
	enum h2_block_kind kind;
	uint32_t depends;

	if (!h2_frame_strip(f, &payload, &depends)) {
		h2_conn_fault(c, H2_PROTOCOL_ERROR);
		return;
	}
	if (s && s->in == H2_HALF_HEAD)
		kind = H2_BLOCK_RESPONSE;
	else if (!s && c->base.server && f->stream % 2 == 1 && f->stream > c->last_id)
		kind = H2_BLOCK_REQUEST;
	else
		kind = old_stream_block(c, f, s);
	if (!h2_conn_reads(c))
		return;
	c->block = mem_obj(h2_mem(c), sizeof(*c->block));
	h2_block_init(c->block, h2_mem(c), c->base.limits, f->stream, kind);
	c->block->end_stream = f->flags & H2_FLAG_END_STREAM;
	c->block->self_depends = depends == f->stream;
	c->block->tunnel_ok = c->base.server;
	if (kind == H2_BLOCK_REQUEST)
		c->last_id = f->stream;
	block_feed(c, f, payload);
}

static void on_continuation(struct h2_conn *c, const struct h2_frame *f, struct str payload)
{
	if (h2_conn_charge(c, f->length ? H2_COST_CONTINUATION : H2_COST_EMPTY_CONTINUATION))
		block_feed(c, f, payload);
}

/* -- the other frames -- */

static void on_priority(struct h2_conn *c, const struct h2_frame *f, struct str payload)
{
	struct h2_stream *s;

	if (!h2_conn_charge(c, H2_COST_SMALL))
		return;
	/* Deprecated and ignored (RFC 9113 5.3.2), but nothing may depend on itself. */
	if ((h2_get32((const uint8_t *)payload.p) & H2_STREAM_ID_MAX) != f->stream)
		return;
	s = h2_conn_find(c, f->stream);
	if (s) {
		h2_stream_fault(s, H2_PROTOCOL_ERROR, c->role->fault(H2_PROTOCOL_ERROR));
		return;
	}
	h2_send_rst(c, f->stream, H2_PROTOCOL_ERROR);
	h2_conn_charge(c, H2_COST_RESET);
}

static void on_rst_stream(struct h2_conn *c, const struct h2_frame *f, struct str payload)
{
	struct h2_stream *s = h2_conn_find(c, f->stream);
	enum h2_error code = h2_get32((const uint8_t *)payload.p);
	enum reason why;

	if (!s) {
		on_gone(c, f);
		return;
	}
	why = c->role->reset_in(c, s, code);
	if (why == REASON_NONE) {
		/* All of the peer's message is here; it only does not want the rest of ours. */
		h2_stream_stop_sending(s);
		return;
	}
	h2_stream_kill(s, why);
	h2_conn_charge(c, H2_COST_RESET);
}

/* All streams' windows move with the setting (RFC 9113 6.9.2). */
static bool move_windows(struct h2_conn *c, uint32_t value)
{
	int64_t delta = (int64_t)value - c->peer_window;

	list_each (link, &c->all) {
		struct h2_stream *s = CONTAINER(link, struct h2_stream, link);

		if (s->send_window + delta > H2_WINDOW_MAX)
			return false;
		s->send_window = (int32_t)(s->send_window + delta);
		if (delta > 0)
			h2_send_wake(s);
	}
	c->peer_window = (int32_t)value;
	return true;
}

static enum h2_error setting_in(struct h2_conn *c, uint16_t id, uint32_t value)
{
	switch (id) {
	case H2_SET_HEADER_TABLE_SIZE:
		h2_hpack_peer_table(&c->hpack, value);
		break;
	case H2_SET_ENABLE_PUSH:
		/* RFC 9113 6.5.2: a server must not say 1. */
		if (value > (c->base.server ? 1u : 0u))
			return H2_PROTOCOL_ERROR;
		break;
	case H2_SET_MAX_CONCURRENT_STREAMS:
		c->peer_streams = value;
		break;
	case H2_SET_INITIAL_WINDOW_SIZE:
		if (value > H2_WINDOW_MAX || !move_windows(c, value))
			return H2_FLOW_CONTROL_ERROR;
		break;
	case H2_SET_MAX_FRAME_SIZE:
		/* Ours stay at the least that everybody takes: larger ones would only make siblings wait. */
		if (value < H2_FRAME_MAX || value > H2_FRAME_MAX_LIMIT)
			return H2_PROTOCOL_ERROR;
		break;
	case H2_SET_ENABLE_CONNECT_PROTOCOL:
		if (value > 1 || (c->peer_connect && !value)) /* RFC 8441 3 */
			return H2_PROTOCOL_ERROR;
		c->peer_connect = value;
		break;
	default:
		break;
	}
	return H2_NO_ERROR;
}

static void on_settings(struct h2_conn *c, const struct h2_frame *f, struct str payload)
{
	if (f->flags & H2_FLAG_ACK) {
		if (c->settings_acked)
			h2_conn_charge(c, H2_COST_SMALL);
		else if (c->goaway != H2_GOAWAY_NOTICE)
			deadline_disarm(h2_loop(c), &c->reply);
		c->settings_acked = true;
		return;
	}
	if (!h2_conn_charge(c, H2_COST_SETTINGS))
		return;
	/* Until now a guess; what SETTINGS do not limit has no limit (RFC 9113 6.5.2). */
	if (!c->peer_settings)
		c->peer_streams = UINT32_MAX;
	for (; payload.n; payload = str_skip(payload, 6)) {
		const uint8_t *p = (const uint8_t *)payload.p;
		enum h2_error code = setting_in(c, h2_get16(p), h2_get32(p + 2));

		if (code) {
			h2_conn_fault(c, code);
			return;
		}
	}
	c->peer_settings = true;
	h2_send_frame(c, H2_FRAME_SETTINGS, H2_FLAG_ACK, 0, NULL, 0);
	if (c->state == H2_CONN_PREFACE)
		h2_conn_set_state(c, H2_CONN_OPEN);
	c->role->settings_in(c);
}

static void on_ping(struct h2_conn *c, const struct h2_frame *f, struct str payload)
{
	if (f->flags & H2_FLAG_ACK) {
		if (h2_conn_charge(c, H2_COST_SMALL))
			h2_conn_ponged(c);
		return;
	}
	if (h2_conn_charge(c, H2_COST_PING))
		h2_send_frame(c, H2_FRAME_PING, H2_FLAG_ACK, 0, payload.p, 8);
}

static void on_goaway(struct h2_conn *c, const struct h2_frame *f, struct str payload)
{
	(void)f;
	if (h2_conn_charge(c, H2_COST_PING))
		c->role->goaway_in(c, h2_get32((const uint8_t *)payload.p) & H2_STREAM_ID_MAX);
}

static void on_window_update(struct h2_conn *c, const struct h2_frame *f, struct str payload)
{
	uint32_t n = h2_get32((const uint8_t *)payload.p) & H2_WINDOW_MAX;
	struct h2_stream *s;

	if (!h2_conn_charge(c, H2_COST_SMALL))
		return;
	if (f->stream == 0) {
		if (n == 0 || n > (uint32_t)(H2_WINDOW_MAX - MAX(c->send_window, 0))) {
			h2_conn_fault(c, n ? H2_FLOW_CONTROL_ERROR : H2_PROTOCOL_ERROR);
			return;
		}
		c->send_window += (int32_t)n;
		if (c->window_blocked)
			loop_defer(h2_loop(c), &c->flush_task, LOOP_FLUSH);
		return;
	}
	s = h2_conn_find(c, f->stream);
	if (!s) {
		on_gone(c, f);
	} else if (n == 0) {
		h2_stream_fault(s, H2_PROTOCOL_ERROR, c->role->fault(H2_PROTOCOL_ERROR));
	} else if ((int64_t)s->send_window + n > H2_WINDOW_MAX) {
		h2_stream_fault(s, H2_FLOW_CONTROL_ERROR, c->role->fault(H2_FLOW_CONTROL_ERROR));
	} else {
		s->send_window += (int32_t)n;
		h2_send_wake(s);
	}
}

static void on_push_promise(struct h2_conn *c, const struct h2_frame *f, struct str payload)
{
	(void)f;
	(void)payload;
	h2_conn_fault(c, H2_PROTOCOL_ERROR); /* clients cannot, and we forbid servers to (RFC 9113 8.4) */
}

static void (*const handlers[H2_FRAME_TYPES])(
	struct h2_conn *c, const struct h2_frame *f, struct str payload) = {
	[H2_FRAME_HEADERS] = on_headers,
	[H2_FRAME_PRIORITY] = on_priority,
	[H2_FRAME_RST_STREAM] = on_rst_stream,
	[H2_FRAME_SETTINGS] = on_settings,
	[H2_FRAME_PUSH_PROMISE] = on_push_promise,
	[H2_FRAME_PING] = on_ping,
	[H2_FRAME_GOAWAY] = on_goaway,
	[H2_FRAME_WINDOW_UPDATE] = on_window_update,
	[H2_FRAME_CONTINUATION] = on_continuation,
};

void h2_frame_in(struct h2_conn *c, const struct h2_frame *f, struct str payload)
{
	struct h2_fault fault = h2_frame_check(f);

	if (fault.code) { /* a stream error: the others were found with the header */
		struct h2_stream *s = h2_conn_find(c, f->stream);

		if (s) {
			h2_stream_fault(s, fault.code, c->role->fault(fault.code));
		} else {
			h2_send_rst(c, f->stream, fault.code);
			h2_conn_charge(c, H2_COST_RESET);
		}
		return;
	}
	if (f->type < H2_FRAME_TYPES)
		handlers[f->type](c, f, payload);
	else
		h2_conn_charge(c, H2_COST_SMALL);
}
