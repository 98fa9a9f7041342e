/* modules/maintenance.c: who is turned away, with what, and who passes. Clients come from 192.0.2.7. */
#include "exchange/suite.h"

#define CLOSED_TO_ALL "503 maintenance\nend\n"
#define PASSES        "200\nend\n"

static void run_with(struct test_case *c, const char *keys, const char *answer, const char *asked)
{
	char top[512];

	snprintf(top, sizeof(top), "modules: {maintenance: {%s}}\n", keys);
	c->name = keys;
	c->top = top;
	c->answer = answer;
	c->asked = asked;
	c->show = c->show ? c->show : ",retry-after,content-type,";
	c->origin = "200 end";
	case_once(c, h1, &tls);
	case_once(c, h2, &tls);
}

static void all_are_turned_away_but_those_who_may_pass(void **state)
{
	static const struct {
		const char *keys;
		bool passes;
	} rows[] = {
		{"", false},
		{"allow: []", false},
		{"allow: [192.0.2.7]", true},
		{"allow: [192.0.2.0/24]", true},
		{"allow: [0.0.0.0/0]", true},
		{"allow: [192.0.2.8, 192.0.2.6, 10.0.0.0/8]", false},
		{"allow: ['::/0']", false}, /* the other family */
		{"allow: ['2001:db8::/32', 192.0.2.4/30]", true},
		{"allow: ['::ffff:192.0.2.7']", true},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct test_case c = {.client = "GET / end"};

		run_with(&c, rows[i].keys, rows[i].passes ? PASSES : CLOSED_TO_ALL,
			rows[i].passes ? "GET /\nend\n" : "");
	}
}

static void the_time_is_told_in_whole_seconds_and_never_as_none(void **state)
{
	static const char *const rows[][2] = {
		{"", "300"},
		{"retry_after: 90s", "90"},
		{"retry_after: 1999ms", "1"},
		{"retry_after: 0s", "1"},
		{"retry_after: 48h", "172800"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char top[256], told[64];
		/* weir's own answers are heard as a whole once their reason is asked for. */
		struct test_case c = {.name = rows[i][0],
			.top = top,
			.show = ",x-weir-reason,retry-after,",
			.client = "GET / end",
			.origin = "200 end"};
		struct stage *st;

		snprintf(top, sizeof(top), "modules: {maintenance: {%s}}\n", rows[i][0]);
		snprintf(told, sizeof(told), "[retry-after: %s]", rows[i][1]);
		st = stage_new(&c, h1);
		stage_hear(st, told);
		stage_clear(st);
		stage_free(&st);
	}
}

static void a_body_of_its_own_goes_with_its_type_and_without_it_for_head(void **state)
{
	static const char show[] = ",x-weir-reason,retry-after,content-type,";
	struct test_case get = {.client = "GET / end", .show = show},
			 head = {.client = "HEAD / end", .show = show};

	(void)state;
	run_with(&get, "retry_after: 9s, body: '<p>noon'",
		"503 length=7 [content-type: text/html; charset=utf-8] [retry-after: 9] [cache-control: "
		"no-store] [x-weir-reason: maintenance]\nbody <p>noon\nend\n",
		"");
	run_with(&get, "retry_after: 9s, body: noon, content_type: text/plain",
		"503 length=4 [content-type: text/plain] [retry-after: 9] [cache-control: no-store] "
		"[x-weir-reason: maintenance]\nbody "
		"noon\nend\n",
		"");
	run_with(&head, "retry_after: 9s, body: noon, content_type: text/plain",
		"503 length=4 [content-type: text/plain] [retry-after: 9] [cache-control: no-store] "
		"[x-weir-reason: maintenance]\nend\n",
		"");
}

static void a_request_with_a_body_is_turned_away_all_the_same(void **state)
{
	struct test_case length = {.client = "POST / length=5; say hello; end"},
			 stream = {.client = "POST / stream; fill 20000; end"};

	(void)state;
	run_with(&length, "", CLOSED_TO_ALL, "");
	run_with(&stream, "", CLOSED_TO_ALL, "");
	run_with(&stream, "allow: [192.0.2.7]", PASSES, "POST /\nbody (20000)\nend\n");
}

static void a_route_can_be_left_open(void **state)
{
	struct test_case c = {.route = ", modules: {maintenance: off}", .client = "GET / end"};

	(void)state;
	run_with(&c, "", PASSES, "GET /\nend\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_are_turned_away_but_those_who_may_pass),
		cmocka_unit_test(the_time_is_told_in_whole_seconds_and_never_as_none),
		cmocka_unit_test(a_body_of_its_own_goes_with_its_type_and_without_it_for_head),
		cmocka_unit_test(a_request_with_a_body_is_turned_away_all_the_same),
		cmocka_unit_test(a_route_can_be_left_open),
	};

	return RUN_SUITE(tests);
}
