/* io/tls_server.c - the accepting side: which certificate, which protocol, whose tickets. */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "base/obj.h"
#include "io/tls.h"
#include "io/tls_transport.h"

#define TLS_SERVER_MAGIC 0x715e12f3
#define SUBJECT_MAX      1024

/* TLS 1.2: forward secrecy and AEAD only. */
static const char default_ciphers[] =
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
	"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

/* RFC 7301: each name with its length before it, in our order. */
static const uint8_t alpn_h2[] = "\x02h2\x08http/1.1";
static const uint8_t alpn_http1[] = "\x08http/1.1";

struct tls_server {
	uint32_t magic;
	uint32_t refs; /* the owner's and one for each connection; one thread */
	SSL_CTX *ctx;
	BIO_METHOD *method;
	struct cert_store *store;
	struct ticket_keys *keys;
	struct tls_binding binding;
	bool http2;
	bool client_certs;
	uint8_t policy[TLS_DIGEST]; /* of everything that the context was made from */
};

/* -- policy -- */
static bool digest_file(EVP_MD_CTX *md, const char *path)
{
	FILE *f = fopen(path, "re");
	char buf[4096];
	size_t n;
	bool ok;

	if (!f)
		return false;
	while ((n = fread(buf, 1, sizeof(buf), f)) > 0)
		EVP_DigestUpdate(md, buf, n);
	ok = !ferror(f);
	fclose(f);
	return ok;
}

/* SHA-256 over what decides who is let in (auth) and over the whole policy. The first goes into every session, so that one made without
 * a client certificate is not resumed where one is required. */
static bool policy_digest(const struct conf_listener_tls *conf, bool http2, uint8_t auth[TLS_DIGEST],
	uint8_t policy[TLS_DIGEST])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t rest[] = {conf->min_version, http2, (uint8_t)(conf->ciphers.n != 0)};
	bool ok;

	MUST(md);
	ok = EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;
	if (ok && conf->client_ca.n) {
		EVP_DigestUpdate(md, &conf->client_auth, 1);
		ok = digest_file(md, conf->client_ca.p);
	}
	ok = ok && EVP_DigestFinal_ex(md, auth, NULL) == 1 && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;
	if (ok) {
		EVP_DigestUpdate(md, auth, TLS_DIGEST);
		EVP_DigestUpdate(md, rest, sizeof(rest));
		EVP_DigestUpdate(md, conf->ciphers.p, conf->ciphers.n);
		ok = EVP_DigestFinal_ex(md, policy, NULL) == 1;
	}
	EVP_MD_CTX_free(md);
	return ok;
}

/* -- callbacks of the handshake, in the order in which they come -- */
/* RFC 6066 3: the one host_name in a server_name extension; false when it is malformed. No extension is an empty name. */
static bool sni_parse(SSL *ssl, struct str *name)
{
	const unsigned char *p;
	size_t n;

	*name = STR_NONE;
	if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &p, &n))
		return true;
	if (n < 5 || (size_t)(p[0] << 8 | p[1]) != n - 2 || p[2] != TLSEXT_NAMETYPE_host_name ||
		(size_t)(p[3] << 8 | p[4]) != n - 5)
		return false;
	*name = (struct str){(const char *)p + 5, n - 5};
	/* A name at the root is the same name (RFC 6066 has it without the dot). */
	if (name->n > 1 && name->p[name->n - 1] == '.')
		name->n--;
	if (name->n == 0 || name->n > 253)
		return false;
	for (size_t i = 0; i < name->n; i++)
		if (name->p[i] <= ' ' || name->p[i] >= 127)
			return false;
	return true;
}

/* Runs before OpenSSL looks at tickets, so the owner of the name is known when they are opened. */
static int on_client_hello(SSL *ssl, int *alert, void *arg)
{
	struct tls_transport *tt = tls_transport_of(ssl);
	const struct tls_server *s = arg;
	struct str name;

	if (!sni_parse(ssl, &name)) {
		*alert = SSL_AD_DECODE_ERROR;
		return SSL_CLIENT_HELLO_ERROR;
	}
	/* After a HelloRetryRequest it comes again, and what it says now counts. */
	free(tt->sni);
	tt->sni = NULL;
	tt->info.sni = STR_NONE;
	if (name.n) {
		tt->sni = malloc(name.n);
		MUST(tt->sni);
		for (size_t i = 0; i < name.n; i++)
			tt->sni[i] = str_lower_char(name.p[i]);
		tt->info.sni = (struct str){tt->sni, name.n};
	}
	memset(tt->digest, 0, sizeof(tt->digest));
	tt->info.binding = s->binding.of ? s->binding.of(s->binding.ctx, tt->info.sni, tt->digest) : NULL;
	return SSL_CLIENT_HELLO_SUCCESS;
}

