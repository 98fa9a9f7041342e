#include "base/obj.h"
#include "http/h2/conn.h"

static const uint8_t legal[H2_HALVES] = {
	[H2_HALF_HEAD] = BIT(H2_HALF_BODY) | BIT(H2_HALF_ENDING) | BIT(H2_HALF_DONE) | BIT(H2_HALF_RESET),
	[H2_HALF_BODY] = BIT(H2_HALF_ENDING) | BIT(H2_HALF_DONE) | BIT(H2_HALF_RESET),
	[H2_HALF_ENDING] = BIT(H2_HALF_DONE) | BIT(H2_HALF_RESET),
	[H2_HALF_DONE] = BIT(H2_HALF_RESET),
	[H2_HALF_RESET] = 0,
};

void h2_stream_set_in(struct h2_stream *s, enum h2_half to)
{
	MUST(legal[s->in] & BIT(to));
	s->in = (uint8_t)to;
}

void h2_stream_set_out(struct h2_stream *s, enum h2_half to)
{
	MUST(legal[s->out] & BIT(to));
	s->out = (uint8_t)to;
}

static struct h2_stream *of(struct stream *base)
{
	OBJ_CHECK(base, STREAM_MAGIC);
	return (struct h2_stream *)base;
}

/* -- what is kept outside of frames -- */

struct h2_kept *h2_keep(struct h2_conn *c, const struct head *head, bool last)
{
	struct h2_kept *k = mem_obj(h2_mem(c), sizeof(*k));

	arena_init(&k->arena, h2_mem(c));
	head_copy(&k->arena, &k->head, head);
	k->last = last;
	return k;
}

void h2_unkeep(struct h2_conn *c, struct h2_kept **kept)
{
	struct h2_kept *k = TAKE(kept);

	if (!k)
		return;
	arena_free(&k->arena);
	mem_obj_free(h2_mem(c), k, sizeof(*k));
}

/* -- life -- */

/* Is the peer to send body now? A tunnel may be silent, and once a response has begun, how long the request's
 * body may pause is between the two ends (a gRPC stream waits for hours). */
static bool wants_body(const struct h2_stream *s)
{
	return s->in == H2_HALF_BODY && s->credit > s->received.n && !s->tunnel &&
	       (!s->c->base.server || s->out == H2_HALF_HEAD);
}

static bool waits_for_window(const struct h2_stream *s)
{
	return !chain_empty(&s->pending) && s->send_window <= 0;
}

/* Does a request's body come too slowly to be given more time? */
static bool dribbles(const struct h2_stream *s)
{
	return s->c->base.server && !s->unhurried && deadline_armed(&s->stall) &&
	       s->arrived < s->c->base.limits->body_least;
}

void h2_stream_expect(struct h2_stream *s)
{
	if (!wants_body(s) && !waits_for_window(s))
		/* The time that the owner takes is not the peer's. */
		deadline_disarm(h2_loop(s->c), &s->stall);
	else if (waits_for_window(s) || !dribbles(s)) {
		s->arrived = 0;
		deadline_arm(h2_loop(s->c), &s->stall, s->c->base.limits->body_ms);
	}
}

void h2_stream_received(struct h2_stream *s)
{
	if (!wants_body(s) && !waits_for_window(s))
		deadline_disarm(h2_loop(s->c), &s->stall);
}

static void on_stall(struct deadline *d)
{
	struct h2_stream *s = CONTAINER(d, struct h2_stream, stall);
	enum reason why;

	if (waits_for_window(s))
		why = s->c->role->read_stalled;
	else if (wants_body(s))
		why = s->c->role->body_stalled;
	else
		return;
	h2_send_rst(s->c, s->id, H2_CANCEL);
	h2_stream_leave(s, true);
	h2_stream_kill(s, why);
}

struct h2_stream *h2_stream_new(struct h2_conn *c)
{
	struct h2_stream *s = mem_obj(h2_mem(c), sizeof(*s));

