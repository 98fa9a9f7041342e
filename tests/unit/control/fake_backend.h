/* fake_backend.h - a backend for checks, in the test's own thread: answers each request as its script says.
 *
 * Script: a letter for each request, the last one stands for all that follow.
 *   P 200   F 500   C 200 and the connection closes   R reset, no answer   S silence   G garbage   other: `answer` as it is */
#ifndef WEIR_TESTS_CONTROL_FAKE_BACKEND_H
#define WEIR_TESTS_CONTROL_FAKE_BACKEND_H

#include "unit.h"
#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "base/obj.h"
#include "io/loop.h"

#define FAKE_PATIENCE_MS 20000 /* for what is expected; nothing waits that long unless it is broken */
#define FAKE_CONNS       1024

struct fake_backend {
	int listener;
	unsigned port;
	int fds[FAKE_CONNS]; /* -1: free */
	const char *script;
	const char *answer;
	size_t answer_n; /* its bytes; 0: it is a text */
	size_t piece; /* the answer leaves in parts of this size; 0: whole */
	unsigned accepted, asked;
	char request[2048]; /* the last one */
};

static inline uint64_t fake_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static inline void fake_serve(struct fake_backend *f, int listener)
{
	MUST(listener >= 0 && listen(listener, FAKE_CONNS) == 0);
	*f = (struct fake_backend){.listener = listener, .script = "P"};
	for (int i = 0; i < FAKE_CONNS; i++)
		f->fds[i] = -1;
}

/* On every address of the loopback device, so that one fake is as many backends as there are addresses of 127.0.0.0/8. */
static inline void fake_init(struct fake_backend *f)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	MUST(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) == 0);
	MUST(bind(fd, (struct sockaddr *)&a, n) == 0 && getsockname(fd, (struct sockaddr *)&a, &n) == 0);
	fake_serve(f, fd);
	f->port = ntohs(a.sin_port);
}

static inline void fake_init_unix(struct fake_backend *f, const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	strncpy(a.sun_path, path, sizeof(a.sun_path) - 1);
	MUST(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	fake_serve(f, fd);
}

static inline void fake_drop(int *fd, bool reset)
{
	struct linger now = {1, 0};

	if (*fd < 0)
		return;
	if (reset)
		setsockopt(*fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(*fd);
	*fd = -1;
}

static inline void fake_drop_all(struct fake_backend *f)
{
	for (int i = 0; i < FAKE_CONNS; i++)
		fake_drop(&f->fds[i], false);
}

static inline void fake_send(struct fake_backend *f, int fd, const char *text, size_t n)
{
	size_t piece = f->piece ? f->piece : n;

	/* Nobody listens any more to an answer that came too late. */
	for (size_t at = 0; at < n; at += piece)
		if (send(fd, text + at, MIN(piece, n - at), MSG_NOSIGNAL) < 0)
			return;
}

static inline void fake_say(struct fake_backend *f, int fd, const char *text)
{
	fake_send(f, fd, text, strlen(text));
}

static inline void fake_answer(struct fake_backend *f, int *fd)
{
	char letter = *f->script;

	f->asked++;
	if (f->script[1])
		f->script++;
	switch (letter) {
	case 'P':
		fake_say(f, *fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
		break;
	case 'F':
		fake_say(f, *fd, "HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n");
		break;
	case 'C':
		fake_say(f, *fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
		fake_drop(fd, false);
		break;
	case 'R':
		fake_drop(fd, true);
		break;
	case 'G':
		fake_say(f, *fd, "\001garbage\r\n\r\n");
		break;
	case 'S':
		break;
	default:
		fake_send(f, *fd, f->answer, f->answer_n ? f->answer_n : strlen(f->answer));
	}
}

static inline void fake_turn(struct fake_backend *f)
{
	bool more = true;

	for (int i = 0; i < FAKE_CONNS; i++) {
		ssize_t n;

		if (f->fds[i] < 0 && more) {
			f->fds[i] = accept4(f->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
			more = f->fds[i] >= 0;
			f->accepted += more;
		}
		if (f->fds[i] < 0)
			continue;
		n = recv(f->fds[i], f->request, sizeof(f->request) - 1, 0);
		if (n > 0) {
			f->request[n] = '\0';
			fake_answer(f, &f->fds[i]);
		} else if (n == 0 || errno != EAGAIN) {
			fake_drop(&f->fds[i], false);
		}
	}
}

static inline void fake_free(struct fake_backend *f)
{
	fake_drop_all(f);
	close(f->listener);
}

/* Turns the loop and the fake until cond; false when patience ends. */
#define FAKE_UNTIL(l, f, cond) \
	({ \
		uint64_t end_ = fake_now_ms() + FAKE_PATIENCE_MS; \
		while (!(cond) && fake_now_ms() < end_) { \
			loop_once((l), 5); \
			fake_turn(f); \
		} \
		(cond); \
	})

#endif
