#include "http/h2/conn.h"

#include "base/obj.h"

static const uint8_t legal[H2_CONN_STATES] = {
	[H2_CONN_PREFACE] = BIT(H2_CONN_OPEN) | BIT(H2_CONN_CLOSING) | BIT(H2_CONN_CLOSED),
	[H2_CONN_OPEN] = BIT(H2_CONN_CLOSING) | BIT(H2_CONN_CLOSED),
	[H2_CONN_CLOSING] = BIT(H2_CONN_LINGER) | BIT(H2_CONN_CLOSED),
	[H2_CONN_LINGER] = BIT(H2_CONN_CLOSED),
	[H2_CONN_CLOSED] = 0,
};

void h2_conn_set_state(struct h2_conn *c, enum h2_conn_state to)
{
	MUST(legal[c->state] & BIT(to));
	c->state = (uint8_t)to;
}

/* -- ends -- */

void h2_conn_goaway(struct h2_conn *c, uint32_t last_id, enum h2_error code)
{
	uint8_t p[8];

	h2_put32(p, last_id);
	h2_put32(p + 4, code);
	h2_send_frame(c, H2_FRAME_GOAWAY, 0, 0, p, sizeof(p));
}

/* Resets all streams; spares those that are complete, whose end is only still to be delivered, or, with written false,
 * to be written. */
static void kill_streams(struct h2_conn *c, enum reason why, bool reset, bool written)
{
	list_each_safe (link, &c->all) {
		struct h2_stream *s = CONTAINER(link, struct h2_stream, link);
		bool in_ends = s->in >= H2_HALF_ENDING;
		bool out_ends = written ? s->base.sent_all : s->out >= H2_HALF_DONE;

		/* A client that has its whole answer does not mind what became of the rest of its request. */
		if (in_ends && s->in != H2_HALF_RESET && !c->base.server) {
			h2_stream_stop_sending(s);
			list_remove(&s->wire_link);
			h2_stream_settle(s);
		} else if (!in_ends || !out_ends) {
			h2_stream_kill(s, why ? why : c->role->lost(s, reset));
		}
	}
}

static void stop(struct h2_conn *c, enum reason why)
{
	c->why = (uint16_t)why;
	c->base.draining = true;
	c->role->changed(c);
	deadline_disarm(h2_loop(c), &c->idle);
	deadline_disarm(h2_loop(c), &c->head);
	deadline_disarm(h2_loop(c), &c->reply);
	deadline_disarm(h2_loop(c), &c->look);
}

void h2_conn_finish(struct h2_conn *c, enum reason why, enum h2_error code)
{
	if (!h2_conn_reads(c))
		return;
	if (c->goaway != H2_GOAWAY_FINAL || code != H2_NO_ERROR)
		h2_conn_goaway(c, c->base.server ? c->last_id : 0, code);
	stop(c, why);
	h2_conn_set_state(c, H2_CONN_CLOSING);
	kill_streams(c, why, false, false);
	deadline_arm(h2_loop(c), &c->reply, H2_CLOSE_MS);
	loop_defer(h2_loop(c), &c->flush_task, LOOP_FLUSH);
}

void h2_conn_fault(struct h2_conn *c, enum h2_error code)
{
	h2_conn_finish(c, c->role->fault(code), code);
}

bool h2_conn_charge(struct h2_conn *c, enum h2_guard_cost cost)
{
	if (h2_guard_charge(&c->guard, cost, h2_loop(c)->now_ms))
		return true;
	h2_conn_fault(c, H2_ENHANCE_YOUR_CALM);
	return false;
}

/* The transport goes now; streams and owner hear of it at the READY phase. */
static void close_now(struct h2_conn *c, enum reason why)
{
	stop(c, why);
	h2_conn_set_state(c, H2_CONN_CLOSED);
	deadline_disarm(h2_loop(c), &c->write_stall);
	transport_close(&c->base.transport);
	chain_clear(h2_mem(c), &c->control);
	chain_clear(h2_mem(c), &c->wire);
	chain_clear(h2_mem(c), &c->received);
	block_unref(c->stage);
	c->stage = NULL;
	block_unref(c->input.payload);
	c->input.payload = NULL;
	loop_defer(h2_loop(c), &c->ready_task, LOOP_READY);
}