	s->base.magic = STREAM_MAGIC;
	s->base.ops = &h2_stream_ops;
	s->base.conn = &c->base;
	s->c = c;
	s->open = true;
	s->send_window = c->peer_window;
	s->recv_window = h2_stream_window(c);
	s->stall.fire = on_stall;
	list_push_back(&c->all, &s->link);
	c->alive++;
	c->base.streams++;
	return s;
}

static struct h2_stream **bucket(struct h2_conn *c, uint32_t id)
{
	return &c->buckets[(id >> 1) % H2_BUCKETS];
}

struct h2_stream *h2_conn_find(const struct h2_conn *c, uint32_t id)
{
	struct h2_stream *s = c->buckets[(id >> 1) % H2_BUCKETS];

	while (s && s->id != id)
		s = s->next;
	return s;
}

void h2_stream_set_id(struct h2_stream *s, uint32_t id)
{
	struct h2_stream **at = bucket(s->c, id);

	s->id = id;
	s->next = *at;
	*at = s;
}

void h2_stream_leave(struct h2_stream *s, bool by_our_reset)
{
	struct h2_conn *c = s->c;

	if (!s->open)
		return;
	s->open = false;
	c->base.streams--;
	if (s->id) {
		struct h2_stream **at = bucket(c, s->id);

		while (*at != s)
			at = &(*at)->next;
		*at = s->next;
		c->closed[c->closed_at++ % H2_CLOSED_KEPT] = s->id | (by_our_reset ? H2_BY_OUR_RESET : 0);
	}
	c->role->changed(c);
	if (c->base.streams == 0) {
		/* Not from here: to close the connection would end streams while one of them is being looked at. */
		c->resting = true;
		loop_defer(h2_loop(c), &c->flush_task, LOOP_FLUSH);
	}
}

void h2_stream_kill(struct h2_stream *s, enum reason why)
{
	struct h2_conn *c = s->c;

	if (s->in == H2_HALF_RESET && s->out == H2_HALF_RESET)
		return;
	if (s->in != H2_HALF_RESET)
		h2_stream_set_in(s, H2_HALF_RESET);
	if (s->out != H2_HALF_RESET)
		h2_stream_set_out(s, H2_HALF_RESET);
	chain_clear(h2_mem(c), &s->received);
	chain_clear(h2_mem(c), &s->pending);
	h2_unkeep(c, &s->trailers_in);
	h2_unkeep(c, &s->trailers_out);
	h2_unkeep(c, &s->head_out);
	list_remove(&s->send_link);
	list_remove(&s->wire_link);
	deadline_disarm(h2_loop(c), &s->stall);
	h2_stream_leave(s, false);
	s->owes_sent = false;
	if (why != REASON_NONE && !s->released) {
		s->owes_reset = (uint16_t)why;
		h2_stream_wake(s);
	}
	h2_stream_settle(s);
}

void h2_stream_fault(struct h2_stream *s, enum h2_error code, enum reason why)
{
	struct h2_conn *c = s->c;

	h2_send_rst(c, s->id, code);
	h2_stream_leave(s, true);
	h2_stream_kill(s, why);
	h2_conn_charge(c, H2_COST_RESET);
}

void h2_stream_stop_sending(struct h2_stream *s)
{
	chain_clear(h2_mem(s->c), &s->pending);
	h2_unkeep(s->c, &s->trailers_out);
	list_remove(&s->send_link);
	if (s->out < H2_HALF_DONE)
		h2_stream_set_out(s, H2_HALF_RESET);
	h2_stream_leave(s, false);
	h2_stream_settle(s);
}

void h2_stream_settle(struct h2_stream *s)
{
	struct h2_conn *c = s->c;

	if (s->in >= H2_HALF_ENDING && s->out >= H2_HALF_DONE) {
		if (s->open && s->in != H2_HALF_RESET && s->out != H2_HALF_RESET)
			h2_guard_reward(&c->guard, H2_WORK_MESSAGE);
		h2_stream_leave(s, false);
	}
	if (!s->released)
		return;
	/* RFC 9113 8.1: the answer is complete, the rest of the request is not needed. */
	if (s->out == H2_HALF_DONE && s->in < H2_HALF_ENDING) {
		h2_send_rst(c, s->id, H2_NO_ERROR);
		h2_stream_leave(s, true);
		h2_stream_set_in(s, H2_HALF_RESET);
	}
	if (s->in >= H2_HALF_ENDING && s->out >= H2_HALF_DONE && !list_linked(&s->wire_link) &&
		s->base.magic) {
		s->base.magic = 0; /* once: it is on its way out */
		list_remove(&s->ready_link);
		list_push_back(&c->dead, &s->ready_link);
		loop_defer(h2_loop(c), &c->reap_task, LOOP_REAP);
	}
}

