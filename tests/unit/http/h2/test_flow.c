/* Flow control (RFC 9113 5.2): what is sent, what is taken, what is held, and that one stream cannot hurt another. */
#include "http/h2/peer.h"

static void body_is_sent_within_the_windows(void **state)
{
	struct peer *p = *state;

	serve(p);
	setting(p, H2_SET_INITIAL_WINDOW_SIZE, 10);
	headers(p, 1, true, GET);
	frames(p);
	send_status(p, 1, 200, false);
	send_zeros(p, 1, 25, true);
	run(p);
	assert_frames(p, "HEADERS 1 [:status=200]\nDATA 1 10\n");
	frame32(p, H2_FRAME_WINDOW_UPDATE, 1, 5);
	assert_frames(p, "DATA 1 5\n");
	setting(p, H2_SET_INITIAL_WINDOW_SIZE, 0); /* the window is below zero now */
	frame32(p, H2_FRAME_WINDOW_UPDATE, 1, 10);
	assert_frames(p, "SETTINGS ack\n");
	frame32(p, H2_FRAME_WINDOW_UPDATE, 1, 4);
	assert_frames(p, "DATA 1 4\n");
	setting(p, H2_SET_INITIAL_WINDOW_SIZE, 1000);
	assert_frames(p, "SETTINGS ack\nDATA 1 6 end\n");
	assert_heard(p, "1 GET a.test / last\n1 sent 10\n1 sent 5\n1 sent 4\n1 sent 6 all\n");
}

static void the_connections_window_is_shared(void **state)
{
	struct peer *p = *state;

	serve(p);
	setting(p, H2_SET_INITIAL_WINDOW_SIZE, 1 << 20);
	headers(p, 1, true, GET);
	headers(p, 3, true, GET);
	frames(p);
	for (unsigned n = 1; n <= 2; n++) {
		send_status(p, n, 200, false);
		send_zeros(p, n, 40000, true);
	}
	run(p);
	assert_frames(p,
		"HEADERS 1 [:status=200]\nHEADERS 3 [:status=200]\nDATA 1 16384\nDATA 3 16384\nDATA 1 16384\n"
		"DATA 3 16383\n");
	frame32(p, H2_FRAME_WINDOW_UPDATE, 0, 100000);
	assert_frames(p, "DATA 1 7232 end\nDATA 3 7233 end\n");
}

static void an_empty_end_needs_no_window(void **state)
{
	struct peer *p = *state;

	serve(p);
	setting(p, H2_SET_INITIAL_WINDOW_SIZE, 3);
	headers(p, 1, true, GET);
	frames(p);
	send_status(p, 1, 200, false);
	send_text(p, 1, "abc", false);
	run(p);
	send_text(p, 1, "", true);
	run(p);
	assert_frames(p, "HEADERS 1 [:status=200]\nDATA 1 3\nDATA 1 0 end\n");
}

static void a_stream_without_window_is_reset_in_the_end(void **state)
{
	struct peer *p = *state;

	serve(p);
	setting(p, H2_SET_INITIAL_WINDOW_SIZE, 0);
	headers(p, 1, true, GET);
	frames(p);
	send_status(p, 1, 200, false);
	send_text(p, 1, "nobody takes it", true);
	run(p);
	pass(p, 2900);
	assert_frames(p, "HEADERS 1 [:status=200]\n");
	pass(p, 100);
	assert_frames(p, "RST_STREAM 1 CANCEL\n");
	assert_heard(p, "1 GET a.test / last\n1 reset CLIENT_SLOW_READ\n");
}

static void the_end_of_a_request_is_no_reason_to_wait_longer_for_window(void **state)
{
	struct peer *p = *state;

	serve(p);
	setting(p, H2_SET_INITIAL_WINDOW_SIZE, 0);
	headers(p, 1, false, POST);
	frames(p);
	send_status(p, 1, 200, false);
	send_text(p, 1, "nobody takes it", true);
	run(p);
	heard(p);
	data(p, 1, true, "the end");
	pass(p, 3000);
	assert_frames(p, "HEADERS 1 [:status=200]\nRST_STREAM 1 CANCEL\n");
	assert_heard(p, "1 body the end end\n1 reset CLIENT_SLOW_READ\n");
}

