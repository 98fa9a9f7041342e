/* upstream/connect.h - connections in the making: TCP, PROXY header, TLS and ALPN, within timeouts.connect. What comes of each is told to
 * its pool, from the loop. */
#ifndef WEIR_UPSTREAM_CONNECT_H
#define WEIR_UPSTREAM_CONNECT_H

#include "upstream/conn_pool.h"

/* Begins one. If the settings want a PROXY header, it is w's own from here on, and ends when w waits no more. REASON_NONE, or why it
 * failed at once. */
enum reason opening_begin(struct conn_pool *p, struct conn_waiter *w);
/* Gives one up; nobody is told. */
void opening_end(struct opening *o);
/* Gives the newest up until no more than `keep` are left; nobody is told. */
void opening_close_beyond(struct conn_pool *p, uint32_t keep);
/* The settings are others now: what comes of those that were begun is of no use. */
void openings_outdate(struct conn_pool *p);

/* -- implemented by conn_pool.c, called by connect.c. w: whose own it was, NULL: anybody's -- */
void conn_pool_opened(
	struct conn_pool *p, struct transport **t, enum http_version version, struct conn_waiter *w);
void conn_pool_open_failed(struct conn_pool *p, enum reason why, struct conn_waiter *w);
/* A connection has gone, or will not come to be: others may be needed. */
void conn_pool_open_again(struct conn_pool *p);

#endif
