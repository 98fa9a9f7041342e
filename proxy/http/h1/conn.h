/* http/h1/conn.h - what the two roles of an HTTP/1 connection share: reading in sections and bodies, writing gathered
 * bytes, deadlines, and the way to its end. The roles are h1/server.c and h1/client.c; the world sees http/conn.h.
 *
 * A connection runs one exchange at a time. Further requests of a pipelining client stay in the kernel or, as far as they came along
 * with the last read, in `in`, until the exchange before them is complete in both directions and flushed.
 *
 * Server role, beyond http/stream.h:
 * - After on_reset with CLIENT_SLOW_BODY, CLIENT_BAD_CHUNK, CLIENT_CUT_BODY or CLIENT_HEADERS_TOO_LARGE (trailers) the owner may still
 *   send a complete final answer if it had not begun one, and releases at once: no on_sent follows. The connection closes after it.
 *   Once the client is gone the answer is dropped.
 * - A client that has half-closed (FIN) behind a complete request may be a script that waits for its answer, or a browser that is gone:
 *   TCP does not tell. An answer that is under way, or begins within H1_HALF_CLOSED_MS, is still sent; after that, or with a
 *   RST or a write error, it is CLIENT_GONE.
 * - A RST that came together with the end of the request, and so has no event of its own, is noticed after H1_LOOK_MS, or when the answer
 *   is written.
 * - A final answer that ends before the request does: up to H1_DISCARD_MAX bytes of the rest are read and dropped, within
 *   H1_DISCARD_MS, and the connection goes on; else it closes, lingering so that the client can read the answer. */
#ifndef WEIR_HTTP_H1_CONN_H
#define WEIR_HTTP_H1_CONN_H

#include "http/conn.h"
#include "http/h1/chunk.h"
#include "http/h1/parser.h"
#include "http/h1/websocket.h"
#include "http/h1/writer.h"

#define H1_HALF_CLOSED_MS 1500
#define H1_DISCARD_MAX    (64u * 1024)
#define H1_DISCARD_MS     2000
#define H1_LOOK_MS        1000 /* of waiting for an answer, then the client is looked after */
#define H1_LINGER_MAX     (1024u * 1024)
#define H1_LINGER_MS      2000
#define H1_INTERIM_MAX    16 /* interim heads of one response */
#define H1_IOV            64 /* slices of one write */
#define H1_READ_AHEAD     4096 /* of a chunked body beyond the credit: its framing takes room too */

/* What is being received. */
enum h1_rx {
	RX_HEAD, /* client role: the response's head; server role: only before the stream exists */
	RX_LENGTH,
	RX_CHUNKED,
	RX_TRAILERS,
	RX_UNTIL_CLOSE,
	RX_CONSENT, /* a tunnel that is not agreed on: what may have come already is not looked at */
	RX_TUNNEL,
	RX_DONE,
	RX_STATES
};

/* What is being sent. */
enum h1_tx {
	TX_HEAD, /* the (final) head has not been sent */
	TX_LENGTH,
	TX_CHUNKED,
	TX_UNTIL_CLOSE, /* a body of unknown length to HTTP/1.0 */
	TX_VOID, /* there is no body on the wire (HEAD, 204, 304, a refused tunnel): bytes are dropped */
	TX_CONSENT, /* client role: a handshake was sent; bytes wait in `held` */
	TX_TUNNEL,
	TX_DONE,
	TX_STATES
};

enum h1_state {
	H1_OPEN,
	H1_CLOSING, /* nothing more will be queued; it closes when all is written */
	H1_LINGERING, /* FIN is sent; input is dropped until the peer closes too */
	H1_CLOSED, /* no transport any more; the owners are told from the loop */
	H1_GONE, /* they were told; freed when the stream is released */
	H1_STATES
};

/* One exchange. Lives while it lasts: an idle connection has none. */
struct h1_stream {
	struct stream base;
	struct task reap;
	uint8_t rx, tx; /* enum h1_rx, h1_tx */
	uint8_t method_id; /* of the request */
	uint8_t version; /* server role: of the request (enum http_version) */
	uint8_t interim; /* client role: interim heads so far */
	bool tunnel; /* the request asks for one */
	bool expects; /* server role: Expect: 100-continue, and no 100 was sent yet */
	bool shut; /* a tunnel's half-close was passed on */
	bool last_held; /* client role: the owner's half-close waits for the consent too */
	bool told; /* on_reset was delivered, or must not be: no up-calls any more */
	bool begun; /* the transport took something since it began */
	bool sent_told; /* on_sent was called with sent_all set */
	uint16_t dead; /* enum reason: on_reset is owed with it */
	uint64_t rx_left; /* RX_LENGTH */
	uint64_t tx_left; /* TX_LENGTH */
	size_t credit; /* body bytes that may be delivered; while discarding, bytes that are still worth it */
	size_t queued; /* body bytes in the connection's `out` */
	size_t sent; /* body bytes that left and on_sent has not told of */
	uint64_t arrived; /* body bytes that were delivered since the peer was given time for more */
	struct h1_chunks chunks;
	struct chain held; /* TX_CONSENT */
	char websocket[WEBSOCKET_ACCEPT_LEN + 1]; /* the Sec-WebSocket-Accept to send, or to be received */
};

