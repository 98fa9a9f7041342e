#include "http/h2/peer.h"

/* -- the plain way -- */

static void a_request_is_answered(void **state)
{
	struct peer *p = *state;

	p->answers = true;
	serve(p);
	headers(p, 1, true, GET "x?y=1 user-agent=t");
	assert_heard(p, "1 GET a.test /x?y=1 [user-agent=t] last\n1 sent 2 all\n");
	assert_frames(p, "HEADERS 1 [:status=200]\nDATA 1 2 end\n");
	assert_null(p->s[1]);
	assert_int_equal(p->conn->streams, 0);
}

static void our_settings_come_first(void **state)
{
	struct peer *p = *state;
	struct transport *t = &p->ft.t;

	p->conn = h2_server(&t, NULL, &p->lim, &conn_owner, p);
	run(p);
	assert_frames(p, "SETTINGS 3=10 8=1 4=65536 6=4096\nWINDOW_UPDATE 0 983041\n");
	fake_feed(&p->ft, H2_PREFACE, H2_PREFACE_LEN);
	setting(p, H2_SET_ENABLE_PUSH, 0);
	assert_frames(p, "SETTINGS ack\n");
}

static void requests_of_one_read_are_answered_in_one_write(void **state)
{
	struct peer *p = *state;
	uint8_t block[256];
	size_t n;
	unsigned writes;

	p->answers = true;
	serve(p);
	n = encode(p, GET, block, sizeof(block));
	for (uint32_t id = 1; id < 20; id += 2)
		put_frame(p, H2_FRAME_HEADERS, H2_FLAG_END_HEADERS | H2_FLAG_END_STREAM, id, block, n);
	writes = p->ft.writes;
	fake_event(&p->ft);
	assert_int_equal(p->ft.writes, writes + 1);
	assert_int_equal(p->opened, 10);
}

static void a_conversation_may_be_split_at_every_byte(void **state)
{
	struct peer *p = *state;
	uint8_t block[512];
	size_t n, in_n;
	char *in;

	p->lim.max_streams = 100;
	serve(p);
	/* Collected in the transport, then played byte by byte. */
	p->ft.in_n = p->ft.in_at = 0;
	n = encode(p, POST " content-length=5", block, sizeof(block));
	put_frame(p, H2_FRAME_HEADERS, H2_FLAG_END_HEADERS, 1, block, n);
	put_frame(p, H2_FRAME_DATA, H2_FLAG_PADDED, 1, "\3abc\0\0\0", 7);
	put_frame(p, H2_FRAME_PING, 0, 0, "12345678", 8);
	put_frame(p, 0xfa, 0, 7, "unknown", 7);
	put_frame(p, H2_FRAME_DATA, H2_FLAG_END_STREAM, 1, "de", 2);
	n = encode(p, POST, block, sizeof(block));
	put_frame(p, H2_FRAME_HEADERS, 0, 3, block, 3);
	put_frame(p, H2_FRAME_CONTINUATION, 0, 3, block + 3, 1);
	put_frame(p, H2_FRAME_CONTINUATION, H2_FLAG_END_HEADERS, 3, block + 4, n - 4);
	put_frame(p, H2_FRAME_DATA, 0, 3, "xyz", 3);
	n = encode(p, "x-sum=1 content-length=9", block, sizeof(block));
	put_frame(p, H2_FRAME_HEADERS, H2_FLAG_END_HEADERS | H2_FLAG_END_STREAM, 3, block, n);
	in_n = p->ft.in_n;
	in = malloc(in_n);
	memcpy(in, p->ft.in, in_n);
	p->ft.in_n = p->ft.in_at = 0;
	fake_feed_split(&p->ft, in, in_n, 1);
	free(in);
	assert_heard(p, "1 POST a.test / length=5\n1 body a\n1 body b\n1 body c\n1 body d\n1 body e end\n"
			"2 POST a.test /\n2 body x\n2 body y\n2 body z\n2 trailers [x-sum=1]\n");
	assert_frames(p, "PING ack\n");
}

