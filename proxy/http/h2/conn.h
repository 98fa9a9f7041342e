/* http/h2/conn.h - an HTTP/2 connection (RFC 9113) behind http/conn.h, and its streams behind http/stream.h: what the
 * files of this folder share. The rest of weir includes http/conn.h alone.
 *
 *   conn.c    its life: made, timed out, drained, failed, closed
 *   input.c   bytes in, cut into frames
 *   recv.c    what each frame does
 *   send.c    bytes out: control frames, and DATA of all streams in turn, gathered into one write
 *   stream.c  one stream: the owner's verbs, and what it is owed
 *   server.c, client.c   what the roles do differently
 *
 * Reading calls up directly (it is the loop's doing); everything else that the owner must hear goes through the READY
 * task, everything that is to be written through the FLUSH task, everything that is freed through the REAP task. */
#ifndef WEIR_HTTP_H2_CONN_H
#define WEIR_HTTP_H2_CONN_H

#include "base/list.h"
#include "http/conn.h"
#include "http/h2/block.h"
#include "http/h2/frame.h"
#include "http/h2/guard.h"
#include "http/h2/hpack.h"
#include "io/loop.h"

#define H2_BUCKETS      32 /* of the stream table; ids count up by two, so they spread evenly */
#define H2_CLOSED_KEPT  64 /* ids of streams closed last, to tell a late frame from a wrong one */
#define H2_BY_OUR_RESET 0x80000000u /* in that ring: late frames are to be expected */
#define H2_CONN_WINDOW  (1024 * 1024) /* for all streams of a connection together, returned on receipt */
#define H2_TURN_BYTES \
	(128 * 1024) /* gathered before a write, two full sends of TLS; on_sent is owed once they are gone */
#define H2_OUT_MAX (64 * 1024) /* control bytes that wait for the peer to read before we stop reading it */
#define H2_PEER_STREAMS \
	1 /* of a server until its SETTINGS come, which takes one round trip: it may allow no more, and then every other is refused */
#define H2_INTERIM_MAX 16 /* 1xx heads before the final one */
#define H2_PING_MS     1000 /* how long a drain waits for its PING, and a closed connection for the peer's FIN */
#define H2_CLOSE_MS    5000 /* how long the last frames may take to leave */
#define H2_LOOK_MS \
	1000 /* server role, while answers are owed: then a client that may be gone is looked after */

enum h2_conn_state {
	H2_CONN_PREFACE, /* the peer's preface and first SETTINGS are awaited */
	H2_CONN_OPEN,
	H2_CONN_CLOSING, /* the last GOAWAY is queued; nothing is read any more */
	H2_CONN_LINGER, /* all is sent; what still comes is thrown away, so that no RST overtakes the GOAWAY */
	H2_CONN_CLOSED,
	H2_CONN_STATES
};

/* Server role: GOAWAY in two steps (RFC 9113 6.8), so that no request under way is refused. */
enum h2_goaway { H2_GOAWAY_NONE, H2_GOAWAY_NOTICE, H2_GOAWAY_FINAL };

/* Each direction of a stream is one message. */
enum h2_half {
	H2_HALF_HEAD, /* the (final) head has not come */
	H2_HALF_BODY,
	H2_HALF_ENDING, /* in: the end has come, not all is delivered. out: the owner has ended, not all is framed */
	H2_HALF_DONE, /* in: the owner has it all. out: END_STREAM is framed */
	H2_HALF_RESET,
	H2_HALVES
};

/* What waits outside of any frame: trailers behind body, or a head before SETTINGS. Lives in its own arena. */
struct h2_kept {
	struct arena arena;
	struct head head;
	bool last; /* it is the end of the message */
	bool ended; /* the end came while it waited */
};

