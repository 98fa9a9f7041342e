/* The key schedule of TLS 1.3: the same as OpenSSL's own, and as RFC 8448 has it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/provider.h>
#include <stdbool.h>
#include <string.h>
#include "base/obj.h"
#include "base/str.h"
#include "io/tls_kdf.h"

#define OUT_MAX 200

struct wish {
	int mode;
	const char *hash;
	struct str key, salt, label, data; /* p NULL: not given */
	size_t n;
};

static const struct str prefix = {"tls13 ", 6};

static OSSL_PARAM bytes(const char *name, struct str s)
{
	return OSSL_PARAM_construct_octet_string(name, (void *)(uintptr_t)s.p, s.n);
}

static bool derive(const char *properties, const struct wish *w, uint8_t out[OUT_MAX])
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, OSSL_KDF_NAME_TLS1_3_KDF, properties);
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
	int mode = w->mode;
	OSSL_PARAM params[8], *p = params;
	bool ok;

	assert_non_null(ctx);
	*p++ = OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode);
	*p++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)(uintptr_t)w->hash, 0);
	if (w->key.p)
		*p++ = bytes(OSSL_KDF_PARAM_KEY, w->key);
	if (w->salt.p)
		*p++ = bytes(OSSL_KDF_PARAM_SALT, w->salt);
	*p++ = bytes(OSSL_KDF_PARAM_PREFIX, prefix);
	*p++ = bytes(OSSL_KDF_PARAM_LABEL, w->label);
	if (w->data.p)
		*p++ = bytes(OSSL_KDF_PARAM_DATA, w->data);
	*p = OSSL_PARAM_construct_end();
	ok = EVP_KDF_derive(ctx, out, w->n, params) == 1;
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return ok;
}

static void agree(const struct wish *w)
{
	uint8_t ours[OUT_MAX] = {0}, theirs[OUT_MAX] = {0};

	assert_true(derive("provider=default", w, theirs));
	assert_true(derive("provider=weir", w, ours));
	assert_memory_equal(ours, theirs, sizeof(ours));
}

static struct str filled(char *buf, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++)
		buf[i] = (char)(seed + 37 * i);
	return (struct str){buf, n};
}

static void what_libssl_fetches_is_ours(void **state)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, OSSL_KDF_NAME_TLS1_3_KDF, NULL);
	EVP_MD *md = EVP_MD_fetch(NULL, "SHA256", NULL);

	(void)state;
	assert_non_null(kdf);
	assert_string_equal(OSSL_PROVIDER_get0_name(EVP_KDF_get0_provider(kdf)), "weir");
	/* All else is where it was. */
	assert_non_null(md);
	assert_string_equal(OSSL_PROVIDER_get0_name(EVP_MD_get0_provider(md)), "default");
	EVP_KDF_free(kdf);
	EVP_MD_free(md);
}

static void labels_expand_as_openssl_expands_them(void **state)
{
	static const char *const names[] = {"SHA256", "SHA2-256", "SHA384", "SHA2-384"};
	static const size_t lengths[] = {1, 12, 16, 31, 32, 33, 48, 49, 96, 150, OUT_MAX};
	char key[48], data[64];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		for (size_t j = 0; j < COUNT_OF(lengths); j++) {
			struct wish w = {EVP_KDF_HKDF_MODE_EXPAND_ONLY, names[i],
				filled(key, i < 2 ? 32 : 48, (unsigned)j), STR_NONE, STR("c hs traffic"),
				filled(data, 5 * j, (unsigned)i), lengths[j]};

			agree(&w);
			w.data = STR_NONE;
			agree(&w);
			w.label = STR("x");
			agree(&w);
		}
	}
}

static void secrets_follow_as_openssl_has_them_follow(void **state)
{
	static const char *const names[] = {"SHA2-256", "SHA2-384"};
	static const size_t lengths[] = {32, 48, 56, 66}; /* of what the two sides have agreed on */
	char key[66], salt[48];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		for (size_t j = 0; j < COUNT_OF(lengths); j++) {
			size_t size = i ? 48 : 32;
			struct wish w = {EVP_KDF_HKDF_MODE_EXTRACT_ONLY, names[i],
				filled(key, lengths[j], (unsigned)j), filled(salt, size, 7), STR("derived"),
				STR_NONE, size};

			agree(&w);
			w.salt = STR_NONE;
			agree(&w);
			w.key = STR_NONE;
			agree(&w);
			w.salt = filled(salt, size, 9);
			agree(&w);
		}
	}
}