static void the_end_of_a_request_with_trailers_is_none_either(void **state)
{
	struct peer *p = *state;

	serve(p);
	setting(p, H2_SET_INITIAL_WINDOW_SIZE, 0);
	headers(p, 1, false, POST);
	send_status(p, 1, 200, false);
	send_text(p, 1, "nobody takes it", true);
	run(p);
	heard(p);
	headers(p, 1, true, "x-trailer=1");
	pass(p, 3000);
	assert_string_equal(strstr(heard(p), "1 reset"), "1 reset CLIENT_SLOW_READ\n");
}

static void a_connection_without_window_is_closed_in_the_end(void **state)
{
	struct peer *p = *state;

	serve(p);
	setting(p, H2_SET_INITIAL_WINDOW_SIZE, 1 << 20);
	headers(p, 1, true, GET);
	send_status(p, 1, 200, false);
	send_zeros(p, 1, 70000, true);
	run(p);
	heard(p);
	pass(p, 3000);
	assert_heard(p, "1 reset CLIENT_SLOW_READ\n");
	assert_true(p->closed);
}

static void body_is_delivered_as_far_as_credit_goes(void **state)
{
	struct peer *p = *state;

	p->grant = 0;
	serve(p);
	headers(p, 1, false, POST);
	data(p, 1, false, "hello ");
	data(p, 1, true, "world");
	assert_heard(p, "1 POST a.test /\n");
	stream_credit(p->s[1], 4);
	run(p);
	assert_heard(p, "1 body hell\n");
	stream_credit(p->s[1], 100);
	run(p);
	assert_heard(p, "1 body o world end\n");
}

static void an_end_without_bytes_needs_no_credit(void **state)
{
	struct peer *p = *state;

	p->grant = 0;
	serve(p);
	headers(p, 1, false, POST);
	data(p, 1, true, "");
	assert_heard(p, "1 POST a.test /\n1 body  end\n");
}

static void the_streams_window_comes_back_as_the_owner_takes(void **state)
{
	struct peer *p = *state;

	p->grant = 0;
	serve(p);
	headers(p, 1, false, POST);
	for (int i = 0; i < 4; i++)
		zeros(p, 1, false, 16384);
	assert_frames(p, "");
	stream_credit(p->s[1], 32767);
	run(p);
	assert_frames(p, "");
	stream_credit(p->s[1], 1);
	run(p);
	assert_frames(p, "WINDOW_UPDATE 1 32768\n");
	zeros(p, 1, false, 16384);
	zeros(p, 1, false, 16384);
	assert_frames(p, "");
	zeros(p, 1, false, 1); /* one too many */
	assert_frames(p, "RST_STREAM 1 FLOW_CONTROL_ERROR\n");
}

static void padding_is_returned_to_the_window(void **state)
{
	static char padded[10000] = {(char)255, 'x'};
	struct peer *p = *state;
	const char *out;
	unsigned returned = 0;

	serve(p);
	headers(p, 1, false, POST);
	for (int i = 0; i < 20; i++)
		frame(p, H2_FRAME_DATA, H2_FLAG_PADDED, 1, padded, sizeof(padded));
	out = frames(p);
	while ((out = strstr(out, "WINDOW_UPDATE 1 "))) {
		returned += (unsigned)atoi(out + 16);
		out++;
	}
	assert_true(returned > 150000);
	assert_int_equal(p->conn->streams, 1);
}

static void a_stream_that_is_not_read_does_not_stop_its_siblings(void **state)
{
	struct peer *p = *state;
	size_t held;

	p->grant = 0;
	serve(p);
	headers(p, 1, false, POST);
	headers(p, 3, false, POST);
	held = p->loop.mem.in_use;
	for (int i = 0; i < 4; i++)
		zeros(p, 1, false, 16384); /* all that its window allows */
	assert_true(p->loop.mem.in_use - held <= 3 * (mem_block_max() + sizeof(struct block)));
	stream_credit(p->s[2], 10 << 20);
	p->quiet_sent = true;
	for (int i = 0; i < 300; i++) /* several times the connection's window */
		zeros(p, 3, false, 16384);
	assert_true(p->conn && p->conn->streams == 2);
	stream_credit(p->s[1], 1 << 20);
	run(p);
	assert_non_null(strstr(heard(p), "1 body (65536)\n"));
}

