/* bench/grpc.c - a backend that speaks HTTP/2 without TLS and answers every call as a gRPC server would.
 *
 * Any POST is read to its end and answered 200 with its own body and the trailer grpc-status: 0. One thread, epoll,
 * nghttp2. Enough for unary calls of up to 1 KiB.
 *
 *   grpc PORT     PORT 0: the kernel chooses; the first line on stdout says which */
#include "net.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <nghttp2/nghttp2.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { EVENTS = 64, MESSAGE_MAX = 1024, READ = 65536 };

struct call {
	size_t len, sent;
	uint8_t message[MESSAGE_MAX];
};

struct conn {
	int fd;
	nghttp2_session *h2;
	uint8_t *held; /* what the socket would not take */
	size_t off, len;
};

#define NV(n, v) \
	{ \
		(uint8_t *)(n), (uint8_t *)(v), sizeof(n) - 1, sizeof(v) - 1, \
			NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE \
	}

static int on_begin_headers(nghttp2_session *h2, const nghttp2_frame *f, void *user)
{
	struct call *call = calloc(1, sizeof(*call));

	(void)user;
	if (!call)
		die("out of memory");
	return nghttp2_session_set_stream_user_data(h2, f->hd.stream_id, call);
}

static int on_data(nghttp2_session *h2, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *user)
{
	struct call *call = nghttp2_session_get_stream_user_data(h2, id);

	(void)flags;
	(void)user;
	if (call->len + n > MESSAGE_MAX)
		die("a call of more than %d bytes", MESSAGE_MAX);
	memcpy(call->message + call->len, p, n);
	call->len += n;
	return 0;
}

static ssize_t read_message(nghttp2_session *h2, int32_t id, uint8_t *buf, size_t n, uint32_t *flags,
	nghttp2_data_source *source, void *user)
{
	static const nghttp2_nv trailers[] = {NV("grpc-status", "0")};
	struct call *call = source->ptr;

	(void)user;
	if (n > call->len - call->sent)
		n = call->len - call->sent;
	memcpy(buf, call->message + call->sent, n);
	call->sent += n;
	if (call->sent == call->len) {
		*flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
		nghttp2_submit_trailer(h2, id, trailers, 1);
	}
	return (ssize_t)n;
}

static int on_frame(nghttp2_session *h2, const nghttp2_frame *f, void *user)
{
	static const nghttp2_nv head[] = {NV(":status", "200"), NV("content-type", "application/grpc")};
	nghttp2_data_provider data = {.read_callback = read_message};

	(void)user;
	if (!(f->hd.flags & NGHTTP2_FLAG_END_STREAM) ||
		(f->hd.type != NGHTTP2_DATA && f->hd.type != NGHTTP2_HEADERS))
		return 0;
	data.source.ptr = nghttp2_session_get_stream_user_data(h2, f->hd.stream_id);
	return nghttp2_submit_response(h2, f->hd.stream_id, head, 2, &data);
}

static int on_close(nghttp2_session *h2, int32_t id, uint32_t code, void *user)
{
	(void)code;
	(void)user;
	free(nghttp2_session_get_stream_user_data(h2, id));
	return 0;
}

/* False: the connection is over. */
static bool conn_send(struct conn *c)
{
	for (;;) {
		ssize_t w;

		if (!c->len) {
			/* Gather a batch: one write per frame would make the backend the bottleneck. */
			static uint8_t batch[READ];
			const uint8_t *p;
			ssize_t n;

			while (c->len < sizeof(batch) - 32768 &&
				(n = nghttp2_session_mem_send(c->h2, &p)) > 0) {
				memcpy(batch + c->len, p, (size_t)n);
				c->len += (size_t)n;
			}
			if (!c->len)
				return true;
			c->off = 0;
			w = send(c->fd, batch, c->len, MSG_NOSIGNAL);
			if (w < 0 && errno != EAGAIN)
				return false;
			w = w < 0 ? 0 : w;
			c->len -= (size_t)w;
			if (!c->len)
				continue;
			c->held = malloc(c->len);
			if (!c->held)
				die("out of memory");
			memcpy(c->held, batch + w, c->len);
			return true;
		}
		w = send(c->fd, c->held + c->off, c->len, MSG_NOSIGNAL);
		if (w < 0)
			return errno == EAGAIN;
		c->off += (size_t)w;
		c->len -= (size_t)w;
		if (c->len)
			return true;
		free(c->held);
		c->held = NULL;
	}
}

static bool conn_run(struct conn *c)
{
	static uint8_t buf[READ];
	ssize_t n;

	while ((n = recv(c->fd, buf, sizeof(buf), 0)) > 0) {
		if (nghttp2_session_mem_recv(c->h2, buf, (size_t)n) != n || !conn_send(c))
			return false;
		if ((size_t)n < sizeof(buf))
			return true;
	}
	return n < 0 && errno == EAGAIN && conn_send(c);
}

static void accept_all(int epfd, int lfd, nghttp2_session_callbacks *cb)
{
	static const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1000}};
	int fd;

	while ((fd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct conn *c = calloc(1, sizeof(*c));
		struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};

		if (!c || nghttp2_session_server_new(&c->h2, cb, c) != 0)
			die("out of memory");
		c->fd = fd;
		net_nodelay(fd);
		nghttp2_submit_settings(c->h2, NGHTTP2_FLAG_NONE, settings, 1);
		if (!conn_send(c) || epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) < 0)
			die("a new connection failed: %s", strerror(errno));
	}
}

int main(int argc, char **argv)
{
	struct epoll_event ev[EVENTS], listening = {.events = EPOLLIN, .data.ptr = NULL};
	nghttp2_session_callbacks *cb;
	uint16_t port;
	int lfd, epfd = epoll_create1(EPOLL_CLOEXEC);

	if (argc != 2 || nghttp2_session_callbacks_new(&cb) != 0)
		die("usage: grpc PORT");
	signal(SIGPIPE, SIG_IGN);
	net_many_files();
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
	port = (uint16_t)number(argv[1], "PORT", 0, 65535);
	lfd = net_listen(&port);
	if (epfd < 0 || epoll_ctl(epfd, EPOLL_CTL_ADD, lfd, &listening) < 0)
		die("epoll: %s", strerror(errno));
	printf("%u\n", port);
	fflush(stdout);
	for (;;) {
		int n = epoll_wait(epfd, ev, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			struct conn *c = ev[i].data.ptr;

			if (!c) {
				accept_all(epfd, lfd, cb);
			} else if (!conn_run(c)) {
				close(c->fd);
				nghttp2_session_del(c->h2);
				free(c->held);
				free(c);
			}
		}
	}
}
