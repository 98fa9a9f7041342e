/* upstream/balance.h: even by weight, from the first request on. */
#include "unit.h"
#include "upstream/balance.h"

#define BACKENDS 3
#define PICKS    100000

static struct loop loop;
static struct backend backends[BACKENDS];
static struct backend *pointers[BACKENDS] = {&backends[0], &backends[1], &backends[2]};
static struct conf_backend confs[BACKENDS] = {{.weight = 5}, {.weight = 1}, {.weight = 2}};
static struct conf_pool conf = {.backends = confs, .backend_n = BACKENDS};
static const struct pool pool = {.conf = &conf, .n = BACKENDS, .backends = pointers};
static bool down[BACKENDS];
static uint32_t load[BACKENDS];

static bool is_usable(const void *ctx, const struct backend *b)
{
	(void)ctx;
	return !down[b - backends];
}

static uint32_t load_of(const void *ctx, const struct backend *b)
{
	(void)ctx;
	return load[b - backends];
}

static const struct candidates candidates = {&pool, &loop, is_usable, load_of, NULL};

static int set_up(void **state)
{
	(void)state;
	memset(down, 0, sizeof(down));
	memset(load, 0, sizeof(load));
	return loop_init(&loop) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	loop_free(&loop);
	return 0;
}

static void count(const struct balancer *b, uint32_t got[BACKENDS], uint32_t picks)
{
	struct balance_state state = {0};

	memset(got, 0, BACKENDS * sizeof(*got));
	for (uint32_t i = 0; i < picks; i++) {
		uint32_t at = b->pick(&state, &candidates);

		assert_true(at < BACKENDS && !down[at]);
		got[at]++;
	}
	balance_state_free(&state);
}

static void round_robin_keeps_the_weights_within_one_request(void **state)
{
	uint32_t got[BACKENDS];

	(void)state;
	count(&balance_round_robin, got, PICKS);
	assert_in_range(got[0], PICKS * 5 / 8 - 1, PICKS * 5 / 8 + 1);
	assert_in_range(got[1], PICKS * 1 / 8 - 1, PICKS * 1 / 8 + 1);
	assert_in_range(got[2], PICKS * 2 / 8 - 1, PICKS * 2 / 8 + 1);
}

static void many_workers_that_begin_anew_are_as_even_as_one(void **state)
{
	uint32_t first[BACKENDS] = {0};

	(void)state;
	for (int i = 0; i < 20000; i++) {
		struct balance_state fresh = {0};

		first[balance_round_robin.pick(&fresh, &candidates)]++;
		balance_state_free(&fresh);
	}
	assert_in_range(first[0], 12500 - 500, 12500 + 500);
	assert_in_range(first[1], 2500 - 300, 2500 + 300);
}

static void random_comes_within_a_percent_of_the_weights(void **state)
{
	uint32_t got[BACKENDS];

	(void)state;
	count(&balance_random, got, PICKS);
	assert_in_range(got[0], PICKS * 615 / 1000, PICKS * 635 / 1000);
	assert_in_range(got[1], PICKS * 115 / 1000, PICKS * 135 / 1000);
}

static void least_request_shuns_the_busy(void **state)
{
	uint32_t got[BACKENDS];

	(void)state;
	load[0] = 1000;
	count(&balance_least_request, got, PICKS);
	/* The busy one is taken only when both choices fall on it. */
	assert_in_range(got[0], 0, PICKS * 42 / 100);
	assert_true(got[2] > got[1]);
}

static void who_is_down_is_never_picked_and_all_down_is_nobody(void **state)
{
	static const struct balancer *const all[] = {
		&balance_round_robin, &balance_random, &balance_least_request};
	uint32_t got[BACKENDS];

	(void)state;
	down[0] = true;
	for (int i = 0; i < 3; i++)
		count(all[i], got, 1000);
	down[1] = down[2] = true;
	for (int i = 0; i < 3; i++) {
		struct balance_state fresh = {0};

		assert_int_equal(all[i]->pick(&fresh, &candidates), BALANCE_NOBODY);
		balance_state_free(&fresh);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			round_robin_keeps_the_weights_within_one_request, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			many_workers_that_begin_anew_are_as_even_as_one, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			random_comes_within_a_percent_of_the_weights, set_up, tear_down),
		cmocka_unit_test_setup_teardown(least_request_shuns_the_busy, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			who_is_down_is_never_picked_and_all_down_is_nobody, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
