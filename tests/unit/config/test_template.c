/* config/template.c: texts with variables in them, and what is said of those that are none. Without modules. */
#include "unit.h"

#include "base/obj.h"
#include "config/template.h"

static struct arena arena;
static const char *why;

static struct template parsed(const char *text, unsigned when)
{
	struct template t;

	if (!template_parse(&arena, str_of(text), when, &t, &why))
		fail_msg("%s: %s", text, why);
	return t;
}

static void expect_piece(
	const struct template *t, uint32_t i, enum variable v, const char *name, const char *text)
{
	assert_true(i < t->n);
	assert_int_equal(t->v[i].variable, v);
	assert_true(str_eq(t->v[i].name, str_of(name)));
	assert_true(str_eq(t->v[i].text, str_of(text)));
}

static void a_text_without_variables_is_itself(void **state)
{
	static const char *const texts[] = {
		"", "plain", "$", "$$", "a $ b", "100$ (net)", "${HOME}", "{\"a\": 1}"};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		struct template t = parsed(texts[i], TEMPLATE_REQUEST);

		assert_int_equal(t.n, 0);
		assert_true(str_eq(t.literal, str_of(texts[i])));
	}
}

static void variables_and_what_stands_between_them_become_pieces(void **state)
{
	struct template t =
		parsed("a$(request.id)b$(header.X-Foo:-none)$$($(1)", TEMPLATE_REQUEST | TEMPLATE_CAPTURES);

	(void)state;
	assert_int_equal(t.n, 6);
	expect_piece(&t, 0, VARIABLE_TEXT, NULL, "a");
	expect_piece(&t, 1, VARIABLE_REQUEST_ID, NULL, NULL);
	expect_piece(&t, 2, VARIABLE_TEXT, NULL, "b");
	expect_piece(&t, 3, VARIABLE_HEADER, "X-Foo", "none");
	expect_piece(&t, 4, VARIABLE_TEXT, NULL, "$(");
	expect_piece(&t, 5, VARIABLE_CAPTURE, NULL, NULL);
	assert_int_equal(t.v[5].capture, 1);
	assert_true(template_has_captures(&t));
}

static void every_variable_of_the_table_is_found_by_its_name(void **state)
{
	(void)state;
	for (unsigned i = 0; i < VARIABLES; i++) {
		char text[64];
		struct template t;

		if (!variable_rows[i].name)
			continue;
		snprintf(text, sizeof(text), "$(%s%s)", variable_rows[i].name,
			strchr(variable_rows[i].name, '.') &&
					variable_rows[i].name[strlen(variable_rows[i].name) - 1] == '.'
				? "x"
				: "");
		t = parsed(text, TEMPLATE_REQUEST | TEMPLATE_ANSWER);
		assert_int_equal(t.n, 1);
		assert_int_equal(t.v[0].variable, i);
	}
}

static void what_is_no_template_is_refused_and_says_why(void **state)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
		{"$(", "\"$(\" begins a variable"},
		{"$(request.id", "\"$(\" begins a variable"},
		{"$()", "there is no variable $()"},
		{"$(request.it)", "did you mean $(request.id)?"},
		{"$(headers.x)", "did you mean $(header.x)?"},
		{"$(header.)", "there is no variable $(header.)"},
		{"$(zebra)", "write $$( for the characters themselves"},
		{"$(geo.country)", "there is no variable $(geo.country)"},
		{"$(status)", "only once there is an answer"},
		{"$(response.etag)", "only once there is an answer"},
		{"$(1)", "what a regular expression captures"},
		{"$(10)", "there is no variable $(10)"},
	};
	struct template t;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		assert_false(template_parse(&arena, str_of(bad[i].text), TEMPLATE_REQUEST, &t, &why));
		if (!strstr(why, bad[i].why))
			fail_msg("%s: %s", bad[i].text, why);
	}
}

static void a_text_has_no_more_pieces_than_a_request_has_room_for(void **state)
{
	char text[TEMPLATE_PIECES_MAX * 10 + 20] = "";
	struct template t;

	(void)state;
	for (int i = 0; i < TEMPLATE_PIECES_MAX; i++)
		strcat(text, "$(tenant)");
	assert_int_equal(parsed(text, TEMPLATE_REQUEST).n, TEMPLATE_PIECES_MAX);
	strcat(text, "!");
	assert_false(template_parse(&arena, str_of(text), TEMPLATE_REQUEST, &t, &why));
	assert_non_null(strstr(why, "more than"));
}

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_text_without_variables_is_itself, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			variables_and_what_stands_between_them_become_pieces, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			every_variable_of_the_table_is_found_by_its_name, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_is_no_template_is_refused_and_says_why, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_text_has_no_more_pieces_than_a_request_has_room_for, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
