#include "conf_text.h"
#include "config/unit.h"

static uint64_t duration(const char *s)
{
	uint64_t v = 0;

	assert_true(unit_duration(str_of(s), &v));
	return v;
}

static uint64_t size(const char *s)
{
	uint64_t v = 0;

	assert_true(unit_size(str_of(s), &v));
	return v;
}

static uint64_t share(const char *s)
{
	uint64_t v = 0;

	assert_true(unit_share(str_of(s), &v));
	return v;
}

static void durations_have_a_unit_or_are_zero(void **state)
{
	static const char *const bad[] = {"", "5", "5 s", "-5s", "1.5s", "5S", "ms", "5d", "1h30m",
		"99999999999999999999s", "9999999999999999999h", "0x5s", "+5s"};
	uint64_t v;

	(void)state;
	assert_int_equal(duration("250ms"), 250);
	assert_int_equal(duration("5s"), 5000);
	assert_int_equal(duration("2m"), 120000);
	assert_int_equal(duration("1h"), 3600000);
	assert_int_equal(duration("0"), 0);
	assert_int_equal(duration("0s"), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(unit_duration(str_of(bad[i]), &v));
}

static void sizes_know_both_kinds_of_thousand(void **state)
{
	static const char *const bad[] = {
		"", "KiB", "5KB", "5kb", "5 MiB", "-1", "1.5MiB", "99999999999GiB", "5TB"};
	uint64_t v;

	(void)state;
	assert_int_equal(size("512"), 512);
	assert_int_equal(size("512B"), 512);
	assert_int_equal(size("64KiB"), 65536);
	assert_int_equal(size("64kB"), 64000);
	assert_int_equal(size("10MiB"), 10485760);
	assert_int_equal(size("10MB"), 10000000);
	assert_int_equal(size("2GiB"), 2147483648);
	assert_int_equal(size("1GB"), 1000000000);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(unit_size(str_of(bad[i]), &v));
}

static void shares_end_at_a_hundred_percent(void **state)
{
	static const char *const bad[] = {
		"", "%", "20", "101%", "100.01%", "-1%", "1.234%", "1.%", ".5%", "20 %", "0.2"};
	uint64_t v;

	(void)state;
	assert_int_equal(share("20%"), 2000);
	assert_int_equal(share("0%"), 0);
	assert_int_equal(share("100%"), 10000);
	assert_int_equal(share("0.5%"), 50);
	assert_int_equal(share("0.25%"), 25);
	assert_int_equal(share("99.99%"), 9999);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(unit_share(str_of(bad[i]), &v));
}

static void what_is_written_is_read_back(void **state)
{
	static const uint64_t values[] = {
		0, 1, 999, 1000, 1024, 1500, 60000, 65536, 3600000, 5400000, 1 << 20, 100000000};
	char buf[32];
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		struct text t = text_in(buf, sizeof(buf));

		unit_duration_text(values[i], &t);
		assert_true(unit_duration(text_str(&t), &v));
		assert_int_equal(v, values[i]);
		t = text_in(buf, sizeof(buf));
		unit_size_text(values[i], &t);
		assert_true(unit_size(text_str(&t), &v));
		assert_int_equal(v, values[i]);
	}
	for (uint64_t parts = 0; parts <= UNIT_SHARE_ONE; parts++) {
		struct text t = text_in(buf, sizeof(buf));

		unit_share_text(parts, &t);
		assert_true(unit_share(text_str(&t), &v));
		assert_int_equal(v, parts);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations_have_a_unit_or_are_zero),
		cmocka_unit_test(sizes_know_both_kinds_of_thousand),
		cmocka_unit_test(shares_end_at_a_hundred_percent),
		cmocka_unit_test(what_is_written_is_read_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
