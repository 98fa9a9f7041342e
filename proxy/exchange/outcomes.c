/* exchange/outcomes.c - what an exchange tells of its backend, where the configuration wants to know (outlier). */
#include "base/obj.h"
#include "exchange/exchange.h"

/* Which kind of failure a reason is. OUTCOME_KINDS: it does not speak against the backend: it is weir's or the client's doing, or the
 * orderly end of a connection. */
static enum outcome_kind kind_of(enum reason why)
{
	switch (why) {
	case REASON_UPSTREAM_RESOLVE:
	case REASON_UPSTREAM_REFUSED:
	case REASON_UPSTREAM_UNREACHABLE:
	case REASON_UPSTREAM_CONNECT:
	case REASON_UPSTREAM_CONNECT_TIMEOUT:
	case REASON_UPSTREAM_TLS:
	case REASON_UPSTREAM_TLS_VERIFY:
	case REASON_UPSTREAM_ALPN:
	case REASON_UPSTREAM_UNSENT:
	case REASON_UPSTREAM_RESET:
	case REASON_UPSTREAM_CLOSED:
	case REASON_UPSTREAM_RESET_STREAM:
	case REASON_UPSTREAM_H2_PROTOCOL:
	case REASON_UPSTREAM_TIMEOUT:
	case REASON_UPSTREAM_BODY_TIMEOUT:
	case REASON_UPSTREAM_CUT_BODY:
	case REASON_UPSTREAM_BAD_RESPONSE:
	case REASON_UPSTREAM_BAD_FRAMING:
	case REASON_UPSTREAM_HEADERS_TOO_LARGE:
	case REASON_UPSTREAM_TOO_MANY_1XX:
		return OUTCOME_LOCAL;
	default:
		return OUTCOME_KINDS;
	}
}

/* 501 and 505 are about the request: a client could have backends ejected with them at will. */
static bool is_server_error(unsigned status)
{
	return status >= 500 && status != 501 && status != 505;
}

static bool is_watched(const struct exchange *x)
{
	return x->pool && x->backend && x->pool->conf->policy.outlier.on;
}

static void failed(struct exchange *x, enum outcome_kind kind)
{
	struct edge *e = x->edge;

	if (outcome_failed(
		    x->backend->outcomes, e->worker, kind, x->pool->conf->policy.outlier.consecutive_errors))
		e->suspect(e, x->backend, kind);
}

void outcome_of_failure(struct exchange *x, enum reason why)
{
	enum outcome_kind kind = kind_of(why);

	if (is_watched(x) && kind != OUTCOME_KINDS)
		failed(x, kind);
}

void outcome_of_head(struct exchange *x, const struct head *head)
{
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
