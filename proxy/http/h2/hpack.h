/* http/h2/hpack.h - header compression (RFC 7541) over nghttp2's, and heads written as HEADERS frames. */
#ifndef WEIR_HTTP_H2_HPACK_H
#define WEIR_HTTP_H2_HPACK_H

#include <nghttp2/nghttp2.h>
#include "base/mem.h"
#include "http/head.h"

/* What a connection's two tables may take at most, whatever the peer would allow (RFC 7541 4.2). The inflater's is the
 * protocol's default and not announced. */
#define H2_HPACK_TABLE 4096

struct h2_hpack {
	nghttp2_hd_inflater *in;
	nghttp2_hd_deflater *out;
};

enum h2_headers_kind { H2_HEADERS_REQUEST, H2_HEADERS_RESPONSE, H2_HEADERS_TRAILERS };

void h2_hpack_init(struct h2_hpack *hp);
void h2_hpack_free(struct h2_hpack *hp);
/* The peer's SETTINGS_HEADER_TABLE_SIZE. */
void h2_hpack_peer_table(struct h2_hpack *hp, uint32_t size);
/* Appends a HEADERS frame, and CONTINUATIONs if one frame does not hold it, to out. Frames must leave in the order in
 * which they are written. TRAILERS: head->fields alone. */
void h2_hpack_write(struct h2_hpack *hp, struct mem *m, struct chain *out, uint32_t stream,
	enum h2_headers_kind kind, const struct head *head, bool end_stream);

#endif
