/* modules/jwt.c: which tokens are believed, when, where they stand, and what the backend learns of them. Tokens are signed here; it is
 * always a second after T, for the program has a clock of its own. */
#include <openssl/hmac.h>
#include <sys/syscall.h>
#include "tokens.h"

#define T            2000000000
#define LET_IN       "200\nend\n"
#define GOOD         "{\"exp\": 2000001000, \"sub\": \"anna\"}"
#define REFUSED(why) "[www-authenticate: Bearer error=\"invalid_token\", error_description=\"" why "\"]"

static int64_t wall = T; /* seconds */

/* In place of libc's. */
int clock_gettime(clockid_t id, struct timespec *ts)
{
	if (id == CLOCK_REALTIME) {
		*ts = (struct timespec){.tv_sec = wall};
		return 0;
	}
	return (int)syscall(SYS_clock_gettime, id, ts);
}

/* -- asking -- */

static char *token(const char *payload)
{
	return token_with(P256, "ES256", "\"alg\":\"ES256\"", payload);
}

/* keys: of the module, beside the key; each with a comma before it. */
static struct stage *open_stage(enum kind kind, const char *more)
{
	static char top[4096];
	static struct test_case c;

	assert_true((size_t)snprintf(top, sizeof(top), "modules: {jwt: {keys: \"%s\"%s}}\n", pems[kind],
			    more) < sizeof(top));
	c = (struct test_case){.name = more,
		.top = top,
		.show = ",www-authenticate,x-weir-reason,",
		.client = "",
		.origin = "200 end",
		.answer = "",
		.asked = ""};
	return stage_new(&c, h1);
}

static void close_stage(struct stage **stp)
{
	stage_clear(*stp);
	stage_free(stp);
}

/* What a client of its own sends: what it hears, and what the backend does; NULL: nothing. */
static void send_script(struct stage *st, const char *script, const char *answer, const char *asked)
{
	size_t before = st->origin.heard.n;
	const char *heard;

	st->client.script = script;
	stage_hear(st, answer);
	stage_settle(st);
	heard = side_heard(&st->origin) + before;
	if (asked ? strcmp(heard, asked) != 0 : heard[0] != '\0')
		fail_msg("%s: the backend was asked: %s", script, heard);
	side_reset(&st->client);
	st->origin.heard.n = st->origin.message = 0;
}

/* A request with those fields. */
static void ask(struct stage *st, const char *fields, const char *answer, const char *asked)
{
	static char client[TOKEN_MAX + 1024];

	snprintf(client, sizeof(client), "GET / %s end", fields);
	send_script(st, client, answer, asked);
}

static const char *bearer(const char *credentials)
{
	static char fields[TOKEN_MAX + 64];

	snprintf(fields, sizeof(fields), "[authorization: Bearer %s]", credentials);
	return fields;
}

/* why: NULL: it is let in. For a module with `forward: false`. */
static void bring(struct stage *st, const char *credentials, const char *why)
{
	char answer[256];

	snprintf(answer, sizeof(answer), REFUSED("%s"), why ? why : "");
	ask(st, bearer(credentials), why ? answer : LET_IN, why ? NULL : "GET /\nend\n");
}

/* -- signatures -- */

