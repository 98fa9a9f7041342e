/* The PROXY protocol: each good header at every cut, each bad one refused as soon as it shows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include "base/obj.h"
#include "io/proxy_protocol.h"

#define V2 "\r\n\r\n\0\r\nQUIT\n"

struct good {
	struct str header;
	const char *src, *dst; /* NULL: no addresses */
};

static const struct good goods[] = {
	{STR("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"), "192.0.2.1:56324", "198.51.100.7:443"},
	{STR("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), "255.255.255.255:65535",
		"255.255.255.255:65535"},
	{STR("PROXY TCP4 1.2.3.4 5.6.7.8 0 0\r\n"), "1.2.3.4:0", "5.6.7.8:0"},
	{STR("PROXY TCP6 2001:db8::1 ::1 1 2\r\n"), "[2001:db8::1]:1", "[::1]:2"},
	{STR("PROXY TCP6 ::ffff:10.0.0.1 ::1 1 2\r\n"), "10.0.0.1:1", "[::1]:2"},
	{STR("PROXY UNKNOWN\r\n"), NULL, NULL},
	{STR("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n"), NULL, NULL},
	{STR(V2 "\x21\x11\0\x0c\x7f\0\0\1\xc0\0\2\x09\x30\x39\x01\xbb"), "127.0.0.1:12345", "192.0.2.9:443"},
	/* with TLVs */
	{STR(V2 "\x21\x11\0\x13\x7f\0\0\1\xc0\0\2\x09\x30\x39\x01\xbb\3\0\4abcd"), "127.0.0.1:12345",
		"192.0.2.9:443"},
	{STR(V2 "\x21\x21\0\x24\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\x30\x39"
		"\x01\xbb"),
		"[2001:db8::1]:12345", "[::1]:443"},
	/* LOCAL, with whatever behind it */
	{STR(V2 "\x20\0\0\0"), NULL, NULL},
	{STR(V2 "\x20\x11\0\x0c\x7f\0\0\1\xc0\0\2\x09\x30\x39\x01\xbb"), NULL, NULL},
	{STR(V2 "\x21\0\0\2xx"), NULL, NULL},
};

static void assert_addr(const struct addr *a, const char *want)
{
	char buf[ADDR_TEXT_MAX];

	assert_string_equal(addr_text(a, buf).p, want);
}

static void good_headers_are_understood_at_every_cut(void **state)
{
	struct proxy_header h;
	uint8_t buf[512];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(goods); i++) {
		size_t n = goods[i].header.n;

		memcpy(buf, goods[i].header.p, n);
		memcpy(buf + n, "GET / ", 6);
		for (size_t cut = 0; cut < n; cut++) {
			/* A copy of its own size, so that a sanitizer sees a read beyond it. */
			uint8_t *part = malloc(cut ? cut : 1);

			memcpy(part, buf, cut);
			assert_int_equal(proxy_protocol_parse(part, cut, &h), PROXY_MORE);
			free(part);
		}
		for (size_t more = 0; more <= 6; more += 6) {
			assert_int_equal(proxy_protocol_parse(buf, n + more, &h), PROXY_DONE);
			assert_int_equal(h.bytes, n);
			assert_int_equal(h.names, goods[i].src != NULL);
			if (h.names) {
				assert_addr(&h.src, goods[i].src);
				assert_addr(&h.dst, goods[i].dst);
			}
		}
	}
}