static void bytes_that_were_read_before_are_not_lost(void **state)
{
	struct peer *p = *state;
	struct transport *t = &p->ft.t;
	struct chain received = {0};
	uint8_t settings[H2_FRAME_HEADER];

	h2_frame_pack(settings, &(struct h2_frame){.type = H2_FRAME_SETTINGS});
	chain_add_static(&p->loop.mem, &received, STR("PRI * HTTP/2.0\r\n\r\n"));
	chain_add_copy(&p->loop.mem, &received, "SM\r\n\r\n", 6);
	chain_add_copy(&p->loop.mem, &received, (char *)settings, sizeof(settings));
	p->answers = true;
	p->conn = h2_server(&t, &received, &p->lim, &conn_owner, p);
	assert_true(chain_empty(&received));
	headers(p, 1, true, GET);
	assert_heard(p, "1 GET a.test / last\n1 sent 2 all\n");
}

static void heads_without_a_body_are_reported_sent(void **state)
{
	struct peer *p = *state;

	serve(p);
	headers(p, 1, true, ":method=HEAD :scheme=https :authority=a.test :path=/");
	send_status(p, 1, 103, false);
	send_status(p, 1, 304, true);
	run(p);
	assert_heard(p, "1 HEAD a.test / last\n1 sent 0 all\n");
	assert_frames(p, "HEADERS 1 [:status=103]\nHEADERS 1 [:status=304] end\n");
}

static void trailers_follow_the_body_in_both_directions(void **state)
{
	struct peer *p = *state;
	struct field f = {
		.name = "Grpc-Status", .name_len = 11, .value = "0", .value_len = 1, .id = FIELD_GRPC_STATUS};
	struct fields trailers = {&f, 1, 1};

	serve(p);
	headers(p, 1, false, POST " te=trailers");
	data(p, 1, false, "ask");
	headers(p, 1, true, "x-a=1 host=evil.test authorization=me x-b=2");
	assert_heard(p, "1 POST a.test / te\n1 body ask\n1 trailers [x-a=1] [x-b=2]\n");
	send_status(p, 1, 200, false);
	send_text(p, 1, "hello", false);
	stream_send_trailers(p->s[1], &trailers);
	run(p);
	assert_frames(p, "HEADERS 1 [:status=200]\nDATA 1 5\nHEADERS 1 [grpc-status=0] end\n");
	assert_heard(p, "1 sent 5 all\n");
}

static void cookie_crumbs_become_one_field(void **state)
{
	struct peer *p = *state;

	serve(p);
	headers(p, 1, true, GET " cookie=a=1 x-y=z cookie=b=2 cookie=c=3");
	assert_heard(p, "1 GET a.test / [cookie=a=1; b=2; c=3] [x-y=z] last\n");
}

static void names_from_http1_are_sent_in_lower_case(void **state)
{
	struct peer *p = *state;
	struct field f[] = {
		{.name = "Content-Type",
			.name_len = 12,
			.value = "a/b",
			.value_len = 3,
			.id = FIELD_CONTENT_TYPE},
		{.name = "X-Thing", .name_len = 7, .value = "V", .value_len = 1},
	};
	struct head h = {.status = 200, .has_length = true, .length = 0, .fields = {f, 2, 2}};

	serve(p);
	headers(p, 1, true, GET);
	stream_send_head(p->s[1], &h, true);
	run(p);
	assert_frames(p, "HEADERS 1 [:status=200] [content-length=0] [content-type=a/b] [x-thing=V] end\n");
}

static void a_head_larger_than_a_frame_is_continued(void **state)
{
	struct peer *p = *state;
	static char value[20000];
	struct field f = {.name = "x-a", .name_len = 3, .value = value, .value_len = sizeof(value)};
	struct head h = {.status = 200, .fields = {&f, 1, 1}};
	const char *out;

	memset(value, '~', sizeof(value)); /* 13 bits in Huffman's code: sent as it is */
	serve(p);
	headers(p, 1, true, GET);
	stream_send_head(p->s[1], &h, true);
	run(p);
	out = frames(p);
	assert_non_null(strstr(out, "HEADERS 1 [:status=200] end\nCONTINUATION 1 [x-a=~~~"));
}

/* -- early ends -- */

static void an_early_answer_stops_the_request_once(void **state)
{
	struct peer *p = *state;

	p->grant = 0;
	serve(p);
	headers(p, 1, false, POST);
	send_status(p, 1, 413, true);
	run(p);
	assert_frames(p, "HEADERS 1 [:status=413] end\nRST_STREAM 1 NO_ERROR\n");
	/* What was under way is thrown away, its window is given back to the connection. */
	for (int i = 0; i < 40; i++)
		zeros(p, 1, false, 16384);
	assert_frames(p, "WINDOW_UPDATE 0 524288\n");
	assert_true(p->conn && !p->conn->draining);
}

