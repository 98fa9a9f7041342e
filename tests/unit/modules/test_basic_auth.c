/* modules/basic_auth.c: which secrets open, what a list of users may be, and what becomes of hashes under way.
 *
 * The program has a crypt_r() of its own, which counts, and which can be made to wait: so a request is held for as long as a test wants. */
#include <crypt.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include "exchange/suite.h"

#define REFUSED "401 auth_required\nend\n"
#define LET_IN  "200\nend\n"

/* -- hashes, and who makes them -- */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool shut; /* whoever comes waits */
	unsigned came, left;
	char password[1024]; /* of who came last */
	char hash[400];
} vault = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* In place of libcrypt's. */
char *crypt_r(const char *phrase, const char *setting, struct crypt_data *data)
{
	char *made;

	pthread_mutex_lock(&vault.lock);
	snprintf(vault.password, sizeof(vault.password), "%s", phrase);
	snprintf(vault.hash, sizeof(vault.hash), "%s", setting);
	vault.came++;
	pthread_cond_broadcast(&vault.changed);
	while (vault.shut)
		pthread_cond_wait(&vault.changed, &vault.lock);
	pthread_mutex_unlock(&vault.lock);
	made = crypt_rn(phrase, setting, data, sizeof(*data));
	pthread_mutex_lock(&vault.lock);
	vault.left++;
	pthread_mutex_unlock(&vault.lock);
	return made;
}

static void vault_set(bool shut)
{
	pthread_mutex_lock(&vault.lock);
	vault.shut = shut;
	pthread_cond_broadcast(&vault.changed);
	pthread_mutex_unlock(&vault.lock);
}

static unsigned vault_count(const unsigned *of)
{
	unsigned n;

	pthread_mutex_lock(&vault.lock);
	n = *of;
	pthread_mutex_unlock(&vault.lock);
	return n;
}

/* A list of users in YAML, from "name", "password" pairs up to a NULL. */
static const char *users_of(const char *const *pairs)
{
	static char text[2048];
	struct crypt_data data = {0};
	size_t n = 0;

	for (; pairs[0]; pairs += 2)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "'%s:%s',", pairs[0],
			crypt_rn(pairs[1], "$5$rounds=1000$weirtest", &data, sizeof(data)));
	assert_true(n < sizeof(text));
	return text;
}

static const char *const anna[] = {"anna", "eins", "berta", "eins", NULL};

/* "Basic ..." of "name:password". */
static const char *basic(const char *secret)
{
	static char text[2048];

	strcpy(text, "Basic ");
	EVP_EncodeBlock((uint8_t *)text + 6, (const uint8_t *)secret, (int)strlen(secret));
	return text;
}

/* A request with that header; keys: of the module, each with a comma before it. */
static struct test_case case_of(const char *users, const char *keys, const char *credentials)
{
	static char top[4096], client[2048];

	assert_true((size_t)snprintf(top, sizeof(top), "modules: {basic_auth: {users: [%s]%s}}\n", users,
			    keys) < sizeof(top));
	snprintf(client, sizeof(client), "GET / [authorization: %s] end", credentials);
	return (struct test_case){.name = credentials,
		.top = top,
		.client = client,
		.origin = "200 end",
		.answer = LET_IN,
		.asked = "GET /\nend\n"};
}

static void refused(struct test_case *c)
{
	c->answer = REFUSED;
	c->asked = "";
}

/* -- secrets -- */

static void a_secret_opens_byte_for_byte(void **state)
{
	static const char *const pairs[] = {"anna", "eins", "berta", "zwei", "cora", ":c:1::", "d\xc3\xb6rte",
		"\xc3\xbc\xe2\x82\xac \xf0\x9f\x94\x91", "eve", "", "a b", "c d", NULL};
	static const char *const good[] = {"anna:eins", "berta:zwei",
		"cora::c:1::", "d\xc3\xb6rte:\xc3\xbc\xe2\x82\xac \xf0\x9f\x94\x91", "eve:", "a b:c d"};
	static const char *const bad[] = {"anna:zwei", "anna:", "anna", "anna:eins ",
		"anna:eins:", " anna:eins", "Anna:eins", "anna:Eins", "anna:eins\n", "ann:eins", "annaa:eins",
		":eins", ":", "eve: ", "cora:c:1::", "d\xc3\xb6rte:\xfc\xe2\x82\xac", "dorte:eins",
		"nobody:eins", "nobody:"};
	const char *users = users_of(pairs);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		struct test_case c = case_of(users, "", basic(good[i]));

		case_once(&c, i % 2 ? h1 : h2, &tls);
	}
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		struct test_case c = case_of(users, "", basic(bad[i]));

		refused(&c);
		case_once(&c, i % 2 ? h1 : h2, &tls);
	}
}

