#include "exchange/hold.h"

#include <stdlib.h>
#include "base/obj.h"
#include "exchange/exchange.h"

enum hold_state {
	HOLD_HOLDING,
	HOLD_RELEASING, /* who comes passes; who waits goes on, a few in a tick */
};

struct hold {
	uint8_t state; /* enum hold_state */
	uint32_t slot; /* of the service */
	struct edge *edge;
	struct hold_terms terms;
	struct list waiting; /* struct exchange */
	uint32_t n;
	struct hold_pace pace; /* releasing */
	uint64_t released_ms; /* by spread_ms: all have gone on by then */
	uint64_t paced_ms, credit; /* by per_ks: up to when it was looked at, what is left (hold_paced()) */
	struct deadline tick; /* holding: the end; releasing: the next few */
};

static struct hold **place(struct edge *e, uint32_t slot)
{
	return slot < e->holds.n ? &e->holds.v[slot] : NULL;
}

static void make_place(struct holds *h, uint32_t slot)
{
	uint32_t n = MAX(slot + 1, h->n * 2);

	if (slot < h->n)
		return;
	h->v = realloc(h->v, n * sizeof(struct hold *));
	MUST(h->v);
	memset(h->v + h->n, 0, (n - h->n) * sizeof(struct hold *));
	h->n = n;
}

static void tell_waiting(struct hold *h)
{
	counter_set(&h->terms.counts->waiting, h->n);
}

static void hold_free(struct hold *h)
{
	deadline_disarm(h->edge->loop, &h->tick);
	h->edge->holds.v[h->slot] = NULL;
	free(h);
}

/* -- going on -- */

static void go_on(struct hold *h, uint32_t n)
{
	/* What is behind the service may have been swapped by a reload: they go where it leads now. */
	const struct service *service = n ? snapshot_service(h->edge->use->snapshot, h->slot) : NULL;
	struct list *first;

	while (n-- && (first = list_first(&h->waiting))) {
		struct exchange *x = CONTAINER(first, struct exchange, queued);

		hold_leave(x);
		deadline_disarm(h->edge->loop, &x->deadline);
		exchange_renew(x, service);
		exchange_set_state(x, EXCHANGE_ROUTING);
		exchange_proceed(x);
	}
}

static void on_tick(struct deadline *d)
{
	struct hold *h = CONTAINER(d, struct hold, tick);
	uint64_t now_ms = h->edge->loop->now_ms;

	if (h->state == HOLD_HOLDING) {
		hold_release(h->edge, h->slot, &h->terms.pace);
		return;
	}
	if (h->pace.per_ks)
		go_on(h, hold_paced(&h->credit, h->pace.per_ks, now_ms - h->paced_ms));
	else
		go_on(h, hold_share(h->n, h->released_ms > now_ms ? h->released_ms - now_ms : 0));
	h->paced_ms = now_ms;
	if (h->n == 0)
		hold_free(h);
	else
		deadline_arm(h->edge->loop, &h->tick, LOOP_TICK_MS);
}

void hold_release(struct edge *e, uint32_t slot, const struct hold_pace *pace)
{
	struct hold **at = place(e, slot), *h = at ? *at : NULL;

	if (!h)
		return;
	h->state = HOLD_RELEASING;
	h->pace = *pace;
	h->released_ms = e->loop->now_ms + pace->spread_ms;
	h->paced_ms = e->loop->now_ms;
	h->credit = 0;
	deadline_disarm(e->loop, &h->tick);
	on_tick(&h->tick);
}

/* -- waiting -- */

static void arm_end(struct hold *h)
{
	uint64_t now_ms = h->edge->loop->now_ms;

	deadline_arm(h->edge->loop, &h->tick,
		h->terms.until_ms > now_ms ? (uint32_t)MIN(h->terms.until_ms - now_ms, UINT32_MAX) : 1);
}

void hold_begin(struct edge *e, uint32_t slot, const struct hold_terms *terms)
{
	struct hold *h;

	make_place(&e->holds, slot);
	h = e->holds.v[slot];
	if (!h) {
		h = e->holds.v[slot] = calloc(1, sizeof(*h));
		MUST(h);
		h->edge = e;
		h->slot = slot;
		list_init(&h->waiting);
		h->tick.fire = on_tick;
	}
	h->state = HOLD_HOLDING;
	h->terms = *terms;
	tell_waiting(h);
	arm_end(h);
}

void holds_shorten(struct edge *e, uint32_t ms)
{
	for (uint32_t i = 0; i < e->holds.n; i++) {
		struct hold *h = e->holds.v[i];

		if (!h || h->state != HOLD_HOLDING)
			continue;
		h->terms.until_ms = MIN(h->terms.until_ms, e->loop->now_ms + ms);
		arm_end(h);
	}
}

static bool is_check(const struct hold *h, const struct exchange *x)
{
	return h->terms.path[0] && str_eq(str_head(x->path, str_find(x->path, '?')), str_of(h->terms.path));
}

bool hold_takes(struct exchange *x)
{
	struct hold **at = place(x->edge, x->service->slot->number), *h = at ? *at : NULL;

	if (!h || h->state != HOLD_HOLDING)
		return false;
	if (is_check(h, x)) {
		reply_with(x, h->terms.status, NULL, STR("held\n"));
		return true;
	}
	if (h->n >= h->terms.queue) {
		counter_add(&h->terms.counts->full, 1);
		exchange_fail(x, REASON_HOLD_FULL);
		return true;
	}
	exchange_set_state(x, EXCHANGE_HELD);
	x->hold = h;
	list_push_back(&h->waiting, &x->queued);
	h->n++;
	counter_add(&h->terms.counts->held, 1);
	tell_waiting(h);
	deadline_arm(x->edge->loop, &x->deadline, h->terms.wait_ms);
	return true;
}

void hold_leave(struct exchange *x)
{
	struct hold *h = TAKE(&x->hold);

	if (!h)
		return;
	list_remove(&x->queued);
	h->n--;
	tell_waiting(h);
}

void hold_timed_out(struct exchange *x)
{
	counter_add(&x->hold->terms.counts->timed_out, 1);
	exchange_fail(x, REASON_HOLD_TIMEOUT);
}

void holds_free(struct edge *e)
{
	for (uint32_t i = 0; i < e->holds.n; i++)
		if (e->holds.v[i])
			hold_free(e->holds.v[i]);
	free(e->holds.v);
	e->holds = (struct holds){0};
}