static int use_cert(SSL *ssl, struct cert *c)
{
	const struct cert_live *live = cert_live(c);

	return live && SSL_use_cert_and_key(ssl, live->x509, live->key, live->chain, 1) == 1;
}

static int on_cert(SSL *ssl, void *arg)
{
	struct tls_transport *tt = tls_transport_of(ssl);
	const struct tls_server *s = arg;

	tt->offered = cert_store_find(s->store, tt->info.sni);
	SSL_certs_clear(ssl);
	for (size_t i = 0; i < COUNT_OF(tt->offered->v); i++)
		if (tt->offered->v[i] && !use_cert(ssl, tt->offered->v[i]))
			return 0;
	return 1;
}

/* Comes after on_cert in the same step, when OpenSSL has picked one of those offered. */
static int on_status(SSL *ssl, void *arg)
{
	struct tls_transport *tt = tls_transport_of(ssl);
	const X509 *chosen = SSL_get_certificate(ssl);

	(void)arg;
	for (size_t i = 0; tt->offered && i < COUNT_OF(tt->offered->v); i++) {
		struct cert *c = tt->offered->v[i];
		const struct cert_live *live = c ? cert_live(c) : NULL;
		uint8_t *copy;

		if (!live || live->x509 != chosen || c->staple.n == 0 ||
			(c->staple_until && c->staple_until < time(NULL)))
			continue;
		copy = OPENSSL_memdup(c->staple.p, c->staple.n);
		if (!copy)
			return SSL_TLSEXT_ERR_NOACK;
		SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)c->staple.n);
		return SSL_TLSEXT_ERR_OK;
	}
	return SSL_TLSEXT_ERR_NOACK;
}

/* RFC 7301 3.2: no overlap is a fatal alert, never a guess. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n, const unsigned char *offered,
	unsigned offered_n, void *arg)
{
	const struct tls_server *s = arg;
	const uint8_t *ours = s->http2 ? alpn_h2 : alpn_http1;
	unsigned ours_n = (s->http2 ? sizeof(alpn_h2) : sizeof(alpn_http1)) - 1;

	(void)ssl;
	/* The result points into what the client offered, or ours; both outlive the call. */
	if (SSL_select_next_proto((unsigned char **)(uintptr_t)out, out_n, ours, ours_n, offered,
		    offered_n) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	return SSL_TLSEXT_ERR_OK;
}

/* -- tickets -- */
static int on_ticket_key(
	SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seal)
{
	const struct tls_server *s = tls_transport_of(ssl)->server;

	return seal ? ticket_seal(s->keys, name, iv, cipher, mac)
		    : ticket_open(s->keys, name, iv, cipher, mac);
}

static int on_ticket_seal(SSL *ssl, void *arg)
{
	struct tls_transport *tt = tls_transport_of(ssl);

	(void)arg;
	return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), tt->digest, sizeof(tt->digest));
}

static SSL_TICKET_RETURN on_ticket_open(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
	size_t name_n, SSL_TICKET_STATUS status, void *arg)
{
	struct tls_transport *tt = tls_transport_of(ssl);
	void *bound = NULL;
	size_t n = 0;

	(void)name;
	(void)name_n;
	(void)arg;
	switch (status) {
	case SSL_TICKET_EMPTY: /* the client has none yet and asks for one */
	case SSL_TICKET_NO_DECRYPT:
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	case SSL_TICKET_SUCCESS:
	case SSL_TICKET_SUCCESS_RENEW:
		break;
	default:
		return SSL_TICKET_RETURN_ABORT;
	}
	if (SSL_SESSION_get0_ticket_appdata(session, &bound, &n) != 1 || n != sizeof(tt->digest) ||
		CRYPTO_memcmp(bound, tt->digest, n) != 0)
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	/* RFC 8446 C.4: a client uses a ticket of TLS 1.3 once, so it leaves with a new one or could resume no further. */
	return status == SSL_TICKET_SUCCESS && SSL_version(ssl) < TLS1_3_VERSION
		       ? SSL_TICKET_RETURN_USE
		       : SSL_TICKET_RETURN_USE_RENEW;
}

