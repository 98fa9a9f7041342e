/* upstream/adaptive.h against a simulated backend: so many servers, a queue in front of them, times of service by chance. */
#include <math.h>
#include "base/obj.h"
#include "unit.h"
#include "upstream/adaptive.h"

#define SERVERS_MAX 256
#define FLIGHT_MAX  20000
#define SECOND      1000000ull

/* A backend, and the worker in front of it that asks no more than it may. */
struct sim {
	struct adaptive a;
	uint64_t rng;
	uint64_t now_us;
	uint32_t servers;
	double service_us; /* mean */
	bool random; /* times of service are exponential, or all the same */
	double slow_share; /* of requests that take a hundred times as long */
	uint64_t busy_until[SERVERS_MAX];
	struct {
		uint64_t start_us, end_us;
	} flight[FLIGHT_MAX]; /* in no order */
	uint32_t in_flight;
	uint64_t served, refused, latency_sum, latency_n; /* since reset() */
	uint32_t limit_least, limit_most;
};

static double chance(struct sim *s)
{
	s->rng = s->rng * 6364136223846793005ull + 1442695040888963407ull;
	return (double)((s->rng >> 11) + 1) / (double)((1ull << 53) + 1);
}

static double service_time(struct sim *s)
{
	double mean = s->service_us * (s->slow_share > 0 && chance(s) < s->slow_share ? 100 : 1);

	return s->random ? -log(chance(s)) * mean : mean;
}

static void begin(struct sim *s, uint32_t servers, double service_us)
{
	*s = (struct sim){.rng = 42,
		.now_us = 1000 * SECOND + 5 * SECOND,
		.servers = servers,
		.service_us = service_us};
	adaptive_configure(&s->a, 4, 1000);
}

static void reset(struct sim *s)
{
	s->served = s->refused = s->latency_sum = s->latency_n = 0;
	s->limit_least = UINT32_MAX;
	s->limit_most = 0;
}

static void finish_due(struct sim *s)
{
	for (uint32_t i = 0; i < s->in_flight;) {
		if (s->flight[i].end_us > s->now_us) {
			i++;
			continue;
		}
		adaptive_observe(&s->a, s->flight[i].start_us, s->flight[i].end_us);
		s->latency_sum += s->flight[i].end_us - s->flight[i].start_us;
		s->latency_n++;
		s->served++;
		s->flight[i] = s->flight[--s->in_flight];
	}
}

static void arrive(struct sim *s)
{
	uint32_t limit = adaptive_limit(&s->a, s->now_us), first = 0;
	uint64_t begins;

	/* Not while the limit is halved for a look. */
	if (s->now_us / 1000 % ADAPTIVE_PERIOD_MS >= ADAPTIVE_LOOK_MS) {
		s->limit_least = MIN(s->limit_least, limit);
		s->limit_most = MAX(s->limit_most, limit);
	}
	if (s->in_flight >= limit || s->in_flight == FLIGHT_MAX) {
		s->refused++;
		return;
	}
	for (uint32_t i = 1; i < s->servers; i++)
		if (s->busy_until[i] < s->busy_until[first])
			first = i;
	begins = MAX(s->busy_until[first], s->now_us);
	s->busy_until[first] = begins + (uint64_t)service_time(s);
	s->flight[s->in_flight].start_us = s->now_us;
	s->flight[s->in_flight].end_us = s->busy_until[first];
	s->in_flight++;
	adaptive_enter(&s->a, s->in_flight);
}

/* Requests come at random, so many a second on the average. */
static void run(struct sim *s, double seconds, double rate)
{
	uint64_t end = s->now_us + (uint64_t)(seconds * SECOND);

	reset(s);
	while (s->now_us < end) {
		s->now_us += (uint64_t)(-log(chance(s)) * SECOND / rate) + 1;
		finish_due(s);
		arrive(s);
	}
}

static double mean_latency(const struct sim *s)
{
	return (double)s->latency_sum / (double)s->latency_n;
}

static void what_is_off_never_limits(void **state)
{
	struct adaptive a = {0};

	(void)state;
	assert_int_equal(adaptive_limit(&a, 7), UINT32_MAX);
	adaptive_configure(&a, 4, 1000);
	assert_int_equal(adaptive_limit(&a, 5 * SECOND), ADAPTIVE_START);
	adaptive_configure(&a, 0, 0);
	adaptive_observe(&a, 1, 2);
	adaptive_overload(&a, 5 * SECOND);
	assert_int_equal(adaptive_limit(&a, 5 * SECOND), UINT32_MAX);
}

static void it_stays_within_its_range(void **state)
{
	struct sim *s = *state;

	begin(s, 100, 10000);
	adaptive_configure(&s->a, 4, 30);
	run(s, 60, 20000);
	assert_int_equal(s->limit_most, 30);
	begin(s, 1, 100000);
	adaptive_configure(&s->a, 8, 30);
	run(s, 60, 20000);
	assert_true(s->limit_least >= 8);
}