static void an_owner_may_leave_before_its_answer_is_out(void **state)
{
	struct peer *p = *state;

	serve(p);
	p->ft.write_room = 0;
	headers(p, 1, false, POST);
	send_status(p, 1, 200, false);
	send_text(p, 1, "bye", true);
	let_go(p, 1);
	run(p);
	assert_frames(p, "");
	fake_unblock(&p->ft, SIZE_MAX);
	assert_frames(p, "HEADERS 1 [:status=200]\nDATA 1 3 end\nRST_STREAM 1 NO_ERROR\n");
}

static void a_reset_carries_the_code_of_its_reason(void **state)
{
	struct peer *p = *state;

	serve(p);
	headers(p, 1, true, GET);
	headers(p, 3, true, GET);
	headers(p, 5, true, GET);
	stream_reset(p->s[1], REASON_UPSTREAM_CUT_BODY);
	stream_reset(p->s[2], REASON_SHUTDOWN); /* NO_ERROR would look complete */
	let_go(p, 3); /* unanswered */
	run(p);
	assert_frames(p, "RST_STREAM 1 INTERNAL_ERROR\nRST_STREAM 3 INTERNAL_ERROR\nRST_STREAM 5 CANCEL\n");
	assert_int_equal(p->conn->streams, 0);
}

static void a_reset_by_the_client_is_heard_once(void **state)
{
	struct peer *p = *state;

	serve(p);
	headers(p, 1, false, POST);
	frame32(p, H2_FRAME_RST_STREAM, 1, H2_CANCEL);
	assert_heard(p, "1 POST a.test /\n1 reset CLIENT_RESET\n");
	assert_frames(p, "");
	frame32(p, H2_FRAME_RST_STREAM, 1, H2_CANCEL);
	assert_heard(p, "");
}

static void a_reset_behind_the_last_bytes_ends_an_idle_connection(void **state)
{
	static const uint8_t ping[8];
	struct peer *p = *state;

	serve(p);
	put_frame(p, H2_FRAME_PING, 0, 0, ping, sizeof(ping));
	/* The read is short, and the kernel has no second event to tell with. */
	fake_feed_reset(&p->ft);
	assert_true(p->closed);
}

static void a_reset_behind_a_request_whose_answer_takes_long_is_found_by_a_look(void **state)
{
	struct peer *p = *state;
	uint8_t block[256];

	serve(p);
	put_frame(p, H2_FRAME_HEADERS, H2_FLAG_END_HEADERS | H2_FLAG_END_STREAM, 1, block,
		encode(p, GET, block, sizeof(block)));
	fake_feed_reset(&p->ft);
	pass(p, 999);
	assert_heard(p, "1 GET a.test / last\n");
	pass(p, 1);
	assert_heard(p, "1 reset CLIENT_GONE\n");
	assert_true(p->closed);
}

static void a_reset_behind_a_request_is_left_to_the_answer(void **state)
{
	struct peer *p = *state;
	uint8_t block[256];

	serve(p);
	put_frame(p, H2_FRAME_HEADERS, H2_FLAG_END_HEADERS | H2_FLAG_END_STREAM, 1, block,
		encode(p, GET, block, sizeof(block)));
	fake_feed_reset(&p->ft);
	assert_heard(p, "1 GET a.test / last\n");
	assert_false(p->closed);
	p->ft.write_fails = true;
	send_status(p, 1, 200, true);
	run(p);
	assert_heard(p, "1 reset CLIENT_GONE\n");
	assert_true(p->closed);
}

static void a_lost_connection_resets_what_is_open(void **state)
{
	struct peer *p = *state;

	serve(p);
	headers(p, 1, false, POST);
	headers(p, 3, true, GET);
	fake_feed_eof(&p->ft);
	assert_heard(
		p, "1 POST a.test /\n2 GET a.test / last\n1 reset CLIENT_CUT_BODY\n2 reset CLIENT_GONE\n");
	assert_true(p->closed);
	assert_int_equal(p->why, REASON_CLIENT_GONE);
}

/* -- draining -- */

