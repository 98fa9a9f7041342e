/* modules/compress_*.c: whatever the parts in which a body comes, it comes out whole; what coders keep; what clients prefer. */
#include "unit.h"
#include <brotli/decode.h>
#include <malloc.h>
#include <zlib.h>
#include <zstd.h>
#include "../../../modules/compress_accept.h"

#define BODY_MAX (1u << 20)

static struct loop loop;
static char body[BODY_MAX], packed[2 * BODY_MAX], unpacked[BODY_MAX];

static int set_up(void **state)
{
	(void)state;
	assert_true(loop_init(&loop));
	/* Neither noise nor all the same. */
	for (size_t i = 0; i < BODY_MAX; i++)
		body[i] = (char)('a' + (i * i / 7 + i / 100) % 23);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	loop_free(&loop);
	return 0;
}

/* What can be read of the first n packed bytes: how many bytes of the body. */
static size_t unpack(enum coding coding, size_t n, bool *ended)
{
	if (coding == CODING_GZIP) {
		z_stream z = {.next_in = (Bytef *)packed, .avail_in = (uInt)n, .next_out = (Bytef *)unpacked};

		z.avail_out = BODY_MAX;
		assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
		*ended = inflate(&z, Z_SYNC_FLUSH) == Z_STREAM_END;
		inflateEnd(&z);
		return BODY_MAX - z.avail_out;
	}
	if (coding == CODING_BR) {
		BrotliDecoderState *br = BrotliDecoderCreateInstance(NULL, NULL, NULL);
		const uint8_t *in = (const uint8_t *)packed;
		uint8_t *out = (uint8_t *)unpacked;
		size_t room = BODY_MAX;

		*ended = BrotliDecoderDecompressStream(br, &n, &in, &room, &out, NULL) ==
			 BROTLI_DECODER_RESULT_SUCCESS;
		BrotliDecoderDestroyInstance(br);
		return BODY_MAX - room;
	}
	ZSTD_DCtx *zstd = ZSTD_createDCtx();
	ZSTD_inBuffer in = {packed, n, 0};
	ZSTD_outBuffer out = {unpacked, BODY_MAX, 0};
	size_t left = 1;

	while (in.pos < in.size && left)
		left = ZSTD_decompressStream(zstd, &out, &in);
	*ended = left == 0;
	ZSTD_freeDCtx(zstd);
	return out.pos;
}

static size_t take(struct chain *out, size_t at)
{
	size_t n = chain_peek(out, packed + at, sizeof(packed) - at);

	chain_clear(&loop.mem, out);
	return at + n;
}

static void expect(enum coding coding, size_t n, size_t length, bool whole)
{
	bool ended;

	assert_int_equal(unpack(coding, n, &ended), length);
	assert_memory_equal(unpacked, body, length);
	assert_int_equal(ended, whole);
}

/* In parts of `part` bytes, each flushed and readable at once, if so wished. */
static void pack(struct coder *c, size_t length, size_t part, bool flush)
{
	struct chain in = {0}, out = {0};
	size_t n = 0;

	for (size_t at = 0; at < length; at += part) {
		chain_add_copy(&loop.mem, &in, body + at, MIN(part, length - at));
		assert_true(coder_run(c, &loop.mem, &in, &out, flush ? CODER_FLUSH : CODER_GO_ON));
		chain_clear(&loop.mem, &in);
		n = take(&out, n);
		if (flush)
			expect((enum coding)c->coding, n, MIN(at + part, length), false);
	}
	assert_true(coder_run(c, &loop.mem, &in, &out, CODER_END));
	n = take(&out, n);
	expect((enum coding)c->coding, n, length, true);
}

static void every_split_gives_the_same_bytes(void **state)
{
	struct coders all;

	(void)state;
	coders_init(&all, &loop);
	for (int coding = 0; coding < CODINGS; coding++) {
		for (size_t part = 1; part < 400; part = part * 3 / 2 + 1) {
			struct coder *c = coder_take(&all, (enum coding)coding, coding_rows[coding].level);

			pack(c, 1500, part, part > 50);
			coder_give_back(c);
		}
		for (size_t first = 0; first <= 90; first++) {
			struct coder *c = coder_take(&all, (enum coding)coding, coding_rows[coding].level);

			pack(c, 90, first ? first : 90, true);
			coder_give_back(c);
		}
	}
	coders_free(&all);
}