/* 20 servers at 10 ms serve 2,000 a second. */
static void under_twice_its_capacity_a_backend_serves_all_it_can_without_a_long_queue(void **state)
{
	struct sim *s = *state;

	for (int random = 0; random < 2; random++) {
		begin(s, 20, 10000);
		s->random = random;
		run(s, 40, 4000); /* learns */
		run(s, 300, 4000);
		assert_true(s->served > 300 * 2000 * 0.95);
		assert_true(mean_latency(s) < 3 * 10000);
		assert_true(s->limit_least >= 18 && s->limit_most <= 70);
	}
}

static void without_it_the_queue_would_have_no_end(void **state)
{
	struct sim *s = *state;

	begin(s, 20, 10000);
	adaptive_configure(&s->a, 0, 0);
	run(s, 8, 4000);
	assert_true(mean_latency(s) > 20 * 10000);
}

static void below_capacity_nobody_is_refused(void **state)
{
	struct sim *s = *state;

	begin(s, 20, 10000);
	s->random = true;
	run(s, 30, 1200);
	run(s, 300, 1200);
	assert_true(s->refused < 300 * 1200 * 0.002);
}

static void it_finds_room_that_was_added(void **state)
{
	struct sim *s = *state;

	begin(s, 10, 10000);
	run(s, 60, 4000);
	assert_true(s->limit_most < 40);
	s->servers = 40;
	run(s, 60, 8000); /* finds it */
	run(s, 60, 8000);
	assert_true(s->served > 60 * 4000 * 0.95);
}

static void it_learns_that_a_backend_has_become_slower_for_good(void **state)
{
	struct sim *s = *state;

	begin(s, 40, 5000);
	run(s, 60, 10000);
	s->service_us = 20000;
	run(s, 120, 10000); /* learns */
	run(s, 120, 10000);
	assert_true(s->served > 120 * 2000 * 0.9);
	assert_true(mean_latency(s) < 3 * 20000);
}

static void overload_for_an_hour_does_not_creep_up(void **state)
{
	struct sim *s = *state;

	begin(s, 10, 10000);
	s->random = true;
	run(s, 3600, 1500);
	run(s, 60, 1500);
	assert_true(s->limit_most < 60);
	assert_true(mean_latency(s) < 4 * 10000);
}

/* Long answers among short ones are no sign of a queue. */
static void a_few_slow_requests_do_not_shut_it(void **state)
{
	struct sim *s = *state;

	begin(s, 200, 2000);
	s->random = true;
	s->slow_share = 0.02;
	run(s, 60, 10000);
	run(s, 300, 10000);
	assert_true(s->refused < 300 * 10000 * 0.01);
}

static void hardly_any_traffic_changes_nothing(void **state)
{
	struct sim *s = *state;

	begin(s, 20, 10000);
	s->random = true;
	run(s, 600, 1);
	assert_int_equal(s->refused, 0);
	assert_true(s->limit_least >= ADAPTIVE_START - 5);
}

static void a_backend_that_says_it_has_too_much_is_asked_less_but_not_at_once(void **state)
{
	struct adaptive a = {0};
	uint64_t now = 5 * SECOND;

	(void)state;
	adaptive_configure(&a, 4, 1000);
	for (int i = 0; i < 100; i++)
		adaptive_overload(&a, now);
	assert_int_equal(adaptive_limit(&a, now), ADAPTIVE_START * 9 / 10);
	for (int i = 0; i < 100; i++)
		adaptive_overload(&a, now += SECOND / 10);
	assert_int_equal(adaptive_limit(&a, 25 * SECOND), 4);
}

static void workers_look_at_the_same_time_and_the_limit_comes_back(void **state)
{
	struct adaptive a = {0};
	uint64_t look = 40 * ADAPTIVE_PERIOD_MS * 1000ull;

	(void)state;
	adaptive_configure(&a, 4, 1000);
	assert_int_equal(adaptive_limit(&a, look - 1), ADAPTIVE_START);
	assert_int_equal(adaptive_limit(&a, look), ADAPTIVE_START / 2);
	assert_int_equal(adaptive_limit(&a, look + ADAPTIVE_LOOK_MS * 1000), ADAPTIVE_START);
}

static int set_up(void **state)
{
	*state = malloc(sizeof(struct sim));
	return *state ? 0 : -1;
}

static int tear_down(void **state)
{
	free(*state);
	return 0;
}

#define SIMULATED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_off_never_limits),
		SIMULATED(it_stays_within_its_range),
		SIMULATED(under_twice_its_capacity_a_backend_serves_all_it_can_without_a_long_queue),
		SIMULATED(without_it_the_queue_would_have_no_end),
		SIMULATED(below_capacity_nobody_is_refused),
		SIMULATED(it_finds_room_that_was_added),
		SIMULATED(it_learns_that_a_backend_has_become_slower_for_good),
		SIMULATED(overload_for_an_hour_does_not_creep_up),
		SIMULATED(a_few_slow_requests_do_not_shut_it),
		SIMULATED(hardly_any_traffic_changes_nothing),
		cmocka_unit_test(a_backend_that_says_it_has_too_much_is_asked_less_but_not_at_once),
		cmocka_unit_test(workers_look_at_the_same_time_and_the_limit_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
