/* Floods: each ends in GOAWAY ENHANCE_YOUR_CALM with bounded memory; what honest clients do does not. */
#include "http/h2/peer.h"

/* More than any budget; a flood is over long before. */
#define MANY 20000

static void assert_calmed(struct peer *p, int sent)
{
	assert_true(p->ft.out_n < (1 << 20));
	assert_non_null(strstr(frames(p), "ENHANCE_YOUR_CALM"));
	assert_true(sent < MANY);
}

static bool alive(const struct peer *p)
{
	return !p->ft.shut && !p->closed;
}

static void rapid_resets_are_calmed(void **state)
{
	struct peer *p = *state;
	int i;

	serve(p);
	for (i = 0; i < MANY && alive(p); i++) {
		headers(p, (uint32_t)(2 * i + 1), true, GET);
		frame32(p, H2_FRAME_RST_STREAM, (uint32_t)(2 * i + 1), H2_CANCEL);
		heard(p);
		p->opened = 0;
	}
	assert_calmed(p, i);
	assert_true(i < 400);
}

static void resets_that_we_are_provoked_to_send_are_calmed(void **state)
{
	struct peer *p = *state;
	int i;

	serve(p);
	for (i = 0; i < MANY && alive(p); i++) {
		headers(p, (uint32_t)(2 * i + 1), true, GET);
		frame32(p, H2_FRAME_WINDOW_UPDATE, (uint32_t)(2 * i + 1), 0);
		heard(p);
		p->opened = 0;
	}
	assert_calmed(p, i);
}

static void malformed_requests_are_calmed(void **state)
{
	struct peer *p = *state;
	int i;

	serve(p);
	for (i = 0; i < MANY && alive(p); i++)
		headers(p, (uint32_t)(2 * i + 1), true, ":method=GET");
	assert_calmed(p, i);
}

static void flood(
	struct peer *p, unsigned type, unsigned flags, uint32_t stream, const char *payload, size_t n)
{
	int i;

	serve(p);
	if (type == H2_FRAME_CONTINUATION)
		frame(p, H2_FRAME_HEADERS, 0, 1, "\x82", 1);
	else
		headers(p, 1, false, POST);
	for (i = 0; i < MANY && alive(p); i++)
		frame(p, type, flags, stream, payload, n);
	assert_calmed(p, i);
}

static void pings_are_calmed(void **state)
{
	flood(*state, H2_FRAME_PING, 0, 0, "12345678", 8);
}

static void settings_are_calmed(void **state)
{
	flood(*state, H2_FRAME_SETTINGS, 0, 0, "\0\4\0\1\0\0", 6);
}

static void priorities_are_calmed(void **state)
{
	flood(*state, H2_FRAME_PRIORITY, 0, 1, "\0\0\0\3\0", 5);
}

static void window_updates_are_calmed(void **state)
{
	flood(*state, H2_FRAME_WINDOW_UPDATE, 0, 1, "\0\0\0\1", 4);
}

static void empty_data_is_calmed(void **state)
{
	flood(*state, H2_FRAME_DATA, 0, 1, "", 0);
}

static void data_of_one_byte_is_calmed(void **state)
{
	flood(*state, H2_FRAME_DATA, 0, 1, "x", 1);
}

static void empty_continuations_are_calmed(void **state)
{
	flood(*state, H2_FRAME_CONTINUATION, 0, 1, "", 0);
}

static void unknown_frames_are_calmed(void **state)
{
	flood(*state, 0xfe, 0, 0, "", 0);
}

static void an_endless_header_block_is_calmed(void **state)
{
	/* An indexed field that is 4 KiB long, again and again: few bytes, much work. */
	static uint8_t block[8000];
	static uint8_t big[4100] = {0x82, 0x86, 0x84, 0x41, 1, 'a', 0x40, 1, 'x', 0x7f, 0x80, 0x1e};
	struct peer *p = *state;
	int i;

	memset(big + 12, 'v', sizeof(big) - 12);
	serve(p);
	frame(p, H2_FRAME_HEADERS, 0, 1, big, 12 + 127 + 0xf00);
	memset(block, 0xbe, sizeof(block));
	for (i = 0; i < MANY && alive(p); i++)
		frame(p, H2_FRAME_CONTINUATION, 0, 1, block, sizeof(block));
	assert_calmed(p, i);
	assert_true(p->loop.mem.in_use < 1 << 20);
}

