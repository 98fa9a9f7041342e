/* exchange/hold.h: how those who have waited are let go on. What requests see of it: tests/e2e/test_hold.py. */
#include "exchange/hold.h"
#include "unit.h"

/* n in so many ms: how many go on at most in one tick, and how long it takes. */
static uint32_t release(uint32_t n, uint64_t ms, uint32_t *most)
{
	uint32_t ticks = 0;

	*most = 0;
	for (uint64_t at = 0; n > 0; at += LOOP_TICK_MS, ticks++) {
		uint32_t share = hold_share(n, at < ms ? ms - at : 0);

		assert_in_range(share, 1, n);
		*most = share > *most ? share : *most;
		n -= share;
	}
	return ticks;
}

static void they_go_on_evenly_and_in_time(void **state)
{
	uint32_t most;

	(void)state;
	assert_int_equal(release(1000, 5000, &most), 50);
	assert_int_equal(most, 20);
	assert_int_equal(release(1001, 1000, &most), 10);
	assert_int_equal(most, 101);
}

static void few_take_no_longer_than_they_need(void **state)
{
	uint32_t most;

	(void)state;
	assert_int_equal(release(3, 5000, &most), 3);
	assert_int_equal(most, 1);
	assert_int_equal(release(1, 0, &most), 1);
}

static void without_time_all_go_at_once(void **state)
{
	uint32_t most;

	(void)state;
	assert_int_equal(release(100000, 0, &most), 1);
	assert_int_equal(release(100000, LOOP_TICK_MS, &most), 1);
	assert_int_equal(hold_share(0, 1000), 0);
	assert_int_equal(hold_share(UINT32_MAX, 1), UINT32_MAX);
}

static void at_a_rate_so_many_go_whatever_the_ticks_are(void **state)
{
	uint64_t credit = 0;
	uint32_t n = 0;

	(void)state;
	for (int i = 0; i < 600; i++)
		n += hold_paced(&credit, 500, 100); /* one in two seconds, for a minute */
	assert_int_equal(n, 30);
	assert_int_equal(hold_paced(&credit, 1000 * 1000, 1000), 1000);
	assert_int_equal(hold_paced(&credit, 1, 999999), 0);
	assert_int_equal(hold_paced(&credit, 1, 1), 1);
	assert_int_equal(hold_paced(&credit, UINT32_MAX, UINT32_MAX), UINT32_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(they_go_on_evenly_and_in_time),
		cmocka_unit_test(few_take_no_longer_than_they_need),
		cmocka_unit_test(without_time_all_go_at_once),
		cmocka_unit_test(at_a_rate_so_many_go_whatever_the_ticks_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
