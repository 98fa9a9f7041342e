#include "trace_context.h"

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; /* upper case is not allowed (3.2.2) */
}

/* False: not digits, or nothing but zeros. */
static bool parse_hex(uint8_t *to, const char *from, size_t n)
{
	unsigned any = 0;

	for (size_t i = 0; i < n; i++) {
		int high = digit_of(from[2 * i]), low = digit_of(from[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		to[i] = (uint8_t)(high << 4 | low);
		any |= to[i];
	}
	return any != 0;
}

void trace_hex(char *to, const uint8_t *from, size_t n)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		to[2 * i] = digits[from[i] >> 4];
		to[2 * i + 1] = digits[from[i] & 15];
	}
}

bool trace_context_parse(struct trace_context *c, struct str text)
{
	int version[2], flags[2];

	if (text.n < TRACE_TEXT || text.p[2] != '-' || text.p[35] != '-' || text.p[52] != '-')
		return false;
	for (int i = 0; i < 2; i++) {
		version[i] = digit_of(text.p[i]);
		flags[i] = digit_of(text.p[53 + i]);
		if (version[i] < 0 || flags[i] < 0)
			return false;
	}
	/* Version 255 is none; of later ones the beginning is the same, and more may follow (2.2.2, 4.1). */
	if (version[0] == 15 && version[1] == 15)
		return false;
	if (text.n > TRACE_TEXT && ((version[0] == 0 && version[1] == 0) || text.p[TRACE_TEXT] != '-'))
		return false;
	c->sampled = flags[1] & 1;
	return parse_hex(c->trace, text.p + 3, TRACE_ID) && parse_hex(c->span, text.p + 36, SPAN_ID);
}

void trace_context_write(const struct trace_context *c, char text[TRACE_TEXT])
{
	memcpy(text, "00-", 3);
	trace_hex(text + 3, c->trace, TRACE_ID);
	text[35] = '-';
	trace_hex(text + 36, c->span, SPAN_ID);
	memcpy(text + 52, c->sampled ? "-01" : "-00", 3);
}

static void fill(uint8_t *to, size_t n, struct loop *l)
{
	for (size_t i = 0; i < n; i += sizeof(uint64_t)) {
		uint64_t word = loop_random(l) | 1;

		memcpy(to + i, &word, sizeof(word));
	}
}

void trace_context_new_trace(struct trace_context *c, struct loop *l)
{
	fill(c->trace, TRACE_ID, l);
}

void trace_context_new_span(uint8_t span[SPAN_ID], struct loop *l)
{
	fill(span, SPAN_ID, l);
}

/* The last seven bytes are random in everybody's ids (level 2, 3.2.2.3). */
bool trace_context_is_among(const struct trace_context *c, uint32_t share)
{
	uint64_t point = 0;

	for (size_t i = TRACE_ID - 7; i < TRACE_ID; i++)
		point = point << 8 | c->trace[i];
	return point < (1ull << 56) / 10000 * share || share >= 10000;
}