void h2_conn_cut(struct h2_conn *c, enum reason why)
{
	if (c->state == H2_CONN_CLOSED)
		return;
	close_now(c, why);
	kill_streams(c, why, false, true);
}

void h2_conn_lost(struct h2_conn *c, bool reset)
{
	bool busy = c->base.streams > 0;

	if (c->state == H2_CONN_CLOSED)
		return;
	if (c->state >= H2_CONN_CLOSING)
		close_now(c, c->why);
	else
		close_now(c, busy ? c->role->lost(NULL, reset) : REASON_NONE);
	kill_streams(c, REASON_NONE, reset, true);
}

void h2_conn_close_down(struct http_conn *base, enum reason why)
{
	struct h2_conn *c = (struct h2_conn *)base;

	OBJ_CHECK(base, HTTP_CONN_MAGIC);
	h2_conn_finish(c, why, reason_row(why)->h2);
	h2_conn_flush(c);
	h2_conn_cut(c, why);
}

/* -- draining and idling -- */

static const uint8_t drain_ping[8] = {'w', 'e', 'i', 'r', 'd', 'o', 'n', 'e'};

void h2_conn_drain(struct h2_conn *c)
{
	if (!h2_conn_reads(c))
		return;
	c->base.draining = true;
	switch (c->goaway) {
	case H2_GOAWAY_NONE:
		/* Requests under way are still served; a round trip later there can be none (RFC 9113 6.8). */
		c->goaway = H2_GOAWAY_NOTICE;
		h2_conn_goaway(c, H2_STREAM_ID_MAX, H2_NO_ERROR);
		h2_send_frame(c, H2_FRAME_PING, 0, 0, drain_ping, sizeof(drain_ping));
		deadline_arm(h2_loop(c), &c->reply, H2_PING_MS);
		break;
	case H2_GOAWAY_NOTICE:
		c->goaway = H2_GOAWAY_FINAL;
		c->goaway_id = c->last_id;
		deadline_disarm(h2_loop(c), &c->reply);
		h2_conn_goaway(c, c->last_id, H2_NO_ERROR);
		h2_conn_rests(c);
		break;
	default:
		break;
	}
}

void h2_conn_ponged(struct h2_conn *c)
{
	if (c->goaway == H2_GOAWAY_NOTICE)
		h2_conn_drain(c);
}

void h2_conn_rests(struct h2_conn *c)
{
	c->resting = false;
	if (c->base.streams > 0 || !h2_conn_reads(c))
		return;
	if (c->base.server ? c->goaway == H2_GOAWAY_FINAL : c->base.draining)
		h2_conn_finish(c, REASON_NONE, H2_NO_ERROR);
	else
		deadline_arm(h2_loop(c), &c->idle, c->base.limits->idle_ms);
}

/* -- deadlines -- */

static void on_idle(struct deadline *d)
{
	struct h2_conn *c = CONTAINER(d, struct h2_conn, idle);

	/* Not disarmed by each new stream: it is armed anew when the last one ends. */
	if (c->base.streams == 0)
		h2_conn_finish(c, REASON_NONE, H2_NO_ERROR);
}

static void on_slow_head(struct deadline *d)
{
	struct h2_conn *c = CONTAINER(d, struct h2_conn, head);

	h2_conn_finish(c, c->role->slow_head, reason_row(c->role->slow_head)->h2);
}

static void on_write_stall(struct deadline *d)
{
	struct h2_conn *c = CONTAINER(d, struct h2_conn, write_stall);

	h2_conn_cut(c, c->role->read_stalled);
}

static void on_no_reply(struct deadline *d)
{
	struct h2_conn *c = CONTAINER(d, struct h2_conn, reply);

	if (c->state >= H2_CONN_CLOSING)
		h2_conn_cut(c, c->why);
	else if (c->goaway == H2_GOAWAY_NOTICE)
		h2_conn_drain(c);
	else
		h2_conn_fault(c, H2_SETTINGS_TIMEOUT);
}

static void on_look(struct deadline *d)
{
	struct h2_conn *c = CONTAINER(d, struct h2_conn, look);

	if (h2_conn_reads(c) && transport_was_reset(c->base.transport))
		h2_conn_lost(c, true);
}

/* -- tasks -- */

