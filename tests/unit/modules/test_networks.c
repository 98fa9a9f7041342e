/* modules/networks.c, pattern.c, base64.c: what the modules that say who may come are made of. */
#include "unit.h"
#include "../../../modules/base64.h"
#include "../../../modules/networks.h"
#include "../../../modules/pattern.h"

static void put(struct networks *all, const char *net, uint8_t mark)
{
	struct cidr c;

	assert_true(cidr_parse(&c, str_of(net)));
	networks_add(all, &c, mark);
}

static uint8_t mark_of(const struct networks *all, const char *address)
{
	struct addr a;

	assert_true(addr_parse_ip(&a, str_of(address)));
	return networks_find(all, &a);
}

static void the_narrowest_network_that_has_an_address_counts(void **state)
{
	struct networks all = {0};

	(void)state;
	assert_int_equal(mark_of(&all, "10.0.0.1"), 0);
	put(&all, "10.1.2.3", 1);
	put(&all, "10.0.0.0/8", 1);
	put(&all, "10.1.0.0/16", 2);
	put(&all, "2001:db8::/32", 2);
	put(&all, "2001:db8:1::/48", 1);
	assert_int_equal(mark_of(&all, "10.200.0.1"), 1);
	assert_int_equal(mark_of(&all, "10.1.2.4"), 2);
	assert_int_equal(mark_of(&all, "10.1.2.3"), 1);
	assert_int_equal(mark_of(&all, "11.0.0.1"), 0);
	assert_int_equal(mark_of(&all, "2001:db8:2::1"), 2);
	assert_int_equal(mark_of(&all, "2001:db8:1::1"), 1);
	assert_int_equal(mark_of(&all, "::1"), 0);
	networks_free(&all);
}

static void of_the_same_network_the_larger_mark_stays(void **state)
{
	struct networks all = {0};

	(void)state;
	put(&all, "0.0.0.0/0", 2);
	put(&all, "0.0.0.0/0", 1);
	assert_int_equal(mark_of(&all, "192.0.2.1"), 2);
	assert_int_equal(mark_of(&all, "::ffff:192.0.2.1"), 2);
	assert_int_equal(mark_of(&all, "2001:db8::1"), 0);
	networks_free(&all);
}

static void an_address_that_is_none_is_in_no_network(void **state)
{
	struct networks all = {0};
	struct addr of_unix = {.family = ADDR_UNIX};

	(void)state;
	put(&all, "0.0.0.0/0", 1);
	assert_int_equal(networks_find(&all, &of_unix), 0);
	networks_free(&all);
}

static bool fits(const char *pattern, const char *s)
{
	return pattern_has(str_of(pattern), str_of(s));
}

static void a_star_stands_for_any_bytes(void **state)
{
	(void)state;
	assert_true(fits("", ""));
	assert_true(fits("*", ""));
	assert_true(fits("abc", "abc"));
	assert_true(fits("a*c", "ac"));
	assert_true(fits("a*c*", "abcbc"));
	assert_true(fits("*.acme.test", "a.acme.test"));
	assert_true(fits("*a*b*c", "xxaxxbxbxc"));
	assert_false(fits("", "a"));
	assert_false(fits("abc", "ab"));
	assert_false(fits("abc", "abcd"));
	assert_false(fits("*.acme.test", "a.acme.test.evil"));
	assert_false(fits("*.acme.test", "acme.test"));
	assert_false(fits("*a*b", "ba"));
	assert_false(fits("a", "A"));
}

static size_t decoded(const char *text, char *bytes)
{
	return base64url_decode(str_of(text), (uint8_t *)bytes, 8);
}

static void only_the_canonical_form_is_decoded(void **state)
{
	char bytes[8];

	(void)state;
	assert_int_equal(decoded("YQ", bytes), 1);
	assert_memory_equal(bytes, "a", 1);
	assert_int_equal(decoded("-_-_", bytes), 3);
	assert_memory_equal(bytes, "\xfb\xff\xbf", 3);
	assert_int_equal(decoded("YR", bytes), 0); /* the same byte, and bits behind it */
	assert_int_equal(decoded("YQ==", bytes), 0);
	assert_int_equal(decoded("+/+/", bytes), 0);
	assert_int_equal(decoded("YWJjZ", bytes), 0);
	assert_int_equal(decoded("YWJjZGVmZ2hp", bytes), 0); /* nine bytes */
	assert_int_equal(decoded("", bytes), 0);
}

static size_t decoded_padded(const char *text, char *bytes)
{
	return base64_decode(str_of(text), (uint8_t *)bytes, 8);
}

static void padding_stands_where_it_must_and_nowhere_else(void **state)
{
	static const char *const wrong[] = {"", "=", "==", "====", "YQ", "YQ=", "YQ===", "YR==", "YWI",
		"YWJ=", "Y===", "YQ==YQ==", "YQ=a", "=YWI", "YWI==", "-_-_", "YQ==\n", "YWJjZGVmZ2hp"};
	char bytes[8];

	(void)state;
	assert_int_equal(decoded_padded("YQ==", bytes), 1);
	assert_int_equal(decoded_padded("YWI=", bytes), 2);
	assert_int_equal(decoded_padded("+/+/", bytes), 3);
	assert_memory_equal(bytes, "\xfb\xff\xbf", 3);
	for (size_t i = 0; i < COUNT_OF(wrong); i++)
		if (decoded_padded(wrong[i], bytes))
			fail_msg("\"%s\" was decoded", wrong[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_narrowest_network_that_has_an_address_counts),
		cmocka_unit_test(of_the_same_network_the_larger_mark_stays),
		cmocka_unit_test(an_address_that_is_none_is_in_no_network),
		cmocka_unit_test(a_star_stands_for_any_bytes),
		cmocka_unit_test(only_the_canonical_form_is_decoded),
		cmocka_unit_test(padding_stands_where_it_must_and_nowhere_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
