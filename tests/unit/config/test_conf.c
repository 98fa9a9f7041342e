/* What a good file becomes: defaults, units, inheritance, order, routes. */
#include "conf_text.h"

static struct loaded good(const char *text)
{
	struct loaded l = load_text(text);

	if (!l.conf)
		fail_msg("refused: %s", l.said);
	return l;
}

static struct conf_service *shop(const struct loaded *l)
{
	return &l->conf->tenants[0].services[0];
}

static void what_is_not_written_has_the_default(void **state)
{
	struct loaded l = good(LISTEN);
	const struct conf *c = l.conf;
	const struct conf_listener *http = &c->listeners[0];

	(void)state;
	assert_string_equal(l.said, "");
	assert_int_equal(c->workers, 0);
	assert_int_equal(c->user.n, 0);
	assert_string_equal(c->state_dir.p, "/var/lib/weir");
	assert_string_equal(c->log.access_path.p, "stdout");
	assert_int_equal(c->log.access_format, CONF_LOG_JSON);
	assert_string_equal(c->log.events_path.p, "stderr");
	assert_int_equal(c->log.events_level, CONF_LEVEL_INFO);
	assert_string_equal(c->admin.socket.p, "/run/weir/admin.sock");
	assert_int_equal(c->admin.listen.n, 0);
	assert_int_equal(c->timeouts.client_header, 15000);
	assert_int_equal(c->timeouts.client_body, 30000);
	assert_int_equal(c->timeouts.client_idle, 60000);
	assert_int_equal(c->timeouts.connect, 3000);
	assert_int_equal(c->timeouts.response, 60000);
	assert_int_equal(c->timeouts.upstream_idle, 30000);
	assert_int_equal(c->timeouts.drain, 60000);
	assert_int_equal(c->timeouts.shutdown, 300000);
	assert_int_equal(c->limits.connections, 100000);
	assert_int_equal(c->limits.header_bytes, 65536);
	assert_int_equal(c->limits.header_count, 100);
	assert_int_equal(c->limits.body, 100 << 20);
	assert_int_equal(c->limits.memory, 0);
	assert_string_equal(http->name.p, "http");
	assert_true(http->http2);
	assert_int_equal(http->max_concurrent_streams, 100);
	assert_int_equal(http->unix_mode, 0660);
	assert_int_equal(http->redirect_port, 443);
	assert_int_equal(http->backlog, 4096);
	assert_false(http->has_tls);
	assert_int_equal(c->tenant_n, 0);
	loaded_free(&l);
}

static void a_service_has_the_contracts_defaults(void **state)
{
	struct loaded l = good(SERVICE(POOLS));
	const struct conf_pool *pool = &shop(&l)->pools[0];
	const struct conf_policy *p = pool->policy;

	(void)state;
	assert_int_equal(shop(&l)->split.sticky, CONF_STICKY_NONE);
	assert_int_equal(shop(&l)->split.override_header.n, 0);
	assert_int_equal(p->balance, CONF_LEAST_REQUEST);
	assert_int_equal(p->health.kind, CONF_CHECK_NONE);
	assert_int_equal(p->health.interval, 2000);
	assert_int_equal(p->health.rise, 2);
	assert_int_equal(p->health.fall, 3);
	assert_string_equal(p->health.path.p, "/");
	assert_int_equal(p->health.status_n, 1);
	assert_int_equal(p->health.status[0].from, 200);
	assert_int_equal(p->health.status[0].to, 399);
	assert_false(p->outlier.on);
	assert_int_equal(p->outlier.max_ejected, 1000);
	assert_int_equal(p->panic_threshold, 5000);
	assert_int_equal(p->retries.attempts, 2);
	assert_int_equal(p->retries.budget, 2000);
	assert_int_equal(p->retries.on,
		CONF_RETRY_CONNECT | CONF_RETRY_RESET | CONF_RETRY_REFUSED_STREAM | CONF_RETRY_503);
	assert_int_equal(p->breaker.connections, 1024);
	assert_int_equal(p->breaker.pending_timeout, 10000);
	assert_int_equal(p->protocol, CONF_HTTP1);
	assert_false(p->tls.on);
	assert_true(p->tls.verify);
	assert_int_equal(p->proxy_protocol, 0);
	assert_int_equal(pool->weight, 100);
	assert_true(pool->spill);
	assert_int_equal(pool->backends[0].weight, 1);
	loaded_free(&l);
}

