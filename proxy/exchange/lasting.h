/* exchange/lasting.h - exchanges that do not end by themselves: WebSockets, event streams, gRPC calls.
 *
 * When what one goes through drains (the worker, its listener, its pool or its backend), or has left the configuration, it is given a
 * time: timeouts.tunnel_drain, or timeouts.stream_drain, less a random share of timeouts.drain_spread, so that not all come back at the
 * same moment to those that are left. Then it is ended in the way in which its client expects that and comes back:
 *
 *   WEBSOCKET  a close frame 1001 to both sides (tunnel.c)
 *   EVENTS     text/event-stream: the body's orderly end. What was not complete of an event is dropped by the client, who connects anew
 *              (HTML, "Server-sent events", 9.2.5 and 9.2.6)
 *   CALL       gRPC: the status UNAVAILABLE, upon which its clients may try again; of a call whose answer has begun in the trailers. One
 *              that has been sent as a whole, and awaits its answer, is left to timeouts.response
 *
 * All others, downloads above all, end by themselves and are let. */
#ifndef WEIR_EXCHANGE_LASTING_H
#define WEIR_EXCHANGE_LASTING_H

#include "base/list.h"
#include "base/str.h"

enum lasting_kind { LASTING_WEBSOCKET, LASTING_EVENTS, LASTING_CALL };

struct edge;
struct exchange;
struct head;

struct lasting {
	struct list link; /* in edge->lasting */
	struct exchange *exchange;
	uint8_t kind; /* enum lasting_kind */
	uint64_t since_ms; /* when it was first seen that it has to go; 0: it has not */
	uint32_t early_ms; /* by which it goes before its time is over */
};

/* What is open now. */
struct lasting_sums {
	uint32_t websockets, streams; /* streams: event streams and gRPC calls */
};

/* x->lasting, in its arena. */
void lasting_begin(struct exchange *x, enum lasting_kind kind);
/* It is over, or has turned out to be none; nothing if it was none. */
void lasting_end(struct exchange *x);
/* Its request goes to a backend, and has not come as a whole. */
void lasting_request(struct exchange *x);
/* Its answer has begun with this head, and goes on. */
void lasting_answer(struct exchange *x, const struct head *answer);
/* Something drains: looks soon which of them have to go. */
void lasting_look(struct edge *e);
/* Those that came in by that listener. */
struct lasting_sums lasting_of_listener(const struct edge *e, struct str socket_key);

#endif
