#include "exchange/exchange.h"

#include "base/obj.h"

static const uint8_t legal[EXCHANGE_STATES] = {
	[EXCHANGE_ROUTING] = BIT(EXCHANGE_HELD) | BIT(EXCHANGE_CONNECTING) | BIT(EXCHANGE_AWAITING) |
			     BIT(EXCHANGE_REPLYING) | BIT(EXCHANGE_ENDED),
	[EXCHANGE_HELD] = BIT(EXCHANGE_ROUTING) | BIT(EXCHANGE_REPLYING) | BIT(EXCHANGE_ENDED),
	[EXCHANGE_CONNECTING] = BIT(EXCHANGE_CONNECTING) | BIT(EXCHANGE_AWAITING) | BIT(EXCHANGE_REPLYING) |
				BIT(EXCHANGE_ENDED),
	[EXCHANGE_AWAITING] = BIT(EXCHANGE_CONNECTING) | BIT(EXCHANGE_AWAITING) | BIT(EXCHANGE_RELAYING) |
			      BIT(EXCHANGE_REPLYING) | BIT(EXCHANGE_ENDED),
	[EXCHANGE_RELAYING] = BIT(EXCHANGE_ENDED),
	[EXCHANGE_REPLYING] = BIT(EXCHANGE_ENDED),
};

void exchange_set_state(struct exchange *x, enum exchange_state to)
{
	MUST(legal[x->state] & BIT(to));
	x->state = (uint8_t)to;
}

/* -- the life of an exchange -- */

static void on_total_timeout(struct deadline *d)
{
	struct exchange *x = CONTAINER(d, struct exchange, total);

	/* The backend had everything, and time was up: whose deadline it was makes no difference to what it says of the backend. */
	if (x->state == EXCHANGE_AWAITING && x->request_given)
		outcome_of_failure(x, REASON_UPSTREAM_TIMEOUT);
	if (x->in_flight)
		cause_note(x, REASON_DEADLINE);
	exchange_fail(x, REASON_DEADLINE);
}

static void on_response_timeout(struct deadline *d)
{
	struct exchange *x = CONTAINER(d, struct exchange, deadline);

	if (x->hold) {
		hold_timed_out(x);
	} else if (x->queue) {
		exchange_fail(x, x->queue_why == REASON_NO_BACKEND ? attempt_why_nobody(x)
								   : (enum reason)x->queue_why);
	} else if (x->state == EXCHANGE_AWAITING || x->state == EXCHANGE_CONNECTING) {
		attempt_failed(x, REASON_UPSTREAM_TIMEOUT);
	} else {
		outcome_of_failure(x, REASON_UPSTREAM_BODY_TIMEOUT);
		cause_note(x, REASON_UPSTREAM_BODY_TIMEOUT);
		exchange_fail(x, REASON_UPSTREAM_BODY_TIMEOUT);
	}
}

static void on_pace(struct deadline *d);

void exchange_begin(struct entry *entry, struct stream *client)
{
	const struct transport *t = client->conn->transport;
	struct edge *e = entry->edge;
	struct exchange *x = mem_obj(&e->loop->mem, sizeof(*x));

	x->magic = EXCHANGE_MAGIC;
	x->edge = e;
	x->entry = entry;
	entry_ref(entry);
	x->use = e->use;
	x->use->exchanges++;
	list_push_back(&e->exchanges, &x->link);
	counter_set(&e->tally.exchanges, ++e->exchange_n);
	arena_init(&x->arena, &e->loop->mem);
	x->start_us = e->loop->now_us;
	x->peer = t->peer;
	x->local = t->local;
	x->tls_version = transport_tls(t) ? transport_tls(t)->version : NULL;
	x->client_addr = x->peer;
	x->replayable = true;
	x->deadline.fire = on_response_timeout;
	x->total.fire = on_total_timeout;
	x->pause.fire = retry_pause_over;
	x->pace.fire = on_pace;
	x->client = client;
	client->owner_ops = &exchange_client_ops;
	client->owner = x;
}

