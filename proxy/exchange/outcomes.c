/* exchange/outcomes.c - what an exchange tells of its backend: counted for all, judged where the configuration wants it (outlier). */
#include "base/obj.h"
#include "exchange/exchange.h"

/* 501 and 505 are about the request: a client could have backends ejected with them at will. */
static bool is_server_error(unsigned status)
{
	return status >= 500 && status != 501 && status != 505;
}

static bool is_watched(const struct exchange *x)
{
	return x->pool && x->backend && x->pool->conf->policy->outlier.on;
}

static void failed(struct exchange *x, enum outcome_kind kind)
{
	struct edge *e = x->edge;

	if (outcome_failed(
		    x->backend->outcomes, e->worker, kind, x->pool->conf->policy->outlier.consecutive_errors))
		e->suspect(e, x->backend, kind);
}

static struct backend_tally *tally(const struct exchange *x)
{
	return x->backend ? backend_tally(x->backend->tallies, x->edge->worker) : NULL;
}

void outcome_of_failure(struct exchange *x, enum reason why)
{
	struct backend_tally *t = tally(x);

	if (t)
		counters_add(t->failures, why, 1);
	if (is_watched(x) && reason_row(why)->blamed)
		failed(x, OUTCOME_LOCAL);
}

void outcome_of_head(struct exchange *x, const struct head *head)
{
	struct backend_tally *t = tally(x);

	if (t && head->status >= 100 && head->status / 100 <= BACKEND_CLASSES)
		counter_add(&t->responses[head->status / 100 - 1], 1);
	if (!is_watched(x))
		return;
	if (is_server_error(head->status))
		failed(x, OUTCOME_ANSWER);
	else
		outcome_answered(x->backend->outcomes);
	/* A tunnel has no end that would tell anything. */
	if (head->body == BODY_TUNNEL)
		outcome_completed(x->backend->outcomes, x->edge->worker, false);
}

void outcome_of_end(struct exchange *x)
{
	if (is_watched(x) && !x->tunnel)
		outcome_completed(x->backend->outcomes, x->edge->worker, is_server_error(x->status));
}
