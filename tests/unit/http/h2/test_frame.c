#include "unit.h"
#include "base/obj.h"
#include "http/h2/frame.h"

static void a_header_survives_packing_and_parsing(void **state)
{
	static const struct h2_frame cases[] = {
		{0, 0, H2_FRAME_SETTINGS, H2_FLAG_ACK},
		{16384, 1, H2_FRAME_DATA, H2_FLAG_END_STREAM | H2_FLAG_PADDED},
		{0xffffff, 0x7fffffff, 0xff, 0xff},
		{0x010203, 0x04050607, H2_FRAME_GOAWAY, 0},
	};

	(void)state;
	for (unsigned i = 0; i < COUNT_OF(cases); i++) {
		uint8_t p[H2_FRAME_HEADER];
		struct h2_frame f;

		h2_frame_pack(p, &cases[i]);
		h2_frame_parse(&f, p);
		assert_int_equal(f.length, cases[i].length);
		assert_int_equal(f.stream, cases[i].stream);
		assert_int_equal(f.type, cases[i].type);
		assert_int_equal(f.flags, cases[i].flags);
	}
}

static void the_reserved_bit_is_ignored(void **state)
{
	static const uint8_t p[H2_FRAME_HEADER] = {0, 0, 0, H2_FRAME_DATA, 0, 0x80, 0, 0, 5};
	struct h2_frame f;

	(void)state;
	h2_frame_parse(&f, p);
	assert_int_equal(f.stream, 5);
}

static void lengths_and_streams_are_checked_by_type(void **state)
{
	static const struct {
		struct h2_frame f;
		enum h2_error code;
		bool stream;
	} cases[] = {
		{{0, 1, H2_FRAME_DATA, 0}, H2_NO_ERROR, false},
		{{16385, 1, H2_FRAME_DATA, 0}, H2_FRAME_SIZE_ERROR, false},
		{{0, 1, H2_FRAME_DATA, H2_FLAG_PADDED}, H2_FRAME_SIZE_ERROR, false},
		{{5, 1, H2_FRAME_HEADERS, H2_FLAG_PRIORITY | H2_FLAG_PADDED}, H2_FRAME_SIZE_ERROR, false},
		{{6, 1, H2_FRAME_HEADERS, H2_FLAG_PRIORITY | H2_FLAG_PADDED}, H2_NO_ERROR, false},
		{{4, 1, H2_FRAME_PRIORITY, 0}, H2_FRAME_SIZE_ERROR, true},
		{{4, 0, H2_FRAME_PRIORITY, 0}, H2_PROTOCOL_ERROR, false},
		{{5, 1, H2_FRAME_RST_STREAM, 0}, H2_FRAME_SIZE_ERROR, false},
		{{12, 0, H2_FRAME_SETTINGS, 0}, H2_NO_ERROR, false},
		{{11, 0, H2_FRAME_SETTINGS, 0}, H2_FRAME_SIZE_ERROR, false},
		{{6, 0, H2_FRAME_SETTINGS, H2_FLAG_ACK}, H2_FRAME_SIZE_ERROR, false},
		{{8, 0, H2_FRAME_PING, 0}, H2_NO_ERROR, false},
		{{8, 3, H2_FRAME_PING, 0}, H2_PROTOCOL_ERROR, false},
		{{100, 0, H2_FRAME_GOAWAY, 0}, H2_NO_ERROR, false},
		{{4, 0, H2_FRAME_WINDOW_UPDATE, 0}, H2_NO_ERROR, false},
		{{4, 9, H2_FRAME_WINDOW_UPDATE, 0}, H2_NO_ERROR, false},
		{{100, 77, 0xee, 0xff}, H2_NO_ERROR, false}, /* RFC 9113 4.1: unknown types are ignored */
	};

	(void)state;
	for (unsigned i = 0; i < COUNT_OF(cases); i++) {
		struct h2_fault fault = h2_frame_check(&cases[i].f);

		if (fault.code != cases[i].code || fault.stream != cases[i].stream)
			fail_msg("case %u: code %u, stream %d", i, fault.code, fault.stream);
	}
}

static void padding_and_priority_are_stripped(void **state)
{
	struct h2_frame f = {13, 1, H2_FRAME_HEADERS, H2_FLAG_PADDED | H2_FLAG_PRIORITY};
	struct str payload = STR("\4\x80\0\0\7\xffhdr\0\0\0\0");
	uint32_t depends;

	(void)state;
	assert_true(h2_frame_strip(&f, &payload, &depends));
	assert_int_equal(depends, 7);
	assert_str(payload, "hdr");
}

static void padding_longer_than_the_payload_is_refused(void **state)
{
	struct h2_frame f = {4, 1, H2_FRAME_HEADERS, H2_FLAG_PADDED};
	struct str fits = STR("\3abc"), exceeds = STR("\4abc");

	(void)state;
	assert_true(h2_frame_strip(&f, &fits, NULL));
	assert_int_equal(fits.n, 0);
	assert_false(h2_frame_strip(&f, &exceeds, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_header_survives_packing_and_parsing),
		cmocka_unit_test(the_reserved_bit_is_ignored),
		cmocka_unit_test(lengths_and_streams_are_checked_by_type),
		cmocka_unit_test(padding_and_priority_are_stripped),
		cmocka_unit_test(padding_longer_than_the_payload_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
