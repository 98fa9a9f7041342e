/* http/h1/receive.c - the incoming half of a connection: sections (heads, trailers) and bodies. */
#include "http/h1/conn.h"

/* As many lie on the stack, which is the usual limit and some: other limits cost a block for each head. */
#define FIELDS_FEW 128

/* Where the bytes of a section lie. */
struct view {
	char *p;
	size_t n;
	enum { IN_ROOM, IN_CHAIN, IN_PART } where;
	struct block *block; /* kept while the parsed section is used; may be NULL */
};

static ssize_t read_some(struct h1_conn *c, char *p, size_t room)
{
	struct transport *t = c->base.transport;
	ssize_t n;

	if (c->eof && t->state != TRANSPORT_DEAD)
		return TRANSPORT_EOF;
	if (!t->readable)
		return t->state == TRANSPORT_DEAD ? TRANSPORT_ERROR : TRANSPORT_AGAIN;
	n = transport_read(t, p, room);
	if (n == TRANSPORT_EOF)
		c->eof = true;
	return n;
}

/* Reads at most limit bytes to the end of `in`. Like transport_read(). */
static ssize_t fill(struct h1_conn *c, size_t limit)
{
	size_t room;
	char *p = mem_read_room(h1_mem(c), &room);
	ssize_t n = read_some(c, p, MIN(room, limit));

	if (n > 0) {
		chain_add_ref(h1_mem(c), &c->in, mem_read_take(h1_mem(c), (size_t)n), p, (size_t)n);
		c->fresh = true;
	}
	return n;
}

/* A block of the next larger class for the beginning of a section. */
static void part_grow(struct h1_conn *c, const char *p, size_t n)
{
	struct block *b = block_new(h1_mem(c), MIN(2 * n, mem_block_max()));

	memcpy(b->data, p, n);
	b->used = (uint32_t)n;
	block_unref(c->part);
	c->part = b;
}

/* The bytes there are of a section, in one piece; more are read if none are new. Like transport_read(). */
static ssize_t view_get(struct h1_conn *c, struct view *v)
{
	struct block *b = c->part;
	size_t room;
	ssize_t n;

	if (b) {
		if (b->used == b->size) {
			part_grow(c, b->data, b->used);
			b = c->part;
		}
		n = read_some(c, b->data + b->used, b->size - b->used);
		if (n == TRANSPORT_AGAIN && transport_was_reset(c->base.transport))
			n = TRANSPORT_ERROR;
		if (n <= 0)
			return n;
		b->used += (uint32_t)n;
		*v = (struct view){b->data, b->used, IN_PART, NULL};
		return n;
	}
	if (!chain_empty(&c->in)) {
		struct slice *s = c->in.first;

		if (s->n == c->in.n) {
			*v = (struct view){(char *)(uintptr_t)s->p, s->n, IN_CHAIN, NULL};
			return (ssize_t)s->n;
		}
		b = c->part = block_new(h1_mem(c), c->in.n);
		b->used = (uint32_t)chain_peek(&c->in, b->data, c->in.n);
		chain_clear(h1_mem(c), &c->in);
		*v = (struct view){b->data, b->used, IN_PART, NULL};
		return (ssize_t)v->n;
	}
	v->p = mem_read_room(h1_mem(c), &room);
	n = read_some(c, v->p, room);
	/* TLS may have read a ticket, and lost sight of the reset behind it. */
	if (n == TRANSPORT_AGAIN && transport_was_reset(c->base.transport))
		n = TRANSPORT_ERROR;
	v->n = n > 0 ? (size_t)n : 0;
	v->where = IN_ROOM;
	v->block = NULL;
	return n;
}

/* The section is not whole: its beginning moves to memory of the connection's own. */
static void view_keep(struct h1_conn *c, const struct view *v)
{
	if (v->where == IN_PART)
		return;
	part_grow(c, v->p, v->n);
	chain_clear(h1_mem(c), &c->in);
}

/* The section is the first `size` bytes: they stay where they are until block_unref(v->block), the rest goes to `in`. */
static void view_took(struct h1_conn *c, struct view *v, size_t size)
{
	struct mem *m = h1_mem(c);

	switch (v->where) {
	case IN_ROOM:
		if (v->n > size) {
			chain_add_ref(m, &c->in, mem_read_take(m, v->n), v->p + size, v->n - size);
			c->fresh = true;
		}
		break;
	case IN_CHAIN:
		v->block = c->in.first->block;
		block_ref(v->block);
		chain_drain(m, &c->in, size);
		break;
	case IN_PART:
		v->block = TAKE(&c->part);
		chain_add_ref(m, &c->in, v->block, v->p + size, v->n - size);
		break;
	}
	c->progress = (struct h1_progress){0};
}

/* Gives body to the owner, or drops it if the owner has gone. */
static void deliver(struct h1_conn *c, struct h1_stream *s, struct chain *body, bool last)
{
	s->credit -= body->n;
	s->arrived += body->n;
	if (last) {
		deadline_disarm(c->base.loop, &c->read_by);
		h1_rx_set(s, RX_DONE);
	}
	if (!h1_released(s) && !s->told)
		s->base.owner_ops->on_body(&s->base, body, last);
	chain_clear(h1_mem(c), body);
	if (last)
		h1_check_end(c);
}

