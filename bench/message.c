/* bench/message.c - a fixed number of WebSocket messages, each echoed before the connection's next one.
 *
 *   message PORT CONNECTIONS COUNT SIZE
 *
 * Every echo is compared with what was sent. SIZE is below 126, so that a frame's head has one form. */
#include "net.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { CONNS_MAX = 1024, EVENTS = 256, SIZE_MAX_SMALL = 125, FRAME_MAX = 6 + SIZE_MAX_SMALL };

struct conn {
	int fd;
	size_t got; /* bytes of the echo so far */
	unsigned char in[FRAME_MAX];
};

static struct conn conns[CONNS_MAX];
static unsigned char frame[FRAME_MAX]; /* what is sent: final, text, masked (RFC 6455 5.2) */
static unsigned char echo[FRAME_MAX]; /* what must come back: the same, unmasked */
static size_t frame_len, echo_len;

static void frames_fill(size_t size)
{
	static const unsigned char mask[4] = {0x12, 0x34, 0x56, 0x78};

	frame[0] = echo[0] = 0x81;
	frame[1] = (unsigned char)(0x80 | size);
	echo[1] = (unsigned char)size;
	memcpy(frame + 2, mask, sizeof(mask));
	for (size_t i = 0; i < size; i++) {
		echo[2 + i] = (unsigned char)('a' + i % 26);
		frame[6 + i] = echo[2 + i] ^ mask[i & 3];
	}
	frame_len = 6 + size;
	echo_len = 2 + size;
}

static void conn_open(struct conn *c, uint16_t port)
{
	static const char upgrade[] =
		"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
	struct answer a = {0};
	char buf[4096];
	ssize_t n;

	c->fd = net_connect(port);
	if (send(c->fd, upgrade, sizeof(upgrade) - 1, MSG_NOSIGNAL) != sizeof(upgrade) - 1)
		die("the contender does not take the upgrade");
	do {
		n = recv(c->fd, buf, sizeof(buf), 0);
		if (n <= 0)
			die("the contender closed instead of upgrading");
	} while (answer_feed(&a, buf, (size_t)n, 101, 0) == ANSWER_MORE);
	if (!strstr(a.head, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))
		die("the upgrade's answer has a wrong Sec-WebSocket-Accept");
	net_nonblocking(c->fd);
}

static void conn_send(struct conn *c)
{
	c->got = 0;
	if (send(c->fd, frame, frame_len, MSG_NOSIGNAL) != (ssize_t)frame_len)
		die("the contender does not take a message: %s", strerror(errno));
}

/* True: a whole echo has come. */
static bool conn_read(struct conn *c)
{
	ssize_t n = recv(c->fd, c->in + c->got, sizeof(c->in) - c->got, 0);

	if (n < 0 && errno == EAGAIN)
		return false;
	if (n <= 0)
		die("the contender closed a WebSocket");
	c->got += (size_t)n;
	if (c->got < echo_len)
		return false;
	if (c->got > echo_len || memcmp(c->in, echo, echo_len) != 0)
		die("an echo is not what was sent");
	return true;
}

int main(int argc, char **argv)
{
	struct epoll_event ev[EVENTS];
	uint64_t n, count, sent = 0, done = 0;
	uint16_t port;
	int epfd = epoll_create1(EPOLL_CLOEXEC);

	if (argc != 5 || epfd < 0)
		die("usage: message PORT CONNECTIONS COUNT SIZE");
	signal(SIGPIPE, SIG_IGN);
	port = (uint16_t)number(argv[1], "PORT", 1, 65535);
	n = number(argv[2], "CONNECTIONS", 1, CONNS_MAX);
	count = number(argv[3], "COUNT", n, 1000000000);
	frames_fill(number(argv[4], "SIZE", 1, SIZE_MAX_SMALL));
	for (uint64_t i = 0; i < n; i++) {
		struct epoll_event one = {.events = EPOLLIN, .data.ptr = &conns[i]};

		conn_open(&conns[i], port);
		if (epoll_ctl(epfd, EPOLL_CTL_ADD, conns[i].fd, &one) < 0)
			die("epoll_ctl: %s", strerror(errno));
		conn_send(&conns[i]);
		sent++;
	}
	while (done < count) {
		int got = epoll_wait(epfd, ev, EVENTS, 10000);

		if (got <= 0)
			die("no echo for ten seconds");
		for (int i = 0; i < got; i++) {
			if (!conn_read(ev[i].data.ptr))
				continue;
			done++;
			if (sent < count) {
				conn_send(ev[i].data.ptr);
				sent++;
			}
		}
	}
	printf("{\"done\": %llu}\n", (unsigned long long)done);
	return 0;
}