void h2_stream_free(struct h2_stream *s)
{
	struct h2_conn *c = s->c;

	chain_clear(h2_mem(c), &s->received);
	chain_clear(h2_mem(c), &s->pending);
	h2_unkeep(c, &s->trailers_in);
	h2_unkeep(c, &s->trailers_out);
	list_remove(&s->link);
	deadline_disarm(h2_loop(c), &s->stall);
	c->alive--;
	mem_obj_free(h2_mem(c), s, sizeof(*s));
}

/* -- up: what the owner hears -- */

void h2_stream_wake(struct h2_stream *s)
{
	if (s->released)
		return;
	if (!list_linked(&s->ready_link))
		list_push_back(&s->c->ready, &s->ready_link);
	loop_defer(h2_loop(s->c), &s->c->ready_task, LOOP_READY);
}

/* Body bytes that the owner has now: the peer may send as many again (RFC 9113 6.9), in steps of half a window. */
static void give_back(struct h2_stream *s, size_t n)
{
	s->unreturned += (uint32_t)n;
	if (s->in != H2_HALF_BODY || s->unreturned < (uint32_t)h2_stream_window(s->c) / 2)
		return;
	h2_send_window_update(s->c, s->id, s->unreturned);
	s->recv_window += (int32_t)s->unreturned;
	s->unreturned = 0;
}

static void deliver_body(struct h2_stream *s)
{
	struct mem *m = h2_mem(s->c);
	size_t n = MIN(s->credit, s->received.n);
	bool last = s->in == H2_HALF_ENDING && n == s->received.n && !s->trailers_in;
	struct chain part = {0};

	if (n == 0 && !last)
		return;
	if (n == s->received.n)
		chain_move(&part, &s->received);
	else
		chain_move_n(m, &part, &s->received, n);
	s->credit -= n;
	if (last)
		h2_stream_set_in(s, H2_HALF_DONE);
	give_back(s, n);
	s->base.owner_ops->on_body(&s->base, &part, last);
	chain_clear(m, &part);
}

void h2_stream_deliver(struct h2_stream *s)
{
	if (s->released)
		return;
	if (s->owes_reset) {
		enum reason why = s->owes_reset;

		s->owes_reset = REASON_NONE;
		s->base.owner_ops->on_reset(&s->base, why);
		return;
	}
	if (s->owes_sent) {
		size_t n = s->sent;

		s->owes_sent = false;
		s->sent = 0;
		s->base.owner_ops->on_sent(&s->base, n);
	}
	if (!s->released && (s->in == H2_HALF_BODY || s->in == H2_HALF_ENDING))
		deliver_body(s);
	if (!s->released && s->in == H2_HALF_ENDING && s->trailers_in && chain_empty(&s->received)) {
		struct h2_kept *k = TAKE(&s->trailers_in);

		h2_stream_set_in(s, H2_HALF_DONE);
		s->base.owner_ops->on_trailers(&s->base, &k->head.fields);
		h2_unkeep(s->c, &k);
	}
}

/* -- down: the owner's verbs -- */

static bool is_interim(const struct head *head)
{
	return head->status >= 100 && head->status < 200;
}

void h2_stream_write_head(struct h2_stream *s, const struct head *head, bool last)
{
	struct h2_conn *c = s->c;

	h2_hpack_write(&c->hpack, h2_mem(c), &c->control, s->id,
		c->base.server ? H2_HEADERS_RESPONSE : H2_HEADERS_REQUEST, head, last);
	loop_defer(h2_loop(c), &c->flush_task, LOOP_FLUSH);
	if (c->base.server && is_interim(head))
		return;
	h2_stream_set_out(s, last ? H2_HALF_DONE : H2_HALF_BODY);
	if (last) {
		list_push_back(&c->in_control, &s->wire_link);
		h2_stream_settle(s);
	}
}

