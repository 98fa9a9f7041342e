/* exchange/mirror.c: whatever becomes of a copy, the request that it is a copy of notices nothing. */
#include "modules/judge.h"

#define SERVED     "200\nend\n"
#define TIMEOUT_MS 2345678u /* longer than any test, and nobody else's */
#define NO         "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno"

/* A stage with the server that gets copies beside it. */
struct play {
	struct judge shadow;
	struct test_case c;
	struct stage *st;
	char service[256], pools[256];
};

/* more: keys of `mirror`, each with a comma before it. */
static void play_begin(struct play *p, const char *more, struct pairing how)
{
	char address[ADDR_TEXT_MAX];

	snprintf(p->service, sizeof(p->service), "mirror: {pool: next, timeout: %ums%s}, ", TIMEOUT_MS, more);
	snprintf(p->pools, sizeof(p->pools), ", next: {weight: 0, protocol: http1, backends: ['%s']}",
		judge_address(&p->shadow, address));
	p->c.service = p->service;
	if (!p->c.pools)
		p->c.pools = p->pools;
	if (!p->c.origin)
		p->c.origin = "wait end; 200 end";
	p->st = stage_new(&p->c, how);
	stage_connect(p->st);
}

static void play_end(struct play *p)
{
	stage_clear(p->st);
	stage_free(&p->st);
	judge_close(&p->shadow);
}

#define UNTIL(p, cond) \
	do { \
		uint64_t end_ = case_ms() + CASE_PATIENCE_MS; \
		while (!(cond)) { \
			judge_turn(&(p)->shadow); \
			stage_settle((p)->st); \
			if (case_ms() > end_) { \
				stage_explain((p)->st, SIZE_MAX, ""); \
				fail_msg("%s: %s", (p)->c.name, #cond); \
			} \
			house_turn(&(p)->st->house, 1); \
		} \
	} while (0)

static uint64_t answered(const struct play *p)
{
	return atomic_load(&p->st->house.worker.edge.tally.mirrors_answered);
}

static uint64_t failed(const struct play *p)
{
	return atomic_load(&p->st->house.worker.edge.tally.mirrors_failed);
}

static uint64_t dropped(const struct play *p)
{
	return atomic_load(&p->st->house.worker.edge.tally.mirrors_dropped);
}

static void assert_counts(const struct play *p, uint64_t good, uint64_t bad, uint64_t left_out)
{
	assert_int_equal(answered(p), good);
	assert_int_equal(failed(p), bad);
	assert_int_equal(dropped(p), left_out);
	assert_int_equal(p->st->house.worker.edge.mirror_n, 0);
}

static void run_row(const char *says, bool close, bool good, struct pairing how)
{
	struct play p = {
		.c = {.name = says, .client = "GET /p end", .asked = "GET /p\nend\n", .answer = SERVED}};

	judge_open(&p.shadow);
	p.shadow.answer = str_of(says);
	p.shadow.close = close;
	play_begin(&p, "", how);
	UNTIL(&p, stage_done(p.st));
	UNTIL(&p, answered(&p) + failed(&p) > 0);
	assert_counts(&p, good, !good, 0);
	if (p.st->house.most > CASE_MEMORY)
		fail_msg("%s: %zu bytes were in use", says, p.st->house.most);
	play_end(&p);
}

static void whatever_a_copy_is_answered_the_request_has_its_own_answer(void **state)
{
	static const struct {
		const char *says;
		bool close, good;
	} rows[] = {
		{NO, false, true},
		{NO, true, true},
		{"HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-T: 1\r\n\r\n",
			false, true},
		{"HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 204 No\r\n\r\n", false, true},
		{"HTTP/1.0 200 OK\r\n\r\nuntil the end", true, true},
		{"", true, false},
		{"HTTP/1.1 200", true, false},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", true, false},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", true, false},
		{"HTTP/1.1 103 Hints\r\n\r\n", true, false},
		{"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", false, false},
		{"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", false, false},
		{"SSH-2.0-OpenSSH_9.2\r\n", false, false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		run_row(rows[i].says, rows[i].close, rows[i].good, h1);
		run_row(rows[i].says, rows[i].close, rows[i].good, h2);
	}
}

static void a_long_answer_to_a_copy_is_dropped_as_it_comes(void **state)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\n\r\n";
	char *says = malloc(sizeof(head) + 4000000);

	(void)state;
	assert_non_null(says);
	memset(stpcpy(says, head), 'x', 4000000);
	says[sizeof(head) - 1 + 4000000] = '\0';
	run_row(says, false, true, h1);
	free(says);
}

/* As if the time of all copies were over. */
static void time_out(struct loop *l)
{
	struct list *link;

	for (uint32_t i = 0; i < l->queue_count; i++) {
		while (l->queues[i].length_ms == TIMEOUT_MS && (link = list_first(&l->queues[i].entries))) {
			struct deadline *d = CONTAINER(link, struct deadline, link);

			deadline_disarm(l, d);
			d->fire(d);
		}
	}
	loop_run_tasks(l);
}

static void a_copy_that_is_not_answered_is_given_up_and_nobody_waits_for_it(void **state)
{
	struct play p = {.c = {.name = "silent",
				 .client = "GET /1 end; wait end; GET /2 end; wait end; GET /3 end",
				 .asked = "GET /1\nend\nGET /2\nend\nGET /3\nend\n",
				 .answer = SERVED SERVED SERVED}};

	(void)state;
	judge_open(&p.shadow);
	play_begin(&p, ", requests: 2", h1);
	/* The third finds as many under way as there may be. */
	UNTIL(&p, stage_done(p.st));
	assert_int_equal(dropped(&p), 1);
	UNTIL(&p, p.shadow.questions == 2);
	time_out(&p.st->house.worker.loop);
	UNTIL(&p, failed(&p) == 2);
	assert_counts(&p, 0, 2, 1);
	play_end(&p);
}

