/* RFC 9113's rules against a server: what is a stream error, what ends the connection, and that neither disturbs more than it
 * must. */
#include "http/h2/peer.h"

struct request_case {
	const char *what;
	const char *fields;
};

/* Each is RST_STREAM PROTOCOL_ERROR, and never seen by the owner (RFC 9113 8.1.1). */
static const struct request_case malformed[] = {
	{"no method", ":scheme=http :authority=a :path=/"},
	{"no scheme", ":method=GET :authority=a :path=/"},
	{"no path", ":method=GET :scheme=http :authority=a"},
	{"no authority and no host", ":method=GET :scheme=http :path=/"},
	{"two methods", ":method=GET :method=GET :scheme=http :authority=a :path=/"},
	{"two schemes", ":method=GET :scheme=http :scheme=http :authority=a :path=/"},
	{"two paths", ":method=GET :scheme=http :authority=a :path=/ :path=/"},
	{"two authorities", ":method=GET :scheme=http :authority=a :authority=a :path=/"},
	{"an unknown pseudo-header", GET " :x=1"},
	{"a response's pseudo-header", GET " :status=200"},
	{"a late pseudo-header", ":method=GET :scheme=http :authority=a x=1 :path=/"},
	{"an empty path", ":method=GET :scheme=http :authority=a :path="},
	{"a path that is none", ":method=GET :scheme=http :authority=a :path=x"},
	{"a space in the path", ":method=GET :scheme=http :authority=a :path=/a+b"},
	{"a fragment", ":method=GET :scheme=http :authority=a :path=/#a"},
	{"a star for GET", ":method=GET :scheme=http :authority=a :path=*"},
	{"a space in the method", ":method=G+T :scheme=http :authority=a :path=/"},
	{"an empty method", ":method= :scheme=http :authority=a :path=/"},
	{"an odd scheme", ":method=GET :scheme=ftp :authority=a :path=/"},
	{"an empty scheme", ":method=GET :scheme= :authority=a :path=/"},
	{"userinfo", ":method=GET :scheme=http :authority=u@a :path=/"},
	{"an odd port", ":method=GET :scheme=http :authority=a:b :path=/"},
	{"a list of hosts", ":method=GET :scheme=http :authority=a,b :path=/"},
	{"a host unlike the authority", GET " host=b.test"},
	{"two hosts", ":method=GET :scheme=http :path=/ host=a host=a"},
	{"an upper-case name", GET " X-A=1"},
	{"a space in a name", GET " x\ty=1"},
	{"a connection field", GET " connection=close"},
	{"keep-alive", GET " keep-alive=1"},
	{"proxy-connection", GET " proxy-connection=close"},
	{"transfer-encoding", GET " transfer-encoding=chunked"},
	{"upgrade", GET " upgrade=h2c"},
	{"te other than trailers", GET " te=gzip"},
	{"te with more than trailers", GET " te=trailers,gzip"},
	{"CR in a value", GET " x=a\rb"},
	{"LF in a value", GET " x=a\nb"},
	{"a control in a value", GET " x=a\001b"},
	{"a leading space in a value", GET " x=+a"},
	{"a trailing space in a value", GET " x=a+"},
	{"a length that is none", GET " content-length=x"},
	{"a signed length", GET " content-length=-1"},
	{"an empty length", GET " content-length="},
	{"a length that overflows", GET " content-length=99999999999999999999"},
	{"two lengths", GET " content-length=0 content-length=0"},
	{"a length without a body", GET " content-length=5"},
	{"protocol without connect", GET " :protocol=websocket"},
	{"connect with a path only", ":method=CONNECT :authority=a :path=/"},
	{"connect without an authority", ":method=CONNECT"},
	{"extended connect without a path", ":method=CONNECT :protocol=websocket :scheme=http :authority=a"},
};

static void malformed_requests_are_stream_errors(void **state)
{
	struct peer *p = *state;

	p->answers = true;
	serve(p);
	for (unsigned i = 0; i < COUNT_OF(malformed); i++) {
		uint32_t id = 4 * i + 1;
		char expected[64];

		headers(p, id, true, malformed[i].fields);
		snprintf(expected, sizeof(expected), "RST_STREAM %u PROTOCOL_ERROR\n", id);
		if (strcmp(heard(p), "") != 0 || strcmp(frames(p), expected) != 0)
			fail_msg("%s was accepted", malformed[i].what);
		headers(p, id + 2, true, GET);
		assert_non_null(strstr(frames(p), "[:status=200]"));
		heard(p);
	}
}

