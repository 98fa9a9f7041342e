/* http/conn.h - a connection that speaks HTTP: what h1 and h2 have in common, in the server and in the client role.
 *
 * A server-role connection makes a stream for each request and hands it to on_stream. A client-role connection opens a
 * stream when asked. The connection owns its transport and frees itself: on_closed is the last word. */
#ifndef WEIR_HTTP_CONN_H
#define WEIR_HTTP_CONN_H

#include "base/list.h"
#include "http/stream.h"
#include "io/transport.h"

#define HTTP_CONN_MAGIC 0xc0441de1

/* Set once per listener or pool, const, outlives the connection (it is the snapshot's or the backend's). ms; 0: no limit. */
struct http_limits {
	uint32_t
		header_ms; /* from the first byte of a head (or the start of the connection) to its end: absolute */
	uint32_t
		body_ms; /* between two reads of a body, and between two writes when the peer does not read */
	uint32_t
		body_least; /* server role: bytes of a request's body within body_ms, until all of it is there; 0: one */
	uint32_t idle_ms; /* between requests */
	uint32_t header_bytes; /* of one head, request line included; also of trailers */
	uint32_t header_count;
	uint32_t
		max_streams; /* h2 server role: SETTINGS_MAX_CONCURRENT_STREAMS; client role: streams at once on a connection */
	uint32_t requests; /* requests on one server-role connection before it is drained; 0: any number */
	uint32_t window; /* h2: stream window that is granted as credit allows; 64 KiB if 0 */
	bool tls; /* the listener is TLS: scheme is https */
	bool h2c; /* server role, h1: a connection that begins with HTTP/2's preface goes to on_preface (RFC 9113 3.3) */
};

struct http_conn;

struct http_conn_ops {
	/* Client role: a new stream, or NULL when there is no capacity (look at `capacity` first). The caller has set nothing yet: it passes
	 * itself as owner, then sends the head at once. */
	struct stream *(*open)(struct http_conn *c, const struct stream_owner_ops *ops, void *owner);
	/* Server: no new requests after those begun: `Connection: close`, or GOAWAY in two steps (RFC 9113 6.8); an idle connection closes.
	 * Client: no new streams; closes when the last one ends. */
	void (*drain)(struct http_conn *c);
	/* At once. Streams get on_reset(why), from the loop. */
	void (*close)(struct http_conn *c, enum reason why);
};

struct http_conn_owner_ops {
	/* Server role. Set s->owner_ops and s->owner; on_head follows at once. */
	void (*on_stream)(struct http_conn *c, struct stream *s);
	/* Server role, h1 with limits->h2c: the peer speaks HTTP/2. Takes the transport and what was read of it; c closes itself
	 * afterwards with on_closed(REASON_NONE). */
	void (*on_preface)(struct http_conn *c, struct transport **t, struct chain *received);
	/* Client role: `capacity`, `settled` or `draining` changed, or it became idle. From the loop only. */
	void (*on_change)(struct http_conn *c);
	/* It is closed and its streams are reset; freed at the end of the tick. REASON_NONE: an orderly close. */
	void (*on_closed)(struct http_conn *c, enum reason why);
};

struct http_conn {
	uint32_t magic;
	uint8_t version; /* enum http_version: 1.1 or 2 */
	bool server : 1; /* role */
	bool patient : 1; /* server role, h1, draining: whoever was not told yet is told with his next answer, not by a close */
	bool unused : 1; /* client role: no stream was ever opened on it */
	bool settled : 1; /* client role: the peer has said how many streams it takes; until then `capacity` is a guess */
	bool handshake_told : 1; /* server role: a trace has told of its TLS handshake */
	bool draining; /* takes no new streams */
	uint32_t streams; /* open now */
	uint32_t capacity; /* client role: streams that open() would give now */
	const struct http_conn_ops *ops;
	const struct http_conn_owner_ops *owner_ops;
	void *owner;
	union { /* the owner's */
		void *account; /* server role: who the connection counts for; NULL: nobody */
		uint32_t number; /* client role: of its pool's, counted as they are made */
	};
	struct list link; /* the owner's: a pool's idle list, a worker's list of connections */
	struct loop *loop;
	struct transport *transport;
	const struct http_limits *limits;
};

/* Takes an OPEN transport; the connection begins to read in this tick. NULL owner_ops members are allowed where the role
 * never calls them. */
struct http_conn *h1_server(struct transport **t, const struct http_limits *lim,
	const struct http_conn_owner_ops *ops, void *owner);
struct http_conn *h1_client(struct transport **t, const struct http_limits *lim,
	const struct http_conn_owner_ops *ops, void *owner);
/* received: bytes that were read already, taken; NULL if none. */
struct http_conn *h2_server(struct transport **t, struct chain *received, const struct http_limits *lim,
	const struct http_conn_owner_ops *ops, void *owner);
struct http_conn *h2_client(struct transport **t, const struct http_limits *lim,
	const struct http_conn_owner_ops *ops, void *owner);

static inline struct stream *http_conn_open(
	struct http_conn *c, const struct stream_owner_ops *ops, void *owner)
{
	return c->ops->open(c, ops, owner);
}
static inline void http_conn_drain(struct http_conn *c)
{
	c->ops->drain(c);
}
static inline void http_conn_close(struct http_conn *c, enum reason why)
{
	c->ops->close(c, why);
}

#endif