static void a_pool_starts_from_its_services_policy(void **state)
{
	struct loaded l =
		good(SERVICE("retries: {attempts: 4, budget: 5%}, breaker: {pending: 7},"
			     "pools: {blue: {weight: 1, retries: {budget: 50%}}, green: {weight: 1}}"));
	const struct conf_service *s = shop(&l);

	(void)state;
	assert_int_equal(s->pools[0].policy->retries.attempts, 4);
	assert_int_equal(s->pools[0].policy->retries.budget, 5000);
	assert_int_equal(s->pools[0].policy->breaker.pending, 7);
	assert_int_equal(s->pools[1].policy->retries.budget, 500);
	assert_int_equal(s->policy->retries.budget, 500);
	loaded_free(&l);
}

static void who_says_the_same_has_the_same_policy(void **state)
{
	struct loaded l = good(
		LISTEN "tenants: {acme: {hosts: [a.test], routes: [{path: /, service: shop}], services: {\n"
		       "shop: {retries: {attempts: 4}, pools: {blue: {weight: 1},\n"
		       "  green: {weight: 1, protocol: h2c}, red: {weight: 1, protocol: http1}}},\n"
		       "cart: {pools: {blue: {weight: 1, protocol: h2c, retries: {attempts: 4}}}},\n"
		       "mail: {" POOLS "}, wiki: {" POOLS "}}}}\n");
	const struct conf_service *s = l.conf->tenants[0].services, *cart = &s[1], *mail = &s[2],
				  *wiki = &s[3];

	(void)state;
	assert_ptr_equal(s->pools[0].policy, s->policy);
	assert_ptr_not_equal(s->pools[1].policy, s->policy);
	assert_ptr_equal(s->pools[2].policy, s->policy); /* what it writes is the default */
	assert_ptr_equal(cart->pools[0].policy, s->pools[1].policy);
	assert_ptr_not_equal(cart->policy, s->policy);
	assert_ptr_equal(mail->policy, cart->policy);
	assert_ptr_equal(mail->policy, mail->pools[0].policy);
	assert_ptr_equal(wiki->pools[0].policy, mail->policy);
	assert_int_equal(s->pools[1].policy->retries.attempts, 4);
	assert_int_equal(wiki->policy->retries.attempts, 2);
	loaded_free(&l);
}

static void inheritance_does_not_depend_on_the_order_in_the_file(void **state)
{
	struct loaded l =
		good(SERVICE("pools: {blue: {protocol: http1}}, protocol: h2c, retries: {attempts: 1}"));

	(void)state;
	assert_int_equal(shop(&l)->policy->protocol, CONF_H2C);
	assert_int_equal(shop(&l)->pools[0].policy->protocol, CONF_HTTP1);
	assert_int_equal(shop(&l)->pools[0].policy->retries.attempts, 1);
	loaded_free(&l);
}

static void a_pool_can_take_back_what_the_service_turned_on(void **state)
{
	struct loaded l = good(SERVICE("tls: {verify: false}, outlier: {}, health: {tcp: {}}, protocol: h2,"
				       "pools: {blue: {weight: 1, tls: null, outlier: null, health: null, "
				       "protocol: h2c}, green: {weight: 1}}"));
	const struct conf_service *s = shop(&l);

	(void)state;
	assert_true(s->pools[1].policy->tls.on);
	assert_false(s->pools[1].policy->tls.verify);
	assert_true(s->pools[1].policy->outlier.on);
	assert_int_equal(s->pools[1].policy->health.kind, CONF_CHECK_TCP);
	assert_false(s->pools[0].policy->tls.on);
	assert_false(s->pools[0].policy->outlier.on);
	assert_int_equal(s->pools[0].policy->health.kind, CONF_CHECK_NONE);
	loaded_free(&l);
}

