#include "io/tickets.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/obj.h"

#define IV_BYTES 16

struct ticket_keys *ticket_keys_rotate(const struct ticket_keys *previous)
{
	struct ticket_keys *k = calloc(1, sizeof(*k));

	MUST(k);
	atomic_init(&k->refs, 1);
	k->n = 1;
	if (RAND_bytes(k->v[0].name, sizeof(k->v[0].name)) != 1 ||
		RAND_priv_bytes(k->v[0].aes, sizeof(k->v[0].aes)) != 1 ||
		RAND_priv_bytes(k->v[0].mac, sizeof(k->v[0].mac)) != 1) {
		ticket_keys_unref(k);
		return NULL;
	}
	for (uint32_t i = 0; previous && i < previous->n && k->n < TICKET_KEYS; i++)
		k->v[k->n++] = previous->v[i];
	return k;
}

struct ticket_keys *ticket_keys_ref(struct ticket_keys *k)
{
	atomic_fetch_add_explicit(&k->refs, 1, memory_order_relaxed);
	return k;
}

void ticket_keys_unref(struct ticket_keys *k)
{
	if (!k || atomic_fetch_sub_explicit(&k->refs, 1, memory_order_acq_rel) > 1)
		return;
	OPENSSL_cleanse(k->v, sizeof(k->v));
	free(k);
}

struct str ticket_keys_text(const struct ticket_keys *k, char buf[TICKET_TEXT_MAX])
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *bytes = (const uint8_t *)k->v;
	size_t n = k->n * sizeof(k->v[0]);

	for (size_t i = 0; i < n; i++) {
		buf[2 * i] = digits[bytes[i] >> 4];
		buf[2 * i + 1] = digits[bytes[i] & 15];
	}
	buf[2 * n] = '\0';
	return (struct str){buf, 2 * n};
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct ticket_keys *ticket_keys_parse(struct str text)
{
	const size_t each = sizeof(struct ticket_key) * 2;
	struct ticket_keys *k;
	uint8_t *bytes;

	if (text.n == 0 || text.n % each != 0 || text.n / each > TICKET_KEYS)
		return NULL;
	k = calloc(1, sizeof(*k));
	MUST(k);
	atomic_init(&k->refs, 1);
	k->n = (uint32_t)(text.n / each);
	bytes = (uint8_t *)k->v;
	for (size_t i = 0; i < text.n / 2; i++) {
		int high = digit_value(text.p[2 * i]), low = digit_value(text.p[2 * i + 1]);

		if (high < 0 || low < 0) {
			ticket_keys_unref(k);
			return NULL;
		}
		bytes[i] = (uint8_t)(high << 4 | low);
	}
	return k;
}

static bool set_mac(EVP_MAC_CTX *mac, const struct ticket_key *key)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(
			OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)key->mac, sizeof(key->mac)),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)(uintptr_t) "SHA256", 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_MAC_CTX_set_params(mac, params) == 1;
}

int ticket_seal(
	const struct ticket_keys *k, uint8_t name[16], uint8_t *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
	const struct ticket_key *key = &k->v[0];

	memcpy(name, key->name, sizeof(key->name));
	if (RAND_bytes(iv, IV_BYTES) != 1 ||
		EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->aes, iv) != 1 || !set_mac(mac, key))
		return -1;
	return 1;
}

int ticket_open(const struct ticket_keys *k, const uint8_t name[16], const uint8_t *iv,
	EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
	for (uint32_t i = 0; i < k->n; i++) {
		const struct ticket_key *key = &k->v[i];

		if (memcmp(name, key->name, sizeof(key->name)) != 0)
			continue;
		if (!set_mac(mac, key) ||
			EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->aes, iv) != 1)
			return -1;
		return i == 0 ? 1 : 2;
	}
	return 0;
}
