/* The SHA256_...() functions of old, on purpose: OpenSSL 3's EVP_MAC allocates twice for each message and takes twice as long (1.0 instead of
 * 0.5 us). */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "route/cookie.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include "base/obj.h"

/* RFC 2104 2: a key longer than a block is hashed first. */
static void key_init(struct cookie_key *key, struct str secret)
{
	uint8_t block[SHA256_CBLOCK] = {0}, pad[SHA256_CBLOCK];

	if (secret.n > sizeof(block))
		SHA256((const uint8_t *)secret.p, secret.n, block);
	else if (secret.n)
		memcpy(block, secret.p, secret.n);
	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] = block[i] ^ 0x36;
	SHA256_Init(&key->inner);
	SHA256_Update(&key->inner, pad, sizeof(pad));
	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] = block[i] ^ 0x5c;
	SHA256_Init(&key->outer);
	SHA256_Update(&key->outer, pad, sizeof(pad));
	OPENSSL_cleanse(block, sizeof(block));
	OPENSSL_cleanse(pad, sizeof(pad));
}

struct cookie_keys *cookie_keys_new(const struct str *secrets, uint32_t n)
{
	struct cookie_keys *k = calloc(1, sizeof(*k));

	MUST(k && n >= 1 && n <= COOKIE_KEYS_MAX);
	atomic_init(&k->refs, 1);
	for (; k->n < n; k->n++)
		key_init(&k->v[k->n], secrets[k->n]);
	return k;
}

struct cookie_keys *cookie_keys_ref(struct cookie_keys *k)
{
	atomic_fetch_add_explicit(&k->refs, 1, memory_order_relaxed);
	return k;
}

void cookie_keys_unref(struct cookie_keys *k)
{
	if (!k || atomic_fetch_sub_explicit(&k->refs, 1, memory_order_acq_rel) > 1)
		return;
	OPENSSL_cleanse(k->v, sizeof(k->v));
	free(k);
}

static void sign(
	const struct cookie_key *key, struct str purpose, struct str value, char signature[COOKIE_SIGNATURE])
{
	static const char digits[] = "0123456789abcdef";
	uint8_t digest[SHA256_DIGEST_LENGTH];
	SHA256_CTX c = key->inner;

	/* Where the one ends and the other begins is part of the message: no purpose holds a NUL. */
	SHA256_Update(&c, purpose.p, purpose.n);
	SHA256_Update(&c, "", 1);
	SHA256_Update(&c, value.p, value.n);
	SHA256_Final(digest, &c);
	c = key->outer;
	SHA256_Update(&c, digest, sizeof(digest));
	SHA256_Final(digest, &c);
	for (int i = 0; i < COOKIE_SIGNATURE / 2; i++) {
		signature[2 * i] = digits[digest[i] >> 4];
		signature[2 * i + 1] = digits[digest[i] & 15];
	}
}

void cookie_sign(
	const struct cookie_keys *k, struct str purpose, struct str value, char signature[COOKIE_SIGNATURE])
{
	sign(&k->v[0], purpose, value, signature);
}

uint32_t cookie_verify(const struct cookie_keys *k, struct str purpose, struct str cookie, struct str *value)
{
	struct str claimed = str_skip(cookie, cookie.n - MIN(cookie.n, (size_t)COOKIE_SIGNATURE));
	char signature[COOKIE_SIGNATURE];

	*value = STR_NONE;
	if (cookie.n < COOKIE_SIGNATURE + 2 || claimed.p[-1] != '.')
		return COOKIE_UNKNOWN;
	*value = str_head(cookie, cookie.n - COOKIE_SIGNATURE - 1);
	for (uint32_t i = 0; i < k->n; i++) {
		sign(&k->v[i], purpose, *value, signature);
		if (CRYPTO_memcmp(signature, claimed.p, sizeof(signature)) == 0)
			return i;
	}
	*value = STR_NONE;
	return COOKIE_UNKNOWN;
}

struct str cookie_value(const struct head *head, struct str name)
{
	for (uint32_t i = 0; i < head->fields.n; i++) {
		struct str rest = field_value(&head->fields.v[i]);

		if (head->fields.v[i].id != FIELD_COOKIE)
			continue;
		while (rest.n) {
			struct str pair = str_trim(str_head(rest, str_find(rest, ';')));
			size_t equals = str_find(pair, '=');

			rest = str_skip(rest, str_find(rest, ';') + 1);
			if (str_eq(str_head(pair, equals), name))
				return str_skip(pair, equals + 1);
		}
	}
	return STR_NONE;
}
