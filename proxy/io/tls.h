/* io/tls.h - TLS transports, and the per-worker contexts that they are made from.
 *
 * A worker has one tls_server for each TLS listener and one tls_client for each way of speaking TLS to backends; threads that
 * shared an SSL_CTX would wait for each other's locks. Certificates and ticket keys are shared and const. A reload hands the
 * tls_server a new store, binding and ticket keys; a new one is made only when the policy itself has changed.
 *
 * Ciphertext passes through blocks of the loop's memory: one recv() feeds SSL_read(), which decrypts right into the caller's room;
 * records of one writev() leave in one send(). An idle connection holds no block. Renegotiation, compression and early data are off,
 * KeyUpdate (RFC 8446 4.6.3) is bounded. */
#ifndef WEIR_IO_TLS_H
#define WEIR_IO_TLS_H

#include "config/conf.h"
#include "io/cert_store.h"
#include "io/tickets.h"
#include "io/transport.h"

#define TLS_DIGEST 32

/* Whom a name belongs to. A session ticket is good only on connections whose digest is the same, so that the session of one tenant
 * never opens a connection of another. OpenSSL alone would resume before it looks at the name.
 *   of  writes the digest of the owner of sni (lower case, may be empty) and returns what tls_info.binding shall be
 * of NULL: all names have one owner. */
struct tls_binding {
	const void *(*of)(void *ctx, struct str sni, uint8_t digest[TLS_DIGEST]);
	void *ctx;
};

/* -- the side that accepts: tls_server.c -- */
struct tls_server;

/* Takes references of its own to store and keys. NULL with a text in err when conf cannot be followed (a client_ca that cannot be read,
 * ciphers that OpenSSL does not know). http2: offer h2 in ALPN besides http/1.1. refs == 1; all of it belongs to one thread. */
struct tls_server *tls_server_new(const struct conf_listener_tls *conf, struct cert_store *store,
	struct ticket_keys *keys, bool http2, char *err, size_t err_n);
/* Would tls_server_new() with these make the same policy? False also when it cannot be told (an unreadable client_ca). */
bool tls_server_fits(const struct tls_server *s, const struct conf_listener_tls *conf, bool http2);
/* For handshakes from now on. */
void tls_server_set_store(struct tls_server *s, struct cert_store *store);
void tls_server_set_keys(struct tls_server *s, struct ticket_keys *keys);
void tls_server_set_binding(struct tls_server *s, struct tls_binding binding);
/* NULL is fine. Connections hold a reference each, so the owner may let go while some are open; the binding it
 * gave must then no longer be needed: it is set to none. */
void tls_server_release(struct tls_server *s);

/* Takes a connected, non-blocking descriptor: state HANDSHAKE; on_event comes when it is OPEN or DEAD. A peer that speaks plain
 * HTTP is answered 400 in the clear. NULL: out of memory or descriptors; fd is closed. */
struct transport *tls_accept(
	struct loop *l, int fd, const struct addr *peer, const struct addr *local, struct tls_server *s);

/* -- the side that connects: tls_client.c -- */
struct tls_client;

/* protocol: enum conf_protocol; CONF_HTTP1 offers http/1.1, CONF_H2 offers h2 and insists on it, CONF_AUTO offers both.
 * NULL with a text in err. refs == 1; all of it belongs to one thread. */
struct tls_client *tls_client_new(
	const struct conf_upstream_tls *conf, uint8_t protocol, char *err, size_t err_n);
/* NULL is fine. Connections hold a reference each. */
void tls_client_release(struct tls_client *c);

/* Begins to connect: state CONNECTING, then HANDSHAKE; on_event comes when it is OPEN or DEAD.
 *   name      SNI and the name that the certificate must have; empty: the address itself must stand in the certificate
 *   preamble  bytes to send in the clear before TLS begins: a PROXY protocol header. Copied
 * DEAD with UPSTREAM_TLS_VERIFY: the certificate was not accepted; UPSTREAM_ALPN; UPSTREAM_TLS: anything else in the handshake. No
 * byte that was written to the transport can have been sent before it was OPEN. NULL, with *why set, when it fails at once. */
struct transport *tls_connect(struct loop *l, const struct addr *to, const char *unix_path,
	struct tls_client *c, struct str name, struct str preamble, enum reason *why);
/* The same on a descriptor that is connected already; fd is taken. */
struct transport *tls_connect_fd(struct loop *l, int fd, const struct addr *to, struct tls_client *c,
	struct str name, enum reason *why);
/* Has a connection that was just begun offer HTTP/1.1 alone, whatever the protocol of its context. */
void tls_offer_http1(struct transport *t);

/* -- both: tls.c -- */
/* What OpenSSL says about why t died, for the log: "certificate has expired". Empty if nothing. Valid as long as t. */
const char *tls_error_text(const struct transport *t);

#endif
