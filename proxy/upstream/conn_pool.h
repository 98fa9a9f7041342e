/* upstream/conn_pool.h - one worker's connections to one backend: made when needed, kept alive, the warmest used first.
 *
 * A request takes a connection that has room, or waits for one: for a new one, or for one that comes free when the limit of
 * connections is reached. HTTP/1 connections have room for one request, HTTP/2 for as many streams as both ends allow.
 *
 * As many connections are made as those who wait need, if each will carry what the last one did, or, before one was made, HTTP/2's usual
 * hundred requests. One that says less lets others be made; one that fails fails as many of those who wait, the oldest first. So nobody
 * waits longer for connections being made than timeouts.connect. */
#ifndef WEIR_UPSTREAM_CONN_POOL_H
#define WEIR_UPSTREAM_CONN_POOL_H

#include "http/conn.h"
#include "upstream/backend.h"
#include "upstream/latency.h"

#define CONN_POOL_MAGIC 0xc0990012

struct opening;
struct tls_client;
struct conn_pool;

/* How the backend is spoken to: from the newest snapshot, copied, so that connections may outlive it. */
struct conn_settings {
	uint8_t protocol; /* enum conf_protocol */
	uint8_t proxy_protocol; /* 0, 1, 2: the connection begins with a PROXY header and serves one client's request only */
	struct tls_client *tls; /* NULL: plain; the worker's, outlives its pools */
	bool tls_lost; /* TLS is wanted and cannot be had (its files are gone): nobody is connected to, least of all in the clear */
	char server_name[256]; /* SNI and verified name; "": none */
	struct http_limits limits;
	uint32_t connect_ms;
	uint32_t max_conns; /* 0: no limit */
	uint32_t
		max_requests; /* in flight; kept by who chooses backends, with conn_pool_is_full(). 0: no limit */
	uint32_t max_pending;
	uint32_t pending_ms;
};

/* A request that waits. Embedded in the owner; zeroed is valid and not waiting. */
struct conn_waiter {
	struct list link;
	struct conn_pool *pool; /* NULL: not waiting */
	struct opening *
		own; /* is made in its name, with a PROXY header or over HTTP/1, and serves nobody else; NULL: none is */
	bool http1; /* only HTTP/1, at a backend with TLS that may speak HTTP/2 as well: one is made for it alone, if none is there */
	bool fresh; /* only a connection that is newer than the wait: the last one was stale, and its neighbours may be */
	uint32_t newest; /* fresh: the last connection that had been made then */
	struct deadline deadline;
	const struct addr *client, *client_local; /* for a PROXY header */
	/* From the loop. c has room: open a stream on it now with conn_pool_open(), or leave it to the next. */
	void (*ready)(struct conn_waiter *w, struct http_conn *c);
	void (*failed)(struct conn_waiter *w, enum reason why);
};

struct conn_pool {
	uint32_t magic;
	bool retired; /* no snapshot names the backend any more: frees itself with its last connection and request */
	bool draining; /* the backend shall get nothing new: connections end with the requests that they have */
	struct loop *loop;
	const struct backend *
		backend; /* valid until retired, and then while anybody waits: he holds a snapshot that names it */
	struct conn_settings settings;
	struct list free; /* connections with room, warmest first */
	struct list full;
	struct list opening; /* struct opening: not connected yet */
	struct list
		settling; /* struct opening: in one of the other lists, but the backend has not said yet how many requests it takes */
	struct list waiting; /* struct conn_waiter, oldest first */
	uint32_t conns; /* in `free` and `full` */
	uint32_t opening_n, waiting_n;
	uint32_t coming; /* requests that `opening` and `settling` are counted on for */
	uint32_t
		room; /* requests at once that the last connection was made for, as its backend said; 0: none has said */
	uint32_t made; /* connections, ever */
	uint32_t streams; /* requests in flight */
	/* A handshake with the backend failed; text: what OpenSSL said. May be NULL. Must not touch the pool. */
	void (*on_tls_failed)(struct conn_pool *p, enum reason why, const char *text);
	void *user;
	char *error; /* what OpenSSL said of the last connection that could not be made; owned; NULL: nothing */
	uint32_t worker; /* whose it is: counts in that one's tally of the backend */
	struct backend_tally *tally; /* the backend's; NULL: nothing to count yet, or retired */
	struct latency latency; /* while a pool balances by it */
	uint64_t serial; /* of the newest snapshot that names the backend; the worker's */
};

struct conn_pool *conn_pool_new(struct loop *l, const struct backend *b);
/* Gives the pool new settings. Connections made under settings that differ in protocol, TLS or name take no new requests. */
void conn_pool_configure(struct conn_pool *p, const struct conn_settings *settings);
/* Off again, connections are kept again. */
void conn_pool_set_draining(struct conn_pool *p, bool on);
/* Has the backend as many requests as it may have? */
static inline bool conn_pool_is_full(const struct conn_pool *p)
{
	return p->settings.max_requests && p->streams + p->waiting_n >= p->settings.max_requests;
}
/* Begins to end: idle connections close, others when their requests do; those who wait are still served. Then it frees itself. Takes
 * *pp. */
void conn_pool_retire(struct conn_pool **pp);
/* Closes everything at once: at the end of the process. */
void conn_pool_close(struct conn_pool *p);

/* A connection with room, or NULL. Open a stream on it in the same call chain. */
struct http_conn *conn_pool_take(struct conn_pool *p);
/* Opens a stream on a connection from conn_pool_take() or ready(). NULL if the connection has died meanwhile. */
struct stream *conn_pool_open(
	struct conn_pool *p, struct http_conn *c, const struct stream_owner_ops *ops, void *owner);
/* The tally to count in. Once it is retired, only for who holds a snapshot that names the backend. */
struct backend_tally *conn_pool_tally(struct conn_pool *p);
/* To be called once for every stream that was opened, before it is released. It may be the end of a retired pool. */
void conn_pool_done(struct conn_pool *p);
/* Waits: w's callbacks and addresses are set. REASON_NONE, or why it cannot even wait. */
enum reason conn_pool_wait(struct conn_pool *p, struct conn_waiter *w);
void conn_waiter_cancel(struct conn_waiter *w);

#endif