struct h2_stream {
	struct stream base;
	struct h2_conn *c;
	struct h2_stream *next; /* in its bucket */
	uint32_t id; /* 0: client role, head not sent */
	uint8_t in, out; /* enum h2_half */
	bool open; /* counted in conn.streams, and in the table if it has an id: the peer may still refer to it */
	bool released;
	bool tunnel;
	bool settled; /* `pending` does not hold the block that the thread reads into */
	bool owes_sent;
	bool has_length; /* in: content-length was given */
	bool unhurried; /* server role: a gRPC call, whose messages come when there are some */
	uint8_t interim; /* 1xx heads so far */
	uint8_t method; /* enum method, client role: decides whether the response has a body */
	uint16_t owes_reset; /* enum reason that on_reset has to tell; REASON_NONE: nothing */
	int32_t send_window;
	int32_t recv_window;
	uint32_t unreturned; /* delivered, not yet given back as WINDOW_UPDATE */
	uint64_t length_left; /* of has_length */
	uint64_t arrived; /* body bytes since the peer was given time for more */
	size_t credit; /* body bytes that the owner still takes */
	size_t framed; /* body bytes in the write that is under way */
	size_t sent; /* gone, on_sent owed */
	struct chain received; /* arrived beyond credit: at most the stream's window */
	struct chain pending; /* from the owner, waits for its turn and for the windows */
	struct h2_kept *trailers_in, *trailers_out;
	struct h2_kept *head_out; /* client role: extended CONNECT that waits for the peer's SETTINGS */
	struct list link; /* conn.all */
	struct list ready_link; /* conn.ready, at last conn.dead */
	struct list send_link; /* conn.sending */
	struct list wire_link; /* conn.in_control, conn.on_wire */
	struct deadline stall; /* the peer owes body, or window */
};

/* The frame that is coming in. */
struct h2_input {
	uint8_t header[H2_FRAME_HEADER + 1]; /* and the pad length of DATA */
	uint8_t have; /* bytes of header */
	uint8_t preface; /* bytes of the client's preface that have matched */
	uint32_t data_left, pad_left; /* of a DATA frame whose payload is passed on as it comes */
	uint32_t data_stream; /* 0: it is thrown away */
	bool data_end;
	struct h2_frame frame;
	struct block *payload; /* of another frame that comes in pieces */
};

struct h2_role;

struct h2_conn {
	struct http_conn base;
	const struct h2_role *role;
	uint8_t state; /* enum h2_conn_state */
	uint8_t goaway; /* enum h2_goaway */
	bool settings_acked; /* ours, by the peer */
	bool peer_settings; /* the peer's have come */
	bool peer_connect; /* the peer takes extended CONNECT */
	bool changed; /* client role: on_change is owed */
	bool resting; /* the last open stream has ended: h2_conn_rests() is due */
	bool told; /* on_closed is done */
	bool more; /* reading stopped half-way and goes on after the flush */
	bool wire_settled; /* likewise `wire` */
	bool window_blocked; /* DATA waits for the connection's window */
	uint16_t why; /* enum reason of on_closed */
	uint32_t requests; /* server role */
	uint32_t alive; /* stream structs, released or not: the connection is freed after the last */
	uint32_t last_id; /* server role: highest the peer has used; client role: highest that we have */
	uint32_t
		goaway_id; /* streams above it are not processed: by us (server role), by the peer (client role) */
	uint32_t peer_streams; /* SETTINGS_MAX_CONCURRENT_STREAMS */
	int32_t peer_window; /* SETTINGS_INITIAL_WINDOW_SIZE */
	int32_t send_window;
	int32_t recv_window;
	struct h2_hpack hpack;
	struct h2_guard guard;
	struct h2_input input;
	struct h2_block *block; /* the header block under way; NULL between blocks */
	struct chain received; /* bytes that came with the transport, not yet parsed */
	struct chain control; /* frames other than DATA, in order */
	struct chain wire; /* the write under way: whole frames, never reordered */
	struct block *stage; /* frame headers of the turn; NULL outside of a flush */
	struct list all; /* streams not yet freed */
	struct list ready; /* streams that owe their owners something */
	struct list sending; /* streams with something to send and a window of their own to send it in */
	struct list in_control; /* streams whose END_STREAM is in `control` */
	struct list on_wire; /* streams with frames in `wire` */
	struct list dead; /* freed at the end of the tick */
	struct task ready_task, flush_task, reap_task;
	struct deadline idle; /* no streams */
	struct deadline head; /* preface, or a header block, is not complete */
	struct deadline write_stall; /* the peer does not read, or holds its connection window shut */
	struct deadline reply; /* SETTINGS ACK; PING of a drain; the peer's FIN */
	struct deadline
		look; /* after a peer that may have reset the connection together with what it sent last */
	uint32_t closed_at;
	uint32_t closed[H2_CLOSED_KEPT]; /* ring of ids, with H2_BY_OUR_RESET */
	struct h2_stream *buckets[H2_BUCKETS];
};

