/* exchange/reply.c: the form of weir's own answers, tenants' pages, gRPC. */
#include "suite.h"

#define NO_WEBSOCKET ", websocket: false"

/* The first line of the body that a client with this Accept gets with its error. */
static void expect_type(const char *accept, const char *type)
{
	char client[256], answer[256];
	/* HEAD of a path that no route has: only the head matters. */
	struct test_case c = {.name = accept,
		.path = "/api",
		.show = ",x-weir-reason,",
		.client = client,
		.origin = "200 end",
		.answer = answer,
		.asked = ""};
	struct stage *st;

	snprintf(client, sizeof(client), "HEAD / [accept: %s] end", accept);
	snprintf(answer, sizeof(answer), "[content-type: %s]", type);
	st = stage_new(&c, h1);
	stage_hear(st, "end\n");
	assert_int_equal(strncmp(side_heard(&st->client), "404 ", 4), 0);
	assert_non_null(strstr(side_heard(&st->client), "[x-weir-reason: no_route]"));
	if (!strstr(side_heard(&st->client), answer))
		fail_msg("Accept: %s, answered %s", accept, side_heard(&st->client));
	stage_clear(st);
	stage_free(&st);
}

#define PLAIN "text/plain; charset=utf-8"
#define HTML  "text/html; charset=utf-8"
#define JSON  "application/problem+json"

static void the_form_is_what_the_client_likes_best(void **state)
{
	(void)state;
	expect_type("*/*", PLAIN);
	expect_type("image/png", PLAIN);
	expect_type("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", HTML);
	expect_type("application/json", JSON);
	expect_type("TEXT/HTML;q=0.5, application/problem+json;q=0.6", JSON);
	expect_type("text/html;level=1;q=0.001, application/json;q=0", HTML);
	expect_type("application/json;q=0.25, text/plain;q=0.250, text/html;q=0.3", HTML);
	expect_type("application/json;q=0", PLAIN);
}

static void a_grpc_client_is_answered_in_trailers_of_its_own(void **state)
{
	static const struct test_case c = {.name = "grpc",
		.path = "/api",
		.client = "POST /g.S/M te stream [content-type: application/grpc+proto]; say x; end",
		.origin = "200 end",
		.answer = "200 [content-type: application/grpc] [grpc-status: 12] [grpc-message: no route of "
			  "the tenant matches]\nend\n",
		.asked = ""};

	(void)state;
	case_once(&c, h2, &tls);
}

static void an_answer_to_head_has_a_length_and_no_body(void **state)
{
	static const struct test_case c = {.name = "HEAD",
		.path = "/api",
		.client = "HEAD / end; wait end; HEAD / end",
		.origin = "200 end",
		.answer = "404 no_route\nend\n404 no_route\nend\n",
		.asked = ""};

	(void)state;
	case_once(&c, h1, &tls);
	case_once(&c, h2, &tls);
}

static void a_redirect_carries_the_rest_of_the_path_and_the_query(void **state)
{
	static const struct test_case c = {.name = "redirect",
		.tenant = "",
		.path = "/api",
		.client = "GET /old/x?q=1 end; wait end; GET /old?q=1 end",
		.origin = "200 end",
		.route = "}, {path: /old, redirect: {to: /new, status: 308}",
		.answer = "308 [location: /new/x?q=1]\nend\n308 [location: /new?q=1]\nend\n",
		.asked = ""};

	(void)state;
	case_once(&c, h1, &tls);
	case_once(&c, h2, &tls);
}

/* Where a client that asked for the path is sent. */
static void expect_redirect(const char *match, const char *to, const char *path, const char *location)
{
	char route[256], client[160], answer[256];
	const struct test_case c = {.name = path,
		.tenant = "",
		.path = "/api",
		.client = client,
		.origin = "200 end",
		.route = route,
		.answer = answer,
		.asked = ""};

	snprintf(route, sizeof(route), "}, {%s, redirect: {to: '%s', status: 301}", match, to);
	snprintf(client, sizeof(client), "GET %s end", path);
	snprintf(answer, sizeof(answer), "301 [location: %s]\nend\n", location);
	case_once(&c, h1, &tls);
	case_once(&c, h2, &tls);
}

static void a_redirects_own_query_and_fragment_stay_behind_the_path(void **state)
{
	(void)state;
	expect_redirect("path: /old", "/new?a=1", "/old/x?q=1", "/new/x?a=1");
	expect_redirect("path: /old", "/new#top", "/old/x?q=1", "/new/x?q=1#top");
	expect_redirect("path: /old", "/new?a=1#top", "/old", "/new?a=1#top");
	expect_redirect("path: /old", "/new#top?", "/old/x?q", "/new/x?q#top?");
	expect_redirect("path: /old", "https://b.test", "/old/x?q=1", "https://b.test/x?q=1");
}

