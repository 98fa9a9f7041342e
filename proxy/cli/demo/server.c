#include "cli/demo/demo.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
#include "base/obj.h"

#define PATIENCE_MS 5000

static void on_stream(struct http_conn *c, struct stream *s)
{
	demo_answer(c->owner, s);
}

static void on_preface(struct http_conn *c, struct transport **t, struct chain *received);

static void on_closed(struct http_conn *c, enum reason why)
{
	struct demo *d = c->owner;

	(void)why;
	list_remove(&c->link);
	if (d->stopping && list_empty(&d->conns))
		loop_stop(&d->loop);
}

static const struct http_conn_owner_ops conn_ops = {
	.on_stream = on_stream,
	.on_preface = on_preface,
	.on_closed = on_closed,
};

static void on_preface(struct http_conn *c, struct transport **t, struct chain *received)
{
	struct demo *d = c->owner;
	struct http_conn *h2 = h2_server(t, received, &d->limits, &conn_ops, d);

	if (h2)
		list_push_back(&d->conns, &h2->link);
}

static void on_accept(struct acceptor *a, int fd, const struct addr *peer, const struct addr *local)
{
	struct demo *d = a->user;
	struct transport *t = plain_from_fd(&d->loop, fd, peer, local);
	struct http_conn *c = t ? h1_server(&t, &d->limits, &conn_ops, d) : NULL;

	if (c)
		list_push_back(&d->conns, &c->link);
}

static void on_patience_end(struct deadline *patience)
{
	loop_stop(&CONTAINER(patience, struct demo, patience)->loop);
}

/* The first signal drains, the second stops. */
static void on_signal(evutil_socket_t number, short what, void *ctx)
{
	struct demo *d = ctx;

	(void)number;
	(void)what;
	loop_enter(&d->loop);
	if (d->stopping || list_empty(&d->conns)) {
		loop_stop(&d->loop);
		return;
	}
	d->stopping = true;
	acceptor_stop(&d->acceptor);
	list_each_safe (link, &d->conns)
		http_conn_drain(CONTAINER(link, struct http_conn, link));
	d->patience.fire = on_patience_end;
	deadline_arm(&d->loop, &d->patience, PATIENCE_MS);
}

static void close_all(struct demo *d)
{
	struct list *link;

	acceptor_stop(&d->acceptor);
	deadline_disarm(&d->loop, &d->patience);
	while ((link = list_first(&d->conns))) {
		list_remove(link);
		http_conn_close(CONTAINER(link, struct http_conn, link), REASON_SHUTDOWN);
	}
	loop_run_tasks(&d->loop);
	listener_sockets_free(&d->sockets, false);
}

static bool listen_at(struct demo *d, struct str address, const struct addr *addr, char *err, size_t err_n)
{
	const struct conf_listener l = {
		.name = d->name, .address = address, .socket_key = address, .addr = *addr, .backlog = 1024};
	struct listener_socket *ls = listener_sockets_open(&d->sockets, &l, 1, err, err_n);
	char where[ADDR_TEXT_MAX];

	if (!ls)
		return false;
	d->acceptor.on_accept = on_accept;
	d->acceptor.user = d;
	if (!acceptor_start(&d->acceptor, &d->loop, listener_socket_fd(ls, 0), &ls->addr)) {
		snprintf(err, err_n, "no memory for an event");
		return false;
	}
	addr_text(&ls->addr, where);
	printf(STR_FMT " listens on %s\n", STR_ARG(d->name), where);
	fflush(stdout);
	return true;
}

bool demo_serve(struct demo *d, struct str address, const struct addr *addr, char *err, size_t err_n)
{
	static const int numbers[] = {SIGTERM, SIGINT};
	struct event *signals[COUNT_OF(numbers)];
	bool listening;

	if (!loop_init(&d->loop)) {
		snprintf(err, err_n, "no descriptors for an event loop");
		return false;
	}
	signal(SIGPIPE, SIG_IGN);
	list_init(&d->conns);
	listener_sockets_init(&d->sockets);
	for (size_t i = 0; i < COUNT_OF(numbers); i++) {
		signals[i] = evsignal_new(d->loop.base, numbers[i], on_signal, d);
		MUST(signals[i] && event_add(signals[i], NULL) == 0);
	}
	listening = listen_at(d, address, addr, err, err_n);
	if (listening)
		loop_run(&d->loop);
	close_all(d);
	for (size_t i = 0; i < COUNT_OF(numbers); i++)
		event_free(signals[i]);
	loop_free(&d->loop);
	return listening;
}