static void on_trailers(struct h1_conn *c, struct h1_message *msg, enum h1_result r)
{
	struct h1_stream *s = c->stream;
	struct chain none = {0};

	if (r == H1_BAD) {
		c->role->on_bad_body(c, msg->why);
	} else if (msg->head.fields.n == 0 || h1_released(s)) {
		deliver(c, s, &none, true);
	} else {
		deadline_disarm(c->base.loop, &c->read_by);
		h1_rx_set(s, RX_DONE);
		s->base.owner_ops->on_trailers(&s->base, &msg->head.fields);
	}
}

/* A head or the trailers. True: something was done, there may be more to do. */
static bool section_step(struct h1_conn *c, bool trailers)
{
	struct h1_message msg;
	struct field few[FIELDS_FEW];
	struct block *many = NULL;
	struct view v;
	enum h1_result r;
	bool begins = c->progress.parse_at == 0;
	ssize_t n = view_get(c, &v);

	if (n <= 0) {
		if (n != TRANSPORT_AGAIN)
			c->role->on_end(c, n == TRANSPORT_ERROR);
		return false;
	}
	msg.head.fields.cap = (uint16_t)h1_count_max(c->base.limits);
	msg.head.fields.v = few;
	if (msg.head.fields.cap > FIELDS_FEW) {
		many = block_new(h1_mem(c), msg.head.fields.cap * sizeof(struct field));
		msg.head.fields.v = (struct field *)(void *)many->data;
	}
	if (trailers)
		r = h1_parse_trailers(&msg, &c->progress, v.p, v.n, c->base.limits);
	else
		r = c->role->parse_head(c, &msg, v.p, v.n);
	if (r == H1_PARTIAL) {
		/* The first head's time began with the connection, that of trailers with the last chunk. */
		if (begins && !trailers && c->served > 0)
			deadline_arm(c->base.loop, &c->read_by, c->base.limits->header_ms);
		view_keep(c, &v);
	} else {
		view_took(c, &v, r == H1_COMPLETE ? msg.size : v.n);
		if (trailers)
			on_trailers(c, &msg, r);
		else
			c->role->on_head(c, &msg, r);
		block_unref(v.block);
	}
	block_unref(many);
	return true;
}

/* Most that is worth reading now: what would go beyond the credit had to be kept. */
static size_t read_limit(const struct h1_stream *s)
{
	switch (s->rx) {
	case RX_LENGTH:
		return s->rx_left <= s->credit ? SIZE_MAX : s->credit;
	case RX_CHUNKED:
		return MAX(s->credit, H1_READ_AHEAD);
	default:
		return s->credit;
	}
}

static void body_ended(struct h1_conn *c, struct h1_stream *s, bool error)
{
	struct chain none = {0};

	if (!error && (s->rx == RX_TUNNEL || s->rx == RX_UNTIL_CLOSE))
		deliver(c, s, &none, true);
	else
		c->role->on_end(c, error);
}

/* Moves what may be delivered from `in` to body, as the framing says. False: it is malformed. */
static bool decode(struct h1_conn *c, struct h1_stream *s, struct chain *body, bool *last)
{
	struct mem *m = h1_mem(c);
	size_t n;

	switch (s->rx) {
	case RX_LENGTH:
		n = MIN(MIN(c->in.n, s->credit), s->rx_left);
		chain_move_n(m, body, &c->in, n);
		s->rx_left -= n;
		*last = s->rx_left == 0;
		return true;
	case RX_CHUNKED:
		switch (h1_chunks_decode(&s->chunks, m, &c->in, body, s->credit)) {
		case H1_CHUNK_MORE:
			return true;
		case H1_CHUNK_BAD:
			return false;
		case H1_CHUNK_LAST:
			break;
		}
		if (c->in.n >= 2 && c->in.first->n >= 2 && memcmp(c->in.first->p, "\r\n", 2) == 0) {
			chain_drain(m, &c->in, 2);
			*last = true;
		} else {
			h1_rx_set(s, RX_TRAILERS);
			deadline_arm(c->base.loop, &c->read_by, c->base.limits->header_ms);
		}
		return true;
	default:
		chain_move_n(m, body, &c->in, MIN(c->in.n, s->credit));
		return true;
	}
}

/* The owner wants no more for now: that is not the peer's fault. */
static bool out_of_credit(struct h1_conn *c)
{
	deadline_disarm(c->base.loop, &c->read_by);
	/* A client that is gone wants no answer, whatever it has sent before; a backend's answer may be whole. */
	if (c->base.server && transport_was_reset(c->base.transport))
		c->role->on_end(c, true);
	return false;
}

/* Does a request's body come too slowly to be given more time? Once an answer has begun, how long the body may pause is between the two
 * ends. */
static bool dribbles(const struct h1_conn *c, const struct h1_stream *s)
{
	return c->base.server && s->tx == TX_HEAD && deadline_armed(&c->read_by) &&
	       s->arrived < c->base.limits->body_least;
}

