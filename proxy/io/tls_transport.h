/* io/tls_transport.h - the TLS transport from within: what tls.c and tls_*.c share. Nobody else includes it, but for tests. */
#ifndef WEIR_IO_TLS_TRANSPORT_H
#define WEIR_IO_TLS_TRANSPORT_H

#include <openssl/ssl.h>
#include "io/tls.h"

/* Ciphertext on its way, in a block that is held only while there is some. */
struct wire {
	struct block *block; /* NULL: empty */
	uint32_t off, end;
};

static inline uint32_t wire_bytes(const struct wire *w)
{
	return w->end - w->off;
}

struct tls_transport {
	struct transport t;
	SSL *ssl;
	struct tls_server *server; /* one of these two, a reference each */
	struct tls_client *client;
	struct tls_info info; /* complete when OPEN */
	struct wire in; /* received, not yet decrypted */
	struct wire out; /* encrypted, not yet sent */
	const struct cert_choice *
		offered; /* server: within the one handshake step that chose it; the store may change afterwards */
	char *sni; /* malloc; server: what the client asked for or NULL; client: the name to verify, NUL-terminated, maybe empty */
	char *error; /* malloc; what OpenSSL said when it died */
	uint8_t digest[TLS_DIGEST]; /* server: of the binding */
	uint32_t control; /* KeyUpdate and the like since `control_bytes` was reset */
	uint32_t control_bytes; /* application data since then */
	bool socket_readable;
	bool socket_writable;
	bool socket_eof;
	bool may_receive; /* this read has yielded nothing yet, so another recv() is fair */
	bool fin_follows; /* shutdown when `out` has gone */
	bool ticket_waits; /* server: `out` is a session ticket, which goes with what is written first */
	bool peer_took_leave; /* the last word was the peer's close_notify */
	bool offers_http1; /* client: and nothing else, by tls_offer_http1() */
	bool readable_still; /* a write found the open connection dead: what the peer sent before can still be read */
};

/* -- tls_wire.c -- */
#define TLS_RECORD_MAX 16384 /* RFC 8446 5.1 */
#define TLS_RECV_MIN   (TLS_RECORD_MAX + 1024) /* so that one recv() gives a record */
/* Control messages that a peer may send for each MiB of data: honest ones send one per 2^24 records. */
#define TLS_CONTROL_MAX       32
#define TLS_CONTROL_PER_BYTES (1024 * 1024)

void wire_drop(struct wire *w);
/* Takes a block if there is none; how many bytes fit behind `end`. */
uint32_t wire_room(struct mem *m, struct wire *w);
/* Before the callback ends: what stays longer gets a block of its own size, */
void wire_settle(struct mem *m, struct wire *w);
/* and a full one again when more is to follow it. */
void wire_widen(struct mem *m, struct wire *w);
/* One recv() of at most want bytes, when nothing is left of the one before. */
void wires_receive(struct tls_transport *tt, size_t want);
/* Sends what has gathered, as far as the socket takes it. True when nothing is left; false as well when it died of it. */
bool wires_flush(struct tls_transport *tt);
/* What lets OpenSSL read and write wires; each context has one, freed with it. */
BIO_METHOD *tls_bio_method(void);

/* -- tls.c -- */
/* State CONNECTING or HANDSHAKE; takes fd and ssl, even on failure (NULL). */
struct tls_transport *tls_transport_new(
	struct loop *l, int fd, SSL *ssl, const BIO_METHOD *method, enum transport_state state);
static inline struct tls_transport *tls_transport_of(const SSL *ssl)
{
	return SSL_get_app_data(ssl);
}
/* Queues bytes to leave before anything else. */
void tls_transport_prepend(struct tls_transport *tt, struct str bytes);

/* -- tls_handshake.c -- */
/* Goes on with the handshake as far as it goes now; the state says what became of it. */
void tls_handshake(struct tls_transport *tt);
/* Dies, with OpenSSL's words (may be NULL), after trying to send the alert. */
void tls_fail(struct tls_transport *tt, enum reason why, const char *text);
/* Options, modes and callbacks that both sides share; false with OpenSSL's error queued. */
bool tls_context_setup(SSL_CTX *ctx);
/* OpenSSL's last error as text, the queue emptied. */
const char *tls_last_error(void);

/* -- tls_server.c -- */
void tls_server_unref(struct tls_server *s);
/* Fills what the server side knows of the peer: certificate, binding, name. */
void tls_server_describe(struct tls_transport *tt);

/* -- tls_client.c -- */
void tls_client_unref(struct tls_client *c);
/* Handshake done: REASON_NONE, or why the connection must not be used. */
enum reason tls_client_check(struct tls_transport *tt);

#endif