static void stream_head_down(struct stream *base, const struct head *head, bool last)
{
	struct h2_stream *s = of(base);

	if (s->out != H2_HALF_HEAD || !h2_conn_lives(s->c))
		return; /* reset meanwhile: on_reset is on its way */
	if (s->c->base.server) {
		if (!is_interim(head) && head->body != BODY_TUNNEL)
			s->tunnel = false; /* refused: an answer like any other */
		h2_stream_write_head(s, head, last);
	} else if (h2_client_begin(s, head, last)) {
		h2_stream_write_head(s, head, last);
	}
}

static void stream_body_down(struct stream *base, struct chain *chain, bool last)
{
	struct h2_stream *s = of(base);
	struct h2_conn *c = s->c;
	bool waits = s->head_out && !s->head_out->last;

	if ((s->out != H2_HALF_BODY && !waits) || !h2_conn_lives(c)) {
		chain_clear(h2_mem(c), chain);
		return;
	}
	/* What cannot leave in this tick must not hold the block that the thread reads into. */
	if (waits || !chain_empty(&c->wire) || s->send_window <= 0 || c->send_window <= 0)
		chain_settle(h2_mem(c), chain);
	else
		s->settled = false;
	chain_move(&s->pending, chain);
	if (last && waits)
		s->head_out->ended = true;
	else if (last)
		h2_stream_set_out(s, H2_HALF_ENDING);
	if (!waits)
		h2_send_wake(s);
}

static void stream_trailers_down(struct stream *base, const struct fields *trailers)
{
	struct h2_stream *s = of(base);
	struct head head = {.fields = *trailers};

	if (s->out != H2_HALF_BODY || !h2_conn_lives(s->c))
		return;
	s->trailers_out = h2_keep(s->c, &head, true);
	h2_stream_set_out(s, H2_HALF_ENDING);
	h2_send_wake(s);
}

static void stream_credit_down(struct stream *base, size_t n)
{
	struct h2_stream *s = of(base);

	s->credit = n > SIZE_MAX - s->credit ? SIZE_MAX : s->credit + n;
	if (!chain_empty(&s->received))
		h2_stream_wake(s);
	else if (s->in == H2_HALF_BODY)
		h2_stream_expect(s);
}

static void reset(struct h2_stream *s, enum reason why)
{
	struct h2_conn *c = s->c;
	enum h2_error code = c->base.server ? reason_row(why)->h2 : H2_CANCEL;

	/* NO_ERROR would pass for a complete answer with some clients. */
	if (code == H2_NO_ERROR)
		code = H2_INTERNAL_ERROR;
	if (s->open && s->id && h2_conn_lives(c))
		h2_send_rst(c, s->id, code);
	h2_stream_leave(s, true);
	h2_stream_kill(s, REASON_NONE);
	s->owes_reset = REASON_NONE;
}

static void stream_reset_down(struct stream *base, enum reason why)
{
	reset(of(base), why);
}

static void stream_release_down(struct stream *base)
{
	struct h2_stream *s = of(base);

	s->base.owner_ops = NULL;
	s->base.owner = NULL;
	if (s->out < H2_HALF_ENDING || (s->in < H2_HALF_ENDING && !s->c->base.server))
		reset(s, REASON_CANCELLED);
	s->released = true;
	list_remove(&s->ready_link);
	chain_clear(h2_mem(s->c), &s->received);
	if (s->in == H2_HALF_ENDING)
		h2_stream_set_in(s, H2_HALF_DONE);
	h2_stream_settle(s);
}

const struct stream_ops h2_stream_ops = {
	.send_head = stream_head_down,
	.send_body = stream_body_down,
	.send_trailers = stream_trailers_down,
	.credit = stream_credit_down,
	.reset = stream_reset_down,
	.release = stream_release_down,
};
