/* house.h - the whole way of a request in one thread: connections of clients, exchanges, pools of connections to backends. What
 * worker/ sets up for a thread, here around a loop that the test turns.
 *
 * Clients come from house_client_fd(), backends are whatever the configuration names. */
#ifndef WEIR_TESTS_EXCHANGE_HOUSE_H
#define WEIR_TESTS_EXCHANGE_HOUSE_H

#include "unit.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/obj.h"
#include "exchange/exchange.h"
#include "io/certs.h"
#include "io/inbound.h"

#define HOUSE_LOG (1u << 16)

struct house {
	struct loop loop;
	struct edge edge;
	struct backend_registry backends;
	struct slots pool_slots, service_slots;
	struct snapshot *snapshot;
	struct snapshot_use use;
	struct entry *entry;
	struct inbounds inbounds;
	struct inbound_conf inbound;
	struct tls_client *tls_client; /* to backends; NULL: plain */
	struct list conns; /* of clients */
	uint32_t conn_n;
	struct ring log;
	struct addr peer, local; /* what clients are said to come from, and to */
	size_t most; /* bytes of blocks in use, the most that was seen */
};

/* A certificate for shop.test, its authority, and what is made of them; for all houses of a program. */
struct house_tls {
	char *dir;
	struct made_cert ca, cert;
	struct conf_cert conf_cert;
	struct conf_listener_tls conf;
	struct cert_store *store;
	struct ticket_keys *keys;
};

static inline void house_tls_say(void *ctx, struct conf_place place, bool warning, const char *text)
{
	(void)ctx;
	(void)place;
	if (!warning)
		fprintf(stderr, "%s\n", text);
}

static inline void house_tls_init(struct house_tls *t)
{
	*t = (struct house_tls){.dir = certs_dir(), .keys = ticket_keys_rotate(NULL)};
	t->ca = make_cert(t->dir, (struct cert_wish){.file = "ca", .cn = "Test CA"});
	t->cert = make_cert(t->dir,
		(struct cert_wish){
			.file = "shop", .cn = "shop.test", .sans = "DNS:shop.test", .issuer = &t->ca});
	t->conf_cert = (struct conf_cert){.cert = str_of(t->cert.cert), .key = str_of(t->cert.key_path)};
	t->conf = (struct conf_listener_tls){.certs = &t->conf_cert, .cert_n = 1};
	t->store = cert_store_new(&t->conf, NULL, house_tls_say, NULL);
	MUST(t->store);
}

static inline void house_tls_free(struct house_tls *t)
{
	cert_store_unref(t->store);
	ticket_keys_unref(t->keys);
	made_cert_free(&t->ca);
	made_cert_free(&t->cert);
	certs_dir_remove(t->dir);
}

/* -- connections of clients: as worker/gate.c -- */

static void house_on_stream(struct http_conn *c, struct stream *s)
{
	exchange_begin(c->owner, s);
}

static void house_on_preface(struct http_conn *c, struct transport **t, struct chain *received);

static void house_on_closed(struct http_conn *c, enum reason why)
{
	struct entry *e = c->owner;
	struct house *h = CONTAINER(e->edge, struct house, edge);

	(void)why;
	list_remove(&c->link);
	h->conn_n--;
	entry_unref(&e);
}

static const struct http_conn_owner_ops house_conn_ops = {
	.on_stream = house_on_stream, .on_preface = house_on_preface, .on_closed = house_on_closed};

static inline void house_conn_begin(struct house *h, struct http_conn *c)
{
	MUST(c);
	entry_ref(h->entry);
	h->conn_n++;
	list_push_back(&h->conns, &c->link);
}

static void house_on_preface(struct http_conn *c, struct transport **t, struct chain *received)
{
	struct entry *e = c->owner;

	house_conn_begin(CONTAINER(e->edge, struct house, edge),
		h2_server(t, received, &e->limits, &house_conn_ops, e));
}

static void house_on_open(struct inbounds *in, struct transport **t, void *ctx)
{
	struct house *h = ctx;
	const struct tls_info *tls = transport_tls(*t);

	(void)in;
	if (tls && str_eq(tls->alpn, STR("h2")))
		house_conn_begin(h, h2_server(t, NULL, &h->entry->limits, &house_conn_ops, h->entry));
	else
		house_conn_begin(h, h1_server(t, &h->entry->limits, &house_conn_ops, h->entry));
}

