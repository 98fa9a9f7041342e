/* io/tls_handshake.c - a TLS connection until it is open or dead, and how failures are named; for both sides. */
#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/socket.h>
#include "base/obj.h"
#include "io/tls_transport.h"

#define PLAIN_BODY "Plain HTTP was sent to a port that speaks HTTPS. Use https:\n"
_Static_assert(sizeof(PLAIN_BODY) - 1 == 60, "the answer's Content-Length");
static const char plain_answer[] =
	"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 60\r\n"
	"Connection: close\r\n\r\n" PLAIN_BODY;

/* Counts what costs us work without bringing data: KeyUpdate, and the alert that each attempt to renegotiate is answered with. */
static void on_message(int sent, int version, int type, const void *p, size_t n, SSL *ssl, void *arg)
{
	struct tls_transport *tt = tls_transport_of(ssl);

	(void)version;
	(void)arg;
	if (!tt || tt->t.state != TRANSPORT_OPEN || n == 0)
		return;
	if (sent ? type == SSL3_RT_ALERT
		 : type == SSL3_RT_HANDSHAKE && *(const uint8_t *)p == SSL3_MT_KEY_UPDATE)
		tt->control++;
}

bool tls_context_setup(SSL_CTX *ctx)
{
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_max_early_data(ctx, 0);
	SSL_CTX_set_msg_callback(ctx, on_message);
	/* AES-128-GCM is the fastest with hardware for it; a client without prefers ChaCha20, and gets it. */
	return SSL_CTX_set_ciphersuites(ctx,
		       "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256") == 1 &&
	       SSL_CTX_set1_groups_list(ctx, "X25519:P-256:P-384") == 1;
}

const char *tls_last_error(void)
{
	unsigned long e = ERR_peek_last_error();
	const char *text = ERR_reason_error_string(e);

	ERR_clear_error();
	return text ? text : "OpenSSL failed";
}

void tls_fail(struct tls_transport *tt, enum reason why, const char *text)
{
	if (!tt->error && text)
		tt->error = strdup(text);
	ERR_clear_error();
	/* The alert, if the socket takes it: nobody waits for it. */
	wires_flush(tt);
	wire_drop(&tt->out);
	tt->t.unsent = false;
	tt->readable_still = false;
	transport_die(&tt->t, why, tt->t.sys_errno);
}

/* Not one byte has come yet? */
static bool untouched(const struct tls_transport *tt)
{
	return BIO_number_read(SSL_get_rbio(tt->ssl)) == 0;
}

static bool verify_failed(const struct tls_transport *tt)
{
	return SSL_get_verify_mode(tt->ssl) != SSL_VERIFY_NONE && SSL_get_verify_result(tt->ssl) != X509_V_OK;
}

static enum reason handshake_reason(struct tls_transport *tt, unsigned long e)
{
	if (tt->client)
		return verify_failed(tt) ? REASON_UPSTREAM_TLS_VERIFY : REASON_UPSTREAM_TLS;
	if (tt->socket_eof && untouched(tt))
		return REASON_CLIENT_GONE; /* connected and left without a word */
	if (ERR_GET_REASON(e) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
		return REASON_CERT_REQUIRED;
	return REASON_CLIENT_TLS;
}

static void handshake_failed(struct tls_transport *tt, int result)
{
	int kind = SSL_get_error(tt->ssl, result);
	unsigned long e = ERR_peek_error();
	enum reason why = handshake_reason(tt, e);
	const char *text = ERR_reason_error_string(e);

	if (verify_failed(tt))
		text = X509_verify_cert_error_string(SSL_get_verify_result(tt->ssl));
	else if (tt->socket_eof || tt->t.sys_errno || kind == SSL_ERROR_SYSCALL)
		text = tt->t.sys_errno ? strerror(tt->t.sys_errno) : "the peer closed in the handshake";
	tls_fail(tt, why, text);
}

/* RFC 8446 5.1: a record begins with its type, 20 to 24; a method begins with a letter. */
static bool looks_like_http(const struct tls_transport *tt)
{
	char c = tt->in.block->data[tt->in.off];

	return tt->server && c >= 'A' && c <= 'Z' && untouched(tt);
}

static void answer_plain(struct tls_transport *tt)
{
	/* Best effort: the buffer of a fresh socket takes it. */
	if (send(tt->t.fd, plain_answer, sizeof(plain_answer) - 1, MSG_NOSIGNAL) > 0)
		shutdown(tt->t.fd, SHUT_WR);
	transport_die(&tt->t, REASON_CLIENT_PLAIN_ON_TLS, 0);
}

/* In TLS 1.3 the server is done when the client is: what is left to send is a ticket, which nobody waits for. With the
 * first bytes of the answer it costs no call, no segment and no wakeup of its own. */
static void hold_ticket(struct tls_transport *tt)
{
	wire_settle(&tt->t.loop->mem, &tt->out);
	tt->ticket_waits = tt->out.block != NULL;
	tt->t.writable = true;
}

static void handshake_done(struct tls_transport *tt)
{
	const unsigned char *alpn;
	unsigned alpn_n;
	enum reason why = tt->client ? tls_client_check(tt) : REASON_NONE;

	if (why != REASON_NONE) {
		tls_fail(tt, why, "the protocol that was asked for in ALPN was not chosen");
		return;
	}
	SSL_get0_alpn_selected(tt->ssl, &alpn, &alpn_n);
	tt->info.version = SSL_get_version(tt->ssl);
	tt->info.cipher = SSL_get_cipher_name(tt->ssl);
	tt->info.alpn = (struct str){(const char *)alpn, alpn_n};
	tt->info.resumed = SSL_session_reused(tt->ssl);
	if (tt->server) {
		tt->info.took_us = (uint32_t)(tt->t.loop->now_us - tt->info.begun_us);
		tls_server_describe(tt);
	}
	tt->t.state = TRANSPORT_OPEN;
	/* What came behind the handshake waits here: the socket will not say so again. */
	tt->t.readable = tt->socket_readable || wire_bytes(&tt->in);
	if (tt->server && SSL_version(tt->ssl) >= TLS1_3_VERSION && tt->socket_writable)
		hold_ticket(tt);
	else
		wires_flush(tt);
}

void tls_handshake(struct tls_transport *tt)
{
	int result, kind;

	if (!wire_bytes(&tt->in) && tt->socket_readable) {
		wires_receive(tt, TLS_RECV_MIN);
		if (wire_bytes(&tt->in) && looks_like_http(tt)) {
			answer_plain(tt);
			return;
		}
	}
	tt->may_receive = true;
	ERR_clear_error();
	result = SSL_do_handshake(tt->ssl);
	tt->offered = NULL;
	if (result == 1) {
		handshake_done(tt);
	} else {
		kind = SSL_get_error(tt->ssl, result);
		if ((kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE) && !tt->t.sys_errno)
			wires_flush(tt);
		else
			handshake_failed(tt, result);
	}
	wire_settle(&tt->t.loop->mem, &tt->in);
}