static void small_frames_are_held_in_little_memory(void **state)
{
	struct peer *p = *state;
	size_t before;

	p->grant = 0;
	p->lim.max_streams = 100;
	serve(p);
	headers(p, 1, false, ":method=CONNECT :protocol=websocket :scheme=https :authority=a.test :path=/");
	before = p->loop.mem.in_use;
	for (int i = 0; i < 20000; i++)
		put_frame(p, H2_FRAME_DATA, 0, 1, "x", 1);
	fake_event(&p->ft);
	assert_true(p->loop.mem.in_use - before <= 2 * (mem_block_max() + sizeof(struct block)));
}

static void overrunning_the_connections_window_ends_it(void **state)
{
	struct peer *p = *state;

	p->grant = 0;
	p->lim.window = 4 << 20;
	serve(p);
	headers(p, 1, false, POST);
	/* It is returned on receipt, so only a peer that does not read our frames could; its stream windows say so first. */
	for (int i = 0; i < 256; i++)
		zeros(p, 1, false, 16384);
	assert_null(strstr(frames(p), "GOAWAY"));
	zeros(p, 1, false, 1);
	assert_frames(p, "RST_STREAM 1 FLOW_CONTROL_ERROR\n");
}

static void a_window_that_overflows_is_an_error(void **state)
{
	struct peer *p = *state;

	serve(p);
	headers(p, 1, false, POST);
	frame32(p, H2_FRAME_WINDOW_UPDATE, 1, 0x7fffffff);
	headers(p, 3, false, POST);
	frame32(p, H2_FRAME_WINDOW_UPDATE, 3, 0);
	headers(p, 5, false, POST);
	frame32(p, H2_FRAME_WINDOW_UPDATE, 5, 0x7fffffff - 65535);
	assert_frames(p, "RST_STREAM 1 FLOW_CONTROL_ERROR\nRST_STREAM 3 PROTOCOL_ERROR\n");
	setting(p, H2_SET_INITIAL_WINDOW_SIZE, 65536);
	assert_frames(p, "GOAWAY 5 FLOW_CONTROL_ERROR\n");
}

static void bytes_are_reported_sent_when_they_have_left(void **state)
{
	struct peer *p = *state;

	serve(p);
	headers(p, 1, true, GET);
	heard(p);
	send_status(p, 1, 200, false);
	p->ft.write_room = 1000;
	send_zeros(p, 1, 20000, true);
	run(p);
	assert_heard(p, "");
	fake_unblock(&p->ft, 10000);
	assert_heard(p, "");
	fake_unblock(&p->ft, SIZE_MAX);
	assert_heard(p, "1 sent 20000 all\n");
}

static void a_blocked_peer_does_not_hold_the_read_block(void **state)
{
	struct peer *p = *state;
	struct chain c = {0};
	size_t room;
	char *at;
	struct block *b;

	serve(p);
	headers(p, 1, true, GET);
	send_status(p, 1, 200, false);
	run(p);
	p->ft.write_room = 0;
	at = mem_read_room(&p->loop.mem, &room);
	memset(at, 'x', 700);
	b = mem_read_take(&p->loop.mem, 700);
	chain_add_ref(&p->loop.mem, &c, b, at, 700);
	stream_send_body(p->s[1], &c, true);
	run(p);
	assert_int_equal(b->refs, 1);
	fake_unblock(&p->ft, SIZE_MAX);
	assert_frames(p, "HEADERS 1 [:status=200]\nDATA 1 700 end\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(body_is_sent_within_the_windows),
		TEST(the_connections_window_is_shared),
		TEST(an_empty_end_needs_no_window),
		TEST(a_stream_without_window_is_reset_in_the_end),
		TEST(the_end_of_a_request_is_no_reason_to_wait_longer_for_window),
		TEST(the_end_of_a_request_with_trailers_is_none_either),
		TEST(a_connection_without_window_is_closed_in_the_end),
		TEST(body_is_delivered_as_far_as_credit_goes),
		TEST(an_end_without_bytes_needs_no_credit),
		TEST(the_streams_window_comes_back_as_the_owner_takes),
		TEST(padding_is_returned_to_the_window),
		TEST(a_stream_that_is_not_read_does_not_stop_its_siblings),
		TEST(small_frames_are_held_in_little_memory),
		TEST(overrunning_the_connections_window_ends_it),
		TEST(a_window_that_overflows_is_an_error),
		TEST(bytes_are_reported_sent_when_they_have_left),
		TEST(a_blocked_peer_does_not_hold_the_read_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
