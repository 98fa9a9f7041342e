/* The table engine with a table of its own. */
#include "conf_text.h"

#include "base/obj.h"
#include "config/field.h"
#include "config/report.h"

struct part {
	uint8_t tiny;
	uint16_t small;
};

struct thing {
	struct str name;
	uint32_t first, copy;
	uint64_t large;
	struct str text;
	bool has_part;
	struct part part;
	uint8_t kind;
	struct cidr *networks;
	uint32_t network_n;
	struct conf_strs words;
};

static const struct config_field part_fields[] = {
	COUNT("tiny", struct part, tiny, "one byte", .dflt = 7),
	COUNT("small", struct part, small, "two bytes", .max = 1000),
	END,
};

static const struct config_object part_object = {
	.id = OBJECT_LIMITS,
	.what = "part",
	.size = sizeof(struct part),
	.fields = part_fields,
};

/* Shows when it ran: it sees what was parsed before it. */
static void parse_copy(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	struct thing *t = obj;

	(void)p;
	(void)f;
	(void)v;
	t->copy = t->first;
}

static const struct config_type type_copy = {.name = "anything", .parse = parse_copy};
static const char *const kinds[] = {"red", "green", NULL};

static const struct config_field thing_fields[] = {
	CUSTOM("copy", type_copy, struct thing, copy, "what first is", LATE),
	COUNT("first", struct thing, first, "a number", .dflt = 1, REQUIRED),
	SIZE("large", struct thing, large, "eight bytes", .dflt = 5),
	STRING("text", struct thing, text, "a text", .text = "none", NULLABLE),
	OBJECT("part", struct thing, part, part_object, "a part", .present = offsetof(struct thing, has_part),
		NULLABLE),
	ENUM("kind", struct thing, kind, kinds, "a colour", .dflt = 1),
	NETWORKS("networks", struct thing, networks, network_n, "networks"),
	STRINGS("words", struct thing, words, type_token, "words"),
	BOOL("later", struct thing, has_part, "not yet", INERT),
	END,
};

static const struct config_object thing_object = {
	.id = OBJECT_TIMEOUTS,
	.what = "thing",
	.size = sizeof(struct thing),
	.fields = thing_fields,
};

/* A parse of one text as a thing. */
struct run {
	struct conf conf;
	struct conf_report report;
	struct str file;
	struct parse parse;
	struct thing thing;
	char *said;
};

static void run_text(struct run *r, const char *text)
{
	struct object_pass pass;
	struct tree *t;
	struct node *key, *value;

	*r = (struct run){.file = STR("/f")};
	r->conf.files = r->conf.names = &r->file;
	r->conf.file_n = 1;
	r->parse = (struct parse){.conf = &r->conf, .report = &r->report};
	report_init(&r->report);
	arena_init(&r->parse.scratch, NULL);
	arena_init(&r->conf.arena, NULL);
	object_init(&r->parse, &thing_object, &r->thing);
	t = tree_open(&r->conf, &r->report, &r->parse.scratch, 0, str_of(text));
	assert_true(tree_enter(t));
	object_begin(&r->parse, &pass, &thing_object, STR_NONE, &r->thing);
	while ((key = tree_key(t)) && (value = tree_value(t)))
		if (object_key(&r->parse, &pass, key))
			object_value(&r->parse, &pass, value);
	object_end(&r->parse, &pass, NULL, (struct conf_place){0, 1, 1});
	parse_inert_report(&r->parse);
	tree_close(&t);
	r->said = conf_report_text(&r->report);
}

static void run_free(struct run *r)
{
	free(r->said);
	conf_report_free(&r->report);
	arena_free(&r->parse.scratch);
	arena_free(&r->conf.arena);
}

static void run_says(const char *text, const char *expected)
{
	struct run r;

	run_text(&r, text);
	assert_string_equal(r.said, expected);
	run_free(&r);
}

