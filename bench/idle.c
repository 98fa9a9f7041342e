/* bench/idle.c - opens connections, makes one request on each, and then leaves them alone.
 *
 *   idle PORT COUNT plain|tls|h2 PATH SIZE
 *
 * Prints "ready" once all are open; on end of input, how many the other side still has open. */
#include "net.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

enum kind { PLAIN, TLS, H2 };
enum { FRAME_HEAD = 9, DATA = 0, HEADERS = 1, SETTINGS = 4, PING = 6, END_STREAM = 1, ACK = 1 };

struct client {
	int fd;
	SSL *ssl; /* NULL: plain */
};

static void client_write(struct client *c, const void *p, size_t n)
{
	if (c->ssl ? SSL_write(c->ssl, p, (int)n) != (int)n : send(c->fd, p, n, MSG_NOSIGNAL) != (ssize_t)n)
		die("the contender does not take a request");
}

static size_t client_read(struct client *c, void *p, size_t n)
{
	ssize_t r = c->ssl ? SSL_read(c->ssl, p, (int)n) : recv(c->fd, p, n, 0);

	if (r <= 0)
		die("the connection ended before the answer did");
	return (size_t)r;
}

static void client_read_all(struct client *c, unsigned char *p, size_t n)
{
	for (size_t at = 0; at < n;)
		at += client_read(c, p + at, n - at);
}

static void http1_request(struct client *c, const char *path, uint64_t size)
{
	struct answer a = {0};
	char buf[65536];
	int n = snprintf(buf, sizeof(buf), "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);

	client_write(c, buf, (size_t)n);
	while (answer_feed(&a, buf, client_read(c, buf, sizeof(buf)), 200, size) == ANSWER_MORE)
		;
}

static void frame_write(
	struct client *c, unsigned type, unsigned flags, unsigned stream, const char *p, size_t n)
{
	char f[FRAME_HEAD + 256] = {
		0, (char)(n >> 8), (char)n, (char)type, (char)flags, 0, 0, 0, (char)stream};

	memcpy(f + FRAME_HEAD, p, n);
	client_write(c, f, FRAME_HEAD + n);
}

/* One GET in RFC 7541's static names and plain literals: no HPACK state is needed on this side. */
static void h2_request(struct client *c, const char *path, uint64_t size)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	unsigned char head[FRAME_HEAD], payload[16384];
	char block[256];
	uint64_t got = 0;
	bool ended = false, ok = false;
	int n = snprintf(block, sizeof(block), "\x82\x87\x04%c%s\x41\x09localhost", (int)strlen(path), path);

	client_write(c, preface, sizeof(preface) - 1);
	frame_write(c, SETTINGS, 0, 0, "", 0);
	frame_write(c, HEADERS, 0x4 | END_STREAM, 1, block, (size_t)n);
	while (!ended) {
		size_t len;

		client_read_all(c, head, FRAME_HEAD);
		len = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
		if (len > sizeof(payload))
			die("an HTTP/2 frame of %zu bytes", len);
		client_read_all(c, payload, len);
		if (head[3] == SETTINGS && !(head[4] & ACK))
			frame_write(c, SETTINGS, ACK, 0, "", 0);
		else if (head[3] == PING && !(head[4] & ACK))
			frame_write(c, PING, ACK, 0, (char *)payload, len);
		else if (head[3] == DATA)
			got += len;
		else if (head[3] ==
			 HEADERS) /* 0x88 is ":status: 200"; a table size update may stand before it */
			ok = len && (payload[0] == 0x88 || memchr(payload, 0x88, len < 8 ? len : 8));
		ended = (head[3] == DATA || head[3] == HEADERS) && (head[4] & END_STREAM);
	}
	if (!ok || got != size)
		die("HTTP/2 answer: status %s, %llu bytes of %llu", ok ? "200" : "other",
			(unsigned long long)got, (unsigned long long)size);
}

static SSL *tls_open(SSL_CTX *ctx, int fd, enum kind kind)
{
	static const unsigned char h1[] = "\x08http/1.1", h2[] = "\x02h2";
	const unsigned char *chosen;
	unsigned len;
	SSL *ssl = SSL_new(ctx);

	SSL_set_fd(ssl, fd);
	SSL_set_tlsext_host_name(ssl, "localhost");
	if (kind == H2)
		SSL_set_alpn_protos(ssl, h2, sizeof(h2) - 1);
	else
		SSL_set_alpn_protos(ssl, h1, sizeof(h1) - 1);
	if (SSL_connect(ssl) != 1)
		die("TLS handshake: %s", ERR_error_string(ERR_get_error(), NULL));
	SSL_get0_alpn_selected(ssl, &chosen, &len);
	if (kind == H2 && (len != 2 || memcmp(chosen, "h2", 2) != 0))
		die("the contender did not choose h2");
	return ssl;
}

int main(int argc, char **argv)
{
	struct client *clients;
	enum kind kind;
	uint64_t count, size, open = 0;
	uint16_t port;
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	char line[16];

	if (argc != 6 || !ctx)
		die("usage: idle PORT COUNT plain|tls|h2 PATH SIZE");
	signal(SIGPIPE, SIG_IGN);
	net_many_files();
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	port = (uint16_t)number(argv[1], "PORT", 1, 65535);
	count = number(argv[2], "COUNT", 1, 100000);
	kind = !strcmp(argv[3], "plain") ? PLAIN : !strcmp(argv[3], "tls") ? TLS : H2;
	size = number(argv[5], "SIZE", 1, 1 << 30);
	clients = calloc(count, sizeof(*clients));
	if (!clients)
		die("out of memory");
	for (uint64_t i = 0; i < count; i++) {
		clients[i].fd = net_connect(port);
		if (kind != PLAIN)
			clients[i].ssl = tls_open(ctx, clients[i].fd, kind);
		if (kind == H2)
			h2_request(&clients[i], argv[4], size);
		else
			http1_request(&clients[i], argv[4], size);
	}
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin))
		;
	for (uint64_t i = 0; i < count; i++) {
		ssize_t n = recv(clients[i].fd, line, 1, MSG_PEEK | MSG_DONTWAIT);

		open += n > 0 || (n < 0 && errno == EAGAIN);
	}
	printf("%llu\n", (unsigned long long)open);
	return 0;
}
