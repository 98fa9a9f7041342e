/* readers.h - how different origins would find the end of a request: a strict parser that many servers were built on, and the lax ways
 * that real ones have had. What weir sends must leave them no room to differ (RFC 9112 11.2). */
#ifndef WEIR_TESTS_EXCHANGE_READERS_H
#define WEIR_TESTS_EXCHANGE_READERS_H

#include <ctype.h>
#include <http_parser.h>
#include <strings.h>
#include "unit.h"
#include "base/obj.h"

#define READER_BAD SIZE_MAX

/* How many of the n bytes at p the first request takes; 0: it is not whole yet; READER_BAD: it is none. */
typedef size_t reader(const char *p, size_t n);

/* -- lax ones -- */

struct lax_head {
	size_t n; /* of the head, its end included; 0: not whole */
	bool chunked, has_length;
	unsigned long long first, last, any_base;
};

/* Blanks and controls around a name do not count, and "Transfer_Encoding" is believed too. */
static inline bool lax_is(const char *line, size_t n, const char *name)
{
	size_t k = 0;

	for (size_t i = 0; i < n && line[i] != ':'; i++) {
		if ((unsigned char)line[i] <= ' ' || (unsigned char)line[i] >= 0x7f)
			continue;
		if (!name[k] || (line[i] == '_' ? '-' : tolower((unsigned char)line[i])) != name[k])
			return false;
		k++;
	}
	return name[k] == '\0' && memchr(line, ':', n);
}

static inline void lax_line(struct lax_head *h, const char *line, size_t n)
{
	char text[128];
	const char *colon = memchr(line, ':', n);
	size_t m = colon ? MIN(n - (size_t)(colon + 1 - line), sizeof(text) - 1) : 0;

	if (!colon)
		return;
	memcpy(text, colon + 1, m);
	text[m] = '\0';
	if (lax_is(line, n, "content-length")) {
		h->last = strtoull(text, NULL, 10);
		if (!h->has_length)
			h->first = h->last;
		h->any_base = strtoull(text, NULL, 0);
		h->has_length = true;
	}
	if (lax_is(line, n, "transfer-encoding"))
		h->chunked |= strcasestr(text, "chunk") != NULL;
}

/* Lines end with LF, with or without CR; a lone CR ends one too if the reader is of that kind. */
static inline struct lax_head lax_read_head(const char *p, size_t n, bool bare_cr)
{
	struct lax_head h = {0};
	size_t begin = 0;

	for (size_t i = 0; i < n; i++) {
		size_t end = i;

		if (p[i] != '\n' && !(bare_cr && p[i] == '\r' && i + 1 < n && p[i + 1] != '\n'))
			continue;
		if (end > begin && p[end - 1] == '\r')
			end--;
		if (end == begin) {
			h.n = i + 1;
			return h;
		}
		lax_line(&h, p + begin, end - begin);
		begin = i + 1;
	}
	return h;
}

static inline size_t lax_chunks(const char *p, size_t n, size_t at)
{
	for (;;) {
		const char *end = memchr(p + at, '\n', n - at);
		unsigned long long size;
		char text[32];

		if (!end)
			return 0;
		snprintf(text, sizeof(text), "%.*s", (int)MIN((size_t)(end - (p + at)), sizeof(text) - 1),
			p + at);
		size = strtoull(text, NULL, 16);
		at = (size_t)(end + 1 - p);
		if (size == 0) {
			struct lax_head trailers = lax_read_head(p + at, n - at, false);

			return trailers.n ? at + trailers.n : 0;
		}
		if (size + 2 > n - at)
			return 0;
		at += size + 2;
	}
}

static inline size_t lax_by_length(const struct lax_head *h, unsigned long long length, size_t n)
{
	return h->n && length <= n - h->n ? h->n + length : 0;
}

/* A length counts more than a coding. */
static inline size_t read_length_first(const char *p, size_t n)
{
	struct lax_head h = lax_read_head(p, n, false);

	if (h.n && h.chunked && !h.has_length)
		return lax_chunks(p, n, h.n);
	return lax_by_length(&h, h.first, n);
}

/* The last length counts, a CR ends a line. */
static inline size_t read_bare_cr(const char *p, size_t n)
{
	struct lax_head h = lax_read_head(p, n, true);

	return h.n && h.chunked ? lax_chunks(p, n, h.n) : lax_by_length(&h, h.last, n);
}

/* As strtol() with any base has it: 010 is eight. */
static inline size_t read_any_base(const char *p, size_t n)
{
	struct lax_head h = lax_read_head(p, n, false);

	return h.n && h.chunked ? lax_chunks(p, n, h.n) : lax_by_length(&h, h.any_base, n);
}

/* -- the strict one -- */

static inline int strict_pause(http_parser *hp)
{
	*(bool *)hp->data = true;
	http_parser_pause(hp, 1);
	return 0;
}

static inline size_t read_strictly(const char *p, size_t n)
{
	static const http_parser_settings settings = {.on_message_complete = strict_pause};
	const char *space = memchr(p, ' ', n);
	bool complete = false;
	http_parser hp;
	size_t taken;

	if (!space)
		return 0;
	http_parser_init(&hp, HTTP_REQUEST);
	hp.data = &complete;
	/* It knows few methods; for framing, all of them are one. */
	http_parser_execute(&hp, &settings, "POST", 4);
	taken = http_parser_execute(&hp, &settings, space, n - (size_t)(space - p));
	/* To 2.9.4 "Transfer-Encoding0" beside a length is a coding beside a length, and refused: the others say how it is. */
	if (HTTP_PARSER_ERRNO(&hp) == HPE_UNEXPECTED_CONTENT_LENGTH)
		return read_length_first(p, n);
	if (HTTP_PARSER_ERRNO(&hp) != HPE_OK && !complete)
		return READER_BAD;
	return complete ? (size_t)(space - p) + taken : 0;
}

static const struct {
	const char *name;
	reader *read;
} readers[] = {
	{"strict", read_strictly},
	{"length first", read_length_first},
	{"bare CR", read_bare_cr},
	{"any base", read_any_base},
};

#endif
