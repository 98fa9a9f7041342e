/* modules/compress.c around its coders: which answers are taken, and backends and clients that do not keep to what they said. What comes
 * out of coders is in test_compress.c. */
#include "exchange/suite.h"

#define TEXT_OF(more) "200 length=1000 [content-type: text/plain] " more

static const char *const codings[] = {"gzip", "br", "zstd"};
static const struct pairing pairings[] = {
	{0}, {.client_h2 = true}, {.origin_h2 = true}, {.client_h2 = true, .origin_h2 = true}};

static struct stage *stage_for(const char *origin, const char *coding, struct pairing how)
{
	static char client[128];
	static struct test_case c;

	snprintf(client, sizeof(client), "GET / [accept-encoding: %s] end", coding);
	c = (struct test_case){.name = origin,
		.top = "modules: {compress: {min_size: 0}}\n",
		.show = ",content-encoding,vary,etag,accept-ranges,",
		.client = client,
		.origin = origin};
	return stage_new(&c, how);
}

static bool ends_with(const char *heard, const char *end)
{
	size_t n = strlen(heard), m = strlen(end);

	return n >= m && strcmp(heard + n - m, end) == 0;
}

/* Until the client has heard how it ended; "pause" lasts until nothing moves. */
static const char *hear_all(struct stage *st)
{
	uint64_t end = case_ms() + CASE_PATIENCE_MS;
	const char *heard = side_heard(&st->client);

	stage_connect(st);
	while ((st->house.worker.edge.exchange_n ||
		       !(ends_with(heard, "end\n") || ends_with(heard, "cut\n"))) &&
		case_ms() < end) {
		stage_settle(st);
		if (!stage_release(&st->client, SIZE_MAX))
			stage_release(&st->origin, SIZE_MAX);
		house_turn(&st->house, 1);
		heard = side_heard(&st->client);
	}
	if (st->house.most > CASE_MEMORY)
		fail_msg("%s: %zu bytes were in use", st->c->name, st->house.most);
	return heard;
}

static void leave(struct stage *st)
{
	assert_int_equal(st->house.worker.edge.exchange_n, 0);
	stage_clear(st);
	stage_free(&st);
}

/* In each coding and each pairing. What is heard ends so; or, where nothing had come out before the backend failed, it is an error as a
 * whole. */
static void run_all(const char *origin, const char *end)
{
	for (size_t i = 0; i < COUNT_OF(codings); i++)
		for (size_t p = 0; p < COUNT_OF(pairings); p++) {
			struct stage *st = stage_for(origin, codings[i], pairings[p]);
			const char *heard = hear_all(st);
			bool cut = strcmp(end, "cut\n") == 0, whole = strstr(heard, "[content-encoding: ");

			if (!(ends_with(heard, end) && (cut || whole)) &&
				!(cut && strncmp(heard, "502 ", 4) == 0))
				fail_msg("%s, %s, pairing %zu: heard %s", origin, codings[i], p, heard);
			leave(st);
		}
}

static void what_a_backend_has_encoded_is_left_as_it_is(void **state)
{
	static const char *const origins[] = {
		TEXT_OF("[content-encoding: gzip]; fill 1000; end"),
		TEXT_OF("[content-encoding: x-own]; fill 1000; end"),
		TEXT_OF("[content-encoding: identity] [content-encoding: br]; fill 1000; end"),
		TEXT_OF("[content-encoding: gzip, identity]; fill 1000; end"),
		TEXT_OF("[cache-control: no-transform]; fill 1000; end"),
		TEXT_OF("[content-range: bytes 0-999/2000]; fill 1000; end"),
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(origins); i++)
		for (size_t p = 0; p < COUNT_OF(pairings); p++) {
			struct stage *st = stage_for(origins[i], "gzip", pairings[p]);

			assert_true(ends_with(hear_all(st), "body (1000)\nend\n"));
			leave(st);
		}
}

static void an_encoding_of_none_is_no_encoding(void **state)
{
	(void)state;
	run_all(TEXT_OF("[content-encoding: identity]; fill 1000; end"), "end\n");
}

/* A coder could end its stream well although the body has not: the client would take half a page for a whole one. */
static void a_body_that_breaks_off_is_never_ended_well(void **state)
{
	static const char *const origins[] = {
		TEXT_OF("; fill 999; close"),
		TEXT_OF("; fill 10; reset"),
		"200 stream [content-type: text/plain]; fill 70000; reset",
		"200 length=300000 [content-type: text/plain]; fill 70000; close",
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(origins); i++)
		run_all(origins[i], "cut\n");
}

static void a_huge_body_passes_in_bounded_memory(void **state)
{
	(void)state;
	run_all("200 length=5000000 [content-type: text/plain]; fill 5000000; end", "end\n");
	run_all("200 stream [content-type: text/plain]; fill 5000000; end", "end\n");
}

/* Each part is sent at once, so it costs more than it holds. */
static void a_body_in_parts_of_a_byte_passes_in_bounded_memory(void **state)
{
	char origin[4096], *at = stpcpy(origin, "200 stream [content-type: text/event-stream]");

	(void)state;
	for (int i = 0; i < 200; i++)
		at = stpcpy(at, "; say x; pause");
	stpcpy(at, "; end");
	run_all(origin, "end\n");
}

static void a_client_that_leaves_in_the_middle_leaves_nothing_behind(void **state)
{
	static const char *const clients[] = {"GET / [accept-encoding: %s] end; wait 200; abort",
		"GET / [accept-encoding: %s] end; hold; pause; abort"};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(codings) * COUNT_OF(clients); i++) {
		char client[128];
		struct test_case c = {.name = clients[i % 2],
			.top = "modules: {compress: {min_size: 0}}\n",
			.client = client,
			.origin = "200 stream [content-type: text/plain]; fill 3000000; end"};
		struct stage *st;
		uint64_t end = case_ms() + CASE_PATIENCE_MS;

		snprintf(client, sizeof(client), clients[i % 2], codings[i / 2]);
		st = stage_new(&c, i % 2 ? h2 : h1);
		stage_connect(st);
		do {
			stage_settle(st);
			stage_release(&st->client, SIZE_MAX);
			house_turn(&st->house, 1);
		} while ((st->house.worker.edge.exchange_n || st->origin.n == 0) && case_ms() < end);
		assert_true(st->house.most <= CASE_MEMORY);
		leave(st);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_backend_has_encoded_is_left_as_it_is),
		cmocka_unit_test(an_encoding_of_none_is_no_encoding),
		cmocka_unit_test(a_body_that_breaks_off_is_never_ended_well),
		cmocka_unit_test(a_huge_body_passes_in_bounded_memory),
		cmocka_unit_test(a_body_in_parts_of_a_byte_passes_in_bounded_memory),
		cmocka_unit_test(a_client_that_leaves_in_the_middle_leaves_nothing_behind),
	};

	return RUN_SUITE(tests);
}
