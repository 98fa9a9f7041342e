/* modules/rewrite.c: what strangers can make of a rewritten path, query or host. Its plain uses are in test_headers.c. */
#include "exchange/suite.h"
#include "config/conf_text.h"

struct row {
	const char *keys, *path, *becomes; /* becomes NULL: it is refused */
};

static void run_row(const struct row *row, struct pairing how)
{
	char top[512], client[512], asked[512] = "";
	const struct test_case c = {.name = row->path,
		.top = top,
		.client = client,
		.origin = "200 end",
		.asked = asked,
		.answer = row->becomes ? "200\nend\n" : "400 rewrite_invalid\nend\n"};

	snprintf(top, sizeof(top), "modules: {rewrite: {%s}}\n", row->keys);
	snprintf(client, sizeof(client), "GET %s end", row->path);
	if (row->becomes)
		snprintf(asked, sizeof(asked), "GET %s\nend\n", row->becomes);
	case_once(&c, how, &tls);
}

static void run_rows(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		run_row(&rows[i], h1);
		run_row(&rows[i], h2);
	}
}

static void what_is_put_together_is_no_way_up(void **state)
{
	static const struct row rows[] = {
		{"rules: [{regex: '/x(.*)', to: '/$(1)'}]", "/x.", NULL},
		{"rules: [{regex: '/x(.*)', to: '/$(1)'}]", "/x..", NULL},
		{"rules: [{regex: '/x(.*)', to: '/$(1)'}]", "/x../y", NULL},
		{"rules: [{regex: '/x(.*)', to: '/$(1)'}]", "/x./y", NULL},
		{"rules: [{regex: '/x(.*)', to: '/.$(1)'}]", "/x.", NULL},
		{"rules: [{regex: '/(.*)x(.*)', to: '/$(1)$(2)'}]", "/a/.x./b", NULL},
		{"rules: [{regex: '/x(.*)', to: '/$(1)'}]", "/x...", "/..."},
		{"rules: [{regex: '/x(.*)', to: '/y/%$(1)'}]", "/x2e%2e", NULL},
		{"rules: [{regex: '/x(.*)', to: '/y/%2$(1)'}]", "/xe", NULL},
		{"rules: [{to: '/f/$(query.f)'}]", "/?f=..", NULL},
		{"rules: [{to: '/f/$(query.f)'}]", "/?f=%2e%2e", NULL},
		{"rules: [{to: '/f/$(query.f)'}]", "/?f=../x", NULL},
		{"rules: [{to: '/$(query.f)'}]", "/?f=/evil.test/", "/%2Fevil.test%2F?f=/evil.test/"},
		{"rules: [{to: '$(query.f)'}]", "/?f=http://evil.test/", NULL},
		{"rules: [{to: '$(query.f)'}]", "/?f=/evil.test/",
			NULL}, /* a / is encoded, and so begins no path */
	};

	(void)state;
	run_rows(rows, COUNT_OF(rows));
}

static void the_first_rule_that_fits_the_path_as_it_was_sent_counts(void **state)
{
	static const struct row rows[] = {
		{"rules: [{prefix: /a, to: /b}, {prefix: /b, to: /c}]", "/a",
			"/b"}, /* and no other after it */
		{"rules: [{prefix: /a, to: /b}]", "/A", "/A"},
		{"rules: [{prefix: /a, to: /b}]", "/a%2e", "/a%2e"},
		{"rules: [{prefix: /a, to: /b}]", "/%61", "/%61"},
		{"rules: [{prefix: /a, to: /b/}]", "/a", "/b/"},
		{"rules: [{prefix: /a/, to: /b/}]", "/a", "/b/"},
		{"rules: [{prefix: /a/, to: /b/}]", "/a/", "/b/"},
		{"rules: [{prefix: /a, to: /b}]", "/a?x=/a", "/b?x=/a"},
		{"rules: [{prefix: /a, to: '/b?y=1'}]", "/a/c?x=1", "/b/c?y=1"},
		{"rules: [{regex: '/a', to: /b}]", "/a/", "/a/"},
		{"rules: [{regex: '/a', to: /b}]", "/a?/a", "/b?/a"}, /* it sees no query */
		{"rules: [{regex: '.*q=1', to: /b}]", "/a?q=1", "/a?q=1"},
		/* One that would take for ever does not fit. */
		{"rules: [{regex: '/(a+)+b', to: /b}]",
			"/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac",
			"/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac"},
	};

	(void)state;
	run_rows(rows, COUNT_OF(rows));
}

