#include "exchange/quota.h"

#include <stdlib.h>
#include "base/obj.h"
#include "base/rate.h"

#define SECOND_NS 1000000000ull
#define ALL       10000u /* limits.retries: as many as there are requests */

#define RETRIES_AT_FIRST 10
#define RETRIES_SAVED    100 /* at most */

/* Bytes are bought in pieces of an eighth of a second, for as long as less than a quarter of a second's are owed: what waits is
 * looked at every LOOP_TICK_MS, and must find enough to last until the next look. */
#define PIECES   8
#define DEPTH_NS (SECOND_NS / 4)

bool quota_wanted(const struct conf_tenant_limits *l)
{
	return l->requests_per_second || l->concurrent_requests || l->connections || l->header_bytes ||
	       l->bandwidth || l->queue || l->body || l->retries < ALL;
}

static void forget(void *kept)
{
	quota_unref(kept);
}

struct quota *quota_attach(struct slots *slots, struct slot *slot)
{
	struct quota *q = slot->kept;

	if (q)
		return q;
	q = calloc(1, sizeof(*q));
	MUST(q);
	q->refs = 1;
	q->retries = RETRIES_AT_FIRST * ALL;
	slot->kept = q;
	slots->forget = forget;
	return q;
}

struct quota *quota_ref(struct quota *q)
{
	atomic_fetch_add_explicit(&q->refs, 1, memory_order_relaxed);
	return q;
}

void quota_unref(struct quota *q)
{
	if (atomic_fetch_sub_explicit(&q->refs, 1, memory_order_acq_rel) == 1)
		free(q);
}

bool quota_take(_Atomic uint32_t *counter, uint32_t limit)
{
	if (atomic_fetch_add_explicit(counter, 1, memory_order_relaxed) < limit || limit == 0)
		return true;
	quota_give_back(counter);
	return false;
}

void quota_give_back(_Atomic uint32_t *counter)
{
	atomic_fetch_sub_explicit(counter, 1, memory_order_relaxed);
}

bool quota_take_connection(struct quota *q, uint32_t limit)
{
	if (!quota_take(&q->connections, limit))
		return false;
	quota_ref(q);
	return true;
}

void quota_connection_closed(struct quota **qp)
{
	struct quota *q = TAKE(qp);

	quota_give_back(&q->connections);
	quota_unref(q);
}

bool quota_take_request(struct quota *q, const struct conf_tenant_limits *limits, uint64_t now_us)
{
	uint32_t rate = limits->requests_per_second;
	uint64_t each, burst;

	if (rate == 0)
		return true;
	each = SECOND_NS / rate;
	burst = limits->burst ? limits->burst : MAX(rate / 10, 1u);
	return rate_take(&q->rate, each, each * burst, now_us * 1000) == 0;
}

static uint64_t bytes_ns(uint64_t n, uint64_t bandwidth)
{
	return (uint64_t)((double)n * (double)SECOND_NS / (double)bandwidth);
}

uint64_t quota_buy_bytes(struct quota *q, uint64_t bandwidth, uint64_t n, uint64_t now_us)
{
	uint64_t piece = MAX(bandwidth / PIECES, 1u), bought = 0;

	while (bought < n) {
		uint64_t some = MIN(n - bought, piece);

		if (!rate_overdraw(&q->bandwidth, bytes_ns(some, bandwidth), DEPTH_NS, now_us * 1000))
			break;
		bought += some;
	}
	return bought;
}

void quota_return_bytes(struct quota *q, uint64_t bandwidth, uint64_t n)
{
	uint64_t piece = MAX(bandwidth / PIECES, 1u);

	/* Rounded as they were when they were bought. */
	rate_give_back(
		&q->bandwidth, n / piece * bytes_ns(piece, bandwidth) + bytes_ns(n % piece, bandwidth));
}

void quota_earn_retry(struct quota *q, uint32_t share)
{
	if (share < ALL &&
		atomic_load_explicit(&q->retries, memory_order_relaxed) < RETRIES_SAVED * (int64_t)ALL)
		atomic_fetch_add_explicit(&q->retries, share, memory_order_relaxed);
}

bool quota_has_retry(const struct quota *q, uint32_t share)
{
	return share >= ALL ||
	       (share && atomic_load_explicit(&q->retries, memory_order_relaxed) >= (int64_t)ALL);
}

bool quota_spend_retry(struct quota *q, uint32_t share)
{
	if (!quota_has_retry(q, share))
		return false;
	if (share < ALL)
		atomic_fetch_sub_explicit(&q->retries, ALL, memory_order_relaxed);
	return true;
}

void quota_count_refused(struct quota *q, enum reason why)
{
	atomic_fetch_add_explicit(&q->refused[why - REASON_TENANT_RATE], 1, memory_order_relaxed);
}
