/* exchange/tally.h: what is counted under a name, by several workers, and what it costs when nothing is. */
#include "unit.h"
#include <pthread.h>
#include "base/obj.h"
#include "exchange/tally.h"

#define WORKERS 3

static void a_name_that_nobody_asks_costs_a_pointer_a_worker(void **state)
{
	struct slots slots = {0};
	struct slot *slot = slot_acquire(&slots, STR("acme/shop/blue"));
	struct tallies *all;
	struct tally_sums sums;

	(void)state;
	tallies_attach(&slots, slot, WORKERS);
	all = slot->kept;
	for (int i = 0; i < WORKERS; i++)
		assert_null(all->v[i]);
	assert_false(tallies_sum(slot, &sums));
	assert_int_equal(sums.requests, 0);
	slots_free(&slots);
}

static void blocks_are_made_only_for_what_is_counted(void **state)
{
	struct slots slots = {0};
	struct slot *slot = slot_acquire(&slots, STR("acme/shop/blue"));
	struct tally *t;
	uint32_t blocks = 0;

	(void)state;
	tallies_attach(&slots, slot, WORKERS);
	t = tally_of(slot, 1);
	for (int i = 0; i < 1000; i++)
		counters_add(t->codes, 200, 1);
	counters_add(t->codes, 201, 1);
	for (uint32_t i = 0; i < COUNTER_BLOCKS(TALLY_CODES); i++)
		blocks += t->codes[i] != NULL;
	assert_int_equal(blocks, 1);
	assert_ptr_equal(tally_of(slot, 1), t);
	slots_free(&slots);
}

static void sums_are_of_all_workers_and_exact_by_code(void **state)
{
	struct slots slots = {0};
	struct slot *slot = slot_acquire(&slots, STR("acme/shop/blue"));
	struct tally_sums sums;

	(void)state;
	tallies_attach(&slots, slot, WORKERS);
	for (uint32_t w = 0; w < WORKERS; w++)
		for (uint32_t code = 0; code < TALLY_CODES; code += 111)
			counters_add(tally_of(slot, w)->codes, code, w + 1);
	assert_true(tallies_sum(slot, &sums));
	for (uint32_t code = 0; code < TALLY_CODES; code++)
		assert_int_equal(sums.codes[code], code % 111 == 0 ? 6 : 0);
	assert_int_equal(sums.requests, 60);
	slots_free(&slots);
}

static void a_name_that_comes_again_keeps_its_counts_and_another_in_its_slot_begins_at_none(void **state)
{
	struct slots slots = {0};
	struct slot *blue = slot_acquire(&slots, STR("acme/shop/blue")), *again, *green;
	struct tally_sums sums;

	(void)state;
	tallies_attach(&slots, blue, WORKERS);
	counters_add(tally_of(blue, 0)->codes, 200, 7);
	/* A reload: the new configuration names it before the old one is gone. */
	again = slot_acquire(&slots, STR("acme/shop/blue"));
	tallies_attach(&slots, again, WORKERS);
	slot_release(&slots, blue);
	tallies_sum(again, &sums);
	assert_int_equal(sums.requests, 7);
	/* Now nothing names it, and its number goes to another. */
	slot_release(&slots, again);
	green = slot_acquire(&slots, STR("acme/shop/green"));
	tallies_attach(&slots, green, WORKERS);
	assert_int_equal(green->number, 0);
	assert_false(tallies_sum(green, &sums));
	slots_free(&slots);
}

static void the_difference_of_two_sums_is_a_window(void **state)
{
	struct slots slots = {0};
	struct slot *slot = slot_acquire(&slots, STR("acme/shop/blue"));
	struct tally_sums before, now, window;
	struct tally *t;

	(void)state;
	tallies_attach(&slots, slot, WORKERS);
	t = tally_of(slot, 0);
	counters_add(t->codes, 200, 1000);
	counters_add(t->duration, histogram_bucket(1000), 1000);
	counter_add(&t->failures, 500);
	tallies_sum(slot, &before);
	counters_add(t->codes, 200, 98);
	counters_add(t->codes, 502, 2);
	counters_add(t->duration, histogram_bucket(20000), 100);
	counter_add(&t->failures, 2);
	counter_set(&t->in_flight, 3);
	tallies_sum(slot, &now);
	tally_sums_since(&now, &before, &window);
	assert_int_equal(window.requests, 100);
	assert_int_equal(window.codes[502], 2);
	assert_int_equal(window.in_flight, 3);
	assert_true(tally_sums_error_rate(&window) == 0.02);
	assert_in_range(histogram_quantile_us(window.duration, 0.5), 18600, 21400);
	/* Removed and named again meanwhile: everything since then. */
	tally_sums_since(&before, &now, &window);
	assert_int_equal(window.requests, before.requests);
	slots_free(&slots);
}

static void a_window_without_requests_has_no_errors(void **state)
{
	struct tally_sums none = {0};

	(void)state;
	assert_true(tally_sums_error_rate(&none) == 0);
}

#define TIMES 200000

static void *count(void *arg)
{
	for (int i = 0; i < TIMES; i++) {
		struct tally *t = tally_of(arg, 0);

		counters_add(t->codes, 200 + (uint32_t)i % 300, 1);
		counters_add(t->duration, (uint32_t)i % HISTOGRAM_BUCKETS, 1);
	}
	return NULL;
}

static void sums_can_be_taken_while_a_worker_counts(void **state)
{
	struct slots slots = {0};
	struct slot *slot = slot_acquire(&slots, STR("acme/shop/blue"));
	struct tally_sums sums;
	uint64_t last = 0;
	pthread_t thread;

	(void)state;
	tallies_attach(&slots, slot, WORKERS);
	assert_int_equal(pthread_create(&thread, NULL, count, slot), 0);
	while (last < TIMES) {
		tallies_sum(slot, &sums);
		assert_true(sums.requests >= last);
		last = sums.requests;
	}
	pthread_join(thread, NULL);
	assert_int_equal(last, TIMES);
	assert_int_equal(histogram_count(sums.duration) <= TIMES, 1);
	slots_free(&slots);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_that_nobody_asks_costs_a_pointer_a_worker),
		cmocka_unit_test(blocks_are_made_only_for_what_is_counted),
		cmocka_unit_test(sums_are_of_all_workers_and_exact_by_code),
		cmocka_unit_test(
			a_name_that_comes_again_keeps_its_counts_and_another_in_its_slot_begins_at_none),
		cmocka_unit_test(the_difference_of_two_sums_is_a_window),
		cmocka_unit_test(a_window_without_requests_has_no_errors),
		cmocka_unit_test(sums_can_be_taken_while_a_worker_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
