#include "jwk.h"

#include <jansson.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include "base64.h"

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192 /* verifying takes time that anybody could ask for */
#define MEMBER_MAX   2048

#define RSA_EXPONENT_BITS_MAX 64

static const struct str alg_names[JWS_ALGS] = {
	[JWS_RS256] = STR("RS256"),
	[JWS_RS384] = STR("RS384"),
	[JWS_RS512] = STR("RS512"),
	[JWS_PS256] = STR("PS256"),
	[JWS_ES256] = STR("ES256"),
	[JWS_ES384] = STR("ES384"),
	[JWS_EDDSA] = STR("EdDSA"),
};

enum jws_alg jws_alg_of(struct str name)
{
	for (unsigned i = 1; i < JWS_ALGS; i++)
		if (str_eq(alg_names[i], name))
			return (enum jws_alg)i;
	return JWS_NONE;
}

bool jwk_fits(const struct jwk *k, enum jws_alg alg)
{
	if (alg == JWS_NONE || (k->alg != JWS_NONE && k->alg != alg))
		return false;
	switch (EVP_PKEY_get_base_id(k->key)) {
	case EVP_PKEY_RSA:
		return alg <= JWS_PS256;
	case EVP_PKEY_EC: /* the curve goes with the algorithm (RFC 7518 3.4) */
		return alg == (EVP_PKEY_get_bits(k->key) == 256 ? JWS_ES256 : JWS_ES384);
	case EVP_PKEY_ED25519:
		return alg == JWS_EDDSA;
	default:
		return false;
	}
}

/* With an exponent of 1 every text is its own signature; an even one, or an even modulus, is no RSA at all. A large exponent only takes
 * time. */
static bool is_honest_rsa(const EVP_PKEY *key)
{
	BIGNUM *n = NULL, *e = NULL;
	bool honest = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n) == 1 &&
		      EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) == 1 && BN_is_odd(n) &&
		      BN_is_odd(e) && !BN_is_one(e) && BN_num_bits(e) <= RSA_EXPONENT_BITS_MAX;

	BN_free(n);
	BN_free(e);
	return honest;
}

static bool is_of_use(const EVP_PKEY *key)
{
	int bits = EVP_PKEY_get_bits(key);
	char curve[32] = "";

	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_RSA:
		return bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX && is_honest_rsa(key);
	case EVP_PKEY_EC:
		return EVP_PKEY_get_group_name(key, curve, sizeof(curve), NULL) == 1 &&
		       (strcmp(curve, "prime256v1") == 0 || strcmp(curve, "secp384r1") == 0);
	case EVP_PKEY_ED25519:
		return true;
	default:
		return false;
	}
}

/* Takes the key. */
static void add(struct jwks *all, EVP_PKEY *key, const char *kid, enum jws_alg alg)
{
	if (!key || !is_of_use(key)) {
		EVP_PKEY_free(key);
		return;
	}
	if (all->n == JWKS_MAX) {
		EVP_PKEY_free(key);
		all->left_out++;
		return;
	}
	all->v[all->n++] = (struct jwk){key, kid ? strdup(kid) : NULL, (uint8_t)alg};
}

/* -- JSON -- */

static size_t member(const json_t *o, const char *name, uint8_t *bytes)
{
	const char *text = json_string_value(json_object_get(o, name));

	return text ? base64url_decode(str_of(text), bytes, MEMBER_MAX) : 0;
}

static EVP_PKEY *key_of(const char *type, OSSL_PARAM_BLD *build)
{
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
	EVP_PKEY_CTX *ctx = params ? EVP_PKEY_CTX_new_from_name(NULL, type, NULL) : NULL;
	EVP_PKEY *key = NULL;

	if (ctx && EVP_PKEY_fromdata_init(ctx) == 1 &&
		EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	return key;
}

static EVP_PKEY *rsa_key(const json_t *o)
{
	uint8_t bytes[MEMBER_MAX];
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	BIGNUM *n, *e;
	EVP_PKEY *key = NULL;
	size_t length;

	MUST(build);
	length = member(o, "n", bytes);
	n = BN_bin2bn(bytes, (int)length, NULL);
	length = member(o, "e", bytes);
	e = BN_bin2bn(bytes, (int)length, NULL);
	MUST(n && e);
	if (!BN_is_zero(n) && !BN_is_zero(e) && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) &&
		OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e))
		key = key_of("RSA", build);
	OSSL_PARAM_BLD_free(build);
	BN_free(n);
	BN_free(e);
	return key;
}

