/* route/cookie.h - values that weir gives to browsers and believes when they come back, because nobody else can have made them:
 * VALUE.SIGNATURE, where the signature is the first half of HMAC-SHA-256 (RFC 2104 5) over what the value is for and the value,
 * in hexadecimal.
 *
 * A set of keys is const. The first one signs; all are believed, so that a key can be replaced without anybody losing his cookie:
 * put the new one in front, and take the old one away when all have come back. */
#ifndef WEIR_ROUTE_COOKIE_H
#define WEIR_ROUTE_COOKIE_H

#include <openssl/sha.h>
#include <stdatomic.h>
#include "http/head.h"

#define COOKIE_KEYS_MAX  8
#define COOKIE_SIGNATURE 32 /* characters */
#define COOKIE_UNKNOWN   UINT32_MAX /* no key of the set has signed it */

/* HMAC's two digests, begun with the key: what follows is the same for each message. */
struct cookie_key {
	SHA256_CTX inner, outer;
};

struct cookie_keys {
	atomic_uint refs; /* control's, and one for each worker */
	uint32_t n;
	struct cookie_key v[COOKIE_KEYS_MAX]; /* wiped when freed */
};

/* Of 1 to COOKIE_KEYS_MAX secrets, with one reference. Never fails. */
struct cookie_keys *cookie_keys_new(const struct str *secrets, uint32_t n);
struct cookie_keys *cookie_keys_ref(struct cookie_keys *k);
void cookie_keys_unref(struct cookie_keys *k);

/* purpose: what the value is for; one that was signed for something else is not believed. */
void cookie_sign(
	const struct cookie_keys *k, struct str purpose, struct str value, char signature[COOKIE_SIGNATURE]);
/* Takes "VALUE.SIGNATURE" apart. The number of the key that signed it, 0 for the one that signs now, or COOKIE_UNKNOWN: then it is worth
 * nothing, and value is empty. */
uint32_t cookie_verify(const struct cookie_keys *k, struct str purpose, struct str cookie, struct str *value);

/* The value of a request's cookie, or an empty string (RFC 6265 4.2.1). */
struct str cookie_value(const struct head *head, struct str name);

#endif
