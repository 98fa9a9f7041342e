#include "exchange/lasting.h"

#include "base/obj.h"
#include "exchange/exchange.h"

#define LOOK_MS 1000

static void on_look(struct deadline *d);

static void count(struct edge *e, const struct lasting *l, int by)
{
	_Atomic uint64_t *n = l->kind == LASTING_WEBSOCKET ? &e->tally.tunnels : &e->tally.streams;

	counter_set(n, counter_get(n) + (uint64_t)by);
}

void lasting_begin(struct exchange *x, enum lasting_kind kind)
{
	struct edge *e = x->edge;
	struct lasting *l = x->lasting = arena_new(&x->arena, struct lasting);

	l->exchange = x;
	l->kind = (uint8_t)kind;
	list_push_back(&e->lasting, &l->link);
	count(e, l, 1);
	e->lasting_look.fire = on_look;
	if (!deadline_armed(&e->lasting_look))
		deadline_arm(e->loop, &e->lasting_look, LOOK_MS);
}

void lasting_end(struct exchange *x)
{
	struct lasting *l = x->lasting;

	if (!l)
		return;
	x->lasting = NULL;
	list_remove(&l->link);
	count(x->edge, l, -1);
}

/* -- which they are -- */

void lasting_request(struct exchange *x)
{
	if (!x->lasting && !x->request.has_length && reply_is_grpc(x))
		lasting_begin(x, LASTING_CALL);
}

void lasting_answer(struct exchange *x, const struct head *answer)
{
	const struct field *type;
	struct str media;

	if (answer->body != BODY_STREAM && !x->lasting)
		return;
	type = fields_find(&answer->fields, FIELD_CONTENT_TYPE);
	media = type ? field_value(type) : STR_NONE;
	if (x->lasting && x->lasting->kind == LASTING_CALL && !str_starts(media, STR("application/grpc")))
		lasting_end(x);
	if (!x->lasting && answer->body == BODY_STREAM &&
		str_case_eq(str_trim(str_head(media, str_find(media, ';'))), STR("text/event-stream")))
		lasting_begin(x, LASTING_EVENTS);
}

struct lasting_sums lasting_of_listener(const struct edge *e, struct str socket_key)
{
	struct lasting_sums sums = {0};

	list_each (link, &e->lasting) {
		const struct lasting *l = CONTAINER(link, struct lasting, link);

		if (str_eq(l->exchange->entry->conf.socket_key, socket_key))
			(*(l->kind == LASTING_WEBSOCKET ? &sums.websockets : &sums.streams))++;
	}
	return sums;
}

/* -- their end -- */

/* The backend is let go of; what filters keep back of the answer so far comes into rest. False: the exchange has failed. */
static bool take_leave_of_backend(struct exchange *x, struct chain *rest)
{
	attempt_drop(x);
	deadline_disarm(x->edge->loop, &x->deadline);
	x->response_last = true;
	if (!filters_any(&x->filters_down) || filters_pass(&x->filters_down, &x->edge->loop->mem, rest, true))
		return true;
	exchange_fail(x, REASON_FILTER);
	return false;
}

static void end_events(struct exchange *x)
{
	struct chain rest = {0};

	if (take_leave_of_backend(x, &rest))
		stream_send_body(x->client, &rest, true);
}

static void end_call(struct exchange *x)
{
	struct fields trailers = {0};
	struct chain rest = {0};

	exchange_blame(x, REASON_STREAM_DRAINED);
	if (!take_leave_of_backend(x, &rest))
		return;
	if (rest.n)
		stream_send_body(x->client, &rest, false);
	reply_grpc_status(x, &trailers, REASON_STREAM_DRAINED);
	stream_send_trailers(x->client, &trailers);
}

static void end(struct exchange *x)
{
	if (x->lasting->kind == LASTING_WEBSOCKET)
		tunnel_close(x);
	else if (x->state == EXCHANGE_AWAITING && !x->request_last)
		exchange_fail(x, REASON_STREAM_DRAINED);
	else if (x->state != EXCHANGE_RELAYING || x->response_last)
		return;
	else if (x->lasting->kind == LASTING_EVENTS)
		end_events(x);
	else
		end_call(x);
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

static uint32_t time_given(const struct edge *e, enum lasting_kind kind)
{
	const struct conf_timeouts *t = &e->use->snapshot->conf->timeouts;
	uint32_t ms = kind == LASTING_WEBSOCKET ? (e->tunnel_ms ? e->tunnel_ms : t->tunnel_drain)
						: (e->stream_ms ? e->stream_ms : t->stream_drain);

	return ms ? ms : UINT32_MAX;
}

/* All that has to go was told at once: half of what it is given stays to each. */
static uint32_t draw_early(const struct edge *e, uint32_t given_ms)
{
	uint32_t spread_ms = MIN(e->use->snapshot->conf->timeouts.drain_spread, given_ms / 2);

	return spread_ms ? (uint32_t)(loop_random(e->loop) % spread_ms) : 0;
}

/* True: it has to go, and its time is not over. */
static bool look_at(struct edge *e, struct lasting *l)
{
	uint32_t given_ms = time_given(e, l->kind);

	if (!has_to_go(l->exchange)) {
		l->since_ms = 0;
		return false;
	}
	if (l->since_ms == 0) {
		l->since_ms = e->loop->now_ms;
		l->early_ms = draw_early(e, given_ms);
	}
	if (e->loop->now_ms - l->since_ms + l->early_ms < given_ms)
		return true;
	end(l->exchange);
	return false;
}

static void on_look(struct deadline *d)
{
	struct edge *e = CONTAINER(d, struct edge, lasting_look);
	bool some_wait = false;

	list_each_safe (link, &e->lasting)
		some_wait |= look_at(e, CONTAINER(link, struct lasting, link));
	if (!list_empty(&e->lasting))
		deadline_arm(e->loop, d, some_wait ? LOOP_TICK_MS : LOOK_MS);
}

void lasting_look(struct edge *e)
{
	if (!list_empty(&e->lasting))
		deadline_arm(e->loop, &e->lasting_look, LOOP_TICK_MS);
}
