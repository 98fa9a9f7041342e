#include "unit.h"
#include "http/h2/guard.h"

static void the_budget_is_bounded_from_above(void **state)
{
	struct h2_guard g;

	(void)state;
	h2_guard_init(&g, 1000);
	for (int i = 0; i < 10000; i++)
		h2_guard_reward(&g, H2_WORK_MESSAGE);
	assert_int_equal(g.left, H2_GUARD_FULL);
	assert_true(h2_guard_charge(&g, H2_COST_RESET, UINT64_MAX / 2)); /* a very long time */
	assert_int_equal(g.left, H2_GUARD_FULL - H2_COST_RESET);
}

static void an_empty_budget_ends_patience(void **state)
{
	struct h2_guard g;
	int charges = 0;

	(void)state;
	h2_guard_init(&g, 1000);
	while (h2_guard_charge(&g, H2_COST_RESET, 1000))
		charges++;
	assert_int_equal(charges, H2_GUARD_FULL / H2_COST_RESET);
}

static void time_is_not_lost_to_frequent_charges(void **state)
{
	struct h2_guard g;

	(void)state;
	h2_guard_init(&g, 0);
	g.left = 500;
	for (uint64_t ms = 1; ms <= 2000; ms++)
		if (ms % 20 == 0) /* 50 a second: less than time gives */
			assert_true(h2_guard_charge(&g, H2_COST_SMALL, ms));
	assert_int_equal(g.left, 500 + 2 * H2_GUARD_PER_SECOND - 100);
}

static void work_pays_for_control_frames(void **state)
{
	struct h2_guard g;

	(void)state;
	h2_guard_init(&g, 0);
	for (int i = 0; i < 100000; i++) {
		h2_guard_reward(&g, H2_WORK_DATA);
		assert_true(h2_guard_charge(&g, H2_COST_SMALL, 0));
		assert_true(h2_guard_charge(&g, H2_COST_SMALL, 0));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_budget_is_bounded_from_above),
		cmocka_unit_test(an_empty_budget_ends_patience),
		cmocka_unit_test(time_is_not_lost_to_frequent_charges),
		cmocka_unit_test(work_pays_for_control_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
