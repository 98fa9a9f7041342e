/* How soon a worker process that has died is started again. */
#include "unit.h"

#include "supervisor/supervisor.h"

static void the_first_restart_is_at_once_and_the_others_ever_later_up_to_a_bound(void **state)
{
	static const uint32_t expected[] = {0, 0, 100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000};

	(void)state;
	for (uint32_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		assert_int_equal(restart_delay_ms(i), expected[i]);
	assert_int_equal(restart_delay_ms(UINT32_MAX), 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_restart_is_at_once_and_the_others_ever_later_up_to_a_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