static void on_ready(struct task *t)
{
	struct h2_conn *c = CONTAINER(t, struct h2_conn, ready_task);
	struct list *link;

	if (c->state != H2_CONN_CLOSED && (c->more || !chain_empty(&c->received)))
		h2_conn_read(c);
	if (c->kept_due && c->state != H2_CONN_CLOSED) {
		c->kept_due = false;
		c->role->begin_kept(c);
	}
	while ((link = list_pop_front(&c->ready)))
		h2_stream_deliver(CONTAINER(link, struct h2_stream, ready_link));
	if (c->changed && !c->told) {
		c->changed = false;
		c->base.owner_ops->on_change(&c->base);
	}
	if (c->state == H2_CONN_CLOSED && !c->told) {
		c->told = true;
		c->base.owner_ops->on_closed(&c->base, c->why);
		loop_defer(h2_loop(c), &c->reap_task, LOOP_REAP);
	}
}

static void on_flush(struct task *t)
{
	h2_conn_flush(CONTAINER(t, struct h2_conn, flush_task));
}

static void conn_free(struct h2_conn *c)
{
	h2_hpack_free(&c->hpack);
	if (c->block) {
		h2_block_free(c->block);
		mem_obj_free(h2_mem(c), c->block, sizeof(*c->block));
	}
	list_remove(&c->base.link);
	task_cancel(&c->ready_task);
	task_cancel(&c->flush_task);
	c->base.magic = 0;
	mem_obj_free(h2_mem(c), c, sizeof(*c));
}

static void on_reap(struct task *t)
{
	struct h2_conn *c = CONTAINER(t, struct h2_conn, reap_task);
	struct list *link;

	while ((link = list_pop_front(&c->dead)))
		h2_stream_free(CONTAINER(link, struct h2_stream, ready_link));
	if (c->told && c->alive == 0)
		conn_free(c);
}

static void on_transport(struct transport *t)
{
	struct h2_conn *c = t->user;

	if (t->state == TRANSPORT_DEAD) {
		h2_conn_lost(c, true);
		return;
	}
	if (t->readable)
		h2_conn_read(c);
	/* Also when TLS has let go of its last bytes and the connection can be closed. */
	if (c->state == H2_CONN_CLOSING || (h2_conn_lives(c) && !chain_empty(&c->wire)))
		loop_defer(h2_loop(c), &c->flush_task, LOOP_FLUSH);
}

struct h2_conn *h2_conn_new(struct transport **tp, const struct h2_role *role, const struct http_limits *lim,
	const struct http_conn_owner_ops *ops, void *owner)
{
	struct transport *t = TAKE(tp);
	struct loop *l = t->loop;
	struct h2_conn *c = mem_obj(&l->mem, sizeof(*c));

	OBJ_CHECK(t, TRANSPORT_MAGIC);
	c->base = (struct http_conn){
		.magic = HTTP_CONN_MAGIC,
		.version = HTTP_2,
		.owner_ops = ops,
		.owner = owner,
		.loop = l,
		.transport = t,
		.limits = lim,
	};
	c->role = role;
	c->peer_window = c->send_window = H2_WINDOW_DEFAULT;
	c->peer_streams = H2_PEER_STREAMS;
	c->goaway_id = H2_STREAM_ID_MAX;
	c->ready_task.run = on_ready;
	c->flush_task.run = on_flush;
	c->reap_task.run = on_reap;
	c->idle.fire = on_idle;
	c->head.fire = on_slow_head;
	c->write_stall.fire = on_write_stall;
	c->reply.fire = on_no_reply;
	c->look.fire = on_look;
	list_init(&c->all);
	list_init(&c->ready);
	list_init(&c->sending);
	list_init(&c->in_control);
	list_init(&c->on_wire);
	list_init(&c->dead);
	h2_hpack_init(&c->hpack);
	h2_guard_init(&c->guard, l->now_ms);
	t->user = c;
	t->on_event = on_transport;
	/* The first read is made from the loop, not from below this call. */
	c->more = true;
	loop_defer(l, &c->ready_task, LOOP_READY);
	deadline_arm(l, &c->head, lim->header_ms);
	deadline_arm(l, &c->reply, lim->header_ms);
	deadline_arm(l, &c->idle, lim->idle_ms);
	return c;
}
