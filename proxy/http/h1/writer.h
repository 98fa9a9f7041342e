/* http/h1/writer.h - canonical messages as HTTP/1.1 bytes (RFC 9112).
 *
 * A head goes into one reservation; runs of fields that came from HTTP/1 and lie next to each other are copied at once.
 * No byte that could end a line or a head early is ever written: a field that holds one is left out. */
#ifndef WEIR_HTTP_H1_WRITER_H
#define WEIR_HTTP_H1_WRITER_H

#include "base/mem.h"
#include "http/head.h"

/* The lines that are not among the fields. What head says of te_trailers, expect_continue (requests), status and target is taken
 * from there; what depends on the peer and the connection is decided by who calls. */
struct h1_lines {
	bool length; /* Content-Length: content_length */
	uint64_t content_length;
	bool chunked; /* Transfer-Encoding: chunked */
	bool close; /* Connection: close */
	bool keep_alive; /* Connection: keep-alive, for a peer that speaks HTTP/1.0 */
	/* Upgrade: websocket, with this Sec-WebSocket-Key (request: GET instead of head->method, version 13 if the fields do not say) or this
	 * Sec-WebSocket-Accept (response: 101 instead of head->status). */
	struct str websocket;
};

/* False, with nothing written, if the method, target or authority is not fit to be sent. */
bool h1_write_request(struct mem *m, struct chain *out, const struct head *h, const struct h1_lines *l);
void h1_write_response(struct mem *m, struct chain *out, const struct head *h, const struct h1_lines *l);

/* One chunk (RFC 9112 7.1): its size line, the bytes of body (moved, not copied; it is empty afterwards) and CRLF. An empty
 * body writes nothing: a chunk of size 0 would end the message. */
void h1_write_chunk(struct mem *m, struct chain *out, struct chain *body);
/* The last chunk and the trailers. NULL: none. */
void h1_write_last_chunk(struct mem *m, struct chain *out, const struct fields *trailers);

#endif
