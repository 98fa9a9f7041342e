/* base/regex.c: expressions of a configuration against texts of strangers. */
#include "unit.h"
#include "base/obj.h"
#include "base/regex.h"

static struct regex *compiled(const char *pattern)
{
	char why[256];
	struct regex *re = regex_compile(str_of(pattern), why, sizeof(why));

	if (!re)
		fail_msg("%s: %s", pattern, why);
	return re;
}

static const struct {
	const char *pattern, *subject;
	bool matches;
} rows[] = {
	{"/a.*", "/abc", true},
	{"b", "/abc", false},
	{"/a", "/abc", false},
	{"", "", true},
	{"", "a", false},
	{"a|ab", "ab", true},
	{"(?i)/A", "/a", true},
	/* Bytes, not characters. */
	{"..", "\xc3\xa9", true},
	{"\\xc3\\xa9", "\xc3\xa9", true},
	{".", "\xff", true},
	{"(*UTF).", "\xff", false},
	{"(*UTF).", "\xc3\xa9", true},
};

static void the_whole_text_matches_or_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct regex *re = compiled(rows[i].pattern);

		if (regex_matches(re, str_of(rows[i].subject)) != rows[i].matches)
			fail_msg("%s and %s", rows[i].pattern, rows[i].subject);
		regex_free(re);
	}
}

static void what_is_broken_is_told_with_its_place(void **state)
{
	char why[256];

	(void)state;
	assert_null(regex_compile(STR("/a(b"), why, sizeof(why)));
	assert_string_equal(why, "broken at character 5: missing closing parenthesis");
	assert_null(regex_compile(STR("*"), why, sizeof(why)));
	assert_memory_equal(why, "broken at character 1: ", 23);
	assert_null(regex_compile(STR("\\x{100}"), why, sizeof(why)));
	regex_free(NULL);
}

static void captures_that_took_part_are_set(void **state)
{
	struct regex *re = compiled("/(a)?(b)(c)");
	struct regex_room *room = regex_room_new(3);
	struct str captures[3] = {STR("x"), STR("y"), STR("z")};

	(void)state;
	assert_false(regex_capture(re, room, STR("/ab"), captures));
	assert_true(str_eq(captures[0], STR("x")));
	assert_true(regex_capture(re, room, STR("/bc"), captures)); /* one more than there is room for */
	assert_true(str_eq(captures[0], STR("/bc")) && str_eq(captures[1], STR("y")) &&
		    str_eq(captures[2], STR("b")));
	regex_room_free(room);
	regex_free(re);
}

/* With so many letters there are some millions of ways to share them out; the other branch, which matches, is not got to. */
static void an_expression_that_explodes_gives_up_unless_told_otherwise(void **state)
{
	static const struct str few = STR("/aaa"), many = STR("/aaaaaaaaaaaaaaaaaaaaa");
	struct regex *re = compiled("/((a+)+[bc]|a*)"),
		     *patient = compiled("(*LIMIT_MATCH=10000000)/((a+)+[bc]|a*)");

	(void)state;
	assert_true(regex_matches(re, few));
	assert_false(regex_matches(re, many));
	assert_true(regex_matches(patient, many));
	regex_free(re);
	regex_free(patient);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_whole_text_matches_or_nothing),
		cmocka_unit_test(what_is_broken_is_told_with_its_place),
		cmocka_unit_test(captures_that_took_part_are_set),
		cmocka_unit_test(an_expression_that_explodes_gives_up_unless_told_otherwise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
