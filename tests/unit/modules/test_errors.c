/* modules/errors.c: whose words a failure is told in. */
#include "exchange/suite.h"

#define SHOWN ",x-weir-reason,content-type,etag,x-app,vary,"

static char path[3][300];

static void write_pages(void)
{
	static const struct {
		const char *suffix, *text;
	} pages[] = {{"html", "<p>$(status) $(reason) $(header.x-a)"}, {"json", "{\"a\":\"$(header.x-a)\"}"},
		{"txt", "$(phrase)"}};

	for (size_t i = 0; i < COUNT_OF(pages); i++) {
		FILE *f;

		snprintf(path[i], sizeof(path[i]), "%s/page.%s", tls.dir, pages[i].suffix);
		f = fopen(path[i], "w");
		assert_non_null(f);
		fputs(pages[i].text, f);
		fclose(f);
	}
}

static void run_with(struct test_case *c, const char *keys)
{
	char top[1600];

	snprintf(top, sizeof(top), "modules: {errors: {%s}}\n", keys);
	c->top = top;
	c->show = SHOWN;
	case_once(c, h1, &tls);
	case_once(c, h2, &tls);
	case_once(c, (struct pairing){.client_h2 = true}, &tls);
	case_once(c, (struct pairing){.origin_h2 = true}, &tls);
}

static const char *keys(const char *format, int a, int b, int c)
{
	static char buf[1400];

	snprintf(buf, sizeof(buf), format, path[a], path[b], path[c]);
	return buf;
}

static void a_reason_goes_before_a_status_and_that_before_a_range(void **state)
{
	struct test_case c = {.name = "narrow",
		.path = "/api",
		.client = "GET / [x-a: <b>] end",
		.origin = "200 end",
		.asked = ""};

	(void)state;
	write_pages();
	c.answer = "404 length=9 [x-weir-reason: no_route] [cache-control: no-store] [content-type: "
		   "text/plain; charset=utf-8]\nbody Not Found\nend\n";
	run_with(&c, keys("pages: {4xx: '%s', 404: '%s', no_tenant: '%s'}", 0, 2, 0));
	c.answer = "404 length=25 [x-weir-reason: no_route] [cache-control: no-store] [content-type: "
		   "text/html; charset=utf-8]\n"
		   "body <p>404 no_route &lt;b&gt;\nend\n";
	run_with(&c, keys("pages: {4xx: '%s', 404: '%s', no_route: '%s'}", 2, 2, 0));
}

static void the_client_chooses_among_the_forms(void **state)
{
	struct test_case c = {.name = "forms", .path = "/api", .origin = "200 end", .asked = ""};
	static const struct {
		const char *accept, *answer;
	} asked[] = {
		{"application/json, text/html;q=0.5",
			"application/json] [vary: accept]\nbody {\"a\":\"\"}\nend\n"},
		{"text/*;q=0.3, text/plain",
			"text/plain; charset=utf-8] [vary: accept]\nbody Not Found\nend\n"},
		{"*/*", "text/html; charset=utf-8] [vary: accept]\nbody <p>404 no_route \nend\n"},
		{"image/png", "text/html; charset=utf-8] [vary: accept]\nbody <p>404 no_route \nend\n"},
	};

	(void)state;
	write_pages();
	for (size_t i = 0; i < COUNT_OF(asked); i++) {
		static const int lengths[] = {8, 9, 16, 16};
		char client[128], answer[512];

		snprintf(client, sizeof(client), "GET / [accept: %s] end", asked[i].accept);
		snprintf(answer, sizeof(answer),
			"404 length=%d [x-weir-reason: no_route] [cache-control: no-store] [content-type: %s",
			lengths[i], asked[i].answer);
		c.client = client;
		c.answer = answer;
		run_with(&c, keys("pages: {4xx: ['%s', '%s', '%s']}", 0, 1, 2));
	}
}

static void a_backends_errors_are_left_alone_unless_they_are_named(void **state)
{
	struct test_case c = {.name = "backends",
		.client = "GET / end",
		.origin = "500 length=4 [etag: x] [x-app: 1] [content-type: x/y]; say oops; end",
		.asked = "GET /\nend\n"};

	(void)state;
	write_pages();
	c.answer = "500 length=4 [etag: x] [x-app: 1] [content-type: x/y]\nbody oops\nend\n";
	run_with(&c, keys("pages: {4xx: '%s', 5xx: '%s'}", 2, 2, 2));
	run_with(&c, keys("pages: {4xx: '%s', 5xx: '%s'}, intercept: [4xx, 502]", 2, 2, 2));
	c.answer = "500 length=21 [x-app: 1] [content-type: text/plain; charset=utf-8]\n"
		   "body Internal Server Error\nend\n";
	run_with(&c, keys("pages: {4xx: '%s', 5xx: '%s'}, intercept: [500, 502]", 2, 2, 2));
}

static void a_page_takes_the_place_of_any_body_and_of_none(void **state)
{
	static const char *const origins[] = {
		"503 end", "503 length=0 end", "503 stream; say one; say two; end"};

	(void)state;
	write_pages();
	for (size_t i = 0; i < COUNT_OF(origins); i++) {
		struct test_case c = {.name = origins[i],
			.client = "GET / end",
			.origin = origins[i],
			.asked = "GET /\nend\n",
			.answer = "503 length=19 [content-type: text/plain; charset=utf-8]\n"
				  "body Service Unavailable\nend\n"};

		run_with(&c, keys("pages: {5xx: '%s'}, intercept: [5xx]", 2, 2, 2));
	}
}

static void the_backends_trailers_go_with_its_body(void **state)
{
	struct test_case c = {.name = "trailers",
		.client = "GET / end",
		.origin = "503 stream [trailer: x-sum]; say one; trailers [x-sum: 1]",
		.asked = "GET /\nend\n",
		.answer = "503 length=19 [content-type: text/plain; charset=utf-8]\n"
			  "body Service Unavailable\nend\n"};

	(void)state;
	write_pages();
	run_with(&c, keys("pages: {5xx: '%s'}, intercept: [5xx]", 2, 2, 2));
	c.answer = "503\nbody one\ntrailers [x-sum: 1]\nend\n";
	run_with(&c, keys("pages: {5xx: '%s'}, intercept: [500]", 2, 2, 2));
}

static void head_and_grpc_get_what_the_backend_says(void **state)
{
	struct test_case c = {.name = "HEAD",
		.client = "HEAD / end",
		.origin = "500 length=4 [content-type: x/y] end",
		.asked = "HEAD /\nend\n",
		.answer = "500 length=4 [content-type: x/y]\nend\n"};

	(void)state;
	write_pages();
	run_with(&c, keys("pages: {5xx: '%s'}, intercept: [5xx]", 2, 2, 2));
	c = (struct test_case){.name = "gRPC",
		.client = "POST / [content-type: application/grpc] end",
		.origin = "500 length=2; say no; end",
		.asked = "POST / [content-type: application/grpc]\nend\n",
		.answer = "500 length=2\nbody no\nend\n"};
	run_with(&c, keys("pages: {5xx: '%s'}, intercept: [5xx]", 2, 2, 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reason_goes_before_a_status_and_that_before_a_range),
		cmocka_unit_test(the_client_chooses_among_the_forms),
		cmocka_unit_test(a_backends_errors_are_left_alone_unless_they_are_named),
		cmocka_unit_test(a_page_takes_the_place_of_any_body_and_of_none),
		cmocka_unit_test(the_backends_trailers_go_with_its_body),
		cmocka_unit_test(head_and_grpc_get_what_the_backend_says),
	};

	return RUN_SUITE(tests);
}