static void let_go_of(struct edge *e, struct snapshot_use *use)
{
	if (use && --use->exchanges == 0 && !use->current)
		e->let_go(e, use);
}

void exchange_use(struct exchange *x, struct snapshot_use *use)
{
	use->exchanges++;
	let_go_of(x->edge, TAKE(&x->renewed));
	let_go_of(x->edge, x->use);
	x->use = use;
}

void exchange_renew(struct exchange *x, const struct service *service)
{
	struct snapshot_use *now = x->edge->use;

	exchange_follow_members(x);
	if (!service || now == x->use || now == x->renewed)
		return;
	let_go_of(x->edge, TAKE(&x->renewed));
	x->service = service;
	x->pool = NULL;
	x->renewed = now;
	now->exchanges++;
}

void exchange_end(struct exchange *x)
{
	struct edge *e = x->edge;
	struct mem *mem = &e->loop->mem;

	OBJ_CHECK(x, EXCHANGE_MAGIC);
	exchange_set_state(x, EXCHANGE_ENDED);
	if (x->modules)
		modules_end(x);
	tunnel_end(x);
	lasting_end(x);
	mirror_abandon(x);
	count_end(x);
	if (x->reason != REASON_NONE || x->status >= 500)
		cause_record(x);
	if (e->access)
		access_log_write(x);
	attempt_drop(x);
	tenancy_leave(x);
	stream_release(&x->client);
	deadline_disarm(e->loop, &x->deadline);
	deadline_disarm(e->loop, &x->total);
	chain_clear(mem, &x->request_body);
	chain_clear(mem, &x->replay);
	if (filters_any(&x->filters_up))
		filters_free(&x->filters_up);
	if (filters_any(&x->filters_down))
		filters_free(&x->filters_down);
	list_remove(&x->link);
	counter_set(&e->tally.exchanges, --e->exchange_n);
	let_go_of(e, TAKE(&x->renewed));
	let_go_of(e, TAKE(&x->use));
	entry_unref(&x->entry);
	arena_free(&x->arena);
	x->magic = 0;
	mem_obj_free(mem, x, sizeof(*x));
}

void exchange_end_all(struct edge *e)
{
	struct list *link;

	while ((link = list_first(&e->exchanges))) {
		struct exchange *x = CONTAINER(link, struct exchange, link);

		exchange_blame(x, REASON_SHUTDOWN);
		exchange_end(x);
	}
}

void exchange_blame(struct exchange *x, enum reason why)
{
	if (x->reason != REASON_NONE)
		return;
	x->reason = (uint16_t)why;
	x->phase = x->state;
}

void exchange_fail(struct exchange *x, enum reason why)
{
	exchange_blame(x, why);
	if (x->state == EXCHANGE_RELAYING || x->state == EXCHANGE_REPLYING || reason_row(why)->status == 0) {
		if (!x->client_dead)
			stream_reset(x->client, why);
		exchange_end(x);
		return;
	}
	if (x->modules)
		modules_cancel(x);
	attempt_drop(x);
	reply_error(x, why);
}

/* -- the request -- */

static void client_on_head(struct stream *s, const struct head *head, bool last)
{
	struct exchange *x = s->owner;
	enum reason why = (enum reason)head->reject;

	OBJ_CHECK(x, EXCHANGE_MAGIC);
	head_copy(&x->arena, &x->request, head);
	x->host = x->request.authority;
	x->path = x->request.path;
	x->request_last = last;
	forward_identify(x);
	if (why == REASON_NONE)
		why = forward_screen(x, &x->request.fields);
	if (why != REASON_NONE) {
		exchange_fail(x, why);
		return;
	}
	if (x->edge->memory_max && x->edge->loop->mem.in_use > x->edge->memory_max) {
		exchange_fail(x, REASON_OVERLOADED);
		return;
	}
	if (x->edge->lag_max_us && x->edge->loop->lag_us > x->edge->lag_max_us) {
		exchange_fail(x, REASON_LOOP_LAG);
		return;
	}
	if (routing_by_listener(x))
		return;
	if (!last)
		stream_credit(s, EXCHANGE_WINDOW_UP);
	routing_begin(x);
}

