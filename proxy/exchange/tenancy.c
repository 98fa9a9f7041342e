/* exchange/tenancy.c - an exchange within the limits of its tenant: quota.h holds what is in use, the configuration what may be. */
#include "base/obj.h"
#include "exchange/exchange.h"
#include "exchange/quota.h"
#include "http/conn.h"

static const struct conf_tenant_limits *limits_of(const struct exchange *x)
{
	return &x->tenant->conf->limits;
}

static uint64_t head_bytes(const struct head *h)
{
	uint64_t n = h->method.n + h->path.n + h->authority.n;

	for (uint32_t i = 0; i < h->fields.n; i++)
		n += h->fields.v[i].name_len + h->fields.v[i].value_len + 4; /* ": " and CR LF */
	return n;
}

/* A connection counts for the tenant of the first request on it that is under limits. */
static bool take_connection(struct http_conn *conn, struct quota *q, uint32_t limit)
{
	if (conn->account)
		return true;
	if (!quota_take_connection(q, limit))
		return false;
	conn->account = q;
	return true;
}

static enum reason refuses(struct exchange *x, struct quota *q)
{
	const struct conf_tenant_limits *limits = limits_of(x);
	struct http_conn *conn = x->client->conn;

	if (!take_connection(conn, q, limits->connections)) {
		http_conn_drain(conn);
		return REASON_TENANT_CONNECTIONS;
	}
	if (!quota_take_request(q, limits, x->edge->loop->now_us))
		return REASON_TENANT_RATE;
	if (limits->header_bytes && head_bytes(&x->request) > limits->header_bytes)
		return REASON_TENANT_HEADERS;
	if (!quota_take(&q->requests, limits->concurrent_requests))
		return REASON_TENANT_REQUESTS;
	return REASON_NONE;
}

bool tenancy_enter(struct exchange *x)
{
	struct quota *q = x->tenant ? x->tenant->quota : NULL;
	enum reason why;

	if (!q || x->quota)
		return true;
	why = refuses(x, q);
	if (why == REASON_NONE) {
		x->quota = q;
		quota_earn_retry(q, limits_of(x)->retries);
		return true;
	}
	quota_count_refused(q, why);
	exchange_fail(x, why);
	return false;
}

void tenancy_leave(struct exchange *x)
{
	/* Also of one that tenancy_follow() has taken out of its tenant's limits: what it owes then comes with a tick all the same. */
	deadline_disarm(x->edge->loop, &x->pace);
	if (!x->quota)
		return;
	if (x->bought)
		quota_return_bytes(x->quota, limits_of(x)->bandwidth, x->bought);
	quota_give_back(&x->quota->requests);
	x->quota = NULL;
}

/* A module may have led the request from one tenant to another; only one of them has let it in. */
static bool is_limited(const struct exchange *x)
{
	return x->quota && x->tenant && x->quota == x->tenant->quota;
}

/* What was counted goes on under the same name, with the limits that it has now. */
void tenancy_follow(struct exchange *x, const struct tenant *tenant)
{
	bool pays = deadline_armed(&x->pace);

	if (!tenant || tenant->quota != x->quota) {
		tenancy_leave(x);
		/* Nobody asks a price any more: what is owed comes with the next tick. */
		if (pays)
			deadline_arm(x->edge->loop, &x->pace, LOOP_TICK_MS);
	}
	x->tenant = tenant;
}

enum reason tenancy_refuses_body(struct exchange *x, uint64_t n)
{
	uint64_t general = x->kept ? x->kept->body_max : x->use->snapshot->conf->limits.body;
	uint64_t own = !is_limited(x) ? 0 : x->kept ? x->kept->tenant_body_max : limits_of(x)->body;

	if (own && n > own) {
		quota_count_refused(x->quota, REASON_TENANT_BODY);
		return REASON_TENANT_BODY;
	}
	return general && n > general ? REASON_CLIENT_BODY_TOO_LARGE : REASON_NONE;
}

bool tenancy_may_wait(struct exchange *x)
{
	if (!is_limited(x) || quota_take(&x->quota->waiting, limits_of(x)->queue))
		return true;
	quota_count_refused(x->quota, REASON_TENANT_QUEUE);
	return false;
}

void tenancy_waits_no_more(struct exchange *x)
{
	if (is_limited(x))
		quota_give_back(&x->quota->waiting);
}

bool tenancy_has_retry(const struct exchange *x)
{
	return !is_limited(x) || quota_has_retry(x->quota, limits_of(x)->retries);
}

bool tenancy_spend_retry(struct exchange *x)
{
	return !is_limited(x) || quota_spend_retry(x->quota, limits_of(x)->retries);
}

uint64_t tenancy_buy(struct exchange *x, uint64_t n)
{
	uint64_t bandwidth = is_limited(x) ? limits_of(x)->bandwidth : 0, bought;

	n += x->owed;
	x->owed = 0;
	if (bandwidth == 0)
		return n;
	bought = quota_buy_bytes(x->quota, bandwidth, n, x->edge->loop->now_us);
	x->bought += bought;
	x->owed = n - bought;
	if (x->owed)
		deadline_arm(x->edge->loop, &x->pace, LOOP_TICK_MS);
	return bought;
}
