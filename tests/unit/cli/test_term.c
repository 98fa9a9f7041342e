/* cli/term.h: text as wide as there is room. */
#include "unit.h"
#include <stdlib.h>
#include "cli/term.h"

static void check(const char *in, unsigned indent, unsigned width, const char *want)
{
	char *out = NULL;
	size_t n;
	FILE *f = open_memstream(&out, &n);

	term_wrap(f, in, indent, width);
	fclose(f);
	assert_string_equal(out, want);
	free(out);
}

static void lines_are_broken_between_words(void **state)
{
	(void)state;
	check("one two three", 0, 7, "one two\nthree");
	check("one two three", 2, 7, "one\n  two\n  three");
}

static void lines_of_the_source_are_joined(void **state)
{
	(void)state;
	check("one\ntwo\n\nthree", 0, 80, "one two\n\nthree");
}

static void lines_that_begin_with_a_space_keep_their_shape(void **state)
{
	(void)state;
	check("one:\n  a    b\n  c\ntwo", 0, 10, "one:\n  a    b\n  c\ntwo");
}

static void a_word_that_is_too_long_stands_alone(void **state)
{
	(void)state;
	check("a extraordinarily b", 0, 5, "a\nextraordinarily\nb");
}

static void columns_are_counted_not_bytes(void **state)
{
	(void)state;
	check("\xc3\xa4\xc3\xb6 \xc3\xbc\xc3\x9f", 0, 5, "\xc3\xa4\xc3\xb6 \xc3\xbc\xc3\x9f");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_broken_between_words),
		cmocka_unit_test(lines_of_the_source_are_joined),
		cmocka_unit_test(lines_that_begin_with_a_space_keep_their_shape),
		cmocka_unit_test(a_word_that_is_too_long_stands_alone),
		cmocka_unit_test(columns_are_counted_not_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
