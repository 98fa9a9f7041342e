#include "upstream/stick.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include "base/obj.h"

/* RFC 4648 5: all of it may stand in a cookie's value (RFC 6265 4.1.1). */
static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void write_token(const uint8_t *digest, struct stick_token *token)
{
	_Static_assert(STICK_CHARS % 4 == 0, "four characters hold three bytes");
	for (int at = 0; at < STICK_CHARS; at += 4, digest += 3) {
		uint32_t bits = (uint32_t)digest[0] << 16 | (uint32_t)digest[1] << 8 | digest[2];

		for (int i = 0; i < 4; i++)
			token->text[at + i] = alphabet[bits >> (18 - 6 * i) & 63];
	}
}

void stick_tokens(const struct pool *p, const uint8_t own_key[STICK_KEY_BYTES], struct stick_token *tokens)
{
	struct str secret = p->conf->policy->stick.secret;
	const void *key = secret.n ? (const void *)secret.p : own_key;
	int key_n = secret.n ? (int)secret.n : STICK_KEY_BYTES;

	for (uint32_t i = 0; i < p->n; i++) {
		struct str identity = p->backends[i]->slot->key;
		uint8_t digest[EVP_MAX_MD_SIZE];

		MUST(HMAC(EVP_sha256(), key, key_n, (const uint8_t *)identity.p, identity.n, digest, NULL));
		write_token(digest, &tokens[i]);
	}
}

uint32_t stick_find(const struct pool *p, struct str cookie)
{
	if (cookie.n != STICK_CHARS)
		return STICK_NOBODY;
	for (uint32_t i = 0; i < p->n; i++)
		if (memcmp(p->tokens[i].text, cookie.p, STICK_CHARS) == 0)
			return i;
	return STICK_NOBODY;
}
