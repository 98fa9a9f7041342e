/* modules/cors.c: what is added to an answer, for which origin, and what a preflight is told. */
#include "exchange/suite.h"

#define SHOWN \
	",vary,access-control-allow-origin,access-control-allow-credentials,access-control-allow-methods," \
	"access-control-allow-headers,access-control-expose-headers,access-control-max-age,"
#define NAMED   "origins: ['https://app.test', 'https://*.pre.test']"
#define METHODS "[access-control-allow-methods: GET, HEAD, POST, PUT, PATCH, DELETE] "

static void run_row(
	const char *keys, const char *client, const char *origin, const char *asked, const char *answer)
{
	char top[512];
	struct test_case c = {.name = client,
		.top = top,
		.show = SHOWN,
		.client = client,
		.origin = origin,
		.answer = answer,
		.asked = asked};

	snprintf(top, sizeof(top), "modules: {cors: {%s}}\n", keys);
	case_once(&c, h1, &tls);
	case_once(&c, h2, &tls);
}

static void an_origin_that_may_ask_is_told_so(void **state)
{
	static const struct {
		const char *keys, *origin, *answer;
	} rows[] = {
		{NAMED, "https://app.test",
			"200 [vary: origin] [access-control-allow-origin: https://app.test]\nend\n"},
		{NAMED, "https://a.b.pre.test",
			"200 [vary: origin] [access-control-allow-origin: https://a.b.pre.test]\nend\n"},
		{NAMED, "https://pre.test", "200 [vary: origin]\nend\n"},
		{NAMED, "http://app.test", "200 [vary: origin]\nend\n"},
		{NAMED, "https://app.test:8443", "200 [vary: origin]\nend\n"},
		{NAMED, "https://app.test.evil.test", "200 [vary: origin]\nend\n"},
		{NAMED, "HTTPS://APP.TEST", "200 [vary: origin]\nend\n"},
		{NAMED, "null", "200 [vary: origin]\nend\n"},
		{NAMED, "", "200 [vary: origin]\nend\n"},
		{"origins: '*'", "https://any.test", "200 [access-control-allow-origin: *]\nend\n"},
		{"origins: '*'", "null", "200 [access-control-allow-origin: *]\nend\n"},
		{"origins: ['null']", "null",
			"200 [vary: origin] [access-control-allow-origin: null]\nend\n"},
		{NAMED ", credentials: true, expose: [x-a, x-b]", "https://app.test",
			"200 [vary: origin] [access-control-allow-origin: https://app.test] "
			"[access-control-allow-credentials: true] [access-control-expose-headers: x-a, "
			"x-b]\nend\n"},
		{NAMED ", credentials: true, expose: [x-a]", "https://other.test",
			"200 [vary: origin]\nend\n"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char client[128], asked[128];

		snprintf(client, sizeof(client), "GET / [origin: %s] end", rows[i].origin);
		snprintf(asked, sizeof(asked), "GET / [origin: %s]\nend\n", rows[i].origin);
		run_row(rows[i].keys, client, "200 end", asked, rows[i].answer);
	}
	run_row(NAMED, "GET / end", "200 end", "GET /\nend\n", "200 [vary: origin]\nend\n");
}

static void what_the_backend_says_of_it_is_replaced(void **state)
{
	(void)state;
	run_row(NAMED, "GET / [origin: https://evil.test] end",
		"200 [access-control-allow-origin: *] [access-control-allow-credentials: true] "
		"[access-control-expose-headers: x] [vary: accept] end",
		"GET / [origin: https://evil.test]\nend\n", "200 [vary: accept] [vary: origin]\nend\n");
	run_row(NAMED, "GET / [origin: https://app.test] end", "200 [access-control-allow-origin: *] end",
		"GET / [origin: https://app.test]\nend\n",
		"200 [vary: origin] [access-control-allow-origin: https://app.test]\nend\n");
}

static void a_preflight_is_answered_and_nobody_else_is_asked(void **state)
{
	static const struct {
		const char *keys, *fields, *answer;
	} rows[] = {
		{NAMED, "[origin: https://app.test] [access-control-request-method: PUT]",
			"204 [vary: origin] [access-control-allow-origin: https://app.test] " METHODS
			"[access-control-max-age: 600]\nend\n"},
		{NAMED,
			"[origin: https://app.test] [access-control-request-method: PUT] "
			"[access-control-request-headers: x-a,x-b]",
			"204 [vary: origin] [access-control-allow-origin: https://app.test] " METHODS
			"[access-control-allow-headers: x-a,x-b] [access-control-max-age: 600]\nend\n"},
		{NAMED ", methods: [GET, PUT], headers: [x-t], max_age: 90s, credentials: true",
			"[origin: https://app.test] [access-control-request-method: PUT] "
			"[access-control-request-headers: x-a]",
			"204 [vary: origin] [access-control-allow-origin: https://app.test] "
			"[access-control-allow-credentials: true] [access-control-allow-methods: GET, PUT] "
			"[access-control-allow-headers: x-t] [access-control-max-age: 90]\nend\n"},
		{NAMED, "[origin: https://evil.test] [access-control-request-method: PUT]",
			"204 [vary: origin]\nend\n"},
		{"origins: '*'", "[origin: null] [access-control-request-method: GET]",
			"204 [access-control-allow-origin: *] " METHODS
			"[access-control-max-age: 600]\nend\n"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char client[256];

		snprintf(client, sizeof(client), "OPTIONS / %s end", rows[i].fields);
		run_row(rows[i].keys, client, "200 end", "", rows[i].answer);
	}
}

/* OPTIONS is a method like others as long as no browser asks beforehand with it. */
static void what_is_no_preflight_goes_to_the_backend(void **state)
{
	(void)state;
	run_row(NAMED, "OPTIONS / [origin: https://app.test] end", "200 end",
		"OPTIONS / [origin: https://app.test]\nend\n",
		"200 [vary: origin] [access-control-allow-origin: https://app.test]\nend\n");
	run_row(NAMED, "OPTIONS / [access-control-request-method: PUT] end", "200 end",
		"OPTIONS / [access-control-request-method: PUT]\nend\n", "200 [vary: origin]\nend\n");
	run_row(NAMED, "GET / [origin: https://app.test] [access-control-request-method: PUT] end", "200 end",
		"GET / [origin: https://app.test] [access-control-request-method: PUT]\nend\n",
		"200 [vary: origin] [access-control-allow-origin: https://app.test]\nend\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_origin_that_may_ask_is_told_so),
		cmocka_unit_test(what_the_backend_says_of_it_is_replaced),
		cmocka_unit_test(a_preflight_is_answered_and_nobody_else_is_asked),
		cmocka_unit_test(what_is_no_preflight_goes_to_the_backend),
	};

	return RUN_SUITE(tests);
}
