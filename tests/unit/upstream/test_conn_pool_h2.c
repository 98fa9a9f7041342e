/* upstream/conn_pool.h over HTTP/2: how many connections are made for how many requests, before and after a backend has said how many it
 * takes at once, and who is told when one of them fails. */
#include "pool_bench.h"

static void speak_h2(struct bench *b)
{
	b->settings.protocol = CONF_H2C;
	conn_pool_configure(b->pool, &b->settings);
}

/* Users from..to-1 ask at once. */
static void all_ask(struct bench *b, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++) {
		struct user *u = &b->user[i];
		struct http_conn *c = u->waiter.fresh ? NULL : conn_pool_take(b->pool);

		if (c)
			use(u, c);
		else
			assert_int_equal(wait_for_one(u), REASON_NONE);
	}
}

static void send_bytes(struct bench *b, unsigned n, const void *p, size_t size)
{
	assert_int_equal(send(b->accepted[n], p, size, MSG_NOSIGNAL), size);
}

/* The backend says on the connection that it accepted as the nth how many streams it takes. */
static void settings(struct bench *b, unsigned n, uint8_t streams)
{
	const uint8_t frame[] = {0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, streams};

	send_bytes(b, n, frame, sizeof(frame));
}

/* Its 204 to the first request on that connection. */
static void answer(struct bench *b, unsigned n)
{
	static const uint8_t frame[] = {0, 0, 1, 1, 5, 0, 0, 0, 1, 0x89};

	send_bytes(b, n, frame, sizeof(frame));
}

static unsigned served(const struct bench *b)
{
	unsigned n = 0;

	for (unsigned i = 0; i < USERS; i++)
		n += b->user[i].stream != NULL;
	return n;
}

static unsigned told(const struct bench *b, enum reason why)
{
	unsigned n = 0;

	for (unsigned i = 0; i < USERS; i++)
		n += b->user[i].why == why;
	return n;
}

static uint64_t connects(const struct bench *b)
{
	return counter_get(&conn_pool_tally(b->pool)->connects);
}

static void a_burst_to_a_cold_backend_makes_one_connection(void **state)
{
	struct bench *b = *state;

	speak_h2(b);
	all_ask(b, 0, 100);
	/* One request goes with the preface, the others when they are known to be welcome. */
	UNTIL(b, served(b) == 1 && b->accepted_n == 1);
	all_ask(b, 100, 101);
	assert_int_equal(connects(b), 2);
	settings(b, 0, 100);
	UNTIL(b, b->accepted_n == 2);
	settings(b, 1, 100);
	UNTIL(b, served(b) == 101 && b->pool->coming == 0);
	assert_int_equal(b->pool->conns, 2);
}

static void as_many_are_made_as_the_burst_fills(void **state)
{
	struct bench *b = *state;

	speak_h2(b);
	all_ask(b, 0, 250);
	assert_int_equal(b->pool->opening_n, 3);
	UNTIL(b, b->accepted_n == 3);
	for (unsigned n = 0; n < 3; n++)
		settings(b, n, 100);
	UNTIL(b, served(b) == 250);
	assert_int_equal(connects(b), 3);
}

static void a_backend_that_takes_fewer_gets_more_connections(void **state)
{
	struct bench *b = *state;

	speak_h2(b);
	all_ask(b, 0, 25);
	UNTIL(b, b->accepted_n == 1);
	settings(b, 0, 10);
	UNTIL(b, b->accepted_n == 3);
	settings(b, 1, 10);
	settings(b, 2, 10);
	UNTIL(b, served(b) == 25 && b->pool->coming == 0);
	all_ask(b, 25, 30);
	assert_int_equal(served(b), 30);
	/* What it takes is known by now. */
	all_ask(b, 30, 41);
	assert_int_equal(b->pool->opening_n, 2);
	assert_int_equal(connects(b), 5);
}

static void one_that_takes_a_single_request_gets_a_connection_for_each(void **state)
{
	struct bench *b = *state;

	speak_h2(b);
	all_ask(b, 0, 3);
	UNTIL(b, b->accepted_n == 1);
	settings(b, 0, 1);
	UNTIL(b, b->accepted_n == 3);
	UNTIL(b, served(b) == 3);
	all_ask(b, 3, 5);
	assert_int_equal(b->pool->opening_n, 2);
}

