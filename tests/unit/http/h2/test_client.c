#include "http/h2/peer.h"

/* -- the plain way -- */

static void a_request_is_asked_and_answered(void **state)
{
	struct peer *p = *state;

	dial_open(p);
	ask(p, METHOD_GET, "/x", true);
	assert_frames(p, "HEADERS 1 [:method=GET] [:scheme=http] [:authority=a.test] [:path=/x] end\n");
	headers(p, 1, false, ":status=200 content-length=5 server=t");
	data(p, 1, true, "hello");
	assert_heard(p, "1 sent 0 all\n1 200 length=5 [server=t]\n1 body hello end\n");
	assert_int_equal(p->conn->streams, 0);
	let_go(p, 1);
	run(p);
	assert_frames(p, "");
}

static void one_request_does_not_wait_for_settings(void **state)
{
	struct peer *p = *state;
	struct transport *t = &p->ft.t;

	p->conn = h2_client(&t, &p->lim, &conn_owner, p);
	assert_true(p->conn->unused);
	assert_int_equal(p->conn->capacity, 1);
	ask(p, METHOD_GET, "/", true);
	assert_false(p->conn->unused);
	assert_int_equal(p->ft.writes, 1);
	p->seen = H2_PREFACE_LEN;
	assert_frames(p, "SETTINGS 2=0 4=65536 6=4096\nWINDOW_UPDATE 0 983041\n"
			 "HEADERS 1 [:method=GET] [:scheme=http] [:authority=a.test] [:path=/] end\n");
}

static void length_te_and_expect_are_written_from_the_head(void **state)
{
	struct peer *p = *state;
	struct head h = {
		.method_id = METHOD_POST,
		.method = STR("POST"),
		.scheme = STR("https"),
		.authority = STR("a"),
		.path = STR("/"),
		.body = BODY_LENGTH,
		.has_length = true,
		.length = 2,
		.te_trailers = true,
		.expect_continue = true,
	};

	dial_open(p);
	open_stream(p);
	stream_send_head(p->s[1], &h, false);
	send_text(p, 1, "hi", true);
	run(p);
	assert_frames(p, "HEADERS 1 [:method=POST] [:scheme=https] [:authority=a] [:path=/] [te=trailers] "
			 "[expect=100-continue] [content-length=2]\nDATA 1 2 end\n");
	headers(p, 1, false, ":status=100");
	headers(p, 1, true, ":status=204");
	assert_heard(p, "1 sent 2 all\n1 100\n1 204 last\n");
}

static void an_answer_to_head_ends_with_its_head(void **state)
{
	struct peer *p = *state;

	dial_open(p);
	ask(p, METHOD_HEAD, "/", true);
	headers(p, 1, false, ":status=200 content-length=500");
	data(p, 1, true, "");
	assert_heard(p, "1 sent 0 all\n1 200 length=500 last\n");
	assert_true(p->conn && !p->conn->draining);
}

static void trailers_are_kept_until_the_body_is_delivered(void **state)
{
	struct peer *p = *state;

	p->grant = 2;
	dial_open(p);
	ask(p, METHOD_GET, "/", true);
	headers(p, 1, false, ":status=200");
	data(p, 1, false, "hello");
	headers(p, 1, true, "grpc-status=0 set-cookie=x");
	assert_heard(p, "1 sent 0 all\n1 200\n1 body he\n");
	stream_credit(p->s[1], 3);
	assert_heard(p, "");
	run(p);
	assert_heard(p, "1 body llo\n1 trailers [grpc-status=0]\n");
}

/* -- capacity -- */

