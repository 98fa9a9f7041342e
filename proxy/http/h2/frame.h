/* http/h2/frame.h - HTTP/2's frames as bytes: headers, constants, and what a frame header alone shows to be wrong.
 * Pure: no state, no allocation (RFC 9113 4 and 6). */
#ifndef WEIR_HTTP_H2_FRAME_H
#define WEIR_HTTP_H2_FRAME_H

#include <stdbool.h>
#include <stdint.h>
#include "base/reason.h"
#include "base/str.h"

#define H2_FRAME_HEADER 9
#define H2_FRAME_MAX \
	16384u /* SETTINGS_MAX_FRAME_SIZE until the peer says more; we never do (RFC 9113 6.5.2) */
#define H2_FRAME_MAX_LIMIT 16777215u
#define H2_WINDOW_DEFAULT  65535
#define H2_WINDOW_MAX      0x7fffffff
#define H2_STREAM_ID_MAX   0x7fffffffu

/* What a client says first (RFC 9113 3.4). */
#define H2_PREFACE     "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define H2_PREFACE_LEN 24

enum h2_frame_type {
	H2_FRAME_DATA,
	H2_FRAME_HEADERS,
	H2_FRAME_PRIORITY,
	H2_FRAME_RST_STREAM,
	H2_FRAME_SETTINGS,
	H2_FRAME_PUSH_PROMISE,
	H2_FRAME_PING,
	H2_FRAME_GOAWAY,
	H2_FRAME_WINDOW_UPDATE,
	H2_FRAME_CONTINUATION,
	H2_FRAME_TYPES /* others are unknown and ignored (RFC 9113 5.5) */
};

enum h2_flag {
	H2_FLAG_END_STREAM = 0x1,
	H2_FLAG_ACK = 0x1,
	H2_FLAG_END_HEADERS = 0x4,
	H2_FLAG_PADDED = 0x8,
	H2_FLAG_PRIORITY = 0x20,
};

enum h2_setting {
	H2_SET_HEADER_TABLE_SIZE = 1,
	H2_SET_ENABLE_PUSH = 2,
	H2_SET_MAX_CONCURRENT_STREAMS = 3,
	H2_SET_INITIAL_WINDOW_SIZE = 4,
	H2_SET_MAX_FRAME_SIZE = 5,
	H2_SET_MAX_HEADER_LIST_SIZE = 6,
	H2_SET_ENABLE_CONNECT_PROTOCOL = 8, /* RFC 8441 3 */
};

struct h2_frame {
	uint32_t length; /* of the payload */
	uint32_t stream; /* the reserved bit is gone */
	uint8_t type; /* any value */
	uint8_t flags;
};

/* Why a frame is refused, and how much goes down with it. */
struct h2_fault {
	uint8_t code; /* enum h2_error; H2_NO_ERROR: nothing is wrong */
	bool stream; /* a stream error is enough (RFC 9113 5.4.2) */
};

void h2_frame_parse(struct h2_frame *f, const uint8_t p[H2_FRAME_HEADER]);
void h2_frame_pack(uint8_t p[H2_FRAME_HEADER], const struct h2_frame *f);
/* Length and stream identifier against what the type allows. */
struct h2_fault h2_frame_check(const struct h2_frame *f);
/* Strips padding, and the priority fields of HEADERS, from a whole payload. False: the padding is as long as the
 * payload or longer (a connection error, RFC 9113 6.1). depends, if not NULL, gets the stream that HEADERS depends on; 0: none. */
bool h2_frame_strip(const struct h2_frame *f, struct str *payload, uint32_t *depends);

static inline uint32_t h2_get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static inline uint16_t h2_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}
static inline void h2_put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}
static inline void h2_put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

#endif
