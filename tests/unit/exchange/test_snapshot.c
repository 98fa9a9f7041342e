/* exchange/snapshot.h: one configuration, served with the members that the roster names. */
#include "unit.h"
#include "exchange/snapshot.h"

static struct backend_registry backends;
static struct slots pool_slots, service_slots;
static struct conf *conf;
static uint64_t serial;

/* What the roster says of acme/s/p; other pools have what the configuration lists. */
static struct conf_backend said[4];
static uint32_t said_n;
static uint8_t said_lookup;

static struct roster members(void *ctx, struct str pool_key, const struct conf_pool *pool)
{
	(void)ctx;
	if (str_eq(pool_key, STR("acme/s/p")))
		return (struct roster){said, said_n, said_lookup};
	return (struct roster){pool->backends, pool->backend_n, POOL_KNOWN};
}

static const struct roster_source source = {members, NULL};

static const char config[] = "listeners: {http: {address: '127.0.0.1:8080'}}\n"
			     "tenants:\n"
			     "  acme:\n"
			     "    hosts: [acme.test]\n"
			     "    services:\n"
			     "      s: {pools: {p: {weight: 1, backends: ['127.0.0.1:1']}, q: {weight: 1, "
			     "backends: ['127.0.0.1:2']}}}\n";

static struct conf_backend member(const char *address, uint32_t weight)
{
	struct conf_backend m = {.address = str_of(address), .weight = weight};

	assert_true(addr_parse(&m.addr, m.address));
	return m;
}

static void say(struct conf_backend a)
{
	said[said_n++] = a;
}

static struct snapshot *build(void)
{
	struct conf *shared = conf_ref(conf);
	struct snapshot_parts parts = {
		7, ++serial, &source, &backends, &pool_slots, &service_slots, NULL, NULL};

	return snapshot_build(&shared, &parts);
}

static int set_up(void **state)
{
	struct conf_report report;

	(void)state;
	conf = conf_load_text("test.yaml", STR(config), &report);
	conf_report_free(&report);
	said_n = 0;
	said_lookup = POOL_KNOWN;
	return conf ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	conf_free(conf);
	backend_registry_free(&backends);
	slots_free(&pool_slots);
	slots_free(&service_slots);
	return 0;
}

static void the_members_are_those_that_the_roster_names(void **state)
{
	struct snapshot *s;

	(void)state;
	say(member("10.0.0.1:80", 3));
	say(member("10.0.0.2:80", 1));
	s = build();
	assert_int_equal(s->pools[0]->n, 2);
	assert_str(s->pools[0]->backends[1]->slot->key, "acme/s/p/10.0.0.2:80");
	assert_int_equal(s->pools[0]->members[0].weight, 3);
	assert_str(s->pools[1]->backends[0]->slot->key, "acme/s/q/127.0.0.1:2");
	snapshot_free(&s);
}

static void who_stays_is_the_same_backend_and_who_goes_is_freed(void **state)
{
	struct snapshot *before, *after;
	struct backend *kept;

	(void)state;
	say(member("10.0.0.1:80", 1));
	say(member("10.0.0.2:80", 1));
	before = build();
	kept = before->pools[0]->backends[1];
	said_n = 0;
	say(member("10.0.0.2:80", 1));
	say(member("10.0.0.3:80", 1));
	after = build();
	assert_ptr_equal(after->pools[0]->backends[0], kept);
	assert_ptr_equal(after->conf, before->conf);
	snapshot_free(&before);
	assert_int_equal(kept->refs, 1);
	assert_null(map_get(&backends.by_key, STR("acme/s/p/10.0.0.1:80")));
	snapshot_free(&after);
}

static void nothing_is_outdated_until_the_roster_says_something_else(void **state)
{
	struct snapshot *s;

	(void)state;
	say(member("10.0.0.1:80", 1));
	s = build();
	assert_false(snapshot_is_outdated(s, &source));
	said[0].weight = 2;
	assert_true(snapshot_is_outdated(s, &source));
	said[0].weight = 1;
	said[0].host = STR("app.internal");
	assert_true(snapshot_is_outdated(s, &source));
	said[0].host = STR_NONE;
	said_lookup = POOL_ASKED;
	assert_true(snapshot_is_outdated(s, &source));
	said_lookup = POOL_KNOWN;
	say(member("10.0.0.2:80", 1));
	assert_true(snapshot_is_outdated(s, &source));
	snapshot_free(&s);
}

/* A request that lasts keeps a backend from being freed; one that comes back must be checked all the same. */
static void a_backend_that_was_away_is_named_anew(void **state)
{
	struct snapshot *first, *second, *third;
	struct backend *b;

	(void)state;
	say(member("10.0.0.1:80", 1));
	first = build();
	b = first->pools[0]->backends[0];
	assert_int_equal(b->named_since, first->serial);
	second = build();
	assert_int_equal(b->named_since, first->serial);
	snapshot_free(&second);
	said_n = 0;
	second = build();
	say(member("10.0.0.1:80", 1));
	third = build();
	assert_ptr_equal(third->pools[0]->backends[0], b);
	assert_int_equal(b->named_since, third->serial);
	snapshot_free(&first);
	snapshot_free(&second);
	snapshot_free(&third);
}

static void what_the_roster_said_may_go(void **state)
{
	char host[] = "app.internal", address[] = "10.0.0.1:80";
	struct snapshot *s;

	(void)state;
	say(member(address, 1));
	said[0].host = str_of(host);
	s = build();
	memset(host, 'x', sizeof(host) - 1);
	memset(address, 'x', sizeof(address) - 1);
	assert_str(s->pools[0]->members[0].host, "app.internal");
	assert_str(s->pools[0]->members[0].address, "10.0.0.1:80");
	snapshot_free(&s);
}

static void the_last_snapshot_frees_the_configuration(void **state)
{
	struct snapshot *a, *b;

	(void)state;
	a = build();
	b = build();
	assert_int_equal(conf->refs, 3);
	snapshot_free(&a);
	snapshot_free(&b);
	assert_int_equal(conf->refs, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			the_members_are_those_that_the_roster_names, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			who_stays_is_the_same_backend_and_who_goes_is_freed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			nothing_is_outdated_until_the_roster_says_something_else, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_backend_that_was_away_is_named_anew, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_the_roster_said_may_go, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_last_snapshot_frees_the_configuration, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
