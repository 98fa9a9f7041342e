#include "verified.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include "jws.h"

_Static_assert(VERIFIED_DIGEST == SHA256_DIGEST_LENGTH, "a digest is SHA-256");

void verified_init(struct verified *v)
{
	*v = (struct verified){.seen = NULL};
	MUST(RAND_bytes(v->key, sizeof(v->key)) == 1);
}

void verified_free(struct verified *v)
{
	free(v->seen);
	OPENSSL_cleanse(v, sizeof(*v));
}

/* Nobody gets to see a digest, so a key in front does: there is nothing to be made longer. */
void verified_digest(const struct verified *v, struct str token, uint8_t digest[VERIFIED_DIGEST])
{
	uint8_t all[sizeof(v->key) + JWS_MAX];

	MUST(token.n <= JWS_MAX);
	memcpy(all, v->key, sizeof(v->key));
	memcpy(all + sizeof(v->key), token.p, token.n);
	SHA256(all, sizeof(v->key) + token.n, digest);
}

static uint8_t *place_of(const struct verified *v, const uint8_t digest[VERIFIED_DIGEST])
{
	return v->seen[(digest[0] | digest[1] << 8) & (VERIFIED_MAX - 1)];
}

bool verified_has(const struct verified *v, const uint8_t digest[VERIFIED_DIGEST])
{
	return v->seen && CRYPTO_memcmp(place_of(v, digest), digest, VERIFIED_DIGEST) == 0;
}

void verified_add(struct verified *v, const uint8_t digest[VERIFIED_DIGEST])
{
	if (!v->seen) {
		v->seen = calloc(VERIFIED_MAX, sizeof(*v->seen));
		MUST(v->seen);
	}
	memcpy(place_of(v, digest), digest, VERIFIED_DIGEST);
}

void verified_forget(struct verified *v)
{
	free(v->seen);
	v->seen = NULL;
}
