/* route/split.h: the split rule. */
#include "unit.h"
#include "base/obj.h"
#include "route/pin.h"
#include "route/split.h"

#define REQUESTS 100000

static struct loop loop;
static struct slot slot = {.key = {"acme/shop", 9}};
static struct conf_pool pool_confs[2] = {
	{.name = {"blue", 4}, .spill = true}, {.name = {"green", 5}, .spill = true}};
static struct conf_service conf;
static struct slot pool_slots[2] = {{.number = 0}, {.number = 1}};
static struct pool pools[2] = {{.conf = &pool_confs[0], .slot = &pool_slots[0]},
	{.conf = &pool_confs[1], .slot = &pool_slots[1], .index = 1}};
static struct pool_now now[2];
static const struct slot *had;
static struct cookie_keys *keys;
static uint64_t now_s;
static struct service service = {.conf = &conf, .slot = &slot, .n = 2, .pools = pools};
static const struct str secrets[] = {{"the first secret", 16}, {"another secret", 14}};
static bool down[2];
static struct addr client;

static bool is_usable(const void *ctx, const struct pool *pool)
{
	(void)ctx;
	return !down[pool->index];
}

static int set_up(void **state)
{
	(void)state;
	memset(&conf, 0, sizeof(conf));
	memset(down, 0, sizeof(down));
	now[0] = (struct pool_now){90, POOL_WHOLE, POOL_OPEN};
	now[1] = (struct pool_now){10, POOL_WHOLE, POOL_OPEN};
	pool_confs[0].spill = pool_confs[1].spill = true;
	service.pin_cookie = STR_NONE;
	service.n = 2;
	had = NULL;
	keys = cookie_keys_new(secrets, 1);
	now_s = 1790000000;
	addr_parse_ip(&client, STR("192.0.2.1"));
	return loop_init(&loop) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	cookie_keys_unref(keys);
	loop_free(&loop);
	return 0;
}

static char cookie[256];
static struct str host;

/* "NAME=VALUE.SIGNATURE" */
static void cookie_of(const struct cookie_keys *k, const char *purpose, const char *name, const char *value)
{
	char signature[COOKIE_SIGNATURE];

	cookie_sign(k, str_of(purpose), str_of(value), signature);
	snprintf(cookie, sizeof(cookie), "%s=%s.%.*s", name, value, COOKIE_SIGNATURE, signature);
}

static struct split_result pick(struct split_state *state, const char *header, const char *value)
{
	struct field field = {.name = header,
		.name_len = (uint16_t)(header ? strlen(header) : 0),
		.value = value,
		.value_len = (uint32_t)(value ? strlen(value) : 0),
		.id = header && strcmp(header, "cookie") == 0 ? FIELD_COOKIE : FIELD_OTHER};
	const struct head head = {.authority = host, .fields = {header ? &field : NULL, header ? 1 : 0, 1}};
	const struct split_request rq = {.service = &service,
		.now = now,
		.head = &head,
		.client = &client,
		.keys = keys,
		.now_s = now_s,
		.usable = is_usable,
		.had = had};

	return split_pick(state, &loop, &rq);
}

static uint32_t green_of(uint32_t requests)
{
	struct split_state state = {0};
	uint32_t green = 0;

	for (uint32_t i = 0; i < requests; i++)
		green += pick(&state, NULL, NULL).pool == &pools[1];
	split_state_free(&state);
	return green;
}

static void turns_keep_the_weights_within_one_request(void **state)
{
	(void)state;
	assert_in_range(green_of(REQUESTS), REQUESTS / 10 - 1, REQUESTS / 10 + 1);
}

static void a_whole_round_is_exact_wherever_it_begins(void **state)
{
	(void)state;
	for (int i = 0; i < 200; i++)
		assert_int_equal(green_of(10), 1);
	now[0].weight = now[1].weight = 50;
	for (int i = 0; i < 200; i++)
		assert_int_equal(green_of(20), 10);
}

static void fresh_starts_keep_them_too(void **state)
{
	uint32_t green = 0;

	(void)state;
	for (int i = 0; i < 20000; i++)
		green += green_of(1);
	assert_in_range(green, 2000 - 250, 2000 + 250);
}

