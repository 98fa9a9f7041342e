/* Paths, queries, media types: what fits which route, and what fits none. */
#include "unit.h"
#include "base/obj.h"
#include "control/admin/match.h"

static struct arena arena;

static int set_up(void **state)
{
	(void)state;
	arena_init(&arena, NULL);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_free(&arena);
	return 0;
}

static void handler(struct admin_request *rq)
{
	(void)rq;
}

static const struct admin_route routes[] = {
	{.method = METHOD_GET, .path = "/", .handle = handler},
	{.method = METHOD_GET, .path = "/v1/services", .handle = handler},
	{.method = METHOD_GET, .path = "/v1/services/{t}/all", .handle = handler},
	{.method = METHOD_GET, .path = "/v1/services/{t}/{s}", .handle = handler},
	{.path = NULL},
};
static const struct admin_route more[] = {
	{.method = METHOD_PUT, .path = "/v1/services/{t}/{s}", .handle = handler},
	{.method = METHOD_POST, .path = "/v1/reload", .handle = handler},
	{.path = NULL},
};
static const struct admin_route *const tables[] = {routes, more, NULL};

static const char *routed(enum method method, const char *path, struct str params[ADMIN_PARAMS_MAX])
{
	struct admin_match m;

	admin_match_route(&m, &arena, tables, method, str_of(path), params);
	return m.route ? m.route->path : m.found ? "405" : "404";
}

