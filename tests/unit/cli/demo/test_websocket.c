/* cli/demo/websocket.h: the frame echo, fed whole and byte by byte. */
#include "unit.h"
#include "cli/demo/websocket.h"

#define MASK "\x01\x02\x03\x04"

static int set_up(void **state)
{
	static struct mem m;

	mem_init(&m);
	*state = &m;
	return 0;
}

static int tear_down(void **state)
{
	mem_free(*state);
	return 0;
}

/* Feeds n bytes in pieces of `step` and collects what comes back. Is the connection still alive? */
static bool feed(struct mem *m, const char *bytes, size_t n, size_t step, char *out, size_t *out_n)
{
	struct websocket_echo w = {0};
	struct chain in = {0}, answer = {0};
	bool alive = true;

	for (size_t at = 0; at < n && alive; at += step) {
		chain_add_copy(m, &in, bytes + at, n - at < step ? n - at : step);
		alive = websocket_echo_feed(&w, m, &in, &answer);
		assert_true(chain_empty(&in));
	}
	*out_n = chain_peek(&answer, out, 4096);
	chain_clear(m, &answer);
	return alive;
}

static void check(struct mem *m, struct str in, struct str want, bool want_alive)
{
	for (size_t step = 1; step <= in.n; step++) {
		char out[4096];
		size_t n;

		assert_int_equal(feed(m, in.p, in.n, step, out, &n), want_alive);
		assert_int_equal(n, want.n);
		assert_memory_equal(out, want.p, n);
	}
}

static void a_text_comes_back_unmasked(void **state)
{
	check(*state, STR("\x81\x85" MASK "igohn"),
		STR("\x81\x05"
		    "hello"),
		true);
}

static void fragments_stay_fragments(void **state)
{
	check(*state, STR("\x01\x81" MASK "i\x80\x81" MASK "j"), STR("\x01\x01h\x80\x01k"), true);
}

static void a_ping_becomes_a_pong_and_a_pong_nothing(void **state)
{
	check(*state, STR("\x89\x81" MASK "i\x8a\x81" MASK "i"), STR("\x8a\x01h"), true);
}

static void a_close_is_returned_and_ends_it(void **state)
{
	check(*state, STR("\x88\x82" MASK "\x02\xea"), STR("\x88\x02\x03\xe8"), false);
}

static void an_empty_message_is_a_message(void **state)
{
	check(*state, STR("\x82\x80" MASK "\x82\x80" MASK), STR("\x82\x00\x82\x00"), true);
}

static void what_breaks_the_rules_is_closed_with_1002(void **state)
{
	const struct str refusal = STR("\x88\x02\x03\xea");

	check(*state, STR("\x81\x01h"), refusal, false); /* not masked */
	check(*state, STR("\xc1\x81" MASK "i"), refusal, false); /* a reserved bit */
	check(*state, STR("\x83\x81" MASK "i"), refusal, false); /* an unknown opcode */
	check(*state, STR("\x09\x81" MASK "i"), refusal, false); /* a ping in fragments */
	check(*state, STR("\x89\xfe\x00\x7e" MASK), refusal, false); /* a ping that is too long */
	check(*state, STR("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff" MASK), refusal,
		false); /* a negative length */
}

static void long_lengths_are_kept(void **state)
{
	static char in[8 + 200], out[4096];
	size_t n;

	memcpy(in, "\x82\xfe\x00\xc8" MASK, 8);
	assert_true(feed(*state, in, sizeof(in), sizeof(in), out, &n));
	assert_int_equal(n, 4 + 200);
	assert_memory_equal(out, "\x82\x7e\x00\xc8" MASK, 8); /* zeros under the mask are the mask */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_text_comes_back_unmasked),
		cmocka_unit_test(fragments_stay_fragments),
		cmocka_unit_test(a_ping_becomes_a_pong_and_a_pong_nothing),
		cmocka_unit_test(a_close_is_returned_and_ends_it),
		cmocka_unit_test(an_empty_message_is_a_message),
		cmocka_unit_test(what_breaks_the_rules_is_closed_with_1002),
		cmocka_unit_test(long_lengths_are_kept),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
