/* http/fetcher.c against a server that the test plays: answers whole or none, connections that are kept, ends in the middle. */
#include "control/fake_backend.h"
#include "http/fetcher.h"

#define OK_ANSWER "HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 2\r\n\r\nok"

struct bench {
	struct loop loop;
	struct fake_backend backend;
	struct fetcher *fetcher;
	char url[64];
	struct fetcher_request rq;
	/* What was answered last. */
	unsigned answers;
	enum reason why;
	unsigned status;
	bool has_a; /* the header X-A */
	char body[64], detail[96];
	bool ends; /* who is told ends the fetcher */
};

static void on_done(void *ctx, const struct fetcher_answer *a)
{
	struct bench *b = ctx;

	b->answers++;
	b->why = a->why;
	b->status = a->status;
	b->has_a = fields_find_name(a->fields, STR("x-a")) != NULL;
	assert_int_equal(a->body.p[a->body.n], '\0');
	snprintf(b->body, sizeof(b->body), "%s", a->body.p);
	snprintf(b->detail, sizeof(b->detail), "%s", a->detail);
	if (b->ends)
		fetcher_free(&b->fetcher);
}

static void bench_init(struct bench *b)
{
	*b = (struct bench){0};
	MUST(loop_init(&b->loop));
	fake_init(&b->backend);
	b->backend.script = "-";
	b->backend.answer = OK_ANSWER;
	b->fetcher = fetcher_new(&b->loop, NULL);
	snprintf(b->url, sizeof(b->url), "http://127.0.0.1:%u/a?b", b->backend.port);
	b->rq = (struct fetcher_request){
		.method = STR("GET"), .url = str_of(b->url), .timeout_ms = FAKE_PATIENCE_MS, .body_max = 16};
}

static void bench_free(struct bench *b)
{
	fetcher_free(&b->fetcher);
	loop_free(&b->loop);
	fake_free(&b->backend);
}

#define BENCH \
	struct bench b; \
	(void)state; \
	bench_init(&b)

#define TURN_UNTIL(b, cond) assert_true(FAKE_UNTIL(&(b)->loop, &(b)->backend, cond))

static enum reason ask(struct bench *b)
{
	unsigned before = b->answers;

	assert_non_null(fetcher_begin(b->fetcher, &b->rq, on_done, b));
	assert_int_equal(b->answers, before); /* never from within */
	TURN_UNTIL(b, b->answers > before);
	assert_int_equal(b->answers, before + 1);
	return b->why;
}

/* On a connection that nobody keeps after it. */
static enum reason ask_for(struct bench *b, const char *answer)
{
	b->backend.answer = answer;
	b->rq.once = true;
	return ask(b);
}

static void an_answer_comes_whole(void **state)
{
	static const char *const answers[] = {OK_ANSWER,
		"HTTP/1.1 200 OK\r\nX-A: b\r\nTransfer-Encoding: "
		"chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-B: "
		"c\r\n\r\n",
		"HTTP/1.1 103 Early\r\nX-B: c\r\n\r\n" OK_ANSWER};

	BENCH;
	for (b.backend.piece = 0; b.backend.piece < 3; b.backend.piece++) {
		for (size_t i = 0; i < COUNT_OF(answers); i++) {
			assert_int_equal(ask_for(&b, answers[i]), REASON_NONE);
			assert_int_equal(b.status, 200);
			assert_string_equal(b.body, "ok");
			assert_true(b.has_a);
		}
	}
	assert_int_equal(ask_for(&b, "HTTP/1.1 204 No Content\r\n\r\n"), REASON_NONE);
	assert_int_equal(b.status, 204);
	assert_string_equal(b.body, "");
	assert_int_equal(ask_for(&b, "HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno"), REASON_NONE);
	assert_int_equal(b.status, 503);
	bench_free(&b);
}

static void a_request_says_what_it_was_given(void **state)
{
	char host[64];
	struct arena a;

	BENCH;
	arena_init(&a, &b.loop.mem);
	fields_add(&a, &b.rq.fields, FIELD_OTHER, STR("x-key"), STR("k"));
	b.rq.method = STR("POST");
	b.rq.body = STR("hello");
	assert_non_null(fetcher_begin(b.fetcher, &b.rq, on_done, &b));
	arena_free(&a); /* all of it was copied */
	b.rq.body = STR("later");
	TURN_UNTIL(&b, b.answers);
	snprintf(host, sizeof(host), "\r\nHost: 127.0.0.1:%u\r\n", b.backend.port);
	assert_ptr_equal(strstr(b.backend.request, "POST /a?b HTTP/1.1\r\n"), b.backend.request);
	assert_non_null(strcasestr(b.backend.request, host));
	assert_non_null(strcasestr(b.backend.request, "\r\nx-key: k\r\n"));
	assert_non_null(strcasestr(b.backend.request, "\r\nuser-agent: weir/"));
	assert_non_null(strcasestr(b.backend.request, "\r\ncontent-length: 5\r\n"));
	assert_non_null(strstr(b.backend.request, "\r\n\r\nhello"));
	bench_free(&b);
}

