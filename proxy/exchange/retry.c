/* exchange/retry.c - what is tried again when an attempt has failed, where, and when.
 *
 * Tried again is only what cannot do harm: what the reason's row says was not processed, or an idempotent request; only while
 * all that was sent can be sent again; never once an answer has begun. */
#include "base/obj.h"
#include "exchange/exchange.h"

/* Before a retry that follows another one, or asks the same backend: a random number of these, of one before the first retry and up to
 * twice as many before each further one. Whole ones, because the loop keeps a queue for each length of time; its tick comes on top. */
#define PAUSE_MS  25
#define PAUSE_MAX 10

/* -- may it be? -- */

/* The bits of retries.on that allow another attempt after such a failure. */
static uint32_t words_for(enum reason why)
{
	static const uint32_t words[RETRY_ONS] = {
		[RETRY_ON_CONNECT] = CONF_RETRY_CONNECT,
		[RETRY_ON_RESET] = CONF_RETRY_RESET,
		[RETRY_ON_REFUSED_STREAM] = CONF_RETRY_REFUSED_STREAM,
		[RETRY_ON_TIMEOUT] = CONF_RETRY_TIMEOUT,
		/* Which one it was has been looked at: retry_passes_over(). */
		[RETRY_ON_STATUS] = CONF_RETRY_502 | CONF_RETRY_503 | CONF_RETRY_504,
	};

	return words[reason_row(why)->retry_on];
}

static uint32_t status_bit(unsigned status)
{
	return status == 502   ? CONF_RETRY_502
	       : status == 503 ? CONF_RETRY_503
	       : status == 504 ? CONF_RETRY_504
			       : 0;
}

static bool may_be_repeated(const struct exchange *x, enum retry_rule rule)
{
	if (!x->replayable || x->response_begun || x->client_dead)
		return false;
	return rule == RETRY_ALWAYS ||
	       (rule == RETRY_SAFE && method_is_idempotent((enum method)x->request.method_id));
}

/* Attempts that count: the replay of a stale connection was none of the backend's doing. */
static uint32_t tries(const struct exchange *x)
{
	return (uint32_t)x->attempts - x->stale_replays;
}

/* RFC 9110 10.2.3: is more patience asked for than a retry has? A date always does. */
static bool asks_for_patience(const struct head *answer)
{
	const struct field *after = fields_find(&answer->fields, FIELD_RETRY_AFTER);
	uint64_t seconds;

	return after && (!str_to_u64(field_value(after), &seconds) || seconds > 0);
}

bool retry_passes_over(struct exchange *x, const struct head *head)
{
	const struct conf_retries *retries = &x->pool->conf->policy->retries;

	if (!(retries->on & status_bit(head->status)) || tries(x) >= retries->attempts ||
		!may_be_repeated(x, RETRY_SAFE) || asks_for_patience(head) ||
		!retry_budget_has(&edge_traffic(x->edge, x->pool)->retries, x->edge->loop->now_ms) ||
		!tenancy_has_retry(x))
		return false;
	/* Only if there is somebody else to ask: the answer at hand is better than none. */
	for (uint32_t i = 0; i < x->pool->n; i++)
		if (x->pool->backends[i] != x->backend && attempt_may_ask(x, x->pool->backends[i]))
			return true;
	return false;
}

/* -- another attempt -- */

/* What was sent, again, in front of what has not been sent yet. */
static void rewind_body(struct exchange *x)
{
	chain_move(&x->replay, &x->request_body);
	chain_move(&x->request_body, &x->replay);
	x->request_given = false;
	x->sent_up = 0;
}

/* The first retry goes to another backend at once: that one has nothing to recover from. */
static uint32_t pause_before(struct exchange *x, const struct backend *next)
{
	uint32_t retry = tries(x);

	if (retry == 1 && next != x->backend)
		return 0;
	return PAUSE_MS * (1 + (uint32_t)(loop_random(x->edge->loop) % MIN(1u << (retry - 1), PAUSE_MAX)));
}

void retry_pause_over(struct deadline *d)
{
	struct exchange *x = CONTAINER(d, struct exchange, pause);
	const struct backend *b = x->retry_to;

	/* Things may have changed meanwhile. */
	if (!attempt_may_ask(x, b))
		b = attempt_pick(x);
	if (!b || traffic_refuses(x) != REASON_NONE)
		exchange_fail(x, (enum reason)x->retry_why);
	else
		attempt_start(x, b);
}

static void try_again(struct exchange *x, const struct backend *next, uint32_t pause_ms, enum reason why)
{
	count_retry(x, false);
	rewind_body(x);
	if (pause_ms == 0) {
		attempt_start(x, next);
		return;
	}
	exchange_set_state(x, EXCHANGE_CONNECTING);
	x->retry_to = next;
	x->retry_why = (uint16_t)why;
	deadline_arm(x->edge->loop, &x->pause, pause_ms);
}

/* Whom to ask next; NULL: nobody, or not now. */
static const struct backend *next_to_ask(struct exchange *x, enum reason why, bool stale)
{
	uint32_t words = words_for(why);
	const struct backend *next = attempt_pick(x);

	/* Nobody else: a backend that only lost a connection, or closed it in order, may be asked again over a new one. */
	if (!next && (words & (CONF_RETRY_RESET | CONF_RETRY_REFUSED_STREAM))) {
		x->tried_n = 0;
		next = attempt_pick(x);
	}
	x->waiter.fresh = words == CONF_RETRY_RESET;
	if (next && !stale &&
		!(retry_budget_spend(&edge_traffic(x->edge, x->pool)->retries, x->edge->loop->now_ms) &&
			tenancy_spend_retry(x))) {
		count_retry(x, true);
		return NULL;
	}
	return next;
}

bool retry_begin(struct exchange *x, enum reason why, bool stale)
{
	const struct conf_retries *retries = &x->pool->conf->policy->retries;
	const struct backend *next;

	if (!may_be_repeated(x, (enum retry_rule)reason_row(why)->retry))
		return false;
	if (!stale && (tries(x) >= retries->attempts || !(retries->on & words_for(why))))
		return false;
	if (stale)
		x->stale_replays++;
	else if (x->tried_n < EXCHANGE_TRIED_MAX)
		x->tried[x->tried_n++] = x->backend;
	next = next_to_ask(x, why, stale);
	if (!next)
		return false;
	try_again(x, next, stale ? 0 : pause_before(x, next), why);
	return true;
}
