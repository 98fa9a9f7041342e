/* suite.h - what programs of cases share: certificates for all of them, the plain pairings, and stages for what a row cannot say. */
#ifndef WEIR_TESTS_EXCHANGE_SUITE_H
#define WEIR_TESTS_EXCHANGE_SUITE_H

#include "case.h"

static struct house_tls tls;
__attribute__((unused)) static const struct pairing h1, h2 = {.client_h2 = true, .origin_h2 = true};

static int set_up_suite(void **state)
{
	(void)state;
	house_tls_init(&tls);
	return 0;
}

static int tear_down_suite(void **state)
{
	(void)state;
	house_tls_free(&tls);
	return 0;
}

#define RUN_SUITE(tests) cmocka_run_group_tests(tests, set_up_suite, tear_down_suite)

static inline struct stage *stage_new(const struct test_case *c, struct pairing how)
{
	struct stage *st = calloc(1, sizeof(*st));

	assert_non_null(st);
	stage_open(st, c, how, &tls);
	return st;
}

/* NULLs *stp. */
static inline void stage_free(struct stage **stp)
{
	struct stage *st = TAKE(stp);

	stage_close(st);
	free(st);
}

/* One request of a new client, until the client has heard that; everybody leaves afterwards with stage_clear(). */
static inline void stage_hear(struct stage *st, const char *that)
{
	uint64_t end = case_ms() + CASE_PATIENCE_MS;

	stage_connect(st);
	while (!strstr(side_heard(&st->client), that) && case_ms() < end)
		stage_settle(st);
	if (!strstr(side_heard(&st->client), that))
		fail_msg("%s: heard %s", st->c->name, side_heard(&st->client));
}

#endif
