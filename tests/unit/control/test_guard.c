#include "unit.h"
#include "control/guard.h"

static struct guard_figures figures(uint64_t requests, uint64_t failures, double p99)
{
	struct guard_figures f = {.requests = requests, .failures = failures};

	f.values[GUARD_ERROR_RATE] = requests ? (double)failures / (double)requests : 0;
	f.values[GUARD_P50] = f.values[GUARD_P90] = f.values[GUARD_P99] = p99;
	return f;
}

static struct guard_rules rules(enum guard_value value, const char *limit, uint64_t min_samples)
{
	struct guard_rules r = {.min_samples = min_samples};

	assert_true(guard_limit_parse(value, str_of(limit), &r.limits[value]));
	return r;
}

static enum guard_outcome judge(
	struct guard_rules r, struct guard_figures new_pool, struct guard_figures old, const char *says)
{
	struct guard_verdict v;

	guard_judge(&r, &new_pool, &old, &v);
	if (says && !strstr(v.text, says))
		fail_msg("\"%s\" does not say \"%s\"", v.text, says);
	return (enum guard_outcome)v.outcome;
}

static void limits_are_shares_durations_and_factors(void **state)
{
	struct guard_limit l;

	(void)state;
	assert_true(guard_limit_parse(GUARD_ERROR_RATE, STR("1%"), &l));
	assert_int_equal(l.kind, GUARD_ABSOLUTE);
	assert_true(l.most > 0.0099 && l.most < 0.0101);
	assert_true(guard_limit_parse(GUARD_P99, STR("500ms"), &l));
	assert_true(l.most == 500);
	assert_true(guard_limit_parse(GUARD_P99, STR("1.5x"), &l));
	assert_int_equal(l.kind, GUARD_RELATIVE);
	assert_true(l.most == 1.5);
	assert_false(guard_limit_parse(GUARD_P99, STR("0.9x"), &l));
	assert_false(guard_limit_parse(GUARD_P99, STR("x"), &l));
	assert_false(guard_limit_parse(GUARD_P99, STR("1%"), &l));
	assert_false(guard_limit_parse(GUARD_ERROR_RATE, STR("500ms"), &l));
	assert_false(guard_limit_parse(GUARD_ERROR_RATE, STR("nanx"), &l));
}

static void more_errors_than_the_limit_fail_and_say_how_many(void **state)
{
	(void)state;
	assert_int_equal(judge(rules(GUARD_ERROR_RATE, "1%", 200), figures(1000, 23, 1), figures(1000, 0, 1),
				 "error rate 2.30% is above 1.00% (23 of 1000 requests failed)"),
		GUARD_FAIL);
	assert_int_equal(
		judge(rules(GUARD_ERROR_RATE, "1%", 200), figures(1000, 10, 1), figures(1000, 0, 1), NULL),
		GUARD_PASS);
}

static void too_few_requests_never_pass(void **state)
{
	(void)state;
	assert_int_equal(judge(rules(GUARD_ERROR_RATE, "1%", 200), figures(199, 0, 1), figures(1000, 0, 1),
				 "199 of at least 200"),
		GUARD_INCONCLUSIVE);
	assert_int_equal(
		judge(rules(GUARD_ERROR_RATE, "1%", 200), figures(0, 0, 0), figures(1000, 0, 1), NULL),
		GUARD_INCONCLUSIVE);
	assert_int_equal(judge(rules(GUARD_P99, "10ms", 200), figures(100, 0, 99), figures(1000, 0, 1), NULL),
		GUARD_INCONCLUSIVE);
}

static void errors_that_nothing_can_make_up_for_fail_at_once(void **state)
{
	(void)state;
	assert_int_equal(judge(rules(GUARD_ERROR_RATE, "1%", 200), figures(3, 3, 1), figures(0, 0, 0), NULL),
		GUARD_FAIL);
	assert_int_equal(judge(rules(GUARD_ERROR_RATE, "1%", 200), figures(2, 2, 1), figures(0, 0, 0), NULL),
		GUARD_INCONCLUSIVE);
}

static void a_factor_compares_with_the_old_pool(void **state)
{
	(void)state;
	assert_int_equal(judge(rules(GUARD_P99, "1.5x", 100), figures(500, 0, 80), figures(500, 0, 40),
				 "p99 of 80ms is above 60ms, 1.5x of the old pool's 40ms"),
		GUARD_FAIL);
	assert_int_equal(judge(rules(GUARD_P99, "1.5x", 100), figures(500, 0, 59), figures(500, 0, 40), NULL),
		GUARD_PASS);
	assert_int_equal(judge(rules(GUARD_P99, "1.5x", 100), figures(500, 0, 80), figures(99, 0, 40),
				 "the old pool has had 99"),
		GUARD_INCONCLUSIVE);
}

static void noise_is_not_a_difference(void **state)
{
	(void)state;
	assert_int_equal(
		judge(rules(GUARD_P99, "1.5x", 100), figures(500, 0, 1.4), figures(500, 0, 0.5), NULL),
		GUARD_PASS);
	assert_int_equal(
		judge(rules(GUARD_ERROR_RATE, "2x", 100), figures(2000, 2, 1), figures(2000, 0, 1), NULL),
		GUARD_PASS);
	assert_int_equal(
		judge(rules(GUARD_ERROR_RATE, "2x", 100), figures(2000, 3, 1), figures(2000, 0, 1), NULL),
		GUARD_FAIL);
}

static void figures_are_kept_as_json(void **state)
{
	struct guard_figures f = figures(10, 2, 7), back;
	json_t *j = guard_figures_json(&f);

	(void)state;
	assert_true(guard_figures_read(j, &back));
	assert_int_equal(back.requests, 10);
	assert_true(back.values[GUARD_P99] == 7);
	assert_false(guard_figures_read(NULL, &back));
	json_decref(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits_are_shares_durations_and_factors),
		cmocka_unit_test(more_errors_than_the_limit_fail_and_say_how_many),
		cmocka_unit_test(too_few_requests_never_pass),
		cmocka_unit_test(errors_that_nothing_can_make_up_for_fail_at_once),
		cmocka_unit_test(a_factor_compares_with_the_old_pool),
		cmocka_unit_test(noise_is_not_a_difference),
		cmocka_unit_test(figures_are_kept_as_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
