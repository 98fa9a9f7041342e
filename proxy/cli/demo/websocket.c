#include "cli/demo/websocket.h"

#include "base/obj.h"

/* RFC 6455 5.2, 5.5 */
enum opcode {
	CONTINUATION = 0,
	TEXT_FRAME = 1,
	BINARY_FRAME = 2,
	CLOSE_FRAME = 8,
	PING_FRAME = 9,
	PONG_FRAME = 10
};

#define FIN              0x80
#define RESERVED         0x70
#define MASKED           0x80
#define CONTROL_MAX      125
#define PROTOCOL_ERROR_S "\x88\x02\x03\xea" /* a close frame with status 1002 (RFC 6455 7.4.1) */

/* How long the header is, as far as it is known. */
static uint8_t header_length(const struct websocket_echo *w)
{
	uint8_t n = 2;

	if (w->have < 2)
		return n;
	n += (w->header[1] & 127) == 126 ? 2 : (w->header[1] & 127) == 127 ? 8 : 0;
	return n + (w->header[1] & MASKED ? 4 : 0);
}

static bool is_known(uint8_t opcode)
{
	return opcode <= BINARY_FRAME || (opcode >= CLOSE_FRAME && opcode <= PONG_FRAME);
}

/* The header is complete: what is the frame, and how does its answer begin? False: it breaks the rules. */
static bool begin_frame(struct websocket_echo *w, struct mem *m, struct chain *out)
{
	uint8_t answer[10], opcode = w->header[0] & 15, length = w->header[1] & 127;
	uint8_t extended = length == 126 ? 2 : length == 127 ? 8 : 0;

	/* 5.1: what a client sends is masked, or the connection is closed. */
	if ((w->header[0] & RESERVED) || !(w->header[1] & MASKED) || !is_known(opcode))
		return false;
	if (opcode >= CLOSE_FRAME && (length > CONTROL_MAX || !(w->header[0] & FIN)))
		return false;
	w->left = extended ? 0 : length;
	for (uint8_t i = 0; i < extended; i++)
		w->left = w->left << 8 | w->header[2 + i];
	if (w->left >> 63)
		return false;
	memcpy(w->mask, w->header + 2 + extended, 4);
	w->at = 0;
	w->in_payload = true;
	w->silent = opcode == PONG_FRAME;
	w->closing = opcode == CLOSE_FRAME;
	if (w->silent)
		return true;
	answer[0] = (uint8_t)((w->header[0] & FIN) | (opcode == PING_FRAME ? PONG_FRAME : opcode));
	answer[1] = length;
	memcpy(answer + 2, w->header + 2, extended);
	chain_add_copy(m, out, (const char *)answer, 2u + extended);
	return true;
}

static void copy_payload(struct websocket_echo *w, struct mem *m, const char *p, size_t n, struct chain *out)
{
	while (n && !w->silent) {
		size_t part = MIN(n, (size_t)4096);
		char *to = chain_reserve(m, out, part);

		for (size_t i = 0; i < part; i++)
			to[i] = (char)(p[i] ^ w->mask[(w->at + i) & 3]);
		chain_commit(m, out, part);
		w->at = (uint32_t)(w->at + part) & 3;
		p += part;
		n -= part;
	}
}

/* Takes some of the bytes; 0 when the connection is over. */
static size_t take(struct websocket_echo *w, struct mem *m, const char *p, size_t n, struct chain *out)
{
	size_t taken;

	if (w->in_payload) {
		taken = (size_t)MIN((uint64_t)n, w->left);
		copy_payload(w, m, p, taken, out);
		w->left -= taken;
	} else {
		taken = MIN(n, (size_t)(header_length(w) - w->have));
		memcpy(w->header + w->have, p, taken);
		w->have = (uint8_t)(w->have + taken);
		if (w->have < header_length(w))
			return taken;
		if (!begin_frame(w, m, out)) {
			chain_add_static(m, out, STR(PROTOCOL_ERROR_S));
			return 0;
		}
	}
	if (w->left == 0) {
		w->in_payload = false;
		w->have = 0;
		if (w->closing)
			return 0;
	}
	return taken;
}

bool websocket_echo_feed(struct websocket_echo *w, struct mem *m, struct chain *in, struct chain *out)
{
	bool alive = true;

	while (alive && in->first) {
		size_t taken = take(w, m, in->first->p, in->first->n, out);

		alive = taken > 0;
		chain_drain(m, in, taken);
	}
	chain_clear(m, in);
	return alive;
}