/* A backend that gets the header may not read anything else in it. */
static void credentials_have_one_form(void **state)
{
	static const char *const pairs[] = {"anna", "eins", "eve", "", "ab@", "x", NULL};
	static const struct {
		const char *value;
		bool good;
	} rows[] = {
		{"Basic YW5uYTplaW5z", true}, {"basic YW5uYTplaW5z", true}, {"BASIC    YW5uYTplaW5z", true},
		{"Basic ZXZlOg==", true}, {"Basic YWJAOng=", true}, {"", false}, {"Basic", false},
		{"BasicYW5uYTplaW5z", false}, {"Basic\tYW5uYTplaW5z", false}, {"Bearer YW5uYTplaW5z", false},
		{"YW5uYTplaW5z", false}, {"Basic anna:eins", false}, {"Basic =", false},
		{"Basic ====", false}, {"Basic YW5uYTplaW5zAA==", false}, /* and a NUL */
		{"Basic YW5uAGE6ZWlucw==", false}, /* "ann", a NUL, "a:eins" */
		{"Basic YW5uYTplaW5", false}, {"Basic YW5uYTplaW5z=", false},
		{"Basic YW5uYTplaW5z====", false}, {"Basic YW5uYTplaW5z----", false},
		{"Basic YW5uYTplaW5z YQ==", false}, {"Basic YW5u YTplaW5z", false},
		{"Basic YW5uYTplaW5z,", false}, {"Basic \"YW5uYTplaW5z\"", false}, {"Basic ZXZlOg", false},
		{"Basic ZXZlOg=", false},
		{"Basic ZXZlOh==", false}, /* the same bytes, and bits behind them */
		{"Basic ZXZlOg==ZXZl", false}, {"Basic YWJ=Ong=", false}, /* "=" is not "A" */
	};
	const char *users = users_of(pairs);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct test_case c = case_of(users, "", rows[i].value);

		if (!rows[i].good)
			refused(&c);
		case_once(&c, h1, &tls);
	}
}

static void of_several_credentials_none_counts(void **state)
{
	static const char *const clients[] = {
		"GET / [authorization: Basic YW5uYTplaW5z] [authorization: Basic YW5uYTp6d2Vp] end",
		"GET / [authorization: Basic YW5uYTp6d2Vp] [authorization: Basic YW5uYTplaW5z] end",
		"GET / [authorization: Basic YW5uYTplaW5z] [authorization: Basic YW5uYTplaW5z] end",
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(clients); i++) {
		struct test_case c = case_of(users_of(anna), "", "");

		refused(&c);
		c.client = clients[i];
		case_once(&c, h1, &tls);
		case_once(&c, h2, &tls);
	}
}

/* 600 bytes are taken, of which libcrypt takes 511 of a password. */
static void a_secret_that_is_too_long_is_none(void **state)
{
	static const struct {
		unsigned password;
		bool hashed, good;
	} rows[] = {{511, true, true}, {512, true, false}, {595, true, false}, {596, false, false},
		{1024, false, false}};
	static const char ours[512] = {[0 ... 510] = 'x'};
	static const char *const pairs[] = {"anna", ours, NULL};
	const char *users = users_of(pairs);
	char secret[1100] = "anna:";

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		unsigned before = vault_count(&vault.came);
		struct test_case c;

		memset(secret + 5, 'x', rows[i].password);
		secret[5 + rows[i].password] = '\0';
		c = case_of(users, "", basic(secret));
		if (!rows[i].good)
			refused(&c);
		case_once(&c, h1, &tls);
		assert_int_equal(vault_count(&vault.came) - before, rows[i].hashed);
		if (rows[i].hashed)
			assert_int_equal(strlen(vault.password), rows[i].password);
	}
}

