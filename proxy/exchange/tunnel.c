/* exchange/tunnel.c - WebSockets: bytes both ways for as long as both like, until what they go through drains (exchange/lasting.h). Then
 * they are closed in order: a close frame 1001 to either side, between two frames of its peer's, and time to answer it. What is not over
 * by then is cut. */
#include "base/obj.h"
#include "exchange/exchange.h"
#include "http/ws_frames.h"

#define CLOSE_MS 2000 /* for the frames under way, and for both sides to answer */

enum way { WAY_UP, WAY_DOWN, WAYS };

enum end_state {
	END_OPEN,
	END_DUE, /* the frame under way comes first */
	END_SENT, /* our close frame was the last; what comes from there is dropped */
};

struct tunnel {
	struct exchange *exchange;
	struct ws_frames frames[WAYS];
	uint8_t end[WAYS]; /* enum end_state: of what goes that way */
	bool left[WAYS]; /* who sends that way has closed too */
	struct deadline cut;
};

static void on_cut(struct deadline *d)
{
	exchange_fail(CONTAINER(d, struct tunnel, cut)->exchange, REASON_DRAINED);
}

void tunnel_begin(struct exchange *x)
{
	struct tunnel *t;

	x->tunnel = true;
	t = x->websocket = arena_new(&x->arena, struct tunnel);
	t->exchange = x;
	t->cut.fire = on_cut;
	lasting_begin(x, LASTING_WEBSOCKET);
}

void tunnel_end(struct exchange *x)
{
	struct tunnel *t = x->websocket;

	if (!t)
		return;
	x->websocket = NULL;
	deadline_disarm(x->edge->loop, &t->cut);
	lasting_end(x);
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

void tunnel_close(struct exchange *x)
{
	struct tunnel *t = x->websocket;

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
