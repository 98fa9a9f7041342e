/* upstream/balance.h: even by weight, from the first request on. */
#include "base/map.h"
#include "base/obj.h"
#include "unit.h"
#include "upstream/balance.h"

#define BACKENDS 3
#define PICKS    100000

static struct loop loop;
static struct backend backends[BACKENDS] = {{.address = STR("127.0.0.1:9001")},
	{.address = STR("127.0.0.1:9002")}, {.address = STR("127.0.0.1:9003")}};
static struct backend *pointers[BACKENDS] = {&backends[0], &backends[1], &backends[2]};
static const struct conf_backend weights[BACKENDS] = {{.weight = 5}, {.weight = 1}, {.weight = 2}};
static struct conf_backend confs[BACKENDS];
static struct conf_policy policy;
static struct conf_pool conf = {.backends = confs, .policy = &policy};
static struct pool pool = {.conf = &conf, .backends = pointers, .members = confs};
static bool down[BACKENDS];
static uint32_t load[BACKENDS];
static struct latency latencies[BACKENDS];

static const struct balancer *const all[] = {
	&balance_round_robin, &balance_random, &balance_least_request, &balance_hash, &balance_ewma};

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

static const struct latency *latency_of(const void *ctx, const struct backend *b)
{
	(void)ctx;
	return &latencies[b - backends];
}

/* The next request's view: each has a key of its own. */
static struct candidates *next_request(void)
{
	static struct candidates c = {
		.pool = &pool, .loop = &loop, .usable = is_usable, .load = load_of, .latency = latency_of};
	static uint64_t n;

	n++;
	c.has_key = true;
	c.key = hash_bytes(&n, sizeof(n), 0);
	c.priority = 0;
	return &c;
}

static void at_second(uint32_t s)
{
	loop.now_ms = 1000000 + s * 1000ull;
	loop.now_us = loop.now_ms * 1000;
}

static int set_up(void **state)
{
	(void)state;
	memset(down, 0, sizeof(down));
	memset(load, 0, sizeof(load));
	memset(latencies, 0, sizeof(latencies));
	memcpy(confs, weights, sizeof(confs));
	for (int i = 0; i < BACKENDS; i++)
		atomic_store(&backends[i].warm_from_ms, 0);
	policy = (struct conf_policy){0};
	conf.backend_n = pool.n = BACKENDS;
	pool.fingerprint = pool.priorities = 0;
	if (!loop_init(&loop))
		return -1;
	at_second(0);
	return 0;
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
		uint32_t at = b->pick(&state, next_request());

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

		first[balance_round_robin.pick(&fresh, next_request())]++;
		balance_state_free(&fresh);
	}
	assert_in_range(first[0], 12500 - 500, 12500 + 500);
	assert_in_range(first[1], 2500 - 300, 2500 + 300);
}

/* Within 1% of the requests: three deviations of chance are half of that. */
static void assert_by_weight(const uint32_t got[BACKENDS], uint32_t a, uint32_t b, uint32_t c)
{
	const uint32_t want[BACKENDS] = {a, b, c};

	for (int i = 0; i < BACKENDS; i++) {
		uint64_t mean = (uint64_t)PICKS * want[i] / (a + b + c);

		assert_in_range(got[i] + PICKS / 100, mean, mean + PICKS / 50);
	}
}

static void every_balancer_comes_within_a_percent_of_the_weights(void **state)
{
	uint32_t got[BACKENDS];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(all); i++) {
		for (int b = 0; b < BACKENDS; b++)
			latency_observe(&latencies[b], 1000, loop.now_us);
		count(all[i], got, PICKS);
		assert_by_weight(got, 5, 1, 2);
	}
}

#define WORKERS 8

/* Each has a memory of its own, and gets requests as it happens. */
static void many_workers_together_come_within_a_percent_too(void **state)
{
	(void)state;
	for (size_t b = 0; b < COUNT_OF(all); b++) {
		struct balance_state workers[WORKERS] = {0};
		uint32_t got[BACKENDS] = {0};

		for (uint32_t i = 0; i < PICKS; i++)
			got[all[b]->pick(&workers[loop_random(&loop) % WORKERS], next_request())]++;
		assert_by_weight(got, 5, 1, 2);
		for (int w = 0; w < WORKERS; w++)
			balance_state_free(&workers[w]);
	}
}

