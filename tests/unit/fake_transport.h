/* fake_transport.h - a transport without a socket: input is fed in the pieces that a test chooses, output is collected.
 *
 * The test owns the struct and may look at it after the codec has closed the transport. Every fake_* verb that lets
 * something happen calls on_event and then runs the loop's tasks, as the end of a tick does. */
#ifndef WEIR_TESTS_FAKE_TRANSPORT_H
#define WEIR_TESTS_FAKE_TRANSPORT_H

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/obj.h"
#include "io/loop.h"
#include "io/transport.h"

struct fake_transport {
	struct transport t;
	char *in; /* fed and not yet read: in[in_at..in_n) */
	size_t in_at, in_n;
	bool in_eof; /* after the input: FIN */
	bool in_reset; /* after the input: ECONNRESET */
	char *out; /* all that was written; NUL-terminated */
	size_t out_n;
	size_t write_room; /* bytes that writev takes before it says AGAIN */
	bool write_fails;
	unsigned reads, writes; /* calls that a socket would have seen */
	bool shut; /* FIN was sent */
	bool closed;
	bool aborted; /* closed by RST */
};

static inline ssize_t fake_read_(struct transport *t, void *p, size_t room)
{
	struct fake_transport *f = CONTAINER(t, struct fake_transport, t);
	size_t n = MIN(room, f->in_n - f->in_at);

	MUST(!f->closed);
	if (!t->readable)
		return t->state == TRANSPORT_DEAD ? TRANSPORT_ERROR : TRANSPORT_AGAIN;
	f->reads++;
	if (n) {
		memcpy(p, f->in + f->in_at, n);
		f->in_at += n;
		if (n < room && !t->peer_closed)
			t->readable = false;
		return (ssize_t)n;
	}
	t->readable = false;
	if (t->state == TRANSPORT_DEAD)
		return TRANSPORT_ERROR;
	if (f->in_reset) {
		transport_die(t, REASON_NONE, ECONNRESET);
		return TRANSPORT_ERROR;
	}
	return f->in_eof ? TRANSPORT_EOF : TRANSPORT_AGAIN;
}

static inline ssize_t fake_writev_(struct transport *t, const struct iovec *iov, int n)
{
	struct fake_transport *f = CONTAINER(t, struct fake_transport, t);
	size_t taken = 0;

	MUST(!f->closed);
	if (t->state == TRANSPORT_DEAD)
		return TRANSPORT_ERROR;
	MUST(!f->shut);
	if (!t->writable)
		return TRANSPORT_AGAIN;
	f->writes++;
	if (f->write_fails) {
		transport_die(t, REASON_NONE, EPIPE);
		t->readable = true;
		return TRANSPORT_ERROR;
	}
	for (int i = 0; i < n && f->write_room; i++) {
		size_t part = MIN(iov[i].iov_len, f->write_room);

		f->out = realloc(f->out, f->out_n + part + 1);
		MUST(f->out);
		memcpy(f->out + f->out_n, iov[i].iov_base, part);
		f->out_n += part;
		f->out[f->out_n] = '\0';
		f->write_room -= part;
		taken += part;
	}
	if (taken)
		return (ssize_t)taken;
	t->writable = false;
	return TRANSPORT_AGAIN;
}

static inline void fake_shutdown_(struct transport *t)
{
	struct fake_transport *f = CONTAINER(t, struct fake_transport, t);

	MUST(!f->closed);
	f->shut = true;
}

static inline void fake_close_(struct transport *t)
{
	struct fake_transport *f = CONTAINER(t, struct fake_transport, t);

	MUST(!f->closed);
	f->closed = true;
	f->aborted = t->state == TRANSPORT_DEAD && t->sys_errno == 0;
	t->state = TRANSPORT_DEAD;
}

static const struct transport_ops fake_ops_ = {
	.read = fake_read_,
	.writev = fake_writev_,
	.shutdown = fake_shutdown_,
	.close = fake_close_,
};

/* An open transport that takes any number of bytes. Give &f->t to a codec. */
static inline void fake_transport_init(struct fake_transport *f, struct loop *l)
{
	*f = (struct fake_transport){.write_room = SIZE_MAX};
	f->out = calloc(1, 1);
	f->t = (struct transport){
		.magic = TRANSPORT_MAGIC,
		.fd = -1,
		.ops = &fake_ops_,
		.loop = l,
		.state = TRANSPORT_OPEN,
		.writable = true,
	};
}

static inline void fake_transport_free(struct fake_transport *f)
{
	if (f->t.fd >= 0)
		close(f->t.fd);
	free(f->in);
	free(f->out);
	*f = (struct fake_transport){0};
}

static inline void fake_event(struct fake_transport *f)
{
	if (!f->closed && f->t.on_event)
		f->t.on_event(&f->t);
	loop_run_tasks(f->t.loop);
}

/* Appends input without telling anyone. */
static inline void fake_put(struct fake_transport *f, const void *p, size_t n)
{
	if (n == 0)
		return;
	f->in = realloc(f->in, f->in_n + n);
	MUST(f->in);
	memcpy(f->in + f->in_n, p, n);
	f->in_n += n;
	f->t.readable = true;
}

/* The peer sends n bytes. */
static inline void fake_feed(struct fake_transport *f, const void *p, size_t n)
{
	fake_put(f, p, n);
	fake_event(f);
}

/* The same in pieces of at most `piece` bytes, each an event of its own. */
static inline void fake_feed_split(struct fake_transport *f, const void *p, size_t n, size_t piece)
{
	for (size_t at = 0; at < n; at += piece)
		fake_feed(f, (const char *)p + at, MIN(piece, n - at));
}

/* The peer has finished sending. */
static inline void fake_feed_eof(struct fake_transport *f)
{
	f->in_eof = f->t.peer_closed = f->t.readable = true;
	fake_event(f);
}

/* The peer's RST has come, together with what was put before: as libevent shows it. Only the kernel tells it from data, so there is
 * a descriptor for transport_was_reset() to ask: a unix socket whose peer closed without reading is in that state too. */
static inline void fake_feed_reset(struct fake_transport *f)
{
	int pair[2];

	if (f->t.fd < 0) {
		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
		MUST(write(pair[0], "", 1) == 1);
		close(pair[1]);
		f->t.fd = pair[0];
	}
	f->in_reset = f->t.suspect = f->t.readable = true;
	fake_event(f);
}

/* The peer reads again: room for n bytes more. */
static inline void fake_unblock(struct fake_transport *f, size_t n)
{
	f->write_room = n;
	f->t.writable = true;
	fake_event(f);
}

static inline void fake_out_clear(struct fake_transport *f)
{
	f->out_n = 0;
	f->out[0] = '\0';
}

#endif
