/* What an answer looks like on the wire, and what its owner is told of its way. */
#include "http/h1/fake_owner.h"

#define OK(n, body) "HTTP/1.1 200 OK\r\nContent-Length: " #n "\r\n\r\n" body

/* -- what an answer looks like -- */

static void send_stream(struct owner *o, unsigned status, const char *body)
{
	struct head h = {.status = (uint16_t)status, .body = BODY_STREAM};
	struct chain c = {0};

	stream_send_head(o->s, &h, false);
	chain_add_static(&o->loop.mem, &c, str_of(body));
	stream_send_body(o->s, &c, false);
	stream_send_body(o->s, &c, true);
	run(o);
}

static void a_body_of_unknown_length_is_chunked(void **state)
{
	struct owner *o = *state;

	serve(o);
	feed(o, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	send_stream(o, 200, "hello, chunked world");
	assert_out(o, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n14\r\nhello, chunked "
		      "world\r\n0\r\n\r\n");
	assert_int_equal(o->ft.writes, 1);
	assert_int_equal(o->sent, 20);
	assert_false(o->ft.closed);
}

static void trailers_follow_the_last_chunk(void **state)
{
	struct owner *o = *state;
	struct head h = {.status = 200, .body = BODY_STREAM};
	struct fields fs = {0};

	serve(o);
	feed(o, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	fields_add(&o->arena, &fs, FIELD_GRPC_STATUS, STR("grpc-status"), STR("0"));
	stream_send_head(o->s, &h, false);
	stream_send_trailers(o->s, &fs);
	run(o);
	assert_out(o, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\ngrpc-status: 0\r\n\r\n");
}

static void http_1_0_gets_neither_chunks_nor_interim_answers(void **state)
{
	struct owner *o = *state;
	struct head early = {.status = 103};

	serve(o);
	feed(o, "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
	stream_send_head(o->s, &early, false);
	send_stream(o, 200, "hello");
	assert_out(o, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello");
	assert_true(o->ft.shut || o->ft.closed);
	assert_false(o->ft.aborted);
}

static void http_1_0_closes_by_default_and_is_kept_if_it_asks(void **state)
{
	struct owner *o = *state;

	o->auto_answer = true;
	serve(o);
	feed(o, "GET /1 HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n");
	assert_out(o, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n/1");
	fake_out_clear(&o->ft);
	feed(o, "GET /2 HTTP/1.0\r\nHost: a\r\n\r\n");
	assert_out(o, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n/2");
	assert_true(o->ft.closed);
}

static void answers_without_a_body_never_get_one(void **state)
{
	static const struct {
		const char *method;
		unsigned status;
		const char *expected;
	} cases[] = {
		{"HEAD", 200, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"},
		{"GET", 204, "HTTP/1.1 204 No Content\r\n\r\n"},
		{"GET", 304, "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n"},
	};
	struct owner *o = *state;
	char in[128];

	serve(o);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		sprintf(in, "%s / HTTP/1.1\r\nHost: a\r\n\r\n", cases[i].method);
		feed(o, in);
		answer(o, cases[i].status, "body", true);
		run(o);
		assert_out(o, cases[i].expected);
		assert_null(o->s);
		fake_out_clear(&o->ft);
	}
	assert_false(o->ft.closed);
}

static void interim_answers_are_relayed(void **state)
{
	struct owner *o = *state;
	struct head early = {.status = 103};

	serve(o);
	feed(o, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	fields_add(&o->arena, &early.fields, FIELD_OTHER, STR("link"), STR("</s.css>; rel=preload"));
	stream_send_head(o->s, &early, false);
	answer(o, 200, "x", true);
	run(o);
	assert_out(o, "HTTP/1.1 103 Early Hints\r\nlink: </s.css>; rel=preload\r\n\r\n" OK(1, "x"));
}

static void an_answer_shorter_than_its_length_is_cut_with_rst(void **state)
{
	struct owner *o = *state;
	struct head h = {.status = 200, .body = BODY_LENGTH, .has_length = true, .length = 10};
	struct chain c = {0};

	serve(o);
	feed(o, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	chain_add_static(&o->loop.mem, &c, STR("12345"));
	stream_send_head(o->s, &h, false);
	stream_send_body(o->s, &c, false);
	run(o);
	stream_reset(o->s, REASON_UPSTREAM_CUT_BODY);
	assert_true(o->ft.aborted);
	release(o);
	run(o);
	assert_true(o->closed);
	assert_heard(o, "GET a / last\n");
}

static void a_chunked_answer_that_is_given_up_never_looks_complete(void **state)
{
	struct owner *o = *state;
	struct head h = {.status = 200, .body = BODY_STREAM};

	serve(o);
	feed(o, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	stream_send_head(o->s, &h, false);
	run(o);
	release(o);
	run(o);
	assert_true(o->ft.aborted);
	assert_null(strstr(o->ft.out, "\r\n0\r\n"));
}

static void more_body_than_announced_is_not_sent(void **state)
{
	struct owner *o = *state;
	struct head h = {.status = 200, .body = BODY_LENGTH, .has_length = true, .length = 3};
	struct chain c = {0};

	serve(o);
	feed(o, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	chain_add_static(&o->loop.mem, &c, STR("12345"));
	stream_send_head(o->s, &h, false);
	stream_send_body(o->s, &c, true);
	run(o);
	assert_true(o->ft.aborted);
	assert_string_equal(heard(o), "GET a / last\nreset internal\n");
}

static void what_was_sent_is_told_as_the_peer_takes_it(void **state)
{
	struct owner *o = *state;

	serve(o);
	feed(o, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	o->ft.write_room = 42; /* the head is 38 */
	answer(o, 200, "hello", true);
	run(o);
	assert_in_range(o->sent, 1, 4);
	assert_non_null(o->s);
	fake_unblock(&o->ft, 100);
	assert_int_equal(o->sent, 5);
	assert_null(o->s);
}

static void a_client_that_does_not_read_is_cut_off(void **state)
{
	struct owner *o = *state;

	o->ft.write_room = 10;
	serve(o);
	feed(o, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	answer(o, 200, "hello", true);
	run(o);
	pass(o, 3100);
	assert_heard(o, "GET a / last\nreset client_slow_read\n");
	assert_true(o->ft.aborted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_body_of_unknown_length_is_chunked),
		TEST(trailers_follow_the_last_chunk),
		TEST(http_1_0_gets_neither_chunks_nor_interim_answers),
		TEST(http_1_0_closes_by_default_and_is_kept_if_it_asks),
		TEST(answers_without_a_body_never_get_one),
		TEST(interim_answers_are_relayed),
		TEST(an_answer_shorter_than_its_length_is_cut_with_rst),
		TEST(a_chunked_answer_that_is_given_up_never_looks_complete),
		TEST(more_body_than_announced_is_not_sent),
		TEST(what_was_sent_is_told_as_the_peer_takes_it),
		TEST(a_client_that_does_not_read_is_cut_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
