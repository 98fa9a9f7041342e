/* peer.h - an HTTP/2 connection over a scripted transport, the peer that it talks to, and an owner of its streams that
 * writes down what it is told. Tests put frames in, and read as lines what the owner heard and which frames came out.
 *
 * Owner's lines:  "1 GET a.test /x last", "1 200 length=5", "1 body hello end", "1 trailers [a=b]", "1 sent 5 all", "1 reset NAME"
 * Frames' lines:  "HEADERS 1 [:status=200] end", "DATA 1 5 end", "RST_STREAM 1 CANCEL", "GOAWAY 1 NO_ERROR", ...
 * Both number streams in the order in which they came up: the owner from 1, frames by their id. */
#ifndef WEIR_TESTS_H2_PEER_H
#define WEIR_TESTS_H2_PEER_H

#include "unit.h"
#include <nghttp2/nghttp2.h>
#include "fake_transport.h"
#include "http/conn.h"
#include "http/h2/frame.h"

#define STREAMS_MAX 256

struct peer {
	struct loop loop;
	struct fake_transport ft;
	struct http_conn *conn;
	struct http_limits lim;
	struct stream *s[STREAMS_MAX]; /* from 1; NULL: released */
	unsigned opened;
	struct text heard;
	struct text frames;
	char heard_buf[1 << 16], frames_buf[1 << 16];
	size_t seen; /* of ft.out, as frames */
	nghttp2_hd_deflater *deflater;
	nghttp2_hd_inflater *inflater;
	size_t grant; /* credit given with each head */
	bool keeps; /* owner does not release by itself */
	bool answers; /* a complete request gets 200 and "ok" */
	bool quiet_sent; /* "sent" lines are left out */
	bool closed;
	enum reason why;
	unsigned changes;
};

static const struct stream_owner_ops stream_owner;

static inline unsigned number_of(struct peer *p, const struct stream *s)
{
	for (unsigned i = 1; i <= p->opened; i++)
		if (p->s[i] == s)
			return i;
	fail_msg("an up-call on a stream that was released");
	return 0;
}

static inline void let_go(struct peer *p, unsigned n)
{
	stream_release(&p->s[n]);
}

static inline void say_fields(struct text *t, const struct fields *fs)
{
	for (unsigned i = 0; i < fs->n; i++)
		text_fmt(t, " [" STR_FMT "=" STR_FMT "]", STR_ARG(field_name(&fs->v[i])),
			STR_ARG(field_value(&fs->v[i])));
}

static inline void send_text(struct peer *p, unsigned n, const char *body, bool last)
{
	struct chain c = {0};

	chain_add_copy(&p->loop.mem, &c, body, strlen(body));
	stream_send_body(p->s[n], &c, last);
}

static inline void send_zeros(struct peer *p, unsigned n, size_t bytes, bool last)
{
	static const char zeros[1 << 16];
	struct chain c = {0};

	for (size_t part; bytes; bytes -= part) {
		part = MIN(bytes, sizeof(zeros));
		chain_add_static(&p->loop.mem, &c, (struct str){zeros, part});
	}
	stream_send_body(p->s[n], &c, last);
}

static inline void send_status(struct peer *p, unsigned n, unsigned status, bool last)
{
	struct head h = {.status = (uint16_t)status, .body = last ? BODY_NONE : BODY_STREAM};

	stream_send_head(p->s[n], &h, last);
}

static inline void send_request(struct peer *p, unsigned n, enum method method, const char *path, bool last)
{
	struct head h = {
		.method_id = (uint8_t)method,
		.method = method_name(method),
		.scheme = STR("http"),
		.authority = STR("a.test"),
		.path = str_of(path),
		.body = last ? BODY_NONE : BODY_STREAM,
	};

	stream_send_head(p->s[n], &h, last);
}

static inline void on_stream(struct http_conn *c, struct stream *s)
{
	struct peer *p = c->owner;

	p->s[++p->opened] = s;
	s->owner_ops = &stream_owner;
	s->owner = p;
}

static inline void on_head(struct stream *s, const struct head *h, bool last)
{
	struct peer *p = s->owner;
	struct text *t = &p->heard;
	unsigned n = number_of(p, s);

	text_fmt(t, "%u ", n);
	if (h->status)
		text_u64(t, h->status);
	else
		text_fmt(t, STR_FMT " " STR_FMT " " STR_FMT, STR_ARG(h->method), STR_ARG(h->authority),
			STR_ARG(h->path));
	if (h->reject)
		text_fmt(t, " REJECT " STR_FMT, STR_ARG(reason_row(h->reject)->name));
	if (h->protocol.n)
		text_fmt(t, " protocol=" STR_FMT, STR_ARG(h->protocol));
	if (h->has_length)
		text_fmt(t, " length=%llu", (unsigned long long)h->length);
	text_put(t, h->body == BODY_TUNNEL ? STR(" tunnel") : STR(""));
	text_put(t, h->te_trailers ? STR(" te") : STR(""));
	text_put(t, h->expect_continue ? STR(" expect") : STR(""));
	say_fields(t, &h->fields);
	text_put(t, last ? STR(" last\n") : STR("\n"));
	if (p->grant && !last)
		stream_credit(s, p->grant);
	if (p->answers && last && !h->status) {
		send_status(p, n, 200, false);
		send_text(p, n, "ok", true);
	}
}

