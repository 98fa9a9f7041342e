/* io/cert.h - one certificate with its key, its chain and, if there is one, the OCSP response to staple.
 *
 * A certificate is checked whole when it is loaded, but what stays in memory is its DER form, about 2 KB; OpenSSL's objects, four times
 * that, are made when a handshake first needs them and are kept from then on. So a directory of 10,000 certificates
 * costs little until they are used. Const once loaded, shared by all threads, counted with an atomic. */
#ifndef WEIR_IO_CERT_H
#define WEIR_IO_CERT_H

#include <openssl/x509.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>
#include "base/str.h"

/* A file as it was when it was read: the same figures mean that it need not be read again. */
struct cert_file {
	char *path; /* NULL: there is none */
	uint64_t device, inode, size;
	struct timespec modified;
};

struct cert_der {
	uint8_t *p;
	size_t n;
};

/* OpenSSL's objects, which share their counts across threads. */
struct cert_live {
	X509 *x509;
	EVP_PKEY *key;
	STACK_OF(X509) * chain; /* intermediates, leaf excluded; NULL if none */
};

#define CERT_CHAIN_MAX 8

struct cert {
	atomic_uint refs;
	struct cert_file cert, key, ocsp;
	struct str *
		names; /* lower case DNS names of the subjectAltName, else the common name; "*.acme.test" is one */
	uint32_t name_n;
	int key_type; /* EVP_PKEY_EC, EVP_PKEY_RSA, EVP_PKEY_ED25519 */
	time_t not_after;
	struct cert_der der[1 + CERT_CHAIN_MAX]; /* the leaf first */
	uint32_t der_n;
	struct cert_der key_der; /* wiped when freed */
	struct cert_der staple; /* empty: none */
	time_t staple_until; /* its nextUpdate: later it is no longer sent; 0: it names none */
	struct cert_live *_Atomic live; /* made by whichever thread is first, then never changed */
};

/* What is said about a certificate while it is loaded: an error (the load fails) or a warning. The text names the file. */
struct cert_log {
	void (*say)(void *ctx, bool warning, const char *text);
	void *ctx;
};

/* Paths are NUL-terminated; ocsp may be NULL. NULL after an error was said. refs == 1. */
struct cert *cert_load(const char *cert, const char *key, const char *ocsp, const struct cert_log *log);
/* The same files with the same contents, as far as stat() can tell? */
bool cert_is_current(const struct cert *c, const char *cert, const char *key, const char *ocsp);
struct cert *cert_ref(struct cert *c);
/* NULL is fine. */
void cert_unref(struct cert *c);
/* From any thread. NULL only when memory is out. */
const struct cert_live *cert_live(struct cert *c);

#endif