static void who_is_not_there_refuses(void **state)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* has the port, and does not listen */
	socklen_t n = sizeof(at);

	BENCH;
	assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&at, n) == 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
	snprintf(b.url, sizeof(b.url), "http://127.0.0.1:%u/", ntohs(at.sin_port));
	b.rq.url = str_of(b.url);
	assert_int_equal(ask(&b), REASON_UPSTREAM_REFUSED);
	assert_int_equal(b.status, 0);
	assert_string_equal(b.body, "");
	close(fd);
	bench_free(&b);
}

static void half_an_answer_is_none(void **state)
{
	static const struct {
		const char *answer;
		enum reason why;
	} bad[] = {
		{"\001garbage\r\n\r\n", REASON_UPSTREAM_BAD_RESPONSE},
		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
			REASON_UPSTREAM_BAD_FRAMING},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", REASON_UPSTREAM_BAD_FRAMING},
		{"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
			REASON_UPSTREAM_BAD_UPGRADE},
	};

	BENCH;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		assert_int_equal(ask_for(&b, bad[i].answer), bad[i].why);
		assert_int_equal(b.status, 0);
	}
	b.backend.script = "R";
	assert_int_not_equal(ask(&b), REASON_NONE);
	b.backend.script = "S";
	assert_non_null(fetcher_begin(b.fetcher, &b.rq, on_done, &b));
	b.answers = 0;
	TURN_UNTIL(&b, b.backend.asked == COUNT_OF(bad) + 2);
	for (int i = 0; i < FAKE_CONNS; i++)
		if (b.backend.fds[i] >= 0)
			fake_say(&b.backend, b.backend.fds[i],
				"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
	fake_drop_all(&b.backend);
	TURN_UNTIL(&b, b.answers);
	assert_int_equal(b.why, REASON_UPSTREAM_CUT_BODY);
	assert_int_equal(b.status, 0);
	bench_free(&b);
}

static void what_is_longer_than_was_asked_for_is_a_failure(void **state)
{
	BENCH;
	assert_int_equal(
		ask_for(&b, "HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n0123456789abcdef"), REASON_NONE);
	assert_string_equal(b.body, "0123456789abcdef");
	assert_int_equal(ask_for(&b, "HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n0123456789abcdefg"),
		REASON_UPSTREAM_BAD_RESPONSE);
	assert_int_equal(b.status, 0);
	assert_string_equal(b.detail, "the answer is longer than 16 bytes");
	/* One that never ends is not waited for. */
	assert_int_equal(ask_for(&b, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
				     "14\r\n01234567890123456789\r\n"),
		REASON_UPSTREAM_BAD_RESPONSE);
	bench_free(&b);
}