static void a_nul_in_a_value_is_a_stream_error(void **state)
{
	static const uint8_t block[] = {0x82, 0x86, 0x84, 0x41, 1, 'a', 0x00, 1, 'x', 3, 'a', 0, 'b'};
	struct peer *p = *state;

	serve(p);
	frame(p, H2_FRAME_HEADERS, H2_FLAG_END_HEADERS | H2_FLAG_END_STREAM, 1, block, sizeof(block));
	assert_frames(p, "RST_STREAM 1 PROTOCOL_ERROR\n");
}

static void an_empty_name_is_a_stream_error(void **state)
{
	static const uint8_t block[] = {0x82, 0x86, 0x84, 0x41, 1, 'a', 0x00, 0, 1, 'x'};
	struct peer *p = *state;

	serve(p);
	frame(p, H2_FRAME_HEADERS, H2_FLAG_END_HEADERS | H2_FLAG_END_STREAM, 1, block, sizeof(block));
	assert_frames(p, "RST_STREAM 1 PROTOCOL_ERROR\n");
}

static void odd_but_legal_requests_are_understood(void **state)
{
	struct peer *p = *state;

	serve(p);
	headers(p, 1, true, ":method=OPTIONS :scheme=http :authority=A.Test:8080 :path=*");
	headers(p, 3, true, ":path=/ :scheme=https :method=BREW host=a.test");
	headers(p, 5, true, GET " host=A.TEST te=Trailers http2-settings=x content-length=0");
	headers(p, 7, false, POST " content-length=010 expect=100-Continue");
	headers(p, 9, true, GET " x=\xc3\xa4 empty=");
	headers(p, 11, true, ":method=GET :scheme=http :authority=[::1]:80 :path=/a%20b?c=d//");
	assert_heard(p,
		"1 OPTIONS a.test:8080 * last\n2 BREW a.test / last\n3 GET a.test / length=0 te last\n"
		"4 POST a.test / length=10 expect\n5 GET a.test / [x=\xc3\xa4] [empty=] last\n"
		"6 GET [::1]:80 /a%20b?c=d// last\n");
}

static void a_body_unlike_its_length_is_a_stream_error(void **state)
{
	struct peer *p = *state;

	serve(p);
	headers(p, 1, false, POST " content-length=3");
	data(p, 1, true, "ab");
	headers(p, 3, false, POST " content-length=3");
	data(p, 3, false, "abcd");
	headers(p, 5, false, POST " content-length=3");
	headers(p, 5, true, "x=trailer");
	assert_heard(p, "1 POST a.test / length=3\n1 reset CLIENT_LENGTH_MISMATCH\n"
			"2 POST a.test / length=3\n2 reset CLIENT_LENGTH_MISMATCH\n"
			"3 POST a.test / length=3\n3 reset CLIENT_LENGTH_MISMATCH\n");
	assert_frames(
		p, "RST_STREAM 1 PROTOCOL_ERROR\nRST_STREAM 3 PROTOCOL_ERROR\nRST_STREAM 5 PROTOCOL_ERROR\n");
}

static void malformed_trailers_are_stream_errors(void **state)
{
	static const struct {
		const char *fields;
		bool end;
	} cases[] = {{"x=1", false}, {":path=/", true}, {"X=1", true}, {"connection=close", true},
		{"te=trailers", true}};
	struct peer *p = *state;

	serve(p);
	for (unsigned i = 0; i < COUNT_OF(cases); i++) {
		uint32_t id = 2 * i + 1;
		char expected[64];

		headers(p, id, false, POST);
		heard(p);
		headers(p, id, cases[i].end, cases[i].fields);
		snprintf(expected, sizeof(expected), "RST_STREAM %u PROTOCOL_ERROR\n", id);
		assert_frames(p, expected);
		snprintf(expected, sizeof(expected), "%u reset CLIENT_H2_PROTOCOL\n", i + 1);
		assert_heard(p, expected);
	}
}

