#include "supervisor/notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "base/obj.h"
#include "base/str.h"

#define FDS_MAX 253 /* SCM_MAX_FD */

static int open_socket(const char *name)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	size_t n = strlen(name);
	int fd;

	if ((name[0] != '/' && name[0] != '@') || n >= sizeof(un.sun_path))
		return -1;
	memcpy(un.sun_path, name, n);
	if (name[0] == '@') /* abstract */
		un.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&un,
			       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static uint64_t number_of(const char *name)
{
	const char *text = getenv(name);
	uint64_t v = 0;

	return text && str_to_u64(str_of(text), &v) ? v : 0;
}

void notify_open(struct notifier *n)
{
	const char *name = getenv("NOTIFY_SOCKET");
	uint64_t pid = number_of("WATCHDOG_PID"), us = number_of("WATCHDOG_USEC");

	n->fd = name ? open_socket(name) : -1;
	n->watchdog_ms =
		n->fd >= 0 && (pid == 0 || pid == (uint64_t)getpid()) ? (uint32_t)MIN(us / 2000, 3600000) : 0;
}

void notify_send_fds(const struct notifier *n, const char *text, const int *fds, uint32_t fd_n)
{
	union {
		char room[CMSG_SPACE(FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} space = {0};
	struct iovec part = {(void *)(uintptr_t)text, strlen(text)};
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
	struct cmsghdr *head;

	if (n->fd < 0 || fd_n > FDS_MAX)
		return;
	if (fd_n) {
		m.msg_control = space.room;
		m.msg_controllen = CMSG_SPACE(fd_n * sizeof(int));
		head = CMSG_FIRSTHDR(&m);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(fd_n * sizeof(int));
		memcpy(CMSG_DATA(head), fds, fd_n * sizeof(int));
	}
	/* A service manager that does not listen changes nothing of what we do. */
	(void)!sendmsg(n->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void notify_send(const struct notifier *n, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	notify_send_fds(n, text, NULL, 0);
}

void notify_reloading(const struct notifier *n)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	notify_send(n, "RELOADING=1\nMONOTONIC_USEC=%llu",
		(unsigned long long)ts.tv_sec * 1000000 + (unsigned long long)ts.tv_nsec / 1000);
}
