/* house.h - the whole way of a request in one thread: a worker, whose loop the test turns, with one configuration.
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
#include "io/certs.h"
#include "worker/worker.h"

#define HOUSE_LOG (1u << 16) /* of its access log, what tests look at */

struct house {
	struct worker worker; /* without its thread */
	struct gate *gate; /* of the one listener */
	struct mailbox control; /* what the worker tells */
	struct listener_sockets sockets;
	struct ticket_keys *keys;
	struct backend_registry backends;
	struct slots pool_slots, service_slots, tenant_slots;
	struct snapshot *snapshot;
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

static inline void house_small_buffers(int fd)
{
	int room = 64 * 1024; /* so that few bytes are on their way */

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
}

/* Listens on a port of the kernel's choice, at a loopback address of this process alone: on 127.0.0.1 somebody may still ask for
 * whoever had the port before. */
static inline int house_listen(struct sockaddr_in *at)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	socklen_t n = sizeof(*at);

	*at = (struct sockaddr_in){
		.sin_family = AF_INET, .sin_addr = {htonl(0x7f400000u | ((uint32_t)getpid() & 0x3fffff))}};
	MUST(fd >= 0 && bind(fd, (struct sockaddr *)at, n) == 0 &&
		getsockname(fd, (struct sockaddr *)at, &n) == 0);
	house_small_buffers(fd);
	MUST(listen(fd, 16) == 0);
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
	struct sockaddr_in to;
	int listener = house_listen(&to), on = 1;
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
	h->gate->pending++;
	inbound_start(&h->worker.inbounds, fds[1], &h->peer, &h->local, &h->gate->inbound, h->gate);
	return fds[0];
}

/* -- what the worker tells its control -- */

static void house_on_note(struct mail *m, void *house)
{
	(void)house;
	free(CONTAINER(m, struct worker_note, mail));
}

static void house_on_connection_failed(struct mail *m, void *house)
{
	(void)house;
	free(CONTAINER(m, struct worker_failure, mail));
}

static void house_on_let_go(struct mail *m, void *house)
{
	(void)m;
	(void)house;
	fail_msg("the snapshot is current");
}

static void house_wake_log(void *ctx)
{
	(void)ctx;
}

/* -- the configuration -- */

static inline void house_install(struct house *h, const struct house_tls *tls)
{
	const struct conf *conf = h->snapshot->conf;
	struct worker_install *order = calloc(1, sizeof(*order));
	struct sockaddr_in at;
	int fd = house_listen(&at);

	MUST(order);
	order->snapshot = h->snapshot;
	order->now = calloc(h->snapshot->pool_n + 1, sizeof(*order->now));
	MUST(order->now);
	for (uint32_t p = 0; p < h->snapshot->pool_n; p++)
		order->now[p] = pool_now_of(h->snapshot->pools[p]->conf);
	order->backend_slots = h->backends.slots.n;
	order->pool_slots = h->pool_slots.n;
	order->service_slots = h->service_slots.n;
	order->workers = 1;
	order->listener_n = 1;
	order->listeners = calloc(1, sizeof(*order->listeners));
	MUST(order->listeners);
	order->listeners[0] = (struct worker_listener){.conf = &conf->listeners[0],
		.socket = listener_sockets_adopt(&h->sockets, conf->listeners[0].socket_key, &fd, 1),
		.store = conf->listeners[0].has_tls ? cert_store_ref(tls->store) : NULL};
	order->keys = ticket_keys_ref(h->keys);
	order->cookie_keys = cookie_keys_new(&STR("a secret for tests alone"), 1);
	worker_install(&h->worker, order);
	loop_once(&h->worker.loop, 0);
	h->gate = CONTAINER(list_first(&h->worker.gates), struct gate, link);
}

/* text: a whole configuration; its first listener is the one. tls: for a listener with certificates. */
static inline void house_init(struct house *h, const char *text, const struct house_tls *tls)
{
	struct worker_owner owner = {&h->control, house_on_note, house_on_note, house_on_let_go,
		house_on_note, house_on_note, house_on_note, house_on_connection_failed, house_on_note};
	struct conf_report report;
	struct module_set *modules;
	struct conf *conf;
	char *said;

	*h = (struct house){0};
	MUST(mailbox_init(&h->control) >= 0);
	listener_sockets_init(&h->sockets);
	h->keys = ticket_keys_rotate(NULL);
	MUST(worker_init(&h->worker, 0, &owner));
	h->worker.wake_log = house_wake_log;
	conf = conf_load_text("test.yaml", str_of(text), &report);
	if (!conf) {
		said = conf_report_text(&report);
		print_error("%s\n%s", said, text);
		free(said);
	}
	assert_non_null(conf);
	modules = module_set_build(conf, NULL, NULL, &report);
	assert_int_equal(report.errors, 0);
	conf_report_free(&report);
	h->snapshot = snapshot_build(&conf, &(struct snapshot_parts){.generation = 7,
						    .backends = &h->backends,
						    .pool_slots = &h->pool_slots,
						    .service_slots = &h->service_slots,
						    .tenant_slots = &h->tenant_slots,
						    .modules = modules});
	module_set_unref(modules);
	house_install(h, tls);
	MUST(addr_parse(&h->peer, STR("192.0.2.7:50000")) && addr_parse(&h->local, STR("127.0.0.1:8080")));
}

/* One turn of the loop. */
static inline void house_turn(struct house *h, int max_ms)
{
	loop_once(&h->worker.loop, max_ms);
	h->most = MAX(h->most, h->worker.loop.mem.in_use);
}

/* Connections to backends. */
static inline uint32_t house_upstreams(const struct house *h)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < h->worker.edge.backend_n; i++)
		if (h->worker.edge.backends[i])
			n += h->worker.edge.backends[i]->conns + h->worker.edge.backends[i]->opening_n;
	return n;
}

static inline void house_close_upstreams(struct house *h)
{
	for (uint32_t i = 0; i < h->worker.edge.backend_n; i++)
		if (h->worker.edge.backends[i])
			conn_pool_close(h->worker.edge.backends[i]);
}

/* Requests in flight, as the pools count them, and those that wait. */
static inline uint32_t house_in_flight(const struct house *h)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < h->worker.edge.backend_n; i++)
		if (h->worker.edge.backends[i])
			n += h->worker.edge.backends[i]->streams + h->worker.edge.backends[i]->waiting_n;
	return n;
}

/* Bytes of blocks that somebody holds: all but the one that sockets are read into. */
static inline size_t house_held(const struct house *h)
{
	return h->worker.loop.mem.in_use -
	       (h->worker.loop.mem.read_block ? mem_block_max() + sizeof(struct block) : 0);
}

static inline void house_free(struct house *h)
{
	struct worker *w = &h->worker;

	worker_stop(w);
	loop_once(&w->loop, 0);
	install_free(w);
	assert_int_equal(w->conn_n, 0);
	worker_close(w); /* fails if a block did not come back */
	worker_free(w);
	mailbox_deliver(&h->control, h);
	mailbox_free(&h->control);
	listener_sockets_free(&h->sockets, false);
	ticket_keys_unref(h->keys);
	snapshot_free(&h->snapshot);
	backend_registry_free(&h->backends);
	slots_free(&h->pool_slots);
	slots_free(&h->service_slots);
	slots_free(&h->tenant_slots);
}

#endif
