/* modules/key_source.c: keys that are fetched stay while fetching fails, whatever the issuer answers, and who waits goes on. */
#include "judge.h"
#include "../../../modules/key_source.h"

#define KEYS(kid) \
	"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"" kid \
	"\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}"
#define REFRESH_MS 3600000u

struct bench {
	struct loop loop;
	struct judge issuer;
	struct key_source source;
	struct dependency state;
	struct key_wait wait;
	unsigned went_on;
	char answer[4096];
};

static void on_go_on(struct key_wait *w)
{
	CONTAINER(w, struct bench, wait)->went_on++;
}

static void say(struct bench *b, const char *status, const char *body)
{
	snprintf(b->answer, sizeof(b->answer), "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", status,
		strlen(body), body);
	b->issuer.answer = str_of(b->answer);
}

/* Until nothing is being fetched. */
static void settle(struct bench *b)
{
	uint64_t end = case_ms() + CASE_PATIENCE_MS;

	while (b->source.fetching && case_ms() < end) {
		judge_turn(&b->issuer);
		loop_once(&b->loop, 1);
	}
	assert_null(b->source.fetching);
}

static void begin(struct bench *b, const char *status, const char *body)
{
	static char url[ADDR_TEXT_MAX + 32];
	char address[ADDR_TEXT_MAX];

	*b = (struct bench){.wait.go_on = on_go_on};
	MUST(loop_init(&b->loop));
	judge_open(&b->issuer);
	say(b, status, body);
	snprintf(url, sizeof(url), "http://%s/keys", judge_address(&b->issuer, address));
	key_source_init(&b->source, &b->loop, str_of(url), REFRESH_MS, &b->state);
	assert_true(key_source_wait(&b->source, &b->wait)); /* one is under way from the beginning */
	settle(b);
	assert_int_equal(b->went_on, 1);
}

static void end(struct bench *b)
{
	key_source_free(&b->source);
	judge_close(&b->issuer);
	dependency_clear(&b->state);
	loop_free(&b->loop);
}

static const char *kid(const struct bench *b)
{
	return b->source.keys.n == 1 ? b->source.keys.v[0].kid : "";
}

static void what_was_fetched_last_counts(void **state)
{
	struct bench b;

	(void)state;
	begin(&b, "200 OK", KEYS("a"));
	assert_true(b.source.fetched);
	assert_string_equal(kid(&b), "a");
	say(&b, "200 OK", KEYS("b"));
	b.source.refresh.fire(&b.source.refresh);
	settle(&b);
	assert_string_equal(kid(&b), "b");
	assert_int_equal(b.source.takes, 2);
	assert_int_equal(b.state.good, 2);
	assert_int_equal(b.state.bad, 0);
	end(&b);
}

static void what_is_no_key_set_leaves_the_keys_that_are_there(void **state)
{
	static const char *const rows[][3] = {
		{"500 Oops", KEYS("b"), "it answered 500"},
		{"404 Gone", "", "it answered 404"},
		{"302 Found", KEYS("b"), "it answered 302"},
		{"204 No", "", "it answered 204"},
		{"200 OK", "", "no public key of use"},
		{"200 OK", "<html>", "no public key of use"},
		{"200 OK", "{\"keys\":[", "no JSON Web Key Set"},
		{"200 OK", "{\"keys\":[]}", "no public key of use"},
		{"200 OK", "{\"keys\":{\"kty\":\"OKP\"}}", "no public key of use"},
		{"200 OK", "{\"keys\":[null,1,[],{\"kty\":7},{\"kty\":\"RSA\",\"n\":1,\"e\":[]}]}",
			"no public key of use"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct bench b;
		char *problem;

		begin(&b, "200 OK", KEYS("a"));
		say(&b, rows[i][0], rows[i][1]);
		b.source.refresh.fire(&b.source.refresh);
		settle(&b);
		assert_string_equal(kid(&b), "a");
		assert_int_equal(b.source.takes, 1);
		problem = dependency_take_problem(&b.state);
		assert_non_null(problem);
		if (!strstr(problem, rows[i][2]))
			fail_msg("row %zu: %s", i, problem);
		free(problem);
		end(&b);
	}
}

static void tokens_make_it_ask_again_only_after_a_pause(void **state)
{
	struct bench b;

	(void)state;
	begin(&b, "200 OK", KEYS("a"));
	/* The first one need not wait: what it has begun with may be over by now. */
	assert_true(key_source_wait(&b.source, &b.wait));
	settle(&b);
	assert_int_equal(b.went_on, 2);
	b.source.called_ms = b.loop.now_ms - 9999;
	assert_false(key_source_wait(&b.source, &b.wait));
	b.source.called_ms = b.loop.now_ms - 10000;
	assert_true(key_source_wait(&b.source, &b.wait));
	settle(&b);
	assert_int_equal(b.went_on, 3);
	assert_int_equal(b.issuer.questions, 3);
	end(&b);
}

static void without_any_keys_it_asks_again_sooner(void **state)
{
	struct bench b;

	(void)state;
	begin(&b, "503 Later", "");
	assert_false(b.source.fetched);
	b.source.asked_ms = b.loop.now_ms - 999;
	assert_false(key_source_wait(&b.source, &b.wait));
	b.source.asked_ms = b.loop.now_ms - 1000;
	say(&b, "200 OK", KEYS("a"));
	assert_true(key_source_wait(&b.source, &b.wait));
	settle(&b);
	assert_int_equal(b.went_on, 2);
	assert_string_equal(kid(&b), "a");
	end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_fetched_last_counts),
		cmocka_unit_test(what_is_no_key_set_leaves_the_keys_that_are_there),
		cmocka_unit_test(tokens_make_it_ask_again_only_after_a_pause),
		cmocka_unit_test(without_any_keys_it_asks_again_sooner),
	};

	return RUN_SUITE(tests);
}