/* What the client has sent goes to the backend, or waits for one: no more than the window. */
void exchange_pump_request(struct exchange *x)
{
	struct mem *mem = &x->edge->loop->mem;
	bool last;

	if (!x->upstream || x->request_given)
		return;
	trailers_trim(x);
	last = x->request_last && !x->request_trailers;
	if (x->request_body.n || last) {
		if (x->replayable && x->replay.n + x->request_body.n <= x->pool->conf->policy->retries.body) {
			chain_share(mem, &x->replay, &x->request_body);
		} else {
			x->replayable = false;
			chain_clear(mem, &x->replay);
		}
		stream_send_body(x->upstream, &x->request_body, last);
	}
	if (x->request_last && x->request_trailers)
		stream_send_trailers(x->upstream, x->request_trailers);
	x->request_given = x->request_last;
}

/* False: the exchange has failed. */
static bool filter_request(struct exchange *x, struct chain *chain, bool last)
{
	uint64_t due;

	if (!filters_pass(&x->filters_up, &x->edge->loop->mem, chain, last)) {
		exchange_fail(x, REASON_FILTER);
		return false;
	}
	due = filters_sent(&x->filters_up, 0, EXCHANGE_WINDOW_UP);
	if (due && !last)
		stream_credit(x->client, due);
	return true;
}

static void client_on_body(struct stream *s, struct chain *chain, bool last)
{
	struct exchange *x = s->owner;
	enum reason why;

	OBJ_CHECK(x, EXCHANGE_MAGIC);
	x->bytes_in += chain->n;
	if (x->state == EXCHANGE_REPLYING) {
		x->request_last |= last;
		return; /* the answer does not depend on it */
	}
	why = x->tunnel ? REASON_NONE : tenancy_refuses_body(x, x->bytes_in);
	if (why != REASON_NONE) {
		exchange_fail(x, why);
		return;
	}
	if (x->websocket && !tunnel_up(x, chain, last))
		return;
	x->request_last |= last;
	if (filters_any(&x->filters_up) && x->state >= EXCHANGE_CONNECTING && !filter_request(x, chain, last))
		return;
	if (x->mirror)
		mirror_body(x, chain, last);
	chain_move(&x->request_body, chain);
	exchange_pump_request(x);
}

static void client_on_trailers(struct stream *s, const struct fields *trailers)
{
	struct exchange *x = s->owner;
	struct fields *kept;
	enum reason why;

	OBJ_CHECK(x, EXCHANGE_MAGIC);
	x->request_last = true;
	if (x->state == EXCHANGE_REPLYING)
		return;
	if (filters_any(&x->filters_up) && x->state >= EXCHANGE_CONNECTING) {
		struct chain rest = {0};

		if (!filter_request(x, &rest, true))
			return;
		if (x->mirror)
			mirror_body(x, &rest, false);
		chain_move(&x->request_body, &rest);
	}
	if (x->mirror)
		mirror_body(x, &(struct chain){0}, true);
	kept = arena_new(&x->arena, struct fields);
	fields_copy(&x->arena, kept, trailers);
	why = forward_screen(x, kept);
	if (why != REASON_NONE) {
		exchange_fail(x, why);
		return;
	}
	if (kept->n)
		x->request_trailers = kept;
	exchange_pump_request(x);
}

/* -- the answer -- */

static void arm_stall(struct exchange *x)
{
	uint32_t ms = x->kept ? x->kept->response_ms : x->use->snapshot->conf->timeouts.response;

	/* A tunnel may be silent; a backend that has no credit is waiting for the client, not the client for it. */
	deadline_arm(
		x->edge->loop, &x->deadline, x->tunnel || x->credit_down == 0 || x->response_last ? 0 : ms);
}

