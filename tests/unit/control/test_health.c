#include "fake_backend.h"
#include <sys/resource.h>
#include "config/conf_text.h"
#include "control/health.h"
#include "control/io_thread.h"

#define TEXT_MAX (256 * 1024)

struct bench {
	struct loop loop;
	struct fake_backend backend;
	struct backend_registry registry;
	struct slots pool_slots, service_slots;
	struct snapshot *snapshot;
	struct io_thread io;
	struct health_engine engine;
	uint64_t serial;
	const struct roster_source *roster; /* NULL: what the configuration says */
	char text[TEXT_MAX];
	size_t n;
};

static void bench_init(struct bench *b)
{
	memset(b, 0, sizeof(*b));
	MUST(loop_init(&b->loop));
	fake_init(&b->backend);
	atomic_store(&b->io.level, 255); /* events are for others to test */
	health_init(&b->engine, &b->loop, &b->io, NULL, 0);
}

/* What the tests have in common is written once: a service with this check and these pools. */
__attribute__((format(printf, 2, 3))) static void say(struct bench *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	b->n += (size_t)vsnprintf(b->text + b->n, TEXT_MAX - b->n, fmt, ap);
	va_end(ap);
	MUST(b->n < TEXT_MAX);
}

static void service(struct bench *b, const char *health)
{
	b->n = 0;
	say(b, LISTEN "tenants: {acme: {hosts: [a.test], services: {shop: {%s pools: {", health);
}

static void pool_of(struct bench *b, const char *name, unsigned from, unsigned to)
{
	say(b, "%s: {weight: 1, backends: [", name);
	for (unsigned i = from; i < to; i++)
		say(b, "\"127.0.%u.%u:%u\",", i / 200, 1 + i % 200, b->backend.port);
	say(b, "]},");
}

/* As a reload does, when all workers let go of the old configuration at once. */
static void follow(struct bench *b)
{
	struct snapshot *old = b->snapshot;
	struct conf_report report;
	struct conf *conf;

	say(b, "}}}}}\n");
	conf = conf_load_text("test.yaml", (struct str){b->text, b->n}, &report);
	conf_report_free(&report);
	assert_non_null(conf);
	b->serial++;
	b->snapshot =
		snapshot_build(&conf, &(struct snapshot_parts){b->serial, b->serial, b->roster, &b->registry,
					      &b->pool_slots, &b->service_slots, NULL, NULL});
	health_follow(&b->engine, b->snapshot);
	if (old)
		snapshot_free(&old);
}

static void one_backend(struct bench *b, const char *health)
{
	service(b, health);
	pool_of(b, "blue", 0, 1);
	follow(b);
}

static void bench_free(struct bench *b)
{
	health_free(&b->engine);
	snapshot_free(&b->snapshot);
	backend_registry_free(&b->registry);
	slots_free(&b->pool_slots);
	slots_free(&b->service_slots);
	loop_free(&b->loop);
	fake_free(&b->backend);
}

static struct backend *nth(const struct bench *b, uint32_t pool, uint32_t i)
{
	return b->snapshot->pools[pool]->backends[i];
}

static enum backend_state state_of(const struct bench *b)
{
	return backend_state(nth(b, 0, 0));
}

#define UNTIL(cond) assert_true(FAKE_UNTIL(&b.loop, &b.backend, cond))
#define BENCH \
	static struct bench b; \
	(void)state; \
	bench_init(&b)
#define QUICK "health: {http: {path: /up}, interval: 100ms, timeout: 5s, rise: 2, fall: 2},"

static void a_new_backend_is_up_after_one_pass(void **state)
{
	BENCH;
	one_backend(&b, QUICK);
	assert_int_equal(state_of(&b), BACKEND_CHECKING);
	UNTIL(state_of(&b) == BACKEND_UP);
	assert_int_equal(b.backend.asked, 1);
	bench_free(&b);
}

static void a_new_backend_that_fails_is_down_after_fall_failures(void **state)
{
	BENCH;
	b.backend.script = "F";
	one_backend(&b, QUICK);
	UNTIL(state_of(&b) != BACKEND_CHECKING);
	assert_int_equal(state_of(&b), BACKEND_DOWN);
	assert_int_equal(b.backend.asked, 2);
	assert_int_equal(nth(&b, 0, 0)->health->why, REASON_CHECK_STATUS);
	assert_int_equal(nth(&b, 0, 0)->health->status, 500);
	bench_free(&b);
}

