#include "fake_backend.h"
#include <sys/resource.h>
#include "control/probe.h"

static __typeof__(*((struct conf_health *)0)->status) good[] = {{200, 299}, {418, 418}};

struct bench {
	struct loop loop;
	struct fake_backend backend;
	struct probe *probe;
	struct probe_target target;
	struct probe_outcome outcome;
	unsigned outcomes;
};

static void on_done(const struct probe_outcome *outcome, void *ctx)
{
	struct bench *b = ctx;

	b->outcome = *outcome;
	b->outcomes++;
}

static void bench_init(struct bench *b)
{
	*b = (struct bench){0};
	MUST(loop_init(&b->loop));
	fake_init(&b->backend);
	b->target = (struct probe_target){
		.health = {.kind = CONF_CHECK_HTTP,
			.path = STR("/healthz"),
			.method = STR("GET"),
			.status = good,
			.status_n = COUNT_OF(good),
			.timeout = 5000},
		.protocol = CONF_HTTP1,
		.authority = STR("shop.test:80"),
		.keep = true,
	};
	MUST(addr_parse(&b->target.addr, STR("127.0.0.1:1")));
	b->target.addr.port = (uint16_t)b->backend.port;
	b->probe = probe_new(&b->loop, on_done, b);
}

static void bench_free(struct bench *b)
{
	probe_free(&b->probe);
	loop_free(&b->loop);
	fake_free(&b->backend);
}

static enum reason ask(struct bench *b)
{
	unsigned before = b->outcomes;

	probe_aim(b->probe, &b->target);
	probe_ask(b->probe);
	assert_true(probe_is_asking(b->probe));
	assert_true(FAKE_UNTIL(&b->loop, &b->backend, b->outcomes > before));
	assert_int_equal(b->outcomes, before + 1);
	assert_false(probe_is_asking(b->probe));
	return b->outcome.why;
}

#define BENCH \
	struct bench b; \
	(void)state; \
	bench_init(&b)

static enum reason answered(struct bench *b, const char *answer)
{
	b->backend.script = "-";
	b->backend.answer = answer;
	return ask(b);
}

static void a_listed_status_passes_and_another_does_not(void **state)
{
	BENCH;
	assert_int_equal(answered(&b, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), REASON_NONE);
	assert_int_equal(answered(&b, "HTTP/1.1 299 OK\r\nContent-Length: 0\r\n\r\n"), REASON_NONE);
	assert_int_equal(answered(&b, "HTTP/1.1 418 OK\r\nContent-Length: 0\r\n\r\n"), REASON_NONE);
	assert_int_equal(answered(&b, "HTTP/1.1 300 No\r\nContent-Length: 0\r\n\r\n"), REASON_CHECK_STATUS);
	assert_int_equal(b.outcome.status, 300);
	assert_int_equal(answered(&b, "HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n"), REASON_CHECK_STATUS);
	bench_free(&b);
}