static void a_drain_is_announced_before_it_is_final(void **state)
{
	struct peer *p = *state;

	p->answers = true;
	serve(p);
	http_conn_drain(p->conn);
	run(p);
	assert_frames(p, "GOAWAY 2147483647 NO_ERROR\nPING\n");
	headers(p, 1, true, GET); /* was under way */
	assert_frames(p, "HEADERS 1 [:status=200]\nDATA 1 2 end\n");
	headers(p, 3, false, POST);
	frame(p, H2_FRAME_PING, H2_FLAG_ACK, 0, "weirdone", 8);
	assert_frames(p, "GOAWAY 3 NO_ERROR\n");
	headers(p, 5, true, GET); /* too late: it was told */
	assert_frames(p, "");
	assert_int_equal(p->opened, 2);
	send_status(p, 2, 200, true);
	data(p, 3, true, "end");
	assert_frames(p, "HEADERS 3 [:status=200] end\n");
	assert_true(p->ft.shut);
	fake_feed_eof(&p->ft);
	assert_true(p->closed);
	assert_int_equal(p->why, REASON_NONE);
}

static void the_last_stream_of_a_drain_may_end_in_any_way(void **state)
{
	struct peer *p = *state;

	serve(p);
	headers(p, 1, false, POST);
	http_conn_drain(p->conn);
	frame(p, H2_FRAME_PING, H2_FLAG_ACK, 0, "weirdone", 8);
	frames(p);
	heard(p);
	frame32(p, H2_FRAME_WINDOW_UPDATE, 1, 0);
	assert_heard(p, "1 reset CLIENT_H2_PROTOCOL\n");
	assert_frames(p, "RST_STREAM 1 PROTOCOL_ERROR\n");
	assert_true(p->ft.shut);
}

static void an_early_answer_may_be_the_last_of_a_drain(void **state)
{
	struct peer *p = *state;

	serve(p);
	headers(p, 1, false, POST);
	http_conn_drain(p->conn);
	frame(p, H2_FRAME_PING, H2_FLAG_ACK, 0, "weirdone", 8);
	frames(p);
	send_status(p, 1, 200, false);
	send_text(p, 1, "enough", true);
	let_go(p, 1);
	run(p);
	assert_frames(p, "HEADERS 1 [:status=200]\nDATA 1 6 end\nRST_STREAM 1 NO_ERROR\n");
	assert_true(p->ft.shut);
}

static void a_client_that_does_not_answer_the_ping_is_not_waited_for(void **state)
{
	struct peer *p = *state;

	serve(p);
	http_conn_drain(p->conn);
	run(p);
	pass(p, 1000);
	assert_frames(p, "GOAWAY 2147483647 NO_ERROR\nPING\nGOAWAY 0 NO_ERROR\n");
	assert_true(p->ft.shut);
	pass(p, 1000); /* nor for its FIN */
	assert_true(p->closed);
}

static void a_connection_drains_after_its_share_of_requests(void **state)
{
	struct peer *p = *state;

	p->lim.requests = 2;
	p->answers = true;
	serve(p);
	headers(p, 1, true, GET);
	headers(p, 3, true, GET);
	assert_non_null(strstr(frames(p), "GOAWAY 2147483647 NO_ERROR"));
}

static void an_idle_connection_is_closed_politely(void **state)
{
	struct peer *p = *state;

	p->answers = true;
	serve(p);
	pass(p, 4000);
	headers(p, 1, true, GET);
	frames(p);
	pass(p, 4000);
	assert_frames(p, "");
	pass(p, 1000);
	assert_frames(p, "GOAWAY 1 NO_ERROR\n");
	assert_true(p->ft.shut);
}

static void an_idle_connection_holds_no_blocks(void **state)
{
	struct peer *p = *state;

	p->answers = true;
	serve(p);
	headers(p, 1, true, GET);
	/* The thread's own read block is all that is left. */
	assert_int_equal(p->loop.mem.in_use, mem_block_max() + sizeof(struct block));
}

static void closing_tells_the_client_why(void **state)
{
	struct peer *p = *state;

	serve(p);
	headers(p, 1, true, GET);
	http_conn_close(p->conn, REASON_SHUTDOWN);
	assert_true(p->ft.closed);
	assert_heard(p, "1 GET a.test / last\n"); /* nothing from below a down-call */
	run(p);
	assert_heard(p, "1 reset SHUTDOWN\n");
	assert_frames(p, "GOAWAY 1 NO_ERROR\n");
	assert_int_equal(p->why, REASON_SHUTDOWN);
}

/* -- slow clients -- */

