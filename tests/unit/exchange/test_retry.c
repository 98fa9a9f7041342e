/* exchange/retry.c: what the case table cannot time. */
#include <poll.h>
#include "suite.h"

/* Resets the origin's connection when the next request has been read, and before it is passed on. */
struct ambush {
	struct task task;
	struct stage *st;
};

static void spring(struct task *t)
{
	struct stage *st = CONTAINER(t, struct ambush, task)->st;
	const struct backend *b = st->house.snapshot->pools[0]->backends[0];
	struct list *link = list_first(&edge_backend(&st->house.worker.edge, b)->full);
	struct pollfd upstream = {.events = POLLIN};

	assert_non_null(link);
	upstream.fd = CONTAINER(link, struct http_conn, link)->transport->fd;
	transport_abort(&st->origin.conns[0]->t);
	/* It takes no time, unless the kernel is busy. */
	assert_int_equal(poll(&upstream, 1, CASE_PATIENCE_MS), 1);
}

static void a_post_of_which_nothing_was_sent_is_sent_again_and_runs_once(void **state)
{
	static const struct test_case c = {.name = "unsent",
		.client = "POST /a length=1; say x; end; wait end; pause; POST /b length=1; say y; end",
		/* "abort" is never reached: it makes the connections such as can be reset. */
		.origin = "200 end || 200 end || abort",
		.answer = "200\nend\n200\nend\n",
		.asked = "POST /a length=1\nbody x\nend\nPOST /b length=1\nbody y\nend\n"};
	uint64_t end = case_ms() + CASE_PATIENCE_MS;
	struct ambush ambush = {.task.run = spring};
	struct stage *st = stage_new(&c, h1);
	struct iovec log[2];

	(void)state;
	ambush.st = st;
	stage_hear(st, "end\n");
	stage_settle(st);
	assert_int_equal(st->origin.n, 1);
	assert_true(stage_release(&st->client, SIZE_MAX));
	/* The client's request lies in the socket: READY comes after it was read, before FLUSH writes it. */
	loop_defer(&st->house.worker.loop, &ambush.task, LOOP_READY);
	while (!stage_done(st) && case_ms() < end)
		stage_settle(st);
	assert_string_equal(side_heard(&st->client), c.answer);
	assert_string_equal(side_heard(&st->origin), c.asked);
	assert_int_equal(st->origin.n, 2);
	assert_int_equal(ring_peek(&st->house.worker.access, log), 1);
	assert_non_null(memmem(log[0].iov_base, log[0].iov_len, "upstream_unsent", 15));
	stage_clear(st);
	stage_free(&st);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_post_of_which_nothing_was_sent_is_sent_again_and_runs_once),
	};

	return RUN_SUITE(tests);
}