static void the_kind_of_the_key_decides_what_may_sign(void **state)
{
	static const struct {
		enum kind kind;
		const char *alg, *why;
	} rows[] = {
		{P256, "ES256", NULL},
		{ED25519, "EdDSA", NULL},
		{RSA2048, "RS256", NULL},
		{RSA2048, "RS384", NULL},
		{RSA2048, "RS512", NULL},
		{RSA2048, "PS256", NULL},
		{P256, "ES384", "unknown_key"},
		{P256, "RS256", "unknown_key"},
		{P256, "EdDSA", "unknown_key"},
		{ED25519, "ES256", "unknown_key"},
		{RSA2048, "ES256", "unknown_key"},
		{RSA2048, "PS384", "algorithm"},
		{P256, "none", "algorithm"},
		{P256, "None", "algorithm"},
		{P256, "HS256", "algorithm"},
		{P256, "es256", "algorithm"},
		{P256, "", "algorithm"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct stage *st = open_stage(rows[i].kind, ", forward: false");
		char head[64];

		snprintf(head, sizeof(head), "\"alg\":\"%s\"", rows[i].alg);
		bring(st, token_with(rows[i].kind, rows[i].alg, head, GOOD), rows[i].why);
		close_stage(&st);
	}
}

/* A public key is no secret: who signs with it, by HMAC, is not believed. */
static void a_public_key_is_no_secret_to_sign_with(void **state)
{
	struct stage *st = open_stage(RSA2048, ", forward: false");
	BIO *bio = BIO_new(BIO_s_mem());
	char text[2048], *pem;
	uint8_t mac[32];
	long pem_n;
	size_t n;

	(void)state;
	assert_int_equal(PEM_write_bio_PUBKEY(bio, keys[RSA2048]), 1);
	pem_n = BIO_get_mem_data(bio, &pem);
	n = base64url(text, "{\"alg\":\"HS256\"}", 15);
	text[n++] = '.';
	n += base64url(text + n, GOOD, sizeof(GOOD) - 1);
	HMAC(EVP_sha256(), pem, (int)pem_n, (uint8_t *)text, n, mac, NULL);
	text[n++] = '.';
	base64url(text + n, mac, sizeof(mac));
	bring(st, text, "algorithm");
	BIO_free(bio);
	close_stage(&st);
}

static void what_is_no_token_is_told_apart(void **state)
{
	static const struct {
		const char *head, *payload, *why;
	} rows[] = {
		{"\"alg\":\"ES256\",\"typ\":\"JWT\"", GOOD, NULL},
		{"\"alg\":\"ES256\",\"kid\":\"any\"", GOOD, NULL}, /* the key has none */
		{"\"alg\":\"ES256\",\"kid\":7", GOOD, NULL},
		{"\"alg\":\"ES256\",\"crit\":[\"exp\"]", GOOD, "algorithm"},
		{"\"alg\":\"ES256\",\"crit\":null", GOOD, "algorithm"},
		{"\"alg\":[\"ES256\"]", GOOD, "algorithm"},
		{"\"typ\":\"JWT\"", GOOD, "algorithm"},
		{"\"alg\":\"ES256\",\"alg\":\"ES256\"", GOOD, "malformed"},
		{"\"alg\":\"ES256\",", GOOD, "malformed"},
		{"\"alg\":\"ES256\"", "[]", "malformed"},
		{"\"alg\":\"ES256\"", "null", "malformed"},
		{"\"alg\":\"ES256\"", "\"anna\"", "malformed"},
		{"\"alg\":\"ES256\"", GOOD GOOD, "malformed"},
		{"\"alg\":\"ES256\"", "{\"exp\": 2000001000, \"sub\": \"a\", \"sub\": \"b\"}", "malformed"},
		{"\"alg\":\"ES256\"", "{\"exp\": 2000001000, \"sub\": \"\\u0000\"}", "malformed"},
		{"\"alg\":\"ES256\"", "{\"exp\": 2000001000, \"sub\": \"\xff\"}", "malformed"},
	};
	struct stage *st = open_stage(P256, ", forward: false");
	char *t = token(GOOD), other[TOKEN_MAX], *dot;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		bring(st, token_with(P256, "ES256", rows[i].head, rows[i].payload), rows[i].why);
	/* One part, two, four, none at all. */
	t = token(GOOD);
	dot = strrchr(t, '.');
	bring(st, t, NULL);
	snprintf(other, sizeof(other), "%.*s", (int)strcspn(t, "."), t);
	bring(st, other, "malformed");
	snprintf(other, sizeof(other), "%.*s", (int)(dot - t), t);
	bring(st, other, "malformed");
	snprintf(other, sizeof(other), "%.*s.", (int)(dot - t), t);
	bring(st, other, "signature");
	snprintf(other, sizeof(other), "%s.e30", t);
	bring(st, other, "signature");
	snprintf(other, sizeof(other), ".%s", strchr(t, '.') + 1);
	bring(st, other, "malformed");
	bring(st, "..", "malformed");
	bring(st, "...", "malformed");
	/* Another's signature, and another's payload. */
	bring(st, token_with(OTHER, "ES256", "\"alg\":\"ES256\"", GOOD), "signature");
	snprintf(other, sizeof(other), "%.*s%s", (int)(dot - t), t,
		strrchr(token("{\"exp\":2000001001}"), '.'));
	bring(st, other, "signature");
	close_stage(&st);
}

static void bring_long(struct stage *st, size_t n, const char *answer, const char *asked)
{
	static char script[TOKEN_MAX + 1024], payload[TOKEN_MAX / 2];

	snprintf(payload, sizeof(payload), "{\"exp\": 2000001000, \"x\": \"%*s\"}", (int)n, "");
	snprintf(script, sizeof(script),
		"raw GET / HTTP/1.1\r\nHost: shop.test\r\nAuthorization: Bearer %s\r\n\r\n", token(payload));
	send_script(st, script, answer, asked);
}

static void a_token_may_have_16_kib(void **state)
{
	struct stage *st = open_stage(P256, ", forward: false");
	size_t rest = 20 + 1 + 1 + 86; /* beside the payload: head, dots, signature */
	size_t n = (16384 - rest) / 4 * 3 - strlen("{\"exp\": 2000001000, \"x\": \"\"}");

	(void)state;
	bring_long(st, n, LET_IN, "GET /\nend\n");
	bring_long(st, n + 1, REFUSED("malformed"), NULL);
	close_stage(&st);
}

/* -- what it says -- */

/* Claims and what comes of them, in one configuration. */
static void judge_claims(const char *more, const char *const (*rows)[2], size_t n)
{
	char keys_text[512], payload[1024];
	struct stage *st;

	snprintf(keys_text, sizeof(keys_text), ", forward: false%s", more);
	st = open_stage(P256, keys_text);
	for (size_t i = 0; i < n; i++) {
		snprintf(payload, sizeof(payload), "{%s}", rows[i][0]);
		bring(st, token(payload), rows[i][1]);
	}
	close_stage(&st);
}

/* It is T and a part of a second; clocks may differ by half a minute. */
static void a_token_has_its_time(void **state)
{
	static const char *const rows[][2] = {
		{"\"exp\":1999999971", NULL},
		{"\"exp\":1999999970", "expired"},
		{"\"exp\":1999999971.5", NULL},
		{"\"exp\":0", "expired"},
		{"\"exp\":-1", "expired"},
		{"\"exp\":1e300", NULL},
		{"\"exp\":-1e300", "expired"},
		{"\"exp\":9223372036854775807", NULL},
		{"\"exp\":9223372036854775808", "malformed"},
		{"\"exp\":1e999", "malformed"},
		{"\"exp\":NaN", "malformed"},
		{"\"exp\":Infinity", "malformed"},
		{"\"exp\":\"2000001000\"", "expired"},
		{"\"exp\":true", "expired"},
		{"\"exp\":null", "expired"},
		{"\"exp\":[2000001000]", "expired"},
		{"\"sub\":\"anna\"", "expired"},
		{"\"exp\":2000001000,\"nbf\":2000000030", NULL},
		{"\"exp\":2000001000,\"nbf\":2000000031", "not_yet_valid"},
		{"\"exp\":2000001000,\"nbf\":\"0\"", "not_yet_valid"},
		{"\"exp\":2000001000,\"nbf\":null", "not_yet_valid"},
		{"\"exp\":2000001000,\"nbf\":-1e300", NULL},
		{"\"exp\":2000001000,\"iat\":2000000030", NULL},
		{"\"exp\":2000001000,\"iat\":2000000031", "not_yet_valid"},
		{"\"exp\":2000001000,\"iat\":false", "not_yet_valid"},
		{"\"exp\":2000001000,\"iat\":{}", "not_yet_valid"},
	};
	static const char *const endless[][2] = {{"\"sub\":\"anna\"", NULL},
		{"\"exp\":1999999970", "expired"}, {"\"exp\":\"never\"", "expired"},
		{"\"nbf\":2000000031", "not_yet_valid"}};
	static const char *const exact[][2] = {{"\"exp\":2000000001", NULL},
		{"\"exp\":2000000000", "expired"}, {"\"exp\":2000000001,\"nbf\":2000000001", "not_yet_valid"},
		{"\"exp\":2000000001,\"nbf\":2000000000", NULL}};

	(void)state;
	judge_claims("", rows, COUNT_OF(rows));
	judge_claims(", expires: false", endless, COUNT_OF(endless));
	judge_claims(", leeway: 0s", exact, COUNT_OF(exact));
}

#define EXP "\"exp\":2000001000,"

static void a_token_is_of_somebody_and_for_somebody(void **state)
{
	static const char *const audience[][2] = {
		{EXP "\"aud\":\"shop\"", NULL},
		{EXP "\"aud\":\"desk\"", NULL},
		{EXP "\"aud\":[\"other\",\"desk\"]", NULL},
		{EXP "\"aud\":[7,null,[\"shop\"],\"shop\"]", NULL},
		{EXP "\"aud\":\"Shop\"", "audience"},
		{EXP "\"aud\":\"shop desk\"", "audience"},
		{EXP "\"aud\":\"\"", "audience"},
		{EXP "\"aud\":[]", "audience"},
		{EXP "\"aud\":[[\"shop\"]]", "audience"},
		{EXP "\"aud\":{\"shop\":\"shop\"}", "audience"},
		{EXP "\"aud\":null", "audience"},
		{EXP "\"aud\":true", "audience"},
		{EXP "\"sub\":\"shop\"", "audience"},
	};
	static const char *const issuer[][2] = {
		{EXP "\"iss\":\"https://id.test\"", NULL},
		{EXP "\"iss\":\"https://id.test/\"", "issuer"},
		{EXP "\"iss\":\"https://id.tes\"", "issuer"},
		{EXP "\"iss\":\"\"", "issuer"},
		{EXP "\"iss\":[\"https://id.test\"]", "issuer"},
		{EXP "\"iss\":null", "issuer"},
		{EXP "\"sub\":\"https://id.test\"", "issuer"},
	};

	(void)state;
	judge_claims(", audience: [shop, desk]", audience, COUNT_OF(audience));
	judge_claims(", issuer: 'https://id.test'", issuer, COUNT_OF(issuer));
}

static void claims_must_be_what_is_required(void **state)
{
	static const struct {
		const char *claims;
		bool good;
	} rows[] = {
		{"\"role\":\"admin\",\"scope\":\"write\",\"n\":7,\"ok\":true", true},
		{"\"role\":[\"x\",\"admin\"],\"scope\":\"read write all\",\"n\":[7],\"ok\":\"true\"", true},
		{"\"role\":\"user admin\",\"scope\":[\"read\",\"write\"],\"n\":\"7\",\"ok\":[true]", true},
		{"\"role\":\"admin\",\"scope\":\"writer\",\"n\":7,\"ok\":true", false},
		{"\"role\":\"admin\",\"scope\":\"rewrite write-all\",\"n\":7,\"ok\":true", false},
		{"\"role\":\"Admin\",\"scope\":\"write\",\"n\":7,\"ok\":true", false},
		{"\"role\":[\"user admin\"],\"scope\":\"write\",\"n\":7,\"ok\":true", false},
		{"\"role\":[[\"admin\"]],\"scope\":\"write\",\"n\":7,\"ok\":true", false},
		{"\"role\":{\"admin\":true},\"scope\":\"write\",\"n\":7,\"ok\":true", false},
		{"\"role\":null,\"scope\":\"write\",\"n\":7,\"ok\":true", false},
		{"\"role\":\"admin\",\"scope\":\"write\",\"n\":7.0,\"ok\":true", false},
		{"\"role\":\"admin\",\"scope\":\"write\",\"n\":7,\"ok\":1", false},
		{"\"role\":\"admin\",\"scope\":\"write\",\"n\":7", false},
		{"\"scope\":\"write\",\"n\":7,\"ok\":true", false},
	};
	struct stage *st =
		open_stage(P256, ", forward: false, require: {role: admin, scope: write, n: 7, ok: true}");
	char payload[512];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		snprintf(payload, sizeof(payload), "{" EXP "%s}", rows[i].claims);
		ask(st, bearer(token(payload)),
			rows[i].good ? LET_IN
				     : "[x-weir-reason: auth_denied] [cache-control: no-store] "
				       "[www-authenticate: Bearer error=\"insufficient_scope\"]",
			rows[i].good ? "GET /\nend\n" : NULL);
	}
	close_stage(&st);
}

