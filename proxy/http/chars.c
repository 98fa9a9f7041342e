#include "http/chars.h"

/* clang-format off */
const uint8_t char_classes[256] = {
	['\t'] = CHAR_VALUE,
	[' '] = CHAR_VALUE,
	['!'] = CHAR_TOKEN | CHAR_VALUE | CHAR_TARGET,
	['"'] = CHAR_VALUE | CHAR_TARGET,
	['#'] = CHAR_TOKEN | CHAR_VALUE, /* a fragment never belongs into a request target (RFC 9112 3.2) */
	['$' ... '\''] = CHAR_TOKEN | CHAR_VALUE | CHAR_TARGET,
	['(' ... ')'] = CHAR_VALUE | CHAR_TARGET,
	['*' ... '+'] = CHAR_TOKEN | CHAR_VALUE | CHAR_TARGET,
	[','] = CHAR_VALUE | CHAR_TARGET,
	['-' ... '.'] = CHAR_TOKEN | CHAR_VALUE | CHAR_TARGET,
	['/'] = CHAR_VALUE | CHAR_TARGET,
	['0' ... '9'] = CHAR_TOKEN | CHAR_VALUE | CHAR_TARGET,
	[':' ... '@'] = CHAR_VALUE | CHAR_TARGET,
	['A' ... 'Z'] = CHAR_TOKEN | CHAR_VALUE | CHAR_TARGET,
	['[' ... ']'] = CHAR_VALUE | CHAR_TARGET,
	['^' ... 'z'] = CHAR_TOKEN | CHAR_VALUE | CHAR_TARGET,
	['{'] = CHAR_VALUE | CHAR_TARGET,
	['|'] = CHAR_TOKEN | CHAR_VALUE | CHAR_TARGET,
	['}'] = CHAR_VALUE | CHAR_TARGET,
	['~'] = CHAR_TOKEN | CHAR_VALUE | CHAR_TARGET,
	[0x80 ... 0xff] = CHAR_VALUE,
};
/* clang-format on */

bool chars_all(struct str s, enum char_class class)
{
	unsigned common = class;

	/* Almost always true, so looked at to the end without a branch. */
	for (size_t i = 0; i < s.n; i++)
		common &= char_classes[(uint8_t)s.p[i]];
	return s.n > 0 && common;
}

/* Not 0 if one of eight bytes may not stand in a target. */
static inline uint64_t no_target(uint64_t w)
{
	return (w & CHARS_EACH_BYTE(0x80)) | chars_some_below(w, '!') |
	       chars_some_zero(w ^ CHARS_EACH_BYTE(0x7f)) | chars_some_zero(w ^ CHARS_EACH_BYTE('#'));
}

bool chars_is_target(struct str s)
{
	uint64_t bad;

	if (s.n < 8)
		return chars_all(s, CHAR_TARGET);
	/* The last eight overlap those before them. */
	bad = no_target(chars_load_8(s.p + s.n - 8));
	for (size_t i = 0; i + 8 < s.n; i += 8)
		bad |= no_target(chars_load_8(s.p + i));
	return bad == 0;
}

bool chars_is_value(struct str s)
{
	/* Nothing is written. */
	return chars_skip_value((char *)(uintptr_t)s.p, s.p + s.n) == s.p + s.n;
}
