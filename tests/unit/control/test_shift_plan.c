#include "unit.h"
#include "control/shift_plan.h"

static struct shift_plan plan_of(json_t *json)
{
	struct shift_plan p;
	char err[1024] = "";

	if (!shift_plan_parse(&p, json, NULL, err, sizeof(err)))
		fail_msg("%s", err);
	return p;
}

static json_t *json(const char *text)
{
	json_t *j = json_loads(text, 0, NULL);

	assert_non_null(j);
	return j;
}

static void without_steps_there_are_the_usual_ones(void **state)
{
	json_t *j = json("{\"pool\": \"green\"}");
	struct shift_plan p = plan_of(j);

	(void)state;
	assert_int_equal(p.step_n, 5);
	assert_int_equal(p.steps[0], 100);
	assert_int_equal(p.steps[4], SHIFT_WHOLE);
	assert_int_equal(p.every_ms, 60000);
	assert_int_equal(p.guards.min_samples, 0);
	json_decref(j);
}

static void a_ramp_is_many_steps_to_the_whole(void **state)
{
	json_t *j = json("{\"pool\": \"green\", \"ramp\": \"10m\"}");
	struct shift_plan p = plan_of(j);

	(void)state;
	assert_true(p.ramp);
	assert_int_equal(p.step_n, 100);
	assert_int_equal(p.every_ms, 6000);
	for (uint32_t i = 1; i < p.step_n; i++)
		assert_true(p.steps[i] > p.steps[i - 1]);
	assert_int_equal(p.steps[99], SHIFT_WHOLE);
	json_decref(j);
}

static void a_limit_asks_for_samples(void **state)
{
	json_t *j = json("{\"pool\": \"green\", \"guards\": {\"max_p99\": \"1.5x\"}}");
	struct shift_plan p = plan_of(j);

	(void)state;
	assert_int_equal(p.guards.min_samples, 200);
	assert_int_equal(p.guards.limits[GUARD_P99].kind, GUARD_RELATIVE);
	json_decref(j);
}

static void weights_are_percents_where_people_read_them(void **state)
{
	json_t *j = json("{\"pool\": \"green\", \"steps\": [5, 100]}"),
	       *base = json("{\"blue\": 70, \"green\": 0}");
	struct shift_plan p = plan_of(j);
	json_t *weights = shift_weights(&p, base, 500), *want = json("{\"blue\": 95, \"green\": 5}");

	(void)state;
	assert_true(json_equal(weights, want));
	assert_int_equal(shift_share(weights, "green"), 500);
	json_decref(want);
	json_decref(weights);
	weights = shift_weights(&p, base, SHIFT_WHOLE);
	assert_int_equal(json_integer_value(json_object_get(weights, "blue")), 0);
	json_decref(weights);
	json_decref(base);
	json_decref(j);
}

static void every_share_is_within_a_point_whatever_the_pools(void **state)
{
	json_t *j = json("{\"pool\": \"green\"}"),
	       *base = json("{\"blue\": 7, \"red\": 3, \"green\": 1, \"old\": 0}");
	struct shift_plan p = plan_of(j);

	(void)state;
	for (uint32_t share = 1; share <= SHIFT_WHOLE; share++) {
		json_t *weights = shift_weights(&p, base, share);
		uint32_t got = shift_share(weights, "green");

		assert_true(got + 1 >= share && got <= share + 1);
		json_decref(weights);
	}
	json_decref(base);
	json_decref(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_steps_there_are_the_usual_ones),
		cmocka_unit_test(a_ramp_is_many_steps_to_the_whole),
		cmocka_unit_test(a_limit_asks_for_samples),
		cmocka_unit_test(weights_are_percents_where_people_read_them),
		cmocka_unit_test(every_share_is_within_a_point_whatever_the_pools),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
