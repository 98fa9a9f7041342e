#include "base64.h"

static int value_of(char c, const char last[2])
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == last[0] ? 62 : c == last[1] ? 63 : -1;
}

/* last: the alphabet's last two. */
static size_t decode(struct str text, const char last[2], uint8_t *bytes, size_t room)
{
	uint32_t bits = 0;
	unsigned have = 0;
	size_t n = 0;

	if (text.n % 4 == 1 || text.n * 3 / 4 > room)
		return 0;
	for (size_t i = 0; i < text.n; i++) {
		int v = value_of(text.p[i], last);

		if (v < 0)
			return 0;
		bits = bits << 6 | (uint32_t)v;
		have += 6;
		if (have >= 8) {
			have -= 8;
			bytes[n++] = (uint8_t)(bits >> have);
		}
	}
	/* Bits that are left over must be zero: else two texts would be the same bytes. */
	return bits & ((1u << have) - 1) ? 0 : n;
}

size_t base64_decode(struct str text, uint8_t *bytes, size_t room)
{
	if (text.n % 4)
		return 0;
	for (unsigned i = 0; i < 2 && str_ends(text, STR("=")); i++)
		text.n--;
	return decode(text, "+/", bytes, room);
}

size_t base64url_decode(struct str text, uint8_t *bytes, size_t room)
{
	return decode(text, "-_", bytes, room);
}