static void large_bodies_and_empty_ones_come_out_whole(void **state)
{
	struct coders all;

	(void)state;
	coders_init(&all, &loop);
	for (int coding = 0; coding < CODINGS; coding++) {
		static const size_t lengths[] = {0, 1, 65536, BODY_MAX};

		for (size_t i = 0; i < COUNT_OF(lengths); i++) {
			struct coder *c = coder_take(&all, (enum coding)coding, coding_rows[coding].level);

			pack(c, lengths[i], 40000, false);
			coder_give_back(c);
		}
	}
	coders_free(&all);
}

static void every_level_works(void **state)
{
	struct coders all;

	(void)state;
	coders_init(&all, &loop);
	for (int coding = 0; coding < CODINGS; coding++) {
		for (uint8_t l = coding_rows[coding].level_min; l <= coding_rows[coding].level_max; l++) {
			struct coder *c = coder_take(&all, (enum coding)coding, l);

			pack(c, 20000, 7000, false);
			coder_give_back(c);
		}
	}
	coders_free(&all);
}

#define STREAMS 1000

static void a_thousand_streams_take_what_is_said_of_them(void **state)
{
	static const size_t most[CODINGS] = {
		[CODING_GZIP] = 300u << 10, [CODING_BR] = 1800u << 10, [CODING_ZSTD] = 1500u << 10};
	static struct coder *v[STREAMS];
	struct coders all;

	(void)state;
	coders_init(&all, &loop);
	for (int coding = 0; coding < CODINGS; coding++) {
		unsigned streams = coding == CODING_GZIP ? STREAMS : STREAMS / 10;
		struct mallinfo2 before = mallinfo2(), now;
		struct chain in = {0}, out = {0};

		chain_add_copy(&loop.mem, &in, body, 60000);
		for (unsigned i = 0; i < streams; i++) {
			v[i] = coder_take(&all, (enum coding)coding, coding_rows[coding].level);
			for (int part = 0; part < 3; part++)
				assert_true(coder_run(v[i], &loop.mem, &in, &out, CODER_GO_ON));
			chain_clear(&loop.mem, &out);
		}
		chain_clear(&loop.mem, &in);
		now = mallinfo2();
		size_t each = (now.uordblks + now.hblkhd - before.uordblks - before.hblkhd) / streams;

		printf("%s: %zu bytes a stream\n", coding_rows[coding].name.p, each);
		assert_true(each < most[coding]);
		for (unsigned i = 0; i < streams; i++)
			coder_give_back(v[i]);
		assert_int_equal(all.in_use, 0);
		assert_in_range(all.idle_n[coding], coding == CODING_BR ? 0 : 1, 16);
	}
	coders_free(&all);
}

/* What is chosen of zstd, br, gzip, in this order. */
static const char *choice(const char *accept)
{
	static const uint8_t offered[] = {CODING_ZSTD, CODING_BR, CODING_GZIP};
	struct fields fs = {0};
	struct arena a;
	enum coding coding;

	arena_init(&a, NULL);
	if (accept)
		fields_add(&a, &fs, FIELD_ACCEPT_ENCODING, STR("accept-encoding"), str_of(accept));
	coding = accept_coding(&fs, offered, COUNT_OF(offered));
	arena_free(&a);
	return coding == CODING_IDENTITY ? "none" : coding_rows[coding].name.p;
}

static void the_client_chooses_and_among_equals_the_order_does(void **state)
{
	static const struct {
		const char *accept, *choice;
	} cases[] = {
		{NULL, "none"},
		{"", "none"},
		{"gzip", "gzip"},
		{"x-gzip", "gzip"},
		{"GZIP, Br", "br"},
		{"gzip, deflate, br, zstd", "zstd"},
		{"gzip;q=1.0, br;q=0.9", "gzip"},
		{"gzip ; q=0.5 , br;q=0.501", "br"},
		{"br;q=0, gzip;q=0.001", "gzip"},
		{"*", "zstd"},
		{"*;q=0.5, gzip", "gzip"},
		{"*, zstd;q=0", "br"},
		{"*;q=0", "none"},
		{"identity", "none"},
		{"identity;q=0.5, gzip;q=0.4", "none"},
		{"identity;q=0.4, gzip;q=0.5", "gzip"},
		{"identity;q=0, *", "zstd"},
		{"deflate", "none"},
		{"gzip;q=x, br;q=2", "none"},
		{"gzip;q=1.000", "gzip"},
		{"gzip;q=0.0000", "none"},
		{",,gzip,,", "gzip"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		assert_string_equal(choice(cases[i].accept), cases[i].choice);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_split_gives_the_same_bytes),
		cmocka_unit_test(large_bodies_and_empty_ones_come_out_whole),
		cmocka_unit_test(every_level_works),
		cmocka_unit_test(a_thousand_streams_take_what_is_said_of_them),
		cmocka_unit_test(the_client_chooses_and_among_equals_the_order_does),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