struct h2_role {
	/* A head is complete, and well-formed or `wrong`. s is NULL in the server role, where it opens a stream. */
	void (*head_in)(struct h2_conn *c, struct h2_stream *s, struct h2_block *b);
	void (*settings_in)(struct h2_conn *c); /* new ones are in force */
	void (*goaway_in)(struct h2_conn *c, uint32_t last_id);
	/* A frame other than HEADERS on a stream that was never opened: does it belong to the future (idle)? */
	bool (*is_idle)(const struct h2_conn *c, uint32_t id);
	/* The peer broke the rules: as what it is told upwards. */
	enum reason (*fault)(enum h2_error code);
	/* The peer reset the stream. REASON_NONE: it does no harm. */
	enum reason (*reset_in)(struct h2_conn *c, struct h2_stream *s, enum h2_error code);
	/* The connection is lost: as what a stream is told. */
	enum reason (*lost)(const struct h2_stream *s, bool reset);
	enum reason body_short, body_long; /* against content-length */
	enum reason body_stalled, read_stalled; /* the peer does not send its body; does not take ours */
	enum reason slow_head; /* preface, SETTINGS or a header block took too long */
	void (*changed)(struct h2_conn *c); /* how many streams are open, or whether it is draining */
};

extern const struct h2_role h2_server_role, h2_client_role;
extern const struct stream_ops h2_stream_ops;

/* -- conn.c -- */
struct h2_conn *h2_conn_new(struct transport **t, const struct h2_role *role, const struct http_limits *lim,
	const struct http_conn_owner_ops *ops, void *owner);
void h2_conn_set_state(struct h2_conn *c, enum h2_conn_state to);
/* Is the peer still listened to? */
static inline bool h2_conn_reads(const struct h2_conn *c)
{
	return c->state <= H2_CONN_OPEN;
}
static inline bool h2_conn_lives(const struct h2_conn *c)
{
	return c->state <= H2_CONN_CLOSING;
}
/* The peer broke the rules: GOAWAY with that code, streams are reset, close. */
void h2_conn_fault(struct h2_conn *c, enum h2_error code);
/* Orderly or not: GOAWAY with the reason's code, streams are reset with it, close once all has left. */
void h2_conn_finish(struct h2_conn *c, enum reason why, enum h2_error code);
/* The transport is dead, or the peer has closed. */
void h2_conn_lost(struct h2_conn *c, bool reset);
/* Gone at once. */
void h2_conn_cut(struct h2_conn *c, enum reason why);
/* http_conn_ops.close: at once, but the peer is told if its socket takes the GOAWAY. */
void h2_conn_close_down(struct http_conn *base, enum reason why);
/* False when the budget is used up: the connection is failing then. */
bool h2_conn_charge(struct h2_conn *c, enum h2_guard_cost cost);
void h2_conn_goaway(struct h2_conn *c, uint32_t last_id, enum h2_error code);
/* The peer has answered our PING. */
void h2_conn_ponged(struct h2_conn *c);
/* Server role: the first or, when that one has had its round trip, the second GOAWAY. */
void h2_conn_drain(struct h2_conn *c);
/* Client role: on_change is owed if what it tells about is not what it was. */
void h2_conn_changed(struct h2_conn *c);
/* No stream is open: is it time to be idle, or to close? */
void h2_conn_rests(struct h2_conn *c);
struct h2_stream *h2_conn_find(const struct h2_conn *c, uint32_t id);
static inline struct loop *h2_loop(const struct h2_conn *c)
{
	return c->base.loop;
}
static inline struct mem *h2_mem(const struct h2_conn *c)
{
	return &c->base.loop->mem;
}
static inline int32_t h2_stream_window(const struct h2_conn *c)
{
	/* Never below the protocol's default, so that it holds before our SETTINGS are acknowledged, too. */
	return (int32_t)MIN(
		MAX(c->base.limits->window ? c->base.limits->window : 65536u, (uint32_t)H2_WINDOW_DEFAULT),
		(uint32_t)H2_WINDOW_MAX);
}

