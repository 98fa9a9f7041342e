/* exchange/quota.h - what one tenant has in use of its limits (tenants.NAME.limits), over all workers.
 *
 * The one record of requests that workers share: a limit of ten requests is ten, however the kernel spreads the connections. Only tenants
 * with limits have one; their requests cost an atomic operation or two, everybody else's none. It belongs to the tenant's name: it hangs on
 * its slot and outlives configurations with it. Connections outlive even that, so they hold references. */
#ifndef WEIR_EXCHANGE_QUOTA_H
#define WEIR_EXCHANGE_QUOTA_H

#include <stdatomic.h>
#include "base/reason.h"
#include "base/slots.h"
#include "config/conf.h"

/* The reasons of tenants' limits, which are neighbours in reason.def. */
#define QUOTA_REASONS (REASON_TENANT_HEADERS - REASON_TENANT_RATE + 1)

struct quota {
	_Atomic uint32_t refs; /* the slot's, and connections' */
	_Atomic uint32_t requests, connections, waiting; /* now */
	_Atomic uint64_t rate, bandwidth; /* base/rate.h */
	_Atomic int64_t
		retries; /* what its requests have earned and its retries have not spent, in 1/10000 of one */
	_Atomic uint64_t refused[QUOTA_REASONS];
};

/* Is there anything to keep count of? */
bool quota_wanted(const struct conf_tenant_limits *limits);
/* Gives the slot its quota, if it has none. By control, before workers know the slot. */
struct quota *quota_attach(struct slots *slots, struct slot *slot);

struct quota *quota_ref(struct quota *q);
void quota_unref(struct quota *q);

/* One more connection, unless there are as many as that already (0: any number). */
bool quota_take_connection(struct quota *q, uint32_t limit);
/* For good; drops the reference that was taken for it. NULLs *qp. */
void quota_connection_closed(struct quota **qp);
/* One more of what counter counts, unless there are limit already (0: any number). */
bool quota_take(_Atomic uint32_t *counter, uint32_t limit);
void quota_give_back(_Atomic uint32_t *counter);

/* A request a second, up to limits->burst at once; a burst of 0 is what comes in a tenth of a second. */
bool quota_take_request(struct quota *q, const struct conf_tenant_limits *limits, uint64_t now_us);
/* How many of n bytes may be sent now; never more than n. Bytes that were bought and not sent are given back. */
uint64_t quota_buy_bytes(struct quota *q, uint64_t bandwidth, uint64_t n, uint64_t now_us);
void quota_return_bytes(struct quota *q, uint64_t bandwidth, uint64_t n);

/* A request begins, and earns limits.retries of a retry: in 1/10000. */
void quota_earn_retry(struct quota *q, uint32_t share);
bool quota_has_retry(const struct quota *q, uint32_t share);
bool quota_spend_retry(struct quota *q, uint32_t share);

void quota_count_refused(struct quota *q, enum reason why);

#endif