static void a_copy_that_cannot_be_sent_is_nobody_s_loss(void **state)
{
	struct play p = {.c = {.name = "refused",
				 .pools = ", next: {weight: 0, backends: ['unix:/nowhere/nobody.sock']}",
				 .client = "POST /p length=3; say abc; end",
				 .asked = "POST /p length=3\nbody abc\nend\n",
				 .answer = SERVED}};

	(void)state;
	judge_open(&p.shadow);
	play_begin(&p, "", h1);
	UNTIL(&p, stage_done(p.st));
	UNTIL(&p, failed(&p));
	assert_counts(&p, 0, 1, 0);
	play_end(&p);
}

static void a_copy_is_the_request_with_its_body_and_says_that_it_is_one(void **state)
{
	struct play p = {.c = {.name = "copy",
				 .client = "POST /p?q=1 stream [x-key: 1]; say abc; pause; say def; end",
				 .asked = "POST /p?q=1 [x-key: 1]\nbody abcdef\nend\n",
				 .answer = SERVED}};

	(void)state;
	judge_open(&p.shadow);
	p.shadow.answer = STR(NO);
	play_begin(&p, ", body: 6B", h1);
	UNTIL(&p, side_paused(&p.st->client));
	/* Not before it is whole. */
	UNTIL(&p, strstr(side_heard(&p.st->origin), "POST"));
	assert_int_equal(p.shadow.conn_n, 0);
	stage_release(&p.st->client, SIZE_MAX);
	UNTIL(&p, stage_done(p.st));
	UNTIL(&p, answered(&p));
	assert_counts(&p, 1, 0, 0);
	assert_memory_equal(p.shadow.last, "POST /p?q=1 HTTP/1.1\r\n", 22);
	assert_non_null(strcasestr(p.shadow.last, "\r\nx-key: 1\r\n"));
	assert_non_null(strcasestr(p.shadow.last, "\r\nx-weir-mirror: 1\r\n"));
	assert_non_null(strcasestr(p.shadow.last, "\r\nx-forwarded-for: 192.0.2.7\r\n"));
	assert_non_null(strstr(p.shadow.last, "abc"));
	assert_non_null(strstr(p.shadow.last, "def"));
	play_end(&p);
}

static void what_is_larger_than_the_bound_is_not_copied(void **state)
{
	static const struct {
		const char *client, *asked;
		unsigned dropped;
	} rows[] = {
		{"POST /p length=7; fill 7; end", "POST /p length=7\nbody abcdefg\nend\n",
			0}, /* it is never begun */
		{"POST /p stream; fill 7; end", "POST /p\nbody abcdefg\nend\n", 1},
		{"POST /p stream; fill 100000; end", "POST /p\nbody (100000)\nend\n", 1},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct play p = {.c = {.name = rows[i].client,
					 .client = rows[i].client,
					 .asked = rows[i].asked,
					 .answer = SERVED}};

		judge_open(&p.shadow);
		play_begin(&p, ", body: 6B", h1);
		UNTIL(&p, stage_done(p.st));
		assert_counts(&p, 0, 0, rows[i].dropped);
		assert_int_equal(p.shadow.questions, 0);
		play_end(&p);
	}
}

static void a_request_that_breaks_off_is_not_copied(void **state)
{
	struct play p = {.c = {.name = "breaks off",
				 .client = "POST /p length=6; say abc; pause; reset",
				 .asked = "POST /p length=6\ncut\n",
				 .answer = ""}};

	(void)state;
	judge_open(&p.shadow);
	play_begin(&p, "", h1);
	UNTIL(&p, strstr(side_heard(&p.st->origin), "POST") && side_paused(&p.st->client));
	stage_release(&p.st->client, SIZE_MAX);
	UNTIL(&p, p.st->house.worker.edge.exchange_n == 0);
	assert_counts(&p, 0, 0, 1);
	assert_int_equal(p.shadow.questions, 0);
	play_end(&p);
}

static void a_copy_outlives_the_client_that_has_gone(void **state)
{
	struct play p = {.c = {.name = "gone",
				 .client = "GET /p end; pause; reset",
				 .origin = "hold",
				 .asked = "",
				 .answer = ""}};

	(void)state;
	judge_open(&p.shadow);
	play_begin(&p, "", h1);
	UNTIL(&p, p.shadow.questions == 1 && side_paused(&p.st->client));
	stage_release(&p.st->client, SIZE_MAX);
	UNTIL(&p, p.st->house.worker.edge.exchange_n == 0);
	assert_int_equal(p.st->house.worker.edge.mirror_n, 1);
	p.shadow.answer = STR(NO);
	UNTIL(&p, answered(&p));
	assert_counts(&p, 1, 0, 0);
	play_end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whatever_a_copy_is_answered_the_request_has_its_own_answer),
		cmocka_unit_test(a_long_answer_to_a_copy_is_dropped_as_it_comes),
		cmocka_unit_test(a_copy_that_is_not_answered_is_given_up_and_nobody_waits_for_it),
		cmocka_unit_test(a_copy_that_cannot_be_sent_is_nobody_s_loss),
		cmocka_unit_test(a_copy_is_the_request_with_its_body_and_says_that_it_is_one),
		cmocka_unit_test(what_is_larger_than_the_bound_is_not_copied),
		cmocka_unit_test(a_request_that_breaks_off_is_not_copied),
		cmocka_unit_test(a_copy_outlives_the_client_that_has_gone),
	};

	return RUN_SUITE(tests);
}