static void replies_do_not_pile_up_for_a_client_that_does_not_read(void **state)
{
	struct peer *p = *state;

	p->answers = true;
	serve(p);
	p->ft.write_room = 0;
	for (int i = 0; i < 20000; i++) {
		uint8_t block[64];
		size_t n = encode(p, GET, block, sizeof(block));

		put_frame(p, H2_FRAME_HEADERS, H2_FLAG_END_HEADERS | H2_FLAG_END_STREAM,
			(uint32_t)(2 * i + 1), block, n);
		if (i % 1000 == 999)
			fake_event(&p->ft);
		heard(p);
	}
	assert_true(p->loop.mem.in_use < 2 << 20);
}

/* -- honest -- */

static void leaving_a_page_with_many_streams_is_no_flood(void **state)
{
	struct peer *p = *state;

	p->lim.max_streams = 100;
	serve(p);
	for (uint32_t i = 0; i < 100; i++)
		headers(p, 2 * i + 1, true, GET);
	for (uint32_t i = 0; i < 100; i++)
		frame32(p, H2_FRAME_RST_STREAM, 2 * i + 1, H2_CANCEL);
	assert_true(alive(p));
}

static void acknowledging_every_frame_is_no_flood(void **state)
{
	struct peer *p = *state;

	p->quiet_sent = true;
	serve(p);
	for (uint32_t i = 0; i < 3000; i++) {
		headers(p, 2 * i + 1, true, GET);
		send_status(p, 1, 200, false);
		send_zeros(p, 1, 2000, true);
		run(p);
		frame32(p, H2_FRAME_WINDOW_UPDATE, 0, 2000);
		frame32(p, H2_FRAME_WINDOW_UPDATE, 2 * i + 1, 2000);
		frame(p, H2_FRAME_PING, 0, 0, "12345678", 8);
		heard(p);
		frames(p);
		p->opened = 0;
		assert_true(alive(p));
	}
}

static void patience_comes_back_with_time(void **state)
{
	struct peer *p = *state;

	p->lim.idle_ms = 0;
	serve(p);
	for (int minute = 0; minute < 10; minute++) {
		for (int i = 0; i < 300; i++)
			frame(p, H2_FRAME_PING, 0, 0, "12345678", 8);
		assert_true(alive(p));
		pass(p, 60000);
	}
}

static void messages_of_a_few_bytes_in_a_tunnel_are_no_flood(void **state)
{
	struct peer *p = *state;

	p->grant = 1 << 30;
	serve(p);
	headers(p, 1, false, ":method=CONNECT :protocol=websocket :scheme=https :authority=a.test :path=/");
	for (int i = 0; i < MANY; i++) {
		data(p, 1, false, "hi");
		heard(p);
	}
	assert_true(alive(p));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rapid_resets_are_calmed),
		TEST(resets_that_we_are_provoked_to_send_are_calmed),
		TEST(malformed_requests_are_calmed),
		TEST(pings_are_calmed),
		TEST(settings_are_calmed),
		TEST(priorities_are_calmed),
		TEST(window_updates_are_calmed),
		TEST(empty_data_is_calmed),
		TEST(data_of_one_byte_is_calmed),
		TEST(empty_continuations_are_calmed),
		TEST(unknown_frames_are_calmed),
		TEST(an_endless_header_block_is_calmed),
		TEST(replies_do_not_pile_up_for_a_client_that_does_not_read),
		TEST(leaving_a_page_with_many_streams_is_no_flood),
		TEST(acknowledging_every_frame_is_no_flood),
		TEST(patience_comes_back_with_time),
		TEST(messages_of_a_few_bytes_in_a_tunnel_are_no_flood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
