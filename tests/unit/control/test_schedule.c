#include "unit.h"
#include "control/schedule.h"

#define MONDAY 1790553600 /* 2026-09-28 00:00 UTC */
#define HOUR   3600
#define DAY    (24 * HOUR)

static struct schedule schedule(const char *between, const char *days, const char *tz)
{
	struct schedule s;
	char err[128];

	assert_true(schedule_parse(&s, str_of(between), str_of(days), str_of(tz), err, sizeof(err)));
	return s;
}

static void no_schedule_is_always_open(void **state)
{
	struct schedule s = schedule("", "", "");

	(void)state;
	assert_true(schedule_open(&s, MONDAY));
	assert_int_equal(schedule_opens_in(&s, MONDAY), 0);
}

static void it_is_open_between_its_hours_on_its_days(void **state)
{
	struct schedule s = schedule("09:00-17:00", "mon-fri", "");

	(void)state;
	assert_false(schedule_open(&s, MONDAY + 9 * HOUR - 1));
	assert_true(schedule_open(&s, MONDAY + 9 * HOUR));
	assert_true(schedule_open(&s, MONDAY + 17 * HOUR - 1));
	assert_false(schedule_open(&s, MONDAY + 17 * HOUR));
	assert_false(schedule_open(&s, MONDAY + 5 * DAY + 10 * HOUR));
	assert_int_equal(schedule_opens_in(&s, MONDAY + 8 * HOUR), HOUR);
	assert_int_equal(schedule_opens_in(&s, MONDAY + 5 * DAY), 2 * DAY + 9 * HOUR);
}

static void a_window_over_midnight_belongs_to_the_day_on_which_it_begins(void **state)
{
	struct schedule s = schedule("22:00-04:00", "sun", "");

	(void)state;
	assert_true(schedule_open(&s, MONDAY + 3 * HOUR));
	assert_false(schedule_open(&s, MONDAY + 4 * HOUR));
	assert_false(schedule_open(&s, MONDAY + 23 * HOUR));
	assert_true(schedule_open(&s, MONDAY - HOUR));
}

static void an_offset_moves_the_day_as_well(void **state)
{
	struct schedule s = schedule("00:00-01:00", "mon", "+02:00"),
			west = schedule("23:00-24:00", "sun", "-03:30");

	(void)state;
	assert_true(schedule_open(&s, MONDAY - 2 * HOUR));
	assert_false(schedule_open(&s, MONDAY));
	assert_true(schedule_open(&west, MONDAY + 2 * HOUR + 1800));
}

static void days_go_round_the_week(void **state)
{
	struct schedule s = schedule("", "fri-mon", "");

	(void)state;
	assert_true(schedule_open(&s, MONDAY));
	assert_false(schedule_open(&s, MONDAY + DAY));
	assert_true(schedule_open(&s, MONDAY + 4 * DAY));
}

static void nonsense_is_told(void **state)
{
	static const char *const bad[][3] = {{"9-17", "", ""}, {"25:00-26:00", "", ""},
		{"09:60-10:00", "", ""}, {"", "funday", ""}, {"", "mon-", ""}, {"09:00-10:00", "", "CET"},
		{"", "mon", "+15:00"}};
	struct schedule s;
	char err[128];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err[0] = '\0';
		if (schedule_parse(
			    &s, str_of(bad[i][0]), str_of(bad[i][1]), str_of(bad[i][2]), err, sizeof(err)))
			fail_msg("%s %s %s was taken", bad[i][0], bad[i][1], bad[i][2]);
		assert_true(err[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_schedule_is_always_open),
		cmocka_unit_test(it_is_open_between_its_hours_on_its_days),
		cmocka_unit_test(a_window_over_midnight_belongs_to_the_day_on_which_it_begins),
		cmocka_unit_test(an_offset_moves_the_day_as_well),
		cmocka_unit_test(days_go_round_the_week),
		cmocka_unit_test(nonsense_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