static void the_only_pool_takes_every_turn_that_it_can(void **state)
{
	struct split_state turns = {0};

	(void)state;
	service.n = 1;
	assert_ptr_equal(pick(&turns, NULL, NULL).pool, &pools[0]);
	down[0] = true;
	assert_null(pick(&turns, NULL, NULL).pool);
	pool_confs[0].spill = false;
	assert_ptr_equal(pick(&turns, NULL, NULL).pool, &pools[0]);
	now[0].weight = 0;
	assert_null(pick(&turns, NULL, NULL).pool);
	/* Another pool has come: the turns begin. */
	service.n = 2;
	assert_ptr_equal(pick(&turns, NULL, NULL).pool, &pools[1]);
	split_state_free(&turns);
}

static void weight_zero_takes_nobody_new(void **state)
{
	(void)state;
	now[1].weight = 0;
	assert_int_equal(green_of(1000), 0);
}

static void a_pool_that_is_down_gives_its_share_unless_it_may_not(void **state)
{
	struct split_state fresh = {0};

	(void)state;
	down[0] = true;
	assert_int_equal(green_of(1000), 1000);
	pool_confs[0].spill = false;
	assert_in_range(green_of(1000), 99, 101);
	down[1] = true;
	pool_confs[0].spill = true;
	assert_null(pick(&fresh, NULL, NULL).pool);
	split_state_free(&fresh);
}

static void capacity_caps_a_share(void **state)
{
	(void)state;
	now[0].weight = now[1].weight = 50;
	now[1].capacity = POOL_WHOLE / 4;
	assert_in_range(green_of(1000), 199, 201);
	now[0].capacity = POOL_WHOLE / 4;
	assert_in_range(green_of(1000), 499, 501);
	now[0].capacity = now[1].capacity = 0;
	assert_in_range(green_of(1000), 499, 501);
}

static void only_an_open_pool_takes_new_users(void **state)
{
	struct split_state fresh = {0};

	(void)state;
	conf.split.override_header = STR("X-Weir-Pool");
	for (uint8_t s = POOL_PINNED; s < POOL_STATES; s++) {
		now[1].state = s;
		assert_int_equal(green_of(1000), 0);
		assert_ptr_equal(pick(&fresh, "X-Weir-Pool", "green").pool, &pools[s == POOL_PINNED]);
	}
	now[0].state = POOL_CLOSED;
	assert_null(pick(&fresh, NULL, NULL).pool);
	split_state_free(&fresh);
}

static void new_weights_hold_at_once_whatever_was_earned_before(void **state)
{
	struct split_state kept = {0};
	uint32_t green = 0;

	(void)state;
	now[0].weight = 1000000;
	now[1].weight = 1;
	for (int i = 0; i < 10; i++)
		pick(&kept, NULL, NULL);
	now[0].weight = 1;
	for (int i = 0; i < 100; i++)
		green += pick(&kept, NULL, NULL).pool == &pools[1];
	assert_in_range(green, 49, 51);
	split_state_free(&kept);
}

/* Every other request waits, and is looked at again and again. */
static void who_waits_takes_one_turn_however_often_he_is_looked_at(void **state)
{
	struct split_state turns = {0};
	uint32_t green = 0;

	(void)state;
	now[0].weight = now[1].weight = 50;
	for (int i = 0; i < 100; i++) {
		const struct pool *pool = pick(&turns, NULL, NULL).pool;

		green += pool == &pools[1];
		had = i % 2 ? pool->slot : NULL;
		for (int k = 0; had && k < 7; k++)
			assert_ptr_equal(pick(&turns, NULL, NULL).pool, pool);
		had = NULL;
	}
	assert_int_equal(green, 50);
	split_state_free(&turns);
}

static void who_waits_goes_elsewhere_when_his_pool_takes_no_turns_any_more(void **state)
{
	struct split_state turns = {0};

	(void)state;
	assert_non_null(pick(&turns, NULL, NULL).pool); /* the turns begin */
	had = &pool_slots[1];
	assert_ptr_equal(pick(&turns, NULL, NULL).pool, &pools[1]);
	down[1] = true;
	assert_ptr_equal(pick(&turns, NULL, NULL).pool, &pools[0]);
	pool_confs[1].spill = false;
	assert_ptr_equal(pick(&turns, NULL, NULL).pool, &pools[1]);
	now[1].weight = 0;
	assert_ptr_equal(pick(&turns, NULL, NULL).pool, &pools[0]);
	split_state_free(&turns);
}

