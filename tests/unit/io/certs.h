/* tests/unit/io/certs.h - certificates made on the spot, in a directory of their own that is removed afterwards. */
#ifndef WEIR_TESTS_IO_CERTS_H
#define WEIR_TESTS_IO_CERTS_H

#include <dirent.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/obj.h"

struct made_cert {
	X509 *x509;
	EVP_PKEY *key;
	char cert[256], key_path[256]; /* PEM files */
};

struct cert_wish {
	const char *file; /* DIR/file.pem and DIR/file.key */
	const char *cn;
	const char *sans; /* "DNS:a.test,DNS:*.a.test" or NULL */
	const char *kind; /* "EC" (default), "RSA", "RSA1024", "ED25519" */
	const struct made_cert *issuer; /* NULL: signs itself, and is an authority */
	long from_s, to_s; /* relative to now; 0, 0: an hour back to 30 days on */
};

static inline char *certs_dir(void)
{
	char name[] = "/tmp/weir-unit-XXXXXX";

	MUST(mkdtemp(name));
	return strdup(name);
}

static inline void certs_dir_remove(char *dir)
{
	DIR *d = opendir(dir);
	char path[512];

	for (struct dirent *e; (e = readdir(d));) {
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		unlink(path);
	}
	closedir(d);
	rmdir(dir);
	free(dir);
}

static inline EVP_PKEY *make_key(const char *kind)
{
	if (!kind || strcmp(kind, "EC") == 0)
		return EVP_EC_gen("P-256");
	if (strcmp(kind, "ED25519") == 0)
		return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	return EVP_RSA_gen(strcmp(kind, "RSA1024") == 0 ? 1024 : 2048);
}

static inline void add_ext(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;

	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	MUST(e);
	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
}

static inline void write_pem(const char *path, X509 *x, X509 *chain, EVP_PKEY *key)
{
	FILE *f = fopen(path, "w");

	MUST(f);
	if (x)
		PEM_write_X509(f, x);
	if (chain)
		PEM_write_X509(f, chain);
	if (key)
		PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
	fclose(f);
}

static inline struct made_cert make_cert(const char *dir, struct cert_wish w)
{
	static long serial = 1;
	struct made_cert m = {.x509 = X509_new(), .key = make_key(w.kind)};
	X509_NAME *name = X509_get_subject_name(m.x509);
	X509 *issuer = w.issuer ? w.issuer->x509 : m.x509;
	EVP_PKEY *signer = w.issuer ? w.issuer->key : m.key;
	int type = EVP_PKEY_get_base_id(signer);

	X509_set_version(m.x509, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(m.x509), serial++);
	X509_gmtime_adj(X509_getm_notBefore(m.x509), w.to_s ? w.from_s : -3600);
	X509_gmtime_adj(X509_getm_notAfter(m.x509), w.to_s ? w.to_s : 30 * 24 * 3600);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)w.cn, -1, -1, 0);
	X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, (const unsigned char *)"Acme, Inc", -1, -1, 0);
	X509_set_issuer_name(m.x509, X509_get_subject_name(issuer));
	X509_set_pubkey(m.x509, m.key);
	add_ext(m.x509, issuer, NID_basic_constraints, w.issuer ? "CA:FALSE" : "critical,CA:TRUE");
	if (w.sans)
		add_ext(m.x509, issuer, NID_subject_alt_name, w.sans);
	MUST(X509_sign(m.x509, signer, type == EVP_PKEY_ED25519 ? NULL : EVP_sha256()));
	snprintf(m.cert, sizeof(m.cert), "%s/%s.pem", dir, w.file);
	snprintf(m.key_path, sizeof(m.key_path), "%s/%s.key", dir, w.file);
	write_pem(m.cert, m.x509, NULL, NULL);
	write_pem(m.key_path, NULL, NULL, m.key);
	return m;
}

static inline void made_cert_free(struct made_cert *m)
{
	X509_free(m->x509);
	EVP_PKEY_free(m->key);
	*m = (struct made_cert){0};
}

#endif