static void the_limit_of_connections_is_kept(void **state)
{
	struct bench *b = *state;

	b->settings.max_conns = 1;
	speak_h2(b);
	all_ask(b, 0, 3);
	UNTIL(b, b->accepted_n == 1);
	settings(b, 0, 1);
	UNTIL(b, b->pool->room == 1);
	answer(b, 0);
	UNTIL(b, b->user[1].stream);
	assert_int_equal(b->pool->waiting_n, 1);
	assert_int_equal(connects(b), 1);
}

static void who_leaves_takes_along_the_connection_that_was_for_him(void **state)
{
	struct bench *b = *state;

	speak_h2(b);
	all_ask(b, 0, 250);
	for (unsigned i = 0; i < 149; i++)
		conn_waiter_cancel(&b->user[i].waiter);
	assert_int_equal(b->pool->opening_n, 2);
	conn_waiter_cancel(&b->user[149].waiter);
	conn_waiter_cancel(&b->user[150].waiter);
	assert_int_equal(b->pool->opening_n, 1);
}

static void a_refused_connection_fails_all_who_counted_on_it(void **state)
{
	struct bench *b = *state;

	close(b->listener);
	b->listener = -1;
	speak_h2(b);
	all_ask(b, 0, 150);
	UNTIL(b, told(b, REASON_UPSTREAM_REFUSED) == 150);
	assert_int_equal(connects(b), 2);
	assert_int_equal(b->pool->conns + b->pool->opening_n + b->pool->waiting_n + b->pool->coming, 0);
}

static void nobody_waits_longer_for_settings_than_for_a_connection(void **state)
{
	struct bench *b = *state;

	b->settings.connect_ms = 1;
	speak_h2(b);
	all_ask(b, 0, 10);
	UNTIL(b, told(b, REASON_UPSTREAM_CONNECT_TIMEOUT) == 9);
	/* What it has taken it may still answer, and then it is as good as any. */
	assert_non_null(b->user[0].stream);
	assert_int_equal(b->pool->conns, 1);
	settings(b, 0, 100);
	answer(b, 0);
	UNTIL(b, b->user[0].answers == 1);
	assert_ptr_equal(conn_pool_take(b->pool), b->user[0].conn);
	assert_int_equal(b->pool->coming, 0);
}

static void one_that_closes_before_its_settings_fails_all_who_counted_on_it(void **state)
{
	struct bench *b = *state;

	speak_h2(b);
	all_ask(b, 0, 10);
	UNTIL(b, served(b) == 1 && b->accepted_n == 1);
	close(b->accepted[0]);
	b->accepted[0] = -1;
	UNTIL(b, told(b, REASON_UPSTREAM_CONNECT) == 9);
	assert_null(b->user[0].stream);
	assert_int_equal(connects(b), 1);
	assert_int_equal(b->pool->conns + b->pool->opening_n + b->pool->waiting_n + b->pool->coming, 0);
}

static void one_that_closes_afterwards_is_replaced_for_those_who_wait(void **state)
{
	struct bench *b = *state;

	b->settings.max_conns = 1;
	speak_h2(b);
	all_ask(b, 0, 3);
	UNTIL(b, b->accepted_n == 1);
	settings(b, 0, 2);
	UNTIL(b, served(b) == 2);
	close(b->accepted[0]);
	b->accepted[0] = -1;
	UNTIL(b, b->accepted_n == 2 && b->user[2].stream);
	assert_int_equal(b->user[2].why, REASON_NONE);
}

static void those_who_need_a_fresh_connection_share_one(void **state)
{
	struct bench *b = *state;

	speak_h2(b);
	all_ask(b, 0, 1);
	UNTIL(b, b->accepted_n == 1);
	settings(b, 0, 100);
	UNTIL(b, b->pool->room == 100);
	for (unsigned i = 1; i < 50; i++)
		b->user[i].waiter.fresh = true;
	all_ask(b, 1, 50);
	UNTIL(b, b->accepted_n == 2);
	settings(b, 1, 100);
	UNTIL(b, served(b) == 50);
	assert_int_equal(connects(b), 2);
	for (unsigned i = 1; i < 50; i++)
		assert_ptr_not_equal(b->user[i].conn, b->user[0].conn);
}