static void the_preface_has_to_come_in_time(void **state)
{
	struct peer *p = *state;
	struct transport *t = &p->ft.t;

	p->conn = h2_server(&t, NULL, &p->lim, &conn_owner, p);
	fake_feed(&p->ft, H2_PREFACE, 10);
	pass(p, 900);
	fake_feed(&p->ft, H2_PREFACE + 10, 10);
	pass(p, 100);
	assert_true(p->ft.shut);
	fake_feed_eof(&p->ft);
	assert_int_equal(p->why, REASON_CLIENT_SLOW_HEADER);
}

static void a_header_block_has_to_come_in_time(void **state)
{
	struct peer *p = *state;

	serve(p);
	frame(p, H2_FRAME_HEADERS, 0, 1, "\x82", 1);
	pass(p, 600);
	frame(p, H2_FRAME_CONTINUATION, 0, 1, "\x86", 1);
	pass(p, 400);
	assert_frames(p, "GOAWAY 1 CANCEL\n");
}

static void a_body_that_stalls_is_reset(void **state)
{
	struct peer *p = *state;

	serve(p);
	headers(p, 1, false, POST);
	pass(p, 2000);
	data(p, 1, false, "some bytes");
	pass(p, 2000);
	assert_frames(p, "");
	pass(p, 1000);
	assert_frames(p, "RST_STREAM 1 CANCEL\n");
	assert_heard(p, "1 POST a.test /\n1 body some bytes\n1 reset CLIENT_SLOW_BODY\n");
}

static void a_body_that_only_dribbles_is_reset(void **state)
{
	struct peer *p = *state;

	p->lim.body_least = 100;
	serve(p);
	headers(p, 1, false, POST);
	pass(p, 1500);
	data(p, 1, false, "some");
	pass(p, 1400);
	data(p, 1, false, "bytes");
	assert_frames(p, "");
	pass(p, 200);
	assert_frames(p, "RST_STREAM 1 CANCEL\n");
	assert_heard(p, "1 POST a.test /\n1 body some\n1 body bytes\n1 reset CLIENT_SLOW_BODY\n");
}

static void a_body_that_keeps_its_pace_is_given_time_again_and_again(void **state)
{
	struct peer *p = *state;

	p->lim.body_least = 4;
	serve(p);
	headers(p, 1, false, POST);
	for (unsigned i = 0; i < 3; i++) {
		pass(p, 2900);
		data(p, 1, false, "four");
	}
	pass(p, 2900);
	data(p, 1, true, "");
	assert_frames(p, "");
}

static void a_body_is_not_slow_while_its_owner_takes_none(void **state)
{
	struct peer *p = *state;

	p->lim.body_least = 100;
	p->grant = 4;
	serve(p);
	headers(p, 1, false, POST);
	pass(p, 2900);
	data(p, 1, false, "four");
	pass(p, 60000);
	stream_credit(p->s[1], 4);
	pass(p, 2900);
	assert_frames(p, "");
	pass(p, 200);
	assert_frames(p, "RST_STREAM 1 CANCEL\n");
}

static void a_grpc_call_sends_messages_when_it_has_some(void **state)
{
	struct peer *p = *state;

	p->lim.body_least = 100;
	serve(p);
	headers(p, 1, false, POST " content-type=application/grpc+proto");
	for (unsigned i = 0; i < 4; i++) {
		pass(p, 2000);
		data(p, 1, false, "call");
	}
	assert_frames(p, "");
}

static void a_client_that_does_not_read_is_cut_off(void **state)
{
	struct peer *p = *state;

	serve(p);
	headers(p, 1, true, GET);
	send_status(p, 1, 200, false);
	p->ft.write_room = 100;
	send_text(p, 1, "hello", false);
	send_zeros(p, 1, 30000, true);
	run(p);
	pass(p, 3000);
	assert_true(p->closed);
	assert_int_equal(p->why, REASON_CLIENT_SLOW_READ);
	assert_heard(p, "1 GET a.test / last\n1 reset CLIENT_SLOW_READ\n");
}

static void settings_have_to_be_acknowledged(void **state)
{
	struct peer *p = *state;
	struct transport *t = &p->ft.t;

	p->conn = h2_server(&t, NULL, &p->lim, &conn_owner, p);
	fake_feed(&p->ft, H2_PREFACE, H2_PREFACE_LEN);
	frame(p, H2_FRAME_SETTINGS, 0, 0, NULL, 0);
	frames(p);
	pass(p, 1000);
	assert_frames(p, "GOAWAY 0 SETTINGS_TIMEOUT\n");
}