static inline void on_body(struct stream *s, struct chain *c, bool last)
{
	struct peer *p = s->owner;
	char bytes[65];
	size_t n = chain_peek(c, bytes, sizeof(bytes) - 1);

	bytes[n] = '\0';
	if (c->n <= 64)
		text_fmt(&p->heard, "%u body %s%s\n", number_of(p, s), bytes, last ? " end" : "");
	else
		text_fmt(&p->heard, "%u body (%zu)%s\n", number_of(p, s), c->n, last ? " end" : "");
}

static inline void on_trailers(struct stream *s, const struct fields *fs)
{
	struct peer *p = s->owner;

	text_fmt(&p->heard, "%u trailers", number_of(p, s));
	say_fields(&p->heard, fs);
	text_put(&p->heard, STR("\n"));
}

static inline void on_sent(struct stream *s, size_t bytes)
{
	struct peer *p = s->owner;
	unsigned n = number_of(p, s);

	if (!p->quiet_sent)
		text_fmt(&p->heard, "%u sent %zu%s\n", n, bytes, s->sent_all ? " all" : "");
	if (s->sent_all && !p->keeps && p->conn->server)
		let_go(p, n);
}

static inline void on_reset(struct stream *s, enum reason why)
{
	struct peer *p = s->owner;
	unsigned n = number_of(p, s);

	text_fmt(&p->heard, "%u reset " STR_FMT "\n", n, STR_ARG(reason_row(why)->name));
	let_go(p, n);
}

static inline void on_change(struct http_conn *c)
{
	((struct peer *)c->owner)->changes++;
}

static inline void on_closed(struct http_conn *c, enum reason why)
{
	struct peer *p = c->owner;

	p->closed = true;
	p->why = why;
	p->conn = NULL;
}

static const struct stream_owner_ops stream_owner = {on_head, on_body, on_trailers, on_sent, on_reset};
static const struct http_conn_owner_ops conn_owner = {on_stream, NULL, on_change, on_closed};

static inline void run(struct peer *p)
{
	loop_run_tasks(&p->loop);
}

/* -- frames in -- */

static inline void put_frame(
	struct peer *p, unsigned type, unsigned flags, uint32_t stream, const void *payload, size_t n)
{
	struct h2_frame f = {(uint32_t)n, stream, (uint8_t)type, (uint8_t)flags};
	uint8_t header[H2_FRAME_HEADER];

	h2_frame_pack(header, &f);
	if (p->ft.in_at == p->ft.in_n)
		p->ft.in_at = p->ft.in_n = 0;
	fake_put(&p->ft, header, sizeof(header));
	fake_put(&p->ft, payload, n);
}

static inline void frame(
	struct peer *p, unsigned type, unsigned flags, uint32_t stream, const void *payload, size_t n)
{
	put_frame(p, type, flags, stream, payload, n);
	fake_event(&p->ft);
}

static inline void frame32(struct peer *p, unsigned type, uint32_t stream, uint32_t value)
{
	uint8_t b[4];

	h2_put32(b, value);
	frame(p, type, 0, stream, b, sizeof(b));
}

static inline void setting(struct peer *p, enum h2_setting id, uint32_t value)
{
	uint8_t b[6];

	h2_put16(b, (uint16_t)id);
	h2_put32(b + 2, value);
	frame(p, H2_FRAME_SETTINGS, 0, 0, b, sizeof(b));
}

static inline void goaway(struct peer *p, uint32_t last, enum h2_error code)
{
	uint8_t b[8];

	h2_put32(b, last);
	h2_put32(b + 4, code);
	frame(p, H2_FRAME_GOAWAY, 0, 0, b, sizeof(b));
}

