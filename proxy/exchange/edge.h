/* exchange/edge.h - what a worker thread has for its exchanges: the current snapshot, the connection pools, the state of balancing and
 * splitting, the log. One per worker; nothing in it is shared, but for the tally, which control reads. */
#ifndef WEIR_EXCHANGE_EDGE_H
#define WEIR_EXCHANGE_EDGE_H

#include "base/ring.h"
#include "exchange/cause.h"
#include "exchange/hold.h"
#include "exchange/retry_budget.h"
#include "exchange/snapshot.h"
#include "exchange/tally.h"
#include "route/split.h"
#include "upstream/adaptive.h"
#include "upstream/balance.h"
#include "upstream/conn_pool.h"

/* One worker's use of one snapshot. */
struct snapshot_use {
	struct snapshot *snapshot;
	struct module_locals *modules; /* this worker's, for the snapshot's modules; NULL: it has none */
	uint32_t exchanges; /* that began under it and have not ended */
	bool current;
};

/* A point in time as logs write it. */
struct moment {
	uint64_t second; /* since 1970 */
	char iso[32]; /* 2026-11-22T19:25:52.123Z */
	char common[32]; /* 22/Nov/2026:19:25:52 +0000 */
};

struct queue;

/* One worker's requests to one pool. */
struct pool_traffic {
	uint32_t requests; /* in flight */
	uint32_t awaiting; /* of them: whose answer has not begun; what breaker.adaptive limits */
	uint32_t requests_max; /* breaker.requests: of all workers together; 0: no limit */
	uint32_t requests_free; /* that this worker may have without asking what the others have */
	uint32_t pending_max; /* of breaker.pending; 0: no limit */
	struct adaptive adaptive;
	struct tls_client
		*tls; /* what its backends are spoken to with; NULL: plain, or it could not be had */
	struct queue *queue; /* who waits for the pool; NULL: nobody ever has */
	struct retry_budget retries;
};

#define EDGE_ID_CHARS 32 /* of a request's id */

struct edge {
	struct loop *loop;
	uint32_t worker; /* its number, from 0 */
	struct snapshot_use *use; /* of the current snapshot */
	struct conn_pool *
		*backends; /* by backend slot; NULL where this worker has none, or has not needed it yet */
	uint32_t backend_n;
	struct balance_state *balance; /* by pool slot */
	uint32_t balance_n;
	struct pool_now *now; /* by pool slot */
	uint32_t now_n;
	struct pool_traffic *traffic; /* by pool slot */
	uint32_t traffic_n;
	struct cookie_keys *cookie_keys; /* for now; a reference */
	struct split_state *split; /* by service slot */
	uint32_t split_n;
	struct list exchanges; /* all that live */
	uint32_t exchange_n;
	struct deadline
		follow; /* while more of them have to be looked at, whether they can follow the current snapshot */
	uint32_t follow_left; /* so many */
	struct list queues; /* those in which exchanges wait for their pool */
	struct holds holds;
	struct list mirrors; /* struct mirror: copies of requests */
	uint32_t mirror_n;
	struct list lasting; /* struct lasting: WebSockets, event streams, gRPC calls */
	struct deadline lasting_look; /* at whether some of them have to go */
	uint32_t tunnel_ms,
		stream_ms; /* this worker drains, and WebSockets, streams are given so long; 0: it does not */
	struct ring *access; /* NULL: no access log */
	uint8_t access_format; /* enum conf_log_format */
	void (*wake_log)(struct edge *e); /* the ring is half full */
	/* Makes what was not needed before; NULL: the current snapshot does not name b. */
	struct conn_pool *(*reach)(struct edge *e, const struct backend *b);
	/* So many requests in a row have failed at b that control should consider to eject it. */
	void (*suspect)(struct edge *e, const struct backend *b, enum outcome_kind kind);
	void (*let_go)(struct edge *e,
		struct snapshot_use *use); /* its last exchange has ended, and it is not current */
	bool draining;
	size_t memory_max; /* bytes in motion above which new requests are refused; 0: no limit */
	struct worker_tally tally;
	struct causes causes; /* of requests that failed */
	uint32_t lag_max_us; /* of the loop, above which new requests are refused; 0: no limit */
	uint64_t second; /* that `date` is for */
	char date[40]; /* "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n" (RFC 9110 5.6.7) */
	struct moment moment; /* of the line that was logged last */
	uint64_t ids; /* requests that were given one */
	char id_tail[EDGE_ID_CHARS / 2]; /* drawn by this worker when it gave its first one */
	uint64_t wall_us; /* what CLOCK_REALTIME was ahead of CLOCK_MONOTONIC when last looked at */
};

/* An id that no other request has: a number that the worker counts, scrambled, and one that it drew. */
void edge_new_id(struct edge *e, char id[EDGE_ID_CHARS]);
/* The Date field's line for the current second; its bytes change with the next one. */
struct str edge_date_line(struct edge *e);
/* Microseconds since 1970 of a moment on the loop's clock. */
uint64_t edge_wall_us(struct edge *e, uint64_t loop_us);
/* Now, as text; valid until the next call. */
const struct moment *edge_moment(struct edge *e);

/* This worker's connections to a backend; NULL when no current configuration names it any more. */
static inline struct conn_pool *edge_backend(struct edge *e, const struct backend *b)
{
	struct conn_pool *p = e->backends[b->slot->number];

	return p ? p : e->reach(e, b);
}

static inline const struct pool_now *edge_now(const struct edge *e, const struct pool *p)
{
	return &e->now[p->slot->number];
}

static inline struct pool_traffic *edge_traffic(struct edge *e, const struct pool *p)
{
	return &e->traffic[p->slot->number];
}

#endif
