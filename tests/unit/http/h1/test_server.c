/* The server role: a connection from its first request to its end. */
#include "http/h1/fake_owner.h"

#define OK(n, body) "HTTP/1.1 200 OK\r\nContent-Length: " #n "\r\n\r\n" body

/* -- the plain way -- */

static void a_request_is_answered_and_the_connection_kept(void **state)
{
	struct owner *o = *state;

	serve(o);
	feed(o, "GET /a?b HTTP/1.1\r\nHost: Acme.Test:80\r\nUser-Agent: x\r\n\r\n");
	assert_heard(o, "GET acme.test:80 /a?b [User-Agent=x] last\n");
	answer(o, 200, "hello", true);
	run(o);
	assert_out(o, OK(5, "hello"));
	assert_null(o->s);
	assert_int_equal(o->sent, 5);
	feed(o, "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_heard(o, "GET a /2 last\n");
	answer(o, 200, "", true);
	run(o);
	assert_false(o->ft.closed);
}

static void a_kept_alive_request_costs_one_read_and_one_write(void **state)
{
	struct owner *o = *state;

	serve(o);
	for (unsigned i = 1; i <= 10; i++) {
		feed(o, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
		answer(o, 200, "x", true);
		run(o);
		assert_int_equal(o->ft.reads, i);
		assert_int_equal(o->ft.writes, i);
	}
}

static void more_fields_than_usual_are_taken_where_the_limit_allows_them(void **state)
{
	struct owner *o = *state;
	char head[4096] = "", want[4096] = "";
	struct text in = text_in(head, sizeof(head)), out = text_in(want, sizeof(want));

	o->lim.header_count = 200;
	serve(o);
	text_put(&in, STR("GET / HTTP/1.1\r\nHost: a\r\n"));
	text_put(&out, STR("GET a /"));
	for (int i = 1; i < 200; i++) {
		text_fmt(&in, "x%d: %d\r\n", i, i);
		text_fmt(&out, " [x%d=%d]", i, i);
	}
	text_put(&in, STR("\r\n"));
	text_put(&out, STR(" last\n"));
	assert_false(in.cut || out.cut);
	feed(o, head);
	assert_heard(o, want);
	answer(o, 200, "", true);
	run(o);
	assert_int_equal(o->loop.mem.in_use, mem_block_max() + sizeof(struct block));
}

static void an_idle_connection_holds_no_blocks(void **state)
{
	struct owner *o = *state;

	serve(o);
	fake_feed_split(&o->ft, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nxyz", 50, 7);
	answer(o, 200, "ok", true);
	run(o);
	assert_null(o->s);
	/* The thread's own read block is all that is left. */
	assert_int_equal(o->loop.mem.in_use, mem_block_max() + sizeof(struct block));
}

static void a_message_may_be_split_at_every_byte(void **state)
{
	static const char in[] = "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
				 "POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
				 "chunked\r\n\r\n3;x=y\r\ndef\r\n2\r\ngh\r\n0\r\nX-T: 1\r\n\r\n"
				 "GET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
	struct owner *o = *state;

	for (size_t cut = 1; cut < sizeof(in) - 1; cut++) {
		struct owner *each;
		void *st;

		setup(&st);
		each = st;
		each->auto_answer = true;
		serve(each);
		fake_feed(&each->ft, in, cut);
		fake_feed(&each->ft, in + cut, sizeof(in) - 1 - cut);
		/* The bodies may have come in two parts. */
		assert_string_equal(flat(heard(each)), "POST a /1 length=3 abc<end> POST a /2 stream "
						       "defgh<trailers [X-T=1]> GET a /3 last ");
		assert_out(each,
			OK(2, "/1") OK(2,
				"/2") "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n/3");
		teardown(&st);
	}
	serve(o);
	o->auto_answer = true;
	fake_feed_split(&o->ft, in, sizeof(in) - 1, 1);
	assert_string_equal(flat(heard(o)),
		"POST a /1 length=3 abc<end> POST a /2 stream defgh<trailers [X-T=1]> GET a /3 last ");
}

static void pipelined_requests_are_answered_one_after_the_other(void **state)
{
	struct owner *o = *state;

	serve(o);
	feed(o, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: "
		"3\r\n\r\nxyzGET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_heard(o, "GET a /1 last\n");
	answer(o, 200, "1", true);
	run(o);
	assert_heard(o, "POST a /2 length=3\nxyz<end>\n");
	answer(o, 200, "2", true);
	run(o);
	assert_heard(o, "GET a /3 last\n");
	answer(o, 200, "3", true);
	run(o);
	assert_out(o, OK(1, "1") OK(1, "2") OK(1, "3"));
}

static void a_hundred_pipelined_with_a_bad_50th_get_49_answers_and_a_400(void **state)
{
	struct owner *o = *state;
	char in[8192] = "", expected[8192] = "";

	for (int i = 1; i <= 100; i++)
		sprintf(in + strlen(in), "GET /%02d HTTP/1.1\r\nHost: a\r\n%s\r\n", i,
			i == 50 ? "Content-Length: x\r\n" : "");
	for (int i = 1; i < 50; i++)
		sprintf(expected + strlen(expected), OK(3, "/%02d"), i);
	strcat(expected, "HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\nConnection: close\r\n\r\n/50");
	o->auto_answer = true;
	serve(o);
	feed(o, in);
	assert_out(o, expected);
	assert_true(o->ft.shut);
	fake_feed_eof(&o->ft);
	assert_true(o->closed);
}

static void a_pipelining_client_that_does_not_read_gets_no_further_request_in(void **state)
{
	struct owner *o = *state;

	o->auto_answer = true;
	o->ft.write_room = 10;
	serve(o);
	feed(o, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_heard(o, "GET a /1 last\n");
	fake_unblock(&o->ft, 1000);
	assert_heard(o, "GET a /2 last\n");
}

/* -- requests that cannot be served -- */

static void a_rejected_head_is_answered_and_the_connection_lingers(void **state)
{
	struct owner *o = *state;

	serve(o);
	feed(o, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: "
		"chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n");
	assert_string_equal(flat(heard(o)), "GET a / REJECT client_bad_framing last ");
	answer(o, 400, "no", true);
	run(o);
	assert_out(o, "HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
	assert_true(o->ft.shut);
	assert_false(o->ft.closed);
	feed(o, "GET /never HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_heard(o, "");
	fake_feed_eof(&o->ft);
	assert_true(o->closed);
	assert_false(o->ft.aborted);
}

static void lingering_ends_by_time_and_by_bytes(void **state)
{
	struct owner *o = *state;
	char junk[60000] = "";

	o->auto_answer = true;
	serve(o);
	feed(o, "\x16\x03\x01 not http\r\n\r\n");
	assert_true(o->ft.shut);
	for (int i = 0; i < 20 && !o->ft.closed; i++)
		fake_feed(&o->ft, junk, sizeof(junk));
	assert_true(o->ft.closed);
}

static void a_slow_head_gets_408(void **state)
{
	struct owner *o = *state;

	serve(o);
	feed(o, "GET / HTTP/1.1\r\nHo");
	pass(o, 600);
	feed(o, "st: a\r\n");
	assert_heard(o, "");
	pass(o, 600);
	assert_string_equal(flat(heard(o)), "   REJECT client_slow_header last ");
	answer(o, 408, "slow", true);
	run(o);
	assert_out(o, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 4\r\nConnection: close\r\n\r\nslow");
}

static void a_slow_head_of_a_later_request_has_its_own_time(void **state)
{
	struct owner *o = *state;

	o->auto_answer = true;
	serve(o);
	feed(o, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	heard(o);
	pass(o, 4000);
	feed(o, "GET / HTTP/1.1\r\n");
	pass(o, 900);
	assert_heard(o, "");
	pass(o, 200);
	assert_string_equal(flat(heard(o)), "   REJECT client_slow_header last ");
}

static void idle_connections_close_without_a_word(void **state)
{
	struct owner *o = *state;

	o->auto_answer = true;
	serve(o);
	feed(o, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	fake_out_clear(&o->ft);
	pass(o, 5100);
	assert_true(o->closed);
	assert_int_equal(o->closed_why, REASON_CLIENT_IDLE);
	assert_out(o, "");
}

static void a_head_beyond_the_limit_is_rejected_before_it_ends(void **state)
{
	struct owner *o = *state;
	char filler[1000];

	memset(filler, 'x', sizeof(filler));
	serve(o);
	feed(o, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
	for (int i = 0; i < 5 && !o->s; i++)
		fake_feed(&o->ft, filler, sizeof(filler));
	assert_non_null(strstr(heard(o), "REJECT client_headers_too_large"));
}

/* -- the client's end -- */

static void a_reset_while_waiting_is_told(void **state)
{
	struct owner *o = *state;

	serve(o);
	feed(o, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	fake_feed_reset(&o->ft);
	assert_heard(o, "GET a / last\nreset client_gone\n");
	assert_true(o->closed);
}

static void a_reset_behind_a_request_that_is_not_whole_is_told(void **state)
{
	const char *in = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n012";
	struct owner *o = *state;

	serve(o);
	fake_put(&o->ft, in, strlen(in));
	fake_feed_reset(&o->ft);
	assert_heard(o, "POST a / length=9\n012reset client_gone\n");
	assert_true(o->closed);
}

static void a_reset_behind_a_whole_request_is_found_by_a_look(void **state)
{
	static const char *const requests[] = {"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n012",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n012\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n"};

	for (unsigned i = 0; i < COUNT_OF(requests); i++) {
		struct owner *o;

		teardown(state);
		setup(state);
		o = *state;
		serve(o);
		fake_put(&o->ft, requests[i], strlen(requests[i]));
		fake_feed_reset(&o->ft);
		pass(o, 999);
		assert_null(strstr(heard(o), "reset"));
		pass(o, 1);
		assert_heard(o, "reset client_gone\n");
		assert_true(o->closed);
	}
}

static void who_waits_long_is_looked_after_and_served_all_the_same(void **state)
{
	struct owner *o = *state;

	serve(o);
	o->ft.t.suspect = true; /* as every event on a writable socket makes it */
	feed(o, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	pass(o, 1000);
	assert_heard(o, "GET a / last\n");
	assert_false(o->closed);
	pass(o, 60000);
	assert_false(o->closed);
}

static void a_reset_is_told_even_while_no_more_of_the_body_is_wanted(void **state)
{
	struct owner *o = *state;

	o->grant = 3;
	serve(o);
	feed(o, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n012345");
	fake_feed_reset(&o->ft);
	assert_heard(o, "POST a / length=9\n012reset client_gone\n");
	assert_true(o->closed);
}

static void a_half_closed_client_still_gets_its_answer_if_it_comes_soon(void **state)
{
	struct owner *o = *state;

	serve(o);
	feed(o, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	fake_feed_eof(&o->ft);
	pass(o, 1400);
	answer(o, 200, "x", true);
	run(o);
	assert_out(o, OK(1, "x"));
	assert_true(o->ft.closed);
	assert_false(o->ft.aborted);
}

static void a_half_closed_client_is_gone_if_the_answer_does_not_come(void **state)
{
	struct owner *o = *state;

	serve(o);
	feed(o, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	fake_feed_eof(&o->ft);
	pass(o, 1600);
	assert_heard(o, "GET a / last\nreset client_gone\n");
}

static void requests_before_a_half_close_are_all_answered(void **state)
{
	struct owner *o = *state;
	const char *in = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n";

	o->auto_answer = true;
	serve(o);
	fake_put(&o->ft, in, strlen(in));
	fake_feed_eof(&o->ft);
	assert_out(o, OK(2, "/1") OK(2, "/2"));
	assert_true(o->closed);
}

static void a_write_error_is_a_client_that_has_gone(void **state)
{
	struct owner *o = *state;

	serve(o);
	feed(o, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	o->ft.write_fails = true;
	answer(o, 200, "x", true);
	run(o);
	assert_heard(o, "GET a / last\nreset client_gone\n");
}

/* -- draining -- */

static void draining_closes_idle_at_once_and_busy_after_the_answer(void **state)
{
	struct owner *o = *state;

	serve(o);
	feed(o, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	http_conn_drain(o->conn);
	answer(o, 200, "x", true);
	run(o);
	assert_out(o, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx");
	assert_true(o->ft.shut);
	fake_feed_eof(&o->ft);
	assert_true(o->closed);
	assert_int_equal(o->closed_why, REASON_NONE);
}

static void the_last_request_of_a_connection_says_so(void **state)
{
	struct owner *o = *state;

	o->lim.requests = 2;
	o->auto_answer = true;
	serve(o);
	feed(o, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_null(strstr(o->ft.out, "close"));
	feed(o, "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_non_null(strstr(o->ft.out, "Connection: close\r\n"));
}

static void closing_resets_what_is_open_from_the_loop(void **state)
{
	struct owner *o = *state;

	serve(o);
	feed(o, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	http_conn_close(o->conn, REASON_SHUTDOWN);
	assert_heard(o, "GET a / last\n");
	run(o);
	assert_heard(o, "reset shutdown\n");
	assert_true(o->closed);
	assert_int_equal(o->closed_why, REASON_SHUTDOWN);
}

/* -- other protocols -- */

static void websocket_becomes_extended_connect_and_bytes_flow_both_ways(void **state)
{
	struct owner *o = *state;
	struct head ok = {.status = 200, .body = BODY_TUNNEL};
	struct chain c = {0};

	serve(o);
	feed(o, "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: keep-alive, "
		"Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " KEY "\r\n\r\nearly");
	assert_heard(o, "CONNECT a /chat protocol=websocket tunnel [Sec-WebSocket-Version=13]\n");
	stream_send_head(o->s, &ok, false);
	run(o);
	assert_out(o, "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " ACCEPT
		      "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
	assert_heard(o, "early");
	feed(o, "ping");
	assert_heard(o, "ping");
	fake_out_clear(&o->ft);
	chain_add_static(&o->loop.mem, &c, STR("pong"));
	stream_send_body(o->s, &c, false);
	run(o);
	assert_out(o, "pong");
	pass(o, 60000); /* silence is no stall in a tunnel */
	fake_feed_eof(&o->ft);
	assert_heard(o, "<end>\n");
	stream_send_body(o->s, &c, true);
	run(o);
	assert_null(o->s);
	assert_true(o->closed);
	assert_false(o->ft.aborted);
}

static void a_tunnel_that_the_owner_half_closes_still_receives(void **state)
{
	struct owner *o = *state;
	struct head ok = {.status = 200, .body = BODY_TUNNEL};
	struct chain c = {0};

	serve(o);
	feed(o, "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: "
		"Upgrade\r\nSec-WebSocket-Key: " KEY "\r\n\r\n");
	stream_send_head(o->s, &ok, false);
	stream_send_body(o->s, &c, true);
	run(o);
	assert_true(o->ft.shut);
	heard(o);
	feed(o, "still here");
	assert_heard(o, "still here");
	fake_feed_eof(&o->ft);
	assert_heard(o, "<end>\n");
}

static void a_reset_behind_the_last_bytes_of_a_tunnel_is_told_a_moment_later(void **state)
{
	struct owner *o = *state;
	struct head ok = {.status = 200, .body = BODY_TUNNEL};

	serve(o);
	feed(o, "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: "
		"Upgrade\r\nSec-WebSocket-Key: " KEY "\r\n\r\n");
	stream_send_head(o->s, &ok, false);
	run(o);
	heard(o);
	fake_put(&o->ft, "last", 4);
	fake_feed_reset(&o->ft);
	assert_heard(o, "last"); /* and the kernel is not asked after each message */
	pass(o, LOOP_TICK_MS);
	assert_heard(o, "reset client_gone\n");
	assert_true(o->closed);
}

static void a_tunnel_that_only_looks_like_one_reset_stays(void **state)
{
	struct owner *o = *state;
	struct head ok = {.status = 200, .body = BODY_TUNNEL};
	int pair[2];

	serve(o);
	feed(o, "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: "
		"Upgrade\r\nSec-WebSocket-Key: " KEY "\r\n\r\n");
	stream_send_head(o->s, &ok, false);
	run(o);
	heard(o);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	o->ft.t.fd = pair[0];
	for (int i = 0; i < 3; i++) {
		o->ft.t.suspect = true;
		feed(o, "more");
		assert_heard(o, "more");
		assert_true(o->ft.t.suspect);
		pass(o, LOOP_TICK_MS);
		assert_false(o->ft.t.suspect);
	}
	pass(o, 60000);
	assert_heard(o, "");
	close(pair[1]);
}

static void a_refused_websocket_is_a_plain_answer_on_a_kept_connection(void **state)
{
	struct owner *o = *state;

	serve(o);
	feed(o, "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: "
		"Upgrade\r\nSec-WebSocket-Key: " KEY "\r\n\r\n");
	answer(o, 403, "no", true);
	run(o);
	release(o);
	run(o);
	assert_out(o, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
	heard(o);
	feed(o, "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_heard(o, "GET a /2 last\n");
}

static void the_preface_of_http_2_hands_the_connection_over(void **state)
{
	static const char in[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

	(void)state;
	for (size_t piece = 1; piece < sizeof(in); piece++) {
		struct owner *o;
		void *each;
		char got[64];

		setup(&each);
		o = each;
		o->lim.h2c = true;
		serve(o);
		fake_feed_split(&o->ft, in, 24, piece);
		assert_ptr_equal(o->taken, &o->ft.t);
		assert_true(o->closed);
		assert_int_equal(o->closed_why, REASON_NONE);
		assert_false(o->ft.closed);
		assert_int_equal(chain_peek(&o->preface, got, sizeof(got)), 24);
		assert_memory_equal(got, in, 24);
		teardown(&each);
	}
}

static void a_post_is_not_taken_for_the_preface(void **state)
{
	struct owner *o = *state;

	o->lim.h2c = true;
	serve(o);
	fake_feed_split(&o->ft, "POST / HTTP/1.1\r\nHost: a\r\n\r\n", 28, 1);
	assert_heard(o, "POST a / last\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_request_is_answered_and_the_connection_kept),
		TEST(a_kept_alive_request_costs_one_read_and_one_write),
		TEST(more_fields_than_usual_are_taken_where_the_limit_allows_them),
		TEST(an_idle_connection_holds_no_blocks),
		TEST(a_message_may_be_split_at_every_byte),
		TEST(pipelined_requests_are_answered_one_after_the_other),
		TEST(a_hundred_pipelined_with_a_bad_50th_get_49_answers_and_a_400),
		TEST(a_pipelining_client_that_does_not_read_gets_no_further_request_in),
		TEST(a_rejected_head_is_answered_and_the_connection_lingers),
		TEST(lingering_ends_by_time_and_by_bytes),
		TEST(a_slow_head_gets_408),
		TEST(a_slow_head_of_a_later_request_has_its_own_time),
		TEST(idle_connections_close_without_a_word),
		TEST(a_head_beyond_the_limit_is_rejected_before_it_ends),
		TEST(a_reset_while_waiting_is_told),
		TEST(a_reset_behind_a_request_that_is_not_whole_is_told),
		TEST(a_reset_behind_a_whole_request_is_found_by_a_look),
		TEST(who_waits_long_is_looked_after_and_served_all_the_same),
		TEST(a_reset_is_told_even_while_no_more_of_the_body_is_wanted),
		TEST(a_half_closed_client_still_gets_its_answer_if_it_comes_soon),
		TEST(a_half_closed_client_is_gone_if_the_answer_does_not_come),
		TEST(requests_before_a_half_close_are_all_answered),
		TEST(a_write_error_is_a_client_that_has_gone),
		TEST(draining_closes_idle_at_once_and_busy_after_the_answer),
		TEST(the_last_request_of_a_connection_says_so),
		TEST(closing_resets_what_is_open_from_the_loop),
		TEST(websocket_becomes_extended_connect_and_bytes_flow_both_ways),
		TEST(a_tunnel_that_the_owner_half_closes_still_receives),
		TEST(a_reset_behind_the_last_bytes_of_a_tunnel_is_told_a_moment_later),
		TEST(a_tunnel_that_only_looks_like_one_reset_stays),
		TEST(a_refused_websocket_is_a_plain_answer_on_a_kept_connection),
		TEST(the_preface_of_http_2_hands_the_connection_over),
		TEST(a_post_is_not_taken_for_the_preface),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