/* "name=value name=value": a header block; '+' stands for a space in values. Never indexed, so that cases are independent. */
static inline size_t encode(struct peer *p, const char *fields, uint8_t *out, size_t cap)
{
	static char copy[1 << 16];
	nghttp2_nv nv[512];
	size_t n = 0;
	ssize_t bytes;

	snprintf(copy, sizeof(copy), "%s", fields);
	for (char *at = strtok(copy, " "); at && n < COUNT_OF(nv); at = strtok(NULL, " ")) {
		char *value = strchr(at + 1, '=');

		assert_non_null(value);
		*value++ = '\0';
		for (char *c = value; *c; c++)
			*c = *c == '+' ? ' ' : *c;
		nv[n++] = (nghttp2_nv){
			(uint8_t *)at, (uint8_t *)value, strlen(at), strlen(value), NGHTTP2_NV_FLAG_NO_INDEX};
	}
	bytes = nghttp2_hd_deflate_hd(p->deflater, out, cap, nv, n);
	assert_true(bytes >= 0);
	return (size_t)bytes;
}

static inline void headers(struct peer *p, uint32_t stream, bool end, const char *fields)
{
	static uint8_t block[1 << 16];
	size_t n = encode(p, fields, block, sizeof(block));

	frame(p, H2_FRAME_HEADERS, H2_FLAG_END_HEADERS | (end ? H2_FLAG_END_STREAM : 0), stream, block, n);
}

#define GET  ":method=GET :scheme=http :authority=a.test :path=/"
#define POST ":method=POST :scheme=http :authority=a.test :path=/"

static inline void data(struct peer *p, uint32_t stream, bool end, const char *text)
{
	frame(p, H2_FRAME_DATA, end ? H2_FLAG_END_STREAM : 0, stream, text, strlen(text));
}

static inline void zeros(struct peer *p, uint32_t stream, bool end, size_t n)
{
	static const char bytes[H2_FRAME_MAX];

	assert_true(n <= sizeof(bytes));
	frame(p, H2_FRAME_DATA, end ? H2_FLAG_END_STREAM : 0, stream, bytes, n);
}

/* -- frames out -- */

static inline const char *code_name(uint32_t code)
{
	static const char *const names[] = {"NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR",
		"FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED", "FRAME_SIZE_ERROR",
		"REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM"};

	return code < COUNT_OF(names) ? names[code] : "?";
}

static inline void say_block(struct peer *p, const uint8_t *b, size_t n, bool last)
{
	for (;;) {
		nghttp2_nv nv;
		int flags = 0;
		ssize_t used = nghttp2_hd_inflate_hd2(p->inflater, &nv, &flags, b, n, last);

		assert_true(used >= 0);
		b += used;
		n -= (size_t)used;
		if (flags & NGHTTP2_HD_INFLATE_EMIT)
			text_fmt(&p->frames, " [%s=%s]", (char *)nv.name, (char *)nv.value);
		if (flags & NGHTTP2_HD_INFLATE_FINAL)
			nghttp2_hd_inflate_end_headers(p->inflater);
		if ((flags & NGHTTP2_HD_INFLATE_FINAL) || (!(flags & NGHTTP2_HD_INFLATE_EMIT) && n == 0))
			return;
	}
}

static inline void say_frame(struct peer *p, const struct h2_frame *f, const uint8_t *b)
{
	struct text *t = &p->frames;

	switch (f->type) {
	case H2_FRAME_DATA:
		text_fmt(t, "DATA %u %u", f->stream, f->length);
		break;
	case H2_FRAME_HEADERS:
	case H2_FRAME_CONTINUATION:
		text_fmt(t, "%s %u", f->type == H2_FRAME_HEADERS ? "HEADERS" : "CONTINUATION", f->stream);
		say_block(p, b, f->length, f->flags & H2_FLAG_END_HEADERS);
		break;
	case H2_FRAME_RST_STREAM:
		text_fmt(t, "RST_STREAM %u %s", f->stream, code_name(h2_get32(b)));
		break;
	case H2_FRAME_SETTINGS:
		text_put(t, f->flags & H2_FLAG_ACK ? STR("SETTINGS ack") : STR("SETTINGS"));
		for (uint32_t i = 0; i < f->length; i += 6)
			text_fmt(t, " %u=%u", h2_get16(b + i), h2_get32(b + i + 2));
		break;
	case H2_FRAME_PING:
		text_put(t, f->flags & H2_FLAG_ACK ? STR("PING ack") : STR("PING"));
		break;
	case H2_FRAME_GOAWAY:
		text_fmt(t, "GOAWAY %u %s", h2_get32(b), code_name(h2_get32(b + 4)));
		break;
	case H2_FRAME_WINDOW_UPDATE:
		text_fmt(t, "WINDOW_UPDATE %u %u", f->stream, h2_get32(b));
		break;
	default:
		fail_msg("frame of type %u", f->type);
	}
	if ((f->type == H2_FRAME_DATA || f->type == H2_FRAME_HEADERS) && (f->flags & H2_FLAG_END_STREAM))
		text_put(t, STR(" end"));
	text_put(t, STR("\n"));
}