static void capacity_is_the_less_of_ours_and_the_peers(void **state)
{
	struct peer *p = *state;
	unsigned changes;

	dial_open(p);
	assert_int_equal(p->conn->capacity, 10);
	setting(p, H2_SET_MAX_CONCURRENT_STREAMS, 2);
	assert_int_equal(p->conn->capacity, 2);
	ask(p, METHOD_GET, "/1", true);
	changes = p->changes;
	ask(p, METHOD_GET, "/2", true);
	assert_int_equal(p->changes, changes + 1);
	assert_int_equal(p->conn->capacity, 0);
	assert_null(http_conn_open(p->conn, &stream_owner, p));
	headers(p, 1, true, ":status=200");
	assert_int_equal(p->changes, changes + 2);
	assert_int_equal(p->conn->capacity, 1);
	headers(p, 3, true, ":status=200");
	assert_int_equal(p->changes, changes + 3); /* idle */
	assert_int_equal(p->conn->streams, 0);
}

static void a_drained_client_closes_after_its_last_stream(void **state)
{
	struct peer *p = *state;

	dial_open(p);
	ask(p, METHOD_GET, "/", true);
	http_conn_drain(p->conn);
	run(p);
	assert_int_equal(p->conn->capacity, 0);
	assert_false(p->ft.shut);
	headers(p, 1, false, ":status=200");
	frames(p);
	data(p, 1, true, "all of it");
	assert_frames(p, "GOAWAY 0 NO_ERROR\n");
	assert_true(p->ft.shut);
	assert_heard(p, "1 sent 0 all\n1 200\n1 body all of it end\n");
	fake_feed_eof(&p->ft);
	assert_true(p->closed);
}

static void a_closing_connection_has_no_capacity(void **state)
{
	struct peer *p = *state;
	unsigned changes;

	dial_open(p);
	ask(p, METHOD_GET, "/", true);
	headers(p, 1, true, ":status=200");
	changes = p->changes;
	pass(p, 5000);
	assert_true(p->ft.shut);
	assert_int_equal(p->conn->capacity, 0);
	assert_true(p->changes > changes);
	assert_null(http_conn_open(p->conn, &stream_owner, p));
}

static void eof_closes_an_idle_connection(void **state)
{
	struct peer *p = *state;

	dial_open(p);
	fake_feed_eof(&p->ft);
	assert_true(p->closed);
	assert_int_equal(p->why, REASON_NONE);
}

/* -- what went wrong, and whether it may be tried again -- */

static void goaway_tells_which_requests_were_not_processed(void **state)
{
	struct peer *p = *state;

	dial_open(p);
	ask(p, METHOD_POST, "/1", true);
	ask(p, METHOD_POST, "/2", true);
	heard(p);
	goaway(p, 1, H2_NO_ERROR);
	assert_heard(p, "2 reset UPSTREAM_GOAWAY\n");
	assert_true(p->conn->draining);
	headers(p, 1, true, ":status=200");
	assert_heard(p, "1 200 last\n");
	assert_true(p->ft.shut);
}

static void a_notice_of_goaway_spares_everything(void **state)
{
	struct peer *p = *state;

	dial_open(p);
	ask(p, METHOD_POST, "/1", true);
	heard(p);
	goaway(p, 0x7fffffff, H2_NO_ERROR);
	assert_heard(p, "");
	assert_int_equal(p->conn->capacity, 0);
	goaway(p, 1, H2_NO_ERROR);
	headers(p, 1, true, ":status=200");
	assert_heard(p, "1 200 last\n");
}

static void a_reset_behind_the_last_bytes_is_told_to_who_waits(void **state)
{
	static const uint8_t ping[8];
	struct peer *p = *state;

	dial_open(p);
	ask(p, METHOD_GET, "/", true);
	put_frame(p, H2_FRAME_PING, 0, 0, ping, sizeof(ping));
	fake_feed_reset(&p->ft);
	assert_heard(p, "1 sent 0 all\n1 reset UPSTREAM_RESET\n");
	assert_true(p->closed);
}

