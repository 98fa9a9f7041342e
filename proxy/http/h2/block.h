/* http/h2/block.h - one header block on its way in: HEADERS and its CONTINUATIONs, inflated as they come, checked
 * field by field (RFC 9113 8.2 and 8.3) and made into a canonical head or into trailers.
 *
 * Never more than limits->header_bytes is kept; what exceeds it is still inflated and dropped, because the compression
 * state is the whole connection's. */
#ifndef WEIR_HTTP_H2_BLOCK_H
#define WEIR_HTTP_H2_BLOCK_H

#include "base/arena.h"
#include "base/reason.h"
#include "http/conn.h"
#include "http/head.h"
#include "http/h2/hpack.h"

enum h2_block_kind {
	H2_BLOCK_REQUEST,
	H2_BLOCK_RESPONSE,
	H2_BLOCK_TRAILERS,
	H2_BLOCK_IGNORED, /* for a stream that is gone: only the compression state matters */
};

struct h2_block {
	uint32_t stream;
	uint8_t kind; /* enum h2_block_kind */
	bool end_stream;
	bool self_depends; /* the stream depends on itself: a stream error once the block is read */
	bool too_large;
	bool regular; /* a field that is not a pseudo-header was seen: no more of them may come */
	bool tunnel_ok; /* extended CONNECT was offered, or asked for */
	uint8_t pseudo; /* which were seen */
	uint8_t cookies; /* crumbs among the fields, counted up to 255 */
	/* Not REASON_NONE: malformed. CLIENT_* in the kinds of the server role; the role maps it. */
	uint16_t wrong; /* enum reason */
	uint32_t count; /* fields so far */
	size_t bytes; /* of names and values, and 32 for each (RFC 9113 6.5.2) */
	struct str host; /* the Host field */
	const struct http_limits *limits;
	struct arena arena;
	struct head head; /* trailers are in head.fields */
};

/* The block is freed with h2_block_free(); b may be any memory. */
void h2_block_init(struct h2_block *b, struct mem *m, const struct http_limits *lim, uint32_t stream,
	enum h2_block_kind kind);
void h2_block_free(struct h2_block *b);
/* The next fragment; last: with END_HEADERS. H2_COMPRESSION_ERROR: the state is lost. H2_ENHANCE_YOUR_CALM: the block is so
 * far over the limit that nobody could mean it. Both end the connection. */
enum h2_error h2_block_feed(struct h2_block *b, struct h2_hpack *hp, const uint8_t *p, size_t n, bool last);
/* After the last fragment: what only the whole shows. request_method: of what a response answers. Afterwards `wrong`
 * and `too_large` are final, and unless one of them is set, head is canonical. */
void h2_block_finish(struct h2_block *b, enum method request_method);

#endif
