#include "base/str.h"

#include <endian.h>
#include <stdarg.h>
#include <stdio.h>

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