static void resets_say_what_became_of_the_request(void **state)
{
	struct peer *p = *state;

	dial_open(p);
	for (int i = 0; i < 4; i++)
		ask(p, METHOD_POST, "/", true);
	headers(p, 5, false, ":status=200");
	heard(p);
	frame32(p, H2_FRAME_RST_STREAM, 1, H2_REFUSED_STREAM);
	frame32(p, H2_FRAME_RST_STREAM, 3, H2_INTERNAL_ERROR);
	frame32(p, H2_FRAME_RST_STREAM, 5, H2_INTERNAL_ERROR);
	frame32(p, H2_FRAME_RST_STREAM, 7, H2_NO_ERROR);
	assert_heard(p, "1 reset UPSTREAM_REFUSED_STREAM\n2 reset UPSTREAM_RESET_STREAM\n"
			"3 reset UPSTREAM_CUT_BODY\n4 reset UPSTREAM_RESET_STREAM\n");
	assert_null(strstr(frames(p), "RST"));
}

static void no_error_after_a_complete_answer_is_benign(void **state)
{
	struct peer *p = *state;

	dial_open(p);
	ask(p, METHOD_POST, "/", false);
	p->grant = 0;
	headers(p, 1, false, ":status=200");
	data(p, 1, true, "early");
	frame32(p, H2_FRAME_RST_STREAM, 1, H2_NO_ERROR);
	send_text(p, 1, "late", true); /* goes nowhere */
	stream_credit(p->s[1], 100);
	run(p);
	assert_heard(p, "1 200\n1 body early end\n");
	assert_null(strstr(frames(p), "DATA"));
	let_go(p, 1);
}

static void a_lost_connection_says_whether_an_answer_had_begun(void **state)
{
	struct peer *p = *state;

	p->grant = 3;
	dial_open(p);
	for (int i = 0; i < 3; i++)
		ask(p, METHOD_GET, "/", true);
	headers(p, 3, false, ":status=200");
	headers(p, 5, false, ":status=200");
	data(p, 5, true, "whole");
	heard(p);
	fake_feed_eof(&p->ft);
	assert_heard(p, "1 reset UPSTREAM_CLOSED\n2 reset UPSTREAM_CUT_BODY\n");
	assert_true(p->closed);
	stream_credit(p->s[3], 3); /* what has come completely is still delivered */
	run(p);
	assert_heard(p, "3 body le end\n");
}

static void a_reset_connection_is_told_from_a_closed_one(void **state)
{
	struct peer *p = *state;

	dial_open(p);
	ask(p, METHOD_GET, "/", true);
	heard(p);
	fake_feed_reset(&p->ft);
	assert_heard(p, "1 reset UPSTREAM_RESET\n");
}

static void a_body_unlike_its_length_is_never_a_clean_end(void **state)
{
	struct peer *p = *state;

	dial_open(p);
	ask(p, METHOD_GET, "/", true);
	ask(p, METHOD_GET, "/", true);
	heard(p);
	headers(p, 1, false, ":status=200 content-length=5");
	data(p, 1, true, "shrt");
	headers(p, 3, false, ":status=200 content-length=5");
	data(p, 3, false, "longer");
	assert_heard(p,
		"1 200 length=5\n1 reset UPSTREAM_CUT_BODY\n2 200 length=5\n2 reset UPSTREAM_BAD_FRAMING\n");
}

static void malformed_answers_are_reset(void **state)
{
	static const struct {
		const char *fields;
		const char *reason;
	} cases[] = {
		{"server=x", "UPSTREAM_BAD_RESPONSE"},
		{":status=101", "UPSTREAM_BAD_RESPONSE"},
		{":status=20", "UPSTREAM_BAD_RESPONSE"},
		{":status=2000", "UPSTREAM_BAD_RESPONSE"},
		{":status=200 :status=200", "UPSTREAM_BAD_RESPONSE"},
		{":path=/ :status=200", "UPSTREAM_BAD_RESPONSE"},
		{":status=200 Server=x", "UPSTREAM_BAD_RESPONSE"},
		{":status=200 connection=close", "UPSTREAM_BAD_RESPONSE"},
		{":status=200 transfer-encoding=chunked", "UPSTREAM_BAD_RESPONSE"},
		{":status=200 content-length=5 content-length=5", "UPSTREAM_BAD_FRAMING"},
		{":status=200 content-length=+5", "UPSTREAM_BAD_RESPONSE"},
	};
	struct peer *p = *state;

	p->quiet_sent = true;
	dial_open(p);
	for (unsigned i = 0; i < COUNT_OF(cases); i++) {
		char expected[64];

		ask(p, METHOD_GET, "/", true);
		headers(p, 2 * i + 1, false, cases[i].fields);
		snprintf(expected, sizeof(expected), "%u reset %s\n", i + 1, cases[i].reason);
		assert_heard(p, expected);
	}
}

