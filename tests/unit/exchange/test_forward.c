/* exchange/forward.c: what a backend is told of where a request comes from, and what routes make of heads. */
#include "suite.h"

#define CLAIMS \
	"[x-forwarded-for: 203.0.113.9] [x-forwarded-proto: https] [x-forwarded-host: shop.example] " \
	"[x-forwarded-port: 443] " \
	"[x-real-ip: 203.0.113.9] [forwarded: for=203.0.113.9]"

/* What becomes of each of the claims. */
static const struct {
	const char *name, *untrusted, *trusted;
} claims[] = {
	{"x-forwarded-for", "192.0.2.7", "203.0.113.9, 192.0.2.7"},
	{"x-forwarded-proto", "http", "https"},
	{"x-forwarded-host", "shop.test", "shop.example"},
	{"x-forwarded-port", "8080", "443"},
	{"x-real-ip", "192.0.2.7", "203.0.113.9"},
	{"forwarded", "for=192.0.2.7;host=\"shop.test\";proto=http",
		"for=203.0.113.9, for=192.0.2.7;host=\"shop.test\";proto=http"},
};

static void expect_claim(unsigned i, const char *value, const char *listener, struct pairing how)
{
	char show[64], asked[256];
	const struct test_case c = {.name = claims[i].name,
		.listener = listener,
		.show = show,
		.client = "GET / " CLAIMS " end",
		.origin = "200 end",
		.answer = "200\nend\n",
		.asked = asked};

	snprintf(show, sizeof(show), ",%s,", claims[i].name);
	snprintf(asked, sizeof(asked), "GET / [%s: %s]\nend\n", claims[i].name, value);
	case_once(&c, how, &tls);
}

static void nobody_is_believed_who_is_not_trusted(void **state)
{
	(void)state;
	for (unsigned i = 0; i < COUNT_OF(claims); i++) {
		expect_claim(i, claims[i].untrusted, NULL, h1);
		expect_claim(i, claims[i].untrusted, ", trusted_proxies: [192.0.3.0/24]", h2);
	}
}

static void a_trusted_proxy_is_believed_and_added_to_the_list(void **state)
{
	(void)state;
	for (unsigned i = 0; i < COUNT_OF(claims); i++) {
		expect_claim(i, claims[i].trusted, ", trusted_proxies: [192.0.2.0/24]", h1);
		expect_claim(i, claims[i].trusted, ", trusted_proxies: [192.0.2.0/24]", h2);
	}
}

static void the_nearest_address_that_a_trusted_proxy_vouches_for_is_the_client(void **state)
{
	static const struct test_case c = {.name = "chain",
		.listener = ", trusted_proxies: [192.0.2.0/24]",
		.show = ",x-real-ip,",
		.client = "GET / [x-forwarded-for: 10.6.6.6, 203.0.113.9] [x-forwarded-for: 192.0.2.8] end",
		.origin = "200 end",
		.answer = "200\nend\n",
		.asked = "GET / [x-real-ip: 203.0.113.9]\nend\n"};

	(void)state;
	case_once(&c, h1, &tls);
}

static void an_ipv6_address_is_quoted_in_forwarded(void **state)
{
	static const struct test_case c = {.name = "IPv6",
		.show = ",x-forwarded-for,forwarded,",
		.client = "GET / end",
		.origin = "200 end",
		.answer = "200\nend\n",
		.asked = "GET / [x-forwarded-for: 2001:db8::7] [forwarded: "
			 "for=\"[2001:db8::7]\";host=\"shop.test\";proto=http]\nend\n"};
	struct stage *st;

	(void)state;
	st = stage_new(&c, h1);
	assert_true(addr_parse(&st->house.peer, STR("[2001:db8::7]:50000")));
	stage_run(st, SIZE_MAX, SIZE_MAX, false, NULL);
	stage_free(&st);
}

static void a_fit_request_id_is_kept(void **state)
{
	static const struct test_case c = {.name = "id",
		.show = ",x-request-id,",
		.client = "GET / [x-request-id: Az09-_.:=+/] end",
		.origin = "200 end",
		.answer = "200\nend\n",
		.asked = "GET / [x-request-id: Az09-_.:=+/]\nend\n"};

	(void)state;
	case_once(&c, h1, &tls);
}

static void an_unfit_request_id_is_replaced(void **state)
{
	static const struct test_case c = {.name = "unfit id",
		.show = ",x-request-id,",
		.client = "GET / [x-request-id: a\"b] end",
		.origin = "200 end"};
	struct stage *st;
	const char *id;

	(void)state;
	st = stage_new(&c, h1);
	stage_hear(st, "end\n");
	id = strstr(side_heard(&st->origin), "[x-request-id: ");
	assert_non_null(id);
	id += strlen("[x-request-id: ");
	assert_int_equal(strspn(id, "0123456789abcdef"), SPLIT_ID_CHARS);
	assert_int_equal(id[SPLIT_ID_CHARS], ']');
	stage_clear(st);
	stage_free(&st);
}

