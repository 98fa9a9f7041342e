/* exchange/edge.h - what a worker thread has for its exchanges: the current snapshot, the connection pools, the state of balancing and
 * splitting, the log. One per worker; nothing in it is shared. */
#ifndef WEIR_EXCHANGE_EDGE_H
#define WEIR_EXCHANGE_EDGE_H

#include "base/ring.h"
#include "exchange/snapshot.h"
#include "route/split.h"
#include "upstream/balance.h"
#include "upstream/conn_pool.h"

/* One worker's use of one snapshot. */
struct snapshot_use {
	struct snapshot *snapshot;
	uint32_t exchanges; /* that began under it and have not ended */
	bool current;
};

struct edge {
	struct loop *loop;
	struct snapshot_use *use; /* of the current snapshot */
	struct conn_pool **backends; /* by backend slot; NULL where this worker has none */
	uint32_t backend_n;
	struct balance_state *balance; /* by pool slot */
	uint32_t balance_n;
	struct split_state *split; /* by service slot */
	uint32_t split_n;
	struct list exchanges; /* all that live */
	uint32_t exchange_n;
	struct ring *access; /* NULL: no access log */
	uint8_t access_format; /* enum conf_log_format */
	void (*wake_log)(struct edge *e); /* the ring is half full */
	void (*let_go)(struct edge *e, struct snapshot_use *use); /* its last exchange has ended, and it is not current */
	bool draining;
	size_t memory_max; /* bytes in motion above which new requests are refused; 0: no limit */
	uint64_t second; /* that `date` is for */
	char date[32]; /* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 5.6.7) */
	uint64_t wall_us; /* what CLOCK_REALTIME was ahead of CLOCK_MONOTONIC when last looked at */
};

/* The current date, made anew once a second. */
struct str edge_date(struct edge *e);
/* Microseconds since 1970 of a moment on the loop's clock. */
uint64_t edge_wall_us(struct edge *e, uint64_t loop_us);

/* This worker's connections to a backend; NULL when no current configuration names it any more. */
struct conn_pool *edge_backend(struct edge *e, const struct backend *b);

#endif
