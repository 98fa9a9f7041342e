#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>

void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t number(const char *text, const char *what, uint64_t min, uint64_t max)
{
	char *end;
	uint64_t n;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || end == text || *end || n < min || n > max)
		die("%s: \"%s\" is not a number from %llu to %llu", what, text, (unsigned long long)min,
			(unsigned long long)max);
	return n;
}

void net_nonblocking(int fd)
{
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
		die("fcntl: %s", strerror(errno));
}

void net_nodelay(int fd)
{
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static struct sockaddr_in loopback(uint16_t port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port)};

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return sin;
}

int net_connect(uint16_t port)
{
	struct sockaddr_in sin = loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0)
		die("connect to 127.0.0.1:%u: %s", port, strerror(errno));
	net_nodelay(fd);
	return fd;
}

int net_listen(uint16_t *port)
{
	struct sockaddr_in sin = loopback(*port);
	socklen_t len = sizeof(sin);
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		die("socket: %s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0 || listen(fd, 4096) < 0 ||
		getsockname(fd, (struct sockaddr *)&sin, &len) < 0)
		die("listen on 127.0.0.1:%u: %s", *port, strerror(errno));
	*port = ntohs(sin.sin_port);
	return fd;
}

void net_many_files(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < lim.rlim_max) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
}

/* The head is complete and NUL-terminated: its status and length must be the ones that the origin sent. */
static void answer_check(struct answer *a, int status, uint64_t size)
{
	const char *field;

	if (strncmp(a->head, "HTTP/1.1 ", 9) != 0 || atoi(a->head + 9) != status)
		die("the answer is not HTTP/1.1 %d: %.*s", status, (int)strcspn(a->head, "\r\n"), a->head);
	if (status == 101)
		return;
	field = strcasestr(a->head, "\r\ncontent-length:");
	if (!field)
		die("the answer has no Content-Length");
	a->left = strtoull(field + strlen("\r\ncontent-length:"), NULL, 10);
	if (a->left != size)
		die("Content-Length is %llu, not %llu", (unsigned long long)a->left,
			(unsigned long long)size);
}

enum answer_state answer_feed(struct answer *a, const char *p, size_t n, int status, uint64_t size)
{
	if (!a->in_body) {
		size_t before = a->head_len, take = n;
		char *end;

		if (take > sizeof(a->head) - 1 - before)
			take = sizeof(a->head) - 1 - before;
		memcpy(a->head + before, p, take);
		a->head_len += take;
		a->head[a->head_len] = '\0';
		end = strstr(a->head, "\r\n\r\n");
		if (!end) {
			if (take < n)
				die("the answer's head is larger than %d bytes", ANSWER_HEAD_MAX);
			return ANSWER_MORE;
		}
		end[2] = '\0';
		answer_check(a, status, size);
		a->in_body = true;
		/* What of this piece belonged to the head. */
		take = (size_t)(end + 4 - a->head) - before;
		n -= take;
	}
	if (status == 101)
		return ANSWER_DONE;
	if (n > a->left)
		die("more bytes than Content-Length said");
	a->left -= n;
	return a->left ? ANSWER_MORE : ANSWER_DONE;
}