static void an_answer_with_a_huge_head_is_refused(void **state)
{
	struct peer *p = *state;
	char fields[6000] = ":status=200 x=";

	dial_open(p);
	ask(p, METHOD_GET, "/", true);
	heard(p);
	memset(fields + strlen(fields), 'v', 5000);
	headers(p, 1, true, fields);
	assert_heard(p, "1 reset UPSTREAM_HEADERS_TOO_LARGE\n");
}

static void interim_answers_are_limited(void **state)
{
	struct peer *p = *state;

	p->quiet_sent = true;
	dial_open(p);
	ask(p, METHOD_GET, "/", true);
	for (int i = 0; i < 17; i++)
		headers(p, 1, false, ":status=103");
	assert_non_null(strstr(heard(p), "1 103\n1 reset UPSTREAM_TOO_MANY_1XX\n"));
}

static void a_push_breaks_the_connection(void **state)
{
	struct peer *p = *state;

	dial_open(p);
	ask(p, METHOD_GET, "/", true);
	heard(p);
	frame(p, H2_FRAME_PUSH_PROMISE, H2_FLAG_END_HEADERS, 1, "\0\0\0\2\x82", 5);
	assert_heard(p, "1 reset UPSTREAM_H2_PROTOCOL\n");
	assert_non_null(strstr(frames(p), "GOAWAY 0 PROTOCOL_ERROR"));
}

static void a_cancelled_request_is_reset_and_what_still_comes_ignored(void **state)
{
	struct peer *p = *state;

	dial_open(p);
	ask(p, METHOD_GET, "/", true);
	frames(p);
	headers(p, 1, false, ":status=200");
	let_go(p, 1);
	run(p);
	assert_frames(p, "RST_STREAM 1 CANCEL\n");
	for (int i = 0; i < 40; i++)
		zeros(p, 1, false, 16384);
	headers(p, 1, true, "x-trailer=1");
	assert_frames(p, "WINDOW_UPDATE 0 524288\n");
	assert_int_equal(p->conn->capacity, 10);
}

static void an_answered_request_that_is_not_taken_is_given_up_in_the_end(void **state)
{
	struct peer *p = *state;

	dial_open(p);
	setting(p, H2_SET_INITIAL_WINDOW_SIZE, 0);
	ask(p, METHOD_POST, "/", false);
	send_text(p, 1, "nobody takes it", true);
	p->grant = 100;
	headers(p, 1, false, ":status=200");
	data(p, 1, true, "early");
	let_go(p, 1);
	run(p);
	frames(p);
	assert_int_equal(p->conn->streams, 1);
	pass(p, 60000);
	assert_string_equal(frames(p), "RST_STREAM 1 CANCEL\n");
	assert_int_equal(p->conn->streams, 0);
}

static void a_silent_server_is_given_up(void **state)
{
	struct peer *p = *state;

	dial(p);
	ask(p, METHOD_GET, "/", true);
	heard(p);
	pass(p, 1000);
	assert_heard(p, "1 reset UPSTREAM_TIMEOUT\n");
}

/* -- tunnels -- */

