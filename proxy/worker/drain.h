/* worker/drain.h - clients are told to go, a share of them at a time, so that they do not all come back at once somewhere else.
 *
 * On HTTP/2 a client is told at once (GOAWAY in two steps). On HTTP/1 he is told with his next answer; whoever has not asked again a while
 * after the last was told is closed. */
#ifndef WEIR_WORKER_DRAIN_H
#define WEIR_WORKER_DRAIN_H

#include "base/str.h"
#include "io/loop.h"

#define DRAIN_REST_MS 1000

struct http_conn;
struct worker;

/* Zeroed: nothing drains. */
struct drain {
	struct worker *worker;
	struct str socket_key; /* of the listener whose clients go; STR_NONE: all */
	uint32_t
		rest_ms; /* after the last was told, who rests is closed so long later; 0: he stays until he asks */
	uint64_t end_ms; /* by then all have been told */
	bool told; /* all have been: the next tick is for those who rest */
	struct deadline tick;
};

/* spread_ms 0: at once. socket_key has to outlive it. */
void drain_begin(
	struct drain *d, struct worker *w, struct str socket_key, uint32_t spread_ms, uint32_t rest_ms);
void drain_end(struct drain *d);
/* One that has come about meanwhile: its first answer is its last. */
void drain_newcomer(struct http_conn *c);

#endif
