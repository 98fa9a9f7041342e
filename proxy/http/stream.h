/* http/stream.h - the seam: one end of one request/response pair, between a codec (h1, h2) and its owner (the
 * exchange; probes, the admin API and test fakes are owners too).
 *
 * The same verbs for requests and responses, for both codecs, on both sides. In the server role a codec receives requests
 * and sends responses; in the client role it sends requests and receives responses.
 *
 * Order, each way: head (interim heads before it, in responses only), body any number of times, then exactly one end: `last` with the
 * head or a body part, or trailers. Or a reset at any point, after which nothing follows in either direction.
 *
 * Down (owner to codec):
 *   send_head     serialises at once; the head need not outlive the call. last: no body follows.
 *   send_body     takes all of chain. At most what on_sent has reported back is in flight if the owner keeps to its credit.
 *   send_trailers ends the message.
 *   credit        lets the codec deliver n more body bytes. Starts at 0. A codec never delivers body beyond it.
 *   reset         gives up in both directions, with a reason that picks the h2 code; on an HTTP/1 connection it closes it (RST
 *                 if a response was begun, so that it cannot look complete). No up-calls follow; the owner still releases.
 *   release       the owner's last word: it will not touch the stream again, no up-calls follow. A stream that is not
 *                 complete in both directions is reset(CANCELLED) by it, except that a server-role stream whose response is
 *                 complete may be released while the request body is still coming: the codec deals with the rest.
 * Up (codec to owner), only from the loop, never from below a down-call:
 *   on_head       valid during the call. In the server role the first thing that a stream says.
 *   on_body       the owner takes the bytes it wants to keep out of chain; what it leaves is dropped. last: the end.
 *   on_trailers   the end. Fields are valid during the call; those that must not be in trailers are gone already.
 *   on_sent       n body bytes have left for the transport (0 is possible). `s->sent_all` is set when the whole message, end included, has.
 *   on_reset      the stream is dead: reason says whether the request was processed (its row's retry rule). Nothing follows; the owner
 *                 releases.
 * A stream is freed by its codec after release, at the end of the tick. */
#ifndef WEIR_HTTP_STREAM_H
#define WEIR_HTTP_STREAM_H

#include "base/mem.h"
#include "base/obj.h"
#include "base/reason.h"
#include "http/head.h"

#define STREAM_MAGIC 0x57e4a001

struct stream;
struct http_conn;

struct stream_ops {
	void (*send_head)(struct stream *s, const struct head *head, bool last);
	void (*send_body)(struct stream *s, struct chain *chain, bool last);
	void (*send_trailers)(struct stream *s, const struct fields *trailers);
	void (*credit)(struct stream *s, size_t n);
	void (*reset)(struct stream *s, enum reason why);
	void (*release)(struct stream *s);
};

struct stream_owner_ops {
	void (*on_head)(struct stream *s, const struct head *head, bool last);
	void (*on_body)(struct stream *s, struct chain *chain, bool last);
	void (*on_trailers)(struct stream *s, const struct fields *trailers);
	void (*on_sent)(struct stream *s, size_t n);
	void (*on_reset)(struct stream *s, enum reason why);
};

/* The codec's own stream struct begins with this one. */
struct stream {
	uint32_t magic;
	bool sent_all; /* everything the owner sent, end included, was taken by the transport */
	const struct stream_ops *ops;
	const struct stream_owner_ops *owner_ops; /* NULL after release */
	void *owner;
	struct http_conn *conn; /* the connection it runs on; its facts are in http/conn.h */
};

static inline void stream_send_head(struct stream *s, const struct head *head, bool last)
{
	s->ops->send_head(s, head, last);
}
static inline void stream_send_body(struct stream *s, struct chain *chain, bool last)
{
	s->ops->send_body(s, chain, last);
}
static inline void stream_send_trailers(struct stream *s, const struct fields *trailers)
{
	s->ops->send_trailers(s, trailers);
}
static inline void stream_credit(struct stream *s, size_t n)
{
	s->ops->credit(s, n);
}
static inline void stream_reset(struct stream *s, enum reason why)
{
	s->ops->reset(s, why);
}
/* Takes the owner's pointer; NULL is fine. */
static inline void stream_release(struct stream **sp)
{
	struct stream *s = TAKE(sp);

	if (s) {
		OBJ_CHECK(s, STREAM_MAGIC);
		s->ops->release(s);
	}
}

#endif