/* What a client says in these headers is nobody's word, also when the token has nothing to say in its place. */
static void claims_reach_the_backend_and_nothing_in_their_place(void **state)
{
	static const char *const rows[][2] = {
		{"\"sub\":\"anna\"", " [x-user: anna]"},
		{"\"sub\":\"d\xc3\xb6rte b\"", " [x-user: d\xc3\xb6rte b]"},
		{"\"sub\":\"anna\",\"n\":-9223372036854775808,\"ok\":false",
			" [x-user: anna] [x-n: -9223372036854775808] [x-ok: false]"},
		{"\"n\":0,\"ok\":true", " [x-n: 0] [x-ok: true]"},
		{"\"n\":1.5,\"ok\":null", ""},
		{"\"sub\":[\"anna\"],\"n\":{}", ""},
		{"\"sub\":\"an\\r\\nx-ok: true\"", ""},
		{"\"sub\":\"an\\tna\"", ""},
		{"\"sub\":\"\\u001b[31m\"", ""},
		{"\"sub\":\"anna\\u007f\"", ""},
		{"\"sub\":\" anna\"", ""}, /* is not anna */
		{"\"sub\":\"anna \"", ""},
		{"\"sub\":\" \"", ""},
	};
	struct stage *st = open_stage(P256, ", forward: false, claims: {sub: X-User, n: X-N, ok: X-Ok}");
	static char fields[TOKEN_MAX + 256];
	char payload[512], asked[512];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		snprintf(payload, sizeof(payload), "{" EXP "%s}", rows[i][0]);
		snprintf(fields, sizeof(fields), "[x-user: root] %s [x-ok: root] [x-n: root] [X-User: root]",
			bearer(token(payload)));
		snprintf(asked, sizeof(asked), "GET /%s\nend\n", rows[i][1]);
		ask(st, fields, LET_IN, asked);
	}
	close_stage(&st);
}

