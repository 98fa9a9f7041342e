/* modules/ratelimit.c, ratelimit_key.c: whom a rule takes for the same, and what a request costs that several rules look at. */
#include "exchange/suite.h"
#include "config/conf_text.h"

#define PASSED  "200\nend\n"
#define REFUSED "429 rate_limited\nend\n"
#define KEY_50  "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
#define KEY_600 \
	KEY_50 KEY_50 KEY_50 KEY_50 KEY_50 KEY_50 KEY_50 KEY_50 KEY_50 KEY_50 KEY_50 \
		KEY_50 /* more than is kept */

/* Two requests, of which a bucket of one token lets the second pass only if it is another's. */
static const struct {
	const char *by, *first, *second;
	bool same;
} rows[] = {
	{"", "/a", "/b [x-key: 1]", true},
	{"address", "/a", "/b [x-key: 1]", true},
	{"tenant", "/a", "/b", true},
	{"route", "/a", "/b", true}, /* both are the route's that is written "/" */
	{"'header:X-Key'", "/ [x-key: 1]", "/ [X-KEY: 1]", true},
	{"'header:X-Key'", "/ [x-key: 1]", "/ [x-key: 2]", false},
	{"'header:X-Key'", "/ [x-key: 1]", "/ [x-key: 11]", false},
	{"'header:X-Key'", "/ [x-key: 1]", "/", false},
	{"'header:X-Key'", "/", "/ [x-other: 1]", true},
	{"country", "/ [x-geo-country: DE]", "/ [x-geo-country: FR]", false},
	{"country", "/ [x-geo-country: DE]", "/ [x-geo-country: DE]", true},
	/* Parts are told apart, whichever of them a text stands in. */
	{"'header:A', 'header:B'", "/ [a: 1] [b: 2]", "/ [a: 12]", false},
	{"'header:A', 'header:B'", "/ [a: 1]", "/ [b: 1]", false},
	{"'header:A', 'header:B'", "/ [a: 1] [b: 2]", "/ [b: 2] [a: 1]", true},
	{"address, 'header:A'", "/ [a: 1]", "/ [a: 2]", false},
	/* Of long ones the last byte counts, too, and what stands behind them. */
	{"'header:A'", "/ [a: " KEY_600 "]", "/ [a: " KEY_600 "]", true},
	{"'header:A'", "/ [a: " KEY_600 "]", "/ [a: " KEY_600 "k]", false},
	{"'header:A'", "/ [a: " KEY_600 "x]", "/ [a: " KEY_600 "y]", false},
	{"'header:A', 'header:B'", "/ [a: " KEY_600 "] [b: 1]", "/ [a: " KEY_600 "] [b: 2]", false},
	{"'header:A', 'header:B'", "/ [a: " KEY_600 "]", "/ [b: " KEY_600 "]", false},
};

static void run_rules(const char *rules, const char *client, const char *asked, const char *answer)
{
	char top[512];
	struct test_case c = {.name = rules,
		.top = top,
		.client = client,
		.origin = "200 end",
		.answer = answer,
		.asked = asked};

	snprintf(top, sizeof(top), "modules: {ratelimit: {headers: false, rules: {%s}}}\n", rules);
	case_once(&c, h1, &tls);
}

static void a_rule_knows_whom_it_counts_for(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char rules[256], client[2048];
		struct test_case c = {
			.name = rows[i].by, .client = client, .origin = "200 end", .top = rules};
		struct stage *st;

		snprintf(rules, sizeof(rules),
			"modules: {ratelimit: {headers: false, rules: {one: {rate: 1, per: 1h, by: "
			"[%s]}}}}\n",
			rows[i].by);
		snprintf(client, sizeof(client), "GET %s end; wait end; GET %s end", rows[i].first,
			rows[i].second);
		st = stage_new(&c, h1);
		stage_hear(st, rows[i].same ? PASSED REFUSED : PASSED PASSED);
		stage_clear(st);
		stage_free(&st);
	}
}

static void a_request_that_one_rule_refuses_costs_the_others_nothing(void **state)
{
	(void)state;
	run_rules("few: {rate: 1, per: 1h, by: ['header:A']}, all: {rate: 2, per: 1h, by: []}",
		"GET / [a: 1] end; wait end; GET / [a: 1] end; wait end; GET / [a: 2] end; wait end; GET / "
		"[a: 3] end",
		"GET / [a: 1]\nend\nGET / [a: 2]\nend\n", PASSED REFUSED PASSED REFUSED);
}

static void a_rule_that_is_tried_out_refuses_nobody(void **state)
{
	(void)state;
	run_rules("few: {rate: 1, per: 1h, dry_run: true}", "GET / end; wait end; GET / end",
		"GET /\nend\nGET /\nend\n", PASSED PASSED);
}

static void a_bucket_that_fills_in_a_century_is_one_and_a_larger_one_is_none(void **state)
{
	static const struct {
		const char *rule;
		bool good;
	} configs[] = {
		{"{rate: 1, per: 24h, burst: 36500}", true},
		{"{rate: 1, per: 24h, burst: 36501}", false},
		{"{rate: 1, per: 24h, burst: 1000000000}",
			false}, /* in nanoseconds it is more than a number holds */
		{"{rate: 1000, per: 24h, burst: 36500000}", true},
		{"{rate: 1000000000, burst: 1000000000}", true},
		{"{rate: 1000000000, per: 24h}", true},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(configs); i++) {
		char text[512];
		struct loaded l;

		snprintf(text, sizeof(text), LISTEN "modules: {ratelimit: {rules: {few: %s}}}\ntenants: {}\n",
			configs[i].rule);
		l = load_text(text);
		if ((l.report.errors == 0) != configs[i].good)
			fail_msg("%s: %s", configs[i].rule, l.said);
		if (!configs[i].good)
			assert_non_null(strstr(l.said, "more than a hundred years"));
		loaded_free(&l);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rule_knows_whom_it_counts_for),
		cmocka_unit_test(a_request_that_one_rule_refuses_costs_the_others_nothing),
		cmocka_unit_test(a_rule_that_is_tried_out_refuses_nobody),
		cmocka_unit_test(a_bucket_that_fills_in_a_century_is_one_and_a_larger_one_is_none),
	};

	return RUN_SUITE(tests);
}
