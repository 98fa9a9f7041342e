#include "io/listener.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/obj.h"
#include "io/socket.h"

#define ACCEPT_BURST   64 /* then the other descriptors have their turn */
#define BACKOFF_MS     100
#define PRIVILEGED_END 1024

/* -- sockets -- */
static void explain(char *err, size_t err_n, const struct conf_listener *l, int why)
{
	struct text t = text_in(err, err_n - 1);

	text_fmt(&t, "cannot listen on " STR_FMT ": %s", STR_ARG(l->address), strerror(why));
	if (why == EACCES && l->addr.family != ADDR_UNIX && l->addr.port < PRIVILEGED_END)
		text_fmt(&t, "; ports below %d need root or CAP_NET_BIND_SERVICE", PRIVILEGED_END);
	else if (why == EADDRINUSE)
		text_fmt(&t, "; another program, or another weir, listens there");
	else if (why == EADDRNOTAVAIL)
		text_fmt(&t, "; this machine does not have that address");
	err[t.n] = 0;
}

/* A bound socket, or -1 with errno. */
static int bind_ip(const struct addr *a, bool shared)
{
	struct sockaddr_storage ss;
	socklen_t n = addr_to_sockaddr(a, &ss);
	int one = 1, fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (shared)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	if (a->family == ADDR_IP6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	socket_prepare(fd, SOCKET_CLIENT_IDLE_S);
	if (bind(fd, (struct sockaddr *)&ss, n) == 0)
		return fd;
	err = errno;
	close(fd);
	errno = err;
	return -1;
}

static void bound_addr(int fd, struct addr *a)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss);

	if (getsockname(fd, (struct sockaddr *)&ss, &n) == 0)
		addr_from_sockaddr(a, (struct sockaddr *)&ss, n);
}

static int open_ip(struct listener_socket *ls, const struct conf_listener *l)
{
	int probe;

	/* SO_REUSEPORT would let a second weir of the same user in silently, to take half of the connections. Without it, bind() says
	 * whether anybody is there. */
	ls->addr = l->addr;
	if (l->addr.port) {
		probe = bind_ip(&l->addr, false);
		if (probe < 0)
			return errno;
		close(probe);
	}
	for (uint32_t i = 0; i < ls->n; i++) {
		ls->fds[i] = bind_ip(&ls->addr, true);
		if (ls->fds[i] < 0)
			return errno;
		if (ls->addr.port == 0)
			bound_addr(ls->fds[i], &ls->addr);
		if (listen(ls->fds[i], (int)l->backlog) < 0)
			return errno;
	}
	return 0;
}