static void who_is_silent_is_given_up(void **state)
{
	static const char *const halves[] = {"", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"};

	BENCH;
	b.rq.timeout_ms = 1;
	for (size_t i = 0; i < COUNT_OF(halves); i++) {
		assert_int_equal(ask_for(&b, halves[i]), REASON_CHECK_TIMEOUT);
		assert_int_equal(b.status, 0);
	}
	bench_free(&b);
}

static void connections_are_kept_for_the_next_request(void **state)
{
	BENCH;
	for (int i = 0; i < 5; i++)
		assert_int_equal(ask(&b), REASON_NONE);
	assert_int_equal(b.backend.accepted, 1);
	b.rq.once = true; /* may not be lost by a connection that closes just then */
	assert_int_equal(ask(&b), REASON_NONE);
	assert_int_equal(b.backend.accepted, 2);
	bench_free(&b);
}

static void a_connection_that_says_it_closes_is_not_kept(void **state)
{
	static const char *const closing[] = {
		"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"};

	BENCH;
	for (size_t i = 0; i < COUNT_OF(closing); i++) {
		b.backend.answer = closing[i];
		assert_int_equal(ask(&b), REASON_NONE);
		assert_int_equal(b.backend.accepted, i + 1);
	}
	b.backend.answer = OK_ANSWER;
	assert_int_equal(ask(&b), REASON_NONE);
	assert_int_equal(b.backend.accepted, 3);
	bench_free(&b);
}

static void a_kept_connection_that_closed_costs_nobody_an_answer(void **state)
{
	BENCH;
	assert_int_equal(ask(&b), REASON_NONE);
	fake_drop_all(&b.backend); /* the next request may be on its way before that is seen */
	assert_int_equal(ask(&b), REASON_NONE);
	assert_int_equal(b.backend.accepted, 2);
	b.backend.script = "R-"; /* it closes as the request comes */
	assert_int_equal(ask(&b), REASON_NONE);
	assert_string_equal(b.body, "ok");
	assert_int_equal(b.backend.accepted, 3);
	bench_free(&b);
}

static void what_nobody_asked_for_ends_a_kept_connection(void **state)
{
	BENCH;
	assert_int_equal(ask(&b), REASON_NONE);
	for (int i = 0; i < FAKE_CONNS; i++)
		if (b.backend.fds[i] >= 0)
			fake_say(&b.backend, b.backend.fds[i],
				"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
	TURN_UNTIL(&b, b.backend.fds[0] < 0);
	assert_int_equal(ask(&b), REASON_NONE);
	assert_string_equal(b.body, "ok");
	assert_int_equal(b.backend.accepted, 2);
	bench_free(&b);
}

static void a_server_without_tls_is_no_https(void **state)
{
	BENCH;
	snprintf(b.url, sizeof(b.url), "https://127.0.0.1:%u/", b.backend.port);
	b.rq.url = str_of(b.url);
	b.backend.script = "G";
	assert_int_equal(ask(&b), REASON_UPSTREAM_TLS);
	assert_true(b.detail[0] != '\0');
	bench_free(&b);
}

static void what_is_no_url_is_told_later_too(void **state)
{
	static const char *const none[] = {"", "ftp://a.test/", "http://", "http://a b/", "http://a.test:0/",
		"http://a.test:65536/", "http://a.test/a b", "http://u@a.test/", "http://[::1/",
		"http://a.test/\n"};

	BENCH;
	for (size_t i = 0; i < COUNT_OF(none); i++) {
		assert_false(fetcher_url_is_valid(str_of(none[i])));
		b.rq.url = str_of(none[i]);
		assert_int_equal(ask(&b), REASON_UPSTREAM_RESOLVE);
	}
	assert_true(fetcher_url_is_valid(STR("https://[::1]:8443/a?b")));
	assert_true(fetcher_url_is_valid(STR("http://a.test?q")));
	bench_free(&b);
}

static void a_request_is_cancelled_wherever_it_has_come_to(void **state)
{
	BENCH;
	b.backend.script = "S";
	for (int turns = 0; turns < 6; turns++) {
		struct fetching *g = fetcher_begin(b.fetcher, &b.rq, on_done, &b);

		for (int i = 0; i < turns; i++) {
			loop_once(&b.loop, 1);
			fake_turn(&b.backend);
		}
		fetching_cancel(&g);
		assert_null(g);
	}
	fetching_cancel(&(struct fetching *){NULL});
	b.backend.script = "-";
	assert_int_equal(ask(&b), REASON_NONE);
	assert_int_equal(b.answers, 1);
	bench_free(&b);
}

static void who_is_told_may_end_the_fetcher(void **state)
{
	static const char scripts[] = "-RG";

	for (size_t i = 0; scripts[i]; i++) {
		char script[] = {scripts[i], '\0'};

		BENCH;
		b.backend.script = "-";
		assert_int_equal(ask(&b), REASON_NONE); /* one is kept */
		b.backend.script = script;
		b.rq.once = true;
		b.ends = true;
		ask(&b);
		assert_null(b.fetcher);
		bench_free(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_comes_whole),
		cmocka_unit_test(a_request_says_what_it_was_given),
		cmocka_unit_test(who_is_not_there_refuses),
		cmocka_unit_test(half_an_answer_is_none),
		cmocka_unit_test(what_is_longer_than_was_asked_for_is_a_failure),
		cmocka_unit_test(who_is_silent_is_given_up),
		cmocka_unit_test(connections_are_kept_for_the_next_request),
		cmocka_unit_test(a_connection_that_says_it_closes_is_not_kept),
		cmocka_unit_test(a_kept_connection_that_closed_costs_nobody_an_answer),
		cmocka_unit_test(what_nobody_asked_for_ends_a_kept_connection),
		cmocka_unit_test(a_server_without_tls_is_no_https),
		cmocka_unit_test(what_is_no_url_is_told_later_too),
		cmocka_unit_test(a_request_is_cancelled_wherever_it_has_come_to),
		cmocka_unit_test(who_is_told_may_end_the_fetcher),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
