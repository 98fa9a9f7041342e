/* exchange/entry.h - a listener as its connections see it: everything that a connection needs of the configuration while it
 * lives, so that a long one never holds on to routes of old.
 *
 * Each worker makes its own; connections are counted; a reload that changes the listener makes a new entry for new connections,
 * the old one goes with its last connection. */
#ifndef WEIR_EXCHANGE_ENTRY_H
#define WEIR_EXCHANGE_ENTRY_H

#include "config/conf.h"
#include "http/conn.h"

#define ENTRY_MAGIC 0xe4794e11

struct edge;
struct tls_server;

struct entry {
	uint32_t magic;
	uint32_t refs; /* connections, and the worker's own */
	struct edge *edge;
	struct arena arena;
	struct conf_listener conf; /* a copy of its own; without the certificates, which are tls_server's */
	struct http_limits limits;
	struct tls_server *tls; /* NULL: plain; owned, the certificates in it change with reloads */
	uint32_t conn_n;
	bool draining; /* its listener is gone, or is to be */
	/* What every request is told of where it came in, as whole lines next to each other: x-forwarded-proto, x-forwarded-port. */
	struct str proto_line, port_line;
};

struct entry *entry_new(struct edge *edge, const struct conf_listener *listener, const struct conf *conf);
void entry_ref(struct entry *e);
void entry_unref(struct entry **ep);
/* Would entry_new() make the same for it (certificates aside)? */
bool entry_same(const struct entry *e, const struct conf_listener *listener, const struct conf *conf);
/* Is this peer one whose X-Forwarded-* are believed? */
bool entry_trusts(const struct entry *e, const struct addr *peer);
/* Does redirect_https send this request away? Not one of which a trusted proxy says that it came over https: it would come back for ever. */
bool entry_redirects(
	const struct conf_listener *listener, const struct addr *peer, const struct fields *request);

#endif