static void a_prefix_is_stripped_and_never_leaves_an_empty_path(void **state)
{
	static const char *const paths[][2] = {
		{"/api/x?q=1", "/x?q=1"}, {"/api", "/"}, {"/api?q=1", "/?q=1"}, {"/api/", "/"}};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(paths); i++) {
		char client[64], asked[64];
		struct test_case c = {.name = paths[i][0],
			.path = "/api",
			.route = ", strip_prefix: true",
			.client = client,
			.origin = "200 end",
			.answer = "200\nend\n",
			.asked = asked};

		snprintf(client, sizeof(client), "GET %s end", paths[i][0]);
		snprintf(asked, sizeof(asked), "GET %s\nend\n", paths[i][1]);
		case_once(&c, h1, &tls);
	}
}

static void routes_set_add_and_remove_fields_both_ways(void **state)
{
	static const struct test_case c = {.name = "route",
		.route = ", request_headers: {set: {X-A: new}, add: {X-B: more}, remove: [X-C]}"
			 ", response_headers: {set: {X-D: new}, add: {X-E: more}, remove: [Server]}",
		.client = "GET / [x-a: old] [x-a: older] [x-b: first] [x-c: gone] end",
		.origin = "200 [x-d: old] [server: secret] [x-e: first] end",
		.answer = "200 [x-e: first] [x-d: new] [x-e: more]\nend\n",
		.asked = "GET / [x-b: first] [x-a: new] [x-b: more]\nend\n"};

	(void)state;
	case_once(&c, h1, &tls);
	case_once(&c, h2, &tls);
}

static void via_says_how_a_message_was_received(void **state)
{
	static const struct test_case c = {.name = "via",
		.show = ",via,",
		.client = "GET / [via: 1.0 old] end",
		.origin = "200 end",
		.answer = "200 [via: 1.1 weir]\nend\n",
		.answer_h2 = "200 [via: 2 weir]\nend\n",
		.asked = "GET / [via: 1.0 old] [via: 1.1 weir]\nend\n",
		.asked_h2 = "GET / [via: 1.0 old] [via: 2 weir]\nend\n"};

	(void)state;
	case_once(&c, h1, &tls);
	case_once(&c, h2, &tls);
}

#define THROUGH "[via: 1.1 weir] "

static void a_request_that_goes_in_circles_is_stopped(void **state)
{
	static const struct test_case c = {.name = "loop",
		.client = "GET / " THROUGH THROUGH THROUGH THROUGH THROUGH THROUGH THROUGH THROUGH "end",
		.origin = "200 end",
		.answer = "508 loop\nend\n",
		.asked = ""};

	(void)state;
	case_once(&c, h1, &tls);
}

/* What becomes of a GET with these headers, at a listener with redirect_https. */
static void expect_at_redirector(const char *trusted, const char *headers, bool redirected)
{
	char listener[128], client[128];
	const struct test_case c = {.name = headers,
		.listener = listener,
		.client = client,
		.origin = "200 end",
		.answer = redirected ? "308 [location: https://shop.test/x]\nend\n" : "200\nend\n",
		.asked = redirected ? "" : "GET /x\nend\n"};

	snprintf(listener, sizeof(listener), ", redirect_https: true, trusted_proxies: [%s]", trusted);
	snprintf(client, sizeof(client), "GET /x %s end", headers);
	case_once(&c, h1, &tls);
	case_once(&c, h2, &tls);
}

static void what_came_over_https_to_a_trusted_proxy_is_not_sent_there_again(void **state)
{
	(void)state;
	expect_at_redirector("192.0.2.0/24", "", true);
	expect_at_redirector("192.0.2.0/24", "[x-forwarded-proto: http]", true);
	expect_at_redirector("192.0.2.0/24", "[x-forwarded-proto: HTTPS]", false);
	expect_at_redirector("192.0.2.0/24", "[x-forwarded-proto: https] [x-forwarded-proto: http]", true);
	expect_at_redirector("192.0.3.0/24", "[x-forwarded-proto: https]", true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_is_believed_who_is_not_trusted),
		cmocka_unit_test(what_came_over_https_to_a_trusted_proxy_is_not_sent_there_again),
		cmocka_unit_test(a_trusted_proxy_is_believed_and_added_to_the_list),
		cmocka_unit_test(the_nearest_address_that_a_trusted_proxy_vouches_for_is_the_client),
		cmocka_unit_test(an_ipv6_address_is_quoted_in_forwarded),
		cmocka_unit_test(a_fit_request_id_is_kept),
		cmocka_unit_test(an_unfit_request_id_is_replaced),
		cmocka_unit_test(a_prefix_is_stripped_and_never_leaves_an_empty_path),
		cmocka_unit_test(routes_set_add_and_remove_fields_both_ways),
		cmocka_unit_test(via_says_how_a_message_was_received),
		cmocka_unit_test(a_request_that_goes_in_circles_is_stopped),
	};

	return RUN_SUITE(tests);
}