static void streams_over_the_limit_are_refused(void **state)
{
	struct peer *p = *state;

	p->lim.max_streams = 1;
	serve(p);
	headers(p, 1, true, GET);
	headers(p, 3, false, POST);
	data(p, 3, true, "under way already");
	assert_frames(p, "RST_STREAM 3 REFUSED_STREAM\n");
	send_status(p, 1, 200, true);
	run(p);
	headers(p, 5, true, GET);
	assert_int_equal(p->opened, 2);
}

static void what_comes_after_the_end_is_a_stream_error(void **state)
{
	struct peer *p = *state;

	serve(p);
	headers(p, 1, true, GET);
	data(p, 1, false, "x");
	headers(p, 3, true, GET);
	headers(p, 3, true, "x=1");
	headers(p, 5, false, POST);
	frame32(p, H2_FRAME_RST_STREAM, 5, H2_CANCEL);
	data(p, 5, false, "x");
	assert_frames(
		p, "RST_STREAM 1 STREAM_CLOSED\nRST_STREAM 3 STREAM_CLOSED\nRST_STREAM 5 STREAM_CLOSED\n");
	/* Others may arrive for a while. */
	frame32(p, H2_FRAME_WINDOW_UPDATE, 5, 1);
	frame(p, H2_FRAME_PRIORITY, 0, 5, "\0\0\0\0\0", 5);
	assert_frames(p, "");
}

static void frames_that_race_with_our_reset_are_ignored(void **state)
{
	struct peer *p = *state;

	serve(p);
	headers(p, 1, false, POST);
	stream_reset(p->s[1], REASON_CANCELLED);
	run(p);
	frames(p);
	data(p, 1, false, "x");
	headers(p, 1, true, "x-trailer=1");
	frame32(p, H2_FRAME_WINDOW_UPDATE, 1, 1);
	frame32(p, H2_FRAME_RST_STREAM, 1, H2_CANCEL);
	assert_frames(p, "");
	assert_heard(p, "1 POST a.test /\n");
}

static void nothing_depends_on_itself(void **state)
{
	static const uint8_t block[] = {0, 0, 0, 1, 0, 0x82, 0x86, 0x84, 0x41, 1, 'a'};
	struct peer *p = *state;

	serve(p);
	frame(p, H2_FRAME_HEADERS, H2_FLAG_END_HEADERS | H2_FLAG_END_STREAM | H2_FLAG_PRIORITY, 1, block,
		sizeof(block));
	headers(p, 3, false, POST);
	frame(p, H2_FRAME_PRIORITY, 0, 3, "\0\0\0\3\0", 5);
	assert_frames(p, "RST_STREAM 1 PROTOCOL_ERROR\nRST_STREAM 3 PROTOCOL_ERROR\n");
	assert_heard(p, "1 POST a.test /\n1 reset CLIENT_H2_PROTOCOL\n");
}

/* -- what ends the connection -- */

struct fatal_case {
	const char *what;
	uint8_t type, flags;
	uint32_t stream;
	const char *payload;
	uint32_t n;
	const char *code;
};

#define P(literal) literal, sizeof(literal) - 1

