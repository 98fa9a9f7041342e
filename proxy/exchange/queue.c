/* exchange/queue.c - requests that wait until a pool can take them: until one of its backends has passed its first check, until one that
 * is at its limit of requests comes free, until fewer are in flight than breaker.adaptive allows.
 *
 * One queue for each pool and worker, first come, first served: who comes while others wait waits behind them. No more than this
 * worker's part of breaker.pending, none longer than breaker.pending_timeout. What is kept of a request meanwhile is its head, and
 * of its body what fits into EXCHANGE_WINDOW_UP. */
#include <stdlib.h>
#include "base/obj.h"
#include "exchange/exchange.h"

struct queue {
	struct list link; /* in edge->queues while anybody waits */
	struct list exchanges;
	uint32_t n;
	struct edge *edge;
	uint32_t slot; /* of the pool */
	struct task serve; /* a place may have come free */
};

static void on_serve(struct task *t)
{
	struct queue *q = CONTAINER(t, struct queue, serve);
	struct list *first;

	/* Each once: who does not get the place after all goes to the end. */
	for (uint32_t left = q->n; left > 0 && (first = list_first(&q->exchanges)); left--) {
		struct exchange *x = CONTAINER(first, struct exchange, queued);

		if (!attempt_has_place(x))
			return;
		attempt_resume(x);
	}
}

static struct queue *queue_of(struct edge *e, const struct pool *p)
{
	struct pool_traffic *t = edge_traffic(e, p);
	struct queue *q = t->queue;

	if (q)
		return q;
	q = t->queue = calloc(1, sizeof(*q));
	MUST(q);
	list_init(&q->exchanges);
	q->edge = e;
	q->slot = p->slot->number;
	q->serve.run = on_serve;
	return q;
}

static uint32_t room(const struct queue *q)
{
	uint32_t max = q->edge->traffic[q->slot].pending_max;

	return max ? max : UINT32_MAX;
}

bool queue_join(struct exchange *x, const struct pool *p, enum reason why)
{
	struct queue *q = queue_of(x->edge, p);

	if (q->n >= room(q))
		return false;
	x->queue = q;
	x->queue_why = (uint16_t)why;
	x->wait_us = x->edge->loop->now_us;
	list_push_back(&q->exchanges, &x->queued);
	if (q->n++ == 0)
		list_push_back(&x->edge->queues, &q->link);
	return true;
}

void queue_leave(struct exchange *x)
{
	struct queue *q = x->queue;

	list_remove(&x->queued);
	if (!q)
		return;
	x->queue = NULL;
	tenancy_waits_no_more(x);
	x->queue_us += x->edge->loop->now_us - x->wait_us;
	if (--q->n == 0)
		list_remove(&q->link);
}

enum reason queue_why(const struct edge *e, const struct pool *p)
{
	const struct queue *q = e->traffic[p->slot->number].queue;

	if (!q || q->n == 0)
		return REASON_NONE;
	return (enum reason)CONTAINER(q->exchanges.next, struct exchange, queued)->queue_why;
}

void queue_place_came_free(struct edge *e, const struct pool *p)
{
	struct queue *q = edge_traffic(e, p)->queue;

	if (q && q->n)
		loop_defer(e->loop, &q->serve, LOOP_READY);
}

void queues_look_again(struct edge *e)
{
	struct list all, *link;

	/* Who still has to wait goes back to the end of a queue: all are taken off first, and keep their order. */
	list_init(&all);
	while ((link = list_first(&e->queues))) {
		struct queue *q = CONTAINER(link, struct queue, link);

		while ((link = list_first(&q->exchanges))) {
			queue_leave(CONTAINER(link, struct exchange, queued));
			list_push_back(&all, link);
		}
	}
	while ((link = list_pop_front(&all))) {
		struct exchange *x = CONTAINER(link, struct exchange, queued);

		exchange_follow_members(x);
		attempt_begin(x);
	}
}

void queue_free(struct pool_traffic *t)
{
	if (t->queue)
		task_cancel(&t->queue->serve);
	free(t->queue);
	t->queue = NULL;
}