/* -- what is hashed, and when -- */

static void run(const char *client, const char *answer, const char *asked, unsigned hashed)
{
	struct test_case c = case_of(users_of(anna), "", "");
	unsigned before = vault_count(&vault.came);

	c.name = c.client = client;
	c.answer = answer;
	c.asked = asked;
	case_once(&c, h1, &tls);
	if (vault_count(&vault.came) - before != hashed)
		fail_msg("%s: %u were hashed", client, vault_count(&vault.came) - before);
}

#define GET(credentials) "GET / [authorization: Basic " credentials "] end"
#define EINS             GET("YW5uYTplaW5z")
#define BERTA            GET("YmVydGE6ZWlucw==")
#define ZWEI             GET("YW5uYTp6d2Vp")
#define NOBODY           GET("bm9ib2R5OmVpbnM=")
#define THEN             "; wait end; "

static void what_was_right_once_is_not_hashed_again(void **state)
{
	(void)state;
	run(EINS THEN EINS THEN EINS, LET_IN LET_IN LET_IN, "GET /\nend\nGET /\nend\nGET /\nend\n", 1);
	/* A password that is hers is not yet another's. */
	run(EINS THEN BERTA THEN EINS THEN BERTA, LET_IN LET_IN LET_IN LET_IN,
		"GET /\nend\nGET /\nend\nGET /\nend\nGET /\nend\n", 2);
}

static void what_is_wrong_is_hashed_each_time(void **state)
{
	(void)state;
	run(ZWEI THEN ZWEI THEN EINS THEN ZWEI, REFUSED REFUSED LET_IN REFUSED, "GET /\nend\n", 4);
	run("GET / end", REFUSED, "", 0);
}

/* Else the time that it takes would tell which names there are. */
static void a_name_that_is_not_there_is_hashed_for_as_well(void **state)
{
	(void)state;
	run(NOBODY THEN NOBODY, REFUSED REFUSED, "", 2);
	assert_string_equal(vault.password, "eins");
	assert_memory_equal(vault.hash, "$5$rounds=1000$", 15);
	/* ... also when the password is one that is known to be right, of the one whose hash stands in. */
	run(EINS THEN NOBODY, LET_IN REFUSED, "GET /\nend\n", 2);
}

static void turn_until(struct stage *st, const unsigned *of, unsigned n)
{
	uint64_t end = case_ms() + CASE_PATIENCE_MS;

	while (vault_count(of) < n && case_ms() < end)
		house_turn(&st->house, 1);
	assert_true(vault_count(of) >= n);
}

static void who_leaves_while_it_is_hashed_leaves_nothing(void **state)
{
	static const struct pairing *const how[] = {&h1, &h2};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(how); i++) {
		struct test_case c = case_of(users_of(anna), "", basic("anna:eins"));
		unsigned came = vault_count(&vault.came);
		uint64_t end = case_ms() + CASE_PATIENCE_MS;
		struct stage *st;

		vault_set(true);
		st = stage_new(&c, *how[i]);
		stage_connect(st);
		turn_until(st, &vault.came, came + 1);
		assert_int_equal(st->house.worker.edge.exchange_n, 1);
		side_reset(&st->client);
		while (st->house.worker.edge.exchange_n && case_ms() < end) {
			stage_hurry(st);
			house_turn(&st->house, 1);
		}
		assert_int_equal(st->house.worker.edge.exchange_n, 0);
		vault_set(false);
		/* The next one is hashed anew, behind the one that nobody waits for. */
		stage_hear(st, "200");
		assert_int_equal(vault_count(&vault.came), came + 2);
		stage_settle(st);
		assert_string_equal(side_heard(&st->client), LET_IN);
		stage_clear(st);
		stage_free(&st);
	}
}

#define CROWD (OFFLOAD_WAITING_MAX + 3)

/* What has come for all of them, one after the other. */
static void listen_to(const int *fds, struct text *all)
{
	char bytes[4096];

	for (unsigned i = 0; i < CROWD; i++) {
		ssize_t n = read(fds[i], bytes, sizeof(bytes));

		if (n > 0)
			text_put(all, (struct str){bytes, (size_t)n});
	}
	assert_false(all->cut);
	all->p[all->n] = '\0';
}

