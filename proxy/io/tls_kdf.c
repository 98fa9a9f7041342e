#define OPENSSL_SUPPRESS_DEPRECATED /* SHA256_Update() and its like: without a context on the heap and a fetch */
#include "io/tls_kdf.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/sha.h>
#include <stdint.h>
#include <string.h>
#include "base/obj.h"
#include "base/str.h"

#define NAME      "weir"
#define BLOCK_MAX 128 /* of SHA-384 */
#define HASH_MAX  48
#define LABEL_MAX 255 /* of prefix and label, and of the context: a byte says how long each is */

/* -- hashes -- */
struct hash {
	bool is_384;
	union {
		SHA256_CTX sha256;
		SHA512_CTX sha384;
	};
};

static size_t hash_size(bool is_384)
{
	return is_384 ? 48 : 32;
}

static void hash_begin(struct hash *h, bool is_384)
{
	h->is_384 = is_384;
	if (is_384)
		SHA384_Init(&h->sha384);
	else
		SHA256_Init(&h->sha256);
}

static void hash_add(struct hash *h, const void *p, size_t n)
{
	if (n == 0)
		return;
	if (h->is_384)
		SHA384_Update(&h->sha384, p, n);
	else
		SHA256_Update(&h->sha256, p, n);
}

static void hash_end(struct hash *h, uint8_t out[HASH_MAX])
{
	if (h->is_384)
		SHA384_Final(out, &h->sha384);
	else
		SHA256_Final(out, &h->sha256);
}

/* -- HMAC, RFC 2104 -- */
struct hmac {
	struct hash inner, outer;
};

/* The key is never longer than a block here: it is a hash or nothing. */
static void hmac_begin(struct hmac *m, bool is_384, struct str key)
{
	uint8_t pad[BLOCK_MAX];
	size_t block = is_384 ? SHA512_CBLOCK : SHA256_CBLOCK;

	memset(pad, 0x36, block);
	for (size_t i = 0; i < key.n; i++)
		pad[i] ^= (uint8_t)key.p[i];
	hash_begin(&m->inner, is_384);
	hash_add(&m->inner, pad, block);
	for (size_t i = 0; i < block; i++)
		pad[i] ^= 0x36 ^ 0x5c;
	hash_begin(&m->outer, is_384);
	hash_add(&m->outer, pad, block);
	OPENSSL_cleanse(pad, sizeof(pad));
}

static void hmac_end(struct hmac *m, uint8_t out[HASH_MAX])
{
	uint8_t inner[HASH_MAX];

	hash_end(&m->inner, inner);
	hash_add(&m->outer, inner, hash_size(m->outer.is_384));
	hash_end(&m->outer, out);
	OPENSSL_cleanse(inner, sizeof(inner));
}

/* -- the function -- */
struct request {
	int mode; /* EVP_KDF_HKDF_MODE_EXTRACT_ONLY, EVP_KDF_HKDF_MODE_EXPAND_ONLY */
	bool known_hash, is_384;
	struct str key, salt, prefix, label, data;
};

static bool take_bytes(const OSSL_PARAM *p, struct str *to)
{
	if (p->data_type != OSSL_PARAM_OCTET_STRING)
		return false;
	*to = (struct str){p->data, p->data_size};
	return true;
}

static bool take_hash(const OSSL_PARAM *p, struct request *r)
{
	if (p->data_type != OSSL_PARAM_UTF8_STRING)
		return false;
	r->is_384 =
		OPENSSL_strcasecmp(p->data, "SHA2-384") == 0 || OPENSSL_strcasecmp(p->data, "SHA384") == 0;
	r->known_hash = r->is_384 || OPENSSL_strcasecmp(p->data, "SHA2-256") == 0 ||
			OPENSSL_strcasecmp(p->data, "SHA256") == 0;
	return r->known_hash;
}

static bool read_params(const OSSL_PARAM *p, struct request *r)
{
	bool ok = true;

	for (; ok && p && p->key; p++) {
		if (strcmp(p->key, OSSL_KDF_PARAM_MODE) == 0)
			ok = OSSL_PARAM_get_int(p, &r->mode) == 1;
		else if (strcmp(p->key, OSSL_KDF_PARAM_DIGEST) == 0)
			ok = take_hash(p, r);
		else if (strcmp(p->key, OSSL_KDF_PARAM_KEY) == 0)
			ok = take_bytes(p, &r->key);
		else if (strcmp(p->key, OSSL_KDF_PARAM_SALT) == 0)
			ok = take_bytes(p, &r->salt);
		else if (strcmp(p->key, OSSL_KDF_PARAM_PREFIX) == 0)
			ok = take_bytes(p, &r->prefix);
		else if (strcmp(p->key, OSSL_KDF_PARAM_LABEL) == 0)
			ok = take_bytes(p, &r->label);
		else if (strcmp(p->key, OSSL_KDF_PARAM_DATA) == 0)
			ok = take_bytes(p, &r->data);
	}
	return ok && r->known_hash && r->prefix.n + r->label.n <= LABEL_MAX && r->data.n <= LABEL_MAX;
}

