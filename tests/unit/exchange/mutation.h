/* mutation.h - bytes that are nearly right: a few changes, drawn from a seed, of the kinds that two readers of HTTP have disagreed about. */
#ifndef WEIR_TESTS_EXCHANGE_MUTATION_H
#define WEIR_TESTS_EXCHANGE_MUTATION_H

#include "unit.h"
#include "base/obj.h"

#define MUTANT_MAX 4096

struct mutant {
	uint64_t random;
	size_t n;
	char p[MUTANT_MAX];
};

/* With a zero byte in them, and so with their lengths. */
static const struct str mutation_tokens[] = {STR("\r\n"), STR("\n"), STR("\r"), STR("\0"), STR(" "),
	STR("\t"), STR("\v"), STR("\f"), STR("\x7f"), STR("\x85"), STR("\xa0"), STR(":"), STR(","), STR(";"),
	STR("0"), STR("-"), STR("+"), STR("_"), STR("0x"), STR("\"\r\n\""), STR("\r\n "), STR("\r\n\t"),
	STR("\r\n\r\n"), STR("\n\n"), STR("Content-Length: 5\r\n"), STR("Content-Length: 0\r\n"),
	STR("Content-Length: 05\r\n"), STR("Content-Length: +5\r\n"), STR("Content-Length: 5, 5\r\n"),
	STR("Content-Length: 5 6\r\n"), STR("Content-Length : 5\r\n"), STR("Content_Length: 5\r\n"),
	STR("content-length:\t5\r\n"), STR("Content-Length: 18446744073709551621\r\n"),
	STR("Content-Length: 0x5\r\n"), STR("\r\n Content-Length: 40"), STR("Transfer-Encoding: chunked\r\n"),
	STR("Transfer-Encoding:chunked\r\n"), STR("Transfer-Encoding : chunked\r\n"),
	STR("Transfer-Encoding: xchunked\r\n"), STR("Transfer-Encoding: chunked, identity\r\n"),
	STR("Transfer-Encoding: identity\r\n"), STR("Transfer-Encoding: \vchunked\r\n"),
	STR("Transfer_Encoding: chunked\r\n"), STR("Transfer-Encoding:\r\n chunked\r\n"),
	STR("X: y\rTransfer-Encoding: chunked\r\n"), STR("X: y\nContent-Length: 40\r\n"),
	STR("Connection: content-length\r\n"), STR("Connection: transfer-encoding, close\r\n"),
	STR("Connection: host\r\n"), STR("Expect: 100-continue\r\n"), STR("TE: trailers\r\n"),
	STR("Trailer: content-length\r\n"), STR("Host: other.test\r\n"), STR("0\r\n\r\n"),
	STR("5\r\nhello\r\n"), STR("5;a=b\r\nhello\r\n"), STR("5;\nhello\r\n"), STR("5 \r\nhello\r\n"),
	STR("0000000000000005\r\nhello\r\n"), STR("ffffffffffffffff\r\n"),
	STR("10000000000000005\r\nhello\r\n"), STR("0\r\nContent-Length: 40\r\n\r\n"), STR(" HTTP/1.1\r\n"),
	STR(" HTTP/1.0\r\n"), STR(" HTTP/1.1\r\nHost: shop.test\r\n\r\n"),
	STR("GET /smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n"),
	STR("GET http://shop.test/smuggled HTTP/1.1\r\nHost: x\r\n\r\n")};

static inline uint32_t mutant_random(struct mutant *m, size_t below)
{
	m->random ^= m->random << 13;
	m->random ^= m->random >> 7;
	m->random ^= m->random << 17;
	return below ? (uint32_t)(m->random >> 11) % (uint32_t)below : 0;
}

static inline void mutant_put(struct mutant *m, size_t at, const char *p, size_t n)
{
	if (n == 0 || n > MUTANT_MAX - m->n)
		return;
	memmove(m->p + at + n, m->p + at, m->n - at);
	memcpy(m->p + at, p, n);
	m->n += n;
}

static inline void mutant_cut(struct mutant *m, size_t at, size_t n)
{
	n = MIN(n, m->n - at);
	memmove(m->p + at, m->p + at + n, m->n - at - n);
	m->n -= n;
}

/* Where a line begins, or one of the places inside where readers look: behind a colon, before the end of a line. */
static inline size_t mutant_place(struct mutant *m)
{
	static const char before[] = "\n\r: ";
	size_t from = mutant_random(m, m->n + 1);
	char want = before[mutant_random(m, sizeof(before) - 1)];

	if (mutant_random(m, 4) == 0)
		return from;
	for (size_t i = from; i < m->n; i++)
		if (m->p[i] == want)
			return want == '\r' ? i : i + 1;
	return from;
}

static inline void mutant_twice(struct mutant *m)
{
	char line[256];
	size_t at = mutant_place(m), n = MIN(sizeof(line), m->n - at);
	const char *end = memchr(m->p + at, '\n', n);

	n = end ? (size_t)(end + 1 - (m->p + at)) : n;
	memcpy(line, m->p + at, n);
	mutant_put(m, mutant_place(m), line, n);
}

/* One change. */
static inline void mutate(struct mutant *m)
{
	struct str token = mutation_tokens[mutant_random(m, COUNT_OF(mutation_tokens))];
	size_t at = mutant_place(m);

	switch (mutant_random(m, 8)) {
	case 0:
		mutant_cut(m, at, 1 + mutant_random(m, 8));
		break;
	case 1:
		mutant_twice(m);
		break;
	case 2:
		if (at < m->n)
			m->p[at] = (char)mutant_random(m, 256);
		break;
	case 3:
		if (at < m->n)
			m->p[at] ^= 0x20; /* the other case, or another control */
		break;
	case 4:
		mutant_cut(m, at, token.n);
		mutant_put(m, at, token.p, token.n);
		break;
	default:
		mutant_put(m, at, token.p, token.n);
	}
}

#endif