static void failures_between_passes_do_not_add_up(void **state)
{
	BENCH;
	b.backend.script = "PFPFPFF";
	one_backend(&b, QUICK);
	UNTIL(state_of(&b) == BACKEND_DOWN);
	assert_int_equal(b.backend.asked, 7);
	bench_free(&b);
}

static void passes_between_failures_do_not_add_up(void **state)
{
	BENCH;
	b.backend.script = "FFPFPFPP";
	one_backend(&b, QUICK);
	UNTIL(state_of(&b) == BACKEND_DOWN);
	UNTIL(state_of(&b) == BACKEND_UP);
	assert_int_equal(b.backend.asked, 8);
	bench_free(&b);
}

static void who_is_checked_alike_is_asked_once(void **state)
{
	BENCH;
	service(&b, "health: {http: {path: /up}, interval: 60s},");
	pool_of(&b, "blue", 0, 1);
	pool_of(&b, "green", 0, 1);
	pool_of(&b, "red", 0, 1);
	follow(&b);
	assert_int_equal(b.engine.checks.n, 1);
	for (uint32_t i = 0; i < 3; i++)
		UNTIL(backend_state(nth(&b, i, 0)) == BACKEND_UP);
	assert_int_equal(b.backend.asked, 1);
	bench_free(&b);
}

static void texts_that_run_into_each_other_are_other_checks(void **state)
{
	BENCH;
	service(&b, "");
	say(&b,
		"blue: {weight: 1, health: {http: {path: /up, host: ab, body: c}}, backends: "
		"[\"127.0.0.1:%u\"]},",
		b.backend.port);
	say(&b,
		"green: {weight: 1, health: {http: {path: /up, host: a, body: bc}}, backends: "
		"[\"127.0.0.1:%u\"]},",
		b.backend.port);
	follow(&b);
	assert_int_equal(b.engine.checks.n, 2);
	bench_free(&b);
}

static void one_that_joins_a_check_does_not_wait_for_its_turn(void **state)
{
	BENCH;
	one_backend(&b, "health: {http: {path: /up}, interval: 1h},");
	UNTIL(state_of(&b) == BACKEND_UP);
	service(&b, "health: {http: {path: /up}, interval: 1h},");
	pool_of(&b, "blue", 0, 1);
	pool_of(&b, "green", 0, 1);
	follow(&b);
	UNTIL(backend_state(nth(&b, 1, 0)) == BACKEND_UP);
	assert_int_equal(b.backend.asked, 2);
	bench_free(&b);
}

static void a_shorter_interval_counts_at_once(void **state)
{
	BENCH;
	one_backend(&b, "health: {http: {path: /up}, interval: 1h},");
	UNTIL(state_of(&b) == BACKEND_UP);
	one_backend(&b, QUICK);
	UNTIL(b.backend.asked >= 3);
	bench_free(&b);
}

static void a_reload_keeps_what_is_known(void **state)
{
	const struct health *known;

	BENCH;
	b.backend.script = "F";
	one_backend(&b, QUICK);
	UNTIL(state_of(&b) == BACKEND_DOWN);
	known = nth(&b, 0, 0)->health;
	for (int i = 0; i < 20; i++) {
		one_backend(&b, i % 2 ? QUICK : "health: {http: {path: /other}, interval: 60s},");
		assert_int_equal(state_of(&b), BACKEND_DOWN);
		assert_ptr_equal(nth(&b, 0, 0)->health, known);
	}
	assert_int_equal(b.engine.checks.n, 1);
	bench_free(&b);
}

static void what_is_no_longer_named_is_forgotten(void **state)
{
	BENCH;
	service(&b, QUICK);
	pool_of(&b, "blue", 0, 50);
	follow(&b);
	assert_int_equal(b.engine.checks.n, 50);
	service(&b, QUICK);
	pool_of(&b, "blue", 20, 30);
	follow(&b);
	assert_int_equal(b.engine.checks.n, 10);
	for (uint32_t i = 0; i < 10; i++)
		UNTIL(backend_state(nth(&b, 0, i)) == BACKEND_UP);
	bench_free(&b);
}

