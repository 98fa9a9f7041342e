/* modules/ratelimit_table.c: on a clock that the test sets, and by many threads at once. */
#include "unit.h"
#include <pthread.h>
#include "../../../modules/ratelimit_table.h"

#define EACH  1000000u
#define DEPTH (10ull * EACH)

static struct str key_of(unsigned i, char buf[32])
{
	struct text t = text_in(buf, 32);

	text_fmt(&t, "client %u\n", i);
	return text_str(&t);
}

static unsigned take_from(struct ratelimit_table *t, unsigned client, uint64_t now, unsigned wanted)
{
	unsigned got = 0;
	char buf[32];

	while (wanted--)
		got += rate_take(ratelimit_table_find(t, key_of(client, buf), now), EACH, DEPTH, now) == 0;
	return got;
}

static void each_key_has_a_bucket_of_its_own(void **state)
{
	struct ratelimit_table *t = ratelimit_table_new("x", 4096);

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(take_from(t, i, 1, 50), 10);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(take_from(t, i, 1 + 3 * EACH, 50), 3);
	assert_int_equal(t->pushed_out, 0);
	ratelimit_table_unref(t);
}

static void to_be_looked_at_changes_nothing(void **state)
{
	struct ratelimit_table *t = ratelimit_table_new("x", 4);
	char buf[32];

	(void)state;
	assert_int_equal(ratelimit_table_lacks(t, key_of(1, buf), 1), 0);
	assert_int_equal(take_from(t, 1, 1, 3), 3);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(ratelimit_table_lacks(t, key_of(i, buf), 1), i == 1 ? 3 * EACH : 0);
	assert_int_equal(ratelimit_table_lacks(t, key_of(1, buf), 1 + 2 * EACH), EACH);
	assert_int_equal(take_from(t, 1, 1, 50), 7);
	ratelimit_table_unref(t);
}

static void a_bucket_that_is_full_again_gives_its_place_away(void **state)
{
	struct ratelimit_table *t = ratelimit_table_new("x", 4);
	uint64_t now = 1;

	(void)state;
	for (unsigned i = 0; i < 1000; i++, now += DEPTH / 4 + 1)
		assert_int_equal(take_from(t, i, now, 50), 10);
	assert_int_equal(t->pushed_out, 0);
	ratelimit_table_unref(t);
}

static void a_flood_of_keys_pushes_out_those_who_have_used_least(void **state)
{
	struct ratelimit_table *t = ratelimit_table_new("x", 4);

	(void)state;
	assert_int_equal(take_from(t, 0, 1, 50), 10);
	/* They take one token each, so they push out one another, and the one who has used all stays where he is. */
	for (unsigned i = 1; i < 1000; i++)
		assert_int_equal(take_from(t, i, 1, 1), 1);
	assert_int_equal(take_from(t, 0, 1, 50), 0);
	assert_int_equal(t->pushed_out, 999 - 3);
	ratelimit_table_unref(t);
}

static void who_takes_over_a_place_does_not_pay_for_it(void **state)
{
	struct ratelimit_table *t = ratelimit_table_new("x", 4);

	(void)state;
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(take_from(t, i, 1, 50), 10);
	ratelimit_table_unref(t);
}

#define CLIENTS 64

static struct ratelimit_table *shared;
static _Atomic unsigned granted[CLIENTS];

static void *take_of_all(void *arg)
{
	for (unsigned i = 0; i < 200 * CLIENTS; i++)
		atomic_fetch_add(&granted[i % CLIENTS], take_from(shared, i % CLIENTS, 1, 1));
	return arg;
}

static void workers_together_grant_what_one_would(void **state)
{
	pthread_t threads[4];

	(void)state;
	shared = ratelimit_table_new("x", 4096);
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_of_all, NULL), 0);
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < CLIENTS; i++)
		assert_in_range(
			granted[i], 10, 10 + COUNT_OF(threads)); /* two may take a new place for one key */
	ratelimit_table_unref(shared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_key_has_a_bucket_of_its_own),
		cmocka_unit_test(to_be_looked_at_changes_nothing),
		cmocka_unit_test(a_bucket_that_is_full_again_gives_its_place_away),
		cmocka_unit_test(a_flood_of_keys_pushes_out_those_who_have_used_least),
		cmocka_unit_test(who_takes_over_a_place_does_not_pay_for_it),
		cmocka_unit_test(workers_together_grant_what_one_would),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
