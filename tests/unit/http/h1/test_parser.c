/* Every line of what bad HTTP/1 heads get, and the canonical form of good ones. Each head is parsed whole and fed byte by byte:
 * both must come to the same result. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "base/obj.h"
#include "http/h1/parser.h"

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="

static struct http_limits lim = {.header_bytes = 8192, .header_count = 10};

struct parsed {
	enum h1_result r;
	struct h1_message m;
	struct field fields[64];
	char text[16384];
	char said[16384];
};

static void describe(struct parsed *p)
{
	struct text t = text_in(p->said, sizeof(p->said) - 1);
	const struct head *h = &p->m.head;

	text_fmt(&t, STR_FMT " " STR_FMT " " STR_FMT " " STR_FMT " v%u body%u", STR_ARG(h->method),
		STR_ARG(h->scheme), STR_ARG(h->authority), STR_ARG(h->path), h->version, h->body);
	if (h->status)
		text_fmt(&t, " status=%u", h->status);
	if (h->has_length)
		text_fmt(&t, " length=%llu", (unsigned long long)h->length);
	if (h->protocol.n)
		text_fmt(&t, " protocol=" STR_FMT, STR_ARG(h->protocol));
	text_put(&t, h->te_trailers ? STR(" te") : STR_NONE);
	text_put(&t, h->expect_continue ? STR(" expect") : STR_NONE);
	text_put(&t, p->m.keep_alive ? STR(" keep") : STR(" close"));
	text_put(&t, p->m.chunked ? STR(" chunked") : STR_NONE);
	text_put(&t, p->m.until_close ? STR(" until-close") : STR_NONE);
	for (unsigned i = 0; i < h->fields.n; i++)
		text_fmt(&t, " %s" STR_FMT "=" STR_FMT, h->fields.v[i].raw ? "" : "~",
			STR_ARG(field_name(&h->fields.v[i])), STR_ARG(field_value(&h->fields.v[i])));
	p->said[t.n] = '\0';
}

enum kind { REQUEST, RESPONSE };

static enum h1_result parse_once(
	struct parsed *p, struct h1_progress *g, enum kind kind, size_t n, const struct h1_asked *asked)
{
	p->m.head.fields.v = p->fields;
	p->m.head.fields.cap = COUNT_OF(p->fields);
	p->r = kind == REQUEST ? h1_parse_request(&p->m, g, p->text, n, &lim)
			       : h1_parse_response(&p->m, g, p->text, n, &lim, asked);
	return p->r;
}

/* Whole and byte by byte; the result of the whole parse, with the other one compared. */
static struct parsed *parse_both(enum kind kind, const char *in, size_t n, const struct h1_asked *asked)
{
	static struct parsed whole, split;
	struct h1_progress g = {0};

	memcpy(whole.text, in, n);
	parse_once(&whole, &g, kind, n, asked);
	if (whole.r == H1_PARTIAL)
		return &whole;
	describe(&whole);
	g = (struct h1_progress){0};
	memcpy(split.text, in, n);
	for (size_t i = 1; i <= n; i++)
		if (parse_once(&split, &g, kind, i, asked) != H1_PARTIAL)
			break;
	describe(&split);
	assert_int_equal(split.r, whole.r);
	assert_int_equal(split.m.why, whole.m.why);
	if (whole.r == H1_COMPLETE) {
		assert_string_equal(split.said, whole.said);
		assert_int_equal(split.m.size, whole.m.size);
	}
	return &whole;
}

static struct parsed *request(const char *in)
{
	return parse_both(REQUEST, in, strlen(in), NULL);
}

static struct parsed *response(const char *in, enum method method, bool tunnel)
{
	struct h1_asked asked = {method, tunnel};

	return parse_both(RESPONSE, in, strlen(in), &asked);
}

static void assert_request(const char *in, const char *expected)
{
	struct parsed *p = request(in);

	if (p->r != H1_COMPLETE)
		fail_msg("%s: refused with %s", in, reason_row(p->m.why)->name.p);
	assert_string_equal(p->said, expected);
}