/* Requests that take their time, and all the same: so many under way, the oldest ends when the next one comes. */
static void least_request_comes_within_a_percent_however_many_are_under_way(void **state)
{
	static const uint32_t under_way[] = {1, 2, 3, 5, 10, 25, 50, 200};

	(void)state;
	for (size_t w = 0; w < COUNT_OF(under_way); w++) {
		struct balance_state memory = {0};
		uint32_t got[BACKENDS] = {0}, at[200];

		memset(load, 0, sizeof(load));
		for (uint32_t i = 0; i < PICKS; i++) {
			uint32_t *slot = &at[i % under_way[w]];

			if (i >= under_way[w])
				load[*slot]--;
			*slot = balance_least_request.pick(&memory, next_request());
			load[*slot]++;
			got[*slot]++;
		}
		assert_by_weight(got, 5, 1, 2);
		balance_state_free(&memory);
	}
}

static void least_request_owes_little_to_who_was_away(void **state)
{
	struct balance_state memory = {0};
	uint32_t got[BACKENDS] = {0};

	(void)state;
	down[0] = true;
	for (int i = 0; i < 10000; i++)
		balance_least_request.pick(&memory, next_request());
	down[0] = false;
	for (int i = 0; i < 1000; i++)
		got[balance_least_request.pick(&memory, next_request())]++;
	assert_in_range(got[0], 600, 700); /* 625, and what it was owed */
	balance_state_free(&memory);
}

static void least_request_shuns_the_busy(void **state)
{
	uint32_t got[BACKENDS];

	(void)state;
	load[0] = 1000;
	count(&balance_least_request, got, PICKS);
	assert_int_equal(got[0], 0);
	assert_true(got[2] > got[1]);
}

static void who_is_down_is_never_picked_and_all_down_is_nobody(void **state)
{
	uint32_t got[BACKENDS];

	(void)state;
	down[0] = true;
	for (size_t i = 0; i < COUNT_OF(all); i++)
		count(all[i], got, 1000);
	down[1] = down[2] = true;
	for (size_t i = 0; i < COUNT_OF(all); i++) {
		struct balance_state fresh = {0};

		assert_int_equal(all[i]->pick(&fresh, next_request()), BALANCE_NOBODY);
		balance_state_free(&fresh);
	}
}

/* -- hash -- */

#define KEYS 10000

static uint64_t nth_key(uint32_t n)
{
	return hash_bytes(&n, sizeof(n), 7);
}

static void place_keys(struct balance_state *state, uint8_t at[KEYS])
{
	struct candidates *c = next_request();

	for (uint32_t k = 0; k < KEYS; k++) {
		c->key = nth_key(k);
		at[k] = (uint8_t)balance_hash.pick(state, c);
	}
}

static void a_backend_that_goes_down_moves_its_own_keys_only_and_gets_them_back(void **state)
{
	struct balance_state memory = {0};
	uint8_t before[KEYS], without[KEYS], after[KEYS];
	uint32_t moved[BACKENDS] = {0};

	(void)state;
	place_keys(&memory, before);
	down[2] = true;
	place_keys(&memory, without);
	down[2] = false;
	place_keys(&memory, after);
	assert_memory_equal(before, after, KEYS);
	for (uint32_t k = 0; k < KEYS; k++) {
		if (before[k] == 2)
			moved[without[k]]++;
		else
			assert_int_equal(before[k], without[k]);
	}
	/* ... and they are shared by weight, not given to one neighbour. */
	assert_in_range(moved[0], KEYS / 4 * 78 / 100, KEYS / 4 * 88 / 100);
	assert_int_equal(moved[2], 0);
	balance_state_free(&memory);
}

static void a_backend_that_leaves_the_configuration_hardly_moves_the_keys_of_others(void **state)
{
	struct balance_state memory = {0};
	uint8_t before[KEYS], without[KEYS];
	uint32_t strays = 0;

	(void)state;
	place_keys(&memory, before);
	conf.backend_n = pool.n = 2;
	pool.fingerprint = 1;
	place_keys(&memory, without);
	for (uint32_t k = 0; k < KEYS; k++)
		strays += before[k] != 2 && before[k] != without[k];
	assert_in_range(strays, 0, KEYS / 20);
	balance_state_free(&memory);
}

