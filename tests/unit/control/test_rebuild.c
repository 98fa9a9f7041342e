/* control/rebuild.h: many who ask are answered by one snapshot, each once it is served. */
#include "unit.h"
#include "control/control.h"

static struct control c;
static char told[16]; /* the names of those who were told, in order */

static void done(void *ctx)
{
	strncat(told, ctx, sizeof(told) - strlen(told) - 1);
}

static void done_and_asks_again(void *ctx)
{
	done(ctx);
	control_rebuild(&c, done, "z");
}

static int set_up(void **state)
{
	(void)state;
	c = (struct control){.state = CONTROL_INSTALLING};
	told[0] = '\0';
	rebuild_init(&c.rebuild, &c);
	return loop_init(&c.loop) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	rebuild_stop(&c.rebuild);
	loop_free(&c.loop);
	return 0;
}

static void those_who_ask_before_a_snapshot_are_told_when_it_is_served(void **state)
{
	(void)state;
	control_rebuild(&c, done, "a");
	control_rebuild(&c, NULL, NULL);
	control_rebuild(&c, done, "b");
	assert_true(c.rebuild.wanted);
	rebuild_answered_by(&c.rebuild, 5);
	assert_false(c.rebuild.wanted);
	assert_string_equal(told, "");
	rebuild_installed(&c.rebuild, 5);
	assert_string_equal(told, "ab");
}

static void who_asks_while_one_is_installed_waits_for_the_next(void **state)
{
	(void)state;
	control_rebuild(&c, done, "a");
	rebuild_answered_by(&c.rebuild, 5);
	control_rebuild(&c, done, "b");
	loop_run_tasks(&c.loop);
	assert_true(c.rebuild.wanted);
	rebuild_installed(&c.rebuild, 5);
	assert_string_equal(told, "a");
	rebuild_answered_by(&c.rebuild, 6);
	rebuild_installed(&c.rebuild, 6);
	assert_string_equal(told, "ab");
}

static void one_who_is_told_may_ask_again(void **state)
{
	(void)state;
	control_rebuild(&c, done_and_asks_again, "a");
	control_rebuild(&c, done, "b");
	rebuild_answered_by(&c.rebuild, 5);
	rebuild_installed(&c.rebuild, 5);
	assert_string_equal(told, "ab");
	assert_true(c.rebuild.wanted);
}

static void nobody_waits_for_a_proxy_that_stops(void **state)
{
	(void)state;
	control_rebuild(&c, done, "a");
	c.state = CONTROL_DRAINING;
	rebuild_stop(&c.rebuild);
	assert_string_equal(told, "a");
	control_rebuild(&c, done, "b");
	assert_string_equal(told, "a");
	loop_run_tasks(&c.loop);
	assert_string_equal(told, "ab");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			those_who_ask_before_a_snapshot_are_told_when_it_is_served, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			who_asks_while_one_is_installed_waits_for_the_next, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_who_is_told_may_ask_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nobody_waits_for_a_proxy_that_stops, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