static void bad_headers_are_refused(void **state)
{
	static const struct str bads[] = {
		STR("GET / HTTP/1.1\r\n"),
		STR("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\n"),
		STR("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\rX"),
		STR("PROXY TCP4  192.0.2.1 198.51.100.7 56324 443\r\n"),
		STR("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443 \r\n"),
		STR("PROXY TCP4 192.0.2.1 198.51.100.7 56324\r\n"),
		STR("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443 1\r\n"),
		STR("PROXY TCP4 192.0.2.256 198.51.100.7 56324 443\r\n"),
		STR("PROXY TCP4 192.0.2.1 198.51.100.7 65536 443\r\n"),
		STR("PROXY TCP4 192.0.2.1 198.51.100.7 -1 443\r\n"),
		STR("PROXY TCP4 192.0.2.1 198.51.100.7 056 443\r\n"),
		STR("PROXY TCP4 ::1 ::1 1 2\r\n"),
		STR("PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n"),
		STR("PROXY TCP6 [::1] ::1 1 2\r\n"),
		STR("PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n"),
		STR("PROXY UNKNOWNX\r\n"),
		STR("PROXY \r\n"),
		STR("PROXY TCP4 1.2.3.4\0 5.6.7.8 1 2\r\n"),
		STR("proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n"),
		/* no end within 107 bytes */
		STR("PROXY UNKNOWN "
		    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		    "xxxxxxxxxxxxx"),
		/* version 1 in binary, command 2, datagram, family 4, too short for its family, longer than we read */
		STR(V2 "\x11\x11\0\x0c\x7f\0\0\1\xc0\0\2\x09\x30\x39\x01\xbb"),
		STR(V2 "\x22\x11\0\x0c\x7f\0\0\1\xc0\0\2\x09\x30\x39\x01\xbb"),
		STR(V2 "\x21\x12\0\x0c\x7f\0\0\1\xc0\0\2\x09\x30\x39\x01\xbb"),
		STR(V2 "\x21\x41\0\x0c\x7f\0\0\1\xc0\0\2\x09\x30\x39\x01\xbb"),
		STR(V2 "\x21\x11\0\x0b\x7f\0\0\1\xc0\0\2\x09\x30\x39\x01"),
		STR(V2 "\x21\x21\0\x0c\x7f\0\0\1\xc0\0\2\x09\x30\x39\x01\xbb"),
		STR(V2 "\x21\x31\0\x0c\x7f\0\0\1\xc0\0\2\x09\x30\x39\x01\xbb"),
		STR(V2 "\x21\x11\xff\xff\x7f\0\0\1\xc0\0\2\x09\x30\x39\x01\xbb"),
		STR("\r\n\r\n\0\r\nQUIT\r\x21\x11\0\x0c"),
	};
	struct proxy_header h;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bads); i++) {
		enum proxy_parse result = proxy_protocol_parse((const uint8_t *)bads[i].p, bads[i].n, &h);

		if (result != PROXY_BAD)
			print_message("not refused: %zu " STR_FMT "\n", i, STR_ARG(bads[i]));
		assert_int_equal(result, PROXY_BAD);
	}
}

static void what_is_written_is_read_back(void **state)
{
	static const char *const pairs[][2] = {
		{"1.2.3.4:1000", "5.6.7.8:80"},
		{"[2001:db8::1]:1000", "[::1]:80"},
	};
	char out[PROXY_WRITE_MAX];
	struct proxy_header h;
	struct addr src, dst;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(pairs); i++) {
		assert_true(addr_parse(&src, str_of(pairs[i][0])) && addr_parse(&dst, str_of(pairs[i][1])));
		for (int version = 1; version <= 2; version++) {
			size_t n = proxy_protocol_write(version, &src, &dst, out);

			assert_int_equal(proxy_protocol_parse((uint8_t *)out, n, &h), PROXY_DONE);
			assert_int_equal(h.bytes, n);
			assert_addr(&h.src, pairs[i][0]);
			assert_addr(&h.dst, pairs[i][1]);
		}
	}
}

static void the_longest_version_1_line_fits(void **state)
{
	char out[PROXY_WRITE_MAX];
	struct addr a;
	size_t n;

	(void)state;
	assert_true(addr_parse(&a, STR("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535")));
	n = proxy_protocol_write(1, &a, &a, out);
	assert_memory_equal(out + n - 2, "\r\n", 2);
}

static void addresses_of_two_families_are_written_as_ipv6(void **state)
{
	char out[PROXY_WRITE_MAX];
	struct addr src, dst;
	size_t n;

	(void)state;
	assert_true(addr_parse(&src, STR("1.2.3.4:1000")) && addr_parse(&dst, STR("[2001:db8::1]:80")));
	n = proxy_protocol_write(1, &src, &dst, out);
	assert_int_equal(n, strlen("PROXY TCP6 ::ffff:1.2.3.4 2001:db8::1 1000 80\r\n"));
	assert_memory_equal(out, "PROXY TCP6 ::ffff:1.2.3.4 2001:db8::1 1000 80\r\n", n);
}

static void a_unix_client_has_no_address_to_name(void **state)
{
	struct addr none = {.family = ADDR_UNIX};
	char out[PROXY_WRITE_MAX];
	struct proxy_header h;

	(void)state;
	for (int version = 1; version <= 2; version++) {
		size_t n = proxy_protocol_write(version, &none, &none, out);

		assert_int_equal(proxy_protocol_parse((uint8_t *)out, n, &h), PROXY_DONE);
		assert_false(h.names);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_headers_are_understood_at_every_cut),
		cmocka_unit_test(bad_headers_are_refused),
		cmocka_unit_test(what_is_written_is_read_back),
		cmocka_unit_test(the_longest_version_1_line_fits),
		cmocka_unit_test(addresses_of_two_families_are_written_as_ipv6),
		cmocka_unit_test(a_unix_client_has_no_address_to_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