static void pools_keep_their_declared_order(void **state)
{
	struct loaded l = good(SERVICE("pools: {z: {weight: 1}, a: {weight: 0}, m: {weight: 3}}"));

	(void)state;
	assert_int_equal(shop(&l)->pool_n, 3);
	assert_string_equal(shop(&l)->pools[0].name.p, "z");
	assert_string_equal(shop(&l)->pools[1].name.p, "a");
	assert_string_equal(shop(&l)->pools[2].name.p, "m");
	loaded_free(&l);
}

static void backends_are_written_short_or_long(void **state)
{
	struct loaded l =
		good(SERVICE("pools: {blue: {backends: [127.0.0.1:9001, {address: \"[::1]:9002\", weight: 2},"
			     "\"dns:green.internal:8080\", \"unix:/run/app.sock\", \"unix:app.sock\"]}}"));
	const struct conf_backend *b = shop(&l)->pools[0].backends;

	(void)state;
	assert_int_equal(shop(&l)->pools[0].backend_n, 5);
	assert_int_equal(b[0].addr.family, ADDR_IP4);
	assert_int_equal(b[0].port, 9001);
	assert_int_equal(b[1].addr.family, ADDR_IP6);
	assert_int_equal(b[1].weight, 2);
	assert_int_equal(b[2].addr.family, ADDR_NONE);
	assert_string_equal(b[2].host.p, "green.internal");
	assert_int_equal(b[2].port, 8080);
	assert_string_equal(b[2].address.p, "dns:green.internal:8080");
	assert_int_equal(b[3].addr.family, ADDR_UNIX);
	assert_string_equal(b[3].unix_path.p, "/run/app.sock");
	assert_int_equal(b[4].unix_path.p[0], '/');
	assert_string_equal(b[4].address.p, "unix:app.sock");
	loaded_free(&l);
}

static void balance_and_sticky_can_name_a_header(void **state)
{
	struct loaded l =
		good(SERVICE("balance: {hash: {header: X-User}}, split: {sticky: \"header:X-Id\","
			     "override: {header: X-Weir-Pool, cookie: weir_pool, from: [10.0.0.0/8]}},"
			     "pools: {blue: {balance: round_robin}}"));
	const struct conf_service *s = shop(&l);

	(void)state;
	assert_int_equal(s->policy->balance, CONF_HASH);
	assert_string_equal(s->policy->hash_header.p, "X-User");
	assert_int_equal(s->pools[0].policy->balance, CONF_ROUND_ROBIN);
	assert_int_equal(s->pools[0].policy->hash_header.n, 0);
	assert_int_equal(s->split.sticky, CONF_STICKY_HEADER);
	assert_string_equal(s->split.sticky_header.p, "X-Id");
	assert_string_equal(s->split.override_cookie.p, "weir_pool");
	assert_int_equal(s->split.override_from_n, 1);
	assert_string_equal(conf_balance_name(s->policy->balance), "hash");
	assert_string_equal(conf_protocol_name(CONF_AUTO), "auto");
	loaded_free(&l);
}

