/* modules/forward_auth.c: what a server that decides may say, and that nothing but a whole answer opens anything. */
#include "judge.h"

#define UNAVAILABLE "503 auth_unavailable\nend\n"
#define LET_IN      "200\nend\n"
#define HEAD_OF(n)  "HTTP/1.1 403 No\r\nContent-Length: " #n "\r\n\r\n"

struct row {
	const char *says; /* NULL: nothing */
	const char *answer; /* the client's */
	bool close; /* the connection, afterwards */
};

/* more: further keys of the module. */
static void run_row(const struct row *row, const char *more, bool hurry, struct pairing how)
{
	char top[512], address[ADDR_TEXT_MAX];
	bool passes = strcmp(row->answer, LET_IN) == 0;
	struct judge j;
	struct test_case c = {.name = row->says ? row->says : "(nothing)",
		.top = top,
		.show = ",www-authenticate,set-cookie,connection,transfer-encoding,x-user,",
		.client = "GET /p end",
		.origin = "200 end",
		.answer = row->answer,
		.asked = passes ? "GET /p\nend\n" : ""};

	judge_open(&j);
	j.answer = row->says ? str_of(row->says) : STR_NONE;
	j.close = row->close;
	snprintf(top, sizeof(top),
		"modules: {forward_auth: {url: 'http://%s/check', timeout: %s, copy: [x-user]%s}}\n",
		judge_address(&j, address), hurry ? "1s" : "1h", more);
	judge_case(&j, &c, how, hurry);
	judge_close(&j);
}

static void run_rows(const struct row *rows, size_t n, const char *more)
{
	for (size_t i = 0; i < n; i++) {
		run_row(&rows[i], more, false, h1);
		run_row(&rows[i], more, false, h2);
	}
}

static void a_whole_answer_counts_after_any_interim_ones(void **state)
{
	static const struct row rows[] = {
		{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", LET_IN, false},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", LET_IN, false},
		{"HTTP/1.1 204 No\r\n\r\n", LET_IN, false},
		{"HTTP/1.1 299 Odd\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", LET_IN, false},
		{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: </x>\r\n\r\n"
		 "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
			LET_IN, false},
		{"HTTP/1.1 103 Hints\r\nX-User: root\r\n\r\nHTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n",
			"403\nend\n", false},
		{"HTTP/1.0 200 OK\r\n\r\nuntil the end", LET_IN, true},
	};

	(void)state;
	run_rows(rows, COUNT_OF(rows), "");
}

static void its_no_is_passed_on_as_it_says_it(void **state)
{
	static const struct row rows[] = {
		{"HTTP/1.1 302 Found\r\nLocation: /login\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
		 "Content-Length: 2\r\n\r\nin",
			"302 length=2 [location: /login] [set-cookie: a=1] [set-cookie: b=2]\nbody in\nend\n",
			false},
		{"HTTP/1.1 401 Who\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
			"401 [www-authenticate: Basic]\nend\n", false},
		{"HTTP/1.1 403 No\r\nConnection: x-hop\r\nX-Hop: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
		 "2\r\nno\r\n0\r\nX-User: root\r\n\r\n",
			"403 length=2\nbody no\nend\n", false},
		/* More than it announced is not the answer's, and no answer to anybody else either. */
		{HEAD_OF(2) "nope, HTTP/1.1 200 OK\r\n\r\n", "403 length=2\nbody no\nend\n", false},
		{"HTTP/1.1 304 Same\r\n\r\n", "304\nend\n", false},
	};

	(void)state;
	run_rows(rows, COUNT_OF(rows), "");
}