static void house_on_failed(
	struct inbounds *in, enum reason why, const struct addr *peer, const char *text, void *ctx)
{
	(void)in;
	(void)why;
	(void)peer;
	(void)text;
	(void)ctx;
}

static inline void house_small_buffers(int fd)
{
	int room = 64 * 1024; /* so that few bytes are on their way */

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
}

/* Listens on a port of the kernel's choice. */
static inline int house_listen(unsigned *port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t n = sizeof(a);

	MUST(fd >= 0 && bind(fd, (struct sockaddr *)&a, n) == 0 &&
		getsockname(fd, (struct sockaddr *)&a, &n) == 0);
	house_small_buffers(fd);
	MUST(listen(fd, 16) == 0);
	*port = ntohs(a.sin_port);
	return fd;
}

/* -1: nobody has connected. */
static inline int house_accept(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;

	if (fd >= 0)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

static inline void house_tcp_pair(int fds[2])
{
	unsigned port;
	int listener = house_listen(&port), on = 1;
	struct sockaddr_in to = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct pollfd ready = {.fd = listener, .events = POLLIN};

	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	MUST(fds[0] >= 0);
	setsockopt(fds[0], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	MUST(connect(fds[0], (struct sockaddr *)&to, sizeof(to)) == 0 || errno == EINPROGRESS);
	MUST(poll(&ready, 1, 10000) == 1);
	fds[1] = house_accept(listener);
	close(listener);
}

/* A client's end of a connection that has just been accepted. tcp: one that can be reset; others are cheaper, and leave no
 * port behind in TIME_WAIT. */
static inline int house_client_fd(struct house *h, bool tcp)
{
	int fds[2];

	if (tcp)
		house_tcp_pair(fds);
	else
		MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
	house_small_buffers(fds[0]);
	house_small_buffers(fds[1]);
	inbound_start(&h->inbounds, fds[1], &h->peer, &h->local, &h->inbound, h);
	return fds[0];
}

/* -- the configuration: as worker/install.c -- */

static inline struct conn_settings house_settings(
	struct house *h, const struct conf *conf, const struct conf_policy *policy)
{
	struct conn_settings set = {
		.protocol = policy->protocol,
		.proxy_protocol = policy->proxy_protocol,
		.tls = policy->tls.on ? h->tls_client : NULL,
		.limits = {.header_ms = conf->timeouts.response,
			.body_ms = conf->timeouts.response,
			.idle_ms = conf->timeouts.upstream_idle,
			.header_bytes = conf->limits.header_bytes,
			.header_count = conf->limits.header_count,
			.max_streams = 1000,
			.window = 256u * 1024},
		.connect_ms = conf->timeouts.connect,
		.max_conns = policy->breaker.connections,
		.max_pending = policy->breaker.pending,
		.pending_ms = policy->breaker.pending_timeout,
	};

	snprintf(set.server_name, sizeof(set.server_name), STR_FMT, STR_ARG(policy->tls.server_name));
	return set;
}

static inline void house_make_pools(struct house *h)
{
	const struct snapshot *s = h->snapshot;
	struct edge *e = &h->edge;
	char err[256];

	e->backend_n = h->backends.slots.n;
	e->balance_n = h->pool_slots.n;
	e->split_n = h->service_slots.n;
	e->backends = calloc(e->backend_n, sizeof(*e->backends));
	e->balance = calloc(e->balance_n, sizeof(*e->balance));
	e->split = calloc(e->split_n, sizeof(*e->split));
	e->traffic = calloc(e->traffic_n = h->pool_slots.n, sizeof(*e->traffic));
	MUST(e->backends && e->balance && e->split && e->traffic);
	for (uint32_t p = 0; p < s->pool_n; p++) {
		const struct pool *pool = s->pools[p];
		const struct conf_policy *policy = &pool->conf->policy;
		struct conn_settings set;

		if (policy->tls.on && !h->tls_client)
			h->tls_client = tls_client_new(&policy->tls, policy->protocol, err, sizeof(err));
		set = house_settings(h, s->conf, policy);
		for (uint32_t i = 0; i < pool->n; i++) {
			struct conn_pool **at = &e->backends[pool->backends[i]->slot->number];

			if (!*at)
				*at = conn_pool_new(&h->loop, pool->backends[i]);
			conn_pool_configure(*at, &set);
		}
	}
}

static void house_wake_log(struct edge *e)
{
	(void)e;
}

static void house_let_go(struct edge *e, struct snapshot_use *use)
{
	(void)e;
	(void)use;
	fail_msg("the snapshot is current");
}

/* text: a whole configuration; its first listener is the one. tls: for a listener with certificates. */
static inline void house_init(struct house *h, const char *text, const struct house_tls *tls)
{
	struct conf_report report;
	struct conf *conf;
	char err[256], *said;

	*h = (struct house){0};
	MUST(loop_init(&h->loop));
	conf = conf_load_text("test.yaml", str_of(text), &report);
	if (!conf) {
		said = conf_report_text(&report);
		print_error("%s\n%s", said, text);
		free(said);
	}
	conf_report_free(&report);
	assert_non_null(conf);
	ring_init(&h->log, HOUSE_LOG);
	list_init(&h->conns);
	list_init(&h->edge.exchanges);
	h->edge.loop = &h->loop;
	h->edge.access = &h->log;
	h->edge.access_format = conf->log.access_format;
	h->edge.wake_log = house_wake_log;
	h->edge.let_go = house_let_go;
	h->snapshot = snapshot_build(&conf, 7, &h->backends, &h->pool_slots, &h->service_slots);
	h->use = (struct snapshot_use){.snapshot = h->snapshot, .current = true};
	h->edge.use = &h->use;
	house_make_pools(h);
	h->entry = entry_new(&h->edge, &h->snapshot->conf->listeners[0], h->snapshot->conf);
	if (h->entry->conf.has_tls) {
		h->entry->tls = tls_server_new(
			&tls->conf, tls->store, tls->keys, h->entry->conf.http2, err, sizeof(err));
		MUST(h->entry->tls);
	}
	h->inbound = (struct inbound_conf){.tls = h->entry->tls, .deadline_ms = 20000};
	h->inbounds =
		(struct inbounds){.loop = &h->loop, .on_open = house_on_open, .on_failed = house_on_failed};
	inbounds_init(&h->inbounds);
	MUST(addr_parse(&h->peer, STR("192.0.2.7:50000")) && addr_parse(&h->local, STR("127.0.0.1:8080")));
}

/* One turn of the loop. */
static inline void house_turn(struct house *h, int max_ms)
{
	loop_once(&h->loop, max_ms);
	h->most = MAX(h->most, h->loop.mem.in_use);
}

/* Connections to backends. */
static inline uint32_t house_upstreams(const struct house *h)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < h->edge.backend_n; i++)
		if (h->edge.backends[i])
			n += h->edge.backends[i]->conns + h->edge.backends[i]->opening_n;
	return n;
}

