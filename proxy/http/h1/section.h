/* http/h1/section.h - the field lines of a head or of trailers (RFC 9112 5), and what they say of framing and of the connection.
 *
 * Between the files of the parser: see parser.h. One pass finds where names and values end, checks every byte, knows the name, and sorts
 * the field: it is kept, or what it says is noted. */
#ifndef WEIR_HTTP_H1_SECTION_H
#define WEIR_HTTP_H1_SECTION_H

#include "http/h1/parser.h"

/* How far a parse has come. */
struct h1_cursor {
	char *p, *end;
	enum reason why; /* of H1_BAD */
};

#define H1_NAMED_MAX 8

/* What the fields say, gathered on the way. */
struct h1_facts {
	struct str host, uri_authority, length, coding, key, accept;
	struct str named[H1_NAMED_MAX]; /* names in Connection that field.def does not know */
	uint8_t named_n;
	uint8_t hosts, lengths, codings, keys, accepts; /* 2: several */
	bool close, keep, upgrade; /* Connection says so */
	bool websocket; /* Upgrade lists it */
	bool empty_path; /* absolute-form that ends behind the authority, or goes on with '?' */
};

static inline enum h1_result h1_bad(struct h1_cursor *c, enum reason why)
{
	c->why = why;
	return H1_BAD;
}

/* Goes over a line end. */
static inline enum h1_result h1_skip_crlf(char **p, const char *limit)
{
	if (__builtin_expect(limit - *p >= 2 && memcmp(*p, "\r\n", 2) == 0, 1)) {
		*p += 2;
		return H1_COMPLETE;
	}
	return *p == limit || (**p == '\r' && *p + 1 == limit) ? H1_PARTIAL : H1_BAD;
}

static inline enum h1_result h1_take_crlf(struct h1_cursor *c, enum reason otherwise)
{
	enum h1_result r = h1_skip_crlf(&c->p, c->end);

	return r == H1_BAD ? h1_bad(c, otherwise) : r;
}

/* All fields and the empty line behind them. k NULL: trailers, of which only those that may be there are kept. */
enum h1_result h1_take_fields(struct h1_cursor *c, struct head *h, struct h1_facts *k,
	const struct http_limits *lim, enum reason otherwise, enum reason too_many);

#endif
