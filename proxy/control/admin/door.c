#include "control/admin/door.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/obj.h"
#include "control/admin/admin.h"
#include "control/admin/request.h"
#include "control/control.h"

#define BACKLOG    2048
#define RESTORE_MS 100 /* how soon descriptors that were given up are asked for again */

/* Const, because connections outlive configurations. Whoever talks to weir itself is near, and in no need of long patience. */
static const struct http_limits plain_limits = {
	.header_ms = 10000,
	.body_ms = 10000,
	.idle_ms = 60000,
	.header_bytes = 16 * 1024,
	.header_count = 64,
	.max_streams = 64,
	.h2c = true,
};
static const struct http_limits tls_limits = {
	.header_ms = 10000,
	.body_ms = 10000,
	.idle_ms = 60000,
	.header_bytes = 16 * 1024,
	.header_count = 64,
	.max_streams = 64,
	.tls = true,
};

/* -- descriptors in reserve -- */

static void reserve_fill(struct admin_server *a)
{
	bool full = true;

	for (int i = 0; i < ADMIN_RESERVE; i++) {
		if (a->reserve[i] < 0)
			a->reserve[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		full &= a->reserve[i] >= 0;
	}
	if (!full)
		deadline_arm(&a->control->loop, &a->restore, RESTORE_MS);
}

static void on_restore(struct deadline *d)
{
	reserve_fill(CONTAINER(d, struct admin_server, restore));
}

/* -- connections -- */

static void on_stream(struct http_conn *c, struct stream *s)
{
	struct admin_door *d = c->owner;

	list_remove(&c->link);
	list_push_back(&d->conns, &c->link);
	admin_begin(d, s);
}

static void on_preface(struct http_conn *c, struct transport **t, struct chain *received);

static void door_free(struct admin_door *d)
{
	list_remove(&d->link);
	acceptor_stop(&d->acceptor);
	tls_server_release(d->inbound.tls);
	cert_store_unref(d->store);
	free(d->address);
	free(d);
}

/* A door that was closed goes when the last who came in by it has gone. */
static void door_check(struct admin_door *d)
{
	if (d->closed && d->conn_n == 0 && d->pending == 0)
		door_free(d);
}

static void on_closed(struct http_conn *c, enum reason why)
{
	struct admin_door *d = c->owner;

	(void)why;
	list_remove(&c->link);
	d->conn_n--;
	if (deadline_armed(&d->server->restore))
		reserve_fill(d->server);
	door_check(d);
}

static const struct http_conn_owner_ops conn_ops = {
	.on_stream = on_stream, .on_preface = on_preface, .on_closed = on_closed};

static bool expects_request(const struct http_conn *c)
{
	return c->version != HTTP_2 && c->unused;
}

/* Whoever has only just come gets his answer: in HTTP/1.1 he could not know whether to ask again elsewhere. */
static void conn_leave(struct http_conn *c)
{
	if (expects_request(c))
		c->draining = c->patient = true;
	else
		http_conn_drain(c);
}

static void conn_begin(struct admin_door *d, struct http_conn *c)
{
	if (!c)
		return;
	d->conn_n++;
	list_push_back(&d->conns, &c->link);
	if (d->closed)
		conn_leave(c);
}

static void on_preface(struct http_conn *c, struct transport **t, struct chain *received)
{
	conn_begin(c->owner, h2_server(t, received, &plain_limits, &conn_ops, c->owner));
}

static void on_open(struct inbounds *in, struct transport **t, void *ctx)
{
	struct admin_door *d = ctx;
	const struct tls_info *tls = transport_tls(*t);
	const struct http_limits *limits = tls ? &tls_limits : &plain_limits;

	(void)in;
	d->pending--;
	if (tls && str_eq(tls->alpn, STR("h2")))
		conn_begin(d, h2_server(t, NULL, limits, &conn_ops, d));
	else
		conn_begin(d, h1_server(t, limits, &conn_ops, d));
}

static void on_failed(
	struct inbounds *in, enum reason why, const struct addr *peer, const char *text, void *ctx)
{
	struct admin_door *d = ctx;

	(void)in;
	(void)why;
	(void)peer;
	(void)text;
	d->pending--;
	door_check(d);
}

/* -- accepting -- */

static bool has_room(struct admin_door *d)
{
	uint32_t open = d->conn_n + d->pending;

	if (open < ADMIN_CONNS_MAX)
		return true;
	list_each_safe (link, &d->conns) {
		struct http_conn *c = CONTAINER(link, struct http_conn, link);

		if (c->transport && c->streams)
			continue;
		if (c->transport)
			http_conn_close(c, REASON_CLIENT_IDLE);
		if (--open < ADMIN_CONNS_MAX)
			return true;
	}
	return false;
}

static void on_accept(struct acceptor *a, int fd, const struct addr *peer, const struct addr *local)
{
	struct admin_door *d = a->user;

	if (!has_room(d)) {
		close(fd);
		return;
	}
	d->pending++;
	inbound_start(&d->server->inbounds, fd, peer, local, &d->inbound, d);
}

/* Somebody has to be able to look when weir has run out of descriptors: one in reserve makes room for him. */
static bool on_reserve(struct acceptor *acceptor)
{
	struct admin_server *a = ((struct admin_door *)acceptor->user)->server;

	for (int i = 0; i < ADMIN_RESERVE; i++) {
		if (a->reserve[i] < 0)
			continue;
		close(a->reserve[i]);
		a->reserve[i] = -1;
		deadline_arm(&a->control->loop, &a->restore, RESTORE_MS);
		return true;
	}
	return false;
}

/* -- doors -- */

static struct str unix_address(const struct conf_admin *conf, struct admin_texts *texts)
{
	int n = snprintf(
		texts->unix_address, sizeof(texts->unix_address), "unix:" STR_FMT, STR_ARG(conf->socket));

	return (struct str){texts->unix_address, MIN((size_t)n, sizeof(texts->unix_address) - 1)};
}

uint32_t admin_listeners(
	const struct conf_admin *conf, struct admin_texts *texts, struct conf_listener out[2])
{
	uint32_t n = 0;

	if (conf->socket.n) {
		struct str address = unix_address(conf, texts);

		out[n++] = (struct conf_listener){
			.name = STR("admin.socket"),
			.address = address,
			.socket_key = address,
			.addr = {.family = ADDR_UNIX},
			.unix_path = conf->socket,
			.unix_mode = 0660,
			.backlog = BACKLOG,
			.place = conf->place,
		};
	}
	if (conf->listen.n)
		out[n++] = (struct conf_listener){
			.name = STR("admin.listen"),
			.address = conf->listen,
			.socket_key = conf->listen,
			.addr = conf->listen_addr,
			.has_tls = conf->has_tls,
			.tls = {.certs = (struct conf_cert *)(uintptr_t)&conf->tls.cert,
				.cert_n = 1,
				.client_ca = conf->tls.client_ca,
				.client_auth = CONF_CLIENT_REQUIRED,
				.place = conf->tls.cert.place},
			.http2 = true,
			.backlog = BACKLOG,
			.place = conf->place,
		};
	return n;
}

static struct admin_door *find(struct admin_server *a, struct str address)
{
	list_each (link, &a->doors) {
		struct admin_door *d = CONTAINER(link, struct admin_door, link);

		if (!d->closed && str_eq(str_of(d->address), address))
			return d;
	}
	return NULL;
}

/* The same certificate policy goes on with its sessions. False: memory is short; what was there stays. */
static bool set_tls(struct admin_door *d, const struct conf_listener *l)
{
	struct control *c = d->server->control;
	struct tls_server *tls = d->inbound.tls;
	char err[256];

	if (!l->has_tls) {
		tls_server_release(TAKE(&d->inbound.tls));
		cert_store_unref(TAKE(&d->store));
		return true;
	}
	if (tls && tls_server_fits(tls, &l->tls, true)) {
		tls_server_set_store(tls, c->stores.admin);
	} else {
		tls = tls_server_new(&l->tls, c->stores.admin, c->keys, true, err, sizeof(err));
		if (!tls)
			return d->inbound.tls != NULL;
		tls_server_release(d->inbound.tls);
		d->inbound.tls = tls;
	}
	cert_store_unref(d->store);
	d->store = cert_store_ref(c->stores.admin);
	return true;
}

static void door_open(struct admin_server *a, const struct conf_listener *l)
{
	const struct listener_socket *ls = listener_sockets_find(&a->control->sockets, l->socket_key);
	struct admin_door *d = find(a, l->address);

	if (!ls)
		return;
	if (!d) {
		d = calloc(1, sizeof(*d));
		MUST(d);
		d->server = a;
		d->address = strndup(l->address.p, l->address.n);
		MUST(d->address);
		d->local = l->addr.family == ADDR_UNIX;
		list_init(&d->conns);
		d->inbound.deadline_ms = plain_limits.header_ms;
		list_push_back(&a->doors, &d->link);
	}
	if (!set_tls(d, l)) {
		door_free(d);
		return;
	}
	if (d->acceptor.running)
		return;
	d->acceptor.on_accept = on_accept;
	d->acceptor.on_reserve = on_reserve;
	d->acceptor.user = d;
	acceptor_start(&d->acceptor, &a->control->loop, listener_socket_fd(ls, 0), &ls->addr);
}

static void door_close(struct admin_door *d)
{
	acceptor_stop(&d->acceptor);
	d->closed = true;
	list_each_safe (link, &d->conns)
		conn_leave(CONTAINER(link, struct http_conn, link));
	door_check(d);
}

void admin_follow(struct admin_server *a)
{
	struct conf_listener listeners[2];
	struct admin_texts texts;
	uint32_t n = admin_listeners(&a->control->snapshot->conf->admin, &texts, listeners);

	list_each_safe (link, &a->doors) {
		struct admin_door *d = CONTAINER(link, struct admin_door, link);
		bool stays = false;

		for (uint32_t i = 0; i < n; i++)
			stays |= str_eq(str_of(d->address), listeners[i].address);
		if (!stays && !d->closed)
			door_close(d);
	}
	for (uint32_t i = 0; i < n; i++)
		door_open(a, &listeners[i]);
}

void admin_leave(struct admin_server *a)
{
	list_each_safe (link, &a->doors) {
		struct admin_door *d = CONTAINER(link, struct admin_door, link);

		if (!d->closed)
			door_close(d);
	}
}

bool admin_expects(const struct admin_server *a)
{
	list_each (link, &a->doors) {
		const struct admin_door *d = CONTAINER(link, struct admin_door, link);

		if (d->pending)
			return true;
		list_each (conn, &d->conns)
			if (expects_request(CONTAINER(conn, struct http_conn, link)))
				return true;
	}
	list_each (link, &a->requests) {
		const struct admin_request *rq = CONTAINER(link, struct admin_request, in_server);

		if (rq->state == ADMIN_READING)
			return true;
	}
	return false;
}

void admin_init(struct admin_server *a, struct control *c)
{
	*a = (struct admin_server){.control = c, .restore.fire = on_restore};
	memset(a->reserve, -1, sizeof(a->reserve));
	list_init(&a->doors);
	list_init(&a->requests);
	a->inbounds.loop = &c->loop;
	a->inbounds.on_open = on_open;
	a->inbounds.on_failed = on_failed;
	a->inbounds.user = a;
	inbounds_init(&a->inbounds);
	reserve_fill(a);
}

void admin_free(struct admin_server *a)
{
	inbounds_close(&a->inbounds, REASON_SHUTDOWN, NULL);
	while (!list_empty(&a->requests))
		admin_abandon(CONTAINER(list_first(&a->requests), struct admin_request, in_server));
	list_each_safe (link, &a->doors) {
		struct admin_door *d = CONTAINER(link, struct admin_door, link);

		acceptor_stop(&d->acceptor);
		list_each_safe (conn, &d->conns)
			http_conn_close(CONTAINER(conn, struct http_conn, link), REASON_SHUTDOWN);
		d->closed = true;
	}
	loop_run_tasks(&a->control->loop); /* the connections' last words, which free the doors */
	list_each_safe (left, &a->doors)
		door_free(CONTAINER(left, struct admin_door, link));
	deadline_disarm(&a->control->loop, &a->restore);
	for (int i = 0; i < ADMIN_RESERVE; i++)
		if (a->reserve[i] >= 0)
			close(a->reserve[i]);
}
