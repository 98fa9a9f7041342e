/* http/ws_frames.h - where the frames of a WebSocket end (RFC 6455 5.2), in one direction of a tunnel whose bytes are passed on
 * unread: only between two frames can one of ours be put in. */
#ifndef WEIR_HTTP_WS_FRAMES_H
#define WEIR_HTTP_WS_FRAMES_H

#include "base/mem.h"

#define WS_GOING_AWAY 1001 /* RFC 6455 7.4.1 */

/* Zeroed: before the first frame. */
struct ws_frames {
	uint64_t left; /* of the payload of the frame under way */
	uint8_t head[10]; /* of the frame that is beginning: what says how long it is */
	uint8_t head_n;
	bool closed; /* a close frame has come: nothing may follow it */
};

static inline bool ws_frames_between(const struct ws_frames *f)
{
	return f->head_n == 0 && f->left == 0;
}

/* These bytes have come. to_end: looks at them only as far as the frame under way goes. Returns how many bytes it has looked at. */
size_t ws_frames_pass(struct ws_frames *f, const struct chain *c, bool to_end);
/* Appends a close frame that says GOING_AWAY; masked as a client's have to be (RFC 6455 5.3), with the key given. */
void ws_close_frame(struct mem *m, struct chain *c, bool masked, uint32_t key);

#endif
