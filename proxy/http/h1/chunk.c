#include "http/h1/chunk.h"
#include "base/obj.h"
#include "http/chars.h"

enum chunk_state {
	AT_SIZE,
	AT_SIZE_SPACE, /* white space that only an extension may follow */
	AT_EXT, /* behind ';' */
	AT_EXT_NAME,
	AT_EXT_NAME_SPACE,
	AT_EXT_VALUE, /* behind '=' */
	AT_EXT_TOKEN,
	AT_EXT_QUOTED,
	AT_EXT_ESCAPED,
	AT_EXT_END, /* behind a quoted value or white space after a value */
	AT_SIZE_LF,
	AT_DATA,
	AT_DATA_CR,
	AT_DATA_LF,
	AT_LAST,
	BROKEN,
};

/* Payload below this is moved next to its predecessor instead of being referred to. */
#define SMALL 256

static int hex_digit(char c)
{
	char l = str_lower_char(c);

	if (c >= '0' && c <= '9')
		return c - '0';
	return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

static enum chunk_state in_size(struct h1_chunks *k, char c)
{
	int digit = hex_digit(c);

	if (digit >= 0) {
		/* 63 bits, and no endless row of zeros */
		if (++k->digits > 16 || k->left >> 59)
			return BROKEN;
		k->left = k->left << 4 | (unsigned)digit;
		return AT_SIZE;
	}
	if (k->digits == 0)
		return BROKEN;
	switch (c) {
	case '\r':
		return AT_SIZE_LF;
	case ';':
		return AT_EXT;
	case ' ':
	case '\t':
		return AT_SIZE_SPACE;
	default:
		return BROKEN;
	}
}

/* RFC 9112 7.1.1: BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] */
static enum chunk_state in_extension(enum chunk_state at, char c)
{
	bool space = c == ' ' || c == '\t';

	switch (at) {
	case AT_SIZE_SPACE:
		return space ? at : c == ';' ? AT_EXT : BROKEN;
	case AT_EXT:
		return space ? at : chars_is(c, CHAR_TOKEN) ? AT_EXT_NAME : BROKEN;
	case AT_EXT_NAME:
		if (chars_is(c, CHAR_TOKEN))
			return at;
		return c == '\r'  ? AT_SIZE_LF
		       : c == '=' ? AT_EXT_VALUE
		       : c == ';' ? AT_EXT
		       : space    ? AT_EXT_NAME_SPACE
				  : BROKEN;
	case AT_EXT_NAME_SPACE:
		return space ? at : c == '=' ? AT_EXT_VALUE : c == ';' ? AT_EXT : BROKEN;
	case AT_EXT_VALUE:
		return space                     ? at
		       : c == '"'                ? AT_EXT_QUOTED
		       : chars_is(c, CHAR_TOKEN) ? AT_EXT_TOKEN
						 : BROKEN;
	case AT_EXT_TOKEN:
		if (chars_is(c, CHAR_TOKEN))
			return at;
		return c == '\r' ? AT_SIZE_LF : c == ';' ? AT_EXT : space ? AT_SIZE_SPACE : BROKEN;
	case AT_EXT_QUOTED:
		return c == '"'                  ? AT_EXT_END
		       : c == '\\'               ? AT_EXT_ESCAPED
		       : chars_is(c, CHAR_VALUE) ? at
						 : BROKEN;
	case AT_EXT_ESCAPED:
		return chars_is(c, CHAR_VALUE) ? AT_EXT_QUOTED : BROKEN;
	case AT_EXT_END:
		return c == '\r' ? AT_SIZE_LF : c == ';' ? AT_EXT : space ? AT_SIZE_SPACE : BROKEN;
	default:
		return BROKEN;
	}
}

/* One byte of framing. */
static void step(struct h1_chunks *k, char c)
{
	enum chunk_state at = k->state;

	switch (at) {
	case AT_SIZE:
		k->state = in_size(k, c);
		break;
	case AT_SIZE_LF:
		k->digits = 0;
		k->state = c != '\n' ? BROKEN : k->left ? AT_DATA : AT_LAST;
		break;
	case AT_DATA_CR:
		k->state = c == '\r' ? AT_DATA_LF : BROKEN;
		break;
	case AT_DATA_LF:
		k->state = c == '\n' ? AT_SIZE : BROKEN;
		break;
	default:
		k->state = ++k->extensions > H1_EXTENSIONS_MAX ? BROKEN : in_extension(at, c);
	}
}

/* Moves n bytes from the start of the first slice of `in` to body. */
static void move_payload(struct mem *m, struct chain *in, struct chain *body, size_t n)
{
	struct slice *from = in->first, *to = body->last;
	char *gap;

	/* Between what body ends with and here lies only framing, which was read and is ours alone. */
	if (n < SMALL && to && to->block && to->block == from->block && to->p < from->p) {
		gap = (char *)(uintptr_t)(to->p + to->n);
		memmove(gap, from->p, n);
		chain_add_ref(m, body, from->block, gap, n);
		chain_drain(m, in, n);
		return;
	}
	chain_move_n(m, body, in, n);
}

enum h1_chunk_result h1_chunks_decode(
	struct h1_chunks *k, struct mem *m, struct chain *in, struct chain *body, size_t max)
{
	while (in->first) {
		const struct slice *s = in->first;
		size_t used = 0;

		if (k->state == AT_DATA) {
			size_t n = MIN(MIN(s->n, k->left), max);

			if (n == 0)
				return H1_CHUNK_MORE;
			move_payload(m, in, body, n);
			max -= n;
			k->left -= n;
			if (k->left == 0)
				k->state = AT_DATA_CR;
			continue;
		}
		while (used < s->n && k->state < AT_LAST && k->state != AT_DATA)
			step(k, s->p[used++]);
		chain_drain(m, in, used);
		if (k->state == BROKEN)
			return H1_CHUNK_BAD;
		if (k->state == AT_LAST)
			return H1_CHUNK_LAST;
	}
	return H1_CHUNK_MORE;
}
