/* fake_h1.h - fake.h's HTTP/1.1: text out, text in. */
#ifndef WEIR_TESTS_EXCHANGE_FAKE_H1_H
#define WEIR_TESTS_EXCHANGE_FAKE_H1_H

#include "fake.h"
#include "http/h1/websocket.h"

#define FAKE_KEY "dGhlIHNhbXBsZSBub25jZQ=="

static inline void f1_nothing(struct fake *f)
{
	(void)f;
}

static inline void f1_head(struct fake *f, const struct spec *s)
{
	char accept[WEBSOCKET_ACCEPT_LEN + 1];
	struct bytes *o = &f->out;

	f->out_chunked = s->stream;
	if (s->status == 0) {
		bytes_fmt(o, STR_FMT " " STR_FMT " HTTP/1.1\r\nHost: shop.test\r\n", STR_ARG(s->method),
			STR_ARG(s->path));
		if (s->tunnel)
			bytes_fmt(o,
				"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
				"Sec-WebSocket-Key: " FAKE_KEY "\r\n");
		if (s->expect)
			bytes_fmt(o, "Expect: 100-continue\r\n");
		if (s->te)
			bytes_fmt(o, "TE: trailers\r\nConnection: TE\r\n");
	} else {
		bytes_fmt(o, "HTTP/1.1 %u Whatever\r\n", s->tunnel ? 101 : s->status);
		if (s->tunnel) {
			websocket_accept(str_of(f->key), accept);
			bytes_fmt(o,
				"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n",
				accept);
		}
	}
	for (unsigned i = 0; i < s->n; i++)
		bytes_fmt(o, STR_FMT ": " STR_FMT "\r\n", STR_ARG(s->fields[i].name),
			STR_ARG(s->fields[i].value));
	if (s->stream)
		bytes_fmt(o, "Transfer-Encoding: chunked\r\n");
	else if (s->has_length || (s->status >= 200 && s->end && s->status != 204 && s->status != 304))
		bytes_fmt(o, "Content-Length: %zu\r\n", s->length);
	bytes_fmt(o, "\r\n");
}

static inline size_t f1_body(struct fake *f, const char *p, size_t n)
{
	if (f->out_chunked)
		bytes_fmt(&f->out, "%zx\r\n", n);
	bytes_add(&f->out, p, n);
	if (f->out_chunked)
		bytes_fmt(&f->out, "\r\n");
	return n;
}

static inline void f1_finish(struct fake *f)
{
	if (f->out_chunked)
		bytes_fmt(&f->out, "0\r\n\r\n");
	if (!f->out_tunnel)
		return;
	f->side->limit = SIZE_MAX; /* a half-close comes after all bytes */
	fake_flush(f);
	assert_int_equal(f->out.n, 0);
	transport_shutdown(f->t);
	if (f->eof)
		fake_hang_up(f, false);
}

static inline void f1_trailers(struct fake *f, const struct spec *s)
{
	assert_true(f->out_chunked);
	bytes_fmt(&f->out, "0\r\n");
	for (unsigned i = 0; i < s->n; i++)
		bytes_fmt(&f->out, STR_FMT ": " STR_FMT "\r\n", STR_ARG(s->fields[i].name),
			STR_ARG(s->fields[i].value));
	bytes_fmt(&f->out, "\r\n");
}

static inline void f1_reset(struct fake *f, enum h2_error code)
{
	(void)code;
	fake_hang_up(f, true);
}

/* -- in -- */

