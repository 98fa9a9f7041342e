#include "base/obj.h"
#include "http/ws_frames.h"
#include "unit.h"

static struct mem mem;

static int set_up(void **state)
{
	(void)state;
	mem_init(&mem);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	mem_free(&mem);
	return 0;
}

/* Three frames: 5 masked bytes, 200 bytes, 70,000 bytes. */
static size_t make_frames(uint8_t *p)
{
	uint8_t *at = p;

	memcpy(at, "\x81\x85kkkkhello", 11);
	at += 11;
	memcpy(at, "\x02\x7e\x00\xc8", 4);
	memset(at + 4, 0x88, 200);
	at += 204;
	memcpy(at, "\x80\x7f\0\0\0\0\x00\x01\x11\x70", 10);
	memset(at + 10, 0x88, 70000);
	return (size_t)(at - p) + 70010;
}

static uint8_t bytes[80000];

static size_t pass(struct ws_frames *f, const uint8_t *p, size_t n, bool to_end)
{
	struct chain c = {0};
	size_t passed;

	for (size_t at = 0; at < n; at += 1000)
		chain_add_copy(&mem, &c, (const char *)p + at, MIN(1000, n - at));
	passed = ws_frames_pass(f, &c, to_end);
	chain_clear(&mem, &c);
	return passed;
}

static void frames_end_where_their_heads_say_however_they_are_cut(void **state)
{
	size_t n = make_frames(bytes);

	(void)state;
	for (size_t cut = 0; cut <= n; cut += cut < 300 ? 1 : 997) {
		struct ws_frames f = {0};

		assert_int_equal(pass(&f, bytes, cut, false), cut);
		assert_int_equal(ws_frames_between(&f), cut == 0 || cut == 11 || cut == 215 || cut == n);
		assert_int_equal(pass(&f, bytes + cut, n - cut, false), n - cut);
		assert_true(ws_frames_between(&f));
		assert_false(f.closed);
	}
}

static void it_stops_at_the_end_of_the_frame_under_way(void **state)
{
	size_t n = make_frames(bytes);
	struct ws_frames f = {0};

	(void)state;
	pass(&f, bytes, 20, false);
	assert_int_equal(pass(&f, bytes + 20, n - 20, true), 215 - 20);
	assert_true(ws_frames_between(&f));
	assert_int_equal(pass(&f, bytes + 215, n - 215, true), 0);
}

static void a_close_frame_is_noticed(void **state)
{
	struct ws_frames f = {0};

	(void)state;
	pass(&f, (const uint8_t *)"\x88\x02\x03\xe8", 4, false);
	assert_true(f.closed && ws_frames_between(&f));
}

static void ours_says_going_away_masked_as_clients_have_to(void **state)
{
	struct chain c = {0};
	char out[16];

	(void)state;
	ws_close_frame(&mem, &c, false, 0);
	assert_int_equal(chain_peek(&c, out, sizeof(out)), 4);
	assert_memory_equal(out, "\x88\x02\x03\xe9", 4);
	chain_clear(&mem, &c);
	ws_close_frame(&mem, &c, true, 0x01010101);
	assert_int_equal(chain_peek(&c, out, sizeof(out)), 8);
	assert_memory_equal(out, "\x88\x82\x01\x01\x01\x01\x02\xe8", 8);
	chain_clear(&mem, &c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_end_where_their_heads_say_however_they_are_cut),
		cmocka_unit_test(it_stops_at_the_end_of_the_frame_under_way),
		cmocka_unit_test(a_close_frame_is_noticed),
		cmocka_unit_test(ours_says_going_away_masked_as_clients_have_to),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