static void whoever_waits_for_a_fresh_one_does_not_stop_those_behind(void **state)
{
	struct bench *b = *state;

	b->settings.max_conns = 1;
	speak_h2(b);
	all_ask(b, 0, 1);
	UNTIL(b, b->accepted_n == 1);
	settings(b, 0, 1);
	UNTIL(b, b->pool->room == 1);
	b->user[1].waiter.fresh = true;
	all_ask(b, 1, 3);
	answer(b, 0);
	UNTIL(b, b->user[2].stream);
	assert_null(b->user[1].stream);
}

static void who_needs_http_1_has_a_connection_of_his_own(void **state)
{
	struct bench *b = *state;

	speak_h2(b);
	b->user[1].waiter.http1 = true;
	all_ask(b, 0, 1);
	assert_int_equal(wait_for_one(&b->user[1]), REASON_NONE);
	assert_int_equal(b->pool->opening_n, 2);
	/* Others are not counted on it, and it is none of theirs. */
	conn_waiter_cancel(&b->user[0].waiter);
	UNTIL(b, b->user[1].stream);
	assert_int_equal(b->user[1].conn->version, HTTP_1_1);
	all_ask(b, 2, 20);
	UNTIL(b, b->pool->conns == 2 && b->accepted_n >= 2);
	assert_int_equal(b->pool->opening_n, 0);
	/* Nobody else comes through it. */
	assert_true(b->user[1].conn->draining);
	assert_int_equal(connects(b), 2);
}

static void who_needs_http_1_is_not_given_a_stream(void **state)
{
	struct bench *b = *state;

	speak_h2(b);
	b->settings.max_conns = 1;
	conn_pool_configure(b->pool, &b->settings);
	all_ask(b, 0, 1);
	UNTIL(b, b->user[0].stream && b->accepted_n == 1);
	settings(b, 0, 100);
	UNTIL(b, b->user[0].conn->settled);
	b->user[1].waiter.http1 = true;
	assert_int_equal(wait_for_one(&b->user[1]), REASON_NONE);
	assert_int_equal(b->pool->opening_n, 0);
	/* At the limit the connection that has room gives way, when its requests have ended. */
	answer(b, 0);
	UNTIL(b, b->user[1].stream);
	assert_int_equal(b->user[1].conn->version, HTTP_1_1);
}

static void who_needs_http_1_gets_the_place_of_one_that_was_busy_when_he_came(void **state)
{
	struct bench *b = *state;

	b->settings.max_conns = 1;
	speak_h2(b);
	all_ask(b, 0, 1);
	UNTIL(b, b->user[0].stream && b->accepted_n == 1);
	settings(b, 0, 1);
	UNTIL(b, b->pool->room == 1);
	b->user[1].waiter.http1 = true;
	assert_int_equal(wait_for_one(&b->user[1]), REASON_NONE);
	assert_false(b->user[0].conn->draining);
	answer(b, 0);
	UNTIL(b, b->user[1].stream);
	assert_int_equal(b->user[1].conn->version, HTTP_1_1);
}

static void with_other_settings_nothing_is_expected_any_more(void **state)
{
	struct bench *b = *state;

	speak_h2(b);
	all_ask(b, 0, 10);
	UNTIL(b, served(b) == 1 && b->accepted_n == 1);
	b->settings.protocol = CONF_HTTP1;
	conn_pool_configure(b->pool, &b->settings);
	UNTIL(b, served(b) == 10);
	assert_int_equal(connects(b), 10);
	assert_int_equal(b->pool->coming, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_burst_to_a_cold_backend_makes_one_connection),
		TEST(as_many_are_made_as_the_burst_fills),
		TEST(a_backend_that_takes_fewer_gets_more_connections),
		TEST(one_that_takes_a_single_request_gets_a_connection_for_each),
		TEST(the_limit_of_connections_is_kept),
		TEST(who_leaves_takes_along_the_connection_that_was_for_him),
		TEST(a_refused_connection_fails_all_who_counted_on_it),
		TEST(nobody_waits_longer_for_settings_than_for_a_connection),
		TEST(one_that_closes_before_its_settings_fails_all_who_counted_on_it),
		TEST(one_that_closes_afterwards_is_replaced_for_those_who_wait),
		TEST(those_who_need_a_fresh_connection_share_one),
		TEST(whoever_waits_for_a_fresh_one_does_not_stop_those_behind),
		TEST(who_needs_http_1_has_a_connection_of_his_own),
		TEST(who_needs_http_1_is_not_given_a_stream),
		TEST(who_needs_http_1_gets_the_place_of_one_that_was_busy_when_he_came),
		TEST(with_other_settings_nothing_is_expected_any_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
