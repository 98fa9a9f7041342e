/* exchange/cause.h: what is kept of requests that failed, and how it is found again. */
#include "suite.h"

/* One request of this script, to an origin that plays that one; what is kept of it matches q. */
static struct cause *cause_of(const char *client, const char *origin, const char *path, struct cause_query q)
{
	const struct test_case c = {.name = origin, .client = client, .origin = origin, .path = path};
	struct stage *st = stage_new(&c, h1);
	struct cause **found = NULL, *cause = NULL;
	uint32_t n;

	stage_hear(st, "end\n");
	n = causes_find(&st->house.worker.edge.causes, &q, &found);
	assert_true(n <= 1);
	if (n)
		cause = found[0];
	free(found);
	stage_clear(st);
	stage_free(&st);
	return cause;
}

static void a_record_outlives_the_worker_that_wrote_it(void **state)
{
	struct cause *c = cause_of("GET /a?b end", "500 end", NULL, (struct cause_query){0});

	(void)state;
	assert_non_null(c);
	assert_int_equal(c->status, 500);
	assert_int_equal(c->reason, REASON_NONE);
	assert_str(cause_str(c, c->tenant), "acme");
	assert_str(cause_str(c, c->service), "shop");
	assert_str(cause_str(c, c->pool), "blue");
	assert_str(cause_str(c, c->method), "GET");
	assert_str(cause_str(c, c->host), "shop.test");
	assert_str(cause_str(c, c->path), "/a?b");
	assert_int_equal(c->attempts, 1);
	assert_int_equal(c->attempt_n, 0);
	free(c);
}

static void what_failed_is_told_attempt_by_attempt(void **state)
{
	struct cause *c = cause_of("POST /a length=2; say hi; end", "wait end; reset", NULL,
		(struct cause_query){.reason = REASON_UPSTREAM_RESET});

	(void)state;
	assert_non_null(c);
	assert_int_equal(c->status, 502);
	assert_int_equal(c->phase, EXCHANGE_AWAITING);
	assert_int_equal(c->attempt_n, 1);
	assert_int_equal(c->attempt[0].reason, REASON_UPSTREAM_RESET);
	assert_int_equal(c->attempt[0].phase, EXCHANGE_AWAITING);
	assert_false(c->attempt[0].reused);
	assert_true(c->attempt[0].lasted_us <= c->duration_us);
	assert_true(str_starts(cause_str(c, c->attempt[0].backend), STR("127.")));
	free(c);
}

static void good_requests_leave_nothing(void **state)
{
	(void)state;
	assert_null(cause_of("GET / end", "200 end", NULL, (struct cause_query){.clients = true}));
}

static void what_the_client_asked_wrongly_is_found_only_when_it_is_asked_for(void **state)
{
	struct cause *c;

	(void)state;
	assert_null(cause_of("GET / end", "200 end", "/api", (struct cause_query){0}));
	c = cause_of("GET / end", "200 end", "/api", (struct cause_query){.clients = true});
	assert_non_null(c);
	assert_int_equal(c->reason, REASON_NO_ROUTE);
	assert_int_equal(c->phase, EXCHANGE_ROUTING);
	free(c);
}

static void other_tenants_reasons_and_ids_do_not_match(void **state)
{
	(void)state;
	assert_null(cause_of("GET / end", "500 end", NULL, (struct cause_query){.tenant = STR("other")}));
	assert_null(cause_of(
		"GET / end", "500 end", NULL, (struct cause_query){.reason = REASON_UPSTREAM_TIMEOUT}));
	assert_null(cause_of("GET / end", "500 end", NULL, (struct cause_query){.id = STR("nobody")}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_outlives_the_worker_that_wrote_it),
		cmocka_unit_test(what_failed_is_told_attempt_by_attempt),
		cmocka_unit_test(good_requests_leave_nothing),
		cmocka_unit_test(what_the_client_asked_wrongly_is_found_only_when_it_is_asked_for),
		cmocka_unit_test(other_tenants_reasons_and_ids_do_not_match),
	};

	return RUN_SUITE(tests);
}
