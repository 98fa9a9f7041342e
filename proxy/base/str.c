#include "base/str.h"

#include <endian.h>
#include <stdarg.h>
#include <stdio.h>
#include "base/obj.h"

/* Adds 0x20 to each byte of 'A' to 'Z' among eight: the top bit of a sum says which are above a border. */
static inline void lower_8(char *p)
{
	uint64_t w, low, upper;

	memcpy(&w, p, 8);
	low = w & 0x7f7f7f7f7f7f7f7f;
	upper = (low + (0x80 - 'A') * 0x0101010101010101u) & ~(low + (0x80 - 'Z' - 1) * 0x0101010101010101u) &
		~w & 0x8080808080808080;
	w |= upper >> 2;
	memcpy(p, &w, 8);
}

void str_lower(char *p, size_t n)
{
	if (n < 8) {
		for (size_t i = 0; i < n; i++)
			p[i] = str_lower_char(p[i]);
		return;
	}
	for (size_t i = 0; i + 8 < n; i += 8)
		lower_8(p + i);
	lower_8(p + n - 8);
}

bool str_case_eq(struct str a, struct str b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (str_lower_char(a.p[i]) != str_lower_char(b.p[i]))
			return false;
	return true;
}

struct str str_head_utf8(struct str s, size_t n)
{
	/* RFC 3629 3: what goes on a character begins with the bits 10. */
	while (n && n < s.n && ((unsigned char)s.p[n] & 0xc0) == 0x80)
		n--;
	return str_head(s, n);
}

size_t str_utf8_length(struct str s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	size_t n = p[0] < 0x80                   ? 1
		   : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
		   : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
		   : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
						 : 0;

	if (n == 0 || n > s.n)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong forms, surrogates, beyond U+10FFFF */
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
		(p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

/* By eights while they are ASCII, as nearly all text of configurations is. */
bool str_is_utf8(struct str s)
{
	while (s.n) {
		uint64_t eight = 0;
		size_t n = MIN(s.n, sizeof(eight));

		memcpy(&eight, s.p, n);
		if (eight & 0x8080808080808080u && (n = str_utf8_length(s)) == 0)
			return false;
		s = str_skip(s, n);
	}
	return true;
}

int str_cmp(struct str a, struct str b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n ? memcmp(a.p, b.p, n) : 0;

	return c ? c : (a.n > b.n) - (a.n < b.n);
}

size_t str_find(struct str s, char c)
{
	const char *at = s.n ? memchr(s.p, c, s.n) : NULL;

	return at ? (size_t)(at - s.p) : s.n;
}

struct str str_trim(struct str s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
		s.p++, s.n--;
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

bool str_next_element(struct str *list, struct str *element)
{
	while (list->n) {
		size_t comma = str_find(*list, ',');

		*element = str_trim(str_head(*list, comma));
		*list = str_skip(*list, comma + 1);
		if (element->n)
			return true;
	}
	return false;
}

bool str_to_u64(struct str s, uint64_t *out)
{
	uint64_t v = 0;

	if (s.n == 0)
		return false;
	/* What so few digits say cannot overflow. */
	if (s.n < 20) {
		bool other = false;

		for (size_t i = 0; i < s.n; i++) {
			unsigned digit = (unsigned char)s.p[i] - '0';

			other |= digit > 9;
			v = v * 10 + digit;
		}
		if (!other)
			*out = v;
		return !other;
	}
	for (size_t i = 0; i < s.n; i++) {
		unsigned digit = (unsigned char)s.p[i] - '0';

		if (digit > 9 || __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, digit, &v))
			return false;
	}
	*out = v;
	return true;
}

void text_u64(struct text *t, uint64_t v)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	text_put(t, (struct str){digits + at, sizeof(digits) - at});
}

/* Eight hexadecimal digits at once: every request gets an id, and a loop over its digits costs 270 instructions, this 60. */
static inline uint64_t hex_8(uint32_t bits)
{
	uint64_t x = bits, letter;

	x = (x | x << 16) & 0x0000ffff0000ffff;
	x = (x | x << 8) & 0x00ff00ff00ff00ff;
	x = (x | x << 4) & 0x0f0f0f0f0f0f0f0f;
	letter = (x + 0x0606060606060606) >> 4 & 0x0101010101010101;
	return htobe64(x + 0x3030303030303030 + letter * ('a' - '0' - 10));
}

void text_hex_16(char to[16], uint64_t v)
{
	uint64_t digits[2] = {hex_8((uint32_t)(v >> 32)), hex_8((uint32_t)v)};

	memcpy(to, digits, sizeof(digits));
}

void text_fmt(struct text *t, const char *fmt, ...)
{
	size_t room = t->cap - t->n;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = room ? vsnprintf(t->p + t->n, room, fmt, ap) : -1;
	va_end(ap);
	/* vsnprintf wants room for a NUL, which is not counted: a text that fits but for it is cut as well. */
	if (n < 0 || (size_t)n >= room) {
		t->cut = true;
		return;
	}
	t->n += (size_t)n;
}
