/* http/chars.h: what looks at many bytes at a time says the same as what looks at each. */
#include "unit.h"
#include <stdlib.h>
#include "base/obj.h"
#include "http/chars.h"

#define LONGEST 40 /* two steps of sixteen and one of eight are within */

/* Calls check for each length, place and byte, in memory that ends where the text does: a sanitizer sees who reads on. */
static void at_every_place(void (*check)(char *p, size_t n))
{
	for (size_t n = 1; n <= LONGEST; n++) {
		char *p = malloc(n);

		assert_non_null(p);
		for (size_t at = 0; at < n; at++) {
			memset(p, 'a', n);
			for (int c = 0; c < 256; c++) {
				p[at] = (char)c;
				check(p, n);
			}
		}
		free(p);
	}
}

static void check_value(char *p, size_t n)
{
	assert_ptr_equal(chars_skip_value(p, p + n), chars_skip(p, p + n, CHAR_VALUE));
	assert_int_equal(chars_is_value((struct str){p, n}), chars_all((struct str){p, n}, CHAR_VALUE));
}

static void check_colon(char *p, size_t n)
{
	char *colon = memchr(p, ':', n);

	assert_ptr_equal(chars_find_colon(p, p + n), colon ? colon : p + n);
}

static void check_target(char *p, size_t n)
{
	assert_int_equal(chars_is_target((struct str){p, n}), chars_all((struct str){p, n}, CHAR_TARGET));
}

static void a_value_ends_where_its_first_odd_byte_is(void **state)
{
	(void)state;
	at_every_place(check_value);
}

static void the_first_colon_is_found(void **state)
{
	char two[] = "aaaaaaaaaaaaaaaaaaa:a:aaaaaaaaaaaaaaaa:";

	(void)state;
	at_every_place(check_colon);
	assert_ptr_equal(chars_find_colon(two, two + sizeof(two) - 1), strchr(two, ':'));
}

static void a_target_has_no_odd_byte_anywhere(void **state)
{
	(void)state;
	at_every_place(check_target);
	assert_false(chars_is_target(STR("")));
}

/* Behind the first byte that stops it nothing counts, and tabs do not stop a value. */
static void tabs_are_passed_over(void **state)
{
	char tabs[] = "\t\taaaaaaaaaaaaa\taaaaaaaaaaaaaaaaaaa\t\ta\x01\ta";

	(void)state;
	assert_ptr_equal(chars_skip_value(tabs, tabs + sizeof(tabs) - 1), strchr(tabs, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_value_ends_where_its_first_odd_byte_is),
		cmocka_unit_test(the_first_colon_is_found),
		cmocka_unit_test(a_target_has_no_odd_byte_anywhere),
		cmocka_unit_test(tabs_are_passed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
