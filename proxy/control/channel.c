#include "control/channel.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/obj.h"
#include "base/str.h"

#define PACKET_MAX  32768
#define LONG_BYTES  (64u << 20) /* of a message in a memory file */
#define LONG_MARK   "long" /* the packet of such a message: its text is the first descriptor */
#define SOCKET_ROOM (1 << 20)

struct queued {
	struct list link;
	size_t n;
	uint32_t fd_n;
	int fds[CHANNEL_FDS_MAX + 1];
	char text[];
};

/* -- descriptors in messages -- */

union control_space {
	char room[CMSG_SPACE((CHANNEL_FDS_MAX + 1) * sizeof(int))];
	struct cmsghdr align;
};

static ssize_t send_packet(int fd, const char *text, size_t n, const int *fds, uint32_t fd_n)
{
	union control_space space = {0};
	struct iovec part = {(void *)(uintptr_t)text, n};
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
	struct cmsghdr *head;

	if (fd_n) {
		m.msg_control = space.room;
		m.msg_controllen = CMSG_SPACE(fd_n * sizeof(int));
		head = CMSG_FIRSTHDR(&m);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(fd_n * sizeof(int));
		memcpy(CMSG_DATA(head), fds, fd_n * sizeof(int));
	}
	return sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static ssize_t receive_packet(int fd, char *text, size_t cap, int *fds, uint32_t *fd_n)
{
	union control_space space;
	struct iovec part = {text, cap};
	struct msghdr m = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = space.room,
		.msg_controllen = sizeof(space.room)};
	ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	*fd_n = 0;
	for (struct cmsghdr *head = n >= 0 ? CMSG_FIRSTHDR(&m) : NULL; head; head = CMSG_NXTHDR(&m, head)) {
		if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
			continue;
		*fd_n = (uint32_t)((head->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(head), *fd_n * sizeof(int));
	}
	return n;
}

static void close_all(const int *fds, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* -- long messages -- */

static int memory_file(const char *text, size_t n)
{
	int fd = memfd_create("weir-message", MFD_CLOEXEC);

	for (size_t at = 0; fd >= 0 && at < n;) {
		ssize_t done = write(fd, text + at, n - at);

		if (done <= 0) {
			close(fd);
			return -1;
		}
		at += (size_t)done;
	}
	return fd;
}

static json_t *read_memory_file(int fd)
{
	struct stat st;
	json_t *message = NULL;
	char *text;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size < 0 || st.st_size > (off_t)LONG_BYTES)
		return NULL;
	text = malloc((size_t)st.st_size + 1);
	MUST(text);
	if (pread(fd, text, (size_t)st.st_size, 0) == (ssize_t)st.st_size)
		message = json_loadb(text, (size_t)st.st_size, 0, NULL);
	free(text);
	return message;
}

/* -- receiving -- */

static void deliver(struct channel *c, struct str packet, int *fds, uint32_t fd_n)
{
	bool is_long = str_eq(packet, STR(LONG_MARK)) && fd_n > 0;
	json_t *message = is_long ? read_memory_file(fds[0]) : json_loadb(packet.p, packet.n, 0, NULL);
	const char *type = json_string_value(json_object_get(message, "type"));
	uint32_t skip = is_long ? 1 : 0;

	if (type)
		c->on_message(c, type, message, fds + skip, fd_n - skip);
	json_decref(message);
	close_all(fds, fd_n);
}

/* False when the peer is gone. */
static bool read_all(struct channel *c)
{
	int fd = c->fd, fds[CHANNEL_FDS_MAX + 4];
	uint32_t fd_n;
	char *text = malloc(PACKET_MAX);
	ssize_t n = -1;

	MUST(text);
	while (c->fd == fd && (n = receive_packet(fd, text, PACKET_MAX, fds, &fd_n)) > 0)
		deliver(c, (struct str){text, (size_t)n}, fds, fd_n);
	free(text);
	return c->fd != fd || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

void channel_read(struct channel *c)
{
	if (c->fd >= 0)
		read_all(c);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct channel *c = arg;

	(void)fd;
	(void)what;
	loop_enter(c->loop);
	if (!read_all(c)) {
		event_del(c->readable);
		c->on_end(c);
	}
}

/* -- sending -- */

static void queued_free(struct queued *q)
{
	close_all(q->fds, q->fd_n);
	free(q);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct channel *c = arg;
	struct list *link;

	(void)what;
	loop_enter(c->loop);
	while ((link = list_first(&c->queue))) {
		struct queued *q = CONTAINER(link, struct queued, link);

		/* Whatever fails but for lack of room, reading will tell. */
		if (send_packet(fd, q->text, q->n, q->fds, q->fd_n) < 0 && errno == EAGAIN)
			return;
		list_remove(link);
		c->queued--;
		queued_free(q);
	}
	event_del(c->writable);
}

static void enqueue(struct channel *c, const char *text, size_t n, const int *fds, uint32_t fd_n)
{
	struct queued *q;

	if (c->queued == CHANNEL_QUEUE_MAX) {
		shutdown(c->fd, SHUT_RDWR); /* on_end follows */
		return;
	}
	q = calloc(1, sizeof(*q) + n);
	MUST(q);
	q->n = n;
	memcpy(q->text, text, n);
	for (; q->fd_n < fd_n; q->fd_n++)
		q->fds[q->fd_n] = dup(fds[q->fd_n]);
	list_push_back(&c->queue, &q->link);
	if (c->queued++ == 0)
		event_add(c->writable, NULL);
}

static void send_or_queue(struct channel *c, const char *text, size_t n, const int *fds, uint32_t fd_n)
{
	if (c->queued > 0 || (send_packet(c->fd, text, n, fds, fd_n) < 0 && errno == EAGAIN))
		enqueue(c, text, n, fds, fd_n);
}

void channel_send(struct channel *c, const char *type, json_t *members, const int *fds, uint32_t fd_n)
{
	int with[CHANNEL_FDS_MAX + 1];
	char *text;
	size_t n;

	MUST(fd_n <= CHANNEL_FDS_MAX);
	if (c->fd < 0) {
		json_decref(members);
		return;
	}
	if (!members)
		members = json_object();
	json_object_set_new(members, "type", json_string(type));
	text = json_dumps(members, JSON_COMPACT);
	json_decref(members);
	MUST(text);
	n = strlen(text);
	if (n < PACKET_MAX) {
		send_or_queue(c, text, n, fds, fd_n);
	} else if ((with[0] = memory_file(text, n)) >= 0) {
		if (fd_n)
			memcpy(with + 1, fds, fd_n * sizeof(*fds));
		send_or_queue(c, LONG_MARK, strlen(LONG_MARK), with, fd_n + 1);
		close(with[0]);
	}
	free(text);
}

/* -- life -- */

bool channel_pair(int fds[2])
{
	int room = SOCKET_ROOM;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return false;
	for (int i = 0; i < 2; i++)
		setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	return true;
}

void channel_open(struct channel *c, struct loop *l, int fd)
{
	c->loop = l;
	c->fd = fd;
	c->queued = 0;
	list_init(&c->queue);
	c->readable = event_new(l->base, fd, EV_READ | EV_PERSIST, on_readable, c);
	c->writable = event_new(l->base, fd, EV_WRITE | EV_PERSIST, on_writable, c);
	MUST(c->readable && c->writable && event_add(c->readable, NULL) == 0);
}

void channel_close(struct channel *c)
{
	struct list *link;

	if (c->fd < 0 || !c->readable)
		return;
	event_free(c->readable);
	event_free(c->writable);
	c->readable = c->writable = NULL;
	close(c->fd);
	c->fd = -1;
	while ((link = list_pop_front(&c->queue)))
		queued_free(CONTAINER(link, struct queued, link));
}
