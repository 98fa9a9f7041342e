/* A token bucket in one word: on a clock that the test sets, and by many threads at once. */
#include "unit.h"
#include <pthread.h>
#include "base/obj.h"
#include "base/rate.h"

#define EACH  1000u /* ns a token */
#define DEPTH (10 * EACH)

static void a_full_bucket_gives_its_depth_and_then_its_rate(void **state)
{
	_Atomic uint64_t word = 0;
	unsigned taken = 0;

	(void)state;
	while (rate_take(&word, EACH, DEPTH, 5000000) == 0)
		taken++;
	assert_int_equal(taken, 10);
	assert_int_equal(rate_take(&word, EACH, DEPTH, 5000000), EACH);
	assert_int_equal(rate_take(&word, EACH, DEPTH, 5000000 + EACH - 1), 1);
	assert_int_equal(rate_take(&word, EACH, DEPTH, 5000000 + EACH), 0);
	assert_int_equal(rate_lacks(&word, 5000000 + EACH), DEPTH);
	assert_int_equal(rate_lacks(&word, 5000000 + EACH + DEPTH), 0);
}

static void what_is_given_back_can_be_taken_again(void **state)
{
	_Atomic uint64_t word = 0;

	(void)state;
	assert_int_equal(rate_take(&word, DEPTH, DEPTH, 7000), 0);
	assert_true(rate_take(&word, EACH, DEPTH, 7000) > 0);
	rate_give_back(&word, DEPTH);
	assert_int_equal(rate_take(&word, DEPTH, DEPTH, 7000), 0);
}

static void an_overdraft_is_paid_before_more_is_granted(void **state)
{
	_Atomic uint64_t word = 0;

	(void)state;
	assert_true(rate_overdraw(&word, 50 * EACH, DEPTH, 1));
	assert_false(rate_overdraw(&word, 1, DEPTH, 1 + 40 * EACH));
	assert_true(rate_overdraw(&word, 1, DEPTH, 2 + 40 * EACH));
}

static void a_bucket_that_was_emptied_at_other_terms_is_no_emptier_than_empty(void **state)
{
	const uint64_t slow = 60 * 1000000000ull, now = 5000000;
	_Atomic uint64_t word = 0;

	(void)state;
	for (int i = 0; i < 10; i++)
		assert_int_equal(rate_take(&word, slow, 10 * slow, now), 0);
	assert_int_equal(rate_take(&word, EACH, DEPTH, now), EACH);
	assert_int_equal(rate_lacks(&word, now), DEPTH);
	assert_int_equal(rate_take(&word, EACH, DEPTH, now + EACH), 0);
}

/* Else one whose clock is behind would give away what the other's clock has not brought back yet. */
static void a_caller_whose_clock_is_behind_gives_nothing_away(void **state)
{
	const uint64_t behind = 5000000, ahead = behind + 5 * EACH;
	_Atomic uint64_t word = 0;

	(void)state;
	while (rate_take(&word, EACH, DEPTH, ahead) == 0)
		;
	assert_int_equal(rate_take(&word, EACH, DEPTH, behind), EACH + ahead - behind);
	assert_int_equal(rate_take(&word, EACH, DEPTH, ahead), EACH);
}

static _Atomic uint64_t shared;
static _Atomic unsigned granted;

static void *take_all(void *arg)
{
	for (int i = 0; i < 20000; i++)
		if (rate_take(&shared, 1, 30000, 1000000) == 0)
			atomic_fetch_add(&granted, 1);
	return arg;
}

static void threads_together_get_no_more_than_one_would(void **state)
{
	pthread_t threads[4];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_all, NULL), 0);
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(granted, 30000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_bucket_gives_its_depth_and_then_its_rate),
		cmocka_unit_test(what_is_given_back_can_be_taken_again),
		cmocka_unit_test(an_overdraft_is_paid_before_more_is_granted),
		cmocka_unit_test(a_bucket_that_was_emptied_at_other_terms_is_no_emptier_than_empty),
		cmocka_unit_test(a_caller_whose_clock_is_behind_gives_nothing_away),
		cmocka_unit_test(threads_together_get_no_more_than_one_would),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
