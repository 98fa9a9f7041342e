/* modules/ratelimit_fleet.c: what Redis may say to a rule of the fleet, what it is asked, and what becomes of requests without it. */
#include "fake_redis.h"
#include <openssl/evp.h>
#include "../../../modules/ratelimit_fleet.h"

#define PASSED      "200\nend\n"
#define REFUSED     "429 rate_limited\nend\n"
#define UNAVAILABLE "503 ratelimit_unavailable\nend\n"
#define ONE_RULE    "all: {rate: 5, per: 1s, fleet: true}"
#define TAKEN       "*2\r\n:0\r\n:200000\r\n"
#define KEY         "weir:ratelimit::"
#define NOSCRIPT    "-NOSCRIPT No matching script. Please use EVAL.\r\n"

/* One client's requests, and how a rule is counted for them. */
struct row {
	const char *says[REDIS_SAYS];
	bool close;
	const char *answer;
};

struct play {
	struct fake_redis redis;
	struct test_case c;
	struct stage *st;
	char top[2048];
};

/* more: keys of `redis`, each with a comma before it. timeout: its. */
static void play_begin(struct play *p, const char *rules, const char *more, const char *timeout)
{
	char address[ADDR_TEXT_MAX];

	snprintf(p->top, sizeof(p->top),
		"modules: {ratelimit: {headers: false, rules: {%s}, redis: {address: '%s', timeout: "
		"%s%s}}}\n",
		rules, fake_redis_address(&p->redis, address), timeout, more);
	p->c.top = p->top;
	if (!p->c.origin)
		p->c.origin = "200 end";
	p->st = stage_new(&p->c, h1);
}

static void play_end(struct play *p)
{
	stage_clear(p->st);
	stage_free(&p->st);
	fake_redis_close(&p->redis);
}

/* late: nothing comes until the timeout. */
static void play_row(const struct row *row, const char *more, bool late)
{
	bool passes = strcmp(row->answer, PASSED) == 0;
	struct play p = {.c = {.name = row->says[0] ? row->says[0] : "(nothing)",
				 .client = "GET /p end",
				 .answer = row->answer,
				 .asked = passes ? "GET /p\nend\n" : ""}};

	fake_redis_open(&p.redis);
	memcpy(p.redis.says, row->says, sizeof(row->says));
	p.redis.close = row->close;
	play_begin(&p, ONE_RULE, more, late ? "1s" : "10s");
	stage_connect(p.st);
	if (late) {
		FAKE_REDIS_UNTIL(&p.redis, p.st, p.redis.questions);
		fake_redis_turn(&p.redis);
		stage_settle(p.st);
		stage_hurry(p.st);
	}
	FAKE_REDIS_UNTIL(&p.redis, p.st, stage_done(p.st));
	play_end(&p);
}

