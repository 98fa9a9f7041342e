/* bench/relay.c - the floor: a relay that copies bytes between a client and the origin and looks at nothing.
 *
 * One thread, edge-triggered epoll with one registration per descriptor, one read and one write per message and
 * direction. What a proxy costs above this is its own doing.
 *
 *   relay PORT ORIGIN_PORT     PORT 0: the kernel chooses; the first line on stdout says which */
#include "net.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { BUFFER = 65536, EVENTS = 256 };

/* One direction's worth of state hangs on the side that is written to. */
struct side {
	int fd;
	struct side *peer;
	char *held; /* what the socket would not take; NULL: nothing is held and the peer may be read */
	size_t off, len;
	bool readable; /* an edge came while the peer was blocked */
	bool ended; /* end of file was read from this side */
	bool dead; /* closed; freed with its peer at the end of the batch */
};

static int epfd;
static struct side *graveyard[2 * EVENTS];
static size_t buried;

static struct side *side_new(int fd)
{
	struct side *s = calloc(1, sizeof(*s));
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = s};

	if (!s)
		die("out of memory");
	s->fd = fd;
	net_nonblocking(fd);
	net_nodelay(fd);
	if (epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) < 0)
		die("epoll_ctl: %s", strerror(errno));
	return s;
}

/* Events of this batch may still point at either side: both are freed after it. */
static void pair_close(struct side *s)
{
	if (s->dead)
		return;
	for (int i = 0; i < 2; i++, s = s->peer) {
		s->dead = true;
		close(s->fd);
		free(s->held);
		s->held = NULL;
		graveyard[buried++] = s;
	}
}

/* Writes to s; keeps what does not fit. False: the pair is closed. */
static bool side_write(struct side *s, const char *p, size_t n)
{
	ssize_t w = send(s->fd, p, n, MSG_NOSIGNAL);

	if (w < 0) {
		if (errno != EAGAIN) {
			pair_close(s);
			return false;
		}
		w = 0;
	}
	if ((size_t)w < n) {
		s->held = malloc(n - (size_t)w);
		if (!s->held)
			die("out of memory");
		memcpy(s->held, p + w, n - (size_t)w);
		s->off = 0;
		s->len = n - (size_t)w;
	}
	return true;
}

/* Copies from s to its peer until s is drained (a short read says so) or the peer is blocked. */
static void side_read(struct side *s)
{
	static char buf[BUFFER];

	s->readable = true;
	while (s->readable && !s->peer->held && !s->ended) {
		ssize_t n = recv(s->fd, buf, sizeof(buf), 0);

		if (n < 0 && errno == EAGAIN) {
			s->readable = false;
		} else if (n < 0) {
			pair_close(s);
			return;
		} else if (n == 0) {
			s->ended = true;
			shutdown(s->peer->fd, SHUT_WR);
			if (s->peer->ended)
				pair_close(s);
			return;
		} else {
			if (!side_write(s->peer, buf, (size_t)n))
				return;
			if ((size_t)n < sizeof(buf))
				s->readable = false;
		}
	}
}

static void side_flush(struct side *s)
{
	ssize_t w = send(s->fd, s->held + s->off, s->len, MSG_NOSIGNAL);

	if (w < 0) {
		if (errno != EAGAIN)
			pair_close(s);
		return;
	}
	s->off += (size_t)w;
	s->len -= (size_t)w;
	if (s->len)
		return;
	free(s->held);
	s->held = NULL;
	if (s->peer->readable)
		side_read(s->peer);
}

static void accept_all(int lfd, uint16_t origin)
{
	int fd;

	while ((fd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct side *client = side_new(fd), *server = side_new(net_connect(origin));

		client->peer = server;
		server->peer = client;
	}
}

static void side_event(struct side *s, uint32_t events)
{
	if (!s->dead && (events & EPOLLOUT) && s->held)
		side_flush(s);
	/* With EPOLLRDHUP a full drain is needed: a short read says nothing about the end behind it. */
	if (!s->dead && (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))) {
		side_read(s);
		if (!s->dead && (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) && !s->ended)
			side_read(s);
	}
}

int main(int argc, char **argv)
{
	struct epoll_event ev[EVENTS], listening = {.events = EPOLLIN, .data.ptr = NULL};
	uint16_t port, origin;
	int lfd;

	if (argc != 3)
		die("usage: relay PORT ORIGIN_PORT");
	signal(SIGPIPE, SIG_IGN);
	net_many_files();
	port = (uint16_t)number(argv[1], "PORT", 0, 65535);
	origin = (uint16_t)number(argv[2], "ORIGIN_PORT", 1, 65535);
	epfd = epoll_create1(EPOLL_CLOEXEC);
	lfd = net_listen(&port);
	if (epfd < 0 || epoll_ctl(epfd, EPOLL_CTL_ADD, lfd, &listening) < 0)
		die("epoll: %s", strerror(errno));
	printf("%u\n", port);
	fflush(stdout);
	for (;;) {
		int n = epoll_wait(epfd, ev, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			if (ev[i].data.ptr)
				side_event(ev[i].data.ptr, ev[i].events);
			else
				accept_all(lfd, origin);
		}
		while (buried)
			free(graveyard[--buried]);
	}
}
