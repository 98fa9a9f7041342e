/* bench/origin.c - the server behind every contender: fixed answers, unlimited keep-alive, as little CPU as possible.
 *
 *   GET /1k /64k /10m    that many bytes      GET with Upgrade: websocket     echoes messages, unmasked
 *   GET /1k-10ms         the same after ten milliseconds, as of a backend that has something to do
 *
 * Anything else is answered 400 and closed, so that a contender that rewrites a request wrongly is found out.
 * One thread, edge-triggered epoll, pipelining one answer at a time.
 *
 *   origin PORT     PORT 0: the kernel chooses; the first line on stdout says which */
#include "net.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { INPUT = 16384, EVENTS = 256, HEAD = 256, LARGEST = 10 << 20, WORK_MS = 10 };

struct page {
	const char *path;
	size_t size;
	bool works; /* answers after WORK_MS */
	char head[HEAD];
	size_t head_len;
};

static struct page pages[] = {{.path = "/1k", .size = 1 << 10}, {.path = "/64k", .size = 64 << 10},
	{.path = "/10m", .size = LARGEST}, {.path = "/1k-10ms", .size = 1 << 10, .works = true}};
static char body[LARGEST];

enum conn_state { CONN_HTTP, CONN_WORKING, CONN_WEBSOCKET, CONN_CLOSING };

struct conn {
	int fd;
	enum conn_state state;
	size_t in_len;
	char in[INPUT];
	char out[INPUT]; /* the head of an answer, or echoed messages */
	size_t out_off, out_len;
	size_t body_off, body_len; /* of the page being sent, after out */
	const struct page *page; /* WORKING: what is to be answered, and when */
	uint64_t due_ns;
	TAILQ_ENTRY(conn) working;
};

static int epfd;
static TAILQ_HEAD(, conn) working = TAILQ_HEAD_INITIALIZER(working); /* the oldest is due first */

static void pages_fill(void)
{
	memset(body, 'w', sizeof(body));
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
		pages[i].head_len = (size_t)snprintf(pages[i].head, HEAD,
			"HTTP/1.1 200 OK\r\nServer: origin\r\nContent-Type: application/octet-stream\r\n"
			"Content-Length: %zu\r\n\r\n",
			pages[i].size);
}

/* Sends what is waiting. True: all of it went out. On an error the connection is left CLOSING with nothing to send. */
static bool conn_flush(struct conn *c)
{
	while (c->out_len || c->body_len) {
		struct iovec iov[2] = {{c->out + c->out_off, c->out_len}, {body + c->body_off, c->body_len}};
		struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
		ssize_t w = sendmsg(c->fd, &msg, MSG_NOSIGNAL);
		size_t from_out;

		if (w < 0) {
			if (errno == EAGAIN)
				return false;
			c->out_len = c->body_len = 0;
			c->state = CONN_CLOSING;
			return true;
		}
		from_out = (size_t)w < c->out_len ? (size_t)w : c->out_len;
		c->out_off += from_out;
		c->out_len -= from_out;
		c->body_off += (size_t)w - from_out;
		c->body_len -= (size_t)w - from_out;
	}
	c->out_off = c->body_off = 0;
	return true;
}

static void conn_put(struct conn *c, const char *p, size_t n)
{
	memcpy(c->out + c->out_off + c->out_len, p, n);
	c->out_len += n;
}

static void answer_bad(struct conn *c)
{
	static const char bad[] =
		"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

	conn_put(c, bad, sizeof(bad) - 1);
	c->state = CONN_CLOSING;
}

static void answer_page(struct conn *c, const struct page *page)
{
	conn_put(c, page->head, page->head_len);
	c->body_off = 0;
	c->body_len = page->size;
}

static void conn_works(struct conn *c, const struct page *page)
{
	c->state = CONN_WORKING;
	c->page = page;
	c->due_ns = now_ns() + WORK_MS * 1000000u;
	TAILQ_INSERT_TAIL(&working, c, working);
}

static void conn_worked(struct conn *c)
{
	TAILQ_REMOVE(&working, c, working);
	c->state = CONN_HTTP;
}

/* RFC 6455 4.2.2: the accept value is the hash of the key and a fixed text. */
static void answer_websocket(struct conn *c, const char *key, size_t key_len)
{
	char text[128], accept[32], head[HEAD];
	unsigned char sha[SHA_DIGEST_LENGTH];
	int n = snprintf(text, sizeof(text), "%.*s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", (int)key_len, key);

	SHA1((unsigned char *)text, (size_t)n, sha);
	EVP_EncodeBlock((unsigned char *)accept, sha, sizeof(sha));
	n = snprintf(head, sizeof(head),
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Accept: %s\r\n\r\n",
		accept);
	conn_put(c, head, (size_t)n);
	c->state = CONN_WEBSOCKET;
}

/* head is NUL-terminated at its empty line. */
static void conn_request(struct conn *c, char *head)
{
	const char *key = strcasestr(head, "\r\nsec-websocket-key:");
	size_t path_len;

	if (strncmp(head, "GET /", 5) != 0 || !strcasestr(head, "\r\nhost:") ||
		strcasestr(head, "\r\ntransfer-encoding:")) {
		answer_bad(c);
		return;
	}
	if (key && strcasestr(head, "\r\nupgrade:")) {
		key += strlen("\r\nsec-websocket-key:");
		key += strspn(key, " \t");
		answer_websocket(c, key, strcspn(key, " \t\r"));
		return;
	}
	path_len = strcspn(head + 4, " ");
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		if (strlen(pages[i].path) != path_len || memcmp(head + 4, pages[i].path, path_len) != 0)
			continue;
		if (pages[i].works) {
			conn_works(c, &pages[i]);
			return;
		}
		answer_page(c, &pages[i]);
		if (strcasestr(head, "\r\nconnection: close"))
			c->state = CONN_CLOSING;
		return;
	}
	answer_bad(c);
}

