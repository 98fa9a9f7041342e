/* http/h1/client.c: how connections to backends end, and what that says of the request that was on them. */
#include "http/h1/fake_backend.h"

static void connection_close_is_not_reused(void **state)
{
	struct owner *o = *state;

	ask(o, &get, true);
	feed(o, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
	assert_true(o->closed);
	assert_int_equal(o->closed_why, REASON_NONE);
}

static void http_1_0_without_length_is_not_reused(void **state)
{
	struct owner *o = *state;

	ask(o, &get, true);
	feed(o, "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok");
	assert_heard(o, "200 length=2\nok<end>\n");
	assert_true(o->closed);
	assert_int_equal(o->changes, 0);
}

static void a_fresh_connection_that_ends_is_no_stale_one(void **state)
{
	struct owner *o = *state;

	ask(o, &get, true);
	fake_feed_eof(&o->ft);
	assert_heard(o, "reset upstream_closed\n");
	assert_true(o->closed);
}

static void a_fresh_connection_that_is_reset_says_so(void **state)
{
	struct owner *o = *state;

	ask(o, &get, true);
	fake_feed_reset(&o->ft);
	assert_heard(o, "reset upstream_reset\n");
}

static void a_reused_connection_that_ends_without_an_answer_was_stale(void **state)
{
	for (int reset = 0; reset < 2; reset++) {
		struct owner *o;
		void *each;

		(void)state;
		setup(&each);
		o = each;
		ask(o, &get, true);
		feed(o, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
		release(o);
		run(o);
		heard(o);
		ask(o, &get, true);
		if (reset)
			fake_feed_reset(&o->ft);
		else
			fake_feed_eof(&o->ft);
		assert_heard(o, "reset upstream_stale\n");
		teardown(&each);
	}
}

static void a_reused_connection_that_ends_in_the_head_was_not_stale(void **state)
{
	struct owner *o = *state;

	ask(o, &get, true);
	feed(o, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	release(o);
	run(o);
	heard(o);
	ask(o, &get, true);
	feed(o, "HTTP/1.1 2");
	fake_feed_eof(&o->ft);
	assert_heard(o, "reset upstream_bad_response\n");
}

static void a_first_write_that_fails_has_sent_nothing(void **state)
{
	static const char poison[] = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
	struct owner *o = *state;

	connect_client(o);
	fake_put(&o->ft, poison, sizeof(poison) - 1);
	o->ft.write_fails = true;
	open_stream(o);
	stream_send_head(o->s, &get, true);
	run(o);
	assert_heard(o, "reset upstream_unsent\n");
	assert_true(o->closed);
}

static void a_write_that_fails_without_an_answer_is_a_reset(void **state)
{
	struct owner *o = *state;
	struct head post = get;

	post.method = STR("POST");
	post.method_id = METHOD_POST;
	post.body = BODY_STREAM;
	ask(o, &post, false);
	o->ft.write_fails = true;
	send_text(o, "012345", false);
	assert_heard(o, "reset upstream_reset\n");
	assert_true(o->closed);
}

static void bytes_behind_the_answer_end_the_connection(void **state)
{
	struct owner *o = *state;

	ask(o, &get, true);
	feed(o, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	assert_heard(o, "200 length=2\nok<end>\n");
	assert_true(o->closed);
	assert_int_equal(o->changes, 0);
}

static void an_idle_connection_ends_with_whatever_it_hears(void **state)
{
	for (int what = 0; what < 3; what++) {
		struct owner *o;
		void *each;

		(void)state;
		setup(&each);
		o = each;
		connect_client(o);
		if (what == 0)
			feed(o, "HTTP/1.1 408 Request Timeout\r\n\r\n");
		else if (what == 1)
			fake_feed_eof(&o->ft);
		else
			fake_feed_reset(&o->ft);
		assert_true(o->closed);
		teardown(&each);
	}
}

static void idle_time_is_limited(void **state)
{
	struct owner *o = *state;

	connect_client(o);
	pass(o, 5100);
	assert_true(o->closed);
}

static void a_request_that_is_given_up_takes_its_connection_along(void **state)
{
	struct owner *o = *state;

	ask(o, &get, true);
	stream_reset(o->s, REASON_CANCELLED);
	assert_true(o->ft.aborted);
	run(o);
	assert_heard(o, "");
	release(o);
	run(o);
	assert_true(o->closed);
}

static void draining_closes_when_the_last_stream_ends(void **state)
{
	struct owner *o = *state;

	ask(o, &get, true);
	http_conn_drain(o->conn);
	run(o);
	assert_false(o->closed);
	feed(o, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	assert_heard(o, "200 length=2\nok<end>\n");
	assert_true(o->closed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(connection_close_is_not_reused),
		TEST(http_1_0_without_length_is_not_reused),
		TEST(a_fresh_connection_that_ends_is_no_stale_one),
		TEST(a_fresh_connection_that_is_reset_says_so),
		TEST(a_reused_connection_that_ends_without_an_answer_was_stale),
		TEST(a_reused_connection_that_ends_in_the_head_was_not_stale),
		TEST(a_first_write_that_fails_has_sent_nothing),
		TEST(a_write_that_fails_without_an_answer_is_a_reset),
		TEST(bytes_behind_the_answer_end_the_connection),
		TEST(an_idle_connection_ends_with_whatever_it_hears),
		TEST(idle_time_is_limited),
		TEST(a_request_that_is_given_up_takes_its_connection_along),
		TEST(draining_closes_when_the_last_stream_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