static unsigned count(const char *text, const char *what)
{
	unsigned n = 0;

	while ((text = strstr(text, what))) {
		text += strlen(what);
		n++;
	}
	return n;
}

static void a_crowd_of_guesses_waits_no_longer_than_it_may(void **state)
{
	static const char guess[] =
		"GET / HTTP/1.1\r\nHost: shop.test\r\nAuthorization: Basic YW5uYTp6d2Vp\r\n\r\n";
	static char heard[CROWD * 1024];
	struct text all = text_in(heard, sizeof(heard) - 1);
	struct test_case c = case_of(users_of(anna), "", basic("anna:zwei"));
	unsigned left = vault_count(&vault.left);
	uint64_t end = case_ms() + CASE_PATIENCE_MS;
	struct stage *st = stage_new(&c, h1);
	int fds[CROWD];

	(void)state;
	vault_set(true);
	for (unsigned i = 0; i < CROWD; i++) {
		fds[i] = house_client_fd(&st->house, false);
		assert_int_equal(write(fds[i], guess, sizeof(guess) - 1), sizeof(guess) - 1);
	}
	while (count(heard, "HTTP/1.1 ") < CROWD - OFFLOAD_WAITING_MAX && case_ms() < end) {
		house_turn(&st->house, 1);
		listen_to(fds, &all);
	}
	assert_int_equal(count(heard, "HTTP/1.1 503 "), CROWD - OFFLOAD_WAITING_MAX);
	assert_int_equal(
		count(heard, "\r\nx-weir-reason: auth_unavailable\r\n"), CROWD - OFFLOAD_WAITING_MAX);
	assert_null(strcasestr(heard, "www-authenticate"));
	assert_int_equal(st->house.worker.edge.exchange_n, OFFLOAD_WAITING_MAX);
	vault_set(false);
	while (count(heard, "HTTP/1.1 ") < CROWD && case_ms() < end) {
		house_turn(&st->house, 1);
		listen_to(fds, &all);
	}
	assert_int_equal(count(heard, "HTTP/1.1 401 "), OFFLOAD_WAITING_MAX);
	assert_int_equal(vault_count(&vault.left) - left, OFFLOAD_WAITING_MAX);
	for (unsigned i = 0; i < CROWD; i++)
		close(fds[i]);
	stage_clear(st);
	stage_free(&st);
}

/* -- what others learn -- */

static void hear_challenge(const char *realm, const char *escaped)
{
	char keys[1024], wanted[2048];
	struct test_case c;

	snprintf(keys, sizeof(keys), ", realm: '%s'", realm);
	snprintf(wanted, sizeof(wanted), " [www-authenticate: Basic realm=\"%s\", charset=\"UTF-8\"]",
		escaped);
	c = case_of(users_of(anna), keys, "");
	c.show = ",www-authenticate,x-weir-reason,";
	for (unsigned h2_too = 0; h2_too < 2; h2_too++) {
		struct stage *st = stage_new(&c, h2_too ? h2 : h1);

		stage_hear(st, wanted);
		stage_clear(st);
		stage_free(&st);
	}
}

static void the_challenge_is_a_header_whatever_the_realm(void **state)
{
	char realm[302], escaped[602];

	(void)state;
	hear_challenge("restricted", "restricted");
	hear_challenge("", "");
	hear_challenge("a \"b\" \\c", "a \\\"b\\\" \\\\c");
	/* Of any length: nothing is cut off, least of all between a backslash and what it stands before. */
	memset(realm, '"', 301);
	realm[301] = '\0';
	for (unsigned i = 0; i < 601; i++)
		escaped[i] = i % 2 ? '\\' : '"';
	escaped[0] = realm[0] = 'x';
	escaped[601] = '\0';
	hear_challenge(realm, escaped);
	hear_challenge(realm + 1, escaped + 1);
}

