/* OpenSSL's memory from free lists. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <openssl/crypto.h>
#include <string.h>
#include "io/tls_memory.h"

static bool installed;

static void a_large_block_is_found_again(void **state)
{
	void *first = OPENSSL_malloc(16700), *again;

	(void)state;
	OPENSSL_free(first);
	again = OPENSSL_malloc(16800); /* of the same class */
	if (installed)
		assert_ptr_equal(again, first);
	OPENSSL_free(again);
}

static void a_small_block_is_found_again_by_who_fits_into_it(void **state)
{
	void *first = OPENSSL_malloc(600), *smaller, *again, *tiny;

	(void)state;
	OPENSSL_free(first);
	smaller = OPENSSL_malloc(500);
	again = OPENSSL_malloc(595);
	if (installed) {
		assert_ptr_not_equal(smaller, first);
		assert_ptr_equal(again, first);
	}
	OPENSSL_free(again);
	OPENSSL_free(smaller);
	tiny = OPENSSL_malloc(1);
	OPENSSL_free(tiny);
	again = OPENSSL_malloc(20);
	if (installed)
		assert_ptr_equal(again, tiny);
	OPENSSL_free(again);
}

static void no_size_is_given_less_than_it_asked_for(void **state)
{
	(void)state;
	for (int round = 0; round < 2; round++) {
		for (size_t n = 1; n < 22000; n += n < 1200 ? 1 : 13) {
			char *p = OPENSSL_malloc(n);

			assert_non_null(p);
			memset(p, 'x', n);
			p = OPENSSL_realloc(p, n + 700);
			assert_non_null(p);
			assert_int_equal(p[n - 1], 'x');
			memset(p, 'y', n + 700);
			OPENSSL_free(p);
		}
	}
}

static void blocks_given_and_trimmed_leave_nothing(void **state)
{
	void *p[40];

	(void)state;
	for (int i = 0; i < 40; i++)
		p[i] = OPENSSL_malloc(8000);
	for (int i = 0; i < 40; i++)
		OPENSSL_free(p[i]);
	tls_memory_trim();
	p[0] = OPENSSL_malloc(8000);
	assert_non_null(p[0]);
	OPENSSL_free(p[0]);
	OPENSSL_free(NULL);
	tls_memory_trim();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_large_block_is_found_again),
		cmocka_unit_test(a_small_block_is_found_again_by_who_fits_into_it),
		cmocka_unit_test(no_size_is_given_less_than_it_asked_for),
		cmocka_unit_test(blocks_given_and_trimmed_leave_nothing),
	};

	installed = tls_memory_install();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