static void a_hash_table_is_made_once_and_anew_when_the_members_change(void **state)
{
	struct balance_state memory = {0};
	uint32_t first;

	(void)state;
	balance_hash.pick(&memory, next_request());
	first = memory.table[0];
	memory.table[0] = (first + 1) % BACKENDS; /* whoever makes it anew puts this right */
	balance_hash.pick(&memory, next_request());
	assert_int_not_equal(memory.table[0], first);
	pool.fingerprint = 1;
	balance_hash.pick(&memory, next_request());
	assert_int_equal(memory.table[0], first);
	balance_state_free(&memory);
}

static void one_key_for_all_does_not_load_its_backend_beyond_the_bound(void **state)
{
	struct balance_state memory = {0};
	struct candidates *c = next_request();
	uint32_t first, total = 0;

	(void)state;
	for (int i = 0; i < BACKENDS; i++)
		confs[i].weight = 1;
	first = balance_hash.pick(&memory, c);
	for (int n = 0; n < HASH_LOAD_FREE; n++, total++) {
		assert_int_equal(balance_hash.pick(&memory, c), first);
		load[first]++;
	}
	for (; total < 3000; total++) {
		uint32_t at = balance_hash.pick(&memory, c);

		load[at]++;
		/* 1.25 times the mean, rounded up. */
		assert_true(load[at] <= HASH_LOAD_FREE ||
			    (load[at] - 1) * 3 * 100 < (total + 1) * HASH_LOAD_BOUND);
	}
	/* As near to its own backend as the bound allows. */
	assert_int_equal(load[first], 1250);
	balance_state_free(&memory);
}

static void a_request_without_a_key_goes_to_the_less_busy(void **state)
{
	struct balance_state memory = {0};
	struct candidates *c = next_request();
	uint32_t got[BACKENDS] = {0};

	(void)state;
	load[0] = 1000;
	c->has_key = false;
	for (int i = 0; i < 1000; i++)
		got[balance_hash.pick(&memory, c)]++;
	assert_true(got[1] + got[2] > 500);
	assert_null(memory.table);
	balance_state_free(&memory);
}

/* -- ewma -- */

static void ewma_prefers_the_fast_and_sees_when_the_slow_one_has_recovered(void **state)
{
	uint32_t got[BACKENDS];

	(void)state;
	latency_observe(&latencies[0], 200000, loop.now_us);
	latency_observe(&latencies[1], 1000, loop.now_us);
	latency_observe(&latencies[2], 1000, loop.now_us);
	count(&balance_ewma, got, PICKS);
	assert_int_equal(got[0], 0);
	/* Eight halvings: what was slow a minute ago is asked again, and is believed if it is fast. */
	at_second(60);
	for (int i = 1; i < BACKENDS; i++)
		latency_observe(&latencies[i], 1000, loop.now_us);
	count(&balance_ewma, got, PICKS);
	assert_true(got[0] > 0);
	latency_observe(&latencies[0], 1000, loop.now_us);
	count(&balance_ewma, got, PICKS);
	assert_by_weight(got, 5, 1, 2);
}

static void ewma_weighs_what_is_in_flight(void **state)
{
	uint32_t got[BACKENDS];

	(void)state;
	for (int i = 0; i < BACKENDS; i++)
		latency_observe(&latencies[i], 1000, loop.now_us);
	load[0] = 100;
	count(&balance_ewma, got, PICKS);
	assert_int_equal(got[0], 0);
}

static void a_cold_backend_is_tried_but_not_flooded(void **state)
{
	struct balance_state memory = {0};
	uint32_t got[BACKENDS];

	(void)state;
	pool.n = 2;
	latency_observe(&latencies[0], 1000, loop.now_us);
	assert_int_equal(balance_ewma.pick(&memory, next_request()), 1);
	load[1] = 1;
	count(&balance_ewma, got, 1000);
	assert_int_equal(got[1], 0);
}

