/* worker/gate.c - from an accepted descriptor to a connection of its listener. */
#include <openssl/sha.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/obj.h"
#include "exchange/quota.h"
#include "worker/worker.h"

#define TELL_EXHAUSTED_MS 10000

static void on_stream(struct http_conn *c, struct stream *s);
static void on_preface(struct http_conn *c, struct transport **t, struct chain *received);
static void on_closed(struct http_conn *c, enum reason why);

static const struct http_conn_owner_ops client_conn_ops = {
	.on_stream = on_stream, .on_preface = on_preface, .on_closed = on_closed};

static struct worker *worker_of(const struct entry *e)
{
	return CONTAINER(e->edge, struct worker, edge);
}

/* -- connections -- */

static void conn_begin(struct entry *e, struct http_conn *c)
{
	struct worker *w = worker_of(e);

	if (!c)
		return;
	entry_ref(e);
	e->conn_n++;
	counter_set(&w->edge.tally.connections, ++w->conn_n);
	list_push_back(&w->conns, &c->link);
	if (w->draining || e->draining)
		drain_newcomer(c);
}

static void on_stream(struct http_conn *c, struct stream *s)
{
	struct entry *e = c->owner;
	struct worker *w = worker_of(e);

	OBJ_CHECK(e, ENTRY_MAGIC);
	/* Used just now: the last to be closed when there are too many. */
	list_remove(&c->link);
	list_push_back(&w->conns, &c->link);
	exchange_begin(e, s);
}

static void on_preface(struct http_conn *c, struct transport **t, struct chain *received)
{
	struct entry *e = c->owner;

	conn_begin(e, h2_server(t, received, &e->limits, &client_conn_ops, e));
}

static void on_closed(struct http_conn *c, enum reason why)
{
	struct entry *e = c->owner;
	struct worker *w = worker_of(e);

	OBJ_CHECK(e, ENTRY_MAGIC);
	list_remove(&c->link);
	e->conn_n--;
	counter_set(&w->edge.tally.connections, --w->conn_n);
	if (c->account)
		quota_connection_closed((struct quota **)&c->account);
	if (why != REASON_NONE)
		counter_add(&w->edge.tally.closed[why], 1);
	entry_unref(&e);
}

static bool modules_let_in(const struct entry *e, const struct transport *t)
{
	const struct snapshot_use *use = e->edge->use;

	return modules_accept(use->snapshot->chain, use->modules, e->edge->loop, &t->peer, &t->local,
		       e->conf.name) == REASON_NONE;
}

static void on_open(struct inbounds *in, struct transport **t, void *ctx)
{
	struct gate *g = ctx;
	struct entry *e = g->entry;
	const struct tls_info *tls = transport_tls(*t);

	(void)in;
	g->pending--;
	if (!modules_let_in(e, *t)) {
		transport_close(t);
		return;
	}
	if (tls)
		counter_add(
			&g->worker->edge.tally.handshakes[str_eq(str_of(tls->version), STR("TLSv1.3"))], 1);
	if (tls && str_eq(tls->alpn, STR("h2")))
		conn_begin(e, h2_server(t, NULL, &e->limits, &client_conn_ops, e));
	else
		conn_begin(e, h1_server(t, &e->limits, &client_conn_ops, e));
}

static void on_failed(
	struct inbounds *in, enum reason why, const struct addr *peer, const char *text, void *ctx)
{
	struct gate *g = ctx;

	(void)in;
	g->pending--;
	failure_of_client(g, why, peer, text);
	counter_add(&g->worker->edge.tally.closed[why], 1);
}

/* -- accepting -- */

/* At the limit the connection that was idle longest makes room. What has closed in this tick, and is still to be told of, has made
 * room already. */
static bool has_room(struct worker *w)
{
	uint32_t open = w->conn_n + w->inbounds.pending_n;

	if (w->conn_max == 0 || open < w->conn_max)
		return true;
	list_each_safe (link, &w->conns) {
		struct http_conn *c = CONTAINER(link, struct http_conn, link);

		if (c->transport && c->streams)
			continue;
		if (c->transport)
			http_conn_close(c, REASON_CLIENT_IDLE);
		if (--open < w->conn_max)
			return true;
	}
	return false;
}

static void on_accept(struct acceptor *a, int fd, const struct addr *peer, const struct addr *local)
{
	struct gate *g = a->user;
	struct worker *w = g->worker;

	counter_add(&w->edge.tally.accepted, 1);
	if (g->shut || !has_room(w)) {
		counter_add(&w->edge.tally.refused, 1);
		close(fd);
		return;
	}
	g->pending++;
	inbound_start(&w->inbounds, fd, peer, local, &g->inbound, g);
}

