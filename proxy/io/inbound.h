/* io/inbound.h - from an accepted descriptor to an open transport: PROXY header, TLS handshake, both under one absolute deadline. */
#ifndef WEIR_IO_INBOUND_H
#define WEIR_IO_INBOUND_H

#include "base/addr.h"
#include "base/list.h"
#include "base/reason.h"
#include "io/tls.h"
#include "io/transport.h"

/* How connections of a listener begin. Must outlive those that were begun with it. */
struct inbound_conf {
	struct tls_server *tls; /* NULL: plain */
	bool proxy_protocol; /* a header must come first, from a trusted peer */
	const struct cidr *trusted;
	uint32_t trusted_n;
	uint32_t deadline_ms; /* from the accept to the open transport; 0: none */
};

/* A worker's connections that are not open yet. The owner sets the first four and calls inbounds_init(). Each inbound_start() is
 * answered by exactly one of the two calls, with the ctx that it was given; maybe before it returns. */
struct inbounds {
	struct loop *loop;
	/* The transport is OPEN and given away; nobody has read from it. Its peer and local are those of the PROXY header, if any. */
	void (*on_open)(struct inbounds *in, struct transport **t, void *ctx);
	/* The connection is closed. peer: who connected. text: what OpenSSL said, or empty. */
	void (*on_failed)(
		struct inbounds *in, enum reason why, const struct addr *peer, const char *text, void *ctx);
	void *user;
	struct list pending;
	uint32_t pending_n;
};

void inbounds_init(struct inbounds *in);
/* Takes fd. */
void inbound_start(struct inbounds *in, int fd, const struct addr *peer, const struct addr *local,
	const struct inbound_conf *conf, void *ctx);
/* Gives up on all that are pending, or on those with this ctx (NULL: all). */
void inbounds_close(struct inbounds *in, enum reason why, const void *ctx);

#endif
