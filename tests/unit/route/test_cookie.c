/* route/cookie.h: what is signed, and what is believed. */
#include "unit.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include "base/obj.h"
#include "route/cookie.h"

static void signature_of(
	struct str secret, const char *purpose, const char *value, char signature[COOKIE_SIGNATURE])
{
	struct cookie_keys *k = cookie_keys_new(&secret, 1);

	cookie_sign(k, str_of(purpose), str_of(value), signature);
	cookie_keys_unref(k);
}

/* As OpenSSL computes it. */
static void expect_signature(const char *secret, const char *purpose, const char *value)
{
	char message[256], expected[2 * EVP_MAX_MD_SIZE + 1], got[COOKIE_SIGNATURE];
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	int length = snprintf(message, sizeof(message), "%s%c%s", purpose, 0, value);

	assert_non_null(HMAC(EVP_sha256(), secret, (int)strlen(secret), (unsigned char *)message,
		(size_t)length, digest, &n));
	assert_int_equal(n, 32);
	for (unsigned i = 0; i < n; i++)
		snprintf(expected + 2 * i, 3, "%02x", digest[i]);
	signature_of(str_of(secret), purpose, value, got);
	assert_memory_equal(got, expected, COOKIE_SIGNATURE);
}

static void a_signature_is_half_an_hmac(void **state)
{
	char long_value[200], long_key[200];

	(void)state;
	memset(long_value, 'v', sizeof(long_value) - 1);
	memset(long_key, 'k', sizeof(long_key) - 1);
	long_value[sizeof(long_value) - 1] = long_key[sizeof(long_key) - 1] = '\0';
	expect_signature("a secret of weir's", "weir_id", "0123456789abcdef0123456789abcdef");
	expect_signature("k", "", "");
	expect_signature(long_key, "acme/shop", "green.1790000000");
	expect_signature("a secret of weir's", "acme/shop", long_value);
}

static void a_purpose_and_a_value_cannot_be_read_otherwise(void **state)
{
	char one[COOKIE_SIGNATURE], two[COOKIE_SIGNATURE];

	(void)state;
	signature_of(STR("secret"), "acme/shop", "green", one);
	signature_of(STR("secret"), "acme/shopg", "reen", two);
	assert_memory_not_equal(one, two, sizeof(one));
}

static void only_what_was_signed_is_believed(void **state)
{
	const struct str secrets[] = {STR("first"), STR("second"), STR("third")};
	struct cookie_keys *all = cookie_keys_new(secrets, 3), *third = cookie_keys_new(&secrets[2], 1);
	char signature[COOKIE_SIGNATURE], text[64];
	struct str value;

	(void)state;
	cookie_sign(third, STR("id"), STR("a.b"), signature);
	snprintf(text, sizeof(text), "a.b.%.*s", COOKIE_SIGNATURE, signature);
	assert_int_equal(cookie_verify(all, STR("id"), str_of(text), &value), 2);
	assert_true(str_eq(value, STR("a.b")));
	assert_int_equal(cookie_verify(third, STR("id"), str_of(text), &value), 0);
	assert_int_equal(cookie_verify(all, STR("pin"), str_of(text), &value), COOKIE_UNKNOWN);
	assert_int_equal(value.n, 0);
	for (size_t i = 0; i < strlen(text); i++) {
		text[i] ^= 1;
		assert_int_equal(cookie_verify(all, STR("id"), str_of(text), &value), COOKIE_UNKNOWN);
		text[i] ^= 1;
	}
	for (size_t n = 0; n < strlen(text); n++)
		assert_int_equal(
			cookie_verify(all, STR("id"), (struct str){text, n}, &value), COOKIE_UNKNOWN);
	cookie_keys_unref(all);
	cookie_keys_unref(third);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_signature_is_half_an_hmac),
		cmocka_unit_test(a_purpose_and_a_value_cannot_be_read_otherwise),
		cmocka_unit_test(only_what_was_signed_is_believed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