static void defaults_reach_into_nested_objects(void **state)
{
	struct run r;

	(void)state;
	run_text(&r, "first: 3\n");
	assert_string_equal(r.said, "");
	assert_int_equal(r.thing.first, 3);
	assert_int_equal(r.thing.large, 5);
	assert_string_equal(r.thing.text.p, "none");
	assert_int_equal(r.thing.part.tiny, 7);
	assert_false(r.thing.has_part);
	assert_int_equal(r.thing.kind, 1);
	run_free(&r);
}

static void late_rows_see_all_the_others(void **state)
{
	struct run r;

	(void)state;
	run_text(&r, "copy: x\nfirst: 9\n");
	assert_int_equal(r.thing.copy, 9);
	run_free(&r);
}

static void null_takes_away_what_may_be_missing(void **state)
{
	struct run r;

	(void)state;
	run_text(&r, "first: 1\ntext: null\npart: ~\n");
	assert_string_equal(r.said, "");
	assert_int_equal(r.thing.text.n, 0);
	assert_false(r.thing.has_part);
	run_free(&r);
	run_says("first: null\n", "/f:1:8: \"first\" must be a whole number, not null\n");
}

static void numbers_fit_their_members(void **state)
{
	struct run r;

	(void)state;
	run_text(&r, "first: 4294967295\nlarge: 8589934592\npart: {tiny: 255, small: 1000}\n");
	assert_string_equal(r.said, "");
	assert_true(r.thing.first == UINT32_MAX);
	assert_true(r.thing.large == 8589934592);
	assert_int_equal(r.thing.part.tiny, 255);
	assert_int_equal(r.thing.part.small, 1000);
	assert_true(r.thing.has_part);
	run_free(&r);
	run_says("first: 4294967296\n",
		"/f:1:8: \"first\" must be at least 0 and less than 2^32, not \"4294967296\"\n");
	run_says("first: 1\npart: {tiny: 256, small: 1001}\n",
		"/f:2:14: \"tiny\" must be at least 0 and less than 2^8, not \"256\"\n"
		"/f:2:26: \"small\" must be between 0 and 1000, not \"1001\"\n");
}

static void a_single_value_stands_for_a_list_of_one(void **state)
{
	struct run r;

	(void)state;
	run_text(&r, "first: 1\nwords: alone\nnetworks: 10.0.0.0/8\n");
	assert_int_equal(r.thing.words.n, 1);
	assert_string_equal(r.thing.words.v[0].p, "alone");
	assert_int_equal(r.thing.network_n, 1);
	assert_int_equal(r.thing.networks[0].bits, 8);
	run_free(&r);
}

static void what_fails_keeps_its_default_and_the_rest_goes_on(void **state)
{
	struct run r;

	(void)state;
	run_text(&r, "first: x\nlarge: 6\nkind: blue\nwords: [ok, \"not ok\", fine]\n");
	assert_int_equal(r.thing.first, 1);
	assert_int_equal(r.thing.large, 6);
	assert_int_equal(r.thing.kind, 1);
	assert_int_equal(r.thing.words.n, 2);
	assert_int_equal(r.report.errors, 3);
	run_free(&r);
}

static void required_rows_are_missed_and_inert_ones_are_told(void **state)
{
	(void)state;
	run_says("later: true\n",
		"/f:1:1: \"first\" is missing at the top level\n"
		"/f:1:1: warning: \"later\" is accepted, but not in effect in this version\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_reach_into_nested_objects),
		cmocka_unit_test(late_rows_see_all_the_others),
		cmocka_unit_test(null_takes_away_what_may_be_missing),
		cmocka_unit_test(numbers_fit_their_members),
		cmocka_unit_test(a_single_value_stands_for_a_list_of_one),
		cmocka_unit_test(what_fails_keeps_its_default_and_the_rest_goes_on),
		cmocka_unit_test(required_rows_are_missed_and_inert_ones_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
