#include "io/cert.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"
#include "base/obj.h"

#define FILE_MAX        (1024 * 1024) /* a PEM file beyond it is something else */
#define RSA_BITS_MIN    2048
#define EC_BITS_MIN     256
#define EXPIRY_WARN_S   (7 * 24 * 3600)
#define NAME_LENGTH_MAX 253 /* RFC 1035 3.1 */

static __attribute__((format(printf, 3, 4))) void say(
	const struct cert_log *log, bool warning, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log->say(log->ctx, warning, text);
	ERR_clear_error();
}

/* What OpenSSL has to say about its last failure; "malformed" where it says nothing of use. */
static const char *ssl_text(void)
{
	const char *text = ERR_reason_error_string(ERR_peek_last_error());

	return text ? text : "malformed";
}

static void file_note(struct cert_file *f, const struct stat *st)
{
	f->device = st->st_dev;
	f->inode = st->st_ino;
	f->size = (uint64_t)st->st_size;
	f->modified = st->st_mtim;
}

/* The whole file, with a NUL behind it that *n does not count; NULL after saying why. */
static char *file_read(struct cert_file *f, const char *path, size_t *n, const struct cert_log *log)
{
	const char *why;
	int fd = file_open(path, &why);
	struct stat st;
	char *text = NULL;
	ssize_t got = -1;

	if (fd < 0) {
		say(log, false, "cannot read %s: %s", path, why);
		return NULL;
	}
	if (fstat(fd, &st) < 0 || st.st_size > FILE_MAX) {
		say(log, false, "%s is not a file of at most 1 MiB", path);
		goto out;
	}
	file_note(f, &st);
	f->path = strdup(path);
	text = malloc((size_t)st.st_size + 1);
	MUST(f->path && text);
	got = read(fd, text, (size_t)st.st_size);
	if (got != st.st_size) {
		say(log, false, "cannot read %s: %s", path,
			got < 0 ? strerror(errno) : "it is being written");
		free(text);
		text = NULL;
		goto out;
	}
	text[got] = 0;
	*n = (size_t)got;
out:
	close(fd);
	return text;
}

static struct cert_der der_copy(const uint8_t *p, size_t n)
{
	struct cert_der d = {malloc(n ? n : 1), n};

	MUST(d.p);
	memcpy(d.p, p, n);
	return d;
}

static void name_add(struct cert *c, const uint8_t *p, int n)
{
	char *name;

	if (n <= 0 || n > NAME_LENGTH_MAX)
		return;
	for (int i = 0; i < n; i++)
		if (p[i] <= ' ' || p[i] >= 127)
			return;
	name = malloc((size_t)n + 1);
	c->names = realloc(c->names, (c->name_n + 1) * sizeof(*c->names));
	MUST(name && c->names);
	for (int i = 0; i < n; i++)
		name[i] = str_lower_char((char)p[i]);
	name[n] = 0;
	c->names[c->name_n++] = (struct str){name, (size_t)n};
}

/* RFC 9525 6.3: the common name counts only where no DNS name stands in the subjectAltName. */
static void names_collect(struct cert *c, X509 *x)
{
	GENERAL_NAMES *sans = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	const X509_NAME *subject = X509_get_subject_name(x);

	for (int i = 0; i < sk_GENERAL_NAME_num(sans); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(sans, i);

		if (g->type == GEN_DNS)
			name_add(c, ASN1_STRING_get0_data(g->d.dNSName), ASN1_STRING_length(g->d.dNSName));
	}
	GENERAL_NAMES_free(sans);
	if (c->name_n == 0) {
		int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
		const ASN1_STRING *cn =
			at < 0 ? NULL : X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));

		if (cn)
			name_add(c, ASN1_STRING_get0_data(cn), ASN1_STRING_length(cn));
	}
}

static time_t time_of(const ASN1_TIME *t)
{
	struct tm tm;

	return t && ASN1_TIME_to_tm(t, &tm) ? timegm(&tm) : 0;
}

/* The type that a server can sign handshakes with, or 0 after saying what is wrong. */
static int key_type_checked(EVP_PKEY *pub, const char *path, const struct cert_log *log)
{
	int type = pub ? EVP_PKEY_get_base_id(pub) : 0, bits = pub ? EVP_PKEY_get_bits(pub) : 0;

	if (type != EVP_PKEY_EC && type != EVP_PKEY_RSA && type != EVP_PKEY_ED25519) {
		say(log, false, "%s: only ECDSA, RSA and Ed25519 keys are supported", path);
		return 0;
	}
	if (type == EVP_PKEY_RSA && bits < RSA_BITS_MIN) {
		say(log, false, "%s: the RSA key has %d bits, which is weak; clients want at least %d", path,
			bits, RSA_BITS_MIN);
		return 0;
	}
	if (type == EVP_PKEY_EC && bits < EC_BITS_MIN) {
		say(log, false, "%s: the ECDSA key has %d bits, which is weak; clients want at least %d",
			path, bits, EC_BITS_MIN);
		return 0;
	}
	return type;
}