/* -- where it stands -- */

#define NO_TOKEN "[www-authenticate: Bearer]"

/* "%s" in fields and asked is the token. */
static void stand(struct stage *st, const char *t, const char *fields, const char *answer, const char *asked)
{
	char text[4096], then[4096];

	snprintf(text, sizeof(text), fields, t, t);
	snprintf(then, sizeof(then), asked ? asked : "", t, t);
	ask(st, text, answer, asked ? then : NULL);
}

static void a_token_stands_in_a_header_or_in_a_cookie(void **state)
{
	static const struct {
		const char *keys, *fields, *answer, *asked;
	} rows[] = {
		{"", "", NO_TOKEN, NULL},
		{"", "[authorization: Bearer %s]", LET_IN, "GET / [authorization: Bearer %s]\nend\n"},
		{"", "[authorization: bEARER   %s]", LET_IN, "GET / [authorization: bEARER   %s]\nend\n"},
		{"", "[authorization: Bearer]", NO_TOKEN, NULL},
		{"", "[authorization: %s]", NO_TOKEN, NULL},
		{"", "[authorization: Basic YTpi]", NO_TOKEN, NULL},
		{"", "[authorization: Bearer %s x]", REFUSED("signature"), NULL},
		{"", "[authorization: Bearer \"%s\"]", REFUSED("malformed"), NULL},
		{"", "[x-token: %s]", NO_TOKEN, NULL},
		{"", "[cookie: t=%s]", NO_TOKEN, NULL},
		{"", "[authorization: Bearer %s] [authorization: Bearer %s]", REFUSED("several"), NULL},
		{"", "[authorization: Bearer %s] [authorization: Basic YTpi]", REFUSED("several"), NULL},
		{", forward: false", "[authorization: Bearer %s] [x-other: a]", LET_IN,
			"GET / [x-other: a]\nend\n"},
		/* another header: the token, and nothing before it */
		{", header: X-Token", "[x-token: %s] [authorization: a]", LET_IN,
			"GET / [x-token: %s] [authorization: a]\nend\n"},
		{", header: X-Token", "[x-token: Bearer %s]", REFUSED("malformed"), NULL},
		{", header: X-Token", "[authorization: Bearer %s]", NO_TOKEN, NULL},
		{", header: X-Token", "[x-token: %s] [x-token: %s]", REFUSED("several"), NULL},
		{", header: X-Token, forward: false", "[x-token: %s] [authorization: a]", LET_IN,
			"GET / [authorization: a]\nend\n"},
		{", header: X-Token, forward: false, claims: {sub: x-token}", "[x-token: %s]", LET_IN,
			"GET / [x-token: anna]\nend\n"},
		/* the cookie, where the header has none */
		{", cookie: t", "[cookie: t=%s]", LET_IN, "GET / [cookie: t=%s]\nend\n"},
		{", cookie: t", "[cookie: a=b;t=%s ;c=d]", LET_IN, "GET / [cookie: a=b;t=%s ;c=d]\nend\n"},
		{", cookie: t", "[cookie: tt=%s;T=%s]", NO_TOKEN, NULL},
		{", cookie: t", "[cookie: t]", NO_TOKEN, NULL},
		{", cookie: t", "[cookie: t=]", NO_TOKEN, NULL},
		{", cookie: t", "[authorization: Basic YTpi] [cookie: t=%s]", LET_IN,
			"GET / [authorization: Basic YTpi] [cookie: t=%s]\nend\n"},
		{", cookie: t", "[authorization: Bearer x] [cookie: t=%s]", REFUSED("malformed"), NULL},
		{", cookie: t, header: X-Token", "[x-token: x] [cookie: t=%s]", REFUSED("malformed"), NULL},
		{", cookie: t, header: X-Token, forward: false", "[x-token: ] [cookie: t=%s]", LET_IN,
			"GET / [cookie: t=%s]\nend\n"},
	};
	char *t = token(GOOD);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct stage *st = open_stage(P256, rows[i].keys);

		stand(st, t, rows[i].fields, rows[i].answer, rows[i].asked);
		close_stage(&st);
	}
}