static void credit_backend(struct exchange *x, uint64_t n)
{
	bool was_stuck = x->credit_down == 0;

	if (n == 0 && x->owed == 0)
		return;
	n = tenancy_buy(x, n);
	if (n == 0)
		return;
	x->credit_down += n;
	stream_credit(x->upstream, n);
	if (was_stuck)
		arm_stall(x);
}

static void on_pace(struct deadline *d)
{
	struct exchange *x = CONTAINER(d, struct exchange, pace);

	if (x->upstream && !x->response_last)
		credit_backend(x, 0);
}

static void client_on_sent(struct stream *s, size_t n)
{
	struct exchange *x = s->owner;

	OBJ_CHECK(x, EXCHANGE_MAGIC);
	x->bytes_out += n;
	if (x->state == EXCHANGE_RELAYING && x->upstream && !x->response_last && n)
		credit_backend(x, filters_any(&x->filters_down)
					  ? filters_sent(&x->filters_down, n, EXCHANGE_WINDOW_DOWN)
					  : n);
	/* A tunnel is over when both directions are; an answer does not wait for the rest of its request. */
	if (s->sent_all && (!x->tunnel || x->request_given || x->state == EXCHANGE_REPLYING) &&
		!tunnel_is_closing(x))
		exchange_end(x);
}

static void client_on_reset(struct stream *s, enum reason why)
{
	struct exchange *x = s->owner;

	OBJ_CHECK(x, EXCHANGE_MAGIC);
	x->client_dead = true;
	exchange_blame(x, why);
	/* The codec may still get an answer across (a body that came too slowly, or malformed): try, unless the client is gone. */
	if (reason_row(why)->status >= 400 && reason_row(why)->status != 499 && !x->response_begun &&
		x->state != EXCHANGE_REPLYING && !x->tunnel) {
		if (x->modules)
			modules_cancel(x);
		attempt_drop(x);
		reply_error(x, why);
		exchange_end(
			x); /* nothing more is heard from a stream that was reset; the codec sends what it has been given */
		return;
	}
	if (!x->response_begun && reason_row(why)->status == 499)
		x->status = 499;
	exchange_end(x);
}

const struct stream_owner_ops exchange_client_ops = {
	client_on_head, client_on_body, client_on_trailers, client_on_sent, client_on_reset};

/* False: they have put another answer in its place, or stopped it. */
static bool let_modules_answer(struct exchange *x, struct head *answer)
{
	int verdict = modules_response(x, answer, false);

	if (verdict > MODULE_PASS)
		exchange_fail(x, (enum reason)verdict);
	return verdict == MODULE_PASS;
}

static void upstream_on_head(struct stream *s, const struct head *head, bool last)
{
	struct exchange *x = s->owner;
	struct head answer;

	OBJ_CHECK(x, EXCHANGE_MAGIC);
	if (head->status < 200) {
		stream_send_head(x->client, head, false);
		return;
	}
	/* Where any 2xx means consent, one that comes without a tunnel cannot be passed on. */
	if (x->tunnel && x->request.consent_by_status && head->body != BODY_TUNNEL && head->status < 300) {
		attempt_failed(x, REASON_UPSTREAM_BAD_UPGRADE);
		return;
	}
	outcome_of_head(x, head);
	traffic_answered(x, head->status);
	if (retry_passes_over(x, head)) {
		attempt_failed(x, REASON_UPSTREAM_UNAVAILABLE);
		return;
	}
	attempt_measure(x, head->status < 500);
	/* A backend that declines the tunnel answers like any other; of one that is open the request was the handshake. */
	if (head->body != BODY_TUNNEL) {
		x->tunnel = false;
		tunnel_end(x);
	} else {
		deadline_disarm(x->edge->loop, &x->total);
	}
	x->first_byte_us = x->edge->loop->now_us;
	forward_response(x, &answer, head);
	if (x->modules && !let_modules_answer(x, &answer))
		return;
	x->status = answer.status;
	x->response_begun = true;
	x->response_last = last;
	chain_clear(&x->edge->loop->mem, &x->replay);
	x->replayable = false;
	exchange_set_state(x, EXCHANGE_RELAYING);
	stream_send_head(x->client, &answer, last);
	if (last) {
		outcome_of_end(x);
	} else {
		lasting_answer(x, &answer);
		credit_backend(x, EXCHANGE_WINDOW_DOWN);
	}
	exchange_follow(x);
	arm_stall(x);
}

