#include "conf_text.h"
#include "config/env.h"

static struct arena arena;

static int setup(void **state)
{
	(void)state;
	setenv("WEIR_T_NAME", "value", 1);
	setenv("WEIR_T_EMPTY", "", 1);
	setenv("WEIR_T_NESTED", "${WEIR_T_NAME}", 1);
	unsetenv("WEIR_T_UNSET");
	arena_init(&arena, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_free(&arena);
	return 0;
}

static void becomes(const char *in, const char *out)
{
	const char *problem;
	struct str s = env_expand(&arena, str_of(in), &problem);

	assert_null(problem);
	assert_string_equal(s.p, out);
	assert_int_equal(s.n, strlen(out));
}

static void fails(const char *in, const char *expected)
{
	const char *problem;

	env_expand(&arena, str_of(in), &problem);
	assert_non_null(problem);
	assert_string_equal(problem, expected);
}

static void a_name_becomes_its_value(void **state)
{
	(void)state;
	becomes("${WEIR_T_NAME}", "value");
	becomes("a ${WEIR_T_NAME} b ${WEIR_T_NAME}", "a value b value");
	becomes("${WEIR_T_EMPTY}", "");
}

static void a_default_stands_for_unset_and_empty(void **state)
{
	(void)state;
	becomes("${WEIR_T_UNSET:-8080}", "8080");
	becomes("${WEIR_T_EMPTY:-8080}", "8080");
	becomes("${WEIR_T_NAME:-8080}", "value");
	becomes("${WEIR_T_UNSET:-}", "");
}

static void values_and_defaults_are_not_expanded_again(void **state)
{
	(void)state;
	becomes("${WEIR_T_NESTED}", "${WEIR_T_NAME}");
	becomes("${WEIR_T_UNSET:-$x}", "$x");
}

static void doubled_dollars_keep_the_braces(void **state)
{
	(void)state;
	becomes("$${WEIR_T_NAME}", "${WEIR_T_NAME}");
	becomes("^/a$", "^/a$");
	becomes("$$", "$$");
	becomes("$WEIR_T_NAME", "$WEIR_T_NAME");
}

static void unset_without_default_is_an_error(void **state)
{
	(void)state;
	fails("x ${WEIR_T_UNSET} y",
		"the environment has no WEIR_T_UNSET; ${WEIR_T_UNSET:-...} would give a default");
}

static void malformed_references_are_errors(void **state)
{
	static const char *const bad[] = {
		"${", "${}", "${A", "${1A}", "${A-B}", "${A:B}", "${ A}", "${A:=x}"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		fails(bad[i], "\"${\" begins a reference to the environment, ${NAME} or ${NAME:-default}; "
			      "write $${ for the "
			      "characters themselves");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_becomes_its_value),
		cmocka_unit_test(a_default_stands_for_unset_and_empty),
		cmocka_unit_test(values_and_defaults_are_not_expanded_again),
		cmocka_unit_test(doubled_dollars_keep_the_braces),
		cmocka_unit_test(unset_without_default_is_an_error),
		cmocka_unit_test(malformed_references_are_errors),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