static inline void house_close_upstreams(struct house *h)
{
	for (uint32_t i = 0; i < h->edge.backend_n; i++)
		if (h->edge.backends[i])
			conn_pool_close(h->edge.backends[i]);
}

/* Requests in flight, as the pools count them, and those that wait. */
static inline uint32_t house_in_flight(const struct house *h)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < h->edge.backend_n; i++)
		if (h->edge.backends[i])
			n += h->edge.backends[i]->streams + h->edge.backends[i]->waiting_n;
	return n;
}

/* Bytes of blocks that somebody holds: all but the one that sockets are read into. */
static inline size_t house_held(const struct house *h)
{
	return h->loop.mem.in_use - (h->loop.mem.read_block ? 64 * 1024 : 0);
}

static inline void house_free(struct house *h)
{
	struct edge *e = &h->edge;

	inbounds_close(&h->inbounds, REASON_SHUTDOWN, NULL);
	exchange_end_all(e);
	list_each_safe (link, &h->conns)
		http_conn_close(CONTAINER(link, struct http_conn, link), REASON_SHUTDOWN);
	house_close_upstreams(h);
	loop_run_tasks(&h->loop);
	for (uint32_t i = 0; i < e->backend_n; i++)
		if (e->backends[i])
			conn_pool_retire(&e->backends[i]);
	loop_run_tasks(&h->loop);
	assert_int_equal(h->conn_n, 0);
	entry_unref(&h->entry);
	for (uint32_t i = 0; i < e->balance_n; i++)
		balance_state_free(&e->balance[i]);
	for (uint32_t i = 0; i < e->split_n; i++)
		split_state_free(&e->split[i]);
	free(e->backends);
	free(e->balance);
	free(e->traffic);
	free(e->split);
	snapshot_free(&h->snapshot);
	backend_registry_free(&h->backends);
	slots_free(&h->pool_slots);
	slots_free(&h->service_slots);
	tls_client_release(h->tls_client);
	ring_free(&h->log);
	loop_free(&h->loop); /* fails if a block did not come back */
}

#endif