static void breakers_learn_or_not_and_pools_stick_or_not(void **state)
{
	struct loaded l = good("zone: a\n" SERVICE(
		"stick: {cookie: at, ttl: 1h, path: /app}, breaker: {adaptive: {min: 2, max: 9}},\n"
		"pools: {blue: {weight: 1, stick: null, breaker: {adaptive: false, backend_requests: 7},\n"
		"backends: [{address: \"127.0.0.1:1\", zone: a, requests: 3}]},\n"
		"green: {weight: 1, stick: {ttl: 0}, breaker: {adaptive: true}}}"));
	const struct conf_policy *s = shop(&l)->policy, *blue = shop(&l)->pools[0].policy,
				 *green = shop(&l)->pools[1].policy;

	(void)state;
	assert_string_equal(l.conf->zone.p, "a");
	assert_true(s->stick.on && !blue->stick.on && green->stick.on);
	assert_string_equal(green->stick.cookie.p, "at");
	assert_string_equal(green->stick.path.p, "/app");
	assert_int_equal(s->stick.ttl, 3600000);
	assert_int_equal(green->stick.ttl, 0);
	assert_true(s->breaker.adaptive.on && !blue->breaker.adaptive.on && green->breaker.adaptive.on);
	assert_int_equal(green->breaker.adaptive.max, 9);
	assert_int_equal(blue->breaker.backend_requests, 7);
	assert_int_equal(shop(&l)->pools[0].backends[0].requests, 3);
	assert_string_equal(shop(&l)->pools[0].backends[0].zone.p, "a");
	loaded_free(&l);
}

static void health_takes_headers_and_ranges_and_lists_of_statuses(void **state)
{
	struct loaded l =
		good(SERVICE("health: {http: {path: /up, status: [200-204, \"301,302\", 418], method: HEAD,"
			     "headers: {X-Key: a, accept: 7}}},"
			     "pools: {blue: {health: {interval: 5s}}}"));
	const struct conf_health *h = &shop(&l)->pools[0].policy->health;

	(void)state;
	assert_int_equal(h->kind, CONF_CHECK_HTTP);
	assert_string_equal(h->path.p, "/up");
	assert_string_equal(h->method.p, "HEAD");
	assert_int_equal(h->interval, 5000);
	assert_int_equal(h->status_n, 4);
	assert_int_equal(h->status[0].to, 204);
	assert_int_equal(h->status[2].from, 302);
	assert_int_equal(h->status[3].to, 418);
	assert_int_equal(h->header_n, 2);
	assert_string_equal(h->headers[0].name.p, "X-Key");
	assert_string_equal(h->headers[1].value.p, "7");
	loaded_free(&l);
}

static void one_service_without_routes_gets_everything(void **state)
{
	struct loaded l = good(SERVICE(POOLS));
	const struct conf_tenant *t = &l.conf->tenants[0];

	(void)state;
	assert_int_equal(t->route_n, 1);
	assert_int_equal(t->routes[0].path_kind, CONF_PATH_PREFIX);
	assert_string_equal(t->routes[0].path.p, "/");
	assert_string_equal(t->routes[0].service.p, "shop");
	assert_true(t->routes[0].websocket);
	loaded_free(&l);
}

