/* modules/jwk.h - public keys that tokens are signed with: from PEM, or from a JSON Web Key Set (RFC 7517).
 *
 * The kind of the key decides which algorithms it is good for, never the token alone: no symmetric key and no `none` can be had. */
#ifndef WEIR_MODULES_JWK_H
#define WEIR_MODULES_JWK_H

#include <openssl/evp.h>
#include "exchange/module.h"

enum jws_alg {
	JWS_NONE,
	JWS_RS256,
	JWS_RS384,
	JWS_RS512,
	JWS_PS256,
	JWS_ES256,
	JWS_ES384,
	JWS_EDDSA,
	JWS_ALGS
};

struct jwk {
	EVP_PKEY *key;
	char *kid; /* NULL: it has none */
	uint8_t alg; /* enum jws_alg: the only one; JWS_NONE: whatever its kind is good for */
};

#define JWKS_MAX   64 /* keys in a set */
#define JWKS_TRIED 256 /* of a text's keys, the useless ones among them: to make one takes time */

/* Zeroed: an empty set. */
struct jwks {
	struct jwk v[JWKS_MAX];
	uint32_t n;
	uint32_t left_out; /* further keys, that there was no place for */
};

#define JWKS_LEFT_OUT_MAX 160

/* JWS_NONE: it is none that is known here. */
enum jws_alg jws_alg_of(struct str name);
/* What fits a key's kind, and what it says of itself. */
bool jwk_fits(const struct jwk *k, enum jws_alg alg);
/* Adds what the text has: one or more PUBLIC KEY in PEM, or a JSON object of one key or of many. Keys of other kinds, for encryption, or
 * that prove nothing (RSA below 2048 bits, or with an exponent that anybody could sign for) are passed over. False with err: it is neither,
 * or there is no key in it that is of use. */
bool jwks_parse(struct jwks *all, struct str text, char *err, size_t err_n);
/* How many were left out, and what to do, in words; empty: none. */
const char *jwks_left_out(const struct jwks *all, char buf[JWKS_LEFT_OUT_MAX]);
void jwks_free(struct jwks *all);

#endif