static void a_query_is_edited_by_whole_parameters(void **state)
{
	static const struct row rows[] = {
		{"query: {remove: [a]}", "/?a=1&ab=2&b=a&a&A=3", "/?ab=2&b=a&A=3"},
		{"query: {remove: [a]}", "/?a", "/"},
		{"query: {remove: [a]}", "/?", "/"},
		{"query: {remove: [a]}", "/?&&b=1&", "/?&&b=1"},
		{"query: {remove: [a]}", "/?=1&a==2", "/?=1"},
		{"query: {remove: ['a*']}", "/?ba=1&a=2&abc", "/?ba=1"},
		{"query: {remove: [a]}", "/?b=1;a=2", "/?b=1;a=2"}, /* a ; separates nothing (WHATWG URL) */
		{"query: {set: {a: x}}", "/?a=1&b=2&a=3", "/?b=2&a=x"},
		{"query: {set: {a: x}}", "/", "/?a=x"},
		{"query: {set: {a: $(query.b)}}", "/?b=1%26c=2", "/?b=1%26c=2&a=1%26c%3D2"},
		{"query: {set: {a: $(query.none)}}", "/?a=1",
			"/"}, /* what a client says in its place goes too */
		{"rules: [{to: '/x?a=1&b=2'}], query: {remove: [b], set: {c: d}}", "/?z", "/x?a=1&c=d"},
	};

	(void)state;
	run_rows(rows, COUNT_OF(rows));
}

static void a_host_is_one_or_it_is_refused(void **state)
{
	static const struct {
		const char *said;
		bool good;
	} rows[] = {
		{"a.test", true},
		{"a.test:81", true},
		{"a.test:", false},
		{"a.test:0x50", false},
		{"a.test:65536", false},
		{"a b", false},
		{"a@b", false},
		{"a/b", false},
		{"a.test,b.test", false},
		{"a.test:81:82", false},
		{"::1", false},
		{"\xff", false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char client[128], asked[128] = "";
		const struct test_case c = {.name = rows[i].said,
			.top = "modules: {rewrite: {host: '$(header.x-h)'}}\n",
			.client = client,
			.origin = "200 end",
			.asked = asked,
			.answer = rows[i].good ? "200\nend\n" : "400 rewrite_invalid\nend\n"};

		snprintf(client, sizeof(client), "GET / [x-h: %s] end", rows[i].said);
		if (rows[i].good)
			snprintf(asked, sizeof(asked), "GET / [x-h: %s]\nend\n", rows[i].said);
		case_once(&c, h1, &tls);
		case_once(&c, h2, &tls);
	}
}

static void what_could_never_be_sent_is_refused_with_the_configuration(void **state)
{
	static const char *const rows[] = {"rules: [{to: x}]", "rules: [{to: '/a b'}]",
		"rules: [{to: '/a#b'}]", "rules: [{to: '/\xc3\xa9'}]", "rules: [{prefix: a, to: /}]",
		"rules: [{prefix: '/a?b', to: /}]", "rules: [{prefix: '/a b', to: /}]",
		"rules: [{prefix: /a, regex: /a, to: /}]", "rules: [{regex: '(', to: /}]",
		"rules: [{prefix: /a, to: '/$(1)'}]", "rules: [{prefix: /a}]", "query: {set: {'a=b': c}}",
		"query: {set: {'a&b': c}}", "query: {set: {a: 'b c'}}", "query: {remove: ['a=b']}",
		"query: {remove: ['']}", "query: {remove: ['a b']}", "query: {set: [a]}"};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char text[512];
		struct loaded l;

		snprintf(text, sizeof(text), LISTEN "modules: {rewrite: {%s}}\ntenants: {}\n", rows[i]);
		l = load_text(text);
		if (l.report.errors == 0)
			fail_msg("%s is taken", rows[i]);
		loaded_free(&l);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_put_together_is_no_way_up),
		cmocka_unit_test(the_first_rule_that_fits_the_path_as_it_was_sent_counts),
		cmocka_unit_test(a_query_is_edited_by_whole_parameters),
		cmocka_unit_test(a_host_is_one_or_it_is_refused),
		cmocka_unit_test(what_could_never_be_sent_is_refused_with_the_configuration),
	};

	return RUN_SUITE(tests);
}