static void on_exhausted(struct acceptor *a, int err)
{
	struct gate *g = a->user;
	struct worker *w = g->worker;

	if (w->exhausted_ms && w->loop.now_ms - w->exhausted_ms < TELL_EXHAUSTED_MS)
		return;
	w->exhausted_ms = w->loop.now_ms;
	worker_tell(w, w->owner.on_exhausted, NULL, 0, err);
}

void gates_init(struct worker *w)
{
	list_init(&w->gates);
	list_init(&w->conns);
	w->inbounds.loop = &w->loop;
	w->inbounds.user = w;
	w->inbounds.on_open = on_open;
	w->inbounds.on_failed = on_failed;
	inbounds_init(&w->inbounds);
}

/* -- gates -- */

static struct gate *find(struct worker *w, struct str socket_key)
{
	list_each (link, &w->gates) {
		struct gate *g = CONTAINER(link, struct gate, link);

		if (!g->closed && str_eq(g->entry->conf.socket_key, socket_key))
			return g;
	}
	return NULL;
}

/* Session tickets are bound to the tenant of the name that the client asks for. */
static const void *binding_of(void *ctx, struct str sni, uint8_t digest[TLS_DIGEST])
{
	struct edge *e = ctx;
	const struct tenant *t = router_tenant(e->use->snapshot->router, sni);
	struct str name = t ? t->conf->name : STR_NONE;

	SHA256((const unsigned char *)name.p, name.n, digest);
	return NULL;
}

/* What the TLS side of an entry follows: the same context where the policy has not changed. */
static void set_tls(
	struct entry *e, struct entry *old, const struct worker_listener *l, struct ticket_keys *keys)
{
	char err[256];

	if (!l->conf->has_tls)
		return;
	if (old && old->tls && tls_server_fits(old->tls, &l->conf->tls, l->conf->http2)) {
		if (e != old) {
			e->tls = old->tls;
			old->tls = NULL;
		}
		tls_server_set_store(e->tls, l->store);
		tls_server_set_keys(e->tls, keys);
		return;
	}
	tls_server_release(e->tls);
	e->tls = tls_server_new(&l->conf->tls, l->store, keys, l->conf->http2, err, sizeof(err));
	if (e->tls)
		tls_server_set_binding(e->tls, (struct tls_binding){binding_of, e->edge});
}

static void set_inbound(struct gate *g, const struct conf *conf)
{
	struct entry *e = g->entry;

	g->inbound = (struct inbound_conf){
		.tls = e->tls,
		.proxy_protocol = e->conf.proxy_protocol,
		.trusted = e->conf.trusted,
		.trusted_n = e->conf.trusted_n,
		.deadline_ms = conf->timeouts.client_header,
	};
}

/* One acceptor for each socket that is this worker's: often one, none is left to nobody. */
static void accept_on(struct gate *g, const struct listener_socket *ls, uint32_t workers)
{
	g->acceptor_n = listener_socket_share(ls, g->worker->index, workers);
	g->acceptors = calloc(g->acceptor_n, sizeof(*g->acceptors));
	MUST(g->acceptors);
	for (uint32_t i = 0; i < g->acceptor_n; i++) {
		struct acceptor *a = &g->acceptors[i];

		a->on_accept = on_accept;
		a->on_exhausted = on_exhausted;
		a->user = g;
		acceptor_start(a, &g->worker->loop, listener_socket_fd(ls, g->worker->index + i * workers),
			&ls->addr);
	}
}

static void accept_no_more(struct gate *g)
{
	for (uint32_t i = 0; i < g->acceptor_n; i++)
		acceptor_stop(&g->acceptors[i]);
}

/* -- shut by an operator -- */

static void set_draining(struct gate *g, bool on)
{
	g->entry->draining = on;
	list_each (link, &g->worker->conns) {
		struct entry *e = CONTAINER(link, struct http_conn, link)->owner;

		if (str_eq(e->conf.socket_key, g->entry->conf.socket_key))
			e->draining = on;
	}
}

/* Whoever has been told already goes all the same. A listener that stays shut may have got another entry by a reload. */
static void set_shut(struct gate *g, bool shut, const struct conf_timeouts *timeouts)
{
	if (shut)
		g->entry->draining = true;
	if (shut == g->shut)
		return;
	g->shut = shut;
	set_draining(g, shut);
	drain_end(&g->clients);
	if (shut)
		drain_begin(&g->clients, g->worker, str_of(g->socket->key), timeouts->drain_spread,
			DRAIN_REST_MS);
}

