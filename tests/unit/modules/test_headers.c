/* modules/headers.c, modules/rewrite.c, exchange/edit.c, exchange/render.c: what backends and clients get in place of what was said. */
#include "exchange/suite.h"

static void run_once(const struct test_case *c)
{
	case_once(c, h1, &tls);
	case_once(c, h2, &tls);
}

static void headers_are_taken_out_renamed_set_and_added_in_this_order(void **state)
{
	static const struct test_case c = {.name = "order",
		.top = "modules: {headers: {request: {remove: [x-a], rename: {x-b: x-a, x-none: x-c}, set: "
		       "{x-c: "
		       "new, x-d: ''}, add: {x-c: more}}, response: {remove: [server], rename: {x-powered: "
		       "x-by}, set: {x-status: $(status)}}}}\n",
		.show = ",x-a,x-b,x-c,x-d,server,x-powered,x-by,x-status,",
		.client = "GET / [x-a: 1] [x-b: 2] [x-b: 3] [x-c: 4] end",
		.origin = "200 [server: x] [x-powered: y] [x-by: z] end",
		.asked = "GET / [x-a: 2] [x-a: 3] [x-c: new] [x-d: ] [x-c: more]\nend\n",
		.answer = "200 [x-by: y] [x-status: 200]\nend\n"};

	(void)state;
	run_once(&c);
}

static void what_headers_cannot_say_any_more_trailers_cannot_either(void **state)
{
	static const struct test_case c = {.name = "trailers",
		.top = "modules: {headers: {request: {remove: [x-a], rename: {x-b: x-c}}}}\n",
		.route = ", request_headers: {set: {x-d: set}, add: {x-e: more}}",
		.show = ",x-c,x-d,x-e,",
		.client = "POST / stream [x-b: 1]; say a; trailers [x-a: 1] [x-b: 1] [x-c: 1] [x-d: 1] "
			  "[x-e: 1]",
		.origin = "wait end; 200 end",
		.asked = "POST / [x-c: 1] [x-d: set] [x-e: more]\nbody a\ntrailers [x-b: 1] [x-e: 1]\nend\n",
		.answer = "200\nend\n"};

	(void)state;
	run_once(&c);
}

static void a_route_says_the_last_word_about_requests(void **state)
{
	static const struct test_case c = {.name = "levels",
		.top = "modules: {headers: {request: {set: {x-a: all, x-b: all}}}}\n",
		.route = ", request_headers: {set: {x-b: route $(route)}}",
		.show = ",x-a,x-b,",
		.client = "GET / end",
		.origin = "200 end",
		.asked = "GET / [x-a: all] [x-b: route /]\nend\n",
		.answer = "200\nend\n"};

	(void)state;
	run_once(&c);
}

static void values_are_made_of_what_is_known_of_the_request(void **state)
{
	static const struct test_case c = {.name = "values",
		.route = ", request_headers: {set: {x-a: '$(client.address) $(peer.address) $(listener) "
			 "$(tenant) "
			 "$(service) $(pool) $(route)', x-b: '$(request.method) $(request.scheme) "
			 "$(request.host) "
			 "$(request.path) $(request.query)', x-c: '$(header.x-c)+$(cookie.b)+$(query.q)', "
			 "x-d: "
			 "$(header.none), x-e: '$(header.none:-dflt)', x-f: '$$(a) $(tls.version)'}}",
		.show = ",x-a,x-b,x-c,x-d,x-e,x-f,",
		.client = "GET /p/a?x=1&q=%41&q=2 [x-c: c] [x-d: d] [cookie: a=1; b=2] end",
		.origin = "200 end",
		.asked = "GET /p/a?x=1&q=%41&q=2 [cookie: a=1; b=2] [x-a: 192.0.2.7 192.0.2.7 in acme shop "
			 "blue /] [x-b: GET http "
			 "shop.test /p/a x=1&q=%41&q=2] [x-c: c+2+%41] [x-e: dflt] [x-f: $(a)]\nend\n",
		.answer = "200\nend\n"};

	(void)state;
	run_once(&c);
}

