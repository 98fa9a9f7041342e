/* http/h1/client.c: what a backend may get wrong in an answer. */
#include "http/h1/fake_backend.h"

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

static void a_stalled_body_has_its_own_reason(void **state)
{
	struct owner *o = *state;

	ask(o, &get, true);
	feed(o, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel");
	pass(o, 3100);
	assert_heard(o, "200 length=5\nhelreset upstream_body_timeout\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_no_http_is_a_bad_response),
		TEST(unclear_framing_is_refused),
		TEST(length_with_chunked_is_dropped_and_the_connection_with_it),
		TEST(a_flood_of_interim_answers_is_capped),
		TEST(a_head_beyond_the_limit_is_refused),
		TEST(switching_protocols_unasked_is_refused),
		TEST(a_cut_body_is_never_a_clean_end),
		TEST(a_reset_that_comes_with_a_part_of_the_answer_is_told),
		TEST(a_stalled_body_has_its_own_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