/* -- input.c -- */
/* Reads and handles what there is. */
void h2_conn_read(struct h2_conn *c);

/* -- recv.c -- */
/* A frame other than DATA is complete; its header was found good, but for stream errors. */
void h2_frame_in(struct h2_conn *c, const struct h2_frame *f, struct str payload);
/* The header of a DATA frame, and its pad length, are there; its payload is passed on as it comes. */
void h2_data_begins(struct h2_conn *c, const struct h2_frame *f);
/* n bytes of the payload or the padding, in b (NULL: they are gone after the call). */
void h2_data_piece(struct h2_conn *c, struct block *b, const char *p, size_t n);

/* -- send.c -- */
void h2_conn_flush(struct h2_conn *c);
void h2_send_frame(struct h2_conn *c, enum h2_frame_type type, uint8_t flags, uint32_t stream,
	const void *payload, uint32_t n);
void h2_send_rst(struct h2_conn *c, uint32_t stream, enum h2_error code);
void h2_send_window_update(struct h2_conn *c, uint32_t stream, uint32_t n);
/* The preface of the role, SETTINGS, and the connection's window. */
void h2_send_hello(struct h2_conn *c, bool server);
/* s has something to send. */
void h2_send_wake(struct h2_stream *s);
/* Copies what waits in s out of the block that the thread reads into, once. */
void h2_send_settle(struct h2_stream *s);

/* -- stream.c -- */
/* Open, without an id. */
struct h2_stream *h2_stream_new(struct h2_conn *c);
/* Into the table. */
void h2_stream_set_id(struct h2_stream *s, uint32_t id);
/* Neither side may send on it any more. */
void h2_stream_leave(struct h2_stream *s, bool by_our_reset);
void h2_stream_set_in(struct h2_stream *s, enum h2_half to);
void h2_stream_set_out(struct h2_stream *s, enum h2_half to);
/* The owner has something to hear: at the READY phase. */
void h2_stream_wake(struct h2_stream *s);
/* Now. Not from below a down-call. */
void h2_stream_deliver(struct h2_stream *s);
/* Dead, without a word to the peer; the owner hears why, unless it is REASON_NONE. */
void h2_stream_kill(struct h2_stream *s, enum reason why);
/* A stream error: RST_STREAM and h2_stream_kill(), at the peer's expense. */
void h2_stream_fault(struct h2_stream *s, enum h2_error code, enum reason why);
/* The peer has said all and wants no more of ours. */
void h2_stream_stop_sending(struct h2_stream *s);
/* Both directions may have come to an end. */
void h2_stream_settle(struct h2_stream *s);
/* The head in HEADERS, at once; the stream has its id. */
void h2_stream_write_head(struct h2_stream *s, const struct head *head, bool last);
/* Frees what is left of a stream; from the REAP task. */
void h2_stream_free(struct h2_stream *s);
/* The peer owes something: (re)starts the clock. */
void h2_stream_expect(struct h2_stream *s);
/* Something that it owed has come: the clock stops, unless it owes something else, body or window. */
void h2_stream_received(struct h2_stream *s);
struct h2_kept *h2_keep(struct h2_conn *c, const struct head *head, bool last);
void h2_unkeep(struct h2_conn *c, struct h2_kept **kept);

/* -- client.c -- */
void h2_client_drain(struct http_conn *base);
/* Gives s its id. False: not now (its head is kept) or not at all (on_reset is owed). */
bool h2_client_begin(struct h2_stream *s, const struct head *head, bool last);

#endif
