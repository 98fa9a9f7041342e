/* What a pool can carry of its weight, when that changes, and who is told. */
#include "unit.h"
#include "base/obj.h"
#include "config/conf_text.h"
#include "control/capacity.h"
#include "control/health.h"
#include "control/io_thread.h"

struct bench {
	struct loop loop;
	struct io_thread io;
	struct backend_registry registry;
	struct slots pool_slots, service_slots;
	struct snapshot *snapshot;
	struct capacity_engine engine;
	uint64_t serial;
	uint32_t calls, pools; /* of on_changed */
};

static struct bench b;

static void on_changed(void *ctx, const struct pool *const *pools, uint32_t n)
{
	struct bench *bench = ctx;

	assert_non_null(pools[0]);
	bench->calls++;
	bench->pools += n;
}

static void follow(const char *service)
{
	struct snapshot *old = b.snapshot;
	struct conf_report report;
	char text[2048];
	struct conf *conf;

	snprintf(text, sizeof(text), LISTEN "tenants: {acme: {hosts: [a.test], services: {shop: {%s}}}}\n",
		service);
	conf = conf_load_text("test.yaml", str_of(text), &report);
	conf_report_free(&report);
	assert_non_null(conf);
	b.serial++;
	b.snapshot = snapshot_build(&conf, &(struct snapshot_parts){.generation = b.serial,
						   .serial = b.serial,
						   .backends = &b.registry,
						   .pool_slots = &b.pool_slots,
						   .service_slots = &b.service_slots});
	capacity_follow(&b.engine, b.snapshot);
	if (old)
		snapshot_free(&old);
}

static int set_up(void **state)
{
	(void)state;
	memset(&b, 0, sizeof(b));
	MUST(loop_init(&b.loop) && mailbox_init(&b.io.box) >= 0);
	atomic_store(&b.io.level, 255); /* events are for others to test */
	capacity_init(&b.engine, &b.loop, &b.io, on_changed, &b);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	capacity_free(&b.engine);
	snapshot_free(&b.snapshot);
	backend_registry_free(&b.registry);
	slots_free(&b.pool_slots);
	slots_free(&b.service_slots);
	mailbox_deliver(&b.io.box, &b.io); /* events that nobody has taken */
	mailbox_free(&b.io.box);
	loop_free(&b.loop);
	return 0;
}

#define TEN \
	"\"127.0.0.1:1\", \"127.0.0.1:2\", \"127.0.0.1:3\", \"127.0.0.1:4\", \"127.0.0.1:5\", " \
	"\"127.0.0.1:6\", " \
	"\"127.0.0.1:7\", \"127.0.0.1:8\", \"127.0.0.1:9\", \"127.0.0.1:10\""
#define BLUE      "blue: {weight: 1, backends: [\"127.0.0.1:99\"]}"
#define TWO_POOLS "pools: {green: {weight: 1, backends: [" TEN "]}, " BLUE "}"

static const struct pool *green(void)
{
	return b.snapshot->pools[0];
}

static struct backend *nth(uint32_t i)
{
	return green()->backends[i];
}

static void set_state(uint32_t i, enum backend_state state)
{
	atomic_store(&nth(i)->state, (uint8_t)state);
	capacity_look(&b.engine, green());
}

static void a_pool_carries_all_while_five_in_seven_are_up(void **state)
{
	(void)state;
	follow(TWO_POOLS);
	assert_int_equal(capacity_of(&b.engine, green()), POOL_WHOLE);
	set_state(0, BACKEND_DOWN);
	set_state(1, BACKEND_DOWN);
	assert_int_equal(capacity_of(&b.engine, green()), POOL_WHOLE);
	set_state(2, BACKEND_DOWN);
	assert_int_equal(capacity_of(&b.engine, green()), POOL_WHOLE * 98 / 100);
	for (uint32_t i = 3; i < 9; i++)
		set_state(i, BACKEND_DOWN);
	assert_int_equal(capacity_of(&b.engine, green()), POOL_WHOLE * 14 / 100);
	set_state(9, BACKEND_DOWN);
	assert_int_equal(capacity_of(&b.engine, green()), 0);
}

static void who_is_ejected_or_drains_carries_nothing(void **state)
{
	(void)state;
	follow(TWO_POOLS);
	for (uint32_t i = 0; i < 3; i++)
		atomic_store(&nth(i)->ejected, true);
	for (uint32_t i = 3; i < 5; i++)
		backend_set_draining(nth(i), true);
	capacity_look(&b.engine, green());
	assert_int_equal(capacity_of(&b.engine, green()), POOL_WHOLE * 70 / 100);
}