static void an_answer_says_who_passes(void **state)
{
	static const struct row rows[] = {
		{{TAKEN}, false, PASSED}, {{"*2\r\n:0\r\n:0\r\n"}, false, PASSED},
		{{"*2\r\n:1\r\n:1000000\r\n"}, false, REFUSED},
		{{"*2\r\n:200000\r\n:1000000\r\n"}, false, REFUSED},
		{{"*2\r\n:0\r\n:0\r\n"}, true, PASSED}, /* what was said before the end counts */
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		play_row(&rows[i], ", on_failure: deny", false);
}

static const struct row no_answers[] = {
	{{"-ERR unknown command\r\n"}, false, UNAVAILABLE},
	{{"-BUSY Redis is busy running a script.\r\n"}, false, UNAVAILABLE},
	{{"-OOM command not allowed\r\n"}, false, UNAVAILABLE},
	{{"-\r\n"}, false, UNAVAILABLE},
	{{"$-1\r\n"}, false, UNAVAILABLE},
	{{"*-1\r\n"}, false, UNAVAILABLE},
	{{"+OK\r\n"}, false, UNAVAILABLE},
	{{":0\r\n"}, false, UNAVAILABLE},
	{{"$10\r\n*2\r\n:0\r\n:0\r\n\r\n"}, false, UNAVAILABLE},
	{{"*0\r\n"}, false, UNAVAILABLE},
	{{"*1\r\n:0\r\n"}, false, UNAVAILABLE},
	{{"*3\r\n:0\r\n:0\r\n:0\r\n"}, false, UNAVAILABLE},
	{{"*4\r\n:0\r\n:0\r\n:0\r\n:0\r\n"}, false, UNAVAILABLE},
	{{"*2\r\n:-1\r\n:0\r\n"}, false, UNAVAILABLE},
	{{"*2\r\n:0\r\n:-1\r\n"}, false, UNAVAILABLE},
	{{"*2\r\n:-9223372036854775808\r\n:0\r\n"}, false, UNAVAILABLE},
	{{"*2\r\n:9223372036854775807\r\n:0\r\n"}, false, UNAVAILABLE},
	{{"*2\r\n:0\r\n:2305843009213693952\r\n"}, false, UNAVAILABLE}, /* thousandfold it is 0 again */
	{{"*2\r\n:200001\r\n:0\r\n"}, false, UNAVAILABLE}, /* nobody waits longer than a token takes */
	{{"*2\r\n:0\r\n:1000001\r\n"}, false, UNAVAILABLE}, /* nothing lacks more than it holds */
	{{"*2\r\n:99999999999999999999\r\n:0\r\n"}, false, UNAVAILABLE},
	{{"*2\r\n$1\r\n0\r\n$1\r\n0\r\n"}, false, UNAVAILABLE},
	{{"*2\r\n$-1\r\n:0\r\n"}, false, UNAVAILABLE},
	{{"*2\r\n-ERR\r\n:0\r\n"}, false, UNAVAILABLE},
	{{"*2\r\n*1\r\n:0\r\n:0\r\n"}, false, UNAVAILABLE},
	{{"*1\r\n*2\r\n:0\r\n:0\r\n"}, false, UNAVAILABLE},
	{{"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n"}, false, UNAVAILABLE},
	{{"*65\r\n"}, false, UNAVAILABLE},
	{{"*2147483647\r\n"}, false, UNAVAILABLE},
	{{"*99999999999999999999\r\n"}, false, UNAVAILABLE},
	{{"*two\r\n"}, false, UNAVAILABLE},
	{{"HTTP/1.1 400 Bad Request\r\n\r\n"}, false, UNAVAILABLE},
	{{"\r\n\r\n"}, false, UNAVAILABLE},
	{{"\x16\x03\x01\x02"}, false, UNAVAILABLE},
	/* The end, before and in the middle of it. */
	{{NULL}, true, UNAVAILABLE},
	{{"*2"}, true, UNAVAILABLE},
	{{"*2\r\n:0\r\n"}, true, UNAVAILABLE},
	{{"*2\r\n:0\r\n:0"}, true, UNAVAILABLE},
	{{"$100\r\n*2\r\n:0\r\n:0\r\n"}, true, UNAVAILABLE},
};

static void what_is_no_answer_comes_to_what_was_asked_for(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(no_answers); i++) {
		struct row passes = no_answers[i];

		play_row(&no_answers[i], ", on_failure: deny", false);
		passes.answer = PASSED;
		play_row(&passes, ", on_failure: allow", false);
	}
}

static void who_says_nothing_in_time_has_not_answered(void **state)
{
	static const char *const says[] = {NULL, "*2\r\n:0\r\n", "$1000000\r\nabc"};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(says); i++) {
		play_row(&(struct row){{says[i]}, false, UNAVAILABLE}, ", on_failure: deny", true);
		play_row(&(struct row){{says[i]}, false, PASSED}, ", on_failure: allow", true);
	}
}

