/* io/transport.h - a connected byte stream: four functions, plain or TLS, and one upward call.
 *
 * A transport owns its descriptor and one persistent edge-triggered event, added once and never modified. It keeps
 * `readable` and `writable` itself, so that a user tries at once and arms nothing: when a call says TRANSPORT_AGAIN, on_event comes
 * when it is worth trying again.
 *
 * The user sets on_event and user before the loop turns again, and may free the transport from anywhere but below one of its
 * four functions. on_event is called from the loop only, never from below one of the four functions. */
#ifndef WEIR_IO_TRANSPORT_H
#define WEIR_IO_TRANSPORT_H

#include <event2/event_struct.h>
#include <stdbool.h>
#include <sys/uio.h>
#include "base/addr.h"
#include "base/reason.h"
#include "io/loop.h"

#define TRANSPORT_MAGIC 0x7a4e5b01

enum {
	TRANSPORT_EOF = 0, /* the peer has finished sending; writing may still work */
	TRANSPORT_AGAIN = -1, /* nothing now; on_event follows */
	TRANSPORT_ERROR =
		-2, /* dead; `why` and `sys_errno` say why. After a failed write, what the peer sent before can still be read */
};

enum transport_state {
	TRANSPORT_CONNECTING, /* the TCP connection is being made */
	TRANSPORT_HANDSHAKE, /* TLS */
	TRANSPORT_OPEN,
	TRANSPORT_DEAD,
};

/* What is known of a TLS session; owned by the transport. */
struct tls_info {
	const char *version; /* "TLSv1.3"; static */
	const char *cipher; /* "TLS_AES_128_GCM_SHA256"; static */
	struct str sni; /* lower case; empty if none */
	struct str alpn; /* "h2", "http/1.1" or empty */
	struct str peer_subject; /* RFC 2253 form of the client's verified certificate; empty if none */
	struct str
		peer_names; /* its alternative names, "DNS:a.test,URI:spiffe://b/c,email:d@e.test"; empty if none */
	struct str peer_fingerprint; /* SHA-256 of it in lower-case hex; empty if none */
	bool resumed;
	uint64_t
		begun_us; /* on the loop's clock, of a connection that was accepted: when its handshake began */
	uint32_t took_us;
	const void *binding; /* what tenant-bound tickets are bound to; opaque here */
};

struct transport;

struct transport_ops {
	/* Bytes read (> 0), or TRANSPORT_EOF, _AGAIN, _ERROR. Fewer bytes than room means, for a plain socket, that it is
	 * drained: `readable` is false then, and no further read is needed. */
	ssize_t (*read)(struct transport *t, void *p, size_t room);
	/* Bytes taken (> 0), possibly fewer than offered, or _AGAIN, _ERROR. */
	ssize_t (*writev)(struct transport *t, const struct iovec *iov, int n);
	/* Finishes sending: FIN, for TLS after close_notify. Reading goes on. */
	void (*shutdown)(struct transport *t);
	/* Closes and frees. The descriptor is closed now, the memory at the end of the tick. */
	void (*close)(struct transport *t);
	/* What is known of the TLS session, NULL before the handshake is done; a NULL member for plain ones. */
	const struct tls_info *(*tls)(const struct transport *t);
};

struct transport {
	uint32_t magic;
	int fd;
	const struct transport_ops *ops;
	struct loop *loop;
	struct event ev; /* EV_READ|EV_WRITE|EV_CLOSED|EV_ET|EV_PERSIST */
	void (*on_event)(struct transport *t); /* something changed: state, readable, writable */
	void *user;
	struct task reap;
	struct addr
		peer; /* who connected, or whom we connected to; after the PROXY protocol, the one it names */
	struct addr local;
	uint8_t state; /* enum transport_state */
	bool readable; /* a read may yield something */
	bool writable;
	bool unsent; /* TLS: bytes that writev took are still held here; on_event comes when they are gone. Close later. */
	bool peer_closed; /* EV_CLOSED was seen: FIN is in the queue behind what can be read */
	bool suspect; /* the last event may have been a reset: ask transport_was_reset() */
	uint16_t why; /* enum reason, when DEAD */
	int sys_errno;
};

static inline ssize_t transport_read(struct transport *t, void *p, size_t room)
{
	return t->ops->read(t, p, room);
}
static inline ssize_t transport_writev(struct transport *t, const struct iovec *iov, int n)
{
	return t->ops->writev(t, iov, n);
}
static inline void transport_shutdown(struct transport *t)
{
	t->ops->shutdown(t);
}
/* Takes the transport; NULL is fine. */
void transport_close(struct transport **tp);
/* Like close, but the peer gets RST instead of FIN: for an answer that was cut short and must not look complete. */
void transport_abort(struct transport **tp);
/* Libevent shows a reset as it shows data on a writable socket, and a short read leaves one unseen that came with the data. Who wants
 * more from the peer, or must know that it is there, therefore asks before it waits: costs a call to the kernel if there was
 * such an event, else nothing. True: it is dead. What it has sent before is lost. */
bool transport_was_reset(struct transport *t);
/* NULL for plain transports, and before the handshake is done. Also for t == NULL: a connection that has just been lost has none any
 * more, while its streams are still to hear of it. */
const struct tls_info *transport_tls(const struct transport *t);

/* -- plain.c -- */
/* Takes a connected, non-blocking descriptor: state OPEN, on_event follows when there is something to read. NULL: out of
 * memory; the descriptor is closed. */
struct transport *plain_from_fd(struct loop *l, int fd, const struct addr *peer, const struct addr *local);
/* Begins to connect to `to` (or, if path is not NULL, to that unix socket): state CONNECTING; on_event comes when it is OPEN or DEAD.
 * NULL, with *why set, when it fails at once. */
struct transport *plain_connect(
	struct loop *l, const struct addr *to, const char *unix_path, enum reason *why);

/* For plain.c and tls.c. */
bool transport_init(struct transport *t, struct loop *l, int fd, const struct transport_ops *ops);
void transport_die(struct transport *t, enum reason why, int sys_errno);
/* A non-blocking socket that is connecting, or an errno with *fd -1 or to be closed by the caller. */
int socket_connect(const struct addr *to, const char *unix_path, int *fd);
/* The errno of a connect() as a reason. */
enum reason connect_reason(int err);

#endif
