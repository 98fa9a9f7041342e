/* base/roff.h: nothing in a text is taken for a request or an escape of a manual page. */
#include "unit.h"
#include <stdlib.h>
#include "base/roff.h"

static void check(void (*put)(FILE *, struct str), const char *in, const char *want)
{
	char *out = NULL;
	size_t n;
	FILE *f = open_memstream(&out, &n);

	put(f, str_of(in));
	fclose(f);
	assert_string_equal(out, want);
	free(out);
}

static void requests_and_escapes_in_a_text_are_text(void **state)
{
	(void)state;
	check(roff_words, ".TH x", "\\&.TH x");
	check(roff_words, "'so file", "\\(aqso file");
	check(roff_words, "a\\fBb --no-wait ~^", "a\\efBb \\-\\-no\\-wait \\(ti\\(ha");
}

static void code_is_bold_and_words_are_italic(void **state)
{
	(void)state;
	check(roff_words, "a `key` of *all*.", "a \\fBkey\\fR of \\fIall\\fR.");
}

static void a_star_or_a_tick_alone_is_itself(void **state)
{
	(void)state;
	check(roff_words, "*.acme.test, tenants.d/*.yaml, 2 * 3, an `open",
		"*.acme.test, tenants.d/*.yaml, 2 * 3, an `open");
}

static void lines_that_begin_with_a_space_are_kept(void **state)
{
	(void)state;
	check(roff_text, "one\ntwo\n\n  weir run\n  weir stop\nthree",
		"one\ntwo\n.PP\n.nf\n  weir run\n  weir stop\n.fi\nthree\n");
	check(roff_text, "  last", ".nf\n  last\n.fi\n");
	check(roff_text, "", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_and_escapes_in_a_text_are_text),
		cmocka_unit_test(code_is_bold_and_words_are_italic),
		cmocka_unit_test(a_star_or_a_tick_alone_is_itself),
		cmocka_unit_test(lines_that_begin_with_a_space_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
