/* upstream/connect.h - connections in the making: TCP, PROXY header, TLS and ALPN, within timeouts.connect. What comes of each is told to
 * its pool, from the loop. */
#ifndef WEIR_UPSTREAM_CONNECT_H
#define WEIR_UPSTREAM_CONNECT_H

#include "upstream/conn_pool.h"

/* Begins one. client and local: for the PROXY header, if the settings want one. REASON_NONE, or why it failed at once. */
enum reason opening_begin(struct conn_pool *p, const struct addr *client, const struct addr *local);
/* Gives the newest up until no more than `keep` are left; nobody is told. */
void opening_close_beyond(struct conn_pool *p, uint32_t keep);

/* -- implemented by conn_pool.c, called by connect.c -- */
void conn_pool_opened(struct conn_pool *p, struct transport **t, enum http_version version);
void conn_pool_open_failed(struct conn_pool *p, enum reason why);

#endif