static void checks_that_are_taken_away_leave_the_backend_up(void **state)
{
	BENCH;
	b.backend.script = "F";
	one_backend(&b, QUICK);
	UNTIL(state_of(&b) == BACKEND_DOWN);
	one_backend(&b, "");
	assert_int_equal(state_of(&b), BACKEND_UP);
	assert_null(nth(&b, 0, 0)->health);
	assert_int_equal(b.engine.checks.n, 0);
	bench_free(&b);
}

static void one_that_has_served_unchecked_goes_on_until_its_checks_say_otherwise(void **state)
{
	BENCH;
	b.backend.script = "F";
	one_backend(&b, "");
	assert_int_equal(state_of(&b), BACKEND_UP);
	one_backend(&b, QUICK);
	assert_int_equal(state_of(&b), BACKEND_UP);
	UNTIL(state_of(&b) == BACKEND_DOWN);
	assert_int_equal(b.backend.asked, 2);
	bench_free(&b);
}

/* Each configuration has other backends and another check; no answer ever comes. */
static void reloads_while_probes_are_under_way_lose_none(void **state)
{
	char health[128];

	BENCH;
	b.backend.script = "S";
	for (unsigned i = 0; i < 200; i++) {
		snprintf(health, sizeof(health), "health: {http: {path: /%u}, timeout: 5s},", i / 7);
		service(&b, health);
		pool_of(&b, "blue", i % 5, 20 + i % 3);
		pool_of(&b, "green", 0, i % 4 + 1);
		follow(&b);
		if (i % 3 == 0)
			loop_once(&b.loop, 0);
		if (i % 10 == 0)
			fake_turn(&b.backend);
		assert_int_equal(b.engine.probing, b.engine.checks.n);
	}
	b.backend.script = "P";
	service(&b, QUICK);
	pool_of(&b, "blue", 0, 10);
	follow(&b);
	for (uint32_t i = 0; i < 10; i++)
		UNTIL(backend_state(nth(&b, 0, i)) == BACKEND_UP);
	assert_int_equal(b.engine.probing + b.engine.suspected, 0);
	bench_free(&b);
}

static uint32_t armed_within(const struct loop *l, uint32_t from, uint32_t to, uint32_t *lengths)
{
	uint32_t n = 0;

	*lengths = 0;
	for (uint32_t i = 0; i < l->queue_count; i++) {
		const struct deadline_queue *q = &l->queues[i];

		if (list_empty(&q->entries) || q->length_ms < from || q->length_ms > to)
			continue;
		++*lengths;
		list_each (link, &q->entries)
			n++;
	}
	return n;
}

static void intervals_are_spread_by_a_tenth(void **state)
{
	uint32_t lengths;

	BENCH;
	service(&b, "health: {http: {path: /up}, interval: 60s, timeout: 5s},");
	pool_of(&b, "blue", 0, 100);
	follow(&b);
	for (uint32_t i = 0; i < 100; i++)
		UNTIL(backend_state(nth(&b, 0, i)) == BACKEND_UP);
	assert_int_equal(armed_within(&b.loop, 54000, 66000, &lengths), 100);
	assert_in_range(lengths, 4, 9);
	assert_int_equal(b.loop.armed, 100);
	bench_free(&b);
}

/* Far more of them than there are probes for, and each waits for its timeout. */
static void those_that_do_not_answer_leave_room_for_those_that_do(void **state)
{
	static struct fake_backend silent;
	unsigned asked;

	BENCH;
	fake_init(&silent);
	service(&b, "health: {http: {path: /up}, interval: 100ms, timeout: 1s, fall: 1},");
	pool_of(&b, "blue", 0, 1);
	say(&b, "green: {weight: 1, backends: [");
	for (unsigned i = 0; i < 1500; i++)
		say(&b, "\"127.1.%u.%u:%u\",", i / 200, 1 + i % 200, silent.port);
	say(&b, "]},");
	follow(&b);
	assert_int_equal(b.engine.probing, HEALTH_PROBES_MAX);
	UNTIL(state_of(&b) == BACKEND_UP);
	UNTIL(b.engine.suspected == HEALTH_SUSPECTS_MAX && b.engine.probing < 10);
	asked = b.backend.asked;
	/* It has its turns all the same, while they have all the room that there is for them. */
	UNTIL(b.backend.asked >= asked + 5 || b.engine.suspected > HEALTH_SUSPECTS_MAX);
	assert_in_range(b.engine.suspected, 0, HEALTH_SUSPECTS_MAX);
	bench_free(&b);
	fake_free(&silent);
}