static void assert_bad(const char *in, enum reason why)
{
	struct parsed *p = request(in);

	if (p->r != H1_BAD || p->m.why != why || p->m.head.reject != why)
		fail_msg("%s: result %d, %s instead of %s", in, p->r, reason_row(p->m.why)->name.p,
			reason_row(why)->name.p);
}

/* A request with these lines behind a good Host. */
static const char *with(const char *lines)
{
	static char in[4096];

	snprintf(in, sizeof(in), "POST / HTTP/1.1\r\nHost: a\r\n%s\r\n", lines);
	return in;
}

static void assert_bad_lines(enum reason why, const char *const *lines, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_bad(with(lines[i]), why);
}

#define BAD_LINES(why, ...) \
	do { \
		static const char *const lines_[] = {__VA_ARGS__}; \
		assert_bad_lines(REASON_##why, lines_, COUNT_OF(lines_)); \
	} while (0)

/* -- good ones -- */

static void a_plain_request_keeps_its_fields_as_they_came(void **state)
{
	(void)state;
	assert_request("GET /a/b?c=d HTTP/1.1\r\nHost: Example.COM:8080\r\nUser-Agent: "
		       "curl/7\r\nX-Empty:\r\nX-Tight:v\r\nX-Wide: \t v w \t\r\n\r\n",
		"GET http example.com:8080 /a/b?c=d v2 body0 keep User-Agent=curl/7 ~X-Empty= ~X-Tight=v "
		"~X-Wide=v w");
}

#define EIGHT_EMPTY_LINES "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n"

static void a_few_empty_lines_before_a_request_are_passed_over(void **state)
{
	(void)state;
	assert_request("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET http a / v2 body0 keep");
	assert_request("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET http a / v2 body0 keep");
	assert_request(EIGHT_EMPTY_LINES "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET http a / v2 body0 keep");
	assert_bad(EIGHT_EMPTY_LINES "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", REASON_CLIENT_BAD_REQUEST);
	assert_bad("\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", REASON_CLIENT_BAD_REQUEST);
}

static void framing_becomes_members_of_the_head(void **state)
{
	(void)state;
	assert_request(with("Content-Length: 10\r\n"), "POST http a / v2 body1 length=10 keep");
	assert_request(with("Content-Length: 010\r\n"), "POST http a / v2 body1 length=10 keep");
	assert_request(with("Content-Length: 0\r\n"), "POST http a / v2 body0 length=0 keep");
	assert_request(with("Transfer-Encoding: chunked\r\n"), "POST http a / v2 body2 keep chunked");
	assert_request(with("transfer-encoding:\tCHUNKED \r\n"), "POST http a / v2 body2 keep chunked");
}

static void connection_names_what_is_hop_by_hop(void **state)
{
	(void)state;
	assert_request(with("Connection: close, X-Hop , TE\r\nX-Hop: 1\r\nx-hop: 2\r\nX-Stay: 3\r\nTE: gzip, "
			    "Trailers\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\n"),
		"POST http a / v2 body0 te close X-Stay=3");
}

static void connection_cannot_remove_what_weir_or_framing_needs(void **state)
{
	(void)state;
	assert_request(with("Connection: x-forwarded-for, host, content-length, authorization, "
			    "cookie\r\nX-Forwarded-For: 1.2.3.4\r\nContent-Length: 3\r\nCookie: "
			    "a\r\nAuthorization: b\r\n"),
		"POST http a / v2 body1 length=3 keep X-Forwarded-For=1.2.3.4 Cookie=a Authorization=b");
	BAD_LINES(CLIENT_BAD_HEADER, "Connection: a1,a2,a3,a4,a5,a6,a7,a8,a9\r\n");
}

static void keep_alive_follows_the_version(void **state)
{
	(void)state;
	assert_request("GET / HTTP/1.0\r\nHost: a\r\n\r\n", "GET http a / v1 body0 close");
	assert_request(
		"GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n", "GET http a / v1 body0 keep");
	assert_request("GET / HTTP/1.2\r\nHost: a\r\n\r\n", "GET http a / v2 body0 keep");
}

static void absolute_form_wins_over_host(void **state)
{
	(void)state;
	assert_request("GET http://B.test/x?y HTTP/1.1\r\nHost: a.test\r\n\r\n",
		"GET http b.test /x?y v2 body0 keep");
	assert_request("GET HTTP://b:81 HTTP/1.1\r\nHost: a\r\n\r\n", "GET http b:81 / v2 body0 keep");
	assert_request("GET https://b?q=1 HTTP/1.1\r\nHost: a\r\n\r\n", "GET http b /?q=1 v2 body0 keep");
	assert_request("OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS http b * v2 body0 keep");
	assert_request("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS http a * v2 body0 keep");
	assert_bad("GET http://u@b/ HTTP/1.1\r\nHost: a\r\n\r\n", REASON_CLIENT_BAD_HOST);
	assert_bad("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", REASON_CLIENT_BAD_HOST);
	assert_bad("GET http://b/ HTTP/1.1\r\n\r\n", REASON_CLIENT_BAD_HOST);
}

static void expect_is_for_http_1_1_with_a_body(void **state)
{
	(void)state;
	assert_request(with("Expect: 100-Continue\r\nContent-Length: 1\r\n"),
		"POST http a / v2 body1 length=1 expect keep");
	assert_request(with("Expect: 100-continue\r\n"), "POST http a / v2 body0 keep");
	assert_request("POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
		"POST http a / v1 body1 length=1 close");
	assert_request(with("Expect: wonders\r\n"), "POST http a / v2 body0 keep Expect=wonders");
}

#define WS_LINES "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: " KEY "\r\n"

static void a_websocket_handshake_is_extended_connect(void **state)
{
	struct parsed *p;

	(void)state;
	assert_request("GET /c HTTP/1.1\r\nHost: a\r\n" WS_LINES "Sec-WebSocket-Protocol: x\r\n\r\n",
		"CONNECT http a /c v2 body3 protocol=websocket keep Sec-WebSocket-Protocol=x");
	p = request("GET /c HTTP/1.1\r\nHost: a\r\n" WS_LINES "\r\n");
	assert_true(str_eq(p->m.websocket_key, STR(KEY)));
	assert_bad("GET /c HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
		REASON_CLIENT_BAD_UPGRADE);
	assert_bad("GET /c HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: "
		   "Upgrade\r\nSec-WebSocket-Key: short\r\n\r\n",
		REASON_CLIENT_BAD_UPGRADE);
	assert_bad("GET /c HTTP/1.1\r\nHost: a\r\n" WS_LINES "Sec-WebSocket-Key: " KEY "\r\n\r\n",
		REASON_CLIENT_BAD_UPGRADE);
}

static void other_upgrades_are_stripped(void **state)
{
	(void)state;
	assert_request("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade, "
		       "HTTP2-Settings\r\nHTTP2-Settings: AAMA\r\n\r\n",
		"GET http a / v2 body0 keep");
	assert_request("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nSec-WebSocket-Key: " KEY
		       "\r\n\r\n",
		"GET http a / v2 body0 keep");
	assert_request("POST / HTTP/1.1\r\nHost: a\r\n" WS_LINES "\r\n", "POST http a / v2 body0 keep");
	assert_request("GET / HTTP/1.0\r\nHost: a\r\n" WS_LINES "\r\n", "GET http a / v1 body0 close");
	assert_request("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n" WS_LINES "\r\n",
		"GET http a / v2 body1 length=3 keep");
}

/* -- bad ones -- */

static void length_and_coding_must_say_one_thing(void **state)
{
	(void)state;
	BAD_LINES(CLIENT_BAD_FRAMING, "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
		"Content-Length: 3\r\nContent-Length: 4\r\n", "Content-Length: 3\r\nContent-Length: 3\r\n",
		"Content-Length: 3, 3\r\n", "Content-Length: 3, 4\r\n", "Content-Length:\r\n",
		"Content-Length: +3\r\n", "Content-Length: -3\r\n", "Content-Length: 0x3\r\n",
		"Content-Length: 3 3\r\n", "Content-Length: 3a\r\n", "Content-Length: 3.0\r\n",
		"Content-Length: 18446744073709551616\r\n", "Content-Length: 9223372036854775808\r\n",
		"Content-Length: 99999999999999999999999\r\n");
	BAD_LINES(CLIENT_BAD_FRAMING, "Transfer-Encoding: xchunked\r\n",
		"Transfer-Encoding: chunked, chunked\r\n",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
		"Transfer-Encoding: chunked, gzip\r\n", "Transfer-Encoding: identity\r\n",
		"Transfer-Encoding:\r\n", "Transfer-Encoding: , chunked\r\n",
		"Transfer-Encoding: chunked,\r\n", "Transfer-Encoding: chunked;x=y\r\n",
		"Transfer-Encoding: \"chunked\"\r\n", "Transfer-Encoding: gzip chunked\r\n",
		"Transfer-Encoding: ch\xc3\xbcnked\r\n");
	BAD_LINES(CLIENT_BAD_HEADER,
		"Transfer-Encoding: \x0b"
		"chunked\r\n",
		"Transfer-Encoding: chunked\x0c\r\n");
	assert_bad("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
		REASON_CLIENT_BAD_FRAMING);
}

static void a_well_formed_unknown_coding_is_501(void **state)
{
	(void)state;
	BAD_LINES(CLIENT_BAD_CODING, "Transfer-Encoding: gzip, chunked\r\n",
		"Transfer-Encoding: foo;q=1 , chunked\r\n");
	assert_int_equal(reason_row(REASON_CLIENT_BAD_CODING)->status, 501);
}

static void malformed_lines_are_refused(void **state)
{
	(void)state;
	BAD_LINES(CLIENT_BAD_HEADER, "Name : v\r\n", "Name\t: v\r\n", "Name\r\n", "Name v\r\n", ": v\r\n",
		" Name: v\r\n", "\tName: v\r\n", "N@me: v\r\n", "N\xc3\xa4me: v\r\n", "(Name): v\r\n",
		"Name: a\r\n b\r\n", "Name: a\r\n\tb\r\n", "Name: a\rb\r\n", "Name: a\nb: c\r\n", "Name: a\n",
		"Name: a\x01"
		"b\r\n",
		"Name: a\x7f\r\n", "Name: a\r\r\n", "Na\rme: b\r\n");
	assert_bad("GET / HTTP/1.1\r\n Host: a\r\n\r\n", REASON_CLIENT_BAD_HEADER);
	assert_bad("GET / HTTP/1.1\r\nHost: a\n\n", REASON_CLIENT_BAD_HEADER);
}

static void nul_is_refused_wherever_it_is(void **state)
{
	static const char in[] = "GET /abc HTTP/1.1\r\nHost: abc\r\nName: value\r\n\r\n";
	char broken[sizeof(in)];

	(void)state;
	for (size_t i = 0; i < sizeof(in) - 1; i++) {
		memcpy(broken, in, sizeof(in));
		broken[i] = '\0';
		assert_int_equal(parse_both(REQUEST, broken, sizeof(in) - 1, NULL)->r, H1_BAD);
	}
}

static void no_single_control_byte_gets_through(void **state)
{
	static const char in[] = "GET /abc HTTP/1.1\r\nHost: abc\r\nName: value that is long\r\n\r\n";
	char broken[sizeof(in)];

	(void)state;
	for (int c = 1; c < 0x20; c++) {
		for (size_t i = 0; i < sizeof(in) - 5; i++) {
			if (in[i] == c || (c == '\t' && i >= 24))
				continue; /* a tab is white space in a value */
			memcpy(broken, in, sizeof(in));
			broken[i] = (char)c;
			if (parse_both(REQUEST, broken, sizeof(in) - 1, NULL)->r != H1_BAD)
				fail_msg("byte %d at %zu was taken", c, i);
		}
	}
}

static void obs_text_in_values_is_passed_on(void **state)
{
	(void)state;
	assert_request(with("X: \xc3\xa4 and a long tail of bytes \xff\r\n"),
		"POST http a / v2 body0 keep X=\xc3\xa4 and a long tail of bytes \xff");
}

static void the_host_is_there_once_and_well_formed(void **state)
{
	static const char *const hosts[] = {"a,b", "u@a", "a:", "a:0", "a:65536", "a:80:80", "a:8o", "a b",
		"a/b", "", "[::1", "::1", "[]", "[g::1]", "[::1]80", "a?b", "%61", "a\\b", "a\"", "\xc3\xa4"};
	char in[256];

	(void)state;
	assert_bad("GET / HTTP/1.1\r\n\r\n", REASON_CLIENT_BAD_HOST);
	assert_bad("GET / HTTP/1.0\r\n\r\n", REASON_CLIENT_BAD_HOST);
	assert_bad("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", REASON_CLIENT_BAD_HOST);
	assert_bad("GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", REASON_CLIENT_BAD_HOST);
	for (size_t i = 0; i < COUNT_OF(hosts); i++) {
		snprintf(in, sizeof(in), "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", hosts[i]);
		assert_bad(in, REASON_CLIENT_BAD_HOST);
	}
	assert_request("GET / HTTP/1.1\r\nHost: [2001:DB8::1]:443\r\n\r\n",
		"GET http [2001:db8::1]:443 / v2 body0 keep");
}

static void versions_other_than_1_are_refused(void **state)
{
	(void)state;
	assert_bad("GET / HTTP/0.9\r\n\r\n", REASON_CLIENT_BAD_VERSION);
	assert_bad("GET / HTTP/9.9\r\nHost: a\r\n\r\n", REASON_CLIENT_BAD_VERSION);
	assert_bad("GET / HTTP/2.0\r\nHost: a\r\n\r\n", REASON_CLIENT_BAD_VERSION);
	assert_bad("GET / HTTP/1.10\r\nHost: a\r\n\r\n", REASON_CLIENT_BAD_REQUEST);
	assert_bad("GET / HTTP/1\r\nHost: a\r\n\r\n", REASON_CLIENT_BAD_REQUEST);
	assert_bad("GET / http/1.1\r\nHost: a\r\n\r\n", REASON_CLIENT_BAD_REQUEST);
	assert_bad("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", REASON_CLIENT_BAD_REQUEST);
	assert_bad("GET /\r\n\r\n", REASON_CLIENT_BAD_REQUEST);
	assert_bad("GET / \r\n\r\n", REASON_CLIENT_BAD_REQUEST);
}

static void malformed_request_lines_are_refused(void **state)
{
	(void)state;
	assert_bad(" GET / HTTP/1.1\r\nHost: a\r\n\r\n", REASON_CLIENT_BAD_REQUEST);
	assert_bad("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", REASON_CLIENT_BAD_REQUEST);
	assert_bad("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", REASON_CLIENT_BAD_REQUEST);
	assert_bad("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", REASON_CLIENT_BAD_REQUEST);
	assert_bad("GET / HTTP/1.1\nHost: a\n\n", REASON_CLIENT_BAD_REQUEST);
	assert_bad("\x16\x03\x01\x02", REASON_CLIENT_BAD_REQUEST);
	assert_bad("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", REASON_CLIENT_BAD_REQUEST);
}

static void malformed_targets_are_refused(void **state)
{
	static const char *const paths[] = {
		"/a#b", "/\xc3\xa4", "/\x7f", "/\x01", "/\tb", "a", "*", "//h:x", "ftp://a/", "http:/a"};
	char in[256];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(paths); i++) {
		snprintf(in, sizeof(in), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", paths[i]);
		if (paths[i][0] == '/' && paths[i][1] == '/')
			assert_request(in, "GET http a //h:x v2 body0 keep"); /* the router's business */
		else
			assert_bad(in, REASON_CLIENT_BAD_PATH);
	}
}

static void connect_is_refused_with_405(void **state)
{
	(void)state;
	assert_bad("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", REASON_CLIENT_CONNECT);
	assert_int_equal(reason_row(REASON_CLIENT_CONNECT)->status, 405);
}

static void trace_is_refused_with_405(void **state)
{
	(void)state;
	assert_bad("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", REASON_CLIENT_TRACE);
	assert_bad("TRACE http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", REASON_CLIENT_TRACE);
	assert_int_equal(reason_row(REASON_CLIENT_TRACE)->status, 405);
}

static void heads_have_limits(void **state)
{
	static char in[16384];
	char *at = in;

	(void)state;
	at += sprintf(at, "GET / HTTP/1.1\r\nHost: a\r\n");
	for (int i = 0; i < 9; i++)
		at += sprintf(at, "X%d: y\r\n", i);
	strcpy(at, "\r\n");
	assert_int_equal(request(in)->r, H1_COMPLETE);
	strcpy(at, "X: y\r\n\r\n");
	assert_bad(in, REASON_CLIENT_HEADERS_TOO_LARGE);

	memset(in, 'x', sizeof(in));
	memcpy(in, "GET /", 5);
	in[9000] = '\0';
	assert_bad(in, REASON_CLIENT_URI_TOO_LONG);
	memcpy(in, "GET / HTTP/1.1\r\nHost: a\r\nX: ", 28);
	assert_bad(in, REASON_CLIENT_HEADERS_TOO_LARGE);
}

static void a_bare_lf_is_noticed_without_waiting_for_the_end(void **state)
{
	struct h1_progress g = {0};
	static struct parsed p;

	(void)state;
	strcpy(p.text, "GET / HTTP/1.1\r\nHost: a\r\nX: y\nZ");
	assert_int_equal(parse_once(&p, &g, REQUEST, 29, NULL), H1_PARTIAL);
	assert_int_equal(parse_once(&p, &g, REQUEST, 30, NULL), H1_BAD);
}

static void a_head_byte_by_byte_costs_linear_time(void **state)
{
	static char in[60000];
	struct h1_message m;
	struct h1_progress g = {0};
	struct http_limits wide = {.header_bytes = 65000, .header_count = 100};
	struct field fields[100];
	size_t parses = 0;

	(void)state;
	memset(in, 'x', sizeof(in));
	memcpy(in, "GET / HTTP/1.1\r\nHost: a\r\nX: ", 28);
	for (size_t n = 1; n < sizeof(in); n++) {
		uint32_t before = g.parse_at;

		m.head.fields = (struct fields){fields, 0, COUNT_OF(fields)};
		assert_int_equal(h1_parse_request(&m, &g, in, n, &wide), H1_PARTIAL);
		parses += g.parse_at != before;
	}
	assert_in_range(parses, 1, 20);
}

/* -- responses -- */

static void assert_response(const char *in, enum method method, const char *expected)
{
	struct parsed *p = response(in, method, false);

	if (p->r != H1_COMPLETE)
		fail_msg("%s: refused with %s", in, reason_row(p->m.why)->name.p);
	assert_string_equal(p->said, expected);
}

static void responses_say_where_their_body_ends(void **state)
{
	(void)state;
	assert_response("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", METHOD_GET,
		"    v2 body1 status=200 length=5 keep");
	assert_response("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", METHOD_GET,
		"    v2 body0 status=200 length=0 keep");
	assert_response("HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n", METHOD_GET,
		"    v2 body2 status=200 keep chunked");
	assert_response("HTTP/1.1 200 OK\r\n\r\n", METHOD_GET, "    v2 body2 status=200 close until-close");
	assert_response("HTTP/1.1 200 OK\r\n\r\n", METHOD_HEAD, "    v2 body0 status=200 keep");
	assert_response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", METHOD_HEAD,
		"    v2 body0 status=200 keep");
	assert_response(
		"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", METHOD_GET, "    v2 body0 status=204 keep");
	assert_response("HTTP/1.1 304 Not\r\nContent-Length: 5\r\n\r\n", METHOD_GET,
		"    v2 body0 status=304 length=5 keep");
	assert_response("HTTP/1.1 100 Go\r\n\r\n", METHOD_GET, "    v2 body0 status=100 keep");
	assert_response("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", METHOD_GET,
		"    v1 body1 status=200 length=5 close");
	assert_response("HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n", METHOD_GET,
		"    v1 body1 status=200 length=5 keep");
	assert_response("HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n",
		METHOD_GET, "    v2 body2 status=200 close chunked");
}

