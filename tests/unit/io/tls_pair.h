/* tests/unit/io/tls_pair.h - a server and a client of ours on the two ends of a socket pair, or with a relay between them that passes
 * one byte at a time. */
#ifndef WEIR_TESTS_IO_TLS_PAIR_H
#define WEIR_TESTS_IO_TLS_PAIR_H

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <time.h>
#include "certs.h"
#include "io/tls_transport.h"

#define PATIENCE_MS 20000 /* for what is expected; nothing waits that long unless it is broken */

struct end {
	struct transport *t;
	char *got;
	size_t got_n, got_cap;
	const char *out; /* still to be written */
	size_t out_n;
	size_t read_limit; /* of one read; 0: as much as there is room */
	bool eof, dead, paused, shut;
	uint32_t events;
};

struct tls_pair {
	struct loop loop;
	char *dir;
	struct made_cert ca, cert;
	struct conf_cert conf_cert;
	struct conf_listener_tls conf;
	struct conf_upstream_tls upstream;
	struct cert_store *store;
	struct ticket_keys *keys;
	struct tls_server *server;
	struct tls_client *client;
	struct end s, c;
	char err[256];
	bool http2;
	uint8_t protocol;
	int max_version; /* of the client; 0: OpenSSL's */
	bool drip; /* with the relay */
	int relay[2]; /* its ends: towards the client, towards the server */
};

static inline uint64_t test_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static inline void say_nothing(void *ctx, struct conf_place place, bool warning, const char *text)
{
	(void)ctx;
	(void)place;
	if (!warning)
		fprintf(stderr, "%s\n", text);
}

static inline struct str zstr(const char *z)
{
	return str_of(z);
}

static inline void pair_open_contexts(struct tls_pair *p)
{
	p->store = cert_store_new(&p->conf, NULL, say_nothing, NULL);
	MUST(p->store);
	p->server = tls_server_new(&p->conf, p->store, p->keys, p->http2, p->err, sizeof(p->err));
	p->client = tls_client_new(&p->upstream, p->protocol, p->err, sizeof(p->err));
	MUST(p->server && p->client);
}

/* A listener with one certificate for shop.test, of a CA that the client trusts. The test may change conf, upstream, http2, protocol
 * before pair_open_contexts(). */
static inline void pair_init(struct tls_pair *p)
{
	*p = (struct tls_pair){.dir = certs_dir(), .protocol = CONF_HTTP1};
	MUST(loop_init(&p->loop));
	p->ca = make_cert(p->dir, (struct cert_wish){.file = "ca", .cn = "Test CA"});
	p->cert = make_cert(p->dir,
		(struct cert_wish){
			.file = "shop", .cn = "shop.test", .sans = "DNS:shop.test", .issuer = &p->ca});
	p->conf_cert = (struct conf_cert){.cert = zstr(p->cert.cert), .key = zstr(p->cert.key_path)};
	p->conf = (struct conf_listener_tls){.certs = &p->conf_cert, .cert_n = 1};
	p->upstream = (struct conf_upstream_tls){.on = true, .verify = true, .ca = zstr(p->ca.cert)};
	p->keys = ticket_keys_rotate(NULL);
	p->relay[0] = p->relay[1] = -1;
}

static inline void end_on_event(struct transport *t)
{
	struct end *e = t->user;
	ssize_t n;

	e->events++;
	if (t->state == TRANSPORT_DEAD)
		e->dead = true;
	if (t->state != TRANSPORT_OPEN && t->state != TRANSPORT_DEAD)
		return;
	while (e->out_n && t->writable) {
		struct iovec iov = {(void *)(uintptr_t)e->out, e->out_n};

		n = transport_writev(t, &iov, 1);
		if (n <= 0)
			break;
		e->out += n;
		e->out_n -= (size_t)n;
	}
	while (t->readable && !e->paused) {
		size_t room = e->read_limit ? e->read_limit : 20000;

		if (e->got_cap - e->got_n < room) {
			e->got_cap = (e->got_cap + room) * 2;
			e->got = realloc(e->got, e->got_cap);
			MUST(e->got);
		}
		n = transport_read(t, e->got + e->got_n, room);
		if (n > 0)
			e->got_n += (size_t)n;
		else if (n == TRANSPORT_EOF)
			e->eof = true;
		else if (n == TRANSPORT_ERROR)
			e->dead = true;
		if (n <= 0)
			break;
	}
}

static inline void end_close(struct end *e)
{
	transport_close(&e->t);
	free(e->got);
	*e = (struct end){0};
}

static inline SSL *ssl_of(const struct end *e)
{
	return ((struct tls_transport *)e->t)->ssl;
}

static inline void nonblock_pair(int fds[2])
{
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
}

static inline void end_set(struct end *e, struct transport *t)
{
	e->t = t;
	t->on_event = end_on_event;
	t->user = e;
}

/* Connects a client that asks for name to the server. */
static inline void pair_connect(struct tls_pair *p, const char *name)
{
	struct addr server_addr, client_addr;
	enum reason why;
	int fds[2], other[2];

	MUST(addr_parse(&server_addr, STR("127.0.0.1:8443")) &&
		addr_parse(&client_addr, STR("127.0.0.1:50000")));
	nonblock_pair(fds);
	if (p->drip) {
		nonblock_pair(other);
		p->relay[0] = fds[1];
		p->relay[1] = other[0];
		fds[1] = other[1];
	}
	end_set(&p->c, tls_connect_fd(&p->loop, fds[0], &server_addr, p->client, zstr(name), &why));
	if (p->max_version)
		SSL_set_max_proto_version(ssl_of(&p->c), p->max_version);
	end_set(&p->s, tls_accept(&p->loop, fds[1], &client_addr, &server_addr, p->server));
}

static inline void relay_byte(int from, int to)
{
	char c;

	if (recv(from, &c, 1, 0) == 1)
		MUST(send(to, &c, 1, MSG_NOSIGNAL) == 1 || errno == EPIPE || errno == ECONNRESET);
}

/* Turns the loop until cond; false when patience ends. */
#define PAIR_UNTIL(p, cond) \
	({ \
		uint64_t end_ = test_ms() + PATIENCE_MS; \
		while (!(cond) && test_ms() < end_) \
			pair_turn(p); \
		!!(cond); \
	})

static inline void pair_turn(struct tls_pair *p)
{
	if (p->relay[0] >= 0) {
		relay_byte(p->relay[0], p->relay[1]);
		relay_byte(p->relay[1], p->relay[0]);
		loop_once(&p->loop, 0);
	} else {
		loop_once(&p->loop, 20);
	}
}

static inline bool end_open(const struct end *e)
{
	return e->t && e->t->state == TRANSPORT_OPEN;
}

static inline void pair_write(struct end *e, const char *bytes, size_t n)
{
	e->out = bytes;
	e->out_n = n;
	end_on_event(e->t);
}

static inline void pair_disconnect(struct tls_pair *p)
{
	end_close(&p->s);
	end_close(&p->c);
	for (int i = 0; i < 2; i++) {
		if (p->relay[i] >= 0)
			close(p->relay[i]);
		p->relay[i] = -1;
	}
	loop_once(&p->loop, 0);
}

static inline void pair_free(struct tls_pair *p)
{
	pair_disconnect(p);
	tls_server_release(p->server);
	tls_client_release(p->client);
	cert_store_unref(p->store);
	ticket_keys_unref(p->keys);
	made_cert_free(&p->ca);
	made_cert_free(&p->cert);
	loop_free(&p->loop);
	certs_dir_remove(p->dir);
}

#endif