static void where_a_redirect_leads_may_be_made_of_the_request(void **state)
{
	static const char *const rows[][4] = {
		{"path: /", "https://www.acme.test", "/a/b?c=d", "https://www.acme.test/a/b?c=d"},
		{"path: /", "https://$(request.host)", "/a?c", "https://shop.test/a?c"},
		{"path: /", "$(request.scheme)://$(request.host)/new", "/a", "http://shop.test/new/a"},
		/* What is there already is not appended once more. */
		{"path: /", "https://www.acme.test$(request.path)", "/a/b?c", "https://www.acme.test/a/b?c"},
		{"path: /", "https://x.test$(request.path)?$(request.query)", "/a?c=d&e",
			"https://x.test/a?c=d&e"},
		{"path: /p", "/item/$(query.id:-none)", "/p?id=a%2Fb&x", "/item/a%2Fb?id=a%2Fb&x"},
		{"path: /p", "/item/$(query.id:-none)?", "/p", "/item/none?"},
		{"regex: '/blog/([0-9]+)/(.*)'", "/posts/$(2)?year=$(1)", "/blog/2024/a/b",
			"/posts/a/b?year=2024"},
		{"regex: '/(x|y)/(z)?'", "/$(1)-$(2:-none)", "/x/", "/x-none"},
		{"exact: /e", "/f/$(header.x-none)", "/e", "/f/"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		expect_redirect(rows[i][0], rows[i][1], rows[i][2], rows[i][3]);
}

static void a_path_in_a_redirect_never_becomes_a_host(void **state)
{
	(void)state;
	expect_redirect("path: /old", "/", "/old//evil.test/x", "/evil.test/x");
	expect_redirect("path: /old", "/", "/old///evil.test", "/evil.test");
	expect_redirect("path: /old", "/", "/old/", "/");
	expect_redirect("path: /old", "/new/", "/old//x", "/new/x");
	expect_redirect("path: /old", "/$(request.path)", "/old", "/old");
	expect_redirect("regex: '/go(.*)'", "/$(1)", "/go//evil.test", "/evil.test");
	expect_redirect("path: /old", "/$(query.to)", "/old?to=/evil.test", "/%2Fevil.test?to=/evil.test");
	/* Whoever writes it himself means it. */
	expect_redirect("path: /old", "//cdn.test", "/old/x", "//cdn.test/x");
	/* Nor does it go on with the name of one. */
	expect_redirect(
		"regex: '/go(.*)'", "https://b.test$(1)", "/go@evil.test", "https://b.test/@evil.test");
	expect_redirect(
		"regex: '/go(.*)'", "https://b.test$(1)", "/go.evil.test/x", "https://b.test/.evil.test/x");
	expect_redirect("regex: '/go(.*)'", "https://b.test:443$(1)?a", "/go0@evil.test",
		"https://b.test:443/0@evil.test?a");
	expect_redirect("regex: '/go(.*)'", "$(request.scheme)://$(request.host)$(1)", "/go.evil.test",
		"http://shop.test/.evil.test");
	expect_redirect("regex: '/go(.*)'", "https://b.test$(1)", "/go/x", "https://b.test/x");
	expect_redirect("regex: '/go(.*)'", "https://b.test$(1)", "/go", "https://b.test");
	expect_redirect("regex: '/go/([a-z]+)'", "https://$(1).b.test/x$(1)", "/go/shop",
		"https://shop.b.test/xshop");
	expect_redirect("regex: '/go/([a-z]+)'", "https://www.$(1)", "/go/shop", "https://www.shop");
	expect_redirect("regex: '/go/([a-z]+)'", "https://app-$(1)/", "/go/shop", "https://app-shop/");
}

static void what_a_route_says_of_headers_holds_for_its_redirect_too(void **state)
{
	static const struct test_case c = {.name = "redirect's headers",
		.tenant = "",
		.path = "/api",
		.client = "GET /old end; wait end; GET /none end",
		.origin = "200 end",
		.show = ",location,x-a,x-b,cache-control,",
		.route = "}, {path: /old, redirect: {to: /new}, response_headers: {set: {Cache-Control: "
			 "no-cache, "
			 "X-A: '$(status) $(request.path)'}, add: {X-B: b}}",
		.answer = "308 [location: /new] [cache-control: no-cache] [x-a: 308 /old] [x-b: b]\nend\n"
			  "404 no_route\nend\n",
		.asked = ""};

	(void)state;
	case_once(&c, h1, &tls);
	case_once(&c, h2, &tls);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_form_is_what_the_client_likes_best),
		cmocka_unit_test(a_grpc_client_is_answered_in_trailers_of_its_own),
		cmocka_unit_test(an_answer_to_head_has_a_length_and_no_body),
		cmocka_unit_test(a_redirect_carries_the_rest_of_the_path_and_the_query),
		cmocka_unit_test(a_redirects_own_query_and_fragment_stay_behind_the_path),
		cmocka_unit_test(where_a_redirect_leads_may_be_made_of_the_request),
		cmocka_unit_test(a_path_in_a_redirect_never_becomes_a_host),
		cmocka_unit_test(what_a_route_says_of_headers_holds_for_its_redirect_too),
	};

	return RUN_SUITE(tests);
}