/* HKDF-Expand-Label, RFC 8446 7.1: HKDF-Expand (RFC 5869 2.3) over length, prefix and label, context. */
static bool expand(const struct request *r, struct str secret, struct str context, uint8_t *out, size_t n)
{
	size_t size = hash_size(r->is_384);
	uint8_t head[3] = {(uint8_t)(n >> 8), (uint8_t)n, (uint8_t)(r->prefix.n + r->label.n)};
	uint8_t context_n = (uint8_t)context.n, block[HASH_MAX];

	if (secret.n != size || n > 255 * size)
		return false;
	for (uint8_t i = 1; n > 0; i++) {
		size_t take = MIN(n, size);
		struct hmac m;

		hmac_begin(&m, r->is_384, secret);
		if (i > 1)
			hash_add(&m.inner, block, size);
		hash_add(&m.inner, head, sizeof(head));
		hash_add(&m.inner, r->prefix.p, r->prefix.n);
		hash_add(&m.inner, r->label.p, r->label.n);
		hash_add(&m.inner, &context_n, 1);
		hash_add(&m.inner, context.p, context.n);
		hash_add(&m.inner, &i, 1);
		hmac_end(&m, block);
		OPENSSL_cleanse(&m, sizeof(m));
		memcpy(out, block, take);
		out += take;
		n -= take;
	}
	OPENSSL_cleanse(block, sizeof(block));
	return true;
}

/* The next secret of the schedule: Extract(Derive-Secret(salt, label, ""), key), where no salt is zeros and no key as well. */
static bool extract(const struct request *r, uint8_t *out, size_t n)
{
	static const char zeros[HASH_MAX];
	size_t size = hash_size(r->is_384);
	uint8_t empty[HASH_MAX], derived[HASH_MAX];
	struct str salt = STR_NONE;
	struct hash h;
	struct hmac m;

	if (n != size)
		return false;
	if (r->salt.p) {
		hash_begin(&h, r->is_384);
		hash_end(&h, empty);
		if (!expand(r, r->salt, (struct str){(char *)empty, size}, derived, size))
			return false;
		salt = (struct str){(char *)derived, size};
	}
	hmac_begin(&m, r->is_384, salt);
	hash_add(&m.inner, r->key.p ? r->key.p : zeros, r->key.p ? r->key.n : size);
	hmac_end(&m, out);
	OPENSSL_cleanse(&m, sizeof(m));
	OPENSSL_cleanse(derived, sizeof(derived));
	return true;
}

static int derive(void *ctx, unsigned char *out, size_t n, const OSSL_PARAM params[])
{
	struct request r = {.mode = EVP_KDF_HKDF_MODE_EXTRACT_AND_EXPAND};

	(void)ctx;
	if (!read_params(params, &r))
		return 0;
	switch (r.mode) {
	case EVP_KDF_HKDF_MODE_EXTRACT_ONLY:
		return extract(&r, out, n);
	case EVP_KDF_HKDF_MODE_EXPAND_ONLY:
		return expand(&r, r.key, r.data, out, n);
	default:
		return 0;
	}
}

/* -- the provider -- */
/* There is no state: a context is something that is not NULL. */
static void *new_context(void *provider)
{
	return provider;
}

static void free_context(void *ctx)
{
	(void)ctx;
}

typedef void (*function)(void);

static const OSSL_DISPATCH kdf_functions[] = {
	{OSSL_FUNC_KDF_NEWCTX, (function)new_context},
	{OSSL_FUNC_KDF_FREECTX, (function)free_context},
	{OSSL_FUNC_KDF_DERIVE, (function)derive},
	{0, NULL},
};

static const OSSL_ALGORITHM kdfs[] = {
	{OSSL_KDF_NAME_TLS1_3_KDF, "provider=" NAME, kdf_functions, "the key schedule of TLS 1.3"},
	{NULL, NULL, NULL, NULL},
};

static const OSSL_ALGORITHM *query(void *provider, int operation, int *do_not_keep)
{
	(void)provider;
	*do_not_keep = 0;
	return operation == OSSL_OP_KDF ? kdfs : NULL;
}

static const OSSL_DISPATCH provider_functions[] = {
	{OSSL_FUNC_PROVIDER_QUERY_OPERATION, (function)query},
	{0, NULL},
};

static int begin(const OSSL_CORE_HANDLE *core, const OSSL_DISPATCH *from_core,
	const OSSL_DISPATCH **functions, void **provider)
{
	(void)core;
	(void)from_core;
	*functions = provider_functions;
	*provider = (void *)(uintptr_t)kdfs;
	return 1;
}

bool tls_kdf_install(void)
{
	/* Whoever loads one by hand must load the default one too: it is no longer there by itself. */
	return !EVP_default_properties_is_fips_enabled(NULL) && OSSL_PROVIDER_load(NULL, "default") &&
	       OSSL_PROVIDER_add_builtin(NULL, NAME, begin) == 1 && OSSL_PROVIDER_load(NULL, NAME) &&
	       EVP_set_default_properties(NULL, "?provider=" NAME) == 1;
}