/* -- the context -- */
static bool setup_policy(struct tls_server *s, const struct conf_listener_tls *conf)
{
	SSL_CTX *ctx = s->ctx;

	SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(ctx, 1);
	SSL_CTX_set_timeout(ctx, TICKET_LIFETIME_S);
	return tls_context_setup(ctx) &&
	       SSL_CTX_set_min_proto_version(
		       ctx, conf->min_version == CONF_TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION) == 1 &&
	       SSL_CTX_set_cipher_list(ctx, conf->ciphers.n ? conf->ciphers.p : default_ciphers) == 1;
}

static void setup_callbacks(struct tls_server *s)
{
	SSL_CTX_set_client_hello_cb(s->ctx, on_client_hello, s);
	SSL_CTX_set_cert_cb(s->ctx, on_cert, s);
	SSL_CTX_set_tlsext_status_cb(s->ctx, on_status);
	SSL_CTX_set_alpn_select_cb(s->ctx, on_alpn, s);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(s->ctx, on_ticket_key);
	SSL_CTX_set_session_ticket_cb(s->ctx, on_ticket_seal, on_ticket_open, s);
}

static bool setup_client_certs(struct tls_server *s, const struct conf_listener_tls *conf)
{
	STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(conf->client_ca.p);
	int mode = SSL_VERIFY_PEER;

	if (!names || SSL_CTX_load_verify_file(s->ctx, conf->client_ca.p) != 1) {
		sk_X509_NAME_pop_free(names, X509_NAME_free);
		return false;
	}
	SSL_CTX_set_client_CA_list(s->ctx, names);
	if (conf->client_auth == CONF_CLIENT_REQUIRED)
		mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	SSL_CTX_set_verify(s->ctx, mode, NULL);
	s->client_certs = true;
	return true;
}

struct tls_server *tls_server_new(const struct conf_listener_tls *conf, struct cert_store *store,
	struct ticket_keys *keys, bool http2, char *err, size_t err_n)
{
	struct tls_server *s = calloc(1, sizeof(*s));
	uint8_t auth[TLS_DIGEST];

	MUST(s);
	*s = (struct tls_server){.magic = TLS_SERVER_MAGIC, .refs = 1, .http2 = http2};
	s->store = cert_store_ref(store);
	s->keys = ticket_keys_ref(keys);
	s->method = tls_bio_method();
	s->ctx = SSL_CTX_new(TLS_server_method());
	if (!s->ctx || !setup_policy(s, conf)) {
		snprintf(err, err_n, "these TLS settings are not usable: %s", tls_last_error());
		goto fail;
	}
	if (!policy_digest(conf, http2, auth, s->policy) ||
		(conf->client_ca.n && !setup_client_certs(s, conf))) {
		snprintf(err, err_n, "client_ca %.*s cannot be read as PEM certificates: %s",
			STR_ARG(conf->client_ca), tls_last_error());
		goto fail;
	}
	SSL_CTX_set_session_id_context(s->ctx, auth, SSL_MAX_SSL_SESSION_ID_LENGTH);
	setup_callbacks(s);
	ERR_clear_error();
	return s;
fail:
	tls_server_unref(s);
	return NULL;
}

bool tls_server_fits(const struct tls_server *s, const struct conf_listener_tls *conf, bool http2)
{
	uint8_t auth[TLS_DIGEST], policy[TLS_DIGEST];

	return policy_digest(conf, http2, auth, policy) && memcmp(policy, s->policy, sizeof(policy)) == 0;
}

void tls_server_set_store(struct tls_server *s, struct cert_store *store)
{
	struct cert_store *former = s->store;

	s->store = cert_store_ref(store);
	cert_store_unref(former);
}

void tls_server_set_keys(struct tls_server *s, struct ticket_keys *keys)
{
	struct ticket_keys *former = s->keys;

	s->keys = ticket_keys_ref(keys);
	ticket_keys_unref(former);
}

void tls_server_set_binding(struct tls_server *s, struct tls_binding binding)
{
	s->binding = binding;
}

