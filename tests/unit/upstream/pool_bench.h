/* pool_bench.h - a pool of connections on a loop of its own, users who ask it for some, and a listening socket for a backend that the
 * test speaks for. */
#ifndef WEIR_TESTS_POOL_BENCH_H
#define WEIR_TESTS_POOL_BENCH_H

#include "unit.h"
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "base/obj.h"
#include "upstream/conn_pool.h"

#define USERS       256
#define PATIENCE_MS 10000

/* Who asks the pool for connections. */
struct user {
	struct conn_waiter waiter;
	struct bench *bench;
	struct addr name;
	struct http_conn *conn; /* that it got */
	struct stream *stream;
	enum reason why; /* it was told */
	unsigned answers;
	bool leaves_it; /* does not use the connection that it gets */
};

struct bench {
	struct loop loop;
	struct backend backend;
	struct conn_settings settings;
	struct conn_pool *pool;
	int listener;
	int accepted[USERS * 2]; /* the backend's ends */
	unsigned accepted_n;
	struct user user[USERS];
};

static inline uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static inline void turn(struct bench *b)
{
	int fd;

	loop_once(&b->loop, 10);
	fd = accept4(b->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0)
		b->accepted[b->accepted_n++] = fd;
}

#define UNTIL(b, cond) \
	do { \
		for (uint64_t end_ = now_ms() + PATIENCE_MS; !(cond) && now_ms() < end_;) \
			turn(b); \
		assert_true(cond); \
	} while (0)

/* -- users -- */

static inline void on_head(struct stream *s, const struct head *head, bool last)
{
	struct user *u = s->owner;

	(void)head;
	if (!last)
		return;
	u->answers++;
	conn_pool_done(u->bench->pool);
	stream_release(&u->stream);
}

static inline void on_nothing(struct stream *s, struct chain *chain, bool last)
{
	(void)s;
	(void)chain;
	(void)last;
}

static inline void on_trailers(struct stream *s, const struct fields *trailers)
{
	(void)s;
	(void)trailers;
}

static inline void on_sent(struct stream *s, size_t n)
{
	(void)s;
	(void)n;
}

static inline void on_reset(struct stream *s, enum reason why)
{
	struct user *u = s->owner;

	u->why = why;
	conn_pool_done(u->bench->pool);
	stream_release(&u->stream);
}

static const struct stream_owner_ops user_ops = {on_head, on_nothing, on_trailers, on_sent, on_reset};

static inline void use(struct user *u, struct http_conn *c)
{
	const struct head head = {.method = STR("GET"),
		.method_id = METHOD_GET,
		.scheme = STR("http"),
		.authority = STR("a.test"),
		.path = STR("/")};

	u->stream = conn_pool_open(u->bench->pool, c, &user_ops, u);
	assert_non_null(u->stream);
	stream_send_head(u->stream, &head, true);
}

static inline void on_ready(struct conn_waiter *w, struct http_conn *c)
{
	struct user *u = CONTAINER(w, struct user, waiter);

	u->conn = c;
	if (!u->leaves_it)
		use(u, c);
}

static inline void on_failed(struct conn_waiter *w, enum reason why)
{
	CONTAINER(w, struct user, waiter)->why = why;
}

static inline enum reason wait_for_one(struct user *u)
{
	u->conn = NULL;
	u->why = REASON_NONE;
	u->waiter.ready = on_ready;
	u->waiter.failed = on_failed;
	return conn_pool_wait(u->bench->pool, &u->waiter);
}

static inline int bench_setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t n = sizeof(a);

	assert_non_null(b);
	assert_true(loop_init(&b->loop));
	b->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(b->listener, (struct sockaddr *)&a, n), 0);
	assert_int_equal(listen(b->listener, 16), 0);
	assert_int_equal(getsockname(b->listener, (struct sockaddr *)&a, &n), 0);
	b->backend.magic = BACKEND_MAGIC;
	addr_from_sockaddr(&b->backend.addr, (struct sockaddr *)&a, n);
	b->settings = (struct conn_settings){.protocol = CONF_HTTP1,
		.limits = {.header_bytes = 65536, .header_count = 100},
		.connect_ms = 5000,
		.pending_ms = 60000};
	b->backend.tallies = backend_tallies_new(1);
	b->pool = conn_pool_new(&b->loop, &b->backend);
	conn_pool_configure(b->pool, &b->settings);
	for (unsigned i = 0; i < USERS; i++)
		b->user[i].bench = b;
	*state = b;
	return 0;
}

static inline int bench_teardown(void **state)
{
	struct bench *b = *state;

	for (unsigned i = 0; i < USERS; i++) {
		conn_waiter_cancel(&b->user[i].waiter);
		if (b->user[i].stream)
			conn_pool_done(b->pool);
		stream_release(&b->user[i].stream);
	}
	if (b->pool) {
		conn_pool_close(b->pool);
		conn_pool_retire(&b->pool);
	}
	loop_run_tasks(&b->loop);
	for (unsigned i = 0; i < b->accepted_n; i++)
		if (b->accepted[i] >= 0)
			close(b->accepted[i]);
	if (b->listener >= 0)
		close(b->listener);
	loop_free(&b->loop); /* fails if a block did not come back */
	backend_tallies_free(&b->backend.tallies);
	free(b);
	return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, bench_setup, bench_teardown)

#endif