/* False: the exchange has failed. */
static bool filter_response(struct exchange *x, struct chain *chain, bool last)
{
	if (!filters_pass(&x->filters_down, &x->edge->loop->mem, chain, last)) {
		exchange_fail(x, REASON_FILTER);
		return false;
	}
	if (!last)
		credit_backend(x, filters_sent(&x->filters_down, 0, EXCHANGE_WINDOW_DOWN));
	return true;
}

static void upstream_on_body(struct stream *s, struct chain *chain, bool last)
{
	struct exchange *x = s->owner;

	OBJ_CHECK(x, EXCHANGE_MAGIC);
	x->credit_down -= MIN(x->credit_down, chain->n);
	x->bought -= MIN(x->bought, chain->n);
	if (x->websocket && !tunnel_down(x, chain, last))
		return;
	x->response_last = last;
	if (last)
		outcome_of_end(x);
	if (filters_any(&x->filters_down) && !filter_response(x, chain, last))
		return;
	stream_send_body(x->client, chain, last);
	arm_stall(x);
}

static void upstream_on_trailers(struct stream *s, const struct fields *trailers)
{
	struct exchange *x = s->owner;
	struct fields left = *trailers;
	struct chain rest = {0};

	OBJ_CHECK(x, EXCHANGE_MAGIC);
	x->response_last = true;
	outcome_of_end(x);
	if (filters_any(&x->filters_down)) {
		if (!filter_response(x, &rest, true))
			return;
		fields_copy(&x->arena, &left, trailers);
		filters_trailers(&x->filters_down, &left);
	}
	if (rest.n || left.n == 0)
		stream_send_body(x->client, &rest, left.n == 0);
	if (left.n)
		stream_send_trailers(x->client, &left);
	arm_stall(x);
}

static void upstream_on_sent(struct stream *s, size_t n)
{
	struct exchange *x = s->owner;

	OBJ_CHECK(x, EXCHANGE_MAGIC);
	x->sent_up += n;
	if (filters_any(&x->filters_up)) {
		uint64_t due = filters_sent(&x->filters_up, n, EXCHANGE_WINDOW_UP);

		if (due && !x->request_last && !x->client_dead)
			stream_credit(x->client, due);
	} else if (x->sent_up > x->credited_up) {
		if (!x->request_last && !x->client_dead)
			stream_credit(x->client, x->sent_up - x->credited_up);
		x->credited_up = x->sent_up;
	}
	/* The backend's time runs from the moment at which it has everything, and anew while it takes more. */
	if (x->state == EXCHANGE_AWAITING)
		attempt_await(x);
	if (x->tunnel && s->sent_all && x->response_last && x->client->sent_all && !tunnel_is_closing(x))
		exchange_end(x);
}

static void upstream_on_reset(struct stream *s, enum reason why)
{
	struct exchange *x = s->owner;

	OBJ_CHECK(x, EXCHANGE_MAGIC);
	if (x->state == EXCHANGE_RELAYING && x->response_last) {
		/* The answer is whole; what became of the rest of the request does not matter to the client. */
		attempt_drop(x);
		if (tunnel_has_closed(x))
			exchange_end(x);
		return;
	}
	if (x->state == EXCHANGE_RELAYING) {
		why = reason_row(why)->status ? REASON_UPSTREAM_CUT_BODY : why;
		outcome_of_failure(x, why);
		cause_note(x, why);
		exchange_fail(x, why);
	} else {
		attempt_failed(x, why);
	}
}

const struct stream_owner_ops exchange_upstream_ops = {
	upstream_on_head, upstream_on_body, upstream_on_trailers, upstream_on_sent, upstream_on_reset};