/* All requests of one client, with their answers; heard: what Redis was asked. */
static void play_talk(
	const char *rules, const char *more, struct test_case c, const struct row *says, const char *heard)
{
	struct play p = {.c = c};

	fake_redis_open(&p.redis);
	p.c.name = rules;
	memcpy(p.redis.says, says->says, sizeof(says->says));
	p.redis.close = says->close;
	play_begin(&p, rules, more, "10s");
	stage_connect(p.st);
	FAKE_REDIS_UNTIL(&p.redis, p.st, stage_done(p.st));
	assert_string_equal(p.redis.heard_buf, heard);
	play_end(&p);
}

static void without_redis_a_node_counts_for_itself(void **state)
{
	(void)state;
	play_talk("all: {rate: 1, per: 1h, fleet: true}", "",
		(struct test_case){.client = "GET /1 end; wait end; GET /2 end",
			.asked = "GET /1\nend\n",
			.answer = PASSED REFUSED},
		&(struct row){.says = {"-ERR no\r\n", "-ERR no\r\n"}},
		"EVALSHA 1 " KEY "all\\x0a 3600000000 3600000000 0\n"
		"EVALSHA 1 " KEY "all\\x0a 3600000000 3600000000 0\n");
}

static void a_script_that_it_does_not_know_is_sent_once(void **state)
{
	static const char asked[] = "EVALSHA 1 " KEY "all\\x0a 200000 1000000 0\n"
				    "EVAL 1 " KEY "all\\x0a 200000 1000000 0\n";
	struct test_case passes = {.client = "GET /p end", .asked = "GET /p\nend\n", .answer = PASSED};
	struct test_case refused = {.client = "GET /p end", .asked = "", .answer = REFUSED};
	struct test_case fails = {.client = "GET /p end", .asked = "", .answer = UNAVAILABLE};

	(void)state;
	play_talk(ONE_RULE, ", on_failure: deny", passes, &(struct row){.says = {NOSCRIPT, TAKEN}}, asked);
	play_talk(ONE_RULE, ", on_failure: allow", refused,
		&(struct row){.says = {NOSCRIPT, "*2\r\n:7\r\n:1000000\r\n"}}, asked);
	play_talk(ONE_RULE, ", on_failure: deny", fails, &(struct row){.says = {NOSCRIPT, NOSCRIPT, TAKEN}},
		asked);
	play_talk(ONE_RULE, ", on_failure: deny", fails, &(struct row){.says = {NOSCRIPT, "-ERR\r\n", TAKEN}},
		asked);
	play_talk(ONE_RULE, ", on_failure: deny", fails, &(struct row){.says = {NOSCRIPT}, .close = true},
		"EVALSHA 1 " KEY "all\\x0a 200000 1000000 0\n");
}

static void the_script_is_the_one_that_has_the_name(void **state)
{
	struct play p = {
		.c = {.name = "script", .client = "GET /p end", .asked = "GET /p\nend\n", .answer = PASSED}};
	unsigned char digest[EVP_MAX_MD_SIZE];
	char sha[FLEET_SHA_CHARS + 1];

	(void)state;
	fake_redis_open(&p.redis);
	p.redis.says[0] = NOSCRIPT;
	p.redis.says[1] = TAKEN;
	play_begin(&p, ONE_RULE, "", "10s");
	stage_connect(p.st);
	FAKE_REDIS_UNTIL(&p.redis, p.st, stage_done(p.st));
	MUST(EVP_Digest(p.redis.script, strlen(p.redis.script), digest, NULL, EVP_sha1(), NULL));
	for (size_t i = 0; i < FLEET_SHA_CHARS / 2; i++)
		snprintf(sha + 2 * i, 3, "%02x", digest[i]);
	assert_string_equal(p.redis.sha, sha);
	play_end(&p);
}