/* A socket file that nobody listens on is what a crash leaves behind. 0, or the errno that says why it stays. */
static int remove_stale(const struct sockaddr_un *un)
{
	struct stat st;
	int fd, err = 0;

	if (lstat(un->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : errno;
	if (!S_ISSOCK(st.st_mode))
		return EEXIST;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno;
	if (connect(fd, (const struct sockaddr *)un, sizeof(*un)) == 0 || errno != ECONNREFUSED)
		err = EADDRINUSE;
	close(fd);
	if (!err && unlink(un->sun_path) < 0)
		err = errno;
	return err;
}

/* The file gets the socket's own mode: chmod() by name could hit another file, if others may write to the directory. */
static int bind_file(int fd, const struct sockaddr_un *un, mode_t mode)
{
	mode_t mask = umask(0);
	int result = fchmod(fd, mode) < 0 ? -1 : bind(fd, (const struct sockaddr *)un, sizeof(*un));

	umask(mask);
	return result;
}

static int open_unix(struct listener_socket *ls, const struct conf_listener *l)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct stat st;
	int err;

	if (l->unix_path.n >= sizeof(un.sun_path))
		return ENAMETOOLONG;
	memcpy(un.sun_path, l->unix_path.p, l->unix_path.n);
	err = remove_stale(&un);
	if (err)
		return err;
	ls->addr = (struct addr){.family = ADDR_UNIX};
	ls->fds[0] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (ls->fds[0] < 0 || bind_file(ls->fds[0], &un, (mode_t)l->unix_mode) < 0)
		return errno;
	ls->unix_path = strdup(un.sun_path);
	MUST(ls->unix_path);
	if (lstat(un.sun_path, &st) == 0) {
		ls->unix_dev = st.st_dev;
		ls->unix_ino = st.st_ino;
	}
	if (listen(ls->fds[0], (int)l->backlog) < 0)
		return errno;
	for (uint32_t i = 1; i < ls->n; i++) {
		ls->fds[i] = dup(ls->fds[0]);
		if (ls->fds[i] < 0)
			return errno;
	}
	return 0;
}

static struct listener_socket *socket_new(struct str key, uint32_t n)
{
	struct listener_socket *ls = calloc(1, sizeof(*ls));

	MUST(ls && n > 0);
	ls->key = strndup(key.p, key.n);
	ls->fds = malloc(n * sizeof(*ls->fds));
	MUST(ls->key && ls->fds);
	ls->n = n;
	for (uint32_t i = 0; i < n; i++)
		ls->fds[i] = -1;
	return ls;
}

void listener_sockets_init(struct listener_sockets *s)
{
	list_init(&s->all);
}

void listener_sockets_free(struct listener_sockets *s, bool keep_files)
{
	struct list *link;

	while ((link = list_first(&s->all))) {
		struct listener_socket *ls = CONTAINER(link, struct listener_socket, link);

		listener_socket_close(&ls, keep_files);
	}
}

struct listener_socket *listener_sockets_find(const struct listener_sockets *s, struct str key)
{
	list_each (link, &s->all) {
		struct listener_socket *ls = CONTAINER(link, struct listener_socket, link);

		if (str_eq(str_of(ls->key), key))
			return ls;
	}
	return NULL;
}

struct listener_socket *listener_sockets_open(
	struct listener_sockets *s, const struct conf_listener *l, uint32_t workers, char *err, size_t err_n)
{
	struct listener_socket *ls = listener_sockets_find(s, l->socket_key);
	int why;

	if (ls)
		return ls;
	ls = socket_new(l->socket_key, workers);
	why = l->addr.family == ADDR_UNIX ? open_unix(ls, l) : open_ip(ls, l);
	if (why) {
		explain(err, err_n, l, why);
		listener_socket_close(&ls, false);
		return NULL;
	}
	list_push_back(&s->all, &ls->link);
	return ls;
}

struct listener_socket *listener_sockets_adopt(
	struct listener_sockets *s, struct str key, const int *fds, uint32_t n)
{
	struct listener_socket *ls = socket_new(key, n);
	struct sockaddr_un un = {0};
	socklen_t un_n = sizeof(un);
	struct stat st;

	memcpy(ls->fds, fds, n * sizeof(*fds));
	bound_addr(fds[0], &ls->addr);
	if (getsockname(fds[0], (struct sockaddr *)&un, &un_n) == 0 && un.sun_family == AF_UNIX) {
		ls->addr = (struct addr){.family = ADDR_UNIX};
		ls->unix_path = strndup(un.sun_path, sizeof(un.sun_path));
		MUST(ls->unix_path);
		if (lstat(ls->unix_path, &st) == 0) {
			ls->unix_dev = st.st_dev;
			ls->unix_ino = st.st_ino;
		}
	}
	list_push_back(&s->all, &ls->link);
	return ls;
}

void listener_socket_close(struct listener_socket **lsp, bool keep_file)
{
	struct listener_socket *ls = TAKE(lsp);
	struct stat st;

	if (!ls)
		return;
	list_remove(&ls->link);
	/* Not if it was replaced meanwhile: then it is somebody else's. */
	if (ls->unix_path && !keep_file && lstat(ls->unix_path, &st) == 0 && st.st_dev == ls->unix_dev &&
		st.st_ino == ls->unix_ino)
		unlink(ls->unix_path);
	for (uint32_t i = 0; i < ls->n; i++)
		if (ls->fds[i] >= 0)
			close(ls->fds[i]);
	free(ls->fds);
	free(ls->unix_path);
	free(ls->key);
	free(ls);
}

int listener_socket_fd(const struct listener_socket *ls, uint32_t worker)
{
	return ls->fds[worker % ls->n];
}

uint32_t listener_socket_share(const struct listener_socket *ls, uint32_t worker, uint32_t workers)
{
	return worker < ls->n ? (ls->n - worker + workers - 1) / workers : 1;
}

/* -- acceptors -- */
static bool is_any(const struct addr *a)
{
	static const uint8_t zero[16];

	return a->family != ADDR_UNIX && memcmp(a->ip, zero, a->family == ADDR_IP4 ? 4 : 16) == 0;
}

static void back_off(struct acceptor *a, int err)
{
	/* The event is level-triggered: left in place it would spin. */
	event_del(&a->ev);
	deadline_arm(a->loop, &a->backoff, BACKOFF_MS);
	if (a->on_exhausted)
		a->on_exhausted(a, err);
}

/* 1 accepted, 0 the queue is empty, -1 nothing can be accepted now. */
static int accept_one(struct acceptor *a)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss);
	struct addr peer = {.family = ADDR_UNIX}, local = a->addr;
	int fd = accept4(a->fd, (struct sockaddr *)&ss, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0) {
		switch (errno) {
		case EAGAIN:
			return 0;
		case EMFILE:
		case ENFILE:
			return a->on_reserve && a->on_reserve(a) ? 1 : -1;
		case ENOMEM:
		case ENOBUFS:
			return -1;
		case EBADF:
		case EINVAL:
		case ENOTSOCK:
			obj_panic(__FILE__, __LINE__, "an acceptor lost its socket");
		default: /* that connection has failed already (accept(2)): the next one */
			return 1;
		}
	}
	if (a->addr.family != ADDR_UNIX)
		addr_from_sockaddr(&peer, (struct sockaddr *)&ss, n);
	if (a->any)
		bound_addr(fd, &local);
	a->on_accept(a, fd, &peer, &local);
	return 1;
}

static void on_connections(evutil_socket_t fd, short what, void *arg)
{
	struct acceptor *a = arg;
	int result = 1;

	(void)fd;
	(void)what;
	loop_enter(a->loop);
	for (int i = 0; i < ACCEPT_BURST && result > 0; i++)
		result = accept_one(a);
	if (result < 0)
		back_off(a, errno);
}

static void on_backoff_over(struct deadline *d)
{
	struct acceptor *a = CONTAINER(d, struct acceptor, backoff);

	event_add(&a->ev, NULL);
}

bool acceptor_start(struct acceptor *a, struct loop *l, int fd, const struct addr *addr)
{
	a->loop = l;
	a->fd = fd;
	a->addr = *addr;
	a->any = is_any(addr);
	a->backoff = (struct deadline){.fire = on_backoff_over};
	/* Level-triggered, unlike connections: what the burst leaves in the queue is simply reported again. */
	event_assign(&a->ev, l->base, fd, EV_READ | EV_PERSIST, on_connections, a);
	a->running = event_add(&a->ev, NULL) == 0;
	return a->running;
}

void acceptor_stop(struct acceptor *a)
{
	if (!a->running)
		return;
	a->running = false;
	deadline_disarm(a->loop, &a->backoff);
	event_del(&a->ev);
	while (accept_one(a) > 0)
		;
}