static void routes_hold_their_conditions_and_changes(void **state)
{
	struct loaded l = good(ROUTES(
		"      - {path: /api, service: shop, strip_prefix: true, timeout: 30s, websocket: false, "
		"hosts: [X.B.test]}\n"
		"      - {exact: /x, methods: [GET, HEAD], headers: {X-A: \"1\", X-B: {regex: \"^b+$\"}, "
		"X-C: {present: true}},\n"
		"         query: {q: {exact: z}}, service: shop}\n"
		"      - {regex: \"^/v[0-9]+$\", redirect: {to: \"https://x.test/\", status: 301}}\n"
		"      - {service: shop, request_headers: {set: {X-S: s}, add: {X-A: a}, remove: [Cookie]},\n"
		"         response_headers: {remove: Server}}\n"));
	const struct conf_route *r = l.conf->tenants[0].routes;

	(void)state;
	assert_int_equal(l.conf->tenants[0].route_n, 4);
	assert_true(r[0].strip_prefix);
	assert_false(r[0].websocket);
	assert_int_equal(r[0].timeout, 30000);
	assert_string_equal(r[0].hosts.v[0].p, "x.b.test");
	assert_int_equal(r[1].path_kind, CONF_PATH_EXACT);
	assert_int_equal(r[1].methods.n, 2);
	assert_int_equal(r[1].header_n, 3);
	assert_string_equal(r[1].headers[0].value.p, "1");
	assert_true(r[1].headers[1].regex);
	assert_string_equal(r[1].headers[1].value.p, "^b+$");
	assert_true(r[1].headers[2].any);
	assert_string_equal(r[1].query[0].value.p, "z");
	assert_int_equal(r[2].path_kind, CONF_PATH_REGEX);
	assert_true(r[2].redirect.on);
	assert_int_equal(r[2].redirect.status, 301);
	assert_string_equal(r[3].path.p, "/");
	assert_string_equal(r[3].request_headers.set[0].name.p, "X-S");
	assert_string_equal(r[3].request_headers.add[0].value.literal.p, "a");
	assert_string_equal(r[3].request_headers.remove.v[0].p, "Cookie");
	assert_string_equal(r[3].response_headers.remove.v[0].p, "Server");
	loaded_free(&l);
}

static void hosts_are_lower_case_and_lead_to_their_tenant(void **state)
{
	struct loaded l = good(LISTEN "tenants:\n  a: {hosts: [A.Test, \"*.A.Test\"]}\n  b: {hosts: \"*\"}\n"
				      "  c: {hosts: [\"192.0.2.1\", \"[2001:db8::1]\"]}\n");

	(void)state;
	assert_int_equal(l.conf->hosts.n, 5);
	assert_ptr_equal(map_get(&l.conf->hosts, STR("a.test")), &l.conf->tenants[0]);
	assert_ptr_equal(map_get(&l.conf->hosts, STR("*.a.test")), &l.conf->tenants[0]);
	assert_ptr_equal(map_get(&l.conf->hosts, STR("*")), &l.conf->tenants[1]);
	assert_ptr_equal(map_get(&l.conf->hosts, STR("[2001:db8::1]")), &l.conf->tenants[2]);
	assert_string_equal(l.conf->tenants[0].hosts.v[0].p, "a.test");
	loaded_free(&l);
}

static void listeners_take_addresses_of_three_kinds(void **state)
{
	struct loaded l =
		good("listeners:\n"
		     "  a: {address: \"0.0.0.0:80\", http2: false, trusted_proxies: [10.0.0.0/8, \"::1\"]}\n"
		     "  b: {address: \"[::]:8443\", http2: {max_concurrent_streams: 7}}\n"
		     "  c: {address: \"unix:/run/w.sock\", unix_mode: 0600, proxy_protocol: true}\n"
		     "  d: {address: \"127.0.0.1:0\"}\n"
		     "  e: {address: \"127.0.0.1:0\"}\n");
	const struct conf_listener *v = l.conf->listeners;

	(void)state;
	assert_int_equal(l.conf->listener_n, 5);
	assert_false(v[0].http2);
	assert_int_equal(v[0].trusted_n, 2);
	assert_int_equal(v[1].addr.family, ADDR_IP6);
	assert_int_equal(v[1].addr.port, 8443);
	assert_int_equal(v[1].max_concurrent_streams, 7);
	assert_int_equal(v[2].addr.family, ADDR_UNIX);
	assert_string_equal(v[2].unix_path.p, "/run/w.sock");
	assert_int_equal(v[2].unix_mode, 0600);
	loaded_free(&l);
}

static void the_environment_comes_into_values_of_every_type(void **state)
{
	struct loaded l;

	(void)state;
	setenv("WEIR_T_PORT", "9001", 1);
	setenv("WEIR_T_BUDGET", "30%", 1);
	l = good(SERVICE("retries: {attempts: \"${WEIR_T_N:-3}\", budget: \"${WEIR_T_BUDGET}\"},"
			 "pools: {blue: {backends: [\"127.0.0.1:${WEIR_T_PORT}\"]}}"));
	assert_int_equal(shop(&l)->policy->retries.attempts, 3);
	assert_int_equal(shop(&l)->policy->retries.budget, 3000);
	assert_int_equal(shop(&l)->pools[0].backends[0].port, 9001);
	loaded_free(&l);
}

