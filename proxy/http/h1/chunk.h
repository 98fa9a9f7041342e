/* http/h1/chunk.h - the chunked coding, incoming (RFC 9112 7.1): strict, and indifferent to where the input is split.
 *
 * Extensions are checked, counted and dropped. The trailer section behind the last chunk is the parser's. */
#ifndef WEIR_HTTP_H1_CHUNK_H
#define WEIR_HTTP_H1_CHUNK_H

#include "base/mem.h"

/* Bytes of chunk extensions in one body: nobody uses them but to make a parser work for nothing. */
#define H1_EXTENSIONS_MAX 4096

/* Zeroed: at the start of a body. */
struct h1_chunks {
	uint64_t left; /* payload bytes of this chunk that have not come yet */
	uint16_t extensions; /* bytes so far */
	uint8_t digits; /* of the size that is being read */
	uint8_t state; /* enum chunk_state, private */
};

enum h1_chunk_result {
	H1_CHUNK_MORE, /* the input is used up, or `max` is reached */
	H1_CHUNK_LAST, /* the last chunk's line is done; the trailer section follows */
	H1_CHUNK_BAD,
};

/* Takes framing from the start of `in` and moves payload, at most max bytes, to `body`. After H1_CHUNK_LAST or _BAD it must not be
 * called again. Small payloads are moved together in memory, so that one-byte chunks cost no more than their bytes. */
enum h1_chunk_result h1_chunks_decode(
	struct h1_chunks *k, struct mem *m, struct chain *in, struct chain *body, size_t max);

#endif
