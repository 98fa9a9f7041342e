#include "jws.h"

#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include "base64.h"

#define SIGNATURE_MAX 1024
#define DER_MAX       160 /* of an ECDSA signature over P-384 */

struct parts {
	struct str head, payload, signature, signed_text;
};

struct str jws_error_text(enum jws_error e)
{
	static const struct str texts[] = {
		[JWS_GOOD] = STR("good"),
		[JWS_MALFORMED] = STR("malformed"),
		[JWS_ALGORITHM] = STR("algorithm"),
		[JWS_UNKNOWN_KEY] = STR("unknown_key"),
		[JWS_SIGNATURE] = STR("signature"),
	};

	return texts[e];
}

static bool take_apart(struct str token, struct parts *p)
{
	size_t first = str_find(token, '.'), second = first + 1 + str_find(str_skip(token, first + 1), '.');

	if (token.n > JWS_MAX || second >= token.n)
		return false;
	p->head = str_head(token, first);
	p->payload = str_head(str_skip(token, first + 1), second - first - 1);
	p->signature = str_skip(token, second + 1);
	p->signed_text = str_head(token, second);
	return p->head.n && p->payload.n;
}

static json_t *object_of(struct str part)
{
	uint8_t bytes[JWS_MAX];
	size_t n = base64url_decode(part, bytes, sizeof(bytes));
	json_t *o = n ? json_loadb((const char *)bytes, n, JSON_REJECT_DUPLICATES, NULL) : NULL;

	if (json_is_object(o))
		return o;
	json_decref(o);
	return NULL;
}

static const EVP_MD *digest_of(enum jws_alg alg)
{
	switch (alg) {
	case JWS_RS384:
	case JWS_ES384:
		return EVP_sha384();
	case JWS_RS512:
		return EVP_sha512();
	case JWS_EDDSA:
		return NULL;
	default:
		return EVP_sha256();
	}
}

/* JWS has r and s side by side (RFC 7518 3.4), OpenSSL wants them as ASN.1. 0: the length is wrong. */
static size_t der_of(enum jws_alg alg, const uint8_t *raw, size_t n, uint8_t der[DER_MAX])
{
	int field = alg == JWS_ES256 ? 32 : 48, length;
	ECDSA_SIG *sig;
	BIGNUM *r, *s;

	if (n != (size_t)field * 2)
		return 0;
	sig = ECDSA_SIG_new();
	r = BN_bin2bn(raw, field, NULL);
	s = BN_bin2bn(raw + field, field, NULL);
	MUST(sig && ECDSA_SIG_set0(sig, r, s) == 1);
	length = i2d_ECDSA_SIG(sig, NULL);
	if (length > 0 && length <= DER_MAX)
		i2d_ECDSA_SIG(sig, &der);
	else
		length = 0;
	ECDSA_SIG_free(sig);
	return (size_t)length;
}

static bool signed_by(
	const struct jwk *k, enum jws_alg alg, const struct parts *p, const uint8_t *sig, size_t n)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *how = NULL;
	uint8_t der[DER_MAX];
	bool good;

	MUST(ctx);
	if (alg == JWS_ES256 || alg == JWS_ES384) {
		n = der_of(alg, sig, n, der);
		sig = der;
	}
	good = n && EVP_DigestVerifyInit(ctx, &how, digest_of(alg), NULL, k->key) == 1;
	if (good && alg == JWS_PS256)
		good = EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING) == 1 &&
		       EVP_PKEY_CTX_set_rsa_pss_saltlen(how, RSA_PSS_SALTLEN_DIGEST) == 1;
	good = good &&
	       EVP_DigestVerify(ctx, sig, n, (const uint8_t *)p->signed_text.p, p->signed_text.n) == 1;
	EVP_MD_CTX_free(ctx);
	return good;
}

/* A key of that name; all that fit, if the token or the key names none. */
static enum jws_error try_keys(const struct jwks *set, const struct parts *p, enum jws_alg alg,
	const char *kid, const uint8_t *sig, size_t n)
{
	enum jws_error e = JWS_UNKNOWN_KEY;

	for (uint32_t i = 0; i < set->n; i++) {
		const struct jwk *k = &set->v[i];

		if (!jwk_fits(k, alg) || (kid && k->kid && strcmp(kid, k->kid) != 0))
			continue;
		if (signed_by(k, alg, p, sig, n))
			return JWS_GOOD;
		e = JWS_SIGNATURE;
	}
	return e;
}

enum jws_error jws_claims(struct str token, json_t **claims)
{
	struct parts p;

	*claims = take_apart(token, &p) ? object_of(p.payload) : NULL;
	return *claims ? JWS_GOOD : JWS_MALFORMED;
}

enum jws_error jws_verify(struct str token, const struct jwks *const *sets, uint32_t set_n, json_t **claims)
{
	enum jws_error e = JWS_UNKNOWN_KEY;
	uint8_t sig[SIGNATURE_MAX];
	struct parts p;
	enum jws_alg alg;
	const char *name;
	json_t *head;
	size_t n;

	if (!take_apart(token, &p) || !(head = object_of(p.head)))
		return JWS_MALFORMED;
	name = json_string_value(json_object_get(head, "alg"));
	alg = name ? jws_alg_of(str_of(name)) : JWS_NONE;
	n = base64url_decode(p.signature, sig, sizeof(sig));
	/* What must be understood is not (RFC 7515 4.1.11). */
	if (alg == JWS_NONE || json_object_get(head, "crit"))
		e = JWS_ALGORITHM;
	else if (!n)
		e = JWS_SIGNATURE;
	for (uint32_t i = 0; i < set_n && (e == JWS_UNKNOWN_KEY || (e == JWS_SIGNATURE && n)); i++) {
		enum jws_error of =
			try_keys(sets[i], &p, alg, json_string_value(json_object_get(head, "kid")), sig, n);

		e = of == JWS_UNKNOWN_KEY ? e : of;
	}
	json_decref(head);
	if (e != JWS_GOOD) {
		ERR_clear_error();
		return e;
	}
	*claims = object_of(p.payload);
	return *claims ? JWS_GOOD : JWS_MALFORMED;
}
