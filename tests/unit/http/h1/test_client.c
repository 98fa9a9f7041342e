#include "http/h1/fake_owner.h"

static const struct head get = {
	.method = STR("GET"),
	.method_id = METHOD_GET,
	.scheme = STR("http"),
	.authority = STR("a.test"),
	.path = STR("/x"),
};

static void open_stream(struct owner *o)
{
	o->in_done = false;
	o->s = http_conn_open(o->conn, &owner_ops, o);
	assert_non_null(o->s);
}

static void ask(struct owner *o, const struct head *h, bool last)
{
	if (!o->conn)
		connect_client(o);
	open_stream(o);
	stream_send_head(o->s, h, last);
	run(o);
}

static void send_text(struct owner *o, const char *text, bool last)
{
	struct chain c = {0};

	chain_add_static(&o->loop.mem, &c, str_of(text));
	stream_send_body(o->s, &c, last);
	run(o);
}

/* -- the plain way -- */

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

static void http_1_0_without_length_is_not_reused(void **state)
{
	struct owner *o = *state;

	ask(o, &get, true);
	feed(o, "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok");
	assert_heard(o, "200 length=2\nok<end>\n");
	assert_true(o->closed);
	assert_int_equal(o->changes, 0);
}

static void connection_close_is_not_reused(void **state)
{
	struct owner *o = *state;

	ask(o, &get, true);
	feed(o, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
	assert_true(o->closed);
	assert_int_equal(o->closed_why, REASON_NONE);
}

/* -- faults of a backend -- */

static void fault(struct owner *o, const char *in, enum reason why)
{
	char name[REASON_NAME_MAX], expected[80];

	ask(o, &get, true);
	feed(o, in);
	snprintf(expected, sizeof(expected), "reset " STR_FMT "\n", STR_ARG(reason_name(why, name)));
	assert_non_null(strstr(heard(o), expected));
	assert_true(o->closed);
	assert_true(o->ft.closed);
}

static void what_is_no_http_is_a_bad_response(void **state)
{
	static const char *const cases[] = {
		"SSH-2.0-OpenSSH_9.2\r\n",
		"\r\nHTTP/1.1 200 OK\r\n\r\n",
		"HTTP/2.0 200 OK\r\n\r\n",
		"HTTP/1.1 2000 OK\r\n\r\n",
		"HTTP/1.1 099 OK\r\n\r\n",
		"HTTP/1.1 700 OK\r\n\r\n",
		"HTTP/1.1  200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\nServer: x\n\n",
		"HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n",
		"HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		void *each;

		setup(&each);
		fault(each, cases[i], REASON_UPSTREAM_BAD_RESPONSE);
		teardown(&each);
	}
}

static void unclear_framing_is_refused(void **state)
{
	static const char *const cases[] = {
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
		"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n",
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		void *each;

		setup(&each);
		fault(each, cases[i], REASON_UPSTREAM_BAD_FRAMING);
		teardown(&each);
	}
}

static void length_with_chunked_is_dropped_and_the_connection_with_it(void **state)
{
	struct owner *o = *state;

	ask(o, &get, true);
	feed(o, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\nTransfer-Encoding: "
		"chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
	assert_string_equal(flat(heard(o)), "200 stream ok<end> ");
	assert_true(o->closed);
}

static void a_flood_of_interim_answers_is_capped(void **state)
{
	struct owner *o = *state;

	ask(o, &get, true);
	for (int i = 0; i < 16; i++)
		feed(o, "HTTP/1.1 102 Processing\r\n\r\n");
	assert_null(strstr(heard(o), "reset"));
	feed(o, "HTTP/1.1 102 Processing\r\n\r\n");
	assert_heard(o, "reset upstream_too_many_1xx\n");
}

static void a_head_beyond_the_limit_is_refused(void **state)
{
	struct owner *o = *state;
	char filler[5000];

	memset(filler, 'x', sizeof(filler));
	ask(o, &get, true);
	feed(o, "HTTP/1.1 200 OK\r\nX: ");
	fake_feed(&o->ft, filler, sizeof(filler));
	assert_heard(o, "reset upstream_headers_too_large\n");
}

static void switching_protocols_unasked_is_refused(void **state)
{
	fault(*state,
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
		"Upgrade\r\nSec-WebSocket-Accept: " ACCEPT "\r\n\r\n",
		REASON_UPSTREAM_BAD_UPGRADE);
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

static void a_cut_body_is_never_a_clean_end(void **state)
{
	static const char *const cases[] = {
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n0\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n0\r\nX: y\r\n",
		"HTTP/1.1 200 OK\r\n\r\nhel",
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		for (int reset = 0; reset < 2; reset++) {
			struct owner *o;
			void *each;

			setup(&each);
			o = each;
			ask(o, &get, true);
			feed(o, cases[i]);
			if (reset || i == 5)
				fake_feed_reset(&o->ft);
			else
				fake_feed_eof(&o->ft);
			assert_non_null(strstr(heard(o), "helreset upstream_cut_body\n"));
			teardown(&each);
		}
	}
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

static void a_reset_that_comes_with_a_part_of_the_answer_is_told(void **state)
{
	static const char *const in[] = {"HTTP/1.1 200 OK\r\nContent-",
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n012", "HTTP/1.1 200 OK\r\n\r\n012",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n012\r\n"};
	static const char *const told[] = {"reset upstream_reset\n",
		"200 length=9\n012reset upstream_cut_body\n", "200 stream\n012reset upstream_cut_body\n",
		"200 stream\n012reset upstream_cut_body\n"};

	(void)state;
	for (int i = 0; i < 4; i++) {
		struct owner *o;
		void *st;

		setup(&st);
		o = st;
		ask(o, &get, true);
		fake_put(&o->ft, in[i], strlen(in[i]));
		fake_feed_reset(&o->ft);
		assert_heard(o, told[i]);
		assert_true(o->closed);
		teardown(&st);
	}
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

static void a_stalled_body_has_its_own_reason(void **state)
{
	struct owner *o = *state;

	ask(o, &get, true);
	feed(o, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel");
	pass(o, 3100);
	assert_heard(o, "200 length=5\nhelreset upstream_body_timeout\n");
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

/* -- tunnels -- */

static const struct head tunnel = {
	.method = STR("CONNECT"),
	.method_id = METHOD_CONNECT,
	.protocol = STR("websocket"),
	.authority = STR("a.test"),
	.path = STR("/chat"),
	.body = BODY_TUNNEL,
};

/* The Sec-WebSocket-Accept that fits the key on the wire. */
static const char *accept_for(struct owner *o, char buf[WEBSOCKET_ACCEPT_LEN + 1])
{
	const char *key = strstr(o->ft.out, "Sec-WebSocket-Key: ");

	assert_non_null(key);
	websocket_accept((struct str){key + 19, WEBSOCKET_KEY_LEN}, buf);
	return buf;
}

static void agree(struct owner *o, const char *accept)
{
	char in[512];

	snprintf(in, sizeof(in),
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
		"Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\nhi",
		accept);
	feed(o, in);
}

static void a_tunnel_is_asked_for_with_a_handshake_and_bytes_wait_for_consent(void **state)
{
	struct owner *o = *state;
	char buf[WEBSOCKET_ACCEPT_LEN + 1];

	ask(o, &tunnel, false);
	assert_true(str_starts(
		str_of(o->ft.out), STR("GET /chat HTTP/1.1\r\nHost: a.test\r\nSec-WebSocket-Key: ")));
	assert_non_null(strstr(o->ft.out,
		"==\r\nSec-WebSocket-Version: 13\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"));
	accept_for(o, buf);
	fake_out_clear(&o->ft);
	send_text(o, "early", false);
	assert_out(o, "");
	agree(o, buf);
	assert_heard(o, "200 tunnel\nhi");
	assert_out(o, "early");
	assert_int_equal(o->sent, 5);
	send_text(o, "", true);
	assert_true(o->ft.shut);
	feed(o, "bye");
	fake_feed_eof(&o->ft);
	assert_heard(o, "bye<end>\n");
	assert_true(o->closed);
	assert_false(o->ft.aborted);
}

static void a_wrong_accept_is_refused(void **state)
{
	struct owner *o = *state;

	ask(o, &tunnel, false);
	agree(o, ACCEPT);
	assert_heard(o, "reset upstream_bad_upgrade\n");
}

static void a_handshake_answered_200_is_no_tunnel(void **state)
{
	struct owner *o = *state;

	ask(o, &tunnel, false);
	fake_out_clear(&o->ft);
	send_text(o, "raw bytes", false);
	feed(o, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno");
	assert_heard(o, "200 length=2\nno<end>\n");
	assert_out(o, "");
	assert_int_equal(o->sent, 9);
	release(o);
	run(o);
	assert_int_equal(o->conn->capacity, 1);
}

static void only_websocket_can_be_asked_for(void **state)
{
	struct owner *o = *state;
	struct head h = tunnel;

	h.protocol = STR("connect-udp");
	ask(o, &h, false);
	assert_heard(o, "reset upstream_bad_upgrade\n");
	assert_out(o, "");
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
		TEST(http_1_0_without_length_is_not_reused),
		TEST(connection_close_is_not_reused),
		TEST(what_is_no_http_is_a_bad_response),
		TEST(unclear_framing_is_refused),
		TEST(length_with_chunked_is_dropped_and_the_connection_with_it),
		TEST(a_flood_of_interim_answers_is_capped),
		TEST(a_head_beyond_the_limit_is_refused),
		TEST(switching_protocols_unasked_is_refused),
		TEST(a_fresh_connection_that_ends_is_no_stale_one),
		TEST(a_fresh_connection_that_is_reset_says_so),
		TEST(a_reused_connection_that_ends_without_an_answer_was_stale),
		TEST(a_reused_connection_that_ends_in_the_head_was_not_stale),
		TEST(a_cut_body_is_never_a_clean_end),
		TEST(an_early_final_answer_is_delivered_and_the_connection_not_reused),
		TEST(an_early_answer_before_a_reset_is_not_lost),
		TEST(an_early_answer_is_not_lost_when_a_write_fails_first),
		TEST(a_first_write_that_fails_has_sent_nothing),
		TEST(a_write_that_fails_without_an_answer_is_a_reset),
		TEST(a_reset_that_comes_with_a_part_of_the_answer_is_told),
		TEST(bytes_behind_the_answer_end_the_connection),
		TEST(an_idle_connection_ends_with_whatever_it_hears),
		TEST(idle_time_is_limited),
		TEST(a_stalled_body_has_its_own_reason),
		TEST(a_request_that_is_given_up_takes_its_connection_along),
		TEST(draining_closes_when_the_last_stream_ends),
		TEST(a_tunnel_is_asked_for_with_a_handshake_and_bytes_wait_for_consent),
		TEST(a_wrong_accept_is_refused),
		TEST(a_handshake_answered_200_is_no_tunnel),
		TEST(only_websocket_can_be_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