/* The leaf, parsed, when the file was good; the DER of all certificates in it. */
static X509 *certs_parse(struct cert *c, const char *text, size_t n, const struct cert_log *log)
{
	BIO *bio = BIO_new_mem_buf(text, (int)n);
	char *name = NULL, *header = NULL;
	unsigned char *p = NULL;
	long len = 0;
	X509 *leaf = NULL;
	const unsigned char *at;

	MUST(bio);
	while (PEM_read_bio(bio, &name, &header, &p, &len)) {
		if (strcmp(name, PEM_STRING_X509) == 0 && c->der_n < COUNT_OF(c->der))
			c->der[c->der_n++] = der_copy(p, (size_t)len);
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_clear_free(p, (size_t)len);
	}
	BIO_free(bio);
	ERR_clear_error();
	if (c->der_n == 0) {
		say(log, false, "%s: there is no PEM certificate in it", c->cert.path);
		return NULL;
	}
	for (uint32_t i = c->der_n; i-- > 0;) {
		X509_free(leaf);
		at = c->der[i].p;
		leaf = d2i_X509(NULL, &at, (long)c->der[i].n);
		if (!leaf) {
			say(log, false, "%s: certificate %u cannot be parsed: %s", c->cert.path, i + 1,
				ssl_text());
			return NULL;
		}
	}
	return leaf;
}

/* The DER of the first private key in the file, or nothing after saying why. */
static struct cert_der key_find(const char *text, size_t n, const char *path, const struct cert_log *log)
{
	BIO *bio = BIO_new_mem_buf(text, (int)n);
	char *name = NULL, *header = NULL;
	unsigned char *p = NULL;
	long len = 0;
	struct cert_der found = {0};
	bool encrypted = false;

	MUST(bio);
	while (!found.p && !encrypted && PEM_read_bio(bio, &name, &header, &p, &len)) {
		if (str_ends(str_of(name), STR(PEM_STRING_PKCS8INF))) {
			/* As PKCS 8, or in the older form with a header that says so. */
			encrypted = strcmp(name, PEM_STRING_PKCS8) == 0 || strstr(header, "ENCRYPTED");
			if (!encrypted)
				found = der_copy(p, (size_t)len);
		}
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_clear_free(p, (size_t)len);
	}
	BIO_free(bio);
	if (encrypted)
		say(log, false, "%s: the key is encrypted; weir has nobody to ask for its password", path);
	else if (!found.p)
		say(log, false, "%s: there is no PEM private key in it", path);
	return found;
}

/* Keeps the key, if it belongs to the leaf. The leaf says of which type it must be, which spares OpenSSL trying every decoder that
 * it has: a quarter of the time. */
static bool key_check(struct cert *c, X509 *leaf, const char *text, size_t n, const struct cert_log *log)
{
	const unsigned char *at;
	EVP_PKEY *key;
	bool ok;

	c->key_der = key_find(text, n, c->key.path, log);
	if (!c->key_der.p)
		return false;
	at = c->key_der.p;
	key = d2i_PrivateKey(c->key_type, NULL, &at, (long)c->key_der.n);
	ok = key && X509_check_private_key(leaf, key) == 1;
	if (!key) {
		/* A good key of another type, or no good key? */
		at = c->key_der.p;
		key = d2i_AutoPrivateKey(NULL, &at, (long)c->key_der.n);
	}
	if (!key)
		say(log, false, "%s: the private key cannot be parsed: %s", c->key.path, ssl_text());
	else if (!ok)
		say(log, false, "certificate %s and key %s do not belong together", c->cert.path,
			c->key.path);
	EVP_PKEY_free(key);
	return ok;
}

/* A file that cannot be read is an error; one that holds something else is left out with a warning, because the certificate
 * works without it. */
static void staple_load(struct cert *c, const char *path, const struct cert_log *log)
{
	size_t n = 0;
	char *text = file_read(&c->ocsp, path, &n, log);
	const unsigned char *at = (unsigned char *)text;
	OCSP_RESPONSE *response = text ? d2i_OCSP_RESPONSE(NULL, &at, (long)n) : NULL;
	OCSP_BASICRESP *basic = NULL;
	ASN1_GENERALIZEDTIME *next = NULL;

	if (!text)
		return;
	if (response && OCSP_response_status(response) == OCSP_RESPONSE_STATUS_SUCCESSFUL)
		basic = OCSP_response_get1_basic(response);
	if (!basic || OCSP_resp_count(basic) < 1) {
		say(log, true, "%s: not a good OCSP response in DER; it is not stapled", path);
	} else {
		OCSP_single_get0_status(OCSP_resp_get0(basic, 0), NULL, NULL, NULL, &next);
		c->staple_until = time_of(next);
		c->staple = der_copy((uint8_t *)text, n);
		if (c->staple_until && c->staple_until < time(NULL))
			say(log, true, "%s: the OCSP response is out of date; it is not stapled", path);
	}
	OCSP_BASICRESP_free(basic);
	OCSP_RESPONSE_free(response);
	free(text);
}