static void changing_weights_all_the_time_favours_nobody(void **state)
{
	struct split_state kept = {0};
	uint32_t green = 0;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		now[0].capacity = (uint16_t)(POOL_WHOLE - i % 2);
		green += pick(&kept, NULL, NULL).pool == &pools[1];
	}
	assert_in_range(green, 2000 - 250, 2000 + 250);
	split_state_free(&kept);
}

static void users_only_ever_move_towards_the_raised_pool(void **state)
{
	struct split_state fresh = {0};
	uint32_t green = 0;

	(void)state;
	conf.split.sticky = CONF_STICKY_HEADER;
	conf.split.sticky_header = STR("X-User");
	for (int user = 0; user < 10000; user++) {
		bool was_green = false;
		char name[24];

		snprintf(name, sizeof(name), "user-%d", user);
		for (uint32_t weight = 0; weight <= 100; weight += 10) {
			bool is_green;

			now[0].weight = 100 - weight;
			now[1].weight = weight;
			is_green = pick(&fresh, "X-User", name).pool == &pools[1];
			assert_false(was_green && !is_green);
			was_green = is_green;
			green += weight == 30 && is_green;
		}
		assert_true(was_green);
	}
	assert_in_range(green, 3000 - 150, 3000 + 150);
	split_state_free(&fresh);
}

static void ids_fall_into_the_pools_by_weight_within_a_point(void **state)
{
	static const uint32_t greens[] = {1, 10, 50, 99};
	struct split_state fresh = {0};

	(void)state;
	conf.split.sticky = CONF_STICKY_HEADER;
	conf.split.sticky_header = STR("X-User");
	for (size_t g = 0; g < COUNT_OF(greens); g++) {
		uint32_t green = 0;

		now[0].weight = 100 - greens[g];
		now[1].weight = greens[g];
		for (int user = 0; user < REQUESTS; user++) {
			char name[24];

			snprintf(name, sizeof(name), "user-%d", user);
			green += pick(&fresh, "X-User", name).pool == &pools[1];
		}
		assert_in_range(
			green + REQUESTS / 100, REQUESTS / 100 * greens[g], REQUESTS / 100 * (greens[g] + 2));
	}
	split_state_free(&fresh);
}

static void an_override_wins_where_it_is_allowed(void **state)
{
	struct cidr office;
	struct split_state fresh = {0};

	(void)state;
	conf.split.override_header = STR("X-Weir-Pool");
	conf.split.override_cookie = STR("weir_pool");
	now[1].weight = 0;
	assert_ptr_equal(pick(&fresh, "X-Weir-Pool", "green").pool, &pools[1]);
	assert_ptr_equal(pick(&fresh, "cookie", "a=1; weir_pool=green; b=2").pool, &pools[1]);
	assert_ptr_equal(pick(&fresh, "X-Weir-Pool", "purple").pool, &pools[0]);
	assert_true(cidr_parse(&office, STR("198.51.100.0/24")));
	conf.split.override_from = &office;
	conf.split.override_from_n = 1;
	assert_ptr_equal(pick(&fresh, "X-Weir-Pool", "green").pool, &pools[0]);
	split_state_free(&fresh);
}

static void a_client_without_the_cookie_is_given_one(void **state)
{
	struct split_state fresh = {0};
	struct split_result r;

	(void)state;
	conf.split.sticky = CONF_STICKY_COOKIE;
	r = pick(&fresh, NULL, NULL);
	assert_true(r.issue_id);
	cookie_of(keys, "weir_id", "weir_id", "0123456789abcdef0123456789abcdef");
	r = pick(&fresh, "cookie", cookie);
	assert_false(r.issue_id);
	assert_non_null(r.pool);
	assert_int_equal(r.why, SPLIT_STABLE);
	split_state_free(&fresh);
}

