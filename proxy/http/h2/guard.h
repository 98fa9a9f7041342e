/* http/h2/guard.h - one budget of patience per connection against floods of cheap frames (rapid reset, resets that we are
 * provoked to send, PING, SETTINGS, CONTINUATION, PRIORITY, WINDOW_UPDATE, empty DATA).
 *
 * Every frame that costs us more than it costs the peer takes something; time and honest work (messages that come to
 * their end, body bytes moved) give it back. An empty budget ends the connection with ENHANCE_YOUR_CALM.
 * The costs are chosen so that a browser that leaves a page with a hundred open streams, and a client that sends a
 * PING and two WINDOW_UPDATEs for every DATA frame it gets, never notice. */
#ifndef WEIR_HTTP_H2_GUARD_H
#define WEIR_HTTP_H2_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#define H2_GUARD_FULL       5000
#define H2_GUARD_PER_SECOND 500

enum h2_guard_cost {
	H2_COST_RESET = 15, /* either way: a stream that came to nothing */
	H2_COST_SETTINGS = 20,
	H2_COST_PING = 5,
	H2_COST_CONTINUATION = 5,
	H2_COST_EMPTY_CONTINUATION = 50,
	H2_COST_EMPTY_DATA = 4,
	H2_COST_TINY_DATA = 1,
	H2_COST_SMALL = 1, /* PRIORITY, WINDOW_UPDATE, unknown types, frames on streams that are gone */
};

enum h2_guard_work {
	H2_WORK_MESSAGE = 10, /* a stream that came to its end both ways */
	H2_WORK_DATA = 3, /* a DATA frame of some size, or the last one */
};

#define H2_DATA_HONEST 1024 /* bytes of a DATA frame that count as work */
#define H2_DATA_TINY   8 /* fewer look like an attempt to make us count frames */

struct h2_guard {
	int32_t left; /* of H2_GUARD_FULL */
	uint64_t at_ms; /* when time was last paid out */
};

static inline void h2_guard_init(struct h2_guard *g, uint64_t now_ms)
{
	g->left = H2_GUARD_FULL;
	g->at_ms = now_ms;
}

/* False: the patience is at an end. */
bool h2_guard_charge(struct h2_guard *g, enum h2_guard_cost cost, uint64_t now_ms);

static inline void h2_guard_reward(struct h2_guard *g, enum h2_guard_work work)
{
	g->left += (int32_t)work;
	if (g->left > H2_GUARD_FULL)
		g->left = H2_GUARD_FULL;
}

#endif