static void who_fails_at_once_does_not_pass_for_fast(void **state)
{
	struct latency l = {0};

	(void)state;
	latency_observe(&l, 5000, loop.now_us);
	latency_fail(&l, 10, loop.now_us);
	assert_int_equal(latency_now(&l, loop.now_us), 20000);
	latency_fail(&l, 10, loop.now_us);
	assert_int_equal(latency_now(&l, loop.now_us), 80000);
	for (int i = 0; i < 20; i++)
		latency_fail(&l, 10, loop.now_us);
	assert_int_equal(latency_now(&l, loop.now_us), LATENCY_MAX_US);
}

static void a_latency_peaks_at_once_and_halves_in_its_time(void **state)
{
	struct latency l = {0};
	uint64_t now = loop.now_us;

	(void)state;
	assert_int_equal(latency_now(&l, now), 0);
	latency_observe(&l, 1000, now);
	latency_observe(&l, 64000, now);
	assert_int_equal(latency_now(&l, now), 64000);
	assert_int_equal(latency_now(&l, now + LATENCY_HALF_US / 2), 48000);
	assert_int_equal(latency_now(&l, now + 3 * LATENCY_HALF_US), 8000);
	assert_int_equal(latency_now(&l, now + 1000ull * LATENCY_HALF_US), 1);
	/* A good sample counts as far as the last one is old. */
	latency_observe(&l, 1000, now);
	assert_int_equal(latency_now(&l, now), 64000);
	latency_observe(&l, 2000, now + LATENCY_HALF_US);
	assert_int_equal(latency_now(&l, now + LATENCY_HALF_US), 2000 + 31000);
}

/* -- slow start -- */

static void a_share_grows_in_a_straight_line_from_a_sixteenth(void **state)
{
	const struct slow_start ramp = {.since_ms = 1000, .window_ms = 10000}, warm = {.window_ms = 10000};
	const struct slow_start none = {.since_ms = 1000};

	(void)state;
	assert_int_equal(slow_start_share(&ramp, 0), SLOW_START_LEAST);
	assert_int_equal(slow_start_share(&ramp, 1000), SLOW_START_LEAST);
	assert_int_equal(slow_start_share(&ramp, 6000), SLOW_START_WHOLE / 2);
	assert_int_equal(slow_start_share(&ramp, 11000), SLOW_START_WHOLE);
	assert_int_equal(slow_start_share(&ramp, 1000000), SLOW_START_WHOLE);
	assert_int_equal(slow_start_share(&warm, 5000), SLOW_START_WHOLE);
	assert_int_equal(slow_start_share(&none, 1000), SLOW_START_WHOLE);
}

static void a_backend_that_has_come_up_ramps(void **state)
{
	uint32_t got[BACKENDS];

	(void)state;
	policy.health.slow_start = 10000;
	for (int i = 0; i < BACKENDS; i++)
		confs[i].weight = 1;
	for (size_t i = 0; i < COUNT_OF(all); i++) {
		if (all[i] == &balance_hash)
			continue; /* counts keys, see below */
		at_second(0);
		slow_start_begin(&backends[1], loop.now_ms);
		for (int b = 0; b < BACKENDS; b++)
			latency_observe(&latencies[b], 1000, loop.now_us);
		count(all[i], got, PICKS);
		assert_by_weight(got, 16, 1, 16);
		at_second(5);
		for (int b = 0; b < BACKENDS; b++)
			latency_observe(&latencies[b], 1000, loop.now_us);
		count(all[i], got, PICKS);
		assert_by_weight(got, 2, 1, 2);
		at_second(10);
		for (int b = 0; b < BACKENDS; b++)
			latency_observe(&latencies[b], 1000, loop.now_us);
		count(all[i], got, PICKS);
		assert_by_weight(got, 1, 1, 1);
	}
}

