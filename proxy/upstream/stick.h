/* upstream/stick.h - the words by which cookies name the backends of a pool (stick).
 *
 * A token is a part of HMAC-SHA-256 (RFC 2104) over the backend's identity, so that it tells nothing of the address and cannot be
 * made up for a backend that one was never sent to. The key is the policy's secret, or one that the process draws at its start.
 * Tokens are made when a snapshot is built; a request only compares. */
#ifndef WEIR_UPSTREAM_STICK_H
#define WEIR_UPSTREAM_STICK_H

#include "upstream/pool.h"

#define STICK_NOBODY UINT32_MAX

/* Fills tokens[0..n) for the backends of p. own_key stands in for an unset secret. */
void stick_tokens(const struct pool *p, const uint8_t own_key[STICK_KEY_BYTES], struct stick_token *tokens);
/* Index into p->backends of whom the cookie names; STICK_NOBODY for everything else that a client may send. */
uint32_t stick_find(const struct pool *p, struct str cookie);

#endif
