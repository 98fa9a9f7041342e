/* base/mem.h: blocks, slices, chains. */
#include "unit.h"
#include "base/mem.h"

static int set_up(void **state)
{
	static struct mem m;

	mem_init(&m);
	*state = &m;
	return 0;
}

static int tear_down(void **state)
{
	mem_free(*state); /* panics if a block is still in use */
	return 0;
}

static struct str text_of(const struct chain *c, char *buf, size_t cap)
{
	return (struct str){buf, chain_peek(c, buf, cap)};
}

static void a_chain_joins_what_lies_side_by_side(void **state)
{
	struct mem *m = *state;
	struct chain c = {0};
	struct block *b = block_new(m, 100);

	memcpy(b->data, "abcdef", 6);
	chain_add_ref(m, &c, b, b->data, 3);
	chain_add_ref(m, &c, b, b->data + 3, 3);
	assert_ptr_equal(c.first, c.last);
	assert_int_equal(c.n, 6);
	assert_int_equal(b->refs, 2);
	chain_clear(m, &c);
	assert_int_equal(b->refs, 1);
	block_unref(b);
}

static void copies_fill_the_tail_before_they_take_a_block(void **state)
{
	struct mem *m = *state;
	struct chain c = {0};
	char buf[16];

	chain_add_copy(m, &c, "abc", 3);
	chain_add_copy(m, &c, "def", 3);
	assert_ptr_equal(c.first, c.last);
	assert_str(text_of(&c, buf, sizeof(buf)), "abcdef");
	chain_clear(m, &c);
}

static void moving_part_of_a_slice_shares_its_block(void **state)
{
	struct mem *m = *state;
	struct chain a = {0}, b = {0};
	char buf[16];

	chain_add_copy(m, &a, "hello world", 11);
	chain_move_n(m, &b, &a, 5);
	assert_str(text_of(&b, buf, sizeof(buf)), "hello");
	assert_str(text_of(&a, buf, sizeof(buf)), " world");
	assert_int_equal(a.n + b.n, 11);
	chain_clear(m, &a);
	chain_clear(m, &b);
}

static void a_shared_chain_outlives_the_first(void **state)
{
	struct mem *m = *state;
	struct chain a = {0}, b = {0};
	char buf[16];

	chain_add_copy(m, &a, "body", 4);
	chain_add_static(m, &a, STR("\r\n"));
	chain_share(m, &b, &a);
	chain_clear(m, &a);
	assert_str(text_of(&b, buf, sizeof(buf)), "body\r\n");
	chain_clear(m, &b);
}

static void draining_crosses_slices_of_every_length(void **state)
{
	struct mem *m = *state;
	char buf[16];

	for (size_t n = 0; n <= 9; n++) {
		struct chain c = {0};

		chain_add_static(m, &c, STR("abc"));
		chain_add_copy(m, &c, "def", 3);
		chain_add_static(m, &c, STR("ghi"));
		chain_drain(m, &c, n);
		assert_str(text_of(&c, buf, sizeof(buf)), "abcdefghi" + n);
		assert_int_equal(c.n, 9 - n);
		chain_clear(m, &c);
	}
}

static void appending_to_a_shared_tail_never_overwrites_it(void **state)
{
	struct mem *m = *state;
	struct chain a = {0}, b = {0};
	char buf[16];

	chain_add_copy(m, &a, "abc", 3);
	chain_share(m, &b, &a);
	chain_add_copy(m, &a, "def", 3);
	chain_add_copy(m, &b, "xyz", 3);
	assert_str(text_of(&a, buf, sizeof(buf)), "abcdef");
	assert_str(text_of(&b, buf, sizeof(buf)), "abcxyz");
	chain_clear(m, &a);
	chain_clear(m, &b);
}

static void what_was_read_stays_while_a_chain_refers_to_it(void **state)
{
	struct mem *m = *state;
	struct chain c = {0};
	size_t room;
	char *first = mem_read_room(m, &room), *second, buf[16];

	assert_true(room >= 16 * 1024 - sizeof(struct block));
	memcpy(first, "first", 5);
	chain_add_ref(m, &c, mem_read_take(m, 5), first, 5);
	second = mem_read_room(m, &room);
	assert_ptr_not_equal(first, second);
	memcpy(second, "second", 6);
	assert_str(text_of(&c, buf, sizeof(buf)), "first");
	chain_clear(m, &c);
}

static void settling_frees_the_large_block_that_little_hangs_on(void **state)
{
	struct mem *m = *state;
	struct chain c = {0};
	size_t room;
	char *p = mem_read_room(m, &room), buf[16];
	struct block *read = mem_read_take(m, 4);

	memcpy(p, "tiny", 4);
	chain_add_ref(m, &c, read, p, 4);
	assert_int_equal(read->refs, 2);
	chain_settle(m, &c);
	assert_int_equal(read->refs, 1);
	assert_true(c.first->block->size < 1024);
	assert_str(text_of(&c, buf, sizeof(buf)), "tiny");
	chain_clear(m, &c);
}

static void iovecs_stop_at_the_number_that_was_asked_for(void **state)
{
	struct mem *m = *state;
	struct chain c = {0};
	struct iovec iov[2];

	chain_add_static(m, &c, STR("a"));
	chain_add_copy(m, &c, "b", 1);
	chain_add_static(m, &c, STR("c"));
	assert_int_equal(chain_iov(&c, iov, 2), 2);
	assert_int_equal(iov[1].iov_len, 1);
	chain_clear(m, &c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_chain_joins_what_lies_side_by_side, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			copies_fill_the_tail_before_they_take_a_block, set_up, tear_down),
		cmocka_unit_test_setup_teardown(moving_part_of_a_slice_shares_its_block, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_shared_chain_outlives_the_first, set_up, tear_down),
		cmocka_unit_test_setup_teardown(draining_crosses_slices_of_every_length, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			appending_to_a_shared_tail_never_overwrites_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_was_read_stays_while_a_chain_refers_to_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			settling_frees_the_large_block_that_little_hangs_on, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			iovecs_stop_at_the_number_that_was_asked_for, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