/* The rules, the path that is asked for, what the backend gets. */
static const struct {
	const char *keys, *path, *becomes;
} rewrites[] = {
	{"rules: [{prefix: /old, to: /new}]", "/old", "/new"},
	{"rules: [{prefix: /old, to: /new}]", "/old/x?q=1", "/new/x?q=1"},
	{"rules: [{prefix: /old, to: /new}]", "/older", "/older"},
	{"rules: [{prefix: /old/, to: /new}]", "/old/x", "/new/x"},
	{"rules: [{prefix: /old, to: /}]", "/old/x", "/x"},
	{"rules: [{prefix: /old, to: /}]", "/old", "/"},
	{"rules: [{prefix: /, to: /v1}]", "/x", "/v1/x"},
	{"rules: [{prefix: /, to: '/v1?a=1'}]", "/x?b=2", "/v1/x?a=1"},
	{"rules: [{regex: '/item/(\\d+)', to: '/items?id=$(1)'}]", "/item/17", "/items?id=17"},
	{"rules: [{regex: '/item/(\\d+)', to: '/items?id=$(1)'}]", "/item/17/x", "/item/17/x"},
	{"rules: [{regex: '/(\\w+)/(.*)', to: '/$(2)/$(1)'}]", "/a/b/c?d", "/b/c/a?d"},
	{"rules: [{regex: '/(a)?b', to: '/$(1:-none)'}]", "/b", "/none"},
	{"rules: [{prefix: /a, to: /1}, {to: /2}]", "/a", "/1"},
	{"rules: [{prefix: /a, to: /1}, {to: /2}]", "/b", "/2"},
	/* What a stranger sends stays in its place. */
	{"rules: [{regex: '/item/(.*)', to: '/items?id=$(1)'}]", "/item/1&admin=1",
		"/items?id=1%26admin%3D1"},
	{"rules: [{regex: '/item/(.*)', to: '/items?id=$(1)'}]", "/item/a%20b", "/items?id=a%20b"},
	{"rules: [{to: '/f/$(query.f)'}]", "/?f=x?y/%41", "/f/x%3Fy%2F%41?f=x?y/%41"},
	{"rules: [{to: '/u/$(header.x-u)'}]", "/", "/u/a%2F%20%25b"},
	{"query: {remove: ['utm_*', b], set: {lang: $(header.x-u), none: $(header.none), c: ''}}",
		"/?utm_a=1&a=1&b=2&lang=x&utm_b", "/?a=1&lang=a%2F%20%25b&c="},
	{"query: {remove: ['*']}", "/p?a=1&b=2", "/p"},
	{"query: {remove: [a]}", "/p", "/p"},
	{"host: 'shop.internal:81'", "/p", "/p"},
};

static void paths_and_queries_become_others(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(rewrites); i++) {
		char top[512], client[256], asked[256];
		const struct test_case c = {.name = rewrites[i].keys,
			.top = top,
			.client = client,
			.origin = "200 end",
			.asked = asked,
			.answer = "200\nend\n"};

		snprintf(top, sizeof(top), "modules: {rewrite: {%s}}\n", rewrites[i].keys);
		snprintf(client, sizeof(client), "GET %s [x-u: a/ %%b] end", rewrites[i].path);
		snprintf(asked, sizeof(asked), "GET %s [x-u: a/ %%b]\nend\n", rewrites[i].becomes);
		run_once(&c);
	}
}

static void a_path_or_a_host_that_cannot_be_sent_is_refused(void **state)
{
	static const char *const keys[] = {
		"rules: [{regex: '/x(.*)', to: '/y/$(1)'}]",
		"rules: [{to: '/f/$(query.f)'}]",
		"host: '$(header.none)'",
		"host: '$(header.x-u)'",
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(keys); i++) {
		char top[256];
		const struct test_case c = {.name = keys[i],
			.top = top,
			.client = "GET /x..?f=../x [x-u: a/ %b] end",
			.origin = "200 end",
			.asked = "",
			.answer = "400 rewrite_invalid\nend\n"};

		snprintf(top, sizeof(top), "modules: {rewrite: {%s}}\n", keys[i]);
		run_once(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_are_taken_out_renamed_set_and_added_in_this_order),
		cmocka_unit_test(what_headers_cannot_say_any_more_trailers_cannot_either),
		cmocka_unit_test(a_route_says_the_last_word_about_requests),
		cmocka_unit_test(values_are_made_of_what_is_known_of_the_request),
		cmocka_unit_test(paths_and_queries_become_others),
		cmocka_unit_test(a_path_or_a_host_that_cannot_be_sent_is_refused),
	};

	return RUN_SUITE(tests);
}
