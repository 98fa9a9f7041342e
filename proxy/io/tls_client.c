/* io/tls_client.c - the connecting side: whom to trust, what to offer, which session to go on with. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/file.h"
#include "base/map.h"
#include "base/obj.h"
#include "io/tls.h"
#include "io/tls_transport.h"

#define TLS_CLIENT_MAGIC 0x7c11e472
#define NAME_MAX_BYTES   254

static const uint8_t alpn_http1[] = "\x08http/1.1";
static const uint8_t alpn_h2[] = "\x02h2";
static const uint8_t alpn_both[] = "\x02h2\x08http/1.1";

/* The last session with one backend under one name. Name and address are compared in full: a resumed session is not verified
 * again, so it must never serve another name. */
struct session_slot {
	struct addr to;
	char name[NAME_MAX_BYTES];
	SSL_SESSION *session; /* NULL: free */
};

/* As many as a worker may talk to in turn; two that fall on one slot take turns, at the price of full handshakes. */
#define SESSION_SLOTS 256

struct tls_client {
	uint32_t magic;
	uint32_t refs; /* the owner's and one for each connection; one thread */
	SSL_CTX *ctx;
	BIO_METHOD *method;
	uint8_t protocol; /* enum conf_protocol */
	bool verify;
	struct session_slot *slots[SESSION_SLOTS];
};

static struct session_slot *slot_of(struct tls_client *c, const struct addr *to, const char *name, bool make)
{
	uint64_t h = hash_bytes(to->ip, sizeof(to->ip), to->port);
	struct session_slot **slot = &c->slots[hash_bytes(name, strlen(name), h) % SESSION_SLOTS];
	struct session_slot *s = *slot;

	if (!s && make) {
		s = *slot = calloc(1, sizeof(*s));
		MUST(s);
	}
	if (!s)
		return NULL;
	if (s->to.family == to->family && s->to.port == to->port && addr_eq_ip(&s->to, to) &&
		strcmp(s->name, name) == 0)
		return s;
	if (!make)
		return NULL;
	SSL_SESSION_free(s->session);
	s->session = NULL;
	s->to = *to;
	snprintf(s->name, sizeof(s->name), "%s", name);
	return s;
}

static int on_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls_transport *tt = tls_transport_of(ssl);
	struct session_slot *slot;

	/* All unix sockets look alike here. */
	if (tt->t.peer.family == ADDR_UNIX || tt->t.peer.family == ADDR_NONE)
		return 0;
	slot = slot_of(tt->client, &tt->t.peer, tt->sni, true);
	SSL_SESSION_free(slot->session);
	slot->session = session;
	return 1; /* the reference is ours now */
}

static bool setup_trust(SSL_CTX *ctx, const struct conf_upstream_tls *conf, char *err, size_t err_n)
{
	const char *why;

	if (!conf->verify) {
		SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
		return true;
	}
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	if (conf->ca.n) {
		int fd = file_open(conf->ca.p, &why);

		if (fd < 0) {
			snprintf(err, err_n, "ca %s cannot be read: %s", conf->ca.p, why);
			return false;
		}
		close(fd);
	}
	if (conf->ca.n ? SSL_CTX_load_verify_file(ctx, conf->ca.p) == 1
		       : SSL_CTX_set_default_verify_paths(ctx) == 1)
		return true;
	snprintf(err, err_n, "ca %s cannot be read as PEM certificates: %s",
		conf->ca.n ? conf->ca.p : "of the system", tls_last_error());
	return false;
}

static void setup_alpn(struct tls_client *c)
{
	switch (c->protocol) {
	case CONF_H2:
		SSL_CTX_set_alpn_protos(c->ctx, alpn_h2, sizeof(alpn_h2) - 1);
		break;
	case CONF_AUTO:
		SSL_CTX_set_alpn_protos(c->ctx, alpn_both, sizeof(alpn_both) - 1);
		break;
	default:
		SSL_CTX_set_alpn_protos(c->ctx, alpn_http1, sizeof(alpn_http1) - 1);
	}
}

static void keep_first_error(void *ctx, bool warning, const char *text)
{
	struct text *err = ctx;

	if (!warning && err->n == 0)
		text_put(err, str_of(text));
}

static bool setup_own_cert(SSL_CTX *ctx, const struct conf_upstream_tls *conf, char *err, size_t err_n)
{
	struct text text = text_in(err, err_n - 1);
	struct cert_log log = {keep_first_error, &text};
	struct cert *cert;
	const struct cert_live *live;
	bool ok;

	if (conf->cert.n == 0)
		return true;
	cert = cert_load(conf->cert.p, conf->key.p, NULL, &log);
	err[text.n] = 0;
	if (!cert)
		return false;
	live = cert_live(cert);
	ok = live && SSL_CTX_use_cert_and_key(ctx, live->x509, live->key, live->chain, 1) == 1;
	if (!ok)
		snprintf(err, err_n, "%s: %s", conf->cert.p, tls_last_error());
	cert_unref(cert); /* the context holds OpenSSL's objects itself */
	return ok;
}

