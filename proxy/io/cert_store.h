/* io/cert_store.h - the certificates of one listener, found by the name that a client asks for (SNI, RFC 6066 3).
 *
 * Const once built and shared by all workers. A reload builds a new one beside it, which takes over every certificate whose
 * files have not changed, so that a reload without changes costs a few stat() calls a certificate. */
#ifndef WEIR_IO_CERT_STORE_H
#define WEIR_IO_CERT_STORE_H

#include "base/map.h"
#include "config/conf.h"
#include "io/cert.h"

/* The certificates for one name: at most one of each kind of key, so that old clients get RSA and all others ECDSA. */
struct cert_choice {
	struct cert *v[2]; /* the first declared; then one with another kind of key, or NULL */
};

struct cert_store {
	atomic_uint refs;
	struct cert *
		*certs; /* owned references, in declared order: certificates, then the directory by name */
	uint32_t cert_n;
	struct cert_choice *choices;
	uint32_t choice_n;
	struct map exact; /* "shop.acme.test" -> struct cert_choice */
	struct map wild; /* "acme.test", for "*.acme.test" -> struct cert_choice */
	struct map paths; /* of certificate files -> struct cert: what the next store takes over */
	struct cert_choice fallback; /* no SNI, or one that no certificate has */
};

/* Reads what conf names. Errors and warnings are given to say() one by one, with the place in the configuration; NULL if there was an
 * error. previous: NULL, or the store that this one follows. refs == 1. */
struct cert_store *cert_store_new(const struct conf_listener_tls *conf, const struct cert_store *previous,
	void (*say)(void *ctx, struct conf_place place, bool warning, const char *text), void *ctx);
/* From any thread. */
struct cert_store *cert_store_ref(struct cert_store *s);
/* NULL is fine. */
void cert_store_unref(struct cert_store *s);
/* name: lower case, may be empty. An exact name wins over a wildcard, which stands for one whole label (RFC 9525 6.3). Never
 * NULL. */
const struct cert_choice *cert_store_find(const struct cert_store *s, struct str name);

#endif
