/* io/plain.c - a transport straight on a socket. */
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/obj.h"
#include "io/socket.h"
#include "io/transport.h"

/* A backend that vanished without a word (power, a cut cable) is noticed within a minute. */
#define UNACKED_MS 30000
/* What is no longer is copied into one piece: sendmsg() costs the kernel 0.2 to 0.3 us more than send(), copying this 0.1. */
#define GATHER_MAX 4096

enum reason connect_reason(int err)
{
	switch (err) {
	case ECONNREFUSED:
	case ENOENT: /* a unix socket that is not there */
		return REASON_UPSTREAM_REFUSED;
	case ENETUNREACH:
	case EHOSTUNREACH:
	case ENETDOWN:
	case EHOSTDOWN:
		return REASON_UPSTREAM_UNREACHABLE;
	case ETIMEDOUT:
		return REASON_UPSTREAM_CONNECT_TIMEOUT;
	default:
		return REASON_UPSTREAM_CONNECT;
	}
}

static ssize_t plain_read(struct transport *t, void *p, size_t room)
{
	ssize_t n;

	if (!t->readable)
		return t->state == TRANSPORT_DEAD ? TRANSPORT_ERROR : TRANSPORT_AGAIN;
	do
		n = recv(t->fd, p, room, 0);
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		/* A short read drained the socket. Behind it may be the FIN, whose edge has come already: then read on. */
		if ((size_t)n < room && !t->peer_closed)
			t->readable = false;
		return n;
	}
	t->readable = false;
	/* After a failed write there is no telling an end from a reset: the write was told of it. */
	if (t->state == TRANSPORT_DEAD)
		return TRANSPORT_ERROR;
	if (n == 0)
		return TRANSPORT_EOF;
	if (errno == EAGAIN)
		return TRANSPORT_AGAIN;
	transport_die(t, REASON_NONE, errno);
	return TRANSPORT_ERROR;
}

/* A head and its short body in one piece, of GATHER_MAX bytes at `to`. False: they are too long for that. */
static bool gather(struct iovec *whole, char *to, const struct iovec *iov, int n)
{
	size_t done = 0;

	for (int i = 0; i < n; i++) {
		if (iov[i].iov_len > GATHER_MAX - done)
			return false;
		memcpy(to + done, iov[i].iov_base, iov[i].iov_len);
		done += iov[i].iov_len;
	}
	*whole = (struct iovec){to, done};
	return true;
}

static ssize_t plain_writev(struct transport *t, const struct iovec *iov, int n)
{
	struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n};
	char piece[GATHER_MAX];
	struct iovec whole;
	ssize_t sent;

	if (!t->writable)
		return t->state == TRANSPORT_DEAD ? TRANSPORT_ERROR : TRANSPORT_AGAIN;
	if (n > 1 && gather(&whole, piece, iov, n)) {
		iov = &whole;
		n = 1;
	}
	do
		sent = n == 1 ? send(t->fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL)
			      : sendmsg(t->fd, &msg, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent >= 0) {
		t->suspect = false; /* a socket that was reset takes nothing */
		return sent;
	}
	if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM) {
		t->writable = false;
		return TRANSPORT_AGAIN;
	}
	transport_die(t, REASON_NONE, errno);
	t->readable = true;
	return TRANSPORT_ERROR;
}

static void plain_shutdown(struct transport *t)
{
	shutdown(t->fd, SHUT_WR);
	t->writable = false;
}

static void plain_reap(struct task *task)
{
	struct transport *t = CONTAINER(task, struct transport, reap);

	t->magic = 0;
	mem_obj_free(&t->loop->mem, t, sizeof(*t));
}

static void plain_close(struct transport *t)
{
	event_del(&t->ev);
	close(t->fd);
	t->fd = -1;
	t->state = TRANSPORT_DEAD;
	t->reap.run = plain_reap;
	loop_defer(t->loop, &t->reap, LOOP_REAP);
}