/* RFC 8448 3: the early secret without a key, and the handshake secret that follows. */
static void the_handshake_of_rfc_8448_comes_out(void **state)
{
	static const uint8_t early[] = {0x33, 0xad, 0x0a, 0x1c, 0x60, 0x7e, 0xc0, 0x3b, 0x09, 0xe6, 0xcd,
		0x98, 0x93, 0x68, 0x0c, 0xe2, 0x10, 0xad, 0xf3, 0x00, 0xaa, 0x1f, 0x26, 0x60, 0xe1, 0xb2,
		0x2e, 0x10, 0xf1, 0x70, 0xf9, 0x2a};
	static const uint8_t shared[] = {0x8b, 0xd4, 0x05, 0x4f, 0xb5, 0x5b, 0x9d, 0x63, 0xfd, 0xfb, 0xac,
		0xf9, 0xf0, 0x4b, 0x9f, 0x0d, 0x35, 0xe6, 0xd6, 0x3f, 0x53, 0x75, 0x63, 0xef, 0xd4, 0x62,
		0x72, 0x90, 0x0f, 0x89, 0x49, 0x2d};
	static const uint8_t handshake[] = {0x1d, 0xc8, 0x26, 0xe9, 0x36, 0x06, 0xaa, 0x6f, 0xdc, 0x0a, 0xad,
		0xc1, 0x2f, 0x74, 0x1b, 0x01, 0x04, 0x6a, 0xa6, 0xb9, 0x9f, 0x69, 0x1e, 0xd2, 0x21, 0xa9,
		0xf0, 0xca, 0x04, 0x3f, 0xbe, 0xac};
	struct wish w = {
		EVP_KDF_HKDF_MODE_EXTRACT_ONLY, "SHA256", STR_NONE, STR_NONE, STR("derived"), STR_NONE, 32};
	uint8_t out[OUT_MAX];

	(void)state;
	assert_true(derive(NULL, &w, out));
	assert_memory_equal(out, early, sizeof(early));
	w.salt = (struct str){(const char *)early, sizeof(early)};
	w.key = (struct str){(const char *)shared, sizeof(shared)};
	assert_true(derive(NULL, &w, out));
	assert_memory_equal(out, handshake, sizeof(handshake));
}

static void what_cannot_be_meant_is_refused(void **state)
{
	char key[64], label[256];
	const struct wish good = {EVP_KDF_HKDF_MODE_EXPAND_ONLY, "SHA256", filled(key, 32, 1), STR_NONE,
		STR("key"), STR_NONE, 16};
	struct wish w = good;
	uint8_t out[OUT_MAX];

	(void)state;
	assert_true(derive("provider=weir", &w, out));
	w.hash = "SHA512";
	assert_false(derive("provider=weir", &w, out));
	w = good;
	w.key.n = 31; /* of a secret, all */
	assert_false(derive("provider=weir", &w, out));
	w = good;
	w.key = STR_NONE;
	assert_false(derive("provider=weir", &w, out));
	w = good;
	w.label = filled(label, 250, 1); /* with the prefix more than a byte can count */
	assert_false(derive("provider=weir", &w, out));
	w = good;
	w.mode = EVP_KDF_HKDF_MODE_EXTRACT_AND_EXPAND;
	assert_false(derive("provider=weir", &w, out));
	w = good;
	w.mode = EVP_KDF_HKDF_MODE_EXTRACT_ONLY;
	w.n = 31;
	assert_false(derive("provider=weir", &w, out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_libssl_fetches_is_ours),
		cmocka_unit_test(labels_expand_as_openssl_expands_them),
		cmocka_unit_test(secrets_follow_as_openssl_has_them_follow),
		cmocka_unit_test(the_handshake_of_rfc_8448_comes_out),
		cmocka_unit_test(what_cannot_be_meant_is_refused),
	};

	if (!tls_kdf_install())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