/* Stream 1 is open, 3 was never used. */
static const struct fatal_case fatal[] = {
	{"DATA on stream 0", H2_FRAME_DATA, 0, 0, P("x"), "PROTOCOL_ERROR"},
	{"DATA on an idle stream", H2_FRAME_DATA, 0, 3, P("x"), "PROTOCOL_ERROR"},
	{"DATA with too much padding", H2_FRAME_DATA, H2_FLAG_PADDED, 1, P("\6abcde"), "PROTOCOL_ERROR"},
	{"DATA too short for its padding", H2_FRAME_DATA, H2_FLAG_PADDED, 1, P(""), "FRAME_SIZE_ERROR"},
	{"HEADERS on stream 0", H2_FRAME_HEADERS, H2_FLAG_END_HEADERS, 0, P("\x82"), "PROTOCOL_ERROR"},
	{"HEADERS on an even stream", H2_FRAME_HEADERS, H2_FLAG_END_HEADERS, 2, P("\x82"), "PROTOCOL_ERROR"},
	{"HEADERS with too much padding", H2_FRAME_HEADERS, H2_FLAG_END_HEADERS | H2_FLAG_PADDED, 3,
		P("\2\x82"), "PROTOCOL_ERROR"},
	{"HEADERS too short for priority", H2_FRAME_HEADERS, H2_FLAG_END_HEADERS | H2_FLAG_PRIORITY, 3,
		P("\0\0\0\0"), "FRAME_SIZE_ERROR"},
	{"a broken header block", H2_FRAME_HEADERS, H2_FLAG_END_HEADERS, 3, P("\xff\xff\xff"),
		"COMPRESSION_ERROR"},
	{"PRIORITY on stream 0", H2_FRAME_PRIORITY, 0, 0, P("\0\0\0\1\0"), "PROTOCOL_ERROR"},
	{"RST_STREAM on stream 0", H2_FRAME_RST_STREAM, 0, 0, P("\0\0\0\0"), "PROTOCOL_ERROR"},
	{"RST_STREAM on an idle stream", H2_FRAME_RST_STREAM, 0, 3, P("\0\0\0\0"), "PROTOCOL_ERROR"},
	{"RST_STREAM of an odd length", H2_FRAME_RST_STREAM, 0, 1, P("\0\0\0"), "FRAME_SIZE_ERROR"},
	{"SETTINGS on a stream", H2_FRAME_SETTINGS, 0, 1, P(""), "PROTOCOL_ERROR"},
	{"SETTINGS of an odd length", H2_FRAME_SETTINGS, 0, 0, P("\0\1\0\0\0"), "FRAME_SIZE_ERROR"},
	{"an acknowledgement with content", H2_FRAME_SETTINGS, H2_FLAG_ACK, 0, P("\0\1\0\0\0\0"),
		"FRAME_SIZE_ERROR"},
	{"ENABLE_PUSH of 2", H2_FRAME_SETTINGS, 0, 0, P("\0\2\0\0\0\2"), "PROTOCOL_ERROR"},
	{"a window over 2^31-1", H2_FRAME_SETTINGS, 0, 0, P("\0\4\x80\0\0\0"), "FLOW_CONTROL_ERROR"},
	{"a frame size below 2^14", H2_FRAME_SETTINGS, 0, 0, P("\0\5\0\0\x3f\xff"), "PROTOCOL_ERROR"},
	{"a frame size over 2^24-1", H2_FRAME_SETTINGS, 0, 0, P("\0\5\1\0\0\0"), "PROTOCOL_ERROR"},
	{"PUSH_PROMISE", H2_FRAME_PUSH_PROMISE, H2_FLAG_END_HEADERS, 1, P("\0\0\0\2\x82"), "PROTOCOL_ERROR"},
	{"PING on a stream", H2_FRAME_PING, 0, 1, P("12345678"), "PROTOCOL_ERROR"},
	{"PING of an odd length", H2_FRAME_PING, 0, 0, P("1234567"), "FRAME_SIZE_ERROR"},
	{"GOAWAY on a stream", H2_FRAME_GOAWAY, 0, 1, P("\0\0\0\0\0\0\0\0"), "PROTOCOL_ERROR"},
	{"GOAWAY too short", H2_FRAME_GOAWAY, 0, 0, P("\0\0\0\0"), "FRAME_SIZE_ERROR"},
	{"WINDOW_UPDATE of an odd length", H2_FRAME_WINDOW_UPDATE, 0, 1, P("\0\0\1"), "FRAME_SIZE_ERROR"},
	{"WINDOW_UPDATE of 0 for the connection", H2_FRAME_WINDOW_UPDATE, 0, 0, P("\0\0\0\0"),
		"PROTOCOL_ERROR"},
	{"WINDOW_UPDATE over 2^31-1", H2_FRAME_WINDOW_UPDATE, 0, 0, P("\x7f\xff\xff\xff"),
		"FLOW_CONTROL_ERROR"},
	{"WINDOW_UPDATE on an idle stream", H2_FRAME_WINDOW_UPDATE, 0, 3, P("\0\0\0\1"), "PROTOCOL_ERROR"},
	{"CONTINUATION of nothing", H2_FRAME_CONTINUATION, H2_FLAG_END_HEADERS, 1, P("\x82"),
		"PROTOCOL_ERROR"},
};

