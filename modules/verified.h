/* modules/verified.h - tokens whose signatures were verified, so that the next request with the same one need not do it again.
 *
 * It keeps that a signature was good, and nothing else: what a token says is judged for each request. Failures are not kept. A digest of
 * the whole token under a key of its own stands for it; so many of them are kept, and a later one takes an earlier one's place. */
#ifndef WEIR_MODULES_VERIFIED_H
#define WEIR_MODULES_VERIFIED_H

#include <stdint.h>
#include "exchange/module.h"

#define VERIFIED_MAX    256 /* a power of two */
#define VERIFIED_DIGEST 32

struct verified {
	uint8_t key[32];
	uint8_t (*seen)
		[VERIFIED_DIGEST]; /* VERIFIED_MAX, where its first bytes say; zeroed: none. NULL: nothing was verified yet */
};

void verified_init(struct verified *v);
void verified_free(struct verified *v);
/* digest: what stands for the token in the other two. */
void verified_digest(const struct verified *v, struct str token, uint8_t digest[VERIFIED_DIGEST]);
bool verified_has(const struct verified *v, const uint8_t digest[VERIFIED_DIGEST]);
void verified_add(struct verified *v, const uint8_t digest[VERIFIED_DIGEST]);
/* The keys have changed. */
void verified_forget(struct verified *v);

#endif