static void the_backend_learns_the_name_and_the_password_only_if_wanted(void **state)
{
	static const struct {
		const char *keys, *asked;
	} rows[] = {
		{"", "GET / [x-user: root]\nend\n"},
		{", header: X-User", "GET / [x-user: anna]\nend\n"},
		{", forward: true", "GET / [authorization: Basic YW5uYTplaW5z] [x-user: root]\nend\n"},
		{", forward: true, header: X-User",
			"GET / [authorization: Basic YW5uYTplaW5z] [x-user: anna]\nend\n"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct test_case c = case_of(users_of(anna), rows[i].keys, "");
		char asked[512];

		/* Twice: hashed, and remembered. */
		c.client = "GET / [authorization: Basic YW5uYTplaW5z] [x-user: root] end; wait end; "
			   "GET / [authorization: Basic YW5uYTplaW5z] [x-user: root] end";
		c.answer = LET_IN LET_IN;
		snprintf(asked, sizeof(asked), "%s%s", rows[i].asked, rows[i].asked);
		c.asked = asked;
		case_once(&c, h1, &tls);
		case_once(&c, h2, &tls);
	}
}

/* -- lists of users -- */

#define HASH "$5$rounds=1000$weirtest$abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ"

/* NULL: refused. said: malloc'ed. */
static struct module_set *set_of(
	const char *keys, const struct module_set *running, struct conf **conf, char **said)
{
	struct conf_report report;
	struct module_set *set;
	char text[8192];

	snprintf(text, sizeof(text),
		"listeners: {in: {address: '127.0.0.1:1'}}\nmodules: {basic_auth: {%s}}\n", keys);
	*conf = conf_load_text("b.yaml", str_of(text), &report);
	set = *conf ? module_set_build(*conf, running, NULL, &report) : NULL;
	*said = conf_report_text(&report);
	if (report.errors) {
		module_set_unref(set);
		set = NULL;
	}
	conf_report_free(&report);
	return set;
}

static void write_file(const char *path, const void *text, size_t n)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

/* wanted: what is said of the set, if it is one; or of the mistake. */
static void judge_file(const char *path, const char *wanted)
{
	const struct head request = {0};
	char keys[512], line[256] = "";
	struct text out = text_in(line, sizeof(line) - 1);
	struct module_set *set;
	struct conf *conf;
	char *said;

	snprintf(keys, sizeof(keys), "file: '%s'", path);
	set = set_of(keys, NULL, &conf, &said);
	if (set)
		set->places[0]->module->explain(
			set->places[0]->values, set->places[0]->built->data, &request, NULL, &out);
	if (!strstr(set ? line : said, wanted))
		fail_msg("wanted \"%s\", got \"%s\"", wanted, set ? line : said);
	free(said);
	module_set_unref(set);
	conf_free(conf);
}

static void a_file_of_users_is_read_as_people_write_them(void **state)
{
	static const struct {
		struct str text;
		const char *wanted;
	} rows[] = {
		{STR("anna:" HASH "\n"), "1 users"},
		{STR("anna:" HASH), "1 users"},
		{STR(""), "0 users"},
		{STR("\n\n# nobody:x\n#\n\n"), "0 users"},
		{STR("anna:" HASH "\nberta:" HASH "\n"), "2 users"},
		{STR("anna:" HASH "\r\n\r\n# more\r\nberta:" HASH "\r\n"), "2 users"},
		{STR("anna:" HASH ":1000:Anna:/home\nberta:" HASH " \n"), "2 users"},
		{STR("anna:$2b$05$abcdefghijklmnopqrstuuTgT.fFEYtJyvQzk4lwfeZmIhIZDmCVa\n"), "1 users"},
		{STR("anna:" HASH "\nAnna:" HASH "\n"), "2 users"},
		{STR("anna:" HASH "\nberta:" HASH "\nanna:" HASH "\n"), "user \"anna\" is there twice"},
		{STR("anna\n"), "a user is written \"name:hash\", not \"anna\""},
		{STR(":" HASH "\n"), "a user is written"},
		{STR("anna:\n"), "the hash of user \"anna\" is of no safe kind"},
		{STR("anna: " HASH "\n"), "is of no safe kind"},
		{STR("anna:secret\n"), "is of no safe kind"},
		{STR("anna:$1$ab$cdefghijklmnopqrstuvw/\n"), "is of no safe kind"},
		{STR("anna:$apr1$ab$cdefghijklmnopqrstuvw/\n"), "is of no safe kind"},
		{STR("anna:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=\n"), "is of no safe kind"},
		{STR("anna:aaPwJ9XL9Y99E\n"), "is of no safe kind"},
		{STR("anna:*\n"), "is of no safe kind"},
		{STR("anna:!" HASH "\n"), "is of no safe kind"},
		/* Names that would reach a backend as something else. */
		{STR("an\rna:" HASH "\n"), "has a control character"},
		{STR("an\x1bna:" HASH "\n"), "has a control character"},
		{STR(" anna:" HASH "\n"), "a space at one of its ends"},
		{STR("anna :" HASH "\n"), "a space at one of its ends"},
		/* No line break, and three users all the same. */
		{STR("anna:" HASH "\0berta:" HASH "\0cora:" HASH), "has no NUL in it"},
		{STR("\0"), "has no NUL in it"},
	};
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/users", tls.dir);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		write_file(path, rows[i].text.p, rows[i].text.n);
		judge_file(path, rows[i].wanted);
	}
	unlink(path);
	judge_file(path, "No such file");
	write_file(path, "", 0);
	assert_int_equal(truncate(path, 4 * 1024 * 1024 + 1), 0);
	judge_file(path, "is longer than 4194304 bytes");
	unlink(path);
}

