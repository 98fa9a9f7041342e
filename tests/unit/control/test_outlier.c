/* Who is ejected, for how long, and how many at once: the decisions alone. */
#include "unit.h"
#include "control/outlier.h"

static void at_most_the_share_is_out(void **state)
{
	(void)state;
	assert_int_equal(outlier_most(100, 1000), 10);
	assert_int_equal(outlier_most(19, 1000), 1);
	assert_int_equal(outlier_most(4, 5000), 2);
}

static void one_of_several_may_always_be_out(void **state)
{
	(void)state;
	assert_int_equal(outlier_most(2, 1000), 1);
	assert_int_equal(outlier_most(9, 1), 1);
}

static void one_always_stays(void **state)
{
	(void)state;
	assert_int_equal(outlier_most(1, 10000), 0);
	assert_int_equal(outlier_most(3, 10000), 2);
}

static void a_share_of_nothing_is_nobody(void **state)
{
	(void)state;
	assert_int_equal(outlier_most(10, 0), 0);
}

static void ejections_grow_and_stop_growing(void **state)
{
	(void)state;
	assert_int_equal(outlier_length_ms(30000, 1), 30000);
	assert_int_equal(outlier_length_ms(30000, 3), 90000);
	assert_int_equal(outlier_length_ms(30000, 10), 300000);
	assert_int_equal(outlier_length_ms(30000, 1000), 300000);
	assert_int_equal(outlier_length_ms(UINT32_MAX, 10), UINT32_MAX);
}

/* Which of them stands out; -1: none; -2: several. */
static int who_stands_out(const struct outlier_sample *samples, uint32_t n)
{
	struct outlier_pool pool = outlier_pool_of(samples, n);
	int who = -1;

	for (uint32_t i = 0; i < n; i++)
		if (outlier_stands_out(&pool, &samples[i]))
			who = who == -1 ? (int)i : -2;
	return who;
}

static void one_that_fails_among_many_that_do_not_stands_out(void **state)
{
	const struct outlier_sample s[] = {{500, 0}, {480, 2}, {510, 1}, {400, 100}, {500, 0}};

	(void)state;
	assert_int_equal(who_stands_out(s, COUNT_OF(s)), 3);
}

static void a_single_failure_among_the_flawless_does_not_stand_out(void **state)
{
	const struct outlier_sample s[] = {{500, 0}, {500, 0}, {500, 1}, {500, 0}, {500, 0}};

	(void)state;
	assert_int_equal(who_stands_out(s, COUNT_OF(s)), -1);
}

static void when_all_fail_alike_nobody_stands_out(void **state)
{
	const struct outlier_sample s[] = {{500, 500}, {500, 490}, {500, 495}, {500, 500}, {500, 480}};

	(void)state;
	assert_int_equal(who_stands_out(s, COUNT_OF(s)), -1);
}

static void four_are_too_few_to_compare(void **state)
{
	const struct outlier_sample s[] = {{500, 0}, {500, 0}, {500, 500}, {500, 0}};

	(void)state;
	assert_int_equal(who_stands_out(s, COUNT_OF(s)), -1);
}

static void who_has_had_few_requests_neither_counts_nor_goes(void **state)
{
	const struct outlier_sample few[] = {{500, 0}, {500, 0}, {500, 250}, {500, 0}, {99, 0}};
	const struct outlier_sample none[] = {
		{500, 0}, {500, 0}, {0, 0}, {99, 99}, {500, 0}, {500, 0}, {500, 0}};

	(void)state;
	assert_int_equal(who_stands_out(few, COUNT_OF(few)), -1);
	assert_int_equal(who_stands_out(none, COUNT_OF(none)), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(at_most_the_share_is_out),
		cmocka_unit_test(one_of_several_may_always_be_out),
		cmocka_unit_test(one_always_stays),
		cmocka_unit_test(a_share_of_nothing_is_nobody),
		cmocka_unit_test(ejections_grow_and_stop_growing),
		cmocka_unit_test(one_that_fails_among_many_that_do_not_stands_out),
		cmocka_unit_test(a_single_failure_among_the_flawless_does_not_stand_out),
		cmocka_unit_test(when_all_fail_alike_nobody_stands_out),
		cmocka_unit_test(four_are_too_few_to_compare),
		cmocka_unit_test(who_has_had_few_requests_neither_counts_nor_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
