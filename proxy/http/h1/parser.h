/* http/h1/parser.h - heads and trailers of HTTP/1 from bytes to their canonical form (RFC 9112, RFC 9110).
 *
 * Pure: no I/O, no allocation, nothing kept but what the caller passes again. Strict: what two parsers could read in
 * two ways is refused. All strings of the result are borrowed from the input or are literals; the input is writable
 * because the host is put into lower case where it lies. */
#ifndef WEIR_HTTP_H1_PARSER_H
#define WEIR_HTTP_H1_PARSER_H

#include "http/conn.h"
#include "http/head.h"

/* What fits into one block (base/mem.h); limits above are lowered to these, and a limit of 0 means them. */
#define H1_HEAD_MAX   (64u * 1024 - 64)
#define H1_FIELDS_MAX (H1_HEAD_MAX / sizeof(struct field))

enum h1_result {
	H1_PARTIAL, /* good so far, the end is not there yet */
	H1_COMPLETE,
	H1_BAD, /* `why` says what is wrong */
};

/* What was looked at already of a head or a trailer section that comes in pieces. Zeroed: a new one. It makes a head that
 * comes byte by byte cost linear time: it is parsed when its end, its first line or twice the bytes are there. */
struct h1_progress {
	uint32_t scanned; /* bytes that were searched for the end */
	uint32_t parse_at; /* number of bytes at which it is worth parsing though no end was seen */
	bool line_seen; /* the first line is whole */
};

struct h1_message {
	struct head head; /* the caller sets fields.v and fields.cap, room for h1_count_max() */
	size_t size; /* H1_COMPLETE: bytes that it took of the input */
	enum reason why; /* H1_BAD; CLIENT_ for requests (head.reject is the same), UPSTREAM_ for responses */
	bool keep_alive; /* the sender takes part in another exchange on this connection (RFC 9112 9.3) */
	bool chunked; /* framing of the body is chunked */
	bool until_close; /* response: the body ends where the connection does */
	struct str
		websocket_key; /* of a canonical request with protocol websocket: what Sec-WebSocket-Accept is made from */
	struct str
		websocket_accept; /* of a 101 that switches to websocket (RFC 6455 4.2.2); empty on any other */
};

/* What a response answers. */
struct h1_asked {
	uint8_t method_id; /* enum method */
	bool tunnel; /* a WebSocket handshake was sent */
};

/* Fields of one section. */
uint32_t h1_count_max(const struct http_limits *lim);

/* The head of a request at the start of [p, p+n), in canonical form: an acceptable WebSocket handshake has become extended CONNECT,
 * any other upgrade is gone. On H1_BAD head holds what was understood. CONNECT and TRACE are H1_BAD (CLIENT_CONNECT, CLIENT_TRACE). A few
 * empty lines before the request line are passed over (RFC 9112 2.2). */
enum h1_result h1_parse_request(
	struct h1_message *m, struct h1_progress *g, char *p, size_t n, const struct http_limits *lim);

/* The head of a response. Interim ones have body BODY_NONE. A 101 that was asked for is 200 with BODY_TUNNEL, if it says websocket:
 * the caller compares websocket_accept. Any other 101 is H1_BAD (UPSTREAM_BAD_UPGRADE). */
enum h1_result h1_parse_response(struct h1_message *m, struct h1_progress *g, char *p, size_t n,
	const struct http_limits *lim, const struct h1_asked *asked);

/* The trailer section behind the last chunk, its empty line included: m->head.fields without those that have no place in trailers
 * (FIELD_NO_TRAILER, RFC 9110 6.5.1). H1_BAD: CLIENT_BAD_CHUNK or CLIENT_HEADERS_TOO_LARGE. */
enum h1_result h1_parse_trailers(
	struct h1_message *m, struct h1_progress *g, char *p, size_t n, const struct http_limits *lim);

#endif
