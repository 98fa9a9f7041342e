/* io/redis.c against a server that the test plays: order, late answers, ends. */
#include "unit.h"
#include <hiredis.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/obj.h"
#include "io/redis.h"

#define ROUNDS 2000 /* of at most 10 ms */

struct question {
	struct redis_call call;
	struct bench *bench;
	unsigned answered; /* in which place */
	long long value;
	char problem[128];
	bool end; /* frees the connection when it is answered */
};

struct bench {
	struct loop loop;
	struct redis_conf conf;
	struct redis *redis;
	char dir[64], path[96], address[112];
	int listening, server;
	char heard[4096];
	size_t heard_n;
	unsigned answers;
	struct question q[4];
};

static void on_answer(struct redis_call *c, const struct redis_answer *answer)
{
	struct question *q = CONTAINER(c, struct question, call);

	q->answered = ++q->bench->answers;
	q->value = answer->reply ? answer->reply->integer : 0;
	snprintf(q->problem, sizeof(q->problem), "%s", answer->reply ? "" : answer->problem);
	if (q->end)
		redis_free(&q->bench->redis);
}

/* Turns the loop until cond holds, which is looked at once a turn. */
#define UNTIL(b, cond) \
	do { \
		unsigned rounds_ = 0; \
		bool holds_; \
		while (!(holds_ = (cond)) && rounds_++ < ROUNDS) \
			turn(b); \
		assert_true(holds_); \
	} while (0)

static void turn(struct bench *b)
{
	ssize_t n;

	loop_once(&b->loop, 10);
	if (b->server < 0)
		b->server = accept4(b->listening, NULL, NULL, SOCK_NONBLOCK);
	if (b->server < 0)
		return;
	n = read(b->server, b->heard + b->heard_n, sizeof(b->heard) - 1 - b->heard_n);
	if (n > 0)
		b->heard_n += (size_t)n;
	b->heard[b->heard_n] = '\0';
}

static void say(struct bench *b, const char *text)
{
	assert_int_equal(write(b->server, text, strlen(text)), strlen(text));
}

/* What was heard, and forgets it. */
static void hear(struct bench *b, const char *text)
{
	UNTIL(b, strstr(b->heard, text));
	b->heard_n = 0;
	b->heard[0] = '\0';
}

static void greet(struct bench *b)
{
	hear(b, "SELECT\r\n$1\r\n0\r\n");
	say(b, "+OK\r\n");
}

static const char *ask(struct bench *b, int i, const char *what)
{
	const char *argv[] = {"GET", what};
	const size_t lens[] = {3, strlen(what)};

	b->q[i] = (struct question){.bench = b, .call.done = on_answer, .end = b->q[i].end};
	return redis_ask(b->redis, &b->q[i].call, 2, argv, lens);
}

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	MUST(b && loop_init(&b->loop));
	snprintf(b->dir, sizeof(b->dir), "/tmp/weir-redis-XXXXXX");
	MUST(mkdtemp(b->dir));
	snprintf(b->path, sizeof(b->path), "%s/s", b->dir);
	snprintf(b->address, sizeof(b->address), "unix:%s", b->path);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", b->path);
	b->server = -1;
	b->listening = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	MUST(b->listening >= 0 && bind(b->listening, (struct sockaddr *)&sun, sizeof(sun)) == 0 &&
		listen(b->listening, 8) == 0);
	b->conf = (struct redis_conf){.address = str_of(b->address), .timeout_ms = 60000};
	b->redis = redis_new(&b->loop, &b->conf);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	if (b->redis)
		for (int i = 0; i < 4; i++)
			redis_call_cancel(&b->q[i].call);
	redis_free(&b->redis);
	if (b->server >= 0)
		close(b->server);
	close(b->listening);
	unlink(b->path);
	rmdir(b->dir);
	loop_free(&b->loop);
	free(b);
	return 0;
}

static void questions_wait_for_the_greeting_and_are_answered_in_their_order(void **state)
{
	struct bench *b = *state;

	for (int i = 0; i < 3; i++)
		assert_null(ask(b, i, "abc"));
	hear(b, "SELECT\r\n$1\r\n0\r\n");
	assert_null(strstr(b->heard, "abc"));
	say(b, "+OK\r\n");
	hear(b, "abc\r\n*2\r\n$3\r\nGET\r\n$3\r\nabc\r\n*2\r\n$3\r\nGET\r\n$3\r\nabc\r\n");
	say(b, ":1\r\n:2\r\n:3");
	UNTIL(b, b->answers == 2);
	say(b, "\r\n");
	UNTIL(b, b->answers == 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(b->q[i].answered, i + 1);
		assert_int_equal(b->q[i].value, i + 1);
	}
}

static void an_answer_that_nobody_waits_for_any_more_is_passed_over(void **state)
{
	struct bench *b = *state;

	greet(b);
	assert_null(ask(b, 0, "first"));
	assert_null(ask(b, 1, "second"));
	hear(b, "second");
	redis_call_cancel(&b->q[0].call);
	say(b, ":1\r\n:2\r\n");
	UNTIL(b, b->answers == 1);
	assert_int_equal(b->q[1].value, 2);
}