static void one_fatal_case(struct peer *p, const struct fatal_case *f)
{
	char expected[64];

	serve(p);
	headers(p, 1, false, POST);
	frames(p);
	frame(p, f->type, f->flags, f->stream, f->payload, f->n);
	snprintf(expected, sizeof(expected), "GOAWAY %u %s\n",
		f->type == H2_FRAME_HEADERS && f->stream == 3 && strcmp(f->code, "COMPRESSION_ERROR") == 0
			? 3
			: 1,
		f->code);
	if (strcmp(frames(p), expected) != 0)
		fail_msg("%s: got %s", f->what, p->frames_buf);
	assert_true(p->ft.shut);
	fake_feed_eof(&p->ft);
	assert_true(p->closed);
}

static void broken_frames_end_the_connection(void **state)
{
	(void)state;
	for (unsigned i = 0; i < COUNT_OF(fatal); i++) {
		void *p;

		setup(&p);
		one_fatal_case(p, &fatal[i]);
		teardown(&p);
	}
}

static void a_frame_larger_than_we_allow_is_refused_by_its_header(void **state)
{
	struct peer *p = *state;
	uint8_t header[H2_FRAME_HEADER];

	serve(p);
	h2_frame_pack(header, &(struct h2_frame){.length = 16385, .type = H2_FRAME_DATA, .stream = 1});
	fake_feed(&p->ft, header, sizeof(header));
	assert_frames(p, "GOAWAY 0 FRAME_SIZE_ERROR\n");
}

static void lower_and_reused_ids_end_the_connection(void **state)
{
	struct peer *p = *state;

	p->answers = true;
	serve(p);
	headers(p, 5, true, GET);
	frames(p);
	headers(p, 3, true, GET);
	assert_frames(p, "GOAWAY 5 PROTOCOL_ERROR\n");
}

static void a_stream_that_has_ended_cannot_be_used_again(void **state)
{
	struct peer *p = *state;

	p->answers = true;
	serve(p);
	headers(p, 1, true, GET);
	frames(p);
	headers(p, 1, true, GET);
	assert_frames(p, "GOAWAY 1 STREAM_CLOSED\n");
}

static void nothing_comes_between_the_parts_of_a_header_block(void **state)
{
	struct peer *p = *state;

	serve(p);
	frame(p, H2_FRAME_HEADERS, H2_FLAG_END_STREAM, 1, "\x82", 1);
	frame(p, 0xbe, 0, 1, "unknown", 7);
	assert_frames(p, "GOAWAY 1 PROTOCOL_ERROR\n");
}

static void a_preface_that_is_none_ends_the_connection(void **state)
{
	struct peer *p = *state;
	struct transport *t = &p->ft.t;

	p->conn = h2_server(&t, NULL, &p->lim, &conn_owner, p);
	fake_feed(&p->ft, "GET / HTTP/1.1\r\n\r\n", 18);
	assert_non_null(strstr(frames(p), "GOAWAY 0 PROTOCOL_ERROR"));
}

static void settings_come_first(void **state)
{
	struct peer *p = *state;
	struct transport *t = &p->ft.t;

	p->conn = h2_server(&t, NULL, &p->lim, &conn_owner, p);
	fake_feed(&p->ft, H2_PREFACE, H2_PREFACE_LEN);
	frame(p, H2_FRAME_PING, 0, 0, "12345678", 8);
	assert_non_null(strstr(frames(p), "GOAWAY 0 PROTOCOL_ERROR"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(malformed_requests_are_stream_errors),
		TEST(a_nul_in_a_value_is_a_stream_error),
		TEST(an_empty_name_is_a_stream_error),
		TEST(odd_but_legal_requests_are_understood),
		TEST(a_body_unlike_its_length_is_a_stream_error),
		TEST(malformed_trailers_are_stream_errors),
		TEST(streams_over_the_limit_are_refused),
		TEST(what_comes_after_the_end_is_a_stream_error),
		TEST(frames_that_race_with_our_reset_are_ignored),
		TEST(nothing_depends_on_itself),
		cmocka_unit_test(broken_frames_end_the_connection),
		TEST(a_frame_larger_than_we_allow_is_refused_by_its_header),
		TEST(lower_and_reused_ids_end_the_connection),
		TEST(a_stream_that_has_ended_cannot_be_used_again),
		TEST(nothing_comes_between_the_parts_of_a_header_block),
		TEST(a_preface_that_is_none_ends_the_connection),
		TEST(settings_come_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
