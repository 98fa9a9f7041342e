/* tokens.h - keys, and tokens that they sign: what an issuer does. */
#ifndef WEIR_TESTS_MODULES_TOKENS_H
#define WEIR_TESTS_MODULES_TOKENS_H

#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include "exchange/suite.h"

#define TOKEN_MAX 32768 /* characters of one that is made here */

enum kind { P256, ED25519, RSA2048, OTHER, KINDS };

static EVP_PKEY *keys[KINDS];
__attribute__((unused)) static char pems[KINDS][1024]; /* with "\n" written out, as in YAML between quotes */

static inline void take_key(enum kind kind, EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_mem());
	size_t n = 0;
	char c;

	assert_non_null(key);
	keys[kind] = key;
	assert_int_equal(PEM_write_bio_PUBKEY(bio, key), 1);
	while (BIO_read(bio, &c, 1) == 1) {
		assert_true(n < sizeof(pems[kind]) - 3);
		if (c == '\n')
			n += (size_t)sprintf(pems[kind] + n, "\\n");
		else
			pems[kind][n++] = c;
	}
	BIO_free(bio);
}

/* As it stands in tokens and key sets. */
static inline size_t base64url(char *to, const void *bytes, size_t n)
{
	size_t length = (size_t)EVP_EncodeBlock((uint8_t *)to, bytes, (int)n);

	while (length && to[length - 1] == '=')
		to[--length] = '\0';
	for (size_t i = 0; i < length; i++)
		to[i] = to[i] == '+' ? '-' : to[i] == '/' ? '_' : to[i];
	return length;
}

static inline size_t sign(EVP_PKEY *key, const char *alg, const char *text, uint8_t sig[512])
{
	const EVP_MD *md = EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ? NULL
			   : strstr(alg, "384")                          ? EVP_sha384()
			   : strstr(alg, "512")                          ? EVP_sha512()
									 : EVP_sha256();
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *how;
	uint8_t der[512];
	const uint8_t *at = der;
	size_t n = sizeof(der);
	ECDSA_SIG *pair;

	assert_int_equal(EVP_DigestSignInit(ctx, &how, md, NULL, key), 1);
	if (strcmp(alg, "PS256") == 0 && EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA) {
		EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING);
		EVP_PKEY_CTX_set_rsa_pss_saltlen(how, RSA_PSS_SALTLEN_DIGEST);
	}
	assert_int_equal(EVP_DigestSign(ctx, der, &n, (const uint8_t *)text, strlen(text)), 1);
	EVP_MD_CTX_free(ctx);
	if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC) {
		memcpy(sig, der, n);
		return n;
	}
	pair = d2i_ECDSA_SIG(NULL, &at, (long)n);
	BN_bn2binpad(ECDSA_SIG_get0_r(pair), sig, 32);
	BN_bn2binpad(ECDSA_SIG_get0_s(pair), sig + 32, 32);
	ECDSA_SIG_free(pair);
	return 64;
}

/* In one of a few buffers that take turns. head: its members. */
static inline char *token_with(enum kind kind, const char *alg, const char *head, const char *payload)
{
	static char buffers[4][TOKEN_MAX];
	static unsigned turn;
	char *t = buffers[turn++ % COUNT_OF(buffers)], whole[512];
	uint8_t sig[512];
	size_t n, sig_n;

	snprintf(whole, sizeof(whole), "{%s}", head);
	n = base64url(t, whole, strlen(whole));
	t[n++] = '.';
	assert_true(n + strlen(payload) * 4 / 3 < TOKEN_MAX - 1024);
	n += base64url(t + n, payload, strlen(payload));
	sig_n = sign(keys[kind], alg, t, sig);
	t[n++] = '.';
	base64url(t + n, sig, sig_n);
	return t;
}

static int set_up_tokens(void **state)
{
	take_key(P256, make_key("EC"));
	take_key(OTHER, make_key("EC"));
	take_key(ED25519, make_key("ED25519"));
	take_key(RSA2048, make_key("RSA"));
	return set_up_suite(state);
}

static int tear_down_tokens(void **state)
{
	for (unsigned i = 0; i < KINDS; i++)
		EVP_PKEY_free(keys[i]);
	return tear_down_suite(state);
}

#define RUN_TOKENS(tests) cmocka_run_group_tests(tests, set_up_tokens, tear_down_tokens)

#endif
