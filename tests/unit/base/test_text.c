/* base/str.h, base/escape.h, base/addr.h, base/reason.h: text in and out. */
#include "unit.h"
#include "base/addr.h"
#include "base/escape.h"
#include "base/obj.h"
#include "base/reason.h"

static void numbers_are_digits_and_nothing_else(void **state)
{
	static const char *const bad[] = {
		"", "+1", "-1", " 1", "1 ", "0x1", "18446744073709551616", "1e3", "1_0"};
	uint64_t v;

	(void)state;
	assert_true(str_to_u64(STR("18446744073709551615"), &v));
	assert_true(v == UINT64_MAX);
	assert_true(str_to_u64(STR("9999999999999999999"), &v));
	assert_true(v == 9999999999999999999u);
	assert_true(str_to_u64(STR("010"), &v) && v == 10);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(str_to_u64(str_of(bad[i]), &v));
}

static void list_elements_are_trimmed_and_empty_ones_passed_over(void **state)
{
	struct str list = STR(" a ,,\tb b, ,c"), e;

	(void)state;
	assert_true(str_next_element(&list, &e));
	assert_str(e, "a");
	assert_true(str_next_element(&list, &e));
	assert_str(e, "b b");
	assert_true(str_next_element(&list, &e));
	assert_str(e, "c");
	assert_false(str_next_element(&list, &e));
}

static void text_that_does_not_fit_is_cut_and_says_so(void **state)
{
	char buf[4];
	struct text t = text_in(buf, sizeof(buf));

	(void)state;
	text_put(&t, STR("abc"));
	text_put(&t, STR("de"));
	assert_true(t.cut);
	assert_str(text_str(&t), "abc");
}

static void a_text_is_cut_between_characters(void **state)
{
	char buf[16];
	struct text t = text_in(buf, sizeof(buf));

	(void)state;
	assert_str(str_head_utf8(STR("a\u20acb"), 5), "a\u20acb");
	assert_str(str_head_utf8(STR("a\u20acb"), 4), "a\u20ac");
	assert_str(str_head_utf8(STR("a\u20acb"), 3), "a");
	assert_str(str_head_utf8(STR("\u20ac"), 1), "");
	assert_str(str_head_utf8(STR("abc"), 2), "ab");
	assert_true(str_head_utf8(STR_NONE, 5).n == 0);
	text_utf8(&t, STR("n\xe9\n\u20ac\u20ac"), 7);
	assert_str(text_str(&t), "n??\u20ac");
}

static struct str escaped(
	void (*f)(struct text *, struct str, size_t), const char *in, size_t n, char *buf, size_t cap)
{
	struct text t = text_in(buf, cap);

	f(&t, (struct str){in, n}, 100);
	return text_str(&t);
}

static void a_log_line_stays_one_line_whatever_is_in_it(void **state)
{
	char buf[256];

	(void)state;
	assert_str(escaped(text_json, "a\r\n\"\\\x1b\0b", 8, buf, sizeof(buf)),
		"a\\u000d\\u000a\\\"\\\\\\u001b\\u0000b");
	assert_str(escaped(text_json, "\xc3\xa9\xff\xed\xa0\x80", 6, buf, sizeof(buf)),
		"\xc3\xa9\\u00ff\\u00ed\\u00a0\\u0080");
	assert_str(escaped(text_combined, "a\"\n", 3, buf, sizeof(buf)), "a\\x22\\x0a");
	assert_str(escaped(text_logfmt, "plain", 5, buf, sizeof(buf)), "plain");
	assert_str(escaped(text_logfmt, "a b=c", 5, buf, sizeof(buf)), "\"a b=c\"");
}

static void long_values_are_cut_with_an_ellipsis(void **state)
{
	char buf[64];
	struct text t = text_in(buf, sizeof(buf));

	(void)state;
	text_json(&t, STR("abcdef"), 3);
	assert_str(text_str(&t), "abc...");
}

static void milliseconds_have_three_places(void **state)
{
	char buf[64];
	struct text t = text_in(buf, sizeof(buf));

	(void)state;
	text_ms(&t, 1234007);
	assert_str(text_str(&t), "1234.007");
}