static void count_open(const struct gate *g, struct gate_sums *sums)
{
	struct str key = g->entry->conf.socket_key;

	struct lasting_sums lasting = lasting_of_listener(&g->worker->edge, key);

	sums->connections = g->pending;
	sums->websockets = lasting.websockets;
	sums->streams = lasting.streams;
	list_each (link, &g->worker->conns) {
		const struct http_conn *c = CONTAINER(link, struct http_conn, link);
		const struct entry *e = c->owner;

		if (!str_eq(e->conf.socket_key, key))
			continue;
		sums->connections++;
		sums->requests += c->streams;
	}
}

void gate_follow(struct worker *w, struct worker_gate *order)
{
	struct gate *g = find(w, str_of(order->socket_key));

	if (!g)
		return;
	if (order->wish != GATE_COUNT && !w->draining)
		set_shut(g, order->wish == GATE_SHUT, &w->edge.use->snapshot->conf->timeouts);
	count_open(g, &order->sums);
}

void gate_open(struct worker *w, const struct worker_listener *l, const struct conf *conf,
	struct ticket_keys *keys, uint64_t generation, uint32_t workers)
{
	struct gate *g = find(w, l->conf->socket_key);
	struct entry *old = g ? g->entry : NULL;
	struct entry *e = old && entry_same(old, l->conf, conf) ? old : entry_new(&w->edge, l->conf, conf);

	set_tls(e, old, l, keys);
	if (l->conf->has_tls && !e->tls) {
		/* It could be made when the configuration was verified: memory is short. Never serve TLS's port in the clear. */
		if (g)
			g->generation = generation;
		if (e != old)
			entry_unref(&e);
		return;
	}
	if (!g) {
		g = calloc(1, sizeof(*g));
		MUST(g);
		g->worker = w;
		list_push_back(&w->gates, &g->link);
	}
	g->generation = generation;
	g->socket = l->socket;
	g->entry = e;
	set_inbound(g, conf);
	if (old && old != e)
		entry_unref(&old);
	set_shut(g, l->shut, &conf->timeouts);
	if (!g->acceptors)
		accept_on(g, l->socket, workers);
}

/* Every connection of that entry; the callee may end it. */
static void each_conn(struct worker *w, const struct entry *e, void (*visit)(struct http_conn *c))
{
	list_each_safe (link, &w->conns) {
		struct http_conn *c = CONTAINER(link, struct http_conn, link);

		if (c->owner == e)
			visit(c);
	}
}

static void cut(struct http_conn *c)
{
	http_conn_close(c, REASON_DRAINED);
}

static void on_drained(struct deadline *d)
{
	struct gate *g = CONTAINER(d, struct gate, drain);

	each_conn(g->worker, g->entry, cut);
}

static void gate_free(struct gate *g)
{
	list_remove(&g->link);
	deadline_disarm(&g->worker->loop, &g->drain);
	drain_end(&g->clients);
	entry_unref(&g->entry);
	free(g->acceptors);
	free(g);
}

static void gate_close(struct gate *g, const struct conf_timeouts *timeouts)
{
	accept_no_more(g);
	drain_end(&g->clients);
	g->closed = true;
	g->drain.fire = on_drained;
	g->entry->draining = true;
	deadline_arm(&g->worker->loop, &g->drain, timeouts->drain);
	drain_begin(&g->clients, g->worker, g->entry->conf.socket_key, timeouts->drain_spread, DRAIN_REST_MS);
}

void gates_sweep(struct worker *w, uint64_t generation, const struct conf_timeouts *timeouts)
{
	list_each_safe (link, &w->gates) {
		struct gate *g = CONTAINER(link, struct gate, link);

		if (g->generation != generation && !g->closed)
			gate_close(g, timeouts);
		if (g->closed && g->pending == 0 && g->entry->conn_n == 0)
			gate_free(g);
	}
}

void gates_stop(struct worker *w)
{
	list_each (link, &w->gates)
		accept_no_more(CONTAINER(link, struct gate, link));
}

void gates_set_keys(struct worker *w, struct ticket_keys *keys)
{
	list_each (link, &w->gates) {
		struct entry *e = CONTAINER(link, struct gate, link)->entry;

		if (e->tls)
			tls_server_set_keys(e->tls, keys);
	}
}

void gates_close_conns(struct worker *w, enum reason why)
{
	list_each_safe (link, &w->conns)
		http_conn_close(CONTAINER(link, struct http_conn, link), why);
	list_each_safe (gate, &w->gates)
		gate_free(CONTAINER(gate, struct gate, link));
}
