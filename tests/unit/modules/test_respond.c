/* modules/respond.c: an answer without a backend is a whole one, whatever its status and whoever asks. */
#include "exchange/suite.h"

#define PLAIN "[content-type: text/plain; charset=utf-8]"

static void run_with(const char *keys, const char *client, const char *answer)
{
	char route[512];
	struct test_case c = {.name = keys,
		.route = route,
		.show = ",content-type,",
		.client = client,
		.origin = "200 end",
		.answer = answer,
		.asked = ""};

	snprintf(route, sizeof(route), ", modules: {respond: {%s}}", keys);
	case_once(&c, h1, &tls);
	case_once(&c, h2, &tls);
}

static void every_status_has_the_body_that_it_may_have(void **state)
{
	static const char *const rows[][2] = {
		{"", "200\nend\n"},
		{"body: 'a: b'", "200 length=4 " PLAIN "\nbody a: b\nend\n"},
		{"body: '{}', content_type: application/json",
			"200 length=2 [content-type: application/json]\nbody {}\nend\n"},
		{"status: 404", "404\nend\n"},
		{"status: 410, body: gone", "410 length=4 " PLAIN "\nbody gone\nend\n"},
		{"status: 599, body: x", "599 length=1 " PLAIN "\nbody x\nend\n"},
		{"status: 204", "204\nend\n"},
		{"status: 418", "418 length=13 " PLAIN "\nbody I'm a teapot\n\nend\n"},
		{"status: 418, body: short and stout",
			"418 length=15 " PLAIN "\nbody short and stout\nend\n"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		run_with(rows[i][0], "GET / end", rows[i][1]);
}

static void head_is_told_what_get_would_get(void **state)
{
	(void)state;
	run_with("body: 'a: b'", "HEAD / end", "200 length=4 " PLAIN "\nend\n");
	run_with("status: 418", "HEAD / end", "418 length=13 " PLAIN "\nend\n");
}

static void a_body_that_nobody_asked_for_is_taken_and_forgotten(void **state)
{
	(void)state;
	run_with("body: ok", "POST / length=5; say hello; end", "200 length=2 " PLAIN "\nbody ok\nend\n");
	run_with("body: ok", "POST / stream; fill 30000; end", "200 length=2 " PLAIN "\nbody ok\nend\n");
	run_with("body: ok", "POST / stream expect; say late; end", "200 length=2 " PLAIN "\nbody ok\nend\n");
}

static void the_next_request_on_the_connection_is_answered_too(void **state)
{
	(void)state;
	run_with("status: 404", "GET /a end; wait end; GET /b end", "404\nend\n404\nend\n");
}

static void what_the_route_says_of_headers_holds_for_it(void **state)
{
	static const struct test_case c = {.name = "headers",
		.route = ", response_headers: {set: {Cache-Control: max-age=60, Content-Type: text/csv}, "
			 "remove: [X-None]}, "
			 "modules: {respond: {body: 'a,b'}}",
		.show = ",content-type,cache-control,",
		.client = "GET / end",
		.origin = "200 end",
		.answer =
			"200 length=3 [cache-control: max-age=60] [content-type: text/csv]\nbody a,b\nend\n",
		.asked = ""};

	(void)state;
	case_once(&c, h1, &tls);
	case_once(&c, h2, &tls);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_status_has_the_body_that_it_may_have),
		cmocka_unit_test(head_is_told_what_get_would_get),
		cmocka_unit_test(a_body_that_nobody_asked_for_is_taken_and_forgotten),
		cmocka_unit_test(the_next_request_on_the_connection_is_answered_too),
		cmocka_unit_test(what_the_route_says_of_headers_holds_for_it),
	};

	return RUN_SUITE(tests);
}