static void interim_answers_are_not_the_answer(void **state)
{
	BENCH;
	assert_int_equal(
		answered(&b, "HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
		REASON_NONE);
	assert_int_equal(b.outcome.status, 200);
	bench_free(&b);
}

static void the_request_is_what_the_check_says(void **state)
{
	BENCH;
	ask(&b);
	assert_non_null(strstr(b.backend.request, "GET /healthz HTTP/1.1\r\n"));
	assert_non_null(strcasestr(b.backend.request, "\r\nhost: shop.test:80\r\n"));
	b.target.health.host = STR("other.test");
	b.target.health.method = STR("HEAD");
	assert_int_equal(answered(&b, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"), REASON_NONE);
	assert_non_null(strstr(b.backend.request, "HEAD /healthz HTTP/1.1\r\n"));
	assert_non_null(strcasestr(b.backend.request, "\r\nhost: other.test\r\n"));
	bench_free(&b);
}

static void the_body_is_found_wherever_it_was_cut(void **state)
{
	BENCH;
	b.target.health.body = STR("ready");
	for (b.backend.piece = 1; b.backend.piece < 12; b.backend.piece++)
		assert_int_equal(answered(&b, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
					      "3\r\nxre\r\n4\r\nadyx\r\n0\r\n\r\n"),
			REASON_NONE);
	assert_int_equal(
		answered(&b, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nunread"), REASON_CHECK_BODY);
	assert_int_equal(answered(&b, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), REASON_CHECK_BODY);
	bench_free(&b);
}

static void a_body_is_searched_up_to_a_limit(void **state)
{
	static char answer[300000];
	size_t n = (size_t)snprintf(
		answer, sizeof(answer), "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");

	BENCH;
	memset(answer + n, 'x', 100000);
	memcpy(answer + n + 1000, "ready", 5);
	b.target.health.body = STR("ready");
	assert_int_equal(answered(&b, answer), REASON_NONE);
	memset(answer + n + 1000, 'x', 5);
	memcpy(answer + n + 80000, "ready", 5);
	assert_int_equal(answered(&b, answer), REASON_CHECK_BODY);
	bench_free(&b);
}

static void what_is_no_answer_fails(void **state)
{
	BENCH;
	b.backend.script = "G";
	assert_int_equal(ask(&b), REASON_UPSTREAM_BAD_RESPONSE);
	b.backend.script = "R";
	assert_int_equal(ask(&b), REASON_UPSTREAM_RESET);
	b.backend.script = "S";
	b.target.health.timeout = 200;
	assert_int_equal(ask(&b), REASON_CHECK_TIMEOUT);
	assert_true(b.outcome.duration_us >= 199000); /* deadlines count in ms */
	b.target.addr.port = 1;
	assert_int_equal(ask(&b), REASON_UPSTREAM_REFUSED);
	b.target.addr.family = ADDR_NONE;
	assert_int_equal(ask(&b), REASON_UPSTREAM_RESOLVE);
	b.target.lost = REASON_UPSTREAM_TLS;
	assert_int_equal(ask(&b), REASON_UPSTREAM_TLS);
	bench_free(&b);
}

static void a_tcp_check_sends_nothing(void **state)
{
	BENCH;
	b.target.health.kind = CONF_CHECK_TCP;
	assert_int_equal(ask(&b), REASON_NONE);
	assert_true(FAKE_UNTIL(&b.loop, &b.backend, b.backend.accepted == 1));
	assert_int_equal(b.backend.asked, 0);
	bench_free(&b);
}

static void a_unix_socket_is_asked(void **state)
{
	char path[] = "/tmp/weir-unit-XXXXXX";

	BENCH;
	MUST(mkdtemp(path));
	MUST(chdir(path) == 0);
	fake_free(&b.backend);
	fake_init_unix(&b.backend, "probe.sock");
	b.target.unix_path = STR("probe.sock");
	b.target.addr = (struct addr){.family = ADDR_UNIX};
	assert_int_equal(ask(&b), REASON_NONE);
	bench_free(&b);
	unlink("probe.sock");
	MUST(chdir("/") == 0 && rmdir(path) == 0);
}

static void a_connection_is_kept_after_a_pass_and_renewed_in_time(void **state)
{
	BENCH;
	for (int i = 0; i < 10; i++)
		assert_int_equal(ask(&b), REASON_NONE);
	assert_int_equal(b.backend.accepted, 1);
	for (int i = 0; i < 100; i++)
		assert_int_equal(ask(&b), REASON_NONE);
	assert_in_range(b.backend.accepted, 3, 8);
	bench_free(&b);
}

static void no_connection_is_kept_after_a_failure_nor_where_it_is_not_wanted(void **state)
{
	BENCH;
	b.backend.script = "FPPP";
	for (int i = 0; i < 3; i++)
		ask(&b);
	assert_int_equal(b.backend.accepted, 2);
	b.target.keep = false;
	for (int i = 0; i < 3; i++)
		assert_int_equal(ask(&b), REASON_NONE);
	assert_int_equal(b.backend.accepted, 5);
	bench_free(&b);
}

static void a_kept_connection_that_is_lost_says_nothing(void **state)
{
	BENCH;
	assert_int_equal(ask(&b), REASON_NONE);
	/* Lost before the question, and in its face. */
	fake_drop_all(&b.backend);
	assert_int_equal(ask(&b), REASON_NONE);
	b.backend.script = "RP";
	assert_int_equal(ask(&b), REASON_NONE);
	assert_int_equal(b.backend.accepted, 3);
	b.backend.script = "RRP";
	assert_int_equal(ask(&b), REASON_UPSTREAM_RESET);
	bench_free(&b);
}

static void another_address_is_asked_over_another_connection(void **state)
{
	BENCH;
	ask(&b);
	MUST(addr_parse(&b.target.addr, STR("127.0.0.2:1")));
	b.target.addr.port = (uint16_t)b.backend.port;
	assert_int_equal(ask(&b), REASON_NONE);
	assert_int_equal(b.backend.accepted, 2);
	bench_free(&b);
}

static void want_of_descriptors_is_not_the_backends_fault(void **state)
{
	struct rlimit limit, none;

	BENCH;
	MUST(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	none = (struct rlimit){3, limit.rlim_max};
	MUST(setrlimit(RLIMIT_NOFILE, &none) == 0);
	assert_int_not_equal(ask(&b), REASON_NONE);
	assert_true(b.outcome.not_asked);
	MUST(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	assert_int_equal(ask(&b), REASON_NONE);
	assert_false(b.outcome.not_asked);
	bench_free(&b);
}

static void one_that_is_freed_says_nothing_more(void **state)
{
	BENCH;
	b.backend.script = "S";
	probe_aim(b.probe, &b.target);
	probe_ask(b.probe);
	assert_true(FAKE_UNTIL(&b.loop, &b.backend, b.backend.asked == 1));
	probe_free(&b.probe);
	assert_null(b.probe);
	loop_once(&b.loop, 5);
	assert_int_equal(b.outcomes, 0);
	bench_free(&b);
}

/* -- over HTTP/2: frames as a backend would send them (RFC 9113 4.1, 6.5), stream 1 -- */

#define SETTINGS \
	"\0\0\0\x04\0\0\0\0\0" \
	"\0\0\0\x04\x01\0\0\0\0"
#define FRAME(n, type, flags) "\0\0" n type flags "\0\0\0\x01"
#define END                   "\x01"
#define END_HEADERS           "\x04"
#define END_BOTH              "\x05"
#define DATA                  "\0"
#define HEADERS               "\x01"
#define STATUS_200            "\x88" /* RFC 7541 A */
#define STATUS_500            "\x8e"
#define OK_HEAD               FRAME("\x01", HEADERS, END_HEADERS) STATUS_200

#define ANSWERED_H2(b, bytes) answered_h2(b, bytes, sizeof(bytes) - 1)

static enum reason answered_h2(struct bench *b, const char *bytes, size_t n)
{
	b->target.protocol = CONF_H2C;
	b->backend.script = "-S"; /* once; what follows are acknowledgements */
	b->backend.answer = bytes;
	b->backend.answer_n = n;
	return ask(b);
}

static void an_answer_over_h2_is_judged_alike(void **state)
{
	{
		BENCH;
		assert_int_equal(
			ANSWERED_H2(&b, SETTINGS FRAME("\x01", HEADERS, END_BOTH) STATUS_200), REASON_NONE);
		assert_int_equal(b.outcome.status, 200);
		bench_free(&b);
	}
	{
		BENCH;
		assert_int_equal(ANSWERED_H2(&b, SETTINGS FRAME("\x01", HEADERS, END_BOTH) STATUS_500),
			REASON_CHECK_STATUS);
		bench_free(&b);
	}
}

static void the_body_over_h2_is_found_in_any_pieces(void **state)
{
	for (size_t piece = 1; piece < 40; piece += 6) {
		BENCH;
		b.backend.piece = piece;
		b.target.health.body = STR("ready");
		assert_int_equal(ANSWERED_H2(&b, SETTINGS OK_HEAD FRAME("\x02", DATA, "\0") "re" FRAME(
							 "\x03", DATA, END) "ady"),
			REASON_NONE);
		bench_free(&b);
	}
	{
		BENCH;
		b.target.health.body = STR("ready");
		assert_int_equal(
			ANSWERED_H2(&b, SETTINGS OK_HEAD FRAME("\x04", DATA, END) "read"), REASON_CHECK_BODY);
		bench_free(&b);
	}
}

static void what_is_no_answer_over_h2_fails(void **state)
{
	{
		BENCH;
		assert_int_equal(ANSWERED_H2(&b, SETTINGS "\0\0\x04\x03\0\0\0\0\x01\0\0\0\x02"),
			REASON_UPSTREAM_RESET_STREAM);
		bench_free(&b);
	}
	{
		BENCH;
		assert_int_equal(ANSWERED_H2(&b, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
			REASON_UPSTREAM_H2_PROTOCOL);
		bench_free(&b);
	}
}

#define GRPC_TRAILERS(status) \
	FRAME("\x0f", HEADERS, END_BOTH) \
	"\0\x0b" \
	"grpc-status" \
	"\x01" status
#define GRPC_ANSWER(serving) \
	SETTINGS OK_HEAD FRAME("\x07", DATA, "\0") "\0\0\0\0\x02\x08" serving GRPC_TRAILERS("0")

static void grpc_health_is_read_over_h2(void **state)
{
	{
		BENCH;
		b.target.health.kind = CONF_CHECK_GRPC;
		assert_int_equal(ANSWERED_H2(&b, GRPC_ANSWER("\x01")), REASON_NONE);
		bench_free(&b);
	}
	{
		BENCH;
		b.target.health.kind = CONF_CHECK_GRPC;
		assert_int_equal(ANSWERED_H2(&b, GRPC_ANSWER("\x02")), REASON_CHECK_GRPC);
		assert_string_equal(b.outcome.detail, "NOT_SERVING");
		bench_free(&b);
	}
	{
		BENCH;
		b.target.health.kind = CONF_CHECK_GRPC;
		assert_int_equal(ANSWERED_H2(&b, SETTINGS OK_HEAD GRPC_TRAILERS("5")), REASON_CHECK_GRPC);
		assert_memory_equal(b.outcome.detail, "grpc-status 5", 13);
		bench_free(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_listed_status_passes_and_another_does_not),
		cmocka_unit_test(interim_answers_are_not_the_answer),
		cmocka_unit_test(the_request_is_what_the_check_says),
		cmocka_unit_test(the_body_is_found_wherever_it_was_cut),
		cmocka_unit_test(a_body_is_searched_up_to_a_limit),
		cmocka_unit_test(what_is_no_answer_fails),
		cmocka_unit_test(a_tcp_check_sends_nothing),
		cmocka_unit_test(a_unix_socket_is_asked),
		cmocka_unit_test(a_connection_is_kept_after_a_pass_and_renewed_in_time),
		cmocka_unit_test(no_connection_is_kept_after_a_failure_nor_where_it_is_not_wanted),
		cmocka_unit_test(a_kept_connection_that_is_lost_says_nothing),
		cmocka_unit_test(another_address_is_asked_over_another_connection),
		cmocka_unit_test(want_of_descriptors_is_not_the_backends_fault),
		cmocka_unit_test(one_that_is_freed_says_nothing_more),
		cmocka_unit_test(an_answer_over_h2_is_judged_alike),
		cmocka_unit_test(the_body_over_h2_is_found_in_any_pieces),
		cmocka_unit_test(what_is_no_answer_over_h2_fails),
		cmocka_unit_test(grpc_health_is_read_over_h2),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