static void the_consent_to_a_tunnel_is_200(void **state)
{
	static const char in[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: "
				 "upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n";
	struct parsed *p;

	(void)state;
	p = response(in, METHOD_CONNECT, true);
	assert_int_equal(p->r, H1_COMPLETE);
	assert_string_equal(p->said, "    v2 body3 status=200 keep");
	assert_true(str_eq(p->m.websocket_accept, STR("x")));
	assert_int_equal(response(in, METHOD_GET, false)->m.why, REASON_UPSTREAM_BAD_UPGRADE);
	assert_int_equal(response("HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
				 METHOD_CONNECT, true)
				 ->m.why,
		REASON_UPSTREAM_BAD_UPGRADE);
	assert_int_equal(response("HTTP/1.1 101 S\r\nUpgrade: h2c\r\nConnection: "
				  "upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
				 METHOD_CONNECT, true)
				 ->m.why,
		REASON_UPSTREAM_BAD_UPGRADE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_request_keeps_its_fields_as_they_came),
		cmocka_unit_test(a_few_empty_lines_before_a_request_are_passed_over),
		cmocka_unit_test(framing_becomes_members_of_the_head),
		cmocka_unit_test(connection_names_what_is_hop_by_hop),
		cmocka_unit_test(connection_cannot_remove_what_weir_or_framing_needs),
		cmocka_unit_test(keep_alive_follows_the_version),
		cmocka_unit_test(absolute_form_wins_over_host),
		cmocka_unit_test(expect_is_for_http_1_1_with_a_body),
		cmocka_unit_test(a_websocket_handshake_is_extended_connect),
		cmocka_unit_test(other_upgrades_are_stripped),
		cmocka_unit_test(length_and_coding_must_say_one_thing),
		cmocka_unit_test(a_well_formed_unknown_coding_is_501),
		cmocka_unit_test(malformed_lines_are_refused),
		cmocka_unit_test(nul_is_refused_wherever_it_is),
		cmocka_unit_test(no_single_control_byte_gets_through),
		cmocka_unit_test(obs_text_in_values_is_passed_on),
		cmocka_unit_test(the_host_is_there_once_and_well_formed),
		cmocka_unit_test(versions_other_than_1_are_refused),
		cmocka_unit_test(malformed_request_lines_are_refused),
		cmocka_unit_test(malformed_targets_are_refused),
		cmocka_unit_test(connect_is_refused_with_405),
		cmocka_unit_test(trace_is_refused_with_405),
		cmocka_unit_test(heads_have_limits),
		cmocka_unit_test(a_bare_lf_is_noticed_without_waiting_for_the_end),
		cmocka_unit_test(a_head_byte_by_byte_costs_linear_time),
		cmocka_unit_test(responses_say_where_their_body_ends),
		cmocka_unit_test(the_consent_to_a_tunnel_is_200),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