/* What discovery makes of dns:shop.test. */
static struct roster found_by_name(void *ctx, struct str pool_key, const struct conf_pool *conf)
{
	static struct conf_backend found;
	static char address[ADDR_TEXT_MAX];
	struct bench *b = ctx;

	(void)pool_key;
	found = conf->backends[0];
	MUST(addr_parse(&found.addr, STR("127.0.0.1:1")));
	found.kind = CONF_ADDRESS;
	found.addr.port = (uint16_t)b->backend.port;
	found.address = addr_text(&found.addr, address);
	return (struct roster){&found, 1, POOL_KNOWN};
}

static void a_name_is_asked_as_soon_as_it_has_an_address(void **state)
{
	struct roster_source source;

	BENCH;
	source = (struct roster_source){found_by_name, &b};
	b.roster = &source;
	service(&b, "health: {http: {path: /up}, interval: 1h, fall: 3},");
	say(&b, "blue: {backends: [\"dns:shop.test:%u\"]},", b.backend.port);
	follow(&b);
	UNTIL(state_of(&b) == BACKEND_UP);
	assert_non_null(strcasestr(b.backend.request, "\r\nhost: shop.test\r\n"));
	bench_free(&b);
}

static struct pool_census census(uint32_t up, uint32_t down, uint32_t checking)
{
	return (struct pool_census){.up = up, .down = down, .checking = checking};
}

static void panic_is_when_fewer_than_the_threshold_are_up(void **state)
{
	const struct pool *p;

	BENCH;
	one_backend(&b, QUICK "panic_threshold: 50%,");
	p = b.snapshot->pools[0];
	assert_false(pool_panics(p, census(0, 0, 0)));
	assert_false(pool_panics(p, census(4, 0, 0)));
	assert_false(pool_panics(p, census(2, 2, 0)));
	assert_true(pool_panics(p, census(1, 3, 0)));
	assert_true(pool_panics(p, census(0, 1, 0)));
	/* New ones do not count, and one that may be the first to pass is waited for. */
	assert_false(pool_panics(p, census(1, 1, 10)));
	assert_false(pool_panics(p, census(0, 1, 1)));
	assert_false(pool_panics(p, census(0, 0, 1)));
	bench_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_backend_is_up_after_one_pass),
		cmocka_unit_test(a_new_backend_that_fails_is_down_after_fall_failures),
		cmocka_unit_test(failures_between_passes_do_not_add_up),
		cmocka_unit_test(passes_between_failures_do_not_add_up),
		cmocka_unit_test(who_is_checked_alike_is_asked_once),
		cmocka_unit_test(texts_that_run_into_each_other_are_other_checks),
		cmocka_unit_test(one_that_joins_a_check_does_not_wait_for_its_turn),
		cmocka_unit_test(a_shorter_interval_counts_at_once),
		cmocka_unit_test(a_reload_keeps_what_is_known),
		cmocka_unit_test(what_is_no_longer_named_is_forgotten),
		cmocka_unit_test(checks_that_are_taken_away_leave_the_backend_up),
		cmocka_unit_test(one_that_has_served_unchecked_goes_on_until_its_checks_say_otherwise),
		cmocka_unit_test(reloads_while_probes_are_under_way_lose_none),
		cmocka_unit_test(intervals_are_spread_by_a_tenth),
		cmocka_unit_test(those_that_do_not_answer_leave_room_for_those_that_do),
		cmocka_unit_test(a_name_is_asked_as_soon_as_it_has_an_address),
		cmocka_unit_test(panic_is_when_fewer_than_the_threshold_are_up),
	};

	struct rlimit limit;

	MUST(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = MIN(limit.rlim_max, 8192);
	MUST(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