static void one_anchor_can_serve_many_tenants(void **state)
{
	struct loaded l = good(LISTEN "tenants:\n  a: {hosts: a, services: &s {shop: {" POOLS "}}}\n"
				      "  b: {hosts: b, services: *s}\n");

	(void)state;
	assert_string_equal(l.conf->tenants[1].services[0].pools[0].backends[0].address.p, "127.0.0.1:9001");
	loaded_free(&l);
}

static void a_file_may_be_json(void **state)
{
	struct loaded l = good(
		"{\"workers\": 2, \"listeners\": {\"http\": {\"address\": \"127.0.0.1:80\"}}, \"tenants\":"
		"{\"a\": {\"hosts\": [\"a\"], \"services\": {\"s\": {\"pools\": {\"p\": {\"backends\":"
		"[\"127.0.0.1:1\"]}}}}}}}");

	(void)state;
	assert_int_equal(l.conf->workers, 2);
	assert_int_equal(l.conf->tenants[0].services[0].pools[0].backends[0].port, 1);
	loaded_free(&l);
}

static void ten_thousand_tenants_take_little_memory(void **state)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);
	struct loaded l;

	(void)state;
	fputs(LISTEN "tenants:\n", f);
	for (int i = 0; i < 10000; i++)
		fprintf(f,
			"  t%d:\n    hosts: [t%d.test, \"*.t%d.test\"]\n    services:\n      shop:\n        "
			"pools:\n"
			"          blue: {weight: 90, backends: [127.0.0.1:1, 127.0.0.1:2]}\n"
			"          green: {weight: 10, backends: [127.0.0.1:3, 127.0.0.1:4]}\n"
			"    routes:\n      - {path: /, service: shop}\n      - {path: /api, service: "
			"shop}\n",
			i, i, i);
	fclose(f);
	l = good(text);
	assert_int_equal(l.conf->tenant_n, 10000);
	assert_int_equal(l.conf->hosts.n, 20000);
	assert_true(l.conf->arena.total < 32 << 20);
	assert_ptr_equal(map_get(&l.conf->hosts, STR("*.t9999.test")), &l.conf->tenants[9999]);
	loaded_free(&l);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_written_has_the_default),
		cmocka_unit_test(a_service_has_the_contracts_defaults),
		cmocka_unit_test(a_pool_starts_from_its_services_policy),
		cmocka_unit_test(who_says_the_same_has_the_same_policy),
		cmocka_unit_test(inheritance_does_not_depend_on_the_order_in_the_file),
		cmocka_unit_test(a_pool_can_take_back_what_the_service_turned_on),
		cmocka_unit_test(pools_keep_their_declared_order),
		cmocka_unit_test(backends_are_written_short_or_long),
		cmocka_unit_test(balance_and_sticky_can_name_a_header),
		cmocka_unit_test(breakers_learn_or_not_and_pools_stick_or_not),
		cmocka_unit_test(health_takes_headers_and_ranges_and_lists_of_statuses),
		cmocka_unit_test(one_service_without_routes_gets_everything),
		cmocka_unit_test(routes_hold_their_conditions_and_changes),
		cmocka_unit_test(hosts_are_lower_case_and_lead_to_their_tenant),
		cmocka_unit_test(listeners_take_addresses_of_three_kinds),
		cmocka_unit_test(the_environment_comes_into_values_of_every_type),
		cmocka_unit_test(one_anchor_can_serve_many_tenants),
		cmocka_unit_test(a_file_may_be_json),
		cmocka_unit_test(ten_thousand_tenants_take_little_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