static void an_id_that_weir_has_not_signed_is_no_id(void **state)
{
	static const char *const strange[] = {"weir_id=0123456789abcdef0123456789abcdef",
		"weir_id=", "weir_id=.",
		"weir_id=0123456789abcdef0123456789abcdef.0123456789abcdef0123456789abcdef",
		"weir_id=.0123456789abcdef0123456789abcdef"};
	struct split_state fresh = {0};

	(void)state;
	conf.split.sticky = CONF_STICKY_COOKIE;
	for (size_t i = 0; i < COUNT_OF(strange); i++) {
		struct split_result r = pick(&fresh, "cookie", strange[i]);

		assert_true(r.issue_id);
		assert_int_equal(r.id.n, 0);
	}
	/* Signed, but as something else; and one bit off. */
	cookie_of(keys, "acme/shop", "weir_id", "0123456789abcdef0123456789abcdef");
	assert_true(pick(&fresh, "cookie", cookie).issue_id);
	cookie_of(keys, "weir_id", "weir_id", "0123456789abcdef0123456789abcdef");
	cookie[10] ^= 1;
	assert_true(pick(&fresh, "cookie", cookie).issue_id);
	split_state_free(&fresh);
}

static void a_former_key_is_believed_and_replaced(void **state)
{
	struct cookie_keys *old = cookie_keys_new(&secrets[1], 1), *both = cookie_keys_new(secrets, 2);
	struct split_state fresh = {0};
	struct split_result r;

	(void)state;
	conf.split.sticky = CONF_STICKY_COOKIE;
	cookie_of(old, "weir_id", "weir_id", "0123456789abcdef0123456789abcdef");
	assert_int_equal(pick(&fresh, "cookie", cookie).id.n, 0);
	cookie_keys_unref(keys);
	keys = both;
	r = pick(&fresh, "cookie", cookie);
	assert_int_equal(r.why, SPLIT_STABLE);
	assert_int_equal(r.id.n, SPLIT_ID_CHARS);
	assert_true(r.issue_id);
	cookie_keys_unref(old);
	split_state_free(&fresh);
}

/* -- pins -- */

static void pin_to(int pool)
{
	char text[PIN_TEXT_MAX];
	struct str value = pin_write(keys, &service, &pools[pool], now_s, text);

	snprintf(cookie, sizeof(cookie), "weir_pin_shop=" STR_FMT, STR_ARG(value));
}

static void with_pins(void)
{
	service.pin_cookie = STR("weir_pin_shop");
	conf.split.pin = 3600 * 1000;
}

static void who_is_new_gets_a_pin(void **state)
{
	struct split_state fresh = {0};
	struct split_result r;

	(void)state;
	with_pins();
	r = pick(&fresh, NULL, NULL);
	assert_int_equal(r.why, SPLIT_TURN);
	assert_true(r.issue_pin);
	split_state_free(&fresh);
}

static void a_pin_holds_whatever_the_weights_until_its_pool_drains(void **state)
{
	struct split_state fresh = {0};
	struct split_result r;

	(void)state;
	with_pins();
	pin_to(1);
	for (uint8_t s = POOL_OPEN; s < POOL_STATES; s++) {
		now[1].state = s;
		now[1].weight = 0;
		r = pick(&fresh, "cookie", cookie);
		assert_int_equal(r.why, s <= POOL_PINNED ? SPLIT_PIN : SPLIT_TURN);
		assert_ptr_equal(r.pool, &pools[s <= POOL_PINNED]);
		assert_int_equal(r.issue_pin, s > POOL_PINNED);
	}
	split_state_free(&fresh);
}

static void a_pin_is_not_lost_when_another_pool_helps_out(void **state)
{
	struct split_state fresh = {0};
	struct split_result r;

	(void)state;
	with_pins();
	pin_to(1);
	down[1] = true;
	r = pick(&fresh, "cookie", cookie);
	assert_ptr_equal(r.pool, &pools[0]);
	assert_false(r.issue_pin);
	pool_confs[1].spill = false;
	assert_ptr_equal(pick(&fresh, "cookie", cookie).pool, &pools[1]);
	split_state_free(&fresh);
}

static void a_pin_is_renewed_in_its_second_half_and_ends(void **state)
{
	struct split_state fresh = {0};

	(void)state;
	with_pins();
	now[1].weight = 0;
	pin_to(1);
	now_s += 1799;
	assert_false(pick(&fresh, "cookie", cookie).issue_pin);
	now_s += 2;
	assert_true(pick(&fresh, "cookie", cookie).issue_pin);
	assert_int_equal(pick(&fresh, "cookie", cookie).why, SPLIT_PIN);
	now_s += 1799;
	assert_int_equal(pick(&fresh, "cookie", cookie).why, SPLIT_TURN);
	/* Given when pins lasted longer. */
	now_s -= 3600;
	conf.split.pin = 60 * 1000;
	assert_true(pick(&fresh, "cookie", cookie).issue_pin);
	split_state_free(&fresh);
}

