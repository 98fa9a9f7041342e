#include "http/h1/chars.h"
#include <endian.h>

/* clang-format off */
const uint8_t h1_classes[256] = {
	['\t'] = H1_VALUE,
	[' '] = H1_VALUE,
	['!'] = H1_TOKEN | H1_VALUE | H1_TARGET,
	['"'] = H1_VALUE | H1_TARGET,
	['#'] = H1_TOKEN | H1_VALUE, /* a fragment never belongs into a request target (RFC 9112 3.2) */
	['$' ... '\''] = H1_TOKEN | H1_VALUE | H1_TARGET,
	['(' ... ')'] = H1_VALUE | H1_TARGET,
	['*' ... '+'] = H1_TOKEN | H1_VALUE | H1_TARGET,
	[','] = H1_VALUE | H1_TARGET,
	['-' ... '.'] = H1_TOKEN | H1_VALUE | H1_TARGET,
	['/'] = H1_VALUE | H1_TARGET,
	['0' ... '9'] = H1_TOKEN | H1_VALUE | H1_TARGET,
	[':' ... '@'] = H1_VALUE | H1_TARGET,
	['A' ... 'Z'] = H1_TOKEN | H1_VALUE | H1_TARGET,
	['[' ... ']'] = H1_VALUE | H1_TARGET,
	['^' ... 'z'] = H1_TOKEN | H1_VALUE | H1_TARGET,
	['{'] = H1_VALUE | H1_TARGET,
	['|'] = H1_TOKEN | H1_VALUE | H1_TARGET,
	['}'] = H1_VALUE | H1_TARGET,
	['~'] = H1_TOKEN | H1_VALUE | H1_TARGET,
	[0x80 ... 0xff] = H1_VALUE,
};
/* clang-format on */

#define EACH_BYTE(b) (0x0101010101010101u * (b))

static inline uint64_t load_8(const char *p)
{
	uint64_t w;

	memcpy(&w, p, 8);
	return le64toh(w); /* the first byte is the lowest */
}

/* Not 0 if some byte of w is 0, or below n (n <= 128): Lamport's trick; exact as a yes or no, and in its
 * lowest bit: the top bit of the first such byte. */
static inline uint64_t some_zero(uint64_t w)
{
	return (w - EACH_BYTE(1)) & ~w & EACH_BYTE(0x80);
}

static inline uint64_t some_below(uint64_t w, unsigned n)
{
	return (w - EACH_BYTE(n)) & ~w & EACH_BYTE(0x80);
}

char *h1_skip_value(char *p, const char *end)
{
	while (end - p >= 8) {
		uint64_t w = load_8(p), stop = some_below(w, ' ') | some_zero(w ^ EACH_BYTE(0x7f));

		if (!stop) {
			p += 8;
			continue;
		}
		p += __builtin_ctzll(stop) / 8;
		if (*p != '\t')
			return p;
		p++;
	}
	return h1_skip(p, end, H1_VALUE);
}

char *h1_find_colon(char *p, const char *end)
{
	for (; end - p >= 8; p += 8) {
		uint64_t found = some_zero(load_8(p) ^ EACH_BYTE(':'));

		if (found)
			return p + __builtin_ctzll(found) / 8;
	}
	while (p < end && *p != ':')
		p++;
	return p;
}

bool h1_all(struct str s, enum h1_class class)
{
	unsigned common = class;

	/* Almost always true, so looked at to the end without a branch. */
	for (size_t i = 0; i < s.n; i++)
		common &= h1_classes[(uint8_t)s.p[i]];
	return s.n > 0 && common;
}

bool h1_is_value(struct str s)
{
	/* Nothing is written. */
	return h1_skip_value((char *)(uintptr_t)s.p, s.p + s.n) == s.p + s.n;
}
