/* cli/demo/websocket.h - a WebSocket peer that says back what it hears (RFC 6455). Pure: bytes in, bytes out. */
#ifndef WEIR_CLI_DEMO_WEBSOCKET_H
#define WEIR_CLI_DEMO_WEBSOCKET_H

#include "base/mem.h"

#define WEBSOCKET_HEADER_MAX 14

/* One connection; zeroed is fresh. */
struct websocket_echo {
	uint8_t header[WEBSOCKET_HEADER_MAX]; /* of the frame that is coming in */
	uint8_t have; /* bytes of it */
	bool in_payload;
	bool silent; /* the frame gets no answer: a pong */
	bool closing; /* it is a close frame */
	uint64_t left; /* payload bytes to come */
	uint8_t mask[4];
	uint32_t at; /* payload bytes so far, modulo 4: which byte of the mask is next */
};

/* Takes all of in and appends to out what is answered: data frames come back as they are, a ping as a pong. False when the
 * connection is over: the close frame that ends it is in out. */
bool websocket_echo_feed(struct websocket_echo *w, struct mem *m, struct chain *in, struct chain *out);

#endif