static void give_time(struct h1_conn *c, struct h1_stream *s)
{
	if (h1_released(s) || dribbles(c, s))
		return;
	s->arrived = 0;
	deadline_arm(c->base.loop, &c->read_by, c->base.limits->body_ms);
}

/* More of the body is waited for. A tunnel may be silent for as long as it likes; whether a reset came with what was read last is asked
 * ten times a second, not after each message: that would cost as much as reading it. */
static void await_body(struct h1_conn *c, struct h1_stream *s)
{
	if (s->rx != RX_TUNNEL) {
		give_time(c, s);
	} else if (c->base.transport->suspect && !deadline_armed(&c->read_by)) {
		deadline_arm(c->base.loop, &c->read_by, LOOP_TICK_MS);
	}
}

void h1_ask_tunnel(struct h1_conn *c)
{
	if (transport_was_reset(c->base.transport))
		c->role->on_end(c, true);
}

static bool body_step(struct h1_conn *c, struct h1_stream *s)
{
	struct chain body = {0};
	bool last = false;
	uint8_t rx = s->rx;
	ssize_t n;

	if (s->credit == 0 && h1_released(s)) {
		/* The rest of a request that was answered already is too long to wait for. */
		h1_stream_dead(c, REASON_CANCELLED);
		return false;
	}
	if (chain_empty(&c->in)) {
		if (s->credit == 0)
			return out_of_credit(c);
		n = fill(c, read_limit(s));
		if (n == TRANSPORT_AGAIN && rx != RX_TUNNEL && transport_was_reset(c->base.transport))
			n = TRANSPORT_ERROR;
		if (n == TRANSPORT_AGAIN) {
			await_body(c, s);
			return false;
		}
		if (n <= 0) {
			body_ended(c, s, n == TRANSPORT_ERROR);
			return false;
		}
	}
	if (!decode(c, s, &body, &last)) {
		chain_clear(h1_mem(c), &body);
		c->role->on_bad_body(c, REASON_CLIENT_BAD_CHUNK);
		return false;
	}
	if (body.n || last)
		deliver(c, s, &body, last);
	else if (s->rx == rx && !chain_empty(&c->in))
		return out_of_credit(c);
	return true;
}

/* Nothing is wanted of the peer, but its end is to be noticed. What it says before that is kept for later. */
static bool watch_step(struct h1_conn *c)
{
	struct transport *t = c->base.transport;
	ssize_t n;

	if (transport_was_reset(t)) {
		c->role->on_end(c, true);
		return false;
	}
	if (!t->peer_closed || c->eof || !chain_empty(&c->in) || c->part)
		return false;
	n = fill(c, SIZE_MAX);
	if (n == TRANSPORT_EOF || n == TRANSPORT_ERROR)
		c->role->on_end(c, n == TRANSPORT_ERROR);
	return n > 0;
}

/* An idle backend connection has nothing to say: anything but silence ends it. */
static bool idle_step(struct h1_conn *c)
{
	if (!chain_empty(&c->in) || fill(c, SIZE_MAX) != TRANSPORT_AGAIN)
		h1_close(c, REASON_NONE);
	return false;
}

static bool linger_step(struct h1_conn *c)
{
	size_t room;
	char *p = mem_read_room(h1_mem(c), &room);
	ssize_t n = read_some(c, p, room);

	if (n == TRANSPORT_AGAIN)
		return false;
	if (n > 0)
		c->dropped += (uint32_t)n;
	if (n > 0 && c->dropped < H1_LINGER_MAX)
		return true;
	h1_close(c, REASON_NONE);
	return false;
}

/* Is nothing there that a next head, or an idle connection's end, could be made of? Half of all looks find so. */
static bool is_silent(const struct h1_conn *c)
{
	const struct transport *t = c->base.transport;

	return !t->readable && !c->eof && chain_empty(&c->in) && !c->part && t->state != TRANSPORT_DEAD &&
	       !t->suspect;
}

static bool step(struct h1_conn *c)
{
	struct h1_stream *s = c->stream;

	if (c->state == H1_LINGERING)
		return linger_step(c);
	if (c->state != H1_OPEN)
		return false;
	if ((!s || s->rx == RX_HEAD) && is_silent(c))
		return false;
	if (!s) {
		if (!c->base.server)
			return idle_step(c);
		/* The answer before must be gone first: it is the backpressure of a pipelining client. */
		return chain_empty(&c->out) && section_step(c, false);
	}
	switch (s->rx) {
	case RX_HEAD:
	case RX_TRAILERS:
		return section_step(c, s->rx == RX_TRAILERS);
	case RX_LENGTH:
	case RX_CHUNKED:
	case RX_UNTIL_CLOSE:
	case RX_TUNNEL:
		return body_step(c, s);
	default:
		return watch_step(c);
	}
}

void h1_receive(struct h1_conn *c)
{
	c->receiving = true;
	while (step(c))
		;
	c->receiving = false;
	if (c->fresh) {
		c->fresh = false;
		chain_settle(h1_mem(c), &c->in);
	}
}