static void a_path_finds_its_row(void **state)
{
	static const struct {
		enum method method;
		const char *path, *want, *t, *s;
	} cases[] = {
		{METHOD_GET, "/", "/", "", ""},
		{METHOD_GET, "/v1/services", "/v1/services", "", ""},
		{METHOD_HEAD, "/v1/services", "/v1/services", "", ""},
		{METHOD_GET, "/v1/services/acme/shop", "/v1/services/{t}/{s}", "acme", "shop"},
		{METHOD_PUT, "/v1/services/acme/shop", "/v1/services/{t}/{s}", "acme", "shop"},
		{METHOD_GET, "/v1/services/acme/all", "/v1/services/{t}/all", "acme", ""},
		{METHOD_GET, "/v1/services/a%63me/sh%2Fop", "/v1/services/{t}/{s}", "acme", "sh/op"},
		{METHOD_POST, "/v1/services/acme/shop", "405", NULL, NULL},
		{METHOD_PUT, "/v1/services/acme/all", "405", NULL, NULL},
		{METHOD_OTHER, "/v1/services", "405", NULL, NULL},
		{METHOD_GET, "/v1/reload", "405", NULL, NULL},
		{METHOD_GET, "/v1/service", "404", NULL, NULL},
		{METHOD_GET, "/v1/services/", "404", NULL, NULL},
		{METHOD_GET, "/v1/services/acme", "404", NULL, NULL},
		{METHOD_GET, "/v1/services/acme/", "404", NULL, NULL},
		{METHOD_GET, "/v1/services//shop", "404", NULL, NULL},
		{METHOD_GET, "/v1/services/acme/shop/", "404", NULL, NULL},
		{METHOD_GET, "/v1/services/acme/shop/more", "404", NULL, NULL},
		{METHOD_GET, "/v1/services/acme/%zz", "404", NULL, NULL},
		{METHOD_GET, "/v1/services/acme/%0", "404", NULL, NULL},
		{METHOD_GET, "/v1/services/acme/%00", "404", NULL, NULL},
		{METHOD_GET, "//v1/services", "404", NULL, NULL},
		{METHOD_GET, "*", "404", NULL, NULL},
		{METHOD_GET, "", "404", NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct str params[ADMIN_PARAMS_MAX] = {{0}};

		assert_string_equal(routed(cases[i].method, cases[i].path, params), cases[i].want);
		if (cases[i].t) {
			assert_str(params[0], cases[i].t);
			assert_str(params[1], cases[i].s);
		}
	}
}

static void other_methods_of_a_path_are_listed(void **state)
{
	struct str params[ADMIN_PARAMS_MAX];
	struct admin_match m;

	(void)state;
	admin_match_route(&m, &arena, tables, METHOD_DELETE, STR("/v1/services/a/b"), params);
	assert_null(m.route);
	assert_str(text_str(&m.allow), "GET, HEAD, PUT");
}

static void a_name_of_the_path_has_its_place(void **state)
{
	(void)state;
	assert_int_equal(admin_match_param("/v1/services/{t}/{s}", "t"), 0);
	assert_int_equal(admin_match_param("/v1/services/{t}/{s}", "s"), 1);
	assert_int_equal(admin_match_param("/v1/services/{t}/{s}", "p"), -1);
}

static void a_query_is_taken_apart(void **state)
{
	static const struct {
		const char *query, *want; /* "name=value;" each, or "!" */
	} cases[] = {
		{"", ""},
		{"a=1", "a=1;"},
		{"a=1&b=2", "a=1;b=2;"},
		{"a", "a=;"},
		{"a=", "a=;"},
		{"a=b=c", "a=b=c;"},
		{"&&a=1&", "a=1;"},
		{"a=x+y%20z", "a=x y z;"},
		{"%61=%C3%A4", "a=\xc3\xa4;"},
		{"a=%", "!"},
		{"a=%4", "!"},
		{"a=%4g", "!"},
		{"%=1", "!"},
		{"a=%00", "!"},
		{"1&2&3&4&5&6&7&8&9&10&11&12&13&14&15&16",
			"1=;2=;3=;4=;5=;6=;7=;8=;9=;10=;11=;12=;13=;14=;15=;16=;"},
		{"1&2&3&4&5&6&7&8&9&10&11&12&13&14&15&16&17", "!"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct admin_pair pairs[ADMIN_QUERY_MAX];
		char buf[256];
		struct text t = text_in(buf, sizeof(buf));
		uint32_t n;

		if (admin_match_query(&arena, str_of(cases[i].query), pairs, &n))
			text_char(&t, '!');
		else
			for (uint32_t p = 0; p < n; p++)
				text_fmt(&t, STR_FMT "=" STR_FMT ";", STR_ARG(pairs[p].name),
					STR_ARG(pairs[p].value));
		assert_str(text_str(&t), cases[i].want);
	}
}

static void accept_is_understood(void **state)
{
	static const struct {
		const char *accept;
		bool json, stream;
	} cases[] = {
		{"", true, false},
		{"*/*", true, false},
		{"application/json", true, false},
		{"Application/JSON; charset=utf-8", true, false},
		{"application/*", true, false},
		{"text/event-stream", false, true},
		{"text/html, application/json;q=0.5", true, false},
		{"application/json;q=0", false, false},
		{"application/json; q=0.000, text/event-stream", false, true},
		{"text/*", false, false},
		{"image/png", false, false},
		{"*", false, false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_int_equal(
			admin_accepts(str_of(cases[i].accept), STR("application/json")), cases[i].json);
		assert_int_equal(admin_accept_names(str_of(cases[i].accept), STR("text/event-stream")),
			cases[i].stream);
	}
}

static void depth_counts_brackets_outside_of_strings(void **state)
{
	(void)state;
	assert_int_equal(admin_json_depth(STR("")), 0);
	assert_int_equal(admin_json_depth(STR("[]")), 1);
	assert_int_equal(admin_json_depth(STR("{\"a\": [1, {}], \"b\": []}")), 3);
	assert_int_equal(admin_json_depth(STR("[\"[[[\\\"[[\", \"\\\\\", []]")), 2);
	assert_int_equal(admin_json_depth(STR("]]]][[")), 2);
	assert_int_equal(admin_json_depth(STR("[\"[[[")), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_path_finds_its_row),
		cmocka_unit_test(other_methods_of_a_path_are_listed),
		cmocka_unit_test(a_name_of_the_path_has_its_place),
		cmocka_unit_test(a_query_is_taken_apart),
		cmocka_unit_test(accept_is_understood),
		cmocka_unit_test(depth_counts_brackets_outside_of_strings),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