/* -- signatures that are remembered -- */

static struct {
	uint64_t verified, known;
} counted;

static void tell(struct module_counts *out, struct str what, struct str event, uint64_t n)
{
	(void)out;
	assert_str(what, "signatures");
	*(str_eq(event, STR("known")) ? &counted.known : &counted.verified) = n;
}

static void assert_signatures(struct stage *st, uint64_t verified, uint64_t known)
{
	const struct module_place *place = st->house.snapshot->modules->places[0];
	struct module_counts out = {tell};

	place->module->counts(place->values, place->built->data, &out);
	assert_int_equal(counted.verified, verified);
	assert_int_equal(counted.known, known);
}

static void a_signature_that_is_known_says_nothing_of_the_time(void **state)
{
	struct stage *st = open_stage(P256, ", forward: false");
	char *t = token("{\"exp\":2000000100}"), *later = token("{\"exp\":2000001000,\"nbf\":2000000500}"),
	     *at;

	(void)state;
	bring(st, t, NULL);
	bring(st, t, NULL);
	bring(st, later, "not_yet_valid");
	bring(st, later, "not_yet_valid");
	assert_signatures(st, 2, 2);
	wall = T + 1000 - 30;
	st->house.worker.edge.second = 0; /* it is looked at once a second */
	bring(st, t, "expired");
	bring(st, later, NULL);
	assert_signatures(st, 2, 4);
	wall = T;
	st->house.worker.edge.second = 0;
	/* What was bad is looked at each time, and so is what differs in a byte. */
	at = strrchr(t, '.') + 1;
	*at = *at == 'A' ? 'B' : 'A';
	bring(st, t, "signature");
	bring(st, t, "signature");
	assert_signatures(st, 4, 4);
	close_stage(&st);
}

