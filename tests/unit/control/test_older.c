/* Older processes that still finish: what the one that serves knows of them. */
#include "unit.h"
#include "control/older.h"

static void hear(struct older *o, json_t *message, uint64_t now_ms)
{
	assert_non_null(message);
	older_heard(o, message, now_ms);
	json_decref(message);
}

static json_t *word_of(int pid, int connections)
{
	return json_pack("{s:s, s:i, s:s, s:i, s:i, s:i}", "type", "older", "pid", pid, "version", "0.1.0",
		"connections", connections, "requests", 2, "ends_in_ms", 5000);
}

static void before_any_upgrade_there_is_none(void **state)
{
	struct older o = {0};
	json_t *list = older_list(&o, 1000);

	(void)state;
	assert_int_equal(json_array_size(list), 0);
	assert_int_equal(older_count(&o), 0);
	assert_int_equal(older_left(&o, "connections"), 0);
	json_decref(list);
	older_free(&o);
}

static void the_last_word_of_each_counts(void **state)
{
	struct older o = {0};

	(void)state;
	hear(&o, word_of(7, 30), 1000);
	hear(&o, word_of(8, 4), 1000);
	hear(&o, word_of(7, 3), 2000);
	assert_int_equal(older_count(&o), 2);
	assert_int_equal(older_left(&o, "connections"), 7);
	assert_int_equal(older_left(&o, "requests"), 4);
	assert_int_equal(older_left(&o, "websockets"), 0);
	older_free(&o);
}

static void one_that_has_ended_is_forgotten_even_if_it_never_spoke(void **state)
{
	struct older o = {0};

	(void)state;
	hear(&o, json_pack("{s:i, s:b}", "pid", 9, "ended", 1), 1000);
	assert_int_equal(older_count(&o), 0);
	hear(&o, word_of(7, 30), 1000);
	hear(&o, json_pack("{s:i, s:b}", "pid", 7, "ended", 1), 1000);
	assert_int_equal(older_count(&o), 0);
	older_free(&o);
}

static void the_time_that_is_left_runs_down_to_nothing(void **state)
{
	static const struct {
		uint64_t now_ms;
		double s;
	} cases[] = {{1000, 5}, {4500, 1.5}, {60000, 0}};
	struct older o = {0};

	(void)state;
	hear(&o, word_of(7, 1), 1000);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *list = older_list(&o, cases[i].now_ms);
		json_t *one = json_array_get(list, 0);

		assert_true(json_real_value(json_object_get(one, "ends_in_s")) == cases[i].s);
		assert_null(json_object_get(one, "ends_ms"));
		assert_null(json_object_get(one, "type"));
		json_decref(list);
	}
	older_free(&o);
}

static void one_that_may_take_for_ever_has_no_end(void **state)
{
	struct older o = {0};
	json_t *list;

	(void)state;
	hear(&o, json_pack("{s:i, s:i}", "pid", 7, "connections", 1), 1000);
	list = older_list(&o, 2000);
	assert_null(json_object_get(json_array_get(list, 0), "ends_in_s"));
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "version")), "");
	json_decref(list);
	older_free(&o);
}

static void what_makes_no_sense_does_no_harm(void **state)
{
	struct older o = {0};

	(void)state;
	hear(&o,
		json_pack("{s:s, s:s, s:i, s:i}", "pid", "x", "connections", "many", "version", 3,
			"ends_in_ms", -7),
		1000);
	assert_int_equal(older_left(&o, "connections"), 0);
	older_free(&o);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(before_any_upgrade_there_is_none),
		cmocka_unit_test(the_last_word_of_each_counts),
		cmocka_unit_test(one_that_has_ended_is_forgotten_even_if_it_never_spoke),
		cmocka_unit_test(the_time_that_is_left_runs_down_to_nothing),
		cmocka_unit_test(one_that_may_take_for_ever_has_no_end),
		cmocka_unit_test(what_makes_no_sense_does_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