static void backends_count_by_weight_and_groups_add_up(void **state)
{
	(void)state;
	follow("pools: {green: {weight: 1, backends: [{address: \"127.0.0.1:1\", weight: 9}, "
	       "{address: \"127.0.0.1:2\", weight: 1}]}, " BLUE "}");
	set_state(0, BACKEND_DOWN);
	assert_int_equal(capacity_of(&b.engine, green()), POOL_WHOLE * 14 / 100);
	follow("pools: {green: {weight: 1, backends: [\"127.0.0.1:3\", \"127.0.0.1:4\", {address: "
	       "\"127.0.0.1:5\", "
	       "priority: 1}, {address: \"127.0.0.1:6\", priority: 1}]}, " BLUE "}");
	set_state(0, BACKEND_DOWN);
	set_state(1, BACKEND_DOWN);
	assert_int_equal(capacity_of(&b.engine, green()), POOL_WHOLE);
	set_state(2, BACKEND_DOWN);
	assert_int_equal(capacity_of(&b.engine, green()), POOL_WHOLE * 70 / 100);
}

static void changes_of_one_tick_are_told_at_once_and_nothing_else_is(void **state)
{
	(void)state;
	follow(TWO_POOLS);
	for (uint32_t i = 0; i < 5; i++)
		set_state(i, BACKEND_DOWN);
	assert_int_equal(b.calls, 0);
	loop_run_tasks(&b.loop);
	assert_int_equal(b.calls, 1);
	assert_int_equal(b.pools, 1);
	capacity_look(&b.engine, green());
	loop_run_tasks(&b.loop);
	assert_int_equal(b.calls, 1);
}

static void a_reload_keeps_what_is_known(void **state)
{
	(void)state;
	follow(TWO_POOLS);
	for (uint32_t i = 0; i < 5; i++)
		set_state(i, BACKEND_DOWN);
	follow(TWO_POOLS);
	assert_int_equal(capacity_of(&b.engine, green()), POOL_WHOLE * 70 / 100);
	loop_run_tasks(&b.loop);
	assert_int_equal(b.calls, 0); /* the workers have it with the snapshot */
}

static void growing_a_pool_that_serves_moves_nobody(void **state)
{
	struct health health = {.joins = true};

	(void)state;
	follow("pools: {green: {weight: 1, backends: [\"127.0.0.1:1\"]}, " BLUE "}");
	follow(TWO_POOLS);
	for (uint32_t i = 1; i < 10; i++) {
		atomic_store(&nth(i)->state, BACKEND_CHECKING);
		nth(i)->health = &health;
	}
	capacity_look(&b.engine, green());
	assert_int_equal(capacity_of(&b.engine, green()), POOL_WHOLE);
	/* The same ones in a pool that is new. */
	health.joins = false;
	capacity_look(&b.engine, green());
	assert_int_equal(capacity_of(&b.engine, green()), POOL_WHOLE * 14 / 100);
	for (uint32_t i = 1; i < 10; i++)
		nth(i)->health = NULL;
}

static void who_is_alone_or_does_not_spill_or_is_told_so_keeps_all(void **state)
{
	static const char *const services[] = {"pools: {green: {weight: 1, backends: [" TEN "]}}",
		"pools: {green: {weight: 1, spill: false, backends: [" TEN "]}, " BLUE "}",
		"split: {capacity: false}, " TWO_POOLS};

	(void)state;
	for (size_t s = 0; s < COUNT_OF(services); s++) {
		follow(services[s]);
		for (uint32_t i = 0; i < 9; i++)
			set_state(i, BACKEND_DOWN);
		assert_int_equal(capacity_of(&b.engine, green()), POOL_WHOLE);
	}
	follow(TWO_POOLS);
	assert_int_equal(capacity_of(&b.engine, green()), POOL_WHOLE * 14 / 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_pool_carries_all_while_five_in_seven_are_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_is_ejected_or_drains_carries_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			backends_count_by_weight_and_groups_add_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			changes_of_one_tick_are_told_at_once_and_nothing_else_is, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_reload_keeps_what_is_known, set_up, tear_down),
		cmocka_unit_test_setup_teardown(growing_a_pool_that_serves_moves_nobody, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			who_is_alone_or_does_not_spill_or_is_told_so_keeps_all, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