/* -- what it is told -- */

static void mistakes_are_explained(void **state)
{
	static const char *const rows[][2] = {
		{"issuer: a", "jwt needs \"keys\", \"keys_file\" or \"jwks_url\""},
		{"jwks_url: 'ftp://a.test'", "must be an http:// or https:// URL"},
		{"jwks_url: 'http://a.test/', claims: {sub: 'x y'}", "must be given a header name"},
		{"jwks_url: 'http://a.test/', claims: {sub: Host}", "must be given a header name"},
		{"jwks_url: 'http://a.test/', claims: [sub]", "must be a mapping of claims to texts"},
		{"jwks_url: 'http://a.test/', require: {role: [a]}", "role"},
		{"keys: '{\"keys\": []}'", "no public key of use"},
		{"keys: '{\"kty\":\"oct\",\"k\":\"c2VjcmV0\"}'", "no public key of use"},
		{"keys: secret", "no public key of use"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct conf_report report;
		struct conf *conf;
		char text[512], *said;

		snprintf(text, sizeof(text),
			"listeners: {in: {address: '127.0.0.1:1'}}\nmodules: {jwt: {%s}}\n", rows[i][0]);
		conf = conf_load_text("j.yaml", str_of(text), &report);
		if (conf)
			module_set_unref(module_set_build(conf, NULL, NULL, &report));
		said = conf_report_text(&report);
		if (!report.errors || !strstr(said, rows[i][1]))
			fail_msg("%s: %s", rows[i][0], said);
		free(said);
		conf_report_free(&report);
		conf_free(conf);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_kind_of_the_key_decides_what_may_sign),
		cmocka_unit_test(a_public_key_is_no_secret_to_sign_with),
		cmocka_unit_test(what_is_no_token_is_told_apart),
		cmocka_unit_test(a_token_may_have_16_kib),
		cmocka_unit_test(a_token_has_its_time),
		cmocka_unit_test(a_token_is_of_somebody_and_for_somebody),
		cmocka_unit_test(claims_must_be_what_is_required),
		cmocka_unit_test(claims_reach_the_backend_and_nothing_in_their_place),
		cmocka_unit_test(a_token_stands_in_a_header_or_in_a_cookie),
		cmocka_unit_test(a_signature_that_is_known_says_nothing_of_the_time),
		cmocka_unit_test(mistakes_are_explained),
	};

	return RUN_TOKENS(tests);
}
