/* upstream/connect.h - connections in the making: TCP, PROXY header, TLS and ALPN, and over HTTP/2 the backend's word on how many requests
 * it takes at once (SETTINGS, RFC 9113 3.4), within timeouts.connect. What comes of each is told to its pool, from the loop.
 *
 * A connection that is being made is counted on: for one request over HTTP/1, over HTTP/2 for as many as the backend is expected to take.
 * So a burst of requests makes the connections that it needs, not one each. If it fails, so do as many of those who wait. */
#ifndef WEIR_UPSTREAM_CONNECT_H
#define WEIR_UPSTREAM_CONNECT_H

#include "upstream/conn_pool.h"

/* Begins one that is counted on for so many requests. If the settings want a PROXY header, it is w's own from here on, and ends when w
 * waits no more. REASON_NONE, or why it failed at once. */
enum reason opening_begin(struct conn_pool *p, struct conn_waiter *w, uint32_t carries);
/* Gives one up; nobody is told. */
void opening_end(struct opening *o);
/* Gives the newest up as long as the others are enough for `requests`; nobody is told. Those that have a connection stay. */
void opening_close_beyond(struct conn_pool *p, uint32_t requests);
/* The settings are others now: what comes of those that were begun is of no use. */
void openings_outdate(struct conn_pool *p);
/* c is what came of it. It ends here, unless the backend has still to say how many requests it takes. */
void opening_made(struct opening *o, struct http_conn *c);
/* Is c one that the backend had not said that of? It ends. How many requests were still counted on it, 0 if it was none. */
uint32_t opening_settle(struct conn_pool *p, const struct http_conn *c);

/* -- implemented by conn_pool.c, called by connect.c. w: whose own it was, NULL: anybody's -- */
/* Takes *t. To be told of with opening_made(). */
void conn_pool_opened(struct conn_pool *p, struct opening *o, struct transport **t, enum http_version version,
	struct conn_waiter *w);
/* requests: how many were counted on it. */
void conn_pool_open_failed(struct conn_pool *p, enum reason why, struct conn_waiter *w, uint32_t requests);
/* A connection has gone, or will not come to be: others may be needed. */
void conn_pool_open_again(struct conn_pool *p);

#endif