static void send_connect(struct peer *p, unsigned n)
{
	struct head h = {
		.method_id = METHOD_CONNECT,
		.method = STR("CONNECT"),
		.protocol = STR("websocket"),
		.scheme = STR("http"),
		.authority = STR("a.test"),
		.path = STR("/chat"),
		.body = BODY_TUNNEL,
	};

	stream_send_head(p->s[n], &h, false);
	run(p);
}

static void extended_connect_waits_for_the_peers_word(void **state)
{
	struct peer *p = *state;

	dial(p);
	open_stream(p);
	send_connect(p, 1);
	send_text(p, 1, "early", false);
	assert_frames(p, "");
	setting(p, H2_SET_ENABLE_CONNECT_PROTOCOL, 1);
	assert_frames(p, "SETTINGS ack\nHEADERS 1 [:method=CONNECT] [:protocol=websocket] [:scheme=http] "
			 "[:authority=a.test] [:path=/chat]\nDATA 1 5\n");
	headers(p, 1, false, ":status=200");
	data(p, 1, true, "bye");
	assert_heard(p, "1 sent 5\n1 200 tunnel\n1 body bye end\n");
}

static void extended_connect_that_is_not_offered_fails(void **state)
{
	struct peer *p = *state;

	dial(p);
	open_stream(p);
	send_connect(p, 1);
	frame(p, H2_FRAME_SETTINGS, 0, 0, NULL, 0);
	assert_heard(p, "1 reset UPSTREAM_NO_WEBSOCKET\n");
	open_stream(p);
	send_connect(p, 2);
	assert_heard(p, "2 reset UPSTREAM_NO_WEBSOCKET\n");
	assert_int_equal(p->conn->streams, 0);
}

static void extended_connect_may_be_offered_right_behind_the_first_settings(void **state)
{
	struct peer *p = *state;

	dial(p);
	open_stream(p);
	send_connect(p, 1);
	put_frame(p, H2_FRAME_SETTINGS, 0, 0, NULL, 0);
	setting(p, H2_SET_ENABLE_CONNECT_PROTOCOL, 1);
	assert_frames(p, "SETTINGS ack\nSETTINGS ack\nHEADERS 1 [:method=CONNECT] [:protocol=websocket] "
			 "[:scheme=http] [:authority=a.test] [:path=/chat]\n");
	headers(p, 1, true, ":status=403");
	assert_heard(p, "1 403 last\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_request_is_asked_and_answered),
		TEST(one_request_does_not_wait_for_settings),
		TEST(length_te_and_expect_are_written_from_the_head),
		TEST(an_answer_to_head_ends_with_its_head),
		TEST(trailers_are_kept_until_the_body_is_delivered),
		TEST(capacity_is_the_less_of_ours_and_the_peers),
		TEST(a_drained_client_closes_after_its_last_stream),
		TEST(a_closing_connection_has_no_capacity),
		TEST(eof_closes_an_idle_connection),
		TEST(goaway_tells_which_requests_were_not_processed),
		TEST(a_notice_of_goaway_spares_everything),
		TEST(a_reset_behind_the_last_bytes_is_told_to_who_waits),
		TEST(resets_say_what_became_of_the_request),
		TEST(no_error_after_a_complete_answer_is_benign),
		TEST(a_lost_connection_says_whether_an_answer_had_begun),
		TEST(a_reset_connection_is_told_from_a_closed_one),
		TEST(a_body_unlike_its_length_is_never_a_clean_end),
		TEST(malformed_answers_are_reset),
		TEST(an_answer_with_a_huge_head_is_refused),
		TEST(interim_answers_are_limited),
		TEST(a_push_breaks_the_connection),
		TEST(a_cancelled_request_is_reset_and_what_still_comes_ignored),
		TEST(an_answered_request_that_is_not_taken_is_given_up_in_the_end),
		TEST(a_silent_server_is_given_up),
		TEST(extended_connect_waits_for_the_peers_word),
		TEST(extended_connect_that_is_not_offered_fails),
		TEST(extended_connect_may_be_offered_right_behind_the_first_settings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