struct tls_client *tls_client_new(
	const struct conf_upstream_tls *conf, uint8_t protocol, char *err, size_t err_n)
{
	struct tls_client *c = calloc(1, sizeof(*c));

	MUST(c);
	*c = (struct tls_client){
		.magic = TLS_CLIENT_MAGIC, .refs = 1, .protocol = protocol, .verify = conf->verify};
	c->method = tls_bio_method();
	c->ctx = SSL_CTX_new(TLS_client_method());
	if (!c->ctx || !tls_context_setup(c->ctx) ||
		SSL_CTX_set_min_proto_version(c->ctx, TLS1_2_VERSION) != 1) {
		snprintf(err, err_n, "%s", tls_last_error());
		goto fail;
	}
	if (!setup_trust(c->ctx, conf, err, err_n) || !setup_own_cert(c->ctx, conf, err, err_n))
		goto fail;
	setup_alpn(c);
	SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(c->ctx, on_session);
	ERR_clear_error();
	return c;
fail:
	tls_client_unref(c);
	return NULL;
}

void tls_client_unref(struct tls_client *c)
{
	if (!c || --c->refs > 0)
		return;
	for (size_t i = 0; i < SESSION_SLOTS; i++) {
		if (c->slots[i])
			SSL_SESSION_free(c->slots[i]->session);
		free(c->slots[i]);
	}
	SSL_CTX_free(c->ctx);
	BIO_meth_free(c->method);
	c->magic = 0;
	free(c);
}

void tls_client_release(struct tls_client *c)
{
	if (!c)
		return;
	OBJ_CHECK(c, TLS_CLIENT_MAGIC);
	tls_client_unref(c);
}

/* What the certificate must say. False: there is nothing that could be compared. */
static bool expect(SSL *ssl, const struct addr *to, const char *name, bool verify)
{
	struct addr literal;
	const struct addr *ip = to;

	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (name[0] && !addr_parse_ip(&literal, str_of(name)))
		return SSL_set_tlsext_host_name(ssl, name) == 1 && SSL_set1_host(ssl, name) == 1;
	/* RFC 6066 3: an address is never an SNI. */
	if (name[0])
		ip = &literal;
	if (ip->family != ADDR_IP4 && ip->family != ADDR_IP6)
		return !verify;
	return X509_VERIFY_PARAM_set1_ip(SSL_get0_param(ssl), ip->ip, ip->family == ADDR_IP4 ? 4 : 16) == 1;
}

static struct transport *start(struct loop *l, int fd, const struct addr *to, struct tls_client *c,
	struct str name, enum transport_state state, enum reason *why)
{
	char name_z[NAME_MAX_BYTES];
	struct tls_transport *tt;
	struct session_slot *slot;
	SSL *ssl;

	OBJ_CHECK(c, TLS_CLIENT_MAGIC);
	*why = REASON_UPSTREAM_TLS;
	ssl = name.n < sizeof(name_z) ? SSL_new(c->ctx) : NULL;
	if (!ssl) {
		close(fd);
		return NULL;
	}
	memcpy(name_z, name.p ? name.p : "", name.n);
	name_z[name.n] = 0;
	if (!expect(ssl, to, name_z, c->verify)) {
		*why = REASON_UPSTREAM_TLS_VERIFY;
		SSL_free(ssl);
		close(fd);
		return NULL;
	}
	SSL_set_connect_state(ssl);
	slot = slot_of(c, to, name_z, false);
	if (slot && slot->session)
		SSL_set_session(ssl, slot->session);
	tt = tls_transport_new(l, fd, ssl, c->method, state);
	if (!tt)
		return NULL;
	c->refs++;
	tt->client = c;
	tt->t.peer = *to;
	tt->sni = strdup(name_z);
	MUST(tt->sni);
	tt->info.sni = str_of(tt->sni);
	return &tt->t;
}

struct transport *tls_connect(struct loop *l, const struct addr *to, const char *unix_path,
	struct tls_client *c, struct str name, struct str preamble, enum reason *why)
{
	int fd = -1, err = socket_connect(to, unix_path, &fd);
	struct transport *t;

	if (err) {
		*why = connect_reason(err);
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	t = start(l, fd, to, c, name, TRANSPORT_CONNECTING, why);
	if (t)
		tls_transport_prepend((struct tls_transport *)t, preamble);
	return t;
}

struct transport *tls_connect_fd(struct loop *l, int fd, const struct addr *to, struct tls_client *c,
	struct str name, enum reason *why)
{
	return start(l, fd, to, c, name, TRANSPORT_HANDSHAKE, why);
}

void tls_offer_http1(struct transport *t)
{
	struct tls_transport *tt = (struct tls_transport *)t;

	/* It fails only for want of memory, which ends the process. */
	MUST(SSL_set_alpn_protos(tt->ssl, alpn_http1, sizeof(alpn_http1) - 1) == 0);
	tt->offers_http1 = true;
}

enum reason tls_client_check(struct tls_transport *tt)
{
	const unsigned char *alpn;
	unsigned n;

	SSL_get0_alpn_selected(tt->ssl, &alpn, &n);
	if (tt->client->protocol == CONF_H2 && !tt->offers_http1 && !(n == 2 && memcmp(alpn, "h2", 2) == 0))
		return REASON_UPSTREAM_ALPN;
	return REASON_NONE;
}
