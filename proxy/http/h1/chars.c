#include "http/h1/chars.h"

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

bool h1_all(struct str s, enum h1_class class)
{
	unsigned common = class;

	/* Almost always true, so looked at to the end without a branch. */
	for (size_t i = 0; i < s.n; i++)
		common &= h1_classes[(uint8_t)s.p[i]];
	return s.n > 0 && common;
}

/* Not 0 if one of eight bytes may not stand in a target. */
static inline uint64_t no_target(uint64_t w)
{
	return (w & H1_EACH_BYTE(0x80)) | h1_some_below(w, '!') | h1_some_zero(w ^ H1_EACH_BYTE(0x7f)) |
	       h1_some_zero(w ^ H1_EACH_BYTE('#'));
}

bool h1_is_target(struct str s)
{
	uint64_t bad;

	if (s.n < 8)
		return h1_all(s, H1_TARGET);
	/* The last eight overlap those before them. */
	bad = no_target(h1_load_8(s.p + s.n - 8));
	for (size_t i = 0; i + 8 < s.n; i += 8)
		bad |= no_target(h1_load_8(s.p + i));
	return bad == 0;
}

bool h1_is_value(struct str s)
{
	/* Nothing is written. */
	return h1_skip_value((char *)(uintptr_t)s.p, s.p + s.n) == s.p + s.n;
}
