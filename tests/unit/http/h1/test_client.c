/* http/h1/client.c: requests go out, answers come back. */
#include "http/h1/fake_backend.h"

static void a_request_goes_out_and_its_answer_comes_back(void **state)
{
	struct owner *o = *state;

	connect_client(o);
	assert_true(o->conn->unused);
	ask(o, &get, true);
	assert_int_equal(o->conn->capacity, 0);
	assert_null(http_conn_open(o->conn, &owner_ops, o));
	assert_out(o, "GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n");
	feed(o, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: s\r\n\r\nhello");
	assert_heard(o, "200 length=5 [Server=s]\nhello<end>\n");
	assert_null(o->s);
	assert_int_equal(o->conn->capacity, 1);
	assert_false(o->conn->unused);
	assert_int_equal(o->changes, 1);
	assert_false(o->ft.closed);
}

static void a_kept_alive_exchange_costs_one_write_and_one_read(void **state)
{
	struct owner *o = *state;

	for (unsigned i = 1; i <= 10; i++) {
		ask(o, &get, true);
		feed(o, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
		assert_int_equal(o->ft.reads, i);
		assert_int_equal(o->ft.writes, i);
		assert_int_equal(o->conn->capacity, 1);
	}
}

static void an_answer_may_be_split_at_every_byte(void **state)
{
	static const char in[] = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
				 "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
				 "chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\nX-T: 1\r\n\r\n";

	(void)state;
	for (size_t cut = 1; cut < sizeof(in) - 1; cut++) {
		struct owner *o;
		void *each;

		setup(&each);
		o = each;
		ask(o, &get, true);
		fake_feed(&o->ft, in, cut);
		fake_feed(&o->ft, in + cut, sizeof(in) - 1 - cut);
		assert_string_equal(flat(heard(o)), "103 [Link=x] 200 stream abcd<trailers [X-T=1]> ");
		release(o);
		run(o);
		assert_int_equal(o->conn->capacity, 1);
		teardown(&each);
	}
}

static void bodies_are_sent_in_the_framing_that_fits(void **state)
{
	struct owner *o = *state;
	struct head post = get;

	post.method = STR("POST");
	post.method_id = METHOD_POST;
	post.body = BODY_STREAM;
	post.expect_continue = true;
	ask(o, &post, false);
	assert_out(o, "POST /x HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nTransfer-Encoding: "
		      "chunked\r\n\r\n");
	fake_out_clear(&o->ft);
	feed(o, "HTTP/1.1 100 Continue\r\n\r\n");
	assert_heard(o, "100\n");
	send_text(o, "hello", false);
	send_text(o, "", true);
	assert_out(o, "5\r\nhello\r\n0\r\n\r\n");
	assert_int_equal(o->sent, 5);
	feed(o, "HTTP/1.1 204 No Content\r\n\r\n");
	assert_heard(o, "204 last\n");
	release(o);
	fake_out_clear(&o->ft);
	post.body = BODY_LENGTH;
	post.has_length = true;
	post.length = 5;
	post.expect_continue = false;
	run(o);
	ask(o, &post, false);
	send_text(o, "hello", true);
	assert_out(o, "POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello");
}

static void a_post_without_content_says_so(void **state)
{
	struct owner *o = *state;
	struct head post = get;

	post.method = STR("POST");
	post.method_id = METHOD_POST;
	ask(o, &post, true);
	assert_out(o, "POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n");
}

static void te_trailers_is_named_in_connection(void **state)
{
	struct owner *o = *state;
	struct head h = get;

	h.te_trailers = true;
	ask(o, &h, true);
	assert_out(o, "GET /x HTTP/1.1\r\nHost: a.test\r\nTE: trailers\r\nConnection: TE\r\n\r\n");
}

static void answers_to_head_and_304_have_a_length_but_no_body(void **state)
{
	struct owner *o = *state;
	struct head h = get;

	h.method = STR("HEAD");
	h.method_id = METHOD_HEAD;
	ask(o, &h, true);
	feed(o, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n");
	assert_heard(o, "200 length=500 last\n");
	release(o);
	run(o);
	ask(o, &get, true);
	feed(o, "HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n");
	assert_heard(o, "304 length=500 last\n");
	release(o);
	run(o);
	assert_int_equal(o->conn->capacity, 1);
}

static void no_body_is_delivered_beyond_the_credit(void **state)
{
	struct owner *o = *state;
	char body[20000];

	memset(body, 'x', sizeof(body));
	o->grant = 0;
	ask(o, &get, true);
	feed(o, "HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\nab");
	assert_heard(o, "200 length=40000\n");
	stream_credit(o->s, 1);
	run(o);
	assert_heard(o, "a");
	fake_put(&o->ft, body, sizeof(body));
	fake_feed(&o->ft, body, 39998 - sizeof(body));
	assert_heard(o, "");
	stream_credit(o->s, 100);
	run(o);
	assert_int_equal(strlen(heard(o)), 100);
	assert_int_equal(o->ft.in_n - o->ft.in_at, 39998 - 99);
	stream_credit(o->s, 39899);
	run(o);
	assert_true(o->in_done);
}

static void a_body_without_length_ends_with_the_connection(void **state)
{
	struct owner *o = *state;

	ask(o, &get, true);
	feed(o, "HTTP/1.1 200 OK\r\n\r\nhello");
	assert_heard(o, "200 stream\nhello");
	fake_feed_eof(&o->ft);
	assert_heard(o, "<end>\n");
	assert_true(o->closed);
}

static void an_early_final_answer_is_delivered_and_the_connection_not_reused(void **state)
{
	struct owner *o = *state;
	struct head post = get;

	post.method = STR("POST");
	post.method_id = METHOD_POST;
	post.body = BODY_LENGTH;
	post.has_length = true;
	post.length = 1000;
	ask(o, &post, false);
	send_text(o, "0123", false);
	feed(o, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
	assert_heard(o, "413 length=2\nno<end>\n");
	release(o);
	run(o);
	assert_true(o->closed);
	assert_true(o->ft.aborted);
}

static void an_early_answer_before_a_reset_is_not_lost(void **state)
{
	struct owner *o = *state;
	struct head post = get;
	const char *in = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno";

	post.method = STR("POST");
	post.method_id = METHOD_POST;
	post.body = BODY_STREAM;
	ask(o, &post, false);
	o->ft.write_room = 3;
	send_text(o, "012345", false);
	o->ft.write_fails = true;
	o->ft.t.writable = true;
	fake_put(&o->ft, in, strlen(in));
	fake_feed_reset(&o->ft);
	assert_heard(o, "413 length=2\nno<end>\n");
	release(o);
	run(o);
	assert_true(o->closed);
}

static void an_early_answer_is_not_lost_when_a_write_fails_first(void **state)
{
	static const char *const in[] = {"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno",
		"HTTP/1.1 413 Content Too Large\r\n\r\nno"};
	static const char *const told[] = {
		"413 length=2\nno<end>\n", "413 stream\nnoreset upstream_cut_body\n"};
	struct head post = get;

	(void)state;
	post.method = STR("POST");
	post.method_id = METHOD_POST;
	post.body = BODY_STREAM;
	for (int i = 0; i < 2; i++) {
		struct owner *o;
		void *st;

		setup(&st);
		o = st;
		ask(o, &post, false);
		/* The answer lies in the socket, its event is still to come. */
		fake_put(&o->ft, in[i], strlen(in[i]));
		o->ft.write_fails = true;
		send_text(o, "012345", false);
		assert_heard(o, told[i]);
		release(o);
		run(o);
		assert_true(o->closed);
		teardown(&st);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_request_goes_out_and_its_answer_comes_back),
		TEST(a_kept_alive_exchange_costs_one_write_and_one_read),
		TEST(an_answer_may_be_split_at_every_byte),
		TEST(bodies_are_sent_in_the_framing_that_fits),
		TEST(a_post_without_content_says_so),
		TEST(te_trailers_is_named_in_connection),
		TEST(answers_to_head_and_304_have_a_length_but_no_body),
		TEST(no_body_is_delivered_beyond_the_credit),
		TEST(a_body_without_length_ends_with_the_connection),
		TEST(an_early_final_answer_is_delivered_and_the_connection_not_reused),
		TEST(an_early_answer_before_a_reset_is_not_lost),
		TEST(an_early_answer_is_not_lost_when_a_write_fails_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