static void a_user_is_in_the_list_or_in_the_file(void **state)
{
	char path[128], keys[512];
	struct module_set *set;
	struct conf *conf;
	char *said;

	(void)state;
	snprintf(path, sizeof(path), "%s/users", tls.dir);
	write_file(path, "anna:" HASH "\n", sizeof("anna:" HASH));
	snprintf(keys, sizeof(keys), "users: ['anna:" HASH "'], file: '%s'", path);
	set = set_of(keys, NULL, &conf, &said);
	assert_null(set);
	assert_non_null(strstr(said, "user \"anna\" is there twice"));
	free(said);
	conf_free(conf);
	set = set_of("realm: x", NULL, &conf, &said);
	assert_null(set);
	assert_non_null(strstr(said, "basic_auth needs \"users\" or \"file\""));
	free(said);
	conf_free(conf);
	unlink(path);
}

/* What a worker remembers stands beside the data: the same data, and it stays; other data, and it is gone. */
static void a_reload_with_other_users_forgets_and_another_does_not(void **state)
{
	static const struct {
		const char *keys;
		bool same;
	} rows[] = {
		{"users: ['anna:" HASH "', 'berta:" HASH "']", true},
		{"users: ['anna:" HASH "', 'berta:" HASH "'], realm: new, header: X-New", true},
		{"users: ['anna:" HASH "']", false},
		{"users: ['anna:" HASH "', 'berta:$5$" HASH "']", false},
		{"users: ['anna:" HASH "', 'berta:" HASH "', 'cora:" HASH "']", false},
	};
	struct module_set *set, *next;
	struct conf *conf, *then;
	char *said;

	(void)state;
	set = set_of(rows[0].keys, NULL, &conf, &said);
	assert_non_null(set);
	free(said);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		next = set_of(rows[i].keys, set, &then, &said);
		assert_non_null(next);
		assert_int_equal(next->places[0]->built == set->places[0]->built, rows[i].same);
		module_set_unref(next);
		conf_free(then);
		free(said);
	}
	module_set_unref(set);
	conf_free(conf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_secret_opens_byte_for_byte),
		cmocka_unit_test(credentials_have_one_form),
		cmocka_unit_test(of_several_credentials_none_counts),
		cmocka_unit_test(a_secret_that_is_too_long_is_none),
		cmocka_unit_test(what_was_right_once_is_not_hashed_again),
		cmocka_unit_test(what_is_wrong_is_hashed_each_time),
		cmocka_unit_test(a_name_that_is_not_there_is_hashed_for_as_well),
		cmocka_unit_test(who_leaves_while_it_is_hashed_leaves_nothing),
		cmocka_unit_test(a_crowd_of_guesses_waits_no_longer_than_it_may),
		cmocka_unit_test(the_challenge_is_a_header_whatever_the_realm),
		cmocka_unit_test(the_backend_learns_the_name_and_the_password_only_if_wanted),
		cmocka_unit_test(a_file_of_users_is_read_as_people_write_them),
		cmocka_unit_test(a_user_is_in_the_list_or_in_the_file),
		cmocka_unit_test(a_reload_with_other_users_forgets_and_another_does_not),
	};

	return RUN_SUITE(tests);
}
