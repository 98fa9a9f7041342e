/* modules/compress_coder.h - gzip, Brotli and Zstandard as one: bytes in, bytes out, flush, end.
 *
 * What a coder keeps is bounded by its windows, whatever the body: some 270 KB for gzip, 1.4 to 1.7 MB for the others; larger
 * windows gain little on answers of the web. Coders that are not in use are kept for the next answer, for ten seconds. */
#ifndef WEIR_MODULES_COMPRESS_CODER_H
#define WEIR_MODULES_COMPRESS_CODER_H

#include "exchange/module.h"

enum coding { CODING_GZIP, CODING_BR, CODING_ZSTD, CODINGS, CODING_IDENTITY = CODINGS };

struct coding_row {
	struct str name; /* in Content-Encoding, and in the configuration */
	struct str alias; /* that means the same in Accept-Encoding (RFC 9110 8.4.1.3); empty: none */
	uint8_t level, level_min, level_max;
};
extern const struct coding_row coding_rows[CODINGS];

enum coder_step { CODER_GO_ON, CODER_FLUSH, CODER_END };

/* One body's. */
struct coder {
	struct coder *next; /* among those that are idle */
	struct coders *home;
	uint8_t coding; /* enum coding */
	uint8_t level;
	void *state; /* the library's */
};

/* A run of bytes that a library has given back, for its next coder. */
struct spare;

/* One worker's. */
struct coders {
	struct loop *loop;
	struct coder *idle[CODINGS];
	uint32_t idle_n[CODINGS];
	struct spare *spares; /* Brotli's, whose coders cannot be used twice */
	uint32_t spare_n;
	uint32_t in_use;
	struct deadline trim; /* nobody has asked for one for a while */
};

void coders_init(struct coders *all, struct loop *l);
/* When none is in use. */
void coders_free(struct coders *all);
/* NULL: no memory. */
struct coder *coder_take(struct coders *all, enum coding coding, uint8_t level);
void coder_give_back(struct coder *c);
/* Appends to out. False: the library has failed. */
bool coder_run(
	struct coder *c, struct mem *mem, const struct chain *in, struct chain *out, enum coder_step step);

#endif