static void addresses_are_written_as_they_are_read(void **state)
{
	static const char *const same[] = {"1.2.3.4:80", "[::1]:8443", "[2001:db8::1]:1"};
	static const char *const bad[] = {
		"1.2.3.4", "::1:80", "1.2.3:80", "localhost:80", "1.2.3.4:65536", "1.2.3.4:", "[::1]"};
	char buf[ADDR_TEXT_MAX];
	struct addr a;

	(void)state;
	for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++) {
		assert_true(addr_parse(&a, str_of(same[i])));
		assert_str(addr_text(&a, buf), same[i]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(addr_parse(&a, str_of(bad[i])));
	assert_true(addr_parse(&a, STR("[::ffff:1.2.3.4]:80")));
	assert_str(addr_text(&a, buf), "1.2.3.4:80");
}

static void a_network_has_its_addresses_and_no_others(void **state)
{
	struct cidr c;
	struct addr a;

	(void)state;
	assert_true(cidr_parse(&c, STR("10.1.16.0/20")));
	assert_true(addr_parse_ip(&a, STR("10.1.31.255")) && cidr_has(&c, &a));
	assert_true(addr_parse_ip(&a, STR("10.1.32.0")) && !cidr_has(&c, &a));
	assert_true(addr_parse_ip(&a, STR("::1")) && !cidr_has(&c, &a));
	assert_true(cidr_parse(&c, STR("2001:db8::/33")));
	assert_true(addr_parse_ip(&a, STR("2001:db8:7fff::")) && cidr_has(&c, &a));
	assert_true(addr_parse_ip(&a, STR("2001:db8:8000::")) && !cidr_has(&c, &a));
	assert_false(cidr_parse(&c, STR("10.0.0.0/33")));
	assert_true(
		cidr_parse(&c, STR("0.0.0.0/0")) && addr_parse_ip(&a, STR("9.9.9.9")) && cidr_has(&c, &a));
}

static void every_reason_is_found_by_the_name_that_users_see(void **state)
{
	char buf[REASON_NAME_MAX];

	(void)state;
	for (int r = REASON_NONE + 1; r < REASONS; r++) {
		assert_true(reason_row((enum reason)r)->name.n < REASON_NAME_MAX);
		assert_true(reason_row((enum reason)r)->text.n > 0);
		assert_int_equal(reason_from_name(reason_name((enum reason)r, buf)), r);
	}
	assert_int_equal(reason_from_name(STR("nonsense")), REASON_NONE);
}

static void sixteen_digits_are_the_number(void **state)
{
	static const uint64_t numbers[] = {0, 1, 0xf, 0xdeadbeef, 0x0123456789abcdef, UINT64_MAX};
	char digits[17] = "", want[17];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(numbers); i++) {
		text_hex_16(digits, numbers[i]);
		snprintf(want, sizeof(want), "%016llx", (unsigned long long)numbers[i]);
		assert_string_equal(digits, want);
	}
}

static void utf8_is_told_from_other_bytes(void **state)
{
	static const char *const good[] = {"", "a", "twelve bytes", "\xc3\xa4", "1234567\xc3\xa4",
		"12345678\xe2\x82\xac", "1234\xf0\x9f\x98\x80 and on", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"};
	static const char *const bad[] = {"\x80", "1234567\xc3", "12345678\xff", "\xc0\x80", "\xc3\x28",
		"\xe2\x82", "\xed\xa0\x80", "\xf4\x90\x80\x80", "a\xe0\x80\x80z", "\xf0\x8f\x80\x80"};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(good); i++)
		assert_true(str_is_utf8(str_of(good[i])));
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		assert_false(str_is_utf8(str_of(bad[i])));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_digits_and_nothing_else),
		cmocka_unit_test(list_elements_are_trimmed_and_empty_ones_passed_over),
		cmocka_unit_test(text_that_does_not_fit_is_cut_and_says_so),
		cmocka_unit_test(a_log_line_stays_one_line_whatever_is_in_it),
		cmocka_unit_test(long_values_are_cut_with_an_ellipsis),
		cmocka_unit_test(milliseconds_have_three_places),
		cmocka_unit_test(addresses_are_written_as_they_are_read),
		cmocka_unit_test(a_network_has_its_addresses_and_no_others),
		cmocka_unit_test(every_reason_is_found_by_the_name_that_users_see),
		cmocka_unit_test(a_text_is_cut_between_characters),
		cmocka_unit_test(sixteen_digits_are_the_number),
		cmocka_unit_test(utf8_is_told_from_other_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
