/* http/chars.h - which bytes may stand where in a message, of either version (RFC 9110 5.5, 5.6.2; RFC 9112 3.2). */
#ifndef WEIR_HTTP_CHARS_H
#define WEIR_HTTP_CHARS_H

#ifdef __SSE2__
#include <emmintrin.h>
#endif
#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/str.h"

enum char_class {
	CHAR_TOKEN = 1, /* names, methods, codings */
	CHAR_VALUE = 2, /* field values: printable, space, tab, obs-text */
	CHAR_TARGET = 4, /* request targets: printable ASCII but space and '#' */
};

extern const uint8_t char_classes[256];

static inline bool chars_is(char c, enum char_class class)
{
	return char_classes[(uint8_t)c] & class;
}

/* Behind the run of bytes of that class at p; end if it does not end before. */
static inline char *chars_skip(char *p, const char *end, enum char_class class)
{
	while (p < end && chars_is(*p, class))
		p++;
	return p;
}

/* -- many bytes a step, inline: heads are little else -- */

#define CHARS_EACH_BYTE(b) (0x0101010101010101u * (b))

static inline uint64_t chars_load_8(const char *p)
{
	uint64_t w;

	memcpy(&w, p, 8);
	return le64toh(w); /* the first byte is the lowest */
}

/* Not 0 if some byte of w is 0, or below n (n <= 128): Lamport's trick; exact as a yes or no, and in its
 * lowest bit: the top bit of the first such byte. */
static inline uint64_t chars_some_zero(uint64_t w)
{
	return (w - CHARS_EACH_BYTE(1)) & ~w & CHARS_EACH_BYTE(0x80);
}

static inline uint64_t chars_some_below(uint64_t w, unsigned n)
{
	return (w - CHARS_EACH_BYTE(n)) & ~w & CHARS_EACH_BYTE(0x80);
}

#ifdef __SSE2__
/* Where a control byte is among sixteen: one bit for each. */
static inline unsigned chars_controls_16(const char *p)
{
	__m128i w = _mm_loadu_si128((const __m128i *)(const void *)p);
	__m128i below = _mm_cmpeq_epi8(_mm_min_epu8(w, _mm_set1_epi8(' ' - 1)), w);

	return (unsigned)_mm_movemask_epi8(_mm_or_si128(below, _mm_cmpeq_epi8(w, _mm_set1_epi8(0x7f))));
}

static inline unsigned chars_colons_16(const char *p)
{
	__m128i w = _mm_loadu_si128((const __m128i *)(const void *)p);

	return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(w, _mm_set1_epi8(':')));
}
#endif

/* The first control byte at or behind p, or end: tab is one. */
static inline char *chars_find_control(char *p, const char *end)
{
#ifdef __SSE2__
	for (; end - p >= 16; p += 16) {
		unsigned found = chars_controls_16(p);

		if (found)
			return p + __builtin_ctz(found);
	}
#endif
	for (; end - p >= 8; p += 8) {
		uint64_t w = chars_load_8(p);
		uint64_t found = chars_some_below(w, ' ') | chars_some_zero(w ^ CHARS_EACH_BYTE(0x7f));

		if (found)
			return p + __builtin_ctzll(found) / 8;
	}
	while (p < end && (uint8_t)*p >= ' ' && *p != 0x7f)
		p++;
	return p;
}

/* chars_skip() for CHAR_VALUE: everything but controls, and tab. */
static inline char *chars_skip_value(char *p, const char *end)
{
	while ((p = chars_find_control(p, end)) < end && *p == '\t')
		p++;
	return p;
}

/* The first ':' at or behind p, or end. */
static inline char *chars_find_colon(char *p, const char *end)
{
#ifdef __SSE2__
	for (; end - p >= 16; p += 16) {
		unsigned found = chars_colons_16(p);

		if (found)
			return p + __builtin_ctz(found);
	}
#endif
	for (; end - p >= 8; p += 8) {
		uint64_t found = chars_some_zero(chars_load_8(p) ^ CHARS_EACH_BYTE(':'));

		if (found)
			return p + __builtin_ctzll(found) / 8;
	}
	while (p < end && *p != ':')
		p++;
	return p;
}

/* Not empty, and every byte of that class. */
bool chars_all(struct str s, enum char_class class);
/* The same for CHAR_TARGET, eight bytes a step. */
bool chars_is_target(struct str s);
/* A field value that may be sent; it may be empty. */
bool chars_is_value(struct str s);

#endif