void tls_server_unref(struct tls_server *s)
{
	if (!s || --s->refs > 0)
		return;
	SSL_CTX_free(s->ctx);
	BIO_meth_free(s->method);
	cert_store_unref(s->store);
	ticket_keys_unref(s->keys);
	s->magic = 0;
	free(s);
}

void tls_server_release(struct tls_server *s)
{
	if (!s)
		return;
	OBJ_CHECK(s, TLS_SERVER_MAGIC);
	s->binding = (struct tls_binding){0};
	tls_server_unref(s);
}

/* -- connections -- */
struct transport *tls_accept(
	struct loop *l, int fd, const struct addr *peer, const struct addr *local, struct tls_server *s)
{
	SSL *ssl = SSL_new(s->ctx);
	struct tls_transport *tt;

	OBJ_CHECK(s, TLS_SERVER_MAGIC);
	if (!ssl) {
		ERR_clear_error();
		close(fd);
		return NULL;
	}
	SSL_set_accept_state(ssl);
	tt = tls_transport_new(l, fd, ssl, s->method, TRANSPORT_HANDSHAKE);
	if (!tt)
		return NULL;
	s->refs++;
	tt->server = s;
	tt->info.begun_us = l->now_us;
	tt->t.peer = *peer;
	tt->t.local = *local;
	return &tt->t;
}

static struct str subject_text(X509 *x)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *p = NULL, *copy;
	long n;

	MUST(bio);
	/* RFC 2253, with everything that is not printable ASCII escaped: it is to stand in a header. */
	X509_NAME_print_ex(bio, X509_get_subject_name(x), 0, XN_FLAG_RFC2253);
	n = BIO_get_mem_data(bio, &p);
	if (n > SUBJECT_MAX)
		n = SUBJECT_MAX;
	copy = malloc((size_t)n + 1);
	MUST(copy);
	memcpy(copy, p, (size_t)n);
	copy[n] = 0;
	BIO_free(bio);
	return (struct str){copy, (size_t)n};
}

/* A name with a comma or a control byte could pass for two: it is left out. */
static bool is_plain_name(const char *p, int n)
{
	for (int i = 0; i < n; i++)
		if ((unsigned char)p[i] <= ' ' || (unsigned char)p[i] >= 0x7f || p[i] == ',')
			return false;
	return n > 0;
}

static struct str names_text(X509 *x)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	char *text = malloc(SUBJECT_MAX);
	struct text t = text_in(text, SUBJECT_MAX);

	MUST(text);
	for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(all, i);
		const char *kind = name->type == GEN_DNS   ? "DNS"
				   : name->type == GEN_URI ? "URI"
							   : "email",
			   *p;
		int n;

		if (name->type != GEN_DNS && name->type != GEN_URI && name->type != GEN_EMAIL)
			continue;
		p = (const char *)ASN1_STRING_get0_data(name->d.ia5);
		n = ASN1_STRING_length(name->d.ia5);
		/* One that does not fit is left out as a whole. */
		if (is_plain_name(p, n) && (size_t)n + 8 < SUBJECT_MAX - t.n)
			text_fmt(&t, "%s%s:%.*s", t.n ? "," : "", kind, n, p);
	}
	GENERAL_NAMES_free(all);
	return text_str(&t);
}

static struct str fingerprint_text(X509 *x)
{
	static const char hex[] = "0123456789abcdef";
	uint8_t md[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	char *text;

	if (X509_digest(x, EVP_sha256(), md, &n) != 1)
		return STR_NONE;
	text = malloc(2 * n + 1);
	MUST(text);
	for (unsigned i = 0; i < n; i++) {
		text[2 * i] = hex[md[i] >> 4];
		text[2 * i + 1] = hex[md[i] & 15];
	}
	text[2 * n] = 0;
	return (struct str){text, 2 * n};
}

void tls_server_describe(struct tls_transport *tt)
{
	X509 *x = tt->server->client_certs ? SSL_get0_peer_certificate(tt->ssl) : NULL;

	if (x && SSL_get_verify_result(tt->ssl) == X509_V_OK) {
		tt->info.peer_subject = subject_text(x);
		tt->info.peer_names = names_text(x);
		tt->info.peer_fingerprint = fingerprint_text(x);
	}
}
