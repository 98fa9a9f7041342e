/* What workers count for control: rows of failures over all of them, totals of each. */
#include "unit.h"
#include "base/obj.h"
#include "upstream/outcome.h"

#define WORKERS 3

static int set_up(void **state)
{
	*state = outcomes_new(WORKERS);
	return 0;
}

static int tear_down(void **state)
{
	free(*state);
	return 0;
}

static void a_row_is_counted_over_all_workers_and_told_once(void **state)
{
	struct outcomes *o = *state;

	for (uint32_t round = 0; round < 3; round++)
		for (uint32_t i = 0; i < 5; i++)
			assert_int_equal(outcome_failed(o, i % WORKERS, OUTCOME_ANSWER, 5), i == 4);
}

static void a_good_answer_ends_the_row_of_errors(void **state)
{
	struct outcomes *o = *state;

	outcome_failed(o, 0, OUTCOME_ANSWER, 2);
	outcome_answered(o);
	assert_false(outcome_failed(o, 1, OUTCOME_ANSWER, 2));
	assert_true(outcome_failed(o, 1, OUTCOME_ANSWER, 2));
}

static void errors_and_answers_that_do_not_come_are_apart(void **state)
{
	struct outcomes *o = *state;

	assert_false(outcome_failed(o, 0, OUTCOME_ANSWER, 2));
	assert_false(outcome_failed(o, 0, OUTCOME_LOCAL, 2));
	outcome_answered(o);
	assert_true(outcome_failed(o, 0, OUTCOME_LOCAL, 2));
	outcome_failed(o, 0, OUTCOME_ANSWER, 2);
	outcome_completed(o, 0, true);
	assert_true(outcome_failed(o, 0, OUTCOME_ANSWER, 2));
}

static void a_lower_threshold_holds_at_once(void **state)
{
	struct outcomes *o = *state;

	for (int i = 0; i < 7; i++)
		assert_false(outcome_failed(o, 0, OUTCOME_LOCAL, 10));
	assert_true(outcome_failed(o, 0, OUTCOME_LOCAL, 5));
}

static void totals_are_of_all_workers(void **state)
{
	struct outcomes *o = *state;
	uint32_t requests, failures;

	for (uint32_t w = 0; w < WORKERS; w++) {
		outcome_completed(o, w, false);
		outcome_failed(o, w, OUTCOME_ANSWER, 100);
		outcome_completed(o, w, true);
	}
	outcomes_sum(o, &requests, &failures);
	assert_int_equal(requests, 2 * WORKERS);
	assert_int_equal(failures, WORKERS);
}

static void each_worker_writes_to_a_cache_line_of_its_own(void **state)
{
	struct outcomes *o = *state;

	for (uint32_t w = 0; w < WORKERS; w++)
		assert_int_equal((uintptr_t)&o->tallies[w] % 64, 0);
	assert_true((char *)&o->tallies[0] - (char *)o >= 64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_row_is_counted_over_all_workers_and_told_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_good_answer_ends_the_row_of_errors, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			errors_and_answers_that_do_not_come_are_apart, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_lower_threshold_holds_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(totals_are_of_all_workers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			each_worker_writes_to_a_cache_line_of_its_own, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
