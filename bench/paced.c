/* bench/paced.c - an open-loop client: requests are due at fixed times, whether or not earlier ones were answered.
 *
 *   paced PORT CONNECTIONS RATE SECONDS PATH SIZE
 *
 * A request's latency counts from when it was due, so a stall of the contender (or of this program) is seen by every
 * request that fell due in it; a closed-loop client would just have sent fewer. Prints one line of JSON, microseconds. */
#include "net.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>

enum { CONNS_MAX = 1024, EVENTS = 256 };

struct conn {
	int fd;
	uint64_t due_ns; /* of the request that is out */
	struct answer answer;
};

static struct conn conns[CONNS_MAX];
static struct conn *rested[CONNS_MAX]; /* connections with nothing out, the one used last on top */
static size_t rested_n;
static char request[512];
static size_t request_len;
static uint64_t size, done, late_ns;
static uint32_t *latency_ns;

static void conn_send(struct conn *c, uint64_t due_ns)
{
	uint64_t now = now_ns();

	if (now - due_ns > late_ns)
		late_ns = now - due_ns;
	c->due_ns = due_ns;
	c->answer.head_len = 0;
	c->answer.in_body = false;
	if (send(c->fd, request, request_len, MSG_NOSIGNAL) != (ssize_t)request_len)
		die("the contender does not take a request: %s", strerror(errno));
}

static void conn_read(struct conn *c)
{
	static char buf[65536];
	ssize_t n = recv(c->fd, buf, sizeof(buf), 0);
	uint64_t ns;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		die("the contender closed a connection");
	if (answer_feed(&c->answer, buf, (size_t)n, 200, size) == ANSWER_MORE)
		return;
	ns = now_ns() - c->due_ns;
	latency_ns[done++] = ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
	rested[rested_n++] = c;
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static double quantile_us(double q)
{
	size_t at = (size_t)(q * (double)(done - 1));

	return latency_ns[at] / 1000.0;
}

static void run(int epfd, uint64_t total, uint64_t rate)
{
	struct epoll_event ev[EVENTS];
	uint64_t start = now_ns(), sent = 0;

	while (done < total) {
		struct timespec wait = {.tv_sec = 1};
		uint64_t now = now_ns();
		int n;

		while (sent < total && rested_n && start + sent * 1000000000u / rate <= now)
			conn_send(rested[--rested_n], start + sent++ * 1000000000u / rate);
		if (sent < total && rested_n) {
			uint64_t due = start + sent * 1000000000u / rate;

			now = now_ns();
			wait.tv_sec = 0;
			wait.tv_nsec = due > now ? (long)(due - now) : 0;
		}
		n = epoll_pwait2(epfd, ev, EVENTS, &wait, NULL);
		for (int i = 0; i < n; i++)
			conn_read(ev[i].data.ptr);
		if (now_ns() - start > 60000000000u)
			die("only %llu of %llu answers after a minute", (unsigned long long)done,
				(unsigned long long)total);
	}
}

int main(int argc, char **argv)
{
	uint64_t n, rate, total;
	uint16_t port;
	int epfd;

	if (argc != 7)
		die("usage: paced PORT CONNECTIONS RATE SECONDS PATH SIZE");
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_TIMERSLACK, 1); /* the default of 50 us would be most of what is measured */
	port = (uint16_t)number(argv[1], "PORT", 1, 65535);
	n = number(argv[2], "CONNECTIONS", 1, CONNS_MAX);
	rate = number(argv[3], "RATE", 1, 10000000);
	total = rate * number(argv[4], "SECONDS", 1, 50);
	size = number(argv[6], "SIZE", 1, 1 << 30);
	request_len = (size_t)snprintf(
		request, sizeof(request), "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", argv[5]);
	latency_ns = calloc(total, sizeof(*latency_ns));
	epfd = epoll_create1(EPOLL_CLOEXEC);
	if (!latency_ns || epfd < 0)
		die("out of memory or descriptors");
	for (uint64_t i = 0; i < n; i++) {
		struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &conns[i]};

		conns[i].fd = net_connect(port);
		net_nonblocking(conns[i].fd);
		if (epoll_ctl(epfd, EPOLL_CTL_ADD, conns[i].fd, &ev) < 0)
			die("epoll_ctl: %s", strerror(errno));
		rested[rested_n++] = &conns[i];
	}
	run(epfd, total, rate);
	qsort(latency_ns, done, sizeof(*latency_ns), by_value);
	printf("{\"done\": %llu, \"p50\": %.1f, \"p99\": %.1f, \"p999\": %.1f, \"max\": %.1f, "
	       "\"sent_late_max\": %.1f}\n",
		(unsigned long long)done, quantile_us(0.5), quantile_us(0.99), quantile_us(0.999),
		quantile_us(1), (double)late_ns / 1000.0);
	return 0;
}
