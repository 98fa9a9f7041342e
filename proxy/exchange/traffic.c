/* exchange/traffic.c - what a worker has in flight to a pool, and whether one more may go: breaker.requests, breaker.adaptive. */
#include "base/obj.h"
#include "exchange/exchange.h"
#include "exchange/tally.h"

/* Connections do not spread evenly over workers, so an even part of the limit would refuse what the limit allows. What the others have is
 * asked only by a worker that is busy itself: it costs a look at a word that each of them is writing. Who then finds the limit taken up by one
 * that was busy before may still have its small free part: together they may be over it by less than half. */
static bool is_full(const struct exchange *x, const struct pool_traffic *t)
{
	if (t->requests_max == 0 || t->requests < t->requests_free)
		return false;
	return t->requests >= t->requests_max || tallies_in_flight(x->pool->slot) >= t->requests_max;
}

enum reason traffic_refuses(const struct exchange *x)
{
	const struct pool_traffic *t = edge_traffic(x->edge, x->pool);

	if (is_full(x, t))
		return REASON_BREAKER_REQUESTS;
	if (t->adaptive.max && t->awaiting >= adaptive_limit(&t->adaptive, x->edge->loop->now_us))
		return REASON_BREAKER_ADAPTIVE;
	return REASON_NONE;
}

static void tell_in_flight(const struct exchange *x, const struct pool_traffic *t)
{
	struct tally *tally = tally_of(x->pool->slot, x->edge->worker);

	if (tally)
		counter_set(&tally->in_flight, t->requests);
}

void traffic_enter(struct exchange *x)
{
	struct pool_traffic *t = edge_traffic(x->edge, x->pool);

	x->in_flight = x->awaited = true;
	t->requests++;
	tell_in_flight(x, t);
	t->awaiting++;
	adaptive_enter(&t->adaptive, t->awaiting);
}

static void awaits_no_more(struct exchange *x)
{
	if (x->awaited)
		edge_traffic(x->edge, x->pool)->awaiting--;
	x->awaited = false;
}

void traffic_leave(struct exchange *x)
{
	struct pool_traffic *t;

	if (!x->in_flight)
		return;
	awaits_no_more(x);
	t = edge_traffic(x->edge, x->pool);
	t->requests--;
	tell_in_flight(x, t);
	x->in_flight = false;
	queue_place_came_free(x->edge, x->pool);
}

void traffic_answered(struct exchange *x, unsigned status)
{
	struct adaptive *a = &edge_traffic(x->edge, x->pool)->adaptive;
	uint64_t now_us = x->edge->loop->now_us;

	awaits_no_more(x);
	if (a->max == 0)
		return;
	/* 503 and 504 are what a backend says that has too much; other errors say nothing of its load, and come too quickly to be a
	 * measure. */
	if (status < 500)
		adaptive_observe(a, x->wait_us, now_us);
	else if (status == 503 || status == 504)
		adaptive_overload(a, now_us);
	queue_place_came_free(x->edge, x->pool);
}

void traffic_failed(struct exchange *x, enum reason why)
{
	if (why == REASON_UPSTREAM_TIMEOUT || why == REASON_UPSTREAM_CONNECT_TIMEOUT)
		adaptive_overload(&edge_traffic(x->edge, x->pool)->adaptive, x->edge->loop->now_us);
}
