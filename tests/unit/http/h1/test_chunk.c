#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "base/obj.h"
#include "http/h1/chunk.h"

static struct mem mem;

static int setup(void **state)
{
	(void)state;
	mem_init(&mem);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	mem_free(&mem);
	return 0;
}

/* Decodes text in pieces, a block each as sockets give them; at most max bytes a call. */
static enum h1_chunk_result decode(
	const char *text, size_t n, size_t piece, size_t max, char *out, size_t *rest)
{
	struct h1_chunks k = {0};
	struct chain in = {0}, body = {0};
	enum h1_chunk_result r = H1_CHUNK_MORE;
	size_t at = 0;

	while (r == H1_CHUNK_MORE && (at < n || !chain_empty(&in))) {
		size_t part = MIN(piece, n - at), before = in.n + body.n;

		if (part) {
			struct block *b = block_new(&mem, part);

			memcpy(b->data, text + at, part);
			chain_add_ref(&mem, &in, b, b->data, part);
			block_unref(b);
			at += part;
		}
		r = h1_chunks_decode(&k, &mem, &in, &body, max);
		if (r == H1_CHUNK_MORE && part == 0 && in.n + body.n == before && body.n == 0)
			break;
		out += chain_peek(&body, out, body.n);
		chain_clear(&mem, &body);
	}
	*out = '\0';
	*rest = in.n + n - at;
	chain_clear(&mem, &in);
	return r;
}

static void assert_chunks(
	const char *text, enum h1_chunk_result expected, const char *payload, size_t rest_expected)
{
	static const size_t maxes[] = {1, 3, 1000};
	char out[20000];
	size_t rest;

	for (size_t piece = 1; piece <= strlen(text); piece++) {
		for (size_t i = 0; i < COUNT_OF(maxes); i++) {
			enum h1_chunk_result r = decode(text, strlen(text), piece, maxes[i], out, &rest);

			if (r != expected)
				fail_msg("\"%s\" in pieces of %zu: %d instead of %d", text, piece, r,
					expected);
			if (expected == H1_CHUNK_BAD)
				continue;
			assert_string_equal(out, payload);
			assert_int_equal(rest, rest_expected);
		}
	}
}

static void chunks_are_put_together(void **state)
{
	(void)state;
	assert_chunks("5\r\nhello\r\n0\r\n\r\n", H1_CHUNK_LAST, "hello", 2);
	assert_chunks(
		"5\r\nhello\r\nA\r\n0123456789\r\n000\r\nX: y\r\n\r\n", H1_CHUNK_LAST, "hello0123456789", 8);
	assert_chunks("0a\r\n0123456789\r\n", H1_CHUNK_MORE, "0123456789", 0);
	assert_chunks("0\r\n", H1_CHUNK_LAST, "", 0);
}

static void extensions_are_checked_and_dropped(void **state)
{
	(void)state;
	assert_chunks("1;a\r\nx\r\n1;a=b;c=\"d;\\\"e\"\r\ny\r\n1 ; a = b ; c\r\nz\r\n0;last\r\n",
		H1_CHUNK_LAST, "xyz", 0);
}

static void malformed_sizes_are_refused(void **state)
{
	static const char *const cases[] = {"0x1\r\nx\r\n", "+1\r\nx\r\n", "-1\r\nx\r\n", "1_0\r\nx",
		" 1\r\nx\r\n", "\t1\r\nx", "\r\nx", ";a\r\nx", "g\r\n", "1 \r\nx\r\n", "1\nx\r\n", "1\r\r\nx",
		"1\rx", "10000000000000000\r\n", "00000000000000001\r\n", "8000000000000000\r\n",
		"fffffffffffffffff\r\n", "1,\r\n", "1.0\r\n"};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		assert_chunks(cases[i], H1_CHUNK_BAD, NULL, 0);
}

static void data_ends_where_its_size_says(void **state)
{
	(void)state;
	assert_chunks("1\r\nxy\r\n", H1_CHUNK_BAD, NULL, 0);
	assert_chunks("2\r\nx\r\n0\r\n", H1_CHUNK_BAD, NULL, 0);
	assert_chunks("1\r\nx\n0\r\n", H1_CHUNK_BAD, NULL, 0);
	assert_chunks("1\r\nx0\r\n", H1_CHUNK_BAD, NULL, 0);
}

static void malformed_extensions_are_refused(void **state)
{
	static const char *const cases[] = {"1;\r\nx", "1;;\r\nx", "1;a=\r\nx", "1;=b\r\nx", "1;a=\"b\r\nx",
		"1;a=\"b\"c\r\nx", "1;a b\r\nx", "1;a\nx", "1;a=\"\n\"\r\nx", "1;a=\"\\\r\n\"", "1;a \r\nx",
		"1;\x01\r\nx"};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		assert_chunks(cases[i], H1_CHUNK_BAD, NULL, 0);
}

static void extensions_have_a_cap_over_the_whole_body(void **state)
{
	char text[20000] = "", out[20000];
	size_t rest;

	(void)state;
	for (int i = 0; i < 1200; i++)
		strcat(text, "1;abc\r\nx\r\n");
	assert_int_equal(decode(text, strlen(text), 500, 1000, out, &rest), H1_CHUNK_BAD);
}

static void one_byte_chunks_cost_no_more_memory_than_their_bytes(void **state)
{
	struct h1_chunks k = {0};
	struct chain in = {0}, body = {0};
	unsigned slices = 0;
	char *p;

	(void)state;
	p = chain_reserve(&mem, &in, 60000);
	for (int i = 0; i < 10000; i++)
		memcpy(p + i * 6, "1\r\nx\r\n", 6);
	chain_commit(&mem, &in, 60000);
	assert_int_equal(h1_chunks_decode(&k, &mem, &in, &body, SIZE_MAX), H1_CHUNK_MORE);
	assert_int_equal(body.n, 10000);
	for (const struct slice *s = body.first; s; s = s->next)
		slices++;
	assert_int_equal(slices, 1);
	chain_clear(&mem, &body);
	chain_clear(&mem, &in);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(chunks_are_put_together),
		T(extensions_are_checked_and_dropped),
		T(malformed_sizes_are_refused),
		T(data_ends_where_its_size_says),
		T(malformed_extensions_are_refused),
		T(extensions_have_a_cap_over_the_whole_body),
		T(one_byte_chunks_cost_no_more_memory_than_their_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