static const struct transport_ops plain_ops = {plain_read, plain_writev, plain_shutdown, plain_close, NULL};

static void finish_connect(struct transport *t)
{
	int err = 0;
	socklen_t n = sizeof(err);

	getsockopt(t->fd, SOL_SOCKET, SO_ERROR, &err, &n);
	if (err) {
		transport_die(t, connect_reason(err), err);
		return;
	}
	t->state = TRANSPORT_OPEN;
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
	struct transport *t = arg;
	struct loop *l = t->loop;

	(void)fd;
	loop_enter(l);
	if (what & (EV_READ | EV_CLOSED))
		t->readable = true;
	if (what & EV_CLOSED)
		t->peer_closed = true;
	else if ((what & (EV_READ | EV_WRITE)) == (EV_READ | EV_WRITE))
		t->suspect = true;
	if (what & EV_WRITE) {
		/* An idle connection's edge says nothing new: the socket has been writable all along. */
		if (t->writable && what == EV_WRITE)
			return;
		t->writable = true;
	}
	if (t->state == TRANSPORT_CONNECTING && (what & (EV_WRITE | EV_CLOSED)))
		finish_connect(t);
	if (t->on_event)
		t->on_event(t);
	loop_leave(l);
}

bool transport_init(struct transport *t, struct loop *l, int fd, const struct transport_ops *ops)
{
	t->magic = TRANSPORT_MAGIC;
	t->fd = fd;
	t->ops = ops;
	t->loop = l;
	event_assign(&t->ev, l->base, fd, EV_READ | EV_WRITE | EV_CLOSED | EV_ET | EV_PERSIST, on_socket, t);
	return event_add(&t->ev, NULL) == 0;
}

struct transport *plain_from_fd(struct loop *l, int fd, const struct addr *peer, const struct addr *local)
{
	struct transport *t = mem_obj(&l->mem, sizeof(*t));

	t->peer = *peer;
	t->local = *local;
	t->state = TRANSPORT_OPEN;
	/* Fresh sockets are writable; the request may be there already, so the first read is tried at once. */
	t->writable = true;
	t->readable = true;
	if (!transport_init(t, l, fd, &plain_ops)) {
		close(fd);
		mem_obj_free(&l->mem, t, sizeof(*t));
		return NULL;
	}
	return t;
}

int socket_connect(const struct addr *to, const char *unix_path, int *fd)
{
	struct sockaddr_storage ss;
	socklen_t n;

	if (unix_path) {
		struct sockaddr_un *un = (struct sockaddr_un *)&ss;

		memset(&ss, 0, sizeof(ss));
		un->sun_family = AF_UNIX;
		strncpy(un->sun_path, unix_path, sizeof(un->sun_path) - 1);
		n = sizeof(*un);
	} else {
		n = addr_to_sockaddr(to, &ss);
	}
	*fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (*fd < 0)
		return errno;
	if (!unix_path) {
		unsigned unacked = UNACKED_MS;

		socket_prepare(*fd, SOCKET_BACKEND_IDLE_S);
		setsockopt(*fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacked, sizeof(unacked));
	}
	/* EAGAIN: a unix socket whose backlog is full; the connection is not being made, unlike with EINPROGRESS. */
	if (connect(*fd, (struct sockaddr *)&ss, n) == 0 || errno == EINPROGRESS)
		return 0;
	return errno;
}

struct transport *plain_connect(
	struct loop *l, const struct addr *to, const char *unix_path, enum reason *why)
{
	struct transport *t;
	int fd = -1, err = socket_connect(to, unix_path, &fd);

	if (err) {
		*why = connect_reason(err);
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	t = mem_obj(&l->mem, sizeof(*t));
	t->peer = *to;
	t->state = TRANSPORT_CONNECTING;
	if (!transport_init(t, l, fd, &plain_ops)) {
		*why = REASON_UPSTREAM_CONNECT;
		close(fd);
		mem_obj_free(&l->mem, t, sizeof(*t));
		return NULL;
	}
	return t;
}
