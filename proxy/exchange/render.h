/* exchange/render.h - a template (config/template.h) filled in for one request.
 *
 * Whatever a stranger has sent, a value stays within the place where it is put: a header has no line's end in it, a path no separator
 * that was not there, a page no mark-up. */
#ifndef WEIR_EXCHANGE_RENDER_H
#define WEIR_EXCHANGE_RENDER_H

#include "config/template.h"
#include "http/head.h"

struct exchange;

/* What the text is put into, and so what becomes of bytes that mean something there. */
enum render_into {
	RENDER_HEADER, /* control bytes become spaces, and there is none at either end (RFC 9110 5.5) */
	RENDER_URL, /* what would end the segment, the query or the parameter is %-encoded (RFC 3986 2.1); captures and paths may bring
		       further segments, but end no host's name, and $(request.query) further parameters */
	RENDER_HTML, /* & < > " ' as entities */
	RENDER_JSON, /* as within quotes (RFC 8259 7) */
	RENDER_PLAIN, /* control bytes become spaces, but for tabs and lines' ends */
};

#define RENDER_CAPTURES 10

struct render {
	uint8_t into; /* enum render_into */
	const struct head *answer; /* NULL: there is none yet */
	struct str captures[RENDER_CAPTURES]; /* of the expression beside the template */
};

/* In x's arena, or borrowed from what lies there or in the template. Literal bytes of the template stay as they are. */
struct str render(struct exchange *x, const struct render *r, const struct template *t);

#endif