struct h1_conn {
	struct http_conn base;
	const struct h1_role *role;
	struct h1_stream *stream; /* NULL: idle */
	struct task ready; /* LOOP_READY: owners are told what they are owed, and reading goes on */
	struct task flush; /* LOOP_FLUSH; LOOP_REAP at the end */
	/* A head, a body's next bytes, the next request, the end of lingering; a look after who waits for an answer, or is in a tunnel. */
	struct deadline read_by;
	struct deadline write_by; /* a blocked peer must take something */
	struct chain in; /* received, not consumed */
	struct chain out; /* to be written */
	struct block *part; /* the beginning of a head or trailer section; `in` is empty then */
	struct h1_progress progress; /* of that section */
	uint32_t served; /* exchanges begun */
	uint8_t state; /* enum h1_state */
	bool keep; /* another exchange may follow this one */
	bool eof; /* FIN was read */
	bool fresh; /* `in` has bytes of the shared read block */
	bool receiving; /* below h1_receive() */
	bool change_owed; /* on_change */
	bool peer_last; /* server role: the client said that it sends nothing after this request */
	uint16_t why; /* H1_CLOSED: what on_closed will say */
	uint32_t dropped; /* H1_LINGERING: bytes */
};

/* What differs between the roles. All are called from the loop. */
struct h1_role {
	enum h1_result (*parse_head)(struct h1_conn *c, struct h1_message *m, char *p, size_t n);
	/* r is not H1_PARTIAL. What followed the head is in c->in. */
	void (*on_head)(struct h1_conn *c, struct h1_message *m, enum h1_result r);
	/* The stream's input failed: a bad chunk, an early end, a deadline. `why` in the words of the server role. */
	void (*on_bad_body)(struct h1_conn *c, enum reason why);
	/* FIN (or RST: error) was read where neither a tunnel nor a body until close ends. */
	void (*on_end)(struct h1_conn *c, bool error);
	/* Both directions are complete and the owner has released the stream. c->stream is NULL already. */
	void (*on_exchange_end)(struct h1_conn *c);
	void (*on_read_deadline)(struct h1_conn *c);
	enum reason slow_peer; /* the write deadline passed */
};

/* Makes a connection of either role around a transport. */
struct h1_conn *h1_conn_new(struct transport **t, const struct http_limits *lim,
	const struct http_conn_owner_ops *ops, void *owner, const struct http_conn_ops *conn_ops,
	const struct h1_role *role, bool server);
/* Begins an exchange. */
struct h1_stream *h1_stream_new(struct h1_conn *c, const struct stream_ops *ops);

static inline struct h1_conn *h1_conn_of(struct http_conn *c)
{
	OBJ_CHECK(c, HTTP_CONN_MAGIC);
	return CONTAINER(c, struct h1_conn, base);
}
static inline struct h1_stream *h1_stream_of(struct stream *s)
{
	OBJ_CHECK(s, STREAM_MAGIC);
	return CONTAINER(s, struct h1_stream, base);
}
static inline struct mem *h1_mem(struct h1_conn *c)
{
	return &c->base.loop->mem;
}
static inline bool h1_released(const struct h1_stream *s)
{
	return s->base.owner_ops == NULL;
}

void h1_rx_set(struct h1_stream *s, enum h1_rx to);
void h1_tx_set(struct h1_stream *s, enum h1_tx to);

/* -- conn.c: life and end -- */
/* Deferred to LOOP_READY: goes on with whatever can be done. */
void h1_wake(struct h1_conn *c);
/* The transport goes now, with RST if what was sent must not look complete. From anywhere; up-calls follow from the loop: on_reset(why) to
 * a stream that has not been told, then on_closed(why). */
void h1_close(struct h1_conn *c, enum reason why);
/* Nothing more will be sent: closes when all is written. Lingers if the peer may still be sending. */
void h1_finish(struct h1_conn *c);
/* The stream is dead for its owner, the connection is not (yet). From the loop. */
void h1_stream_dead(struct h1_conn *c, enum reason why);
/* If both directions are complete and the owner has released it, the exchange is over. */
void h1_check_end(struct h1_conn *c);
/* The owner has released the stream of a closed connection. */
void h1_forget_stream(struct h1_conn *c);
/* `out` is empty: a connection that is H1_CLOSING goes on to its end. */
void h1_all_written(struct h1_conn *c);

/* -- receive.c -- */
/* Consumes input as far as state and credit allow; reads when there is a use for it. From the loop only. */
void h1_receive(struct h1_conn *c);
/* The stream is a tunnel, and its peer may have reset it: finds out. From the loop only. */
void h1_ask_tunnel(struct h1_conn *c);

/* -- send.c -- */
/* Queued bytes leave in this tick. */
void h1_want_flush(struct h1_conn *c);
/* Writes now. From the loop only; who calls tells the owner afterwards what has left. */
void h1_flush(struct h1_conn *c);
/* Verbs that both roles' streams share. */
void h1_send_body(struct stream *s, struct chain *body, bool last);
void h1_send_trailers(struct stream *s, const struct fields *trailers);
void h1_credit(struct stream *s, size_t n);
void h1_reset(struct stream *s, enum reason why);
void h1_release(struct stream *s);
/* The framing of what follows a head, from head->body: TX_LENGTH or TX_CHUNKED, tx_left. */
void h1_begin_body(struct h1_stream *s, const struct head *h, struct h1_lines *l);
/* The owner's last byte is queued. */
void h1_end_message(struct h1_conn *c, struct h1_stream *s);

#endif
