/* exchange/attempt.c: who is asked, where the case table has one backend that is always up. */
#include "suite.h"

static void a_backend_that_drains_gets_nothing_and_keeps_no_connection(void **state)
{
	static const struct test_case c = {.name = "draining",
		.client = "GET /a end; wait end; pause; GET /b end",
		.origin = "200 end || 200 end",
		.answer = "200\nend\n503 no_backend\nend\n",
		.asked = "GET /a\nend\n"};
	uint64_t end = case_ms() + CASE_PATIENCE_MS;
	struct stage *st = stage_new(&c, h1);
	struct backend *b = st->house.snapshot->pools[0]->backends[0];

	(void)state;
	stage_hear(st, "end\n");
	stage_settle(st);
	assert_int_equal(house_upstreams(&st->house), 1);
	backend_set_draining(b, true);
	worker_drains_changed(&st->house.worker);
	stage_settle(st);
	/* The connection that was kept for the next request. */
	assert_int_equal(house_upstreams(&st->house), 0);
	assert_true(stage_release(&st->client, SIZE_MAX));
	while (!stage_done(st) && case_ms() < end)
		stage_settle(st);
	assert_string_equal(side_heard(&st->client), c.answer);
	assert_string_equal(side_heard(&st->origin), c.asked);
	stage_clear(st);
	stage_free(&st);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_backend_that_drains_gets_nothing_and_keeps_no_connection),
	};

	return RUN_SUITE(tests);
}
