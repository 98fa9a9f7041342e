/* io/listener.h - listening sockets, which outlive configurations and processes, and the acceptors that workers put on them.
 *
 * An IP address gets one socket per worker (SO_REUSEPORT: the kernel spreads connections, no worker wakes in vain); a unix socket
 * is one, duplicated. IPv6 sockets are IPV6_V6ONLY: "[::]:80" is IPv6 alone, and "0.0.0.0:80" can stand beside it, whatever the
 * system's default. What io/socket.h sets is set on the listening socket: accepted ones inherit it, without a call each.
 *
 * The supervisor opens them and keeps them, each worker process has copies of their descriptors; acceptors borrow those. */
#ifndef WEIR_IO_LISTENER_H
#define WEIR_IO_LISTENER_H

#include <event2/event_struct.h>
#include <sys/types.h>
#include "base/list.h"
#include "config/conf.h"
#include "io/loop.h"

/* The sockets of one address. */
struct listener_socket {
	struct list link;
	char *key; /* conf_listener.socket_key, under which reloads and upgrades find it again */
	struct addr addr; /* with the port that the kernel chose, if 0 was asked for */
	char *unix_path; /* NULL for IP; unlinked on close if the file is still the one we made */
	dev_t unix_dev;
	ino_t unix_ino;
	bool told; /* the owner has announced it */
	int *fds; /* one per worker */
	uint32_t n;
};

struct listener_sockets {
	struct list all;
};

void listener_sockets_init(struct listener_sockets *s);
/* Closes all. keep_files: unix sockets stay in the file system, because another process goes on with them. */
void listener_sockets_free(struct listener_sockets *s, bool keep_files);
/* NULL if there is none. */
struct listener_socket *listener_sockets_find(const struct listener_sockets *s, struct str key);
/* The sockets of l: those that are there already, else new ones. A socket that another program (or another weir) listens on is
 * refused. NULL with a text that says what to do. */
struct listener_socket *listener_sockets_open(
	struct listener_sockets *s, const struct conf_listener *l, uint32_t workers, char *err, size_t err_n);
/* Takes n listening descriptors that were inherited, n > 0. Of unix sockets the file is then ours. */
struct listener_socket *listener_sockets_adopt(
	struct listener_sockets *s, struct str key, const int *fds, uint32_t n);
/* NULLs *ls. Connections that wait in the queues are reset: stop the acceptors first. */
void listener_socket_close(struct listener_socket **ls, bool keep_file);
/* The descriptor for a worker; those beyond n share. */
int listener_socket_fd(const struct listener_socket *ls, uint32_t worker);
/* How many of them are that worker's, so that none is nobody's: worker, worker + workers, ...; 1 when there are fewer than workers. */
uint32_t listener_socket_share(const struct listener_socket *ls, uint32_t worker, uint32_t workers);

/* -- what a worker puts on a socket -- */
struct acceptor {
	struct event ev;
	struct loop *loop;
	int fd; /* borrowed */
	struct addr addr; /* where it listens */
	bool any; /* on all addresses: each connection is asked for its own */
	bool running;
	struct deadline backoff; /* armed while there are no descriptors or memory to accept with */
	/* fd is given away: non-blocking, close-on-exec. Must not stop the acceptor. */
	void (*on_accept)(struct acceptor *a, int fd, const struct addr *peer, const struct addr *local);
	/* accept() failed for want of descriptors or memory (errno); it is tried again after a while. May be NULL. */
	void (*on_exhausted)(struct acceptor *a, int err);
	/* Before that: has a descriptor been given up, so that it is worth trying again at once? May be NULL. */
	bool (*on_reserve)(struct acceptor *a);
	void *user;
};

/* Begins to accept; the callbacks and user are set by the caller before. False: no memory for the event. */
bool acceptor_start(struct acceptor *a, struct loop *l, int fd, const struct addr *addr);
/* Accepts what is in the queue already, then no more. Harmless when it does not run. */
void acceptor_stop(struct acceptor *a);

#endif
