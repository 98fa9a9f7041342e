#include "io/inbound.h"

#include <errno.h>
#include <event2/event.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/obj.h"
#include "io/proxy_protocol.h"

enum inbound_state {
	INBOUND_NEW, /* fd is in use */
	INBOUND_HEADER, /* the PROXY header is not complete: fd and ev are in use */
	INBOUND_HANDSHAKE, /* transport is in use */
	INBOUND_OVER, /* answered */
};

struct inbound {
	struct list link; /* inbounds.pending */
	struct inbounds *in;
	const struct inbound_conf *conf;
	void *ctx;
	uint8_t state; /* enum inbound_state */
	int fd;
	struct event ev;
	struct transport *transport;
	struct deadline deadline;
	struct task reap;
	struct addr connected; /* who connected, for trust and the log */
	struct addr peer, local; /* what the transport shall say */
};

static void reap(struct task *task)
{
	struct inbound *i = CONTAINER(task, struct inbound, reap);

	mem_obj_free(&i->in->loop->mem, i, sizeof(*i));
}

/* Out of the list; what it held is closed or has been given away. */
static void leave(struct inbound *i)
{
	if (i->state == INBOUND_HEADER)
		event_del(&i->ev);
	if (i->fd >= 0)
		close(i->fd);
	i->state = INBOUND_OVER;
	deadline_disarm(i->in->loop, &i->deadline);
	list_remove(&i->link);
	i->in->pending_n--;
	i->reap.run = reap;
	loop_defer(i->in->loop, &i->reap, LOOP_REAP);
}

static void fail(struct inbound *i, enum reason why)
{
	struct transport *t = TAKE(&i->transport);

	if (i->state == INBOUND_OVER)
		return;
	leave(i);
	i->in->on_failed(i->in, why, &i->connected, t ? tls_error_text(t) : "", i->ctx);
	transport_close(&t);
}

static void open_done(struct inbound *i)
{
	struct transport *t = TAKE(&i->transport);

	t->on_event = NULL;
	t->user = NULL;
	leave(i);
	i->in->on_open(i->in, &t, i->ctx);
}

static void on_handshake(struct transport *t)
{
	struct inbound *i = t->user;

	if (t->state == TRANSPORT_OPEN)
		open_done(i);
	else if (t->state == TRANSPORT_DEAD)
		fail(i, t->why == REASON_NONE ? REASON_CLIENT_GONE : (enum reason)t->why);
}

static void on_deadline(struct deadline *d)
{
	fail(CONTAINER(d, struct inbound, deadline), REASON_CLIENT_SLOW_HEADER);
}

/* fd's first byte is the protocol's own. */
static void start_transport(struct inbound *i)
{
	struct loop *l = i->in->loop;
	int fd = i->fd;

	i->fd = -1;
	if (i->state == INBOUND_HEADER)
		event_del(&i->ev);
	i->state = INBOUND_HANDSHAKE;
	if (i->conf->tls)
		i->transport = tls_accept(l, fd, &i->peer, &i->local, i->conf->tls);
	else
		i->transport = plain_from_fd(l, fd, &i->peer, &i->local);
	if (!i->transport) {
		fail(i, REASON_OVERLOADED);
		return;
	}
	if (i->transport->state == TRANSPORT_OPEN) {
		open_done(i);
		return;
	}
	i->transport->on_event = on_handshake;
	i->transport->user = i;
}

static bool trusted(const struct inbound_conf *conf, const struct addr *peer)
{
	if (peer->family == ADDR_UNIX)
		return true;
	for (uint32_t k = 0; k < conf->trusted_n; k++)
		if (cidr_has(&conf->trusted[k], peer))
			return true;
	return false;
}

/* Looks without taking: what follows the header must stay for the transport, and it may be a TLS record. */
static void read_header(struct inbound *i)
{
	uint8_t *p = i->in->loop->scratch;
	ssize_t n = recv(i->fd, p, PROXY_HEADER_MAX, MSG_PEEK);
	struct proxy_header h;

	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			fail(i, REASON_CLIENT_GONE);
		return;
	}
	switch (proxy_protocol_parse(p, (size_t)n, &h)) {
	case PROXY_MORE:
		if (n == 0)
			fail(i, REASON_CLIENT_GONE);
		return;
	case PROXY_BAD:
		fail(i, REASON_CLIENT_PROXY_PROTOCOL);
		return;
	case PROXY_DONE:
		break;
	}
	if (recv(i->fd, p, h.bytes, 0) != (ssize_t)h.bytes) {
		fail(i, REASON_CLIENT_GONE);
		return;
	}
	if (h.names) {
		i->peer = h.src;
		i->local = h.dst;
	}
	start_transport(i);
}

static void on_header(evutil_socket_t fd, short what, void *arg)
{
	struct inbound *i = arg;

	(void)fd;
	loop_enter(i->in->loop);
	read_header(i);
	/* The peer has finished, and what it sent is no header. */
	if (i->state == INBOUND_HEADER && (what & EV_CLOSED))
		fail(i, REASON_CLIENT_PROXY_PROTOCOL);
}

static void start_header(struct inbound *i)
{
	i->state = INBOUND_HEADER;
	event_assign(
		&i->ev, i->in->loop->base, i->fd, EV_READ | EV_CLOSED | EV_ET | EV_PERSIST, on_header, i);
	if (!trusted(i->conf, &i->connected))
		fail(i, REASON_CLIENT_PROXY_PROTOCOL);
	else if (event_add(&i->ev, NULL) != 0)
		fail(i, REASON_OVERLOADED);
}

void inbounds_init(struct inbounds *in)
{
	list_init(&in->pending);
	in->pending_n = 0;
}

void inbound_start(struct inbounds *in, int fd, const struct addr *peer, const struct addr *local,
	const struct inbound_conf *conf, void *ctx)
{
	struct inbound *i = mem_obj(&in->loop->mem, sizeof(*i));

	i->in = in;
	i->conf = conf;
	i->ctx = ctx;
	i->fd = fd;
	i->connected = i->peer = *peer;
	i->local = *local;
	i->deadline.fire = on_deadline;
	list_push_back(&in->pending, &i->link);
	in->pending_n++;
	if (conf->tls || conf->proxy_protocol)
		deadline_arm(in->loop, &i->deadline, conf->deadline_ms);
	if (conf->proxy_protocol)
		start_header(i);
	else
		start_transport(i);
}

void inbounds_close(struct inbounds *in, enum reason why, const void *ctx)
{
	list_each_safe (link, &in->pending) {
		struct inbound *i = CONTAINER(link, struct inbound, link);

		if (!ctx || i->ctx == ctx)
			fail(i, why);
	}
}
