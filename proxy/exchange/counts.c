/* exchange/counts.c - what an exchange adds to the tallies of its pool and its worker. */
#include "base/obj.h"
#include "exchange/exchange.h"

/* The pool's; the service's if none was chosen; the worker's own if not even that. */
static struct tally *tally_for(struct exchange *x)
{
	struct edge *e = x->edge;
	struct tally *t = NULL;

	if (x->pool)
		t = tally_of(x->pool->slot, e->worker);
	else if (x->service)
		t = tally_of(x->service->slot, e->worker);
	return t ? t : &e->tally.unrouted;
}

/* An answer that was cut off failed too, whatever status it began with; one that the client gave up did not. */
static bool has_failed(const struct exchange *x)
{
	enum reason why = (enum reason)x->reason;

	if (x->status >= 500)
		return true;
	return why != REASON_NONE && x->status < 400 && !str_eq(reason_side(why), STR("client"));
}

void count_end(struct exchange *x)
{
	struct worker_tally *w = &x->edge->tally;
	struct tally *t = tally_for(x);
	uint64_t us = x->edge->loop->now_us - x->start_us;
	unsigned status = exchange_status(x);

	counters_add(t->codes, status < TALLY_CODES ? status : 0, 1);
	/* A WebSocket's life says nothing of how quickly requests are answered. */
	if (!x->tunnel) {
		counters_add(t->duration, histogram_bucket(us), 1);
		counter_add(&t->duration_us, us);
	}
	if (x->first_byte_us) {
		us = x->first_byte_us - x->start_us;
		counters_add(t->first_byte, histogram_bucket(us), 1);
		counter_add(&t->first_byte_us, us);
	}
	if (x->bytes_in)
		counter_add(&t->bytes_in, x->bytes_in);
	if (x->bytes_out)
		counter_add(&t->bytes_out, x->bytes_out);
	if (has_failed(x))
		counter_add(&t->failures, 1);
	if (x->reason != REASON_NONE)
		counter_add(&w->errors[x->reason], 1);
	/* Last, so that a scrape that finds it may take the next one for whole. */
	counter_add(&w->protocols[x->request.version % COUNT_OF(w->protocols)], 1);
}

void count_retry(struct exchange *x, bool denied)
{
	struct tally *t = tally_for(x);

	counter_add(denied ? &t->retries_denied : &t->retries, 1);
}