static void a_pin_that_is_forged_or_of_another_service_or_pool_is_none(void **state)
{
	struct split_state fresh = {0};

	(void)state;
	with_pins();
	now[1].weight = 0;
	pin_to(1);
	cookie[14] = 'b';
	assert_int_equal(pick(&fresh, "cookie", cookie).why, SPLIT_TURN);
	cookie_of(keys, "acme/other", "weir_pin_shop", "green.1790000100");
	assert_int_equal(pick(&fresh, "cookie", cookie).why, SPLIT_TURN);
	cookie_of(keys, "acme/shop", "weir_pin_shop", "purple.1790000100");
	assert_int_equal(pick(&fresh, "cookie", cookie).why, SPLIT_TURN);
	cookie_of(keys, "acme/shop", "weir_pin_shop", "1790000100");
	assert_int_equal(pick(&fresh, "cookie", cookie).why, SPLIT_TURN);
	cookie_of(keys, "acme/shop", "weir_pin_shop", "green.1790000100");
	assert_int_equal(pick(&fresh, "cookie", cookie).why, SPLIT_PIN);
	split_state_free(&fresh);
}

/* -- a pool's own host -- */

static void a_pool_is_reached_by_its_host_and_a_header_goes_before(void **state)
{
	struct str hosts[] = {STR("green.acme.test")};
	struct split_state fresh = {0};
	struct split_result r;

	(void)state;
	conf.split.by_host = true;
	conf.split.override_header = STR("X-Weir-Pool");
	pool_confs[1].hosts = (struct conf_strs){hosts, 1};
	now[1].weight = 0;
	host = STR("green.acme.test:8080");
	r = pick(&fresh, NULL, NULL);
	assert_ptr_equal(r.pool, &pools[1]);
	assert_int_equal(r.why, SPLIT_OVERRIDE);
	assert_true(r.chosen);
	assert_ptr_equal(pick(&fresh, "X-Weir-Pool", "blue").pool, &pools[0]);
	now[1].state = POOL_CLOSED;
	r = pick(&fresh, NULL, NULL);
	assert_ptr_equal(r.pool, &pools[0]);
	assert_true(r.chosen);
	host = STR("acme.test");
	assert_false(pick(&fresh, NULL, NULL).chosen);
	pool_confs[1].hosts = (struct conf_strs){0};
	host = STR_NONE;
	split_state_free(&fresh);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(turns_keep_the_weights_within_one_request, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_whole_round_is_exact_wherever_it_begins, set_up, tear_down),
		cmocka_unit_test_setup_teardown(fresh_starts_keep_them_too, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			the_only_pool_takes_every_turn_that_it_can, set_up, tear_down),
		cmocka_unit_test_setup_teardown(weight_zero_takes_nobody_new, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_pool_that_is_down_gives_its_share_unless_it_may_not, set_up, tear_down),
		cmocka_unit_test_setup_teardown(capacity_caps_a_share, set_up, tear_down),
		cmocka_unit_test_setup_teardown(only_an_open_pool_takes_new_users, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			new_weights_hold_at_once_whatever_was_earned_before, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			changing_weights_all_the_time_favours_nobody, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			users_only_ever_move_towards_the_raised_pool, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			ids_fall_into_the_pools_by_weight_within_a_point, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_override_wins_where_it_is_allowed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_client_without_the_cookie_is_given_one, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_id_that_weir_has_not_signed_is_no_id, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_former_key_is_believed_and_replaced, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_is_new_gets_a_pin, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_pin_holds_whatever_the_weights_until_its_pool_drains, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_pin_is_not_lost_when_another_pool_helps_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_pin_is_renewed_in_its_second_half_and_ends, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_pin_that_is_forged_or_of_another_service_or_pool_is_none, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_pool_is_reached_by_its_host_and_a_header_goes_before, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			who_waits_takes_one_turn_however_often_he_is_looked_at, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			who_waits_goes_elsewhere_when_his_pool_takes_no_turns_any_more, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