/* One message, if it is there whole: returns its length, 0 if more is needed. Messages of the bench are below 64 KiB. */
static size_t conn_message(struct conn *c, unsigned char *p, size_t n)
{
	size_t len, at = 2;
	unsigned char head[4] = {p[0], 0, 0, 0}, mask[4];

	if (n < 2)
		return 0;
	len = p[1] & 0x7f;
	if (len == 126) {
		if (n < 4)
			return 0;
		len = (size_t)p[2] << 8 | p[3];
		at = 4;
	}
	if (n < at + 4 + len)
		return 0;
	memcpy(mask, p + at, 4);
	p += at + 4;
	for (size_t i = 0; i < len; i++)
		p[i] ^= mask[i & 3];
	if (len < 126) {
		head[1] = (unsigned char)len;
	} else {
		head[1] = 126;
		head[2] = (unsigned char)(len >> 8);
		head[3] = (unsigned char)len;
	}
	conn_put(c, (char *)head, at);
	conn_put(c, (char *)p, len);
	return at + 4 + len;
}

/* Takes one request or message from the input. False: it is not all there yet. */
static bool conn_take(struct conn *c)
{
	size_t used;

	if (c->state == CONN_WORKING)
		return false;
	if (c->state == CONN_HTTP) {
		char *end = memmem(c->in, c->in_len, "\r\n\r\n", 4);

		if (!end) {
			if (c->in_len == INPUT)
				answer_bad(c);
			return false;
		}
		end[2] = '\0';
		conn_request(c, c->in);
		used = (size_t)(end + 4 - c->in);
	} else {
		used = conn_message(c, (unsigned char *)c->in, c->in_len);
		if (!used) {
			if (c->in_len == INPUT)
				c->state = CONN_CLOSING;
			return false;
		}
	}
	c->in_len -= used;
	if (c->in_len)
		memmove(c->in, c->in + used, c->in_len);
	return true;
}

/* Runs until it would block either way. False: the connection is over. */
static bool conn_run(struct conn *c)
{
	for (;;) {
		ssize_t n;
		size_t room;

		if (!conn_flush(c))
			return true;
		if (c->state == CONN_CLOSING)
			return false;
		if (c->state == CONN_WORKING)
			return true;
		if (c->in_len && conn_take(c))
			continue;
		if (c->out_len || c->state == CONN_CLOSING)
			continue;
		room = INPUT - c->in_len;
		n = recv(c->fd, c->in + c->in_len, room, 0);
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0)
			return false;
		c->in_len += (size_t)n;
		/* A short read has drained the socket: answer, and do not ask again. */
		if ((size_t)n < room) {
			while (conn_take(c)) {
				if (!conn_flush(c))
					return true;
				if (c->state == CONN_CLOSING)
					return false;
			}
			if (!conn_flush(c))
				return true;
			return c->state != CONN_CLOSING;
		}
	}
}

static void conn_close(struct conn *c)
{
	if (c->state == CONN_WORKING)
		conn_worked(c);
	close(c->fd);
	free(c);
}

/* Answers what is due. Returns how long until more is, in *wait; NULL: nothing is being worked on. */
static const struct timespec *answer_due(struct timespec *wait)
{
	struct conn *c;

	while ((c = TAILQ_FIRST(&working))) {
		uint64_t now = now_ns();

		if (c->due_ns > now) {
			*wait = (struct timespec){.tv_nsec = (long)(c->due_ns - now)};
			return wait;
		}
		conn_worked(c);
		answer_page(c, c->page);
		if (!conn_run(c))
			conn_close(c);
	}
	return NULL;
}

static void accept_all(int lfd)
{
	int fd;

	while ((fd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct conn *c = calloc(1, sizeof(*c));
		struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};

		if (!c)
			die("out of memory");
		c->fd = fd;
		net_nodelay(fd);
		if (epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) < 0)
			die("epoll_ctl: %s", strerror(errno));
	}
}

int main(int argc, char **argv)
{
	struct epoll_event ev[EVENTS], listening = {.events = EPOLLIN, .data.ptr = NULL};
	uint16_t port;
	int lfd;

	if (argc != 2)
		die("usage: origin PORT");
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_TIMERSLACK, 1);
	net_many_files();
	pages_fill();
	port = (uint16_t)number(argv[1], "PORT", 0, 65535);
	epfd = epoll_create1(EPOLL_CLOEXEC);
	lfd = net_listen(&port);
	if (epfd < 0 || epoll_ctl(epfd, EPOLL_CTL_ADD, lfd, &listening) < 0)
		die("epoll: %s", strerror(errno));
	printf("%u\n", port);
	fflush(stdout);
	for (;;) {
		struct timespec wait;
		int n = epoll_pwait2(epfd, ev, EVENTS, answer_due(&wait), NULL);

		for (int i = 0; i < n; i++) {
			struct conn *c = ev[i].data.ptr;

			if (!c) {
				accept_all(lfd);
			} else if (!conn_run(c) || (ev[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))) {
				conn_close(c);
			}
		}
	}
}
