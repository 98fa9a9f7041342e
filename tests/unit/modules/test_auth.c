/* modules/auth.c, access.c, jwt.c, basic_auth.c, cors.c: who is let in, what the backend learns of him, what the others are told. */
#include "exchange/suite.h"

#define SHOWN ",x-user,access-control-allow-origin,vary,"
/* Her password is "eins", not "zwei". */
#define ANNA \
	"basic_auth: {users: ['anna:$5$weirtest$YlHhPvv17QqKoPyONW/Wq1sE94x0dG/Q/O3oVO6BxtC'], " \
	"header: X-User, realm: a}"
#define EINS "[authorization: Basic YW5uYTplaW5z]"
/* RFC 7515 A.3: iss is joe, exp is long over. */
#define JOE \
	"eyJhbGciOiJFUzI1NiJ9." \
	"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0" \
	"cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
#define BEARER "[authorization: Bearer " JOE "]"
#define JWT \
	"jwt: {claims: {iss: X-User}, keys: '{\"kty\":\"EC\",\"crv\":\"P-256\"," \
	"\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":\"x_FEzRu9m36HLN_" \
	"tue659LNpXW6pCyStikYjKIWI5a0\"}'}"

/* modules, the request's headers, what the client and the backend hear; NULL: the backend is not asked. */
static const struct {
	const char *modules, *with, *answer, *asked;
} rows[] = {
	/* access */
	{"access: {allow: [192.0.2.0/24]}", "", "200", "GET /"},
	{"access: {allow: [192.0.2.0/24], deny: [192.0.2.7]}", "", "403 access_denied", NULL},
	{"access: {allow: [198.51.100.0/24]}", "", "403 access_denied", NULL},
	/* basic_auth */
	{ANNA, "", "401 auth_required", NULL},
	/* jwt */
	{JWT, "[x-user: root]", "401 auth_required", NULL},
	{JWT, BEARER, "401 auth_required", NULL},
	{JWT, "[authorization: Bearer x]", "401 auth_required", NULL},
	{"access: {satisfy: any, allow: [192.0.2.7]}, " JWT, "[x-user: root]", "200", "GET /"},
	/* one of several is enough, or all are needed */
	{"access: {satisfy: any, allow: [192.0.2.7]}, " ANNA, "[x-user: root]", "200", "GET /"},
	{"access: {satisfy: any, allow: [198.51.100.1]}, " ANNA, EINS, "200", "GET / [x-user: anna]"},
	{"access: {satisfy: any, allow: [198.51.100.1]}, " ANNA, "", "401 auth_required", NULL},
	{"access: {allow: [198.51.100.1]}, " ANNA, EINS, "403 access_denied", NULL},
	/* cors */
	{"cors: {origins: ['https://a.test']}", "[origin: https://a.test]",
		"200 [vary: origin] [access-control-allow-origin: https://a.test]",
		"GET / [origin: https://a.test]"},
	{"cors: {origins: ['https://a.test']}", "[origin: https://b.test]", "200 [vary: origin]",
		"GET / [origin: https://b.test]"},
	/* An origin is these bytes and no others; "null" is whatever has none, and must be named. */
	{"cors: {origins: ['https://a.test']}", "[origin: https://A.test]", "200 [vary: origin]",
		"GET / [origin: https://A.test]"},
	{"cors: {origins: ['https://a.test']}", "[origin: https://a.test:8443]", "200 [vary: origin]",
		"GET / [origin: https://a.test:8443]"},
	{"cors: {origins: ['https://*.a.test']}", "[origin: null]", "200 [vary: origin]",
		"GET / [origin: null]"},
	{"cors: {origins: ['https://*.a.test']}", "[origin: https://a.test]", "200 [vary: origin]",
		"GET / [origin: https://a.test]"},
	{"cors: {origins: ['null']}", "[origin: null]",
		"200 [vary: origin] [access-control-allow-origin: null]", "GET / [origin: null]"},
	{"cors: {origins: '*'}, access: {deny: [192.0.2.7]}", "[origin: https://b.test]", "403 access_denied",
		NULL},
};

static void who_may_is_let_in_and_nobody_else(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char top[1024], client[256], answer[256], asked[256];
		struct test_case c = {.name = rows[i].modules,
			.top = top,
			.show = SHOWN,
			.client = client,
			.origin = "200 end",
			.answer = answer,
			.asked = asked};

		snprintf(top, sizeof(top), "modules: {%s}\n", rows[i].modules);
		snprintf(client, sizeof(client), "GET / %s end", rows[i].with);
		snprintf(answer, sizeof(answer), "%s\nend\n", rows[i].answer);
		snprintf(asked, sizeof(asked), rows[i].asked ? "%s\nend\n" : "", rows[i].asked);
		case_once(&c, h1, &tls);
		case_once(&c, h2, &tls);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_may_is_let_in_and_nobody_else),
	};

	return RUN_SUITE(tests);
}
