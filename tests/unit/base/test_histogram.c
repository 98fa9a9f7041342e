/* base/histogram.h: buckets and what can be read off them. */
#include "unit.h"
#include "base/histogram.h"
#include "base/obj.h"

static void bounds_rise_by_no_more_than_a_seventh(void **state)
{
	(void)state;
	for (uint32_t i = 1; i < HISTOGRAM_BOUNDS; i++) {
		uint64_t low = histogram_bounds_us[i - 1], high = histogram_bounds_us[i];

		assert_true(high > low);
		assert_true((high - low) * 7 <= high);
	}
	assert_int_equal(histogram_bounds_us[0], 100);
	assert_int_equal(histogram_bounds_us[HISTOGRAM_BOUNDS - 1], 1000000000);
}

static void every_duration_falls_into_the_bucket_whose_bound_it_does_not_exceed(void **state)
{
	(void)state;
	assert_int_equal(histogram_bucket(0), 0);
	for (uint32_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
		assert_int_equal(histogram_bucket(histogram_bounds_us[i]), i);
		assert_int_equal(histogram_bucket((uint64_t)histogram_bounds_us[i] + 1), i + 1);
	}
	assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

static void a_quantile_is_within_seven_percent(void **state)
{
	static const double quantiles[] = {0.5, 0.9, 0.99, 0.999};
	uint64_t counts[HISTOGRAM_BUCKETS] = {0};

	(void)state;
	/* 1 to 100,000, each once: the quantile q is 100,000 q, in units of 10 us. */
	for (uint64_t i = 1; i <= 100000; i++)
		counts[histogram_bucket(i * 10)]++;
	for (size_t i = 0; i < COUNT_OF(quantiles); i++) {
		double want = quantiles[i] * 1000000,
		       got = (double)histogram_quantile_us(counts, quantiles[i]);

		assert_true(got > want * 0.93 && got < want * 1.07);
	}
	assert_int_equal(histogram_count(counts), 100000);
}

static void the_slowest_one_is_found_among_many(void **state)
{
	uint64_t counts[HISTOGRAM_BUCKETS] = {0};

	(void)state;
	counts[histogram_bucket(1000)] = 999;
	counts[histogram_bucket(5000000)] = 1;
	assert_in_range(histogram_quantile_us(counts, 0.5), 930, 1070);
	assert_in_range(histogram_quantile_us(counts, 0.999), 930, 1070);
	assert_in_range(histogram_quantile_us(counts, 1.0), 4650000, 5350000);
}

static void of_nothing_there_is_no_quantile_and_outside_it_is_the_outermost_bound(void **state)
{
	uint64_t counts[HISTOGRAM_BUCKETS] = {0};

	(void)state;
	assert_int_equal(histogram_quantile_us(counts, 0.5), 0);
	counts[HISTOGRAM_BUCKETS - 1] = 1;
	assert_int_equal(histogram_quantile_us(counts, 0.5), 1000000000);
	counts[HISTOGRAM_BUCKETS - 1] = 0;
	counts[0] = 1;
	assert_int_equal(histogram_quantile_us(counts, 0.5), 100);
}

static void what_is_under_a_round_number_is_counted_exactly(void **state)
{
	uint64_t counts[HISTOGRAM_BUCKETS] = {0};

	(void)state;
	counts[histogram_bucket(249999)]++;
	counts[histogram_bucket(250000)]++;
	counts[histogram_bucket(250001)]++;
	assert_int_equal(histogram_upto(counts, 250000), 2);
	assert_int_equal(histogram_upto(counts, 1000000), 3);
	assert_int_equal(histogram_upto(counts, 99), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bounds_rise_by_no_more_than_a_seventh),
		cmocka_unit_test(every_duration_falls_into_the_bucket_whose_bound_it_does_not_exceed),
		cmocka_unit_test(a_quantile_is_within_seven_percent),
		cmocka_unit_test(the_slowest_one_is_found_among_many),
		cmocka_unit_test(of_nothing_there_is_no_quantile_and_outside_it_is_the_outermost_bound),
		cmocka_unit_test(what_is_under_a_round_number_is_counted_exactly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