/* Whole frames that came out since the last call. */
static inline const char *frames(struct peer *p)
{
	p->frames = text_in(p->frames_buf, sizeof(p->frames_buf) - 1);
	while (p->ft.out_n - p->seen >= H2_FRAME_HEADER) {
		const uint8_t *at = (uint8_t *)p->ft.out + p->seen;
		struct h2_frame f;

		h2_frame_parse(&f, at);
		assert_true(f.length <= H2_FRAME_MAX);
		if (p->ft.out_n - p->seen - H2_FRAME_HEADER < f.length)
			break;
		say_frame(p, &f, at + H2_FRAME_HEADER);
		p->seen += H2_FRAME_HEADER + f.length;
	}
	if (p->seen == p->ft.out_n) {
		fake_out_clear(&p->ft);
		p->seen = 0;
	}
	p->frames_buf[p->frames.n] = '\0';
	return p->frames_buf;
}

static inline const char *heard(struct peer *p)
{
	p->heard_buf[p->heard.n] = '\0';
	p->heard.n = 0;
	return p->heard_buf;
}

#define assert_heard(p, expected)  assert_string_equal(heard(p), expected)
#define assert_frames(p, expected) assert_string_equal(frames(p), expected)

/* -- time -- */

/* Lets ms pass: deadlines that are due fire. */
static inline void pass(struct peer *p, unsigned ms)
{
	p->loop.now_ms += ms;
	for (uint32_t i = 0; i < p->loop.queue_count; i++) {
		struct list *link;

		while ((link = list_first(&p->loop.queues[i].entries))) {
			struct deadline *d = CONTAINER(link, struct deadline, link);

			if (d->at_ms > p->loop.now_ms)
				break;
			deadline_disarm(&p->loop, d);
			d->fire(d);
		}
	}
	run(p);
}

/* -- life -- */

static inline int setup(void **state)
{
	struct peer *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	assert_true(loop_init(&p->loop));
	fake_transport_init(&p->ft, &p->loop);
	p->lim = (struct http_limits){.header_ms = 1000,
		.body_ms = 3000,
		.idle_ms = 5000,
		.header_bytes = 4096,
		.header_count = 40,
		.max_streams = 10};
	p->heard = text_in(p->heard_buf, sizeof(p->heard_buf) - 1);
	p->grant = 1 << 20;
	assert_int_equal(nghttp2_hd_deflate_new(&p->deflater, 4096), 0);
	assert_int_equal(nghttp2_hd_inflate_new(&p->inflater), 0);
	*state = p;
	return 0;
}

static inline int teardown(void **state)
{
	struct peer *p = *state;

	if (p->conn)
		http_conn_close(p->conn, REASON_SHUTDOWN);
	run(p);
	for (unsigned i = 1; i <= p->opened; i++)
		let_go(p, i);
	run(p);
	assert_true(p->closed);
	assert_true(p->ft.closed);
	nghttp2_hd_deflate_del(p->deflater);
	nghttp2_hd_inflate_del(p->inflater);
	fake_transport_free(&p->ft);
	loop_free(&p->loop); /* fails if a block did not come back */
	free(p);
	return 0;
}

/* A server-role connection, past preface and SETTINGS. */
static inline void serve(struct peer *p)
{
	struct transport *t = &p->ft.t;

	p->conn = h2_server(&t, NULL, &p->lim, &conn_owner, p);
	assert_null(t);
	fake_feed(&p->ft, H2_PREFACE, H2_PREFACE_LEN);
	frame(p, H2_FRAME_SETTINGS, 0, 0, NULL, 0);
	frame(p, H2_FRAME_SETTINGS, H2_FLAG_ACK, 0, NULL, 0);
	frames(p);
}

/* A client-role connection; the server's SETTINGS have not come yet. */
static inline void dial(struct peer *p)
{
	struct transport *t = &p->ft.t;

	p->conn = h2_client(&t, &p->lim, &conn_owner, p);
	run(p);
	assert_memory_equal(p->ft.out, H2_PREFACE, H2_PREFACE_LEN);
	p->seen = H2_PREFACE_LEN;
	frames(p);
}

/* The same, past SETTINGS. */
static inline void dial_open(struct peer *p)
{
	dial(p);
	frame(p, H2_FRAME_SETTINGS, 0, 0, NULL, 0);
	frame(p, H2_FRAME_SETTINGS, H2_FLAG_ACK, 0, NULL, 0);
	frames(p);
}

static inline unsigned open_stream(struct peer *p)
{
	struct stream *s = http_conn_open(p->conn, &stream_owner, p);

	assert_non_null(s);
	p->s[++p->opened] = s;
	return p->opened;
}

/* Opens a stream and asks. */
static inline unsigned ask(struct peer *p, enum method method, const char *path, bool last)
{
	unsigned n = open_stream(p);

	send_request(p, n, method, path, last);
	run(p);
	return n;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