static void behind_a_late_answer_nobody_waits_until_it_comes(void **state)
{
	struct bench *b = *state;

	greet(b);
	b->conf.timeout_ms = 1;
	assert_null(ask(b, 0, "late"));
	b->conf.timeout_ms = 60000;
	hear(b, "late");
	UNTIL(b, b->answers == 1);
	assert_string_equal(b->q[0].problem, "timeout");
	assert_string_equal(ask(b, 1, "next"), "late");
	say(b, ":1\r\n");
	UNTIL(b, !ask(b, 2, "again"));
	hear(b, "again");
	say(b, ":7\r\n");
	UNTIL(b, b->answers == 2);
	assert_int_equal(b->q[2].value, 7);
}

static void who_waits_is_told_when_the_connection_ends(void **state)
{
	struct bench *b = *state;

	greet(b);
	assert_null(ask(b, 0, "abc"));
	assert_null(ask(b, 1, "def"));
	hear(b, "def");
	close(b->server);
	b->server = -1;
	UNTIL(b, b->answers == 2);
	assert_string_equal(b->q[0].problem, "it closed the connection");
	assert_string_equal(b->q[1].problem, "it closed the connection");
	/* It is tried again by itself. */
	greet(b);
	UNTIL(b, !ask(b, 2, "ghi"));
	hear(b, "ghi");
}

static void nonsense_ends_the_connection(void **state)
{
	static const char *const nonsense[] = {"HTTP/1.1 400\r\n", "*1000000\r\n", ":1\r\n:2\r\n"};
	struct bench *b = *state;

	for (size_t i = 0; i < COUNT_OF(nonsense); i++) {
		greet(b);
		UNTIL(b, !ask(b, 0, "abc"));
		hear(b, "abc");
		say(b, nonsense[i]);
		UNTIL(b, b->q[0].answered);
		/* Its end is seen from the other side too. */
		UNTIL(b, recv(b->server, &(char){0}, 1, MSG_PEEK) == 0);
		close(b->server);
		b->server = -1;
	}
}

/* Each piece is whole and short; the answer never is. */
static void an_answer_that_does_not_end_is_cut_off_in_bounded_memory(void **state)
{
	static char piece[32768];
	struct bench *b = *state;
	size_t said = 0;

	greet(b);
	assert_null(ask(b, 0, "abc"));
	hear(b, "abc");
	say(b, "*64\r\n");
	memset(piece, 'x', sizeof(piece));
	memcpy(piece, "$32758\r\n", 8);
	memcpy(piece + sizeof(piece) - 2, "\r\n", 2);
	while (!b->q[0].answered && said < 64 * sizeof(piece)) {
		ssize_t n = send(b->server, piece + said % sizeof(piece),
			sizeof(piece) - said % sizeof(piece), MSG_NOSIGNAL);

		said += n > 0 ? (size_t)n : 0;
		turn(b);
	}
	assert_string_equal(b->q[0].problem, "its answer is too long");
	assert_true(said < 32 * sizeof(piece));
}

static void a_greeting_that_is_refused_is_the_answer_to_everybody(void **state)
{
	struct bench *b = *state;

	assert_null(ask(b, 0, "abc"));
	hear(b, "SELECT");
	say(b, "-NOAUTH Authentication required.\r\n");
	UNTIL(b, b->answers == 1);
	assert_string_equal(b->q[0].problem, "NOAUTH Authentication required.");
	assert_string_equal(ask(b, 1, "def"), "NOAUTH Authentication required.");
}

static void whoever_is_told_may_end_it(void **state)
{
	struct bench *b = *state;

	greet(b);
	b->q[0].end = true;
	assert_null(ask(b, 0, "abc"));
	hear(b, "abc");
	say(b, ":1\r\n");
	UNTIL(b, b->answers == 1);
	assert_null(b->redis);
}

static void addresses_are_told_from_other_texts(void **state)
{
	static const char *const good[] = {
		"127.0.0.1:6379", "[::1]:1", "redis.internal:6379", "unix:/run/r.sock"};
	static const char *const bad[] = {"", "redis", "redis:", "redis:0", "redis:65536", ":1", "a b:1",
		"unix:", "unix:relative", "::1:6379"};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(good); i++)
		assert_true(redis_address_is_valid(str_of(good[i])));
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		assert_false(redis_address_is_valid(str_of(bad[i])));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(questions_wait_for_the_greeting_and_are_answered_in_their_order),
		TEST(an_answer_that_nobody_waits_for_any_more_is_passed_over),
		TEST(behind_a_late_answer_nobody_waits_until_it_comes),
		TEST(who_waits_is_told_when_the_connection_ends),
		TEST(nonsense_ends_the_connection),
		TEST(an_answer_that_does_not_end_is_cut_off_in_bounded_memory),
		TEST(a_greeting_that_is_refused_is_the_answer_to_everybody),
		TEST(whoever_is_told_may_end_it),
		cmocka_unit_test(addresses_are_told_from_other_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