/* -- tunnels -- */

static void extended_connect_is_a_tunnel(void **state)
{
	struct peer *p = *state;
	struct head consent = {.status = 200, .body = BODY_TUNNEL};

	serve(p);
	headers(p, 1, false,
		":method=CONNECT :protocol=websocket :scheme=https :authority=a.test :path=/chat");
	stream_send_head(p->s[1], &consent, false);
	data(p, 1, false, "ping");
	pass(p, 3500); /* a silent tunnel is not a stalled body */
	data(p, 1, true, "");
	send_text(p, 1, "pong", true);
	run(p);
	assert_heard(p,
		"1 CONNECT a.test /chat protocol=websocket tunnel\n1 body ping\n1 body  end\n1 sent 4 all\n");
	assert_frames(p, "HEADERS 1 [:status=200]\nDATA 1 4 end\n");
}

static void a_plain_connect_is_rejected(void **state)
{
	struct peer *p = *state;

	serve(p);
	headers(p, 1, false, ":method=CONNECT :authority=a.test:443");
	assert_heard(p, "1 CONNECT a.test:443  REJECT CLIENT_CONNECT\n");
}

static void trace_is_rejected(void **state)
{
	struct peer *p = *state;

	serve(p);
	headers(p, 1, true, ":method=TRACE :scheme=http :authority=a.test :path=/");
	assert_heard(p, "1 TRACE a.test / REJECT CLIENT_TRACE last\n");
}

static void a_head_that_is_too_large_is_rejected_and_the_next_understood(void **state)
{
	struct peer *p = *state;
	char fields[6000] = GET " x-a=";

	serve(p);
	memset(fields + strlen(fields), 'v', 5000);
	headers(p, 1, true, fields);
	headers(p, 3, true, GET "next");
	assert_heard(p, "1 GET a.test / REJECT CLIENT_HEADERS_TOO_LARGE last\n2 GET a.test /next last\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_request_is_answered),
		TEST(our_settings_come_first),
		TEST(requests_of_one_read_are_answered_in_one_write),
		TEST(a_conversation_may_be_split_at_every_byte),
		TEST(bytes_that_were_read_before_are_not_lost),
		TEST(heads_without_a_body_are_reported_sent),
		TEST(trailers_follow_the_body_in_both_directions),
		TEST(cookie_crumbs_become_one_field),
		TEST(names_from_http1_are_sent_in_lower_case),
		TEST(a_head_larger_than_a_frame_is_continued),
		TEST(an_early_answer_stops_the_request_once),
		TEST(an_owner_may_leave_before_its_answer_is_out),
		TEST(a_reset_carries_the_code_of_its_reason),
		TEST(a_reset_by_the_client_is_heard_once),
		TEST(a_reset_behind_the_last_bytes_ends_an_idle_connection),
		TEST(a_reset_behind_a_request_is_left_to_the_answer),
		TEST(a_reset_behind_a_request_whose_answer_takes_long_is_found_by_a_look),
		TEST(a_lost_connection_resets_what_is_open),
		TEST(a_drain_is_announced_before_it_is_final),
		TEST(the_last_stream_of_a_drain_may_end_in_any_way),
		TEST(an_early_answer_may_be_the_last_of_a_drain),
		TEST(a_client_that_does_not_answer_the_ping_is_not_waited_for),
		TEST(a_connection_drains_after_its_share_of_requests),
		TEST(an_idle_connection_is_closed_politely),
		TEST(an_idle_connection_holds_no_blocks),
		TEST(closing_tells_the_client_why),
		TEST(the_preface_has_to_come_in_time),
		TEST(a_header_block_has_to_come_in_time),
		TEST(a_body_that_stalls_is_reset),
		TEST(a_body_that_only_dribbles_is_reset),
		TEST(a_body_that_keeps_its_pace_is_given_time_again_and_again),
		TEST(a_body_is_not_slow_while_its_owner_takes_none),
		TEST(a_grpc_call_sends_messages_when_it_has_some),
		TEST(a_client_that_does_not_read_is_cut_off),
		TEST(settings_have_to_be_acknowledged),
		TEST(extended_connect_is_a_tunnel),
		TEST(a_plain_connect_is_rejected),
		TEST(trace_is_rejected),
		TEST(a_head_that_is_too_large_is_rejected_and_the_next_understood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
