/* exchange/tunnel.c - WebSockets: bytes both ways for as long as both like, until what they go through drains. Then they are given
 * timeouts.tunnel_drain, and are closed in order: a close frame 1001 to either side, between two frames of its peer's, and time to
 * answer it. What is not over by then is cut. */
#include "base/obj.h"
#include "exchange/exchange.h"
#include "http/ws_frames.h"

#define LOOK_MS  1000
#define CLOSE_MS 2000 /* for the frames under way, and for both sides to answer */

enum way { WAY_UP, WAY_DOWN, WAYS };

enum end_state {
	END_OPEN,
	END_DUE, /* the frame under way comes first */
	END_SENT, /* our close frame was the last; what comes from there is dropped */
};

struct tunnel {
	struct list link; /* in edge->tunnels */
	struct exchange *exchange;
	struct ws_frames frames[WAYS];
	uint8_t end[WAYS]; /* enum end_state: of what goes that way */
	bool left[WAYS]; /* who sends that way has closed too */
	uint64_t since_ms; /* when it was first seen that it has to go; 0: it has not */
	struct deadline cut;
};

static void on_cut(struct deadline *d)
{
	exchange_fail(CONTAINER(d, struct tunnel, cut)->exchange, REASON_DRAINED);
}

static void on_look(struct deadline *d);

void tunnel_begin(struct exchange *x)
{
	struct edge *e = x->edge;
	struct tunnel *t;

	x->tunnel = true;
	t = x->websocket = arena_new(&x->arena, struct tunnel);
	t->exchange = x;
	t->cut.fire = on_cut;
	list_push_back(&e->tunnels, &t->link);
	counter_add(&e->tally.tunnels, 1);
	e->tunnels_look.fire = on_look;
	if (!deadline_armed(&e->tunnels_look))
		deadline_arm(e->loop, &e->tunnels_look, LOOK_MS);
}

void tunnel_end(struct exchange *x)
{
	struct tunnel *t = x->websocket;

	if (!t)
		return;
	x->websocket = NULL;
	list_remove(&t->link);
	deadline_disarm(x->edge->loop, &t->cut);
	counter_set(&x->edge->tally.tunnels, counter_get(&x->edge->tally.tunnels) - 1);
}

/* -- the end -- */

static void pass_on(struct exchange *x, enum way way, struct chain *c, bool last)
{
	if (way == WAY_DOWN) {
		x->response_last |= last;
		stream_send_body(x->client, c, last);
		return;
	}
	x->request_last |= last;
	chain_move(&x->request_body, c);
	exchange_pump_request(x);
}

/* Between two frames: ours, and the end. Behind a close frame there can be no other. */
static void send_end(struct exchange *x, enum way way, struct chain *c)
{
	struct tunnel *t = x->websocket;

	t->end[way] = END_SENT;
	if (!t->frames[way].closed)
		ws_close_frame(&x->edge->loop->mem, c, way == WAY_UP, (uint32_t)loop_random(x->edge->loop));
	pass_on(x, way, c, true);
}

static void close_way(struct exchange *x, enum way way)
{
	struct tunnel *t = x->websocket;
	struct chain frame = {0};

	t->end[way] = END_DUE;
	if (ws_frames_between(&t->frames[way]))
		send_end(x, way, &frame);
}

/* One that is not agreed on yet is answered like any request, and looked at again. */
static void close_tunnel(struct tunnel *t)
{
	struct exchange *x = t->exchange;

	if (x->state != EXCHANGE_RELAYING || deadline_armed(&t->cut))
		return;
	deadline_arm(x->edge->loop, &t->cut, CLOSE_MS);
	if (!x->request_last)
		close_way(x, WAY_UP);
	if (!x->response_last)
		close_way(x, WAY_DOWN);
}

static bool both_left(const struct exchange *x)
{
	const struct tunnel *t = x->websocket;

	return t->left[WAY_UP] && (t->left[WAY_DOWN] || !x->upstream);
}

bool tunnel_is_closing(const struct exchange *x)
{
	return x->websocket && deadline_armed(&x->websocket->cut) && !both_left(x);
}

bool tunnel_has_closed(const struct exchange *x)
{
	return x->websocket && deadline_armed(&x->websocket->cut) && both_left(x) && x->client->sent_all &&
	       x->request_given;
}

/* Bytes of one side's have come. False: they are not to be passed on. */
static bool pass(struct exchange *x, enum way way, struct chain *c, bool last)
{
	struct tunnel *t = x->websocket;
	struct mem *mem = &x->edge->loop->mem;
	struct chain kept = {0};
	size_t n = ws_frames_pass(&t->frames[way], c, t->end[way] == END_DUE);

	t->left[way] |= last || t->frames[way].closed;
	if (t->end[way] == END_OPEN)
		return true;
	if (t->end[way] == END_DUE) {
		chain_move_n(mem, &kept, c, n);
		if (ws_frames_between(&t->frames[way]) || last)
			send_end(x, way, &kept);
		else
			pass_on(x, way, &kept, false);
	}
	chain_clear(mem, c);
	if (tunnel_has_closed(x))
		exchange_end(x);
	return false;
}

bool tunnel_up(struct exchange *x, struct chain *c, bool last)
{
	return pass(x, WAY_UP, c, last);
}

bool tunnel_down(struct exchange *x, struct chain *c, bool last)
{
	return pass(x, WAY_DOWN, c, last);
}

/* -- who has to go -- */

static bool has_to_go(const struct exchange *x)
{
	struct edge *e = x->edge;

	if (e->tunnel_ms || x->entry->draining)
		return true;
	if (exchange_is_left(x))
		return true;
	if (!x->pool || !x->backend)
		return false;
	return edge_now(e, x->pool)->state >= POOL_DRAINING || backend_draining(x->backend) ||
	       !edge_backend(e, x->backend);
}

static uint32_t time_given(const struct edge *e)
{
	uint32_t ms = e->tunnel_ms ? e->tunnel_ms : e->use->snapshot->conf->timeouts.tunnel_drain;

	return ms ? ms : UINT32_MAX;
}

static void on_look(struct deadline *d)
{
	struct edge *e = CONTAINER(d, struct edge, tunnels_look);
	uint32_t ms = time_given(e);

	list_each_safe (link, &e->tunnels) {
		struct tunnel *t = CONTAINER(link, struct tunnel, link);

		if (!has_to_go(t->exchange))
			t->since_ms = 0;
		else if (t->since_ms == 0)
			t->since_ms = e->loop->now_ms;
		if (t->since_ms && e->loop->now_ms - t->since_ms >= ms)
			close_tunnel(t);
	}
	if (!list_empty(&e->tunnels))
		deadline_arm(e->loop, &e->tunnels_look, MIN(LOOK_MS, MAX(ms / 4, LOOP_TICK_MS)));
}

uint32_t tunnels_of_listener(const struct edge *e, struct str socket_key)
{
	uint32_t n = 0;

	list_each (link, &e->tunnels)
		n += str_eq(
			CONTAINER(link, struct tunnel, link)->exchange->entry->conf.socket_key, socket_key);
	return n;
}

void tunnels_look(struct edge *e)
{
	if (!list_empty(&e->tunnels))
		deadline_arm(e->loop, &e->tunnels_look, LOOP_TICK_MS);
}