static const struct row no_answers[] = {
	{"", UNAVAILABLE, true},
	{"HTTP/1.1 200", UNAVAILABLE, true},
	{"HTTP/1.1 200 OK\r\nContent-Le", UNAVAILABLE, true},
	{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", UNAVAILABLE, true},
	{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", UNAVAILABLE, true},
	{HEAD_OF(5) "nop", UNAVAILABLE, true},
	{"HTTP/1.1 103 Hints\r\n\r\n", UNAVAILABLE, true},
	{"SSH-2.0-OpenSSH_9.2\r\n", UNAVAILABLE, false},
	{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 3\r\n\r\n", UNAVAILABLE, false},
	{"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", UNAVAILABLE, false},
	{"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n", UNAVAILABLE, false},
	{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", UNAVAILABLE, false},
	{"HTTP/1.1 200 OK\r\nX-User: a\rb\r\nContent-Length: 0\r\n\r\n", UNAVAILABLE, false},
	{"HTTP/1.1 200 OK\r\n X-User: root\r\nContent-Length: 0\r\n\r\n", UNAVAILABLE, false},
	{"HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n", UNAVAILABLE, false},
	{"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n", UNAVAILABLE, false},
	{"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", UNAVAILABLE, false},
	{"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", UNAVAILABLE, false},
	{"HTTP/1.1 599 Oops\r\nContent-Length: 0\r\n\r\n", UNAVAILABLE, false},
};

static void what_is_no_whole_answer_opens_nothing(void **state)
{
	(void)state;
	run_rows(no_answers, COUNT_OF(no_answers), "");
}

static void what_is_no_whole_answer_lets_pass_where_that_was_asked_for(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(no_answers); i++) {
		struct row open = no_answers[i];

		open.answer = LET_IN;
		run_rows(&open, 1, ", fail_open: true");
	}
}

/* malloc'ed: before, n times unit, after. */
static char *long_text(const char *before, const char *unit, unsigned n, const char *after)
{
	char *text = malloc(strlen(before) + strlen(unit) * n + strlen(after) + 1), *at;

	assert_non_null(text);
	at = stpcpy(text, before);
	for (unsigned i = 0; i < n; i++)
		at = stpcpy(at, unit);
	strcpy(at, after);
	return text;
}

static void what_never_ends_is_cut_off_in_bounded_memory(void **state)
{
	char *rows[] = {
		long_text("HTTP/1.1 200 OK\r\nX-Long: ", "0123456789abcdef", 65536, "\r\n\r\n"),
		long_text("HTTP/1.1 200 OK\r\n", "X-Many: 0123456789abcdef\r\n", 40000, "\r\n"),
		long_text("", "HTTP/1.1 103 Hints\r\nLink: </x>\r\n\r\n", 30000, ""),
		long_text("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n", 200000, ""),
		long_text(
			"HTTP/1.1 403 No\r\nContent-Length: 1048576\r\n\r\n", "0123456789abcdef", 65536, ""),
		long_text("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", "0123456789abcdef",
			65536, "\r\na\r\n0\r\n\r\n"),
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		run_row(&(struct row){rows[i], UNAVAILABLE, false}, "", false, h1);
		free(rows[i]);
	}
}

static void who_says_nothing_in_time_has_not_answered(void **state)
{
	static const char *const says[] = {NULL, "HTTP/1.1 2",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", "HTTP/1.1 100 Continue\r\n\r\n"};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(says); i++) {
		run_row(&(struct row){says[i], UNAVAILABLE, false}, "", true, h1);
		run_row(&(struct row){says[i], LET_IN, false}, ", fail_open: true", true, h2);
	}
}

static void what_it_is_asked_says_what_is_wanted_and_no_more(void **state)
{
	static const char *const there[] = {"POST /check HTTP/1.1\r\n", "\r\nx-forwarded-method: GET\r\n",
		"\r\nx-forwarded-uri: /p?q=1\r\n", "\r\nx-forwarded-host: shop.test\r\n",
		"\r\nx-forwarded-proto: http\r\n", "\r\nx-forwarded-for: 192.0.2.7\r\n", "\r\nx-key: 1\r\n",
		"\r\nx-key: 2\r\n"};
	char top[512], address[ADDR_TEXT_MAX];
	struct judge j;
	struct test_case c = {.name = "asked",
		.top = top,
		.show = ",x-user,",
		.client = "GET /p?q=1 [x-key: 1] [authorization: secret] [x-user: root] [x-key: 2] "
			  "[x-forwarded-uri: /other] end",
		.origin = "200 end",
		.answer = LET_IN,
		.asked = "GET /p?q=1 [x-key: 1] [authorization: secret] [x-key: 2] [x-forwarded-uri: /other] "
			 "[x-user: anna] [x-user: otto]\nend\n"};

	(void)state;
	judge_open(&j);
	j.answer = STR("HTTP/1.1 200 OK\r\nX-User: anna\r\nX-USER: otto\r\nContent-Length: 0\r\n\r\n");
	snprintf(top, sizeof(top),
		"modules: {forward_auth: {url: 'http://%s/check', method: POST, send: [x-key], copy: "
		"[x-user]}}\n",
		judge_address(&j, address));
	judge_case(&j, &c, h1, false);
	for (size_t i = 0; i < COUNT_OF(there); i++)
		if (!strcasestr(j.last, there[i]))
			fail_msg("\"%s\" is not in\n%s", there[i], j.last);
	assert_null(strcasestr(j.last, "secret"));
	assert_null(strcasestr(j.last, "/other"));
	judge_close(&j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_answer_counts_after_any_interim_ones),
		cmocka_unit_test(its_no_is_passed_on_as_it_says_it),
		cmocka_unit_test(what_is_no_whole_answer_opens_nothing),
		cmocka_unit_test(what_is_no_whole_answer_lets_pass_where_that_was_asked_for),
		cmocka_unit_test(what_never_ends_is_cut_off_in_bounded_memory),
		cmocka_unit_test(who_says_nothing_in_time_has_not_answered),
		cmocka_unit_test(what_it_is_asked_says_what_is_wanted_and_no_more),
	};

	return RUN_SUITE(tests);
}
