/* modules/jwt.c with an issuer whose keys are fetched: who waits for them, who asks, and what is said without any. */
#include "judge.h"
#include "tokens.h"

#define GOOD         "{\"exp\": 4000000000}"
#define REFUSED(why) "[www-authenticate: Bearer error=\"invalid_token\", error_description=\"" why "\"]"

struct desk {
	struct judge issuer;
	struct test_case c;
	struct stage *st;
	char top[256], answer[1024];
};

static void desk_open(struct desk *d)
{
	char address[ADDR_TEXT_MAX];

	*d = (struct desk){.c = {.name = "desk",
				   .top = d->top,
				   .client = "",
				   .origin = "200 end",
				   .answer = "",
				   .asked = "",
				   .show = ",www-authenticate,x-weir-reason,"}};
	judge_open(&d->issuer);
	snprintf(d->top, sizeof(d->top), "modules: {jwt: {jwks_url: 'http://%s/keys', forward: false}}\n",
		judge_address(&d->issuer, address));
	d->st = stage_new(&d->c, h1);
}

static void desk_close(struct desk *d)
{
	stage_clear(d->st);
	stage_free(&d->st);
	judge_close(&d->issuer);
}

/* The issuer has one key, of that name, from now on. */
static void desk_show(struct desk *d, const char *kid)
{
	uint8_t raw[32];
	size_t n = sizeof(raw);
	char x[64], body[256];

	assert_int_equal(EVP_PKEY_get_raw_public_key(keys[ED25519], raw, &n), 1);
	base64url(x, raw, n);
	snprintf(body, sizeof(body),
		"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"%s\",\"x\":\"%s\"}]}", kid, x);
	snprintf(d->answer, sizeof(d->answer), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s",
		strlen(body), body);
	d->issuer.answer = str_of(d->answer);
}

/* A request with a token that names that key; it stays until desk_hear(). */
static void desk_bring(struct desk *d, const char *kid)
{
	static char client[TOKEN_MAX];
	char head[128];

	snprintf(head, sizeof(head), "\"alg\":\"EdDSA\",\"kid\":\"%s\"", kid);
	snprintf(client, sizeof(client), "GET / [authorization: Bearer %s] end",
		token_with(ED25519, "EdDSA", head, GOOD));
	d->st->client.script = client;
	stage_connect(d->st);
}

static void desk_turn(struct desk *d)
{
	judge_turn(&d->issuer);
	stage_settle(d->st);
}

/* Until the clients have heard that, so often. */
static void desk_hear(struct desk *d, const char *that, unsigned times)
{
	uint64_t end = case_ms() + CASE_PATIENCE_MS;
	unsigned n;

	do {
		desk_turn(d);
		n = 0;
		for (const char *at = side_heard(&d->st->client); (at = strstr(at, that)); at++)
			n++;
	} while (n < times && case_ms() < end);
	if (n != times)
		fail_msg("\"%s\" %u times in: %s", that, times, side_heard(&d->st->client));
	side_reset(&d->st->client);
}

/* Until so many requests are being held, and so many questions were asked. */
static void desk_wait(struct desk *d, unsigned held, unsigned questions)
{
	uint64_t end = case_ms() + CASE_PATIENCE_MS;

	while ((d->st->house.worker.edge.exchange_n != held || d->issuer.questions != questions) &&
		case_ms() < end) {
		desk_turn(d);
		stage_hurry(d->st);
		house_turn(&d->st->house, 1);
	}
	assert_int_equal(d->st->house.worker.edge.exchange_n, held);
	assert_int_equal(d->issuer.questions, questions);
}

static void whoever_waits_for_keys_asks_once(void **state)
{
	struct desk d;

	(void)state;
	desk_open(&d);
	desk_bring(&d, "a");
	desk_bring(&d, "a");
	desk_bring(&d, "made-up");
	desk_wait(&d, 3, 1);
	desk_show(&d, "a");
	desk_hear(&d, "200\nend\n", 2);
	/* Anybody can make up names: they are asked for once more, and not again so soon. */
	for (unsigned i = 0; i < 3; i++) {
		desk_bring(&d, "made-up");
		desk_hear(&d, REFUSED("unknown_key"), 1);
	}
	assert_int_equal(d.issuer.questions, 2);
	desk_close(&d);
}

static void who_leaves_while_keys_are_fetched_leaves_nothing(void **state)
{
	struct desk d;

	(void)state;
	desk_open(&d);
	desk_bring(&d, "a");
	desk_bring(&d, "a");
	desk_wait(&d, 2, 1);
	side_reset(&d.st->client);
	desk_wait(&d, 0, 1);
	desk_bring(&d, "a");
	desk_wait(&d, 1, 1);
	desk_show(&d, "a");
	desk_hear(&d, "200\nend\n", 1);
	desk_close(&d);
}

static void without_any_keys_nobody_is_judged(void **state)
{
	struct desk d;

	(void)state;
	desk_open(&d);
	d.issuer.answer = STR("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n");
	desk_bring(&d, "a");
	desk_hear(&d, "[x-weir-reason: auth_unavailable]", 1);
	/* What can be seen to be bad without a key is not excused. */
	d.st->client.script = "GET / [authorization: Bearer x] end";
	stage_connect(d.st);
	desk_hear(&d, REFUSED("malformed"), 1);
	desk_close(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whoever_waits_for_keys_asks_once),
		cmocka_unit_test(who_leaves_while_keys_are_fetched_leaves_nothing),
		cmocka_unit_test(without_any_keys_nobody_is_judged),
	};

	return RUN_TOKENS(tests);
}