static void dates_check(struct cert *c, X509 *leaf, const struct cert_log *log)
{
	time_t now = time(NULL), from = time_of(X509_get0_notBefore(leaf));

	c->not_after = time_of(X509_get0_notAfter(leaf));
	if (c->not_after < now)
		say(log, true, "%s: the certificate has expired", c->cert.path);
	else if (c->not_after < now + EXPIRY_WARN_S)
		say(log, true, "%s: the certificate expires in %d hours", c->cert.path,
			(int)((c->not_after - now) / 3600));
	else if (from > now)
		say(log, true, "%s: the certificate is not valid yet", c->cert.path);
}

struct cert *cert_load(const char *cert, const char *key, const char *ocsp, const struct cert_log *log)
{
	struct cert *c = calloc(1, sizeof(*c));
	char *cert_text = NULL, *key_text = NULL;
	size_t cert_n = 0, key_n = 0;
	X509 *leaf = NULL;
	bool ok = false;

	MUST(c);
	atomic_init(&c->refs, 1);
	cert_text = file_read(&c->cert, cert, &cert_n, log);
	key_text = file_read(&c->key, key, &key_n, log);
	if (!cert_text || !key_text)
		goto out;
	leaf = certs_parse(c, cert_text, cert_n, log);
	if (!leaf)
		goto out;
	c->key_type = key_type_checked(X509_get0_pubkey(leaf), cert, log);
	if (!c->key_type || !key_check(c, leaf, key_text, key_n, log))
		goto out;
	names_collect(c, leaf);
	dates_check(c, leaf, log);
	if (ocsp)
		staple_load(c, ocsp, log);
	ok = true;
out:
	X509_free(leaf);
	free(cert_text);
	if (key_text)
		OPENSSL_cleanse(key_text, key_n);
	free(key_text);
	ERR_clear_error();
	if (!ok) {
		cert_unref(c);
		return NULL;
	}
	return c;
}

static bool file_is_current(const struct cert_file *f, const char *path)
{
	struct stat st;
	struct cert_file now = {0};

	if (!path || !f->path)
		return !path && !f->path;
	if (strcmp(path, f->path) != 0 || stat(path, &st) < 0)
		return false;
	file_note(&now, &st);
	return now.device == f->device && now.inode == f->inode && now.size == f->size &&
	       now.modified.tv_sec == f->modified.tv_sec && now.modified.tv_nsec == f->modified.tv_nsec;
}

bool cert_is_current(const struct cert *c, const char *cert, const char *key, const char *ocsp)
{
	return file_is_current(&c->cert, cert) && file_is_current(&c->key, key) &&
	       file_is_current(&c->ocsp, ocsp);
}

struct cert *cert_ref(struct cert *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

static void live_free(struct cert_live *live)
{
	if (!live)
		return;
	X509_free(live->x509);
	EVP_PKEY_free(live->key);
	sk_X509_pop_free(live->chain, X509_free);
	free(live);
}

void cert_unref(struct cert *c)
{
	if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) > 1)
		return;
	live_free(atomic_load(&c->live));
	for (uint32_t i = 0; i < c->der_n; i++)
		free(c->der[i].p);
	if (c->key_der.p)
		OPENSSL_cleanse(c->key_der.p, c->key_der.n);
	free(c->key_der.p);
	free(c->staple.p);
	for (uint32_t i = 0; i < c->name_n; i++)
		free((char *)(uintptr_t)c->names[i].p);
	free(c->names);
	free(c->cert.path);
	free(c->key.path);
	free(c->ocsp.path);
	free(c);
}

const struct cert_live *cert_live(struct cert *c)
{
	struct cert_live *live = atomic_load_explicit(&c->live, memory_order_acquire), *other = NULL;
	const unsigned char *at;

	if (live)
		return live;
	live = calloc(1, sizeof(*live));
	MUST(live);
	at = c->der[0].p;
	live->x509 = d2i_X509(NULL, &at, (long)c->der[0].n);
	at = c->key_der.p;
	live->key = d2i_PrivateKey(c->key_type, NULL, &at, (long)c->key_der.n);
	if (c->der_n > 1)
		live->chain = sk_X509_new_null();
	for (uint32_t i = 1; i < c->der_n && live->chain; i++) {
		X509 *x;

		at = c->der[i].p;
		x = d2i_X509(NULL, &at, (long)c->der[i].n);
		if (x && !sk_X509_push(live->chain, x))
			X509_free(x);
	}
	if (!live->x509 || !live->key) {
		live_free(live);
		ERR_clear_error();
		return NULL;
	}
	/* Two workers may have begun at once; one form stays. */
	if (!atomic_compare_exchange_strong_explicit(
		    &c->live, &other, live, memory_order_acq_rel, memory_order_acquire)) {
		live_free(live);
		return other;
	}
	return live;
}
