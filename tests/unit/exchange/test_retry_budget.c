/* How many retries a pool may have: on a clock that the test sets. */
#include "unit.h"
#include "exchange/retry_budget.h"

#define FIFTH 2000 /* 20% */

/* What a second in which so many requests come, and all of them want a retry, gives them. */
static unsigned retries_of_a_second(struct retry_budget *b, uint64_t second, unsigned requests)
{
	unsigned retries = 0;

	for (unsigned i = 0; i < requests; i++) {
		retry_budget_earn(b, second * 1000 + i * 1000 / requests, FIFTH);
		retries += retry_budget_spend(b, second * 1000 + i * 1000 / requests);
	}
	return retries;
}

static void a_pool_that_is_hardly_used_may_retry_three_a_second(void **state)
{
	struct retry_budget b = {0};

	(void)state;
	for (uint64_t second = 5; second < 20; second++)
		assert_int_equal(retries_of_a_second(&b, second, 3), 3);
}

static void a_busy_pool_may_retry_its_share(void **state)
{
	struct retry_budget b = {0};
	unsigned retries = 0;

	(void)state;
	for (uint64_t second = 5; second < 15; second++)
		retries += retries_of_a_second(&b, second, 1000);
	assert_in_range(retries, 2000, 2000 + RETRY_BUDGET_MIN);
}

static void quiet_times_save_for_ten_seconds(void **state)
{
	struct retry_budget b = {0};
	unsigned spent = 0;

	(void)state;
	for (uint64_t ms = 0; ms < 300000; ms++)
		retry_budget_earn(&b, ms, FIFTH);
	while (retry_budget_spend(&b, 300000))
		spent++;
	assert_in_range(spent, 1700, 2000);
}

static void what_was_saved_is_forgotten_by_and_by(void **state)
{
	struct retry_budget b = {0};
	unsigned spent = 0;

	(void)state;
	for (uint64_t ms = 0; ms < 100000; ms++)
		retry_budget_earn(&b, ms, FIFTH);
	while (retry_budget_spend(&b, 130000))
		spent++;
	assert_in_range(spent, RETRY_BUDGET_MIN + 1, 200);
	for (spent = 0; retry_budget_spend(&b, 86400000);)
		spent++;
	assert_int_equal(spent, RETRY_BUDGET_MIN);
}

static void to_ask_costs_nothing(void **state)
{
	struct retry_budget b = {0};

	(void)state;
	for (int i = 0; i < 10; i++)
		assert_true(retry_budget_has(&b, 1000));
	for (int i = 0; i < RETRY_BUDGET_MIN; i++)
		assert_true(retry_budget_spend(&b, 1000));
	assert_false(retry_budget_has(&b, 1999));
	assert_true(retry_budget_has(&b, 2000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pool_that_is_hardly_used_may_retry_three_a_second),
		cmocka_unit_test(a_busy_pool_may_retry_its_share),
		cmocka_unit_test(quiet_times_save_for_ten_seconds),
		cmocka_unit_test(what_was_saved_is_forgotten_by_and_by),
		cmocka_unit_test(to_ask_costs_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
