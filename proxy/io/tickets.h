/* io/tickets.h - the keys that stateless session tickets are sealed with (RFC 5077 4, RFC 8446 4.6.1).
 *
 * A set is const: rotating makes a new one, with a fresh key first and the former ones behind it. The control thread owns the newest
 * set and hands references to the workers by mail; a worker's tls_server keeps one until the next comes. Tickets
 * are sealed with the first key and opened with any, so one lives between TICKET_KEYS - 1 and TICKET_KEYS rotations. */
#ifndef WEIR_IO_TICKETS_H
#define WEIR_IO_TICKETS_H

#include <openssl/types.h>
#include <stdatomic.h>
#include <stdint.h>
#include "base/str.h"

#define TICKET_KEYS       4
#define TICKET_ROTATE_S   (8 * 3600) /* how often control rotates */
#define TICKET_LIFETIME_S (24 * 3600) /* what clients are told: (TICKET_KEYS - 1) * TICKET_ROTATE_S */

struct ticket_key {
	uint8_t name[16]; /* stands in the clear in the ticket */
	uint8_t aes[32];
	uint8_t mac[32];
};

struct ticket_keys {
	atomic_uint refs;
	uint32_t n;
	struct ticket_key v[TICKET_KEYS]; /* newest first; wiped when freed */
};

/* previous: NULL for the first set; its reference stays the caller's. NULL when the kernel gives no randomness. refs == 1. */
struct ticket_keys *ticket_keys_rotate(const struct ticket_keys *previous);
/* From any thread. */
struct ticket_keys *ticket_keys_ref(struct ticket_keys *k);
/* NULL is fine. */
void ticket_keys_unref(struct ticket_keys *k);

/* As text, for a successor: it is as secret as the keys. In buf. */
#define TICKET_TEXT_MAX (TICKET_KEYS * sizeof(struct ticket_key) * 2 + 1)
struct str ticket_keys_text(const struct ticket_keys *k, char buf[TICKET_TEXT_MAX]);
/* NULL when it is no such text. refs == 1. */
struct ticket_keys *ticket_keys_parse(struct str text);

/* What OpenSSL's ticket callback returns, except that the caller brings the keys: seal fills name and iv and sets up both
 * contexts with the newest key; 1, or -1 on failure. open looks the name up: 1 newest key, 2 an older one (the ticket
 * should be replaced), 0 unknown, -1 failure. AES-256-CBC, HMAC-SHA-256. */
int ticket_seal(
	const struct ticket_keys *k, uint8_t name[16], uint8_t *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac);
int ticket_open(const struct ticket_keys *k, const uint8_t name[16], const uint8_t *iv,
	EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac);

#endif