static void rules_are_asked_together_and_one_that_refuses_is_enough(void **state)
{
	static const char rules[] = "few: {rate: 1, per: 1s, burst: 3, fleet: true, by: [address]}, "
				    "here: {rate: 9, per: 1h}, "
				    "many: {rate: 4, per: 1s, fleet: true, by: ['header:A', route]}, "
				    "trial: {rate: 2, per: 1s, fleet: true, dry_run: true}";
	static const char heard[] =
		"EVALSHA 3 " KEY "few\\x0a192.0.2.7\\x0a " KEY "many\\x0a1\\x0a/\\x0a " KEY
		"trial\\x0a 1000000 3000000 0 250000 1000000 0 500000 1000000 1\n";
	static const struct {
		const char *says, *answer;
	} rows[] = {
		{"*6\r\n:0\r\n:1\r\n:0\r\n:1\r\n:0\r\n:1\r\n", PASSED},
		{"*6\r\n:1\r\n:1\r\n:0\r\n:1\r\n:0\r\n:1\r\n", REFUSED},
		{"*6\r\n:0\r\n:1\r\n:1\r\n:1\r\n:0\r\n:1\r\n", REFUSED},
		{"*6\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n", REFUSED},
		{"*6\r\n:0\r\n:1\r\n:0\r\n:1\r\n:1\r\n:1\r\n",
			PASSED}, /* the one that is tried out refuses nobody */
		{"*4\r\n:0\r\n:1\r\n:0\r\n:1\r\n", UNAVAILABLE},
		{"*8\r\n:0\r\n:1\r\n:0\r\n:1\r\n:0\r\n:1\r\n:0\r\n:1\r\n", UNAVAILABLE},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		play_talk(rules, ", on_failure: deny",
			(struct test_case){.client = "GET /p [a: 1] end",
				.asked = strcmp(rows[i].answer, PASSED) == 0 ? "GET /p [a: 1]\nend\n" : "",
				.answer = rows[i].answer},
			&(struct row){.says = {rows[i].says}}, heard);
}

/* The rules here, and those of the fleet: who is refused by one side costs the other nothing. */
static void a_refusal_costs_the_other_side_nothing(void **state)
{
	static const char asked[] = "EVALSHA 1 " KEY "all\\x0a 200000 1000000 0\n";

	(void)state;
	play_talk("here: {rate: 1, per: 1h}, " ONE_RULE, "",
		(struct test_case){.client = "GET /1 end; wait end; GET /2 end",
			.asked = "GET /1\nend\n",
			.answer = PASSED REFUSED},
		&(struct row){.says = {TAKEN, TAKEN}}, asked);
	play_talk("here: {rate: 1, per: 1h}, all: {rate: 5, per: 1s, fleet: true, by: ['header:A']}", "",
		(struct test_case){.client = "GET /1 [a: 1] end; wait end; GET /2 [a: 2] end",
			.asked = "GET /2 [a: 2]\nend\n",
			.answer = REFUSED PASSED},
		&(struct row){.says = {"*2\r\n:1\r\n:1000000\r\n", TAKEN}},
		"EVALSHA 1 " KEY "all\\x0a1\\x0a 200000 1000000 0\n"
		"EVALSHA 1 " KEY "all\\x0a2\\x0a 200000 1000000 0\n");
	play_talk("here: {rate: 1, per: 1h}, " ONE_RULE, ", on_failure: deny",
		(struct test_case){.client = "GET /1 end; wait end; GET /2 end",
			.asked = "GET /2\nend\n",
			.answer = UNAVAILABLE PASSED},
		&(struct row){.says = {"-ERR\r\n", TAKEN}},
		"EVALSHA 1 " KEY "all\\x0a 200000 1000000 0\n"
		"EVALSHA 1 " KEY "all\\x0a 200000 1000000 0\n");
}

static void clients_are_told_what_redis_says(void **state)
{
	static const char *const told[] = {"\nend\n429", "[retry-after: 2]", "[ratelimit: \"all\";r=0;t=10]"};
	char address[ADDR_TEXT_MAX];
	struct play p = {.c = {.name = "headers",
				 .top = p.top,
				 .show = ",x-weir-reason,retry-after,ratelimit,ratelimit-policy,",
				 .client = "GET /1 end; wait end; GET /2 end",
				 .origin = "200 end"}};

	(void)state;
	fake_redis_open(&p.redis);
	p.redis.says[0] = "*2\r\n:0\r\n:2000000\r\n";
	p.redis.says[1] = "*2\r\n:1000001\r\n:9000001\r\n";
	snprintf(p.top, sizeof(p.top),
		"modules: {ratelimit: {rules: {all: {rate: 5, per: 10s, fleet: true}}, redis: {address: "
		"'%s', timeout: "
		"10s}}}\n",
		fake_redis_address(&p.redis, address));
	p.st = stage_new(&p.c, h1);
	stage_connect(p.st);
	FAKE_REDIS_UNTIL(&p.redis, p.st, strstr(side_heard(&p.st->client), "[x-weir-reason: rate_limited]"));
	FAKE_REDIS_UNTIL(&p.redis, p.st, p.st->house.worker.edge.exchange_n == 0);
	assert_memory_equal(side_heard(&p.st->client),
		"200 [ratelimit-policy: \"all\";q=5;w=10] [ratelimit: \"all\";r=4;t=2]\nend\n", 68);
	for (size_t i = 0; i < COUNT_OF(told); i++)
		if (!strstr(side_heard(&p.st->client), told[i]))
			fail_msg("\"%s\" is not in\n%s", told[i], side_heard(&p.st->client));
	play_end(&p);
}

#define K_100 \
	"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk" \
	"kk"
#define K_600 K_100 K_100 K_100 K_100 K_100 K_100

/* What strangers write stays one argument of the command, of bounded length. */
static void a_key_is_what_the_client_sent_and_nothing_else(void **state)
{
	static const struct {
		const char *sent, *key;
	} rows[] = {
		{"1", "1\\x0a"},
		{"a b", "a\\x20b\\x0a"},
		{"$3 *1 {x} \"", "$3\\x20*1\\x20{x}\\x20\"\\x0a"},
		{"\xff\xfe\x80", "\\xff\\xfe\\x80\\x0a"},
		{"\\x0a", "\\x0a\\x0a"}, /* a backslash, and no line's end */
		{K_600, "sha256:0e552e4398e72bb0096ecd5069cdb306a0f907be1725f8102e0b4f61f848fe79"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char client[1024], heard[1024];

		snprintf(client, sizeof(client), "GET /p [a: %s] end", rows[i].sent);
		snprintf(heard, sizeof(heard), "EVALSHA 1 " KEY "all\\x0a%s 200000 1000000 0\n", rows[i].key);
		play_talk("all: {rate: 5, per: 1s, fleet: true, by: ['header:A']}", "",
			(struct test_case){.client = client, .asked = "", .answer = REFUSED},
			&(struct row){.says = {"*2\r\n:1\r\n:1000000\r\n"}}, heard);
	}
}

static void who_leaves_while_redis_thinks_is_not_missed(void **state)
{
	struct play p = {
		.c = {.name = "leaves", .client = "GET /1 end; pause; reset", .asked = "", .answer = ""}};

	(void)state;
	fake_redis_open(&p.redis);
	p.redis.says[0] = "*2\r\n:1\r\n:1000000\r\n";
	p.redis.says[1] = TAKEN;
	p.redis.holds = true;
	play_begin(&p, ONE_RULE, "", "10s");
	stage_connect(p.st);
	FAKE_REDIS_UNTIL(&p.redis, p.st, p.redis.questions == 1);
	stage_release(&p.st->client, SIZE_MAX);
	FAKE_REDIS_UNTIL(&p.redis, p.st, p.st->house.worker.edge.exchange_n == 0);
	/* The next one has the second answer, not the one that nobody waits for. */
	p.st->client.script = "GET /2 end";
	stage_connect(p.st);
	FAKE_REDIS_UNTIL(&p.redis, p.st, p.redis.questions == 2);
	p.redis.holds = false;
	FAKE_REDIS_UNTIL(&p.redis, p.st, strstr(side_heard(&p.st->client), PASSED));
	assert_string_equal(side_heard(&p.st->origin), "GET /2\nend\n");
	FAKE_REDIS_UNTIL(&p.redis, p.st, p.st->house.worker.edge.exchange_n == 0);
	play_end(&p);
}

/* -- what a reload keeps -- */

static struct ratelimit_rule counted = {.rate = 1, .per = 1000, .fleet = true};

static struct ratelimit conf_of(const char *address, const char *prefix)
{
	return (struct ratelimit){.rules = &counted,
		.rule_n = 1,
		.redis = {.on = true,
			.server = {.address = str_of(address), .timeout_ms = 100},
			.prefix = str_of(prefix)}};
}

static void a_reload_keeps_what_would_be_made_again(void **state)
{
	static const char *const prefixes[] = {
		"", "weir", "weir:limit", "weir:limits:", "weir:limits:acme/shop", "x"};
	struct ratelimit conf = conf_of("r:1", "weir:limits"), other;
	struct ratelimit_fleet *f = ratelimit_fleet_new(&conf, STR("acme/shop"));

	(void)state;
	assert_non_null(f);
	assert_str(f->prefix, "weir:limits:acme/shop:");
	assert_true(ratelimit_fleet_is(f, &conf));
	for (size_t i = 0; i < COUNT_OF(prefixes); i++) {
		other = conf_of("r:1", prefixes[i]);
		assert_false(ratelimit_fleet_is(f, &other));
	}
	other = conf_of("r:2", "weir:limits");
	assert_false(ratelimit_fleet_is(f, &other));
	other = conf;
	other.redis.on_failure = RATELIMIT_DENY; /* is asked of the configuration each time */
	assert_true(ratelimit_fleet_is(f, &other));
	other = conf;
	other.redis.server.database = 1;
	assert_false(ratelimit_fleet_is(f, &other));
	other = conf;
	other.redis.server.timeout_ms = 101;
	assert_false(ratelimit_fleet_is(f, &other));
	other = conf;
	other.redis.server.username = STR("u");
	assert_false(ratelimit_fleet_is(f, &other));
	other = conf;
	other.redis.server.password = STR("p");
	assert_false(ratelimit_fleet_is(f, &other));
	other = conf;
	other.redis.server.tls.on = true;
	assert_false(ratelimit_fleet_is(f, &other));
	other = conf;
	other.rule_n = 0; /* no rule is counted in Redis any more */
	assert_false(ratelimit_fleet_is(f, &other));
	assert_null(ratelimit_fleet_new(&other, STR("acme/shop")));
	assert_true(ratelimit_fleet_is(NULL, &other));
	assert_false(ratelimit_fleet_is(NULL, &conf));
	ratelimit_fleet_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_says_who_passes),
		cmocka_unit_test(what_is_no_answer_comes_to_what_was_asked_for),
		cmocka_unit_test(who_says_nothing_in_time_has_not_answered),
		cmocka_unit_test(without_redis_a_node_counts_for_itself),
		cmocka_unit_test(a_script_that_it_does_not_know_is_sent_once),
		cmocka_unit_test(the_script_is_the_one_that_has_the_name),
		cmocka_unit_test(rules_are_asked_together_and_one_that_refuses_is_enough),
		cmocka_unit_test(a_refusal_costs_the_other_side_nothing),
		cmocka_unit_test(clients_are_told_what_redis_says),
		cmocka_unit_test(a_key_is_what_the_client_sent_and_nothing_else),
		cmocka_unit_test(who_leaves_while_redis_thinks_is_not_missed),
		cmocka_unit_test(a_reload_keeps_what_would_be_made_again),
	};

	return RUN_SUITE(tests);
}