/* RFC 7518 6.2.1: the coordinates have the length of the curve's field. */
static EVP_PKEY *ec_key(const json_t *o)
{
	const char *curve = json_string_value(json_object_get(o, "crv"));
	bool is_256 = strcmp(curve, "P-256") == 0;
	size_t field = is_256 ? 32 : 48;
	uint8_t point[1 + 2 * 48], x[MEMBER_MAX], y[MEMBER_MAX];
	OSSL_PARAM_BLD *build;
	EVP_PKEY *key = NULL;

	if ((!is_256 && strcmp(curve, "P-384") != 0) || member(o, "x", x) != field ||
		member(o, "y", y) != field)
		return NULL;
	build = OSSL_PARAM_BLD_new();
	MUST(build);
	point[0] = POINT_CONVERSION_UNCOMPRESSED;
	memcpy(point + 1, x, field);
	memcpy(point + 1 + field, y, field);
	if (OSSL_PARAM_BLD_push_utf8_string(
		    build, OSSL_PKEY_PARAM_GROUP_NAME, is_256 ? "prime256v1" : "secp384r1", 0) &&
		OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * field))
		key = key_of("EC", build);
	OSSL_PARAM_BLD_free(build);
	return key;
}

static EVP_PKEY *ed25519_key(const json_t *o)
{
	const char *curve = json_string_value(json_object_get(o, "crv"));
	uint8_t x[MEMBER_MAX];

	if (strcmp(curve, "Ed25519") != 0 || member(o, "x", x) != 32)
		return NULL;
	return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x, 32);
}

/* tried: keys that were made before, of use or not. */
static void add_json(struct jwks *all, const json_t *o, uint32_t *tried)
{
	const char *kty = json_string_value(json_object_get(o, "kty"));
	const char *use = json_string_value(json_object_get(o, "use"));
	const char *alg = json_string_value(json_object_get(o, "alg"));
	const char *crv = json_string_value(json_object_get(o, "crv"));
	enum jws_alg only = alg ? jws_alg_of(str_of(alg)) : JWS_NONE;
	EVP_PKEY *(*make)(const json_t *) = !kty                             ? NULL
					    : strcmp(kty, "RSA") == 0        ? rsa_key
					    : strcmp(kty, "EC") == 0 && crv  ? ec_key
					    : strcmp(kty, "OKP") == 0 && crv ? ed25519_key
									     : NULL;

	if (!make || (use && strcmp(use, "sig") != 0) || (alg && only == JWS_NONE))
		return;
	if (all->n == JWKS_MAX || *tried == JWKS_TRIED) {
		all->left_out++;
		return;
	}
	(*tried)++;
	add(all, make(o), json_string_value(json_object_get(o, "kid")), only);
}

static bool parse_json(struct jwks *all, struct str text, char *err, size_t err_n)
{
	json_error_t e;
	json_t *root = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &e);
	const json_t *keys = json_object_get(root, "keys"), *one;
	uint32_t tried = 0;
	size_t i;

	if (!json_is_object(root)) {
		snprintf(err, err_n, "no JSON Web Key Set: %s", root ? "it is no object" : e.text);
		json_decref(root);
		return false;
	}
	if (!keys)
		add_json(all, root, &tried);
	json_array_foreach(keys, i, one) add_json(all, one, &tried);
	json_decref(root);
	return true;
}

/* -- PEM -- */

static void parse_pem(struct jwks *all, struct str text)
{
	BIO *bio = BIO_new_mem_buf(text.p, (int)text.n);
	EVP_PKEY *key;

	MUST(bio);
	while ((key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL)))
		add(all, key, NULL, JWS_NONE);
	BIO_free(bio);
}

bool jwks_parse(struct jwks *all, struct str text, char *err, size_t err_n)
{
	uint32_t before = all->n;

	text = str_trim(text);
	while (text.n && (text.p[0] == '\n' || text.p[0] == '\r'))
		text = str_trim(str_skip(text, 1));
	if (text.n && text.p[0] == '{') {
		if (!parse_json(all, text, err, err_n))
			return false;
	} else {
		parse_pem(all, text);
	}
	ERR_clear_error(); /* what was passed over is nobody's failure */
	if (all->n > before)
		return true;
	snprintf(err, err_n,
		"there is no public key of use in it: RSA of 2048 bits or more, P-256, P-384 or Ed25519, as "
		"PEM "
		"(BEGIN PUBLIC KEY) or JSON Web Key Set");
	return false;
}

const char *jwks_left_out(const struct jwks *all, char buf[JWKS_LEFT_OUT_MAX])
{
	buf[0] = '\0';
	if (all->left_out)
		snprintf(buf, JWKS_LEFT_OUT_MAX,
			"%u keys are left out: %u are kept, of %u that are looked at; take out those that "
			"nobody signs with any more",
			all->left_out, JWKS_MAX, JWKS_TRIED);
	return buf;
}

void jwks_free(struct jwks *all)
{
	for (uint32_t i = 0; i < all->n; i++) {
		EVP_PKEY_free(all->v[i].key);
		free(all->v[i].kid);
	}
	all->n = all->left_out = 0;
}
