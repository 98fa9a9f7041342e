/* exchange/lasting.h: how exchanges end that do not by themselves, when their backend drains; which others are let. WebSockets:
 * tests/e2e/test_drain.py. */
#include "suite.h"

#define SOON   "timeouts: {stream_drain: 1ms}\n"
#define NEVER  "timeouts: {stream_drain: 0}\n"
#define EVENTS "[content-type: text/event-stream; charset=utf-8]"
#define GRPC   "[content-type: application/grpc]"
#define GONE \
	"[grpc-status: 14] [grpc-message: what the stream goes through drains, and timeouts.stream_drain " \
	"has passed]"

/* The answer has begun; then the backend drains. */
static struct stage *drained(const struct test_case *c, struct pairing how)
{
	struct stage *st = stage_new(c, how);

	stage_hear(st, "200");
	stage_settle(st);
	backend_set_draining(st->house.snapshot->pools[0]->backends[0], true);
	worker_drains_changed(&st->house.worker);
	lasting_look(&st->house.worker.edge);
	return st;
}

/* More than enough for all that is due. */
static void let_time_pass(struct stage *st)
{
	for (int i = 0; i < 30; i++) {
		stage_settle(st);
		house_turn(&st->house, 10);
	}
}

static void comes_to_its_end(struct stage *st)
{
	uint64_t end = case_ms() + CASE_PATIENCE_MS;

	while (!stage_done(st) && case_ms() < end) {
		stage_settle(st);
		house_turn(&st->house, 10);
	}
	assert_string_equal(side_heard(&st->client), st->c->answer);
	assert_string_equal(side_heard(&st->origin), st->c->asked);
	assert_true(stage_done(st));
	stage_clear(st);
	stage_free(&st);
}

static void an_event_stream_comes_to_an_orderly_end(void **state)
{
	static const struct test_case c = {.name = "events",
		.top = SOON,
		.client = "GET /e end",
		.origin = "200 stream " EVENTS "; say data: x",
		.answer = "200 " EVENTS "\nbody data: x\nend\n",
		.asked = "GET /e\nend\ncut\n"};

	(void)state;
	comes_to_its_end(drained(&c, h1));
	comes_to_its_end(drained(&c, h2));
}

static void a_call_ends_with_unavailable_in_its_trailers(void **state)
{
	static const struct test_case c = {.name = "call",
		.top = SOON,
		.client = "POST /g te stream " GRPC "; say a",
		.origin = "200 stream " GRPC "; say one",
		.answer = "200 " GRPC "\nbody one\ntrailers " GONE "\nend\n",
		.asked = "POST /g te " GRPC "\nbody a\ncut\n"};

	(void)state;
	comes_to_its_end(drained(&c, h2));
}

static void what_only_looks_like_one_is_let(void **state)
{
	static const struct test_case counted = {.name = "events of a known length",
		.top = SOON,
		.client = "GET /e end",
		.origin = "200 length=8 " EVENTS "; say data; pause; say more; end",
		.answer = "200 length=8 " EVENTS "\nbody datamore\nend\n",
		.asked = "GET /e\nend\n"};
	static const struct test_case download = {.name = "a download",
		.top = SOON,
		.client = "GET /d end",
		.origin = "200 stream [content-type: text/event-streams]; say data; pause; say more; end",
		.answer = "200 [content-type: text/event-streams]\nbody datamore\nend\n",
		.asked = "GET /d\nend\n"};
	static const struct test_case answer = {.name = "a call that is answered by no gRPC server",
		.top = SOON,
		.client = "POST /g te stream " GRPC "; say a; end",
		.origin = "200 stream [content-type: text/html]; say data; pause; say more; end",
		.answer = "200 [content-type: text/html]\nbody datamore\nend\n",
		.asked = "POST /g te " GRPC "\nbody a\nend\n"};
	static const struct test_case never = {.name = "without a deadline",
		.top = NEVER,
		.client = "GET /e end",
		.origin = "200 stream " EVENTS "; say data; pause; say more; end",
		.answer = "200 " EVENTS "\nbody datamore\nend\n",
		.asked = "GET /e\nend\n"};
	static const struct test_case *const all[] = {&counted, &download, &answer, &never};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(all); i++) {
		struct stage *st = drained(all[i], h2);

		let_time_pass(st);
		assert_int_equal(st->house.worker.edge.exchange_n, 1);
		assert_true(stage_release(&st->origin, SIZE_MAX));
		comes_to_its_end(st);
	}
}

static void they_are_counted_while_they_last(void **state)
{
	static const struct test_case c = {.name = "counted",
		.client = "GET /e end",
		.origin = "200 stream " EVENTS "; say data; pause; end",
		.answer = "200 " EVENTS "\nbody data\nend\n",
		.asked = "GET /e\nend\n"};
	struct stage *st = stage_new(&c, h1);
	const struct edge *e = &st->house.worker.edge;
	struct str key = st->house.gate->entry->conf.socket_key;

	(void)state;
	stage_hear(st, "200");
	assert_int_equal(counter_get(&e->tally.streams), 1);
	assert_int_equal(counter_get(&e->tally.tunnels), 0);
	assert_int_equal(lasting_of_listener(e, key).streams, 1);
	assert_int_equal(lasting_of_listener(e, STR("another")).streams, 0);
	stage_settle(st);
	assert_true(stage_release(&st->origin, SIZE_MAX));
	comes_to_its_end(st);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_event_stream_comes_to_an_orderly_end),
		cmocka_unit_test(a_call_ends_with_unavailable_in_its_trailers),
		cmocka_unit_test(what_only_looks_like_one_is_let),
		cmocka_unit_test(they_are_counted_while_they_last),
	};

	return RUN_SUITE(tests);
}
