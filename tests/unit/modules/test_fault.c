/* modules/fault.c: all or nothing of a share, which chance has no say in; what waits goes on, fails, or is given up. */
#include "exchange/suite.h"

static void run_with(struct test_case *c, const char *keys, const char *answer, const char *asked)
{
	char route[512];

	snprintf(route, sizeof(route), ", modules: {fault: {%s}}", keys);
	c->name = keys;
	c->route = route;
	c->answer = answer;
	c->asked = asked;
	case_once(c, h1, &tls);
	case_once(c, h2, &tls);
}

/* What a case looks at is over in moments: a delay of that length is waited for (CASE_MOMENT_MS). */
static const struct {
	const char *keys, *answer;
	bool asks;
} rows[] = {
	{"delay: {share: 0%, for: 1s}, abort: {share: 0%}", "200\nend\n", true},
	{"abort: {share: 100%}", "503 fault_injected\nend\n", false},
	{"abort: {share: 100%, status: 503}", "503 fault_injected\nend\n", false},
	{"abort: {share: 100%, status: 400}", "400\nend\n", false},
	{"abort: {share: 100%, status: 599}", "599\nend\n", false},
	{"delay: {share: 100%, for: 1s}", "200\nend\n", true},
	{"delay: {share: 100%, for: 1s}, abort: {share: 100%}", "503 fault_injected\nend\n", false},
	{"delay: {share: 100%, for: 1s}, abort: {share: 100%, status: 404}", "404\nend\n", false},
};

static void what_is_drawn_happens_and_nothing_else(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct test_case c = {.client = "GET / end", .origin = "200 end"};

		run_with(&c, rows[i].keys, rows[i].answer, rows[i].asks ? "GET /\nend\n" : "");
	}
}

static void a_body_that_comes_meanwhile_arrives_whole(void **state)
{
	struct test_case c = {.client = "POST / length=20000; fill 20000; end",
		.origin = "wait end; 200 length=2; say ok; end"};

	(void)state;
	run_with(&c, "delay: {share: 100%, for: 1s}", "200 length=2\nbody ok\nend\n",
		"POST / length=20000\nbody (20000)\nend\n");
	run_with(&c, "delay: {share: 100%, for: 1s}, abort: {share: 100%}", "503 fault_injected\nend\n", "");
}

/* The stage looks whether an exchange, a connection or a block is left. */
static void a_client_that_leaves_while_it_waits_is_forgotten(void **state)
{
	struct test_case c = {.client = "POST / stream; say half; abort", .origin = "200 end"};

	(void)state;
	run_with(&c, "delay: {share: 100%, for: 10m}", "", "");
	run_with(&c, "delay: {share: 100%, for: 10m}, abort: {share: 100%}", "", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_drawn_happens_and_nothing_else),
		cmocka_unit_test(a_body_that_comes_meanwhile_arrives_whole),
		cmocka_unit_test(a_client_that_leaves_while_it_waits_is_forgotten),
	};

	return RUN_SUITE(tests);
}
