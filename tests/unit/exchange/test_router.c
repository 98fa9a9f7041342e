/* route/router.h: the most specific route wins, whatever the order in the file. */
#include "unit.h"
#include "exchange/snapshot.h"

static struct snapshot *snapshot;
static struct backend_registry backends;
static struct slots pool_slots, service_slots;

static const char config[] = "listeners: {http: {address: '127.0.0.1:8080'}}\n"
			     "tenants:\n"
			     "  acme:\n"
			     "    hosts: [acme.test, '*.acme.test']\n"
			     "    services:\n"
			     "      s: {pools: {p: {weight: 1, backends: ['127.0.0.1:1']}}}\n"
			     "    routes:\n"
			     "      - {path: /, service: s}\n"
			     "      - {path: /api, service: s}\n"
			     "      - {path: /api/v1/, service: s}\n"
			     "      - {exact: /api, service: s}\n"
			     "      - {path: /api, methods: [POST], service: s}\n"
			     "      - {path: /api, headers: {X-A: '1'}, service: s}\n"
			     "      - {path: /api, headers: {X-A: '1', X-B: '2'}, service: s}\n"
			     "      - {path: /api, query: {q: '1'}, service: s}\n"
			     "      - {regex: '^/api/v[0-9]+/x', service: s}\n"
			     "      - {path: /, hosts: [admin.acme.test], service: s}\n"
			     "  other:\n"
			     "    hosts: ['*.b.acme.test', '*']\n"
			     "    services: {s: {pools: {p: {weight: 1, backends: ['127.0.0.1:1']}}}}\n";

static int set_up(void **state)
{
	struct conf_report report;
	struct conf *conf = conf_load_text("test.yaml", STR(config), &report);

	(void)state;
	if (!conf)
		fputs(conf_report_text(&report), stderr);
	conf_report_free(&report);
	if (!conf)
		return -1;
	snapshot = snapshot_build(&conf, &(struct snapshot_parts){.generation = 1,
						 .backends = &backends,
						 .pool_slots = &pool_slots,
						 .service_slots = &service_slots});
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	snapshot_free(&snapshot);
	backend_registry_free(&backends);
	slots_free(&pool_slots);
	slots_free(&service_slots);
	return 0;
}

/* The place of the route in the file, from 0; -1: none. */
static int find(const char *host, const char *method, const char *path, const char *header, const char *value,
	enum reason *why)
{
	struct field field = {.name = header,
		.value = value,
		.name_len = (uint16_t)(header ? strlen(header) : 0),
		.value_len = (uint32_t)(value ? strlen(value) : 0)};
	struct head head = {.method = str_of(method),
		.authority = str_of(host),
		.path = str_of(path),
		.fields = {header ? &field : NULL, header ? 1 : 0, 1}};
	struct routed r = router_find(snapshot->router, &head);

	if (why)
		*why = r.why;
	return r.route ? (int)r.route->order : -1;
}

static void the_longest_prefix_on_a_segment_border_wins(void **state)
{
	(void)state;
	assert_int_equal(find("acme.test", "GET", "/", NULL, NULL, NULL), 0);
	assert_int_equal(find("acme.test", "GET", "/apix", NULL, NULL, NULL), 0);
	assert_int_equal(find("acme.test", "GET", "/api/", NULL, NULL, NULL), 1);
	assert_int_equal(find("acme.test", "GET", "/api/v1", NULL, NULL, NULL), 2);
	assert_int_equal(find("acme.test", "GET", "/api/v1/a/b?c", NULL, NULL, NULL), 2);
	assert_int_equal(find("acme.test", "GET", "/api/v10", NULL, NULL, NULL), 1);
}

static void exact_comes_before_every_prefix(void **state)
{
	(void)state;
	assert_int_equal(find("acme.test", "GET", "/api", NULL, NULL, NULL), 3);
	assert_int_equal(find("acme.test", "POST", "/api", NULL, NULL, NULL), 3);
}

static void conditions_rank_method_then_headers_then_query(void **state)
{
	(void)state;
	assert_int_equal(find("acme.test", "POST", "/api/x", "X-A", "1", NULL), 4);
	assert_int_equal(find("acme.test", "GET", "/api/x?q=1", "x-a", "1", NULL), 5);
	assert_int_equal(find("acme.test", "GET", "/api/x?p=0&q=1", NULL, NULL, NULL), 7);
	assert_int_equal(find("acme.test", "GET", "/api/x?q=2", "X-A", "2", NULL), 1);
}

