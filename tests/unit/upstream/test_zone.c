/* upstream/zone.h: the own zone first, the others as far as it is not enough; under every balancer. */
#include "base/map.h"
#include "base/obj.h"
#include "unit.h"
#include "upstream/balance.h"

#define OWN      4 /* in weir's zone */
#define BACKENDS 8
#define PICKS    20000

static struct loop loop;
static struct backend backends[BACKENDS];
static char names[BACKENDS][24];
static struct backend *pointers[BACKENDS];
static struct conf_backend confs[BACKENDS];
static struct conf_policy policy;
static struct conf_pool conf = {.policy = &policy};
static const bool in_zone[BACKENDS] = {true, true, true, true};
static struct pool pool;
static bool down[BACKENDS];
static uint32_t got[BACKENDS];

static bool is_usable(const void *ctx, const struct backend *b)
{
	(void)ctx;
	return !down[b - backends];
}

static uint32_t no_load(const void *ctx, const struct backend *b)
{
	(void)ctx;
	(void)b;
	return 0;
}

static const struct latency *no_latency(const void *ctx, const struct backend *b)
{
	static const struct latency unknown;

	(void)ctx;
	(void)b;
	return &unknown;
}

static int set_up(void **state)
{
	(void)state;
	memset(down, 0, sizeof(down));
	for (int i = 0; i < BACKENDS; i++) {
		snprintf(names[i], sizeof(names[i]), "127.0.0.1:%d", 9000 + i);
		backends[i].address = str_of(names[i]);
		pointers[i] = &backends[i];
		confs[i] = (struct conf_backend){.weight = 1};
	}
	policy = (struct conf_policy){0};
	pool = (struct pool){
		.conf = &conf, .n = BACKENDS, .backends = pointers, .members = confs, .in_zone = in_zone};
	return loop_init(&loop) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	loop_free(&loop);
	return 0;
}

/* The share, in percent, that stays in the zone. */
static uint32_t kept(uint8_t balance, bool panic)
{
	struct balance_state state = {0};
	uint32_t own = 0;

	policy.balance = balance;
	memset(got, 0, sizeof(got));
	for (uint64_t n = 0; n < PICKS; n++) {
		struct candidates c = {.pool = &pool,
			.loop = &loop,
			.usable = is_usable,
			.load = no_load,
			.latency = no_latency,
			.has_key = true,
			.key = hash_bytes(&n, sizeof(n), 0),
			.panic = panic};
		uint32_t at = balance_pick(&state, &c);

		assert_true(at < BACKENDS && !down[at]);
		got[at]++;
		own += at < OWN;
	}
	balance_state_free(&state);
	return (own * 100 + PICKS / 2) / PICKS;
}

static void shares_are_as_the_rule_says(void **state)
{
	(void)state;
	assert_int_equal(zone_share(10, 10), ZONE_WHOLE);
	assert_int_equal(zone_share(8, 10), ZONE_WHOLE);
	assert_int_equal(zone_share(5, 10), ZONE_WHOLE * 7 / 10);
	assert_int_equal(zone_share(1, 10), ZONE_WHOLE * 14 / 100);
	assert_int_equal(zone_share(0, 10), 0);
	assert_int_equal(zone_share(0, 0), 0);
	assert_int_equal(zone_share(10000000, 10000000), ZONE_WHOLE);
}

static void every_balancer_stays_in_the_zone_while_it_is_whole(void **state)
{
	(void)state;
	for (uint8_t b = CONF_ROUND_ROBIN; b <= CONF_EWMA; b++) {
		assert_int_equal(kept(b, false), 100);
		for (int i = 0; i < OWN; i++)
			assert_in_range(got[i], PICKS / OWN * 85 / 100, PICKS / OWN * 115 / 100);
	}
}

static void one_of_four_down_is_not_yet_a_reason_to_leave(void **state)
{
	(void)state;
	down[0] = true;
	for (uint8_t b = CONF_ROUND_ROBIN; b <= CONF_EWMA; b++)
		assert_int_equal(kept(b, false), 100);
}

static void what_the_zone_lacks_goes_to_the_others(void **state)
{
	(void)state;
	down[0] = down[1] = true;
	for (uint8_t b = CONF_ROUND_ROBIN; b <= CONF_EWMA; b++)
		assert_in_range(kept(b, false), 68, 72);
	down[2] = true;
	for (uint8_t b = CONF_ROUND_ROBIN; b <= CONF_EWMA; b++)
		assert_in_range(kept(b, false), 33, 37);
	down[3] = true;
	for (uint8_t b = CONF_ROUND_ROBIN; b <= CONF_EWMA; b++)
		assert_int_equal(kept(b, false), 0);
}

static void with_nobody_elsewhere_the_zone_takes_all(void **state)
{
	(void)state;
	down[0] = down[1] = down[2] = true;
	for (int i = OWN; i < BACKENDS; i++)
		down[i] = true;
	for (uint8_t b = CONF_ROUND_ROBIN; b <= CONF_EWMA; b++)
		assert_int_equal(kept(b, false), 100);
}

static void in_panic_zones_say_nothing(void **state)
{
	(void)state;
	assert_in_range(kept(CONF_ROUND_ROBIN, true), 49, 51);
}

static void without_zones_all_are_alike(void **state)
{
	(void)state;
	pool.in_zone = NULL;
	assert_in_range(kept(CONF_ROUND_ROBIN, false), 49, 51);
}

static void zones_are_weighed_within_the_group_of_lowest_priority(void **state)
{
	(void)state;
	/* One of the zone and two others first; the rest waits. */
	for (int i = 0; i < BACKENDS; i++)
		confs[i].priority = !(i == 0 || i == 4 || i == 5);
	pool.priorities = 3;
	assert_int_equal(kept(CONF_ROUND_ROBIN, false), 100);
	assert_int_equal(got[0], PICKS);
	down[0] = true;
	assert_int_equal(kept(CONF_ROUND_ROBIN, false), 0);
	assert_int_equal(got[4] + got[5], PICKS);
}

static void the_same_key_goes_the_same_way_while_the_zone_is_half_there(void **state)
{
	struct balance_state balance = {0};
	uint32_t first[200];

	(void)state;
	policy.balance = CONF_HASH;
	down[0] = down[1] = true;
	for (int round = 0; round < 3; round++) {
		for (uint64_t n = 0; n < 200; n++) {
			struct candidates c = {.pool = &pool,
				.loop = &loop,
				.usable = is_usable,
				.load = no_load,
				.has_key = true,
				.key = hash_bytes(&n, sizeof(n), 0)};
			uint32_t at = balance_pick(&balance, &c);

			if (round == 0)
				first[n] = at;
			assert_int_equal(at, first[n]);
		}
	}
	balance_state_free(&balance);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(shares_are_as_the_rule_says),
		CASE(every_balancer_stays_in_the_zone_while_it_is_whole),
		CASE(one_of_four_down_is_not_yet_a_reason_to_leave),
		CASE(what_the_zone_lacks_goes_to_the_others),
		CASE(with_nobody_elsewhere_the_zone_takes_all),
		CASE(in_panic_zones_say_nothing),
		CASE(without_zones_all_are_alike),
		CASE(zones_are_weighed_within_the_group_of_lowest_priority),
		CASE(the_same_key_goes_the_same_way_while_the_zone_is_half_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