static void under_hash_a_backend_that_warms_up_gets_its_keys_home_one_by_one(void **state)
{
	struct balance_state memory = {0};
	uint8_t warm[KEYS], now[KEYS];
	uint32_t keys = 0, home = 0, before = 0;

	(void)state;
	policy.health.slow_start = 16000;
	place_keys(&memory, warm);
	for (uint32_t k = 0; k < KEYS; k++)
		keys += warm[k] == 0;
	slow_start_begin(&backends[0], loop.now_ms);
	for (uint32_t second = 1; second <= 16; second++) {
		at_second(second);
		place_keys(&memory, now);
		home = 0;
		for (uint32_t k = 0; k < KEYS; k++) {
			assert_true(now[k] == warm[k] || warm[k] == 0);
			home += now[k] == 0;
		}
		assert_in_range(home, before, KEYS);
		assert_in_range(home + KEYS / 50, keys * second / 16, keys * second / 16 + KEYS / 25);
		before = home;
	}
	assert_int_equal(home, keys);
	balance_state_free(&memory);
}

static void a_pool_in_which_everybody_warms_up_still_takes_requests(void **state)
{
	uint32_t got[BACKENDS];

	(void)state;
	policy.health.slow_start = 10000;
	for (int i = 0; i < BACKENDS; i++)
		slow_start_begin(&backends[i], loop.now_ms);
	for (size_t i = 0; i < COUNT_OF(all); i++)
		count(all[i], got, 1000);
}

/* -- priorities -- */

static void the_lowest_priority_with_a_usable_backend_takes_all(void **state)
{
	static const uint8_t balances[] = {
		CONF_ROUND_ROBIN, CONF_LEAST_REQUEST, CONF_RANDOM, CONF_HASH, CONF_EWMA};

	(void)state;
	confs[0].priority = 1;
	confs[1].priority = 7;
	pool.priorities = BIT(0) | BIT(1) | BIT(7);
	for (size_t i = 0; i < COUNT_OF(balances); i++) {
		struct balance_state memory = {0};

		policy.balance = balances[i];
		memset(down, 0, sizeof(down));
		assert_int_equal(balance_pick(&memory, next_request()), 2);
		down[2] = true;
		assert_int_equal(balance_pick(&memory, next_request()), 0);
		down[0] = true;
		assert_int_equal(balance_pick(&memory, next_request()), 1);
		down[1] = true;
		assert_int_equal(balance_pick(&memory, next_request()), BALANCE_NOBODY);
		balance_state_free(&memory);
	}
}

static void a_pool_with_priorities_panics_only_when_nobody_is_up(void **state)
{
	(void)state;
	policy.panic_threshold = 5000;
	assert_true(pool_panics(&pool, (struct pool_census){.up = 1, .down = 2}));
	pool.priorities = BIT(0) | BIT(1);
	assert_false(pool_panics(&pool, (struct pool_census){.up = 1, .down = 2}));
	assert_true(pool_panics(&pool, (struct pool_census){.down = 3}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			round_robin_keeps_the_weights_within_one_request, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			many_workers_that_begin_anew_are_as_even_as_one, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			every_balancer_comes_within_a_percent_of_the_weights, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			many_workers_together_come_within_a_percent_too, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			least_request_comes_within_a_percent_however_many_are_under_way, set_up, tear_down),
		cmocka_unit_test_setup_teardown(least_request_owes_little_to_who_was_away, set_up, tear_down),
		cmocka_unit_test_setup_teardown(least_request_shuns_the_busy, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			who_is_down_is_never_picked_and_all_down_is_nobody, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_backend_that_goes_down_moves_its_own_keys_only_and_gets_them_back, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			a_backend_that_leaves_the_configuration_hardly_moves_the_keys_of_others, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			a_hash_table_is_made_once_and_anew_when_the_members_change, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			one_key_for_all_does_not_load_its_backend_beyond_the_bound, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_request_without_a_key_goes_to_the_less_busy, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			ewma_prefers_the_fast_and_sees_when_the_slow_one_has_recovered, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ewma_weighs_what_is_in_flight, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_cold_backend_is_tried_but_not_flooded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_fails_at_once_does_not_pass_for_fast, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_latency_peaks_at_once_and_halves_in_its_time, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_share_grows_in_a_straight_line_from_a_sixteenth, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_backend_that_has_come_up_ramps, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			under_hash_a_backend_that_warms_up_gets_its_keys_home_one_by_one, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_pool_in_which_everybody_warms_up_still_takes_requests, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			the_lowest_priority_with_a_usable_backend_takes_all, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_pool_with_priorities_panics_only_when_nobody_is_up, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