static void a_regex_ranks_by_the_text_it_is_certain_of(void **state)
{
	(void)state;
	assert_int_equal(find("acme.test", "GET", "/api/v7/x", NULL, NULL, NULL), 8);
	/* "/api/v1/" is longer than the regex's "/api/v". */
	assert_int_equal(find("acme.test", "GET", "/api/v1/x", NULL, NULL, NULL), 2);
}

static void the_most_specific_host_decides_first(void **state)
{
	(void)state;
	assert_int_equal(find("admin.acme.test", "GET", "/zzz", NULL, NULL, NULL), 9);
	assert_int_equal(find("admin.acme.test", "GET", "/api", NULL, NULL, NULL), 9);
	assert_int_equal(find("x.acme.test:8080", "GET", "/api", NULL, NULL, NULL), 3);
	assert_string_equal(router_tenant(snapshot->router, STR("x.acme.test"))->conf->name.p, "acme");
	assert_string_equal(router_tenant(snapshot->router, STR("x.b.acme.test"))->conf->name.p, "other");
	assert_string_equal(router_tenant(snapshot->router, STR("acme.test"))->conf->name.p, "acme");
	assert_string_equal(router_tenant(snapshot->router, STR("nobody"))->conf->name.p, "other");
}

static void a_host_that_was_looked_up_before_leads_to_the_same_route(void **state)
{
	static const char *const hosts[] = {
		"acme.test", "admin.acme.test", "x.acme.test:8080", "x.b.acme.test", "nobody"};
	struct head head = {.method = STR("GET"), .path = STR("/api")};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(hosts); i++) {
		struct router_host host = router_host(snapshot->router, str_of(hosts[i]));
		struct routed at_once, later;

		head.authority = str_of(hosts[i]);
		at_once = router_find(snapshot->router, &head);
		later = router_find_at(snapshot->router, &host, &head);
		assert_ptr_equal(later.route, at_once.route);
		assert_ptr_equal(host.tenant, at_once.tenant);
		assert_ptr_equal(host.tenant, router_tenant(snapshot->router, host.name));
	}
}

static void paths_that_others_could_read_otherwise_are_refused(void **state)
{
	static const char *const bad[] = {"/../x", "/a/..", "/a/%2e%2e/b", "/a/.%2E", "/./a", "/a/%00",
		"/x/..;/api", "/\\..\\api",
		/* ambiguous: a lenient backend would see /api */
		"//api", "/%61pi", "/x/%2e%2e/api", "/\\api", "/%2fapi", "/api;x", "/api%2fv1/y"};
	static const char *const good[] = {
		"/a..b", "/...", "/.well-known/x", "/caf%C3%A9", "/a%2Fb", "/a//b", "/x;y=1", "/a/..b/"};
	enum reason why;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		if (find("acme.test", "GET", bad[i], NULL, NULL, &why) != -1 || why != REASON_CLIENT_BAD_PATH)
			fail_msg("%s was let through", bad[i]);
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		if (find("acme.test", "GET", good[i], NULL, NULL, &why) != 0)
			fail_msg("%s was refused", good[i]);
	}
}

static void an_authority_loses_its_port_and_the_dot_of_the_root(void **state)
{
	(void)state;
	assert_str(authority_host(STR("a.test:80")), "a.test");
	assert_str(authority_host(STR("a.test.")), "a.test");
	assert_str(authority_host(STR("[::1]:80")), "[::1]");
	assert_str(authority_host(STR("[::1]")), "[::1]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_longest_prefix_on_a_segment_border_wins),
		cmocka_unit_test(exact_comes_before_every_prefix),
		cmocka_unit_test(conditions_rank_method_then_headers_then_query),
		cmocka_unit_test(a_regex_ranks_by_the_text_it_is_certain_of),
		cmocka_unit_test(the_most_specific_host_decides_first),
		cmocka_unit_test(a_host_that_was_looked_up_before_leads_to_the_same_route),
		cmocka_unit_test(paths_that_others_could_read_otherwise_are_refused),
		cmocka_unit_test(an_authority_loses_its_port_and_the_dot_of_the_root),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
