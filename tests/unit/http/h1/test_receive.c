/* Bodies that come in, and the rest of requests that were answered before their end. */
#include "http/h1/fake_owner.h"

/* -- bodies -- */

static void no_body_is_delivered_beyond_the_credit(void **state)
{
	struct owner *o = *state;

	o->grant = 0;
	serve(o);
	feed(o, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234");
	assert_heard(o, "POST a / length=10\n");
	stream_credit(o->s, 2);
	run(o);
	assert_heard(o, "01");
	stream_credit(o->s, 4);
	run(o);
	assert_heard(o, "234");
	assert_int_equal(o->ft.reads, 1);
	feed(o, "56789");
	assert_heard(o, "5");
	stream_credit(o->s, 4);
	run(o);
	assert_heard(o, "6789<end>\n");
}

static void the_end_of_a_chunked_body_needs_no_credit_once_it_was_read(void **state)
{
	struct owner *o = *state;

	o->grant = 3;
	serve(o);
	feed(o, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
	assert_string_equal(flat(heard(o)), "POST a / stream abc<end> ");
}

static void a_blocked_owner_leaves_the_rest_in_the_kernel(void **state)
{
	struct owner *o = *state;
	char body[20000];

	memset(body, 'x', sizeof(body));
	o->grant = 0;
	serve(o);
	feed(o, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
	for (int i = 0; i < 5; i++)
		fake_put(&o->ft, body, sizeof(body));
	stream_credit(o->s, 1000);
	run(o);
	assert_int_equal(o->ft.in_n - o->ft.in_at, 99000);
	stream_credit(o->s, 99000);
	run(o);
	assert_true(o->in_done);
}

static void trailers_that_change_framing_or_routing_are_dropped(void **state)
{
	struct owner *o = *state;

	serve(o);
	feed(o, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: "
		"5\r\nHost: b\r\nAuthorization: x\r\nX-Sum: 1\r\n\r\n");
	assert_heard(o, "POST a / stream\n<trailers [X-Sum=1]>\n");
}

static void a_bad_chunk_resets_the_stream_which_may_still_be_answered(void **state)
{
	struct owner *o = *state;

	o->auto_release = false;
	serve(o);
	feed(o, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\nGET "
		"/smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_heard(o, "POST a / stream\nreset client_bad_chunk\n");
	answer(o, 400, "no", true);
	release(o);
	run(o);
	assert_out(o, "HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
	assert_true(o->ft.shut);
	assert_heard(o, "");
	fake_feed_eof(&o->ft);
	assert_true(o->ft.closed);
	assert_false(o->ft.aborted);
}

static void a_body_that_is_cut_is_told_from_a_complete_one(void **state)
{
	struct owner *o = *state;

	serve(o);
	feed(o, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n012");
	fake_feed_eof(&o->ft);
	assert_heard(o, "POST a / length=10\n012reset client_cut_body\n");
	assert_true(o->closed);
}

static void a_slow_body_is_reset_with_a_reason(void **state)
{
	struct owner *o = *state;

	o->auto_release = false;
	serve(o);
	feed(o, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n012");
	pass(o, 2900);
	feed(o, "3");
	pass(o, 2900);
	assert_heard(o, "POST a / length=10\n0123");
	pass(o, 200);
	assert_heard(o, "reset client_slow_body\n");
	answer(o, 408, "slow", true);
	release(o);
	run(o);
	assert_out(o, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 4\r\nConnection: close\r\n\r\nslow");
}

static void a_body_that_only_dribbles_is_slow(void **state)
{
	struct owner *o = *state;

	o->lim.body_least = 100;
	serve(o);
	feed(o, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (unsigned i = 0; i < 29; i++) {
		pass(o, 100);
		feed(o, "1\r\nx\r\n");
	}
	assert_heard(o, "POST a / stream\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
	pass(o, 200);
	assert_heard(o, "reset client_slow_body\n");
}

static void a_body_that_keeps_its_pace_is_given_time_again_and_again(void **state)
{
	struct owner *o = *state;

	o->lim.body_least = 4;
	serve(o);
	feed(o, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n");
	pass(o, 2900);
	feed(o, "0123");
	pass(o, 1500);
	feed(o, "4");
	pass(o, 1400);
	feed(o, "567");
	pass(o, 2900);
	/* The rest may be less. */
	feed(o, "89");
	assert_heard(o, "POST a / length=10\n0123456789<end>\n");
}

static void once_an_answer_has_begun_the_body_has_its_own_pace(void **state)
{
	struct owner *o = *state;

	o->lim.body_least = 100;
	serve(o);
	feed(o, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
	answer(o, 200, "first", false);
	for (unsigned i = 0; i < 4; i++) {
		pass(o, 2000);
		feed(o, "1\r\nx\r\n");
	}
	assert_heard(o, "POST a / stream\nxxxx");
}

static void a_body_is_not_slow_while_we_hold_it_up(void **state)
{
	struct owner *o = *state;

	o->grant = 0;
	serve(o);
	feed(o, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n");
	pass(o, 60000);
	assert_heard(o, "POST a / length=10\n");
}

/* -- the end of a request that is answered early -- */

static void a_short_rest_of_the_body_is_drained_and_the_connection_kept(void **state)
{
	struct owner *o = *state;

	serve(o);
	feed(o, "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n012");
	answer(o, 403, "no", true);
	run(o);
	release(o);
	run(o);
	assert_heard(o, "POST a /1 length=10\n012");
	feed(o, "3456789GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_heard(o, "GET a /2 last\n");
	assert_false(o->ft.closed);
}

static void a_long_rest_of_the_body_closes_the_connection(void **state)
{
	struct owner *o = *state;

	serve(o);
	feed(o, "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n012");
	answer(o, 413, "no", true);
	run(o);
	release(o);
	run(o);
	assert_out(o, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
	feed(o, "GET /inside-the-body HTTP/1.1\r\nHost: a\r\n\r\n");
	heard(o);
	pass(o, 2100);
	pass(o, 2100);
	assert_true(o->closed);
	assert_heard(o, "");
}

static void who_sends_too_much_is_told_to_stop_however_little_is_left(void **state)
{
	struct owner *o = *state;

	serve(o);
	feed(o, "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n012");
	answer(o, 413, "no", true);
	run(o);
	release(o);
	run(o);
	assert_out(o, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
	assert_true(o->ft.shut);
	assert_false(o->closed);
	feed(o, "3456789");
	fake_feed_eof(&o->ft);
	assert_true(o->closed);
	assert_false(o->ft.aborted);
}

static void a_chunked_rest_that_does_not_end_soon_closes(void **state)
{
	struct owner *o = *state;
	char chunk[10000];

	memset(chunk, 'x', sizeof(chunk));
	serve(o);
	feed(o, "POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffff\r\n");
	answer(o, 403, "no", true);
	run(o);
	release(o);
	run(o);
	for (int i = 0; i < 10 && !o->ft.shut; i++)
		fake_feed(&o->ft, chunk, sizeof(chunk));
	assert_true(o->ft.shut);
}

static void continue_is_sent_once_and_only_to_who_waits_for_it(void **state)
{
	struct owner *o = *state;
	struct head go = {.status = 100};

	serve(o);
	feed(o, "POST /1 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
	assert_heard(o, "POST a /1 length=2\n");
	assert_true(o->last_head.expect_continue);
	stream_send_head(o->s, &go, false);
	stream_send_head(o->s, &go, false);
	run(o);
	assert_out(o, "HTTP/1.1 100 Continue\r\n\r\n");
	feed(o, "ab");
	assert_heard(o, "ab<end>\n");
	answer(o, 200, "x", true);
	run(o);
	fake_out_clear(&o->ft);
	feed(o, "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
	stream_send_head(o->s, &go, false);
	run(o);
	assert_out(o, "");
}

static void an_early_final_answer_to_expect_closes_and_the_body_is_no_request(void **state)
{
	struct owner *o = *state;

	serve(o);
	feed(o, "POST /1 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 40\r\n\r\n");
	answer(o, 401, "who?", true);
	run(o);
	release(o);
	run(o);
	heard(o);
	assert_out(o, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 4\r\nConnection: close\r\n\r\nwho?");
	feed(o, "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n....GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_heard(o, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(no_body_is_delivered_beyond_the_credit),
		TEST(the_end_of_a_chunked_body_needs_no_credit_once_it_was_read),
		TEST(a_blocked_owner_leaves_the_rest_in_the_kernel),
		TEST(trailers_that_change_framing_or_routing_are_dropped),
		TEST(a_bad_chunk_resets_the_stream_which_may_still_be_answered),
		TEST(a_body_that_is_cut_is_told_from_a_complete_one),
		TEST(a_slow_body_is_reset_with_a_reason),
		TEST(a_body_that_only_dribbles_is_slow),
		TEST(a_body_that_keeps_its_pace_is_given_time_again_and_again),
		TEST(once_an_answer_has_begun_the_body_has_its_own_pace),
		TEST(a_body_is_not_slow_while_we_hold_it_up),
		TEST(a_short_rest_of_the_body_is_drained_and_the_connection_kept),
		TEST(a_long_rest_of_the_body_closes_the_connection),
		TEST(who_sends_too_much_is_told_to_stop_however_little_is_left),
		TEST(a_chunked_rest_that_does_not_end_soon_closes),
		TEST(continue_is_sent_once_and_only_to_who_waits_for_it),
		TEST(an_early_final_answer_to_expect_closes_and_the_body_is_no_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