static inline void f1_field(struct fake *f, struct spec *s, char *line, size_t n)
{
	size_t colon = str_find((struct str){line, n}, ':');
	struct str name = {line, colon}, value = str_trim(str_skip((struct str){line, n}, colon + 1));

	assert_true(colon < n);
	for (size_t i = 0; i < colon; i++)
		line[i] = str_lower_char(line[i]);
	spec_add(s, name, value);
	if (str_eq(name, STR("content-length"))) {
		s->has_length = true;
		s->length = number(value);
	}
	s->stream |= str_eq(name, STR("transfer-encoding"));
	s->expect |= str_eq(name, STR("expect"));
	s->te |= str_eq(name, STR("te"));
	s->tunnel |= str_eq(name, STR("upgrade"));
	if (str_eq(name, STR("sec-websocket-key")))
		snprintf(f->key, sizeof(f->key), STR_FMT, STR_ARG(value));
	if (str_eq(name, STR("sec-websocket-accept")))
		assert_str(value, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="); /* of FAKE_KEY, RFC 6455 1.3 */
}

/* Lines up to the empty one at the end of n bytes. */
static inline void f1_fields(struct fake *f, struct spec *s, char *p, size_t n)
{
	while (n > 2) {
		char *end = memmem(p, n, "\r\n", 2);

		f1_field(f, s, p, (size_t)(end - p));
		n -= (size_t)(end + 2 - p);
		p = end + 2;
	}
}

static inline void f1_framing(struct fake *f, const struct spec *s)
{
	bool bodyless = s->status && (f->head_request || s->status == 204 || s->status == 304);

	f->in_tunnel = s->tunnel;
	f->in_chunked = s->stream;
	f->in_left = s->length;
	f->in_close = s->status && !s->tunnel && !s->stream && !s->has_length && !bodyless;
	f->in_at = AT_BODY;
	if (bodyless || (!s->tunnel && !s->stream && !f->in_close && s->length == 0))
		hear_end(f, NULL);
}

static inline bool f1_take_head(struct fake *f)
{
	char *end = memmem(f->in.p, f->in.n, "\r\n\r\n", 4), *line;
	size_t n = (size_t)(end + 4 - f->in.p);
	struct spec s = {0};
	struct str first;

	if (!end)
		return false;
	line = memmem(f->in.p, n, "\r\n", 2);
	first = (struct str){f->in.p, (size_t)(line - f->in.p)};
	if (f->side->client) {
		assert_true(str_starts(first, STR("HTTP/1.1 ")));
		s.status = number(str_head(str_skip(first, 9), 3));
	} else {
		s.method = word(&first);
		s.path = word(&first);
		assert_str(str_trim(first), "HTTP/1.1");
		f->head_request = str_eq(s.method, STR("HEAD"));
	}
	f1_fields(f, &s, line + 2, n - (size_t)(line + 2 - f->in.p));
	if (s.status == 101)
		s.status = 200; /* a tunnel's consent, in the words that both versions share */
	if (!f->side->client)
		fake_asked(f);
	hear_head(f, &s);
	if (s.status == 0 || s.status >= 200)
		f1_framing(f, &s);
	bytes_drop(&f->in, n);
	return true;
}

static inline bool f1_take_chunk(struct fake *f)
{
	char *end = memmem(f->in.p, f->in.n, "\r\n", 2);
	struct spec s = {0};
	size_t size;

	if (!end)
		return false;
	size = strtoul(f->in.p, NULL, 16);
	if (size) {
		size_t head = (size_t)(end + 2 - f->in.p);

		if (f->in.n < head + size + 2)
			return false;
		hear_body(f, end + 2, size);
		bytes_drop(&f->in, head + size + 2);
		return true;
	}
	end = memmem(f->in.p, f->in.n, "\r\n\r\n", 4);
	if (!end)
		return false;
	f1_fields(f, &s, f->in.p + 3, (size_t)(end + 4 - (f->in.p + 3)));
	hear_end(f, s.n ? &s : NULL);
	bytes_drop(&f->in, (size_t)(end + 4 - f->in.p));
	return true;
}

static inline bool f1_take_body(struct fake *f)
{
	size_t n = f->in_tunnel || f->in_close ? f->in.n : MIN(f->in.n, f->in_left);

	if (f->in_chunked)
		return f1_take_chunk(f);
	if (n == 0)
		return false;
	hear_body(f, f->in.p, n);
	bytes_drop(&f->in, n);
	f->in_left -= f->in_tunnel || f->in_close ? 0 : n;
	if (!f->in_tunnel && !f->in_close && f->in_left == 0)
		hear_end(f, NULL);
	return true;
}

static inline void f1_receive(struct fake *f)
{
	bool more = true;

	while (more && f->in.n) {
		if (f->in_at == AT_BODY)
			more = f1_take_body(f);
		else
			more = f1_take_head(f);
	}
}

static const struct fake_wire fake_h1 = {
	f1_nothing, f1_nothing, f1_head, f1_body, f1_finish, f1_trailers, f1_reset, f1_receive};

#endif
