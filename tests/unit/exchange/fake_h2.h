/* fake_h2.h - fake.h's HTTP/2: one stream at a time, the newest. */
#ifndef WEIR_TESTS_EXCHANGE_FAKE_H2_H
#define WEIR_TESTS_EXCHANGE_FAKE_H2_H

#include "fake.h"

static inline void f2_frame(
	struct fake *f, uint8_t type, uint8_t flags, uint32_t stream, const void *p, size_t n)
{
	struct h2_frame frame = {(uint32_t)n, stream, type, flags};
	uint8_t header[H2_FRAME_HEADER];

	h2_frame_pack(header, &frame);
	bytes_add(&f->out, header, sizeof(header));
	bytes_add(&f->out, p, n);
}

static inline void f2_frame32(struct fake *f, uint8_t type, uint32_t stream, uint32_t value)
{
	uint8_t b[4];

	h2_put32(b, value);
	f2_frame(f, type, 0, stream, b, sizeof(b));
}

static inline void f2_begin(struct fake *f)
{
	uint8_t settings[12];

	MUST(nghttp2_hd_deflate_new(&f->deflater, 4096) == 0 && nghttp2_hd_inflate_new(&f->inflater) == 0);
	f->conn_window = f->initial_window = H2_WINDOW_DEFAULT;
	h2_put16(settings, H2_SET_INITIAL_WINDOW_SIZE);
	h2_put32(settings + 2, f->side->window ? (uint32_t)f->side->window : H2_WINDOW_DEFAULT);
	h2_put16(settings + 6, H2_SET_ENABLE_CONNECT_PROTOCOL);
	h2_put32(settings + 8, 1);
	if (f->side->client)
		bytes_add(&f->out, H2_PREFACE, H2_PREFACE_LEN);
	f2_frame(f, H2_FRAME_SETTINGS, 0, 0, settings, f->side->client ? 6 : sizeof(settings));
	f->greeted = f->side->client; /* an origin reads the preface first */
	f->stream = f->side->client ? (uint32_t)-1 : 0;
}

static inline void f2_end(struct fake *f)
{
	nghttp2_hd_deflate_del(f->deflater);
	nghttp2_hd_inflate_del(f->inflater);
}

/* -- out -- */

struct f2_block {
	nghttp2_nv v[FAKE_FIELDS + 16];
	size_t n;
	char length[24];
};

static inline void f2_put(struct f2_block *b, struct str name, struct str value)
{
	MUST(b->n < COUNT_OF(b->v));
	b->v[b->n++] = (nghttp2_nv){(uint8_t *)(uintptr_t)name.p, (uint8_t *)(uintptr_t)value.p, name.n,
		value.n, NGHTTP2_NV_FLAG_NONE};
}

static inline void f2_put_fields(struct f2_block *b, const struct spec *s)
{
	for (unsigned i = 0; i < s->n; i++) {
		struct str value = s->fields[i].value;

		if (!str_eq(s->fields[i].name, STR("cookie"))) {
			f2_put(b, s->fields[i].name, value);
			continue;
		}
		while (value.n) { /* crumbs: RFC 9113 8.2.3 */
			struct str crumb = str_head(value, str_find(value, ';'));

			f2_put(b, STR("cookie"), crumb);
			value = str_trim(str_skip(value, crumb.n + 1));
		}
	}
}

static inline void f2_send_block(struct fake *f, const struct f2_block *b, bool end)
{
	static uint8_t block[1 << 16];
	ssize_t n = nghttp2_hd_deflate_hd(f->deflater, block, sizeof(block), b->v, b->n);

	MUST(n > 0 && n <= (ssize_t)H2_FRAME_MAX);
	f2_frame(f, H2_FRAME_HEADERS, H2_FLAG_END_HEADERS | (end ? H2_FLAG_END_STREAM : 0), f->stream, block,
		(size_t)n);
}

static inline void f2_head(struct fake *f, const struct spec *s)
{
	struct f2_block b = {0};
	char status[12];

	if (s->status) {
		snprintf(status, sizeof(status), "%u", s->status);
		f2_put(&b, STR(":status"), str_of(status));
	} else {
		f->stream += 2;
		f2_put(&b, STR(":method"), s->tunnel ? STR("CONNECT") : s->method);
		f2_put(&b, STR(":scheme"), f->t->ops->tls ? STR("https") : STR("http"));
		f2_put(&b, STR(":authority"), STR("shop.test"));
		f2_put(&b, STR(":path"), s->path);
		if (s->tunnel)
			f2_put(&b, STR(":protocol"), STR("websocket"));
		if (s->tunnel)
			f2_put(&b, STR("sec-websocket-version"), STR("13"));
		if (s->expect)
			f2_put(&b, STR("expect"), STR("100-continue"));
		if (s->te)
			f2_put(&b, STR("te"), STR("trailers"));
	}
	f2_put_fields(&b, s);
	if (s->has_length) {
		snprintf(b.length, sizeof(b.length), "%zu", s->length);
		f2_put(&b, STR("content-length"), str_of(b.length));
	}
	f2_send_block(f, &b, s->end);
	if (s->status == 0)
		f->stream_window = f->initial_window;
}

static inline size_t f2_body(struct fake *f, const char *p, size_t n)
{
	int64_t window = MIN(f->conn_window, f->stream_window);

	if (f->stopped)
		return n;
	if (window <= 0)
		return 0;
	n = MIN(n, (size_t)window);
	f2_frame(f, H2_FRAME_DATA, 0, f->stream, p, n);
	f->conn_window -= (int64_t)n;
	f->stream_window -= (int64_t)n;
	return n;
}

static inline void f2_finish(struct fake *f)
{
	if (!f->stopped)
		f2_frame(f, H2_FRAME_DATA, H2_FLAG_END_STREAM, f->stream, NULL, 0);
}

static inline void f2_trailers(struct fake *f, const struct spec *s)
{
	struct f2_block b = {0};

	f2_put_fields(&b, s);
	if (!f->stopped)
		f2_send_block(f, &b, true);
}

static inline void f2_reset(struct fake *f, enum h2_error code)
{
	f2_frame32(f, H2_FRAME_RST_STREAM, f->stream, code);
}

/* -- in -- */

static inline void f2_field(struct spec *s, struct str name, struct str value)
{
	if (str_eq(name, STR(":method")))
		s->method = value;
	else if (str_eq(name, STR(":path")))
		s->path = value;
	else if (str_eq(name, STR(":status")))
		s->status = number(value);
	else if (str_eq(name, STR(":protocol")))
		s->tunnel = true;
	else if (str_eq(name, STR("content-length"))) {
		s->has_length = true;
		s->length = number(value);
	}
	s->expect |= str_eq(name, STR("expect"));
	s->te |= str_eq(name, STR("te"));
	if (name.p[0] != ':')
		spec_add(s, name, value);
}

/* RFC 9113 8.2.3: crumbs are one cookie. */
static inline void f2_join_cookies(struct spec *s, struct bytes *kept)
{
	unsigned first = FAKE_FIELDS, n = 0;

	for (unsigned i = 0; i < s->n; i++) {
		if (!str_eq(s->fields[i].name, STR("cookie"))) {
			s->fields[n++] = s->fields[i];
			continue;
		}
		if (first == FAKE_FIELDS) {
			first = n;
			s->fields[n++] = s->fields[i];
		} else {
			bytes_fmt(kept, "; ");
		}
		bytes_add(kept, s->fields[i].value.p, s->fields[i].value.n);
	}
	if (first < FAKE_FIELDS)
		s->fields[first].value = (struct str){kept->p, kept->n};
	s->n = n;
}

/* A whole header block is in f->block. Names and values are kept in `kept`. */
static inline void f2_inflate(struct fake *f, struct spec *s, struct bytes *kept)
{
	const uint8_t *p = (const uint8_t *)f->block.p;
	size_t n = f->block.n;
	nghttp2_nv nv;
	int flags;

	kept->p = malloc(kept->cap = 1 << 17);
	MUST(kept->p);
	do {
		ssize_t used = nghttp2_hd_inflate_hd2(f->inflater, &nv, &flags, p, n, 1);
		struct str name, value;

		assert_true(used >= 0);
		p += used;
		n -= (size_t)used;
		if (!(flags & NGHTTP2_HD_INFLATE_EMIT))
			continue;
		name = (struct str){kept->p + kept->n, nv.namelen};
		bytes_add(kept, nv.name, nv.namelen);
		value = (struct str){kept->p + kept->n, nv.valuelen};
		bytes_add(kept, nv.value, nv.valuelen);
		f2_field(s, name, value);
	} while (!(flags & NGHTTP2_HD_INFLATE_FINAL));
	nghttp2_hd_inflate_end_headers(f->inflater);
	MUST(kept->cap == 1 << 17); /* nothing moved */
}

static inline void f2_headers(struct fake *f, uint32_t stream)
{
	bool end = f->block_flags & H2_FLAG_END_STREAM;
	struct bytes kept = {0}, cookie = {0};
	struct spec s = {0};

	f2_inflate(f, &s, &kept);
	f2_join_cookies(&s, &cookie);
	f->block.n = 0;
	if (!f->side->client && stream > f->stream) {
		f->stream = stream;
		f->stream_window = f->initial_window;
		f->in_at = AT_HEAD;
		fake_asked(f);
		if (s.tunnel)
			s.method = STR("GET"); /* in the words that both versions share */
	}
	if (stream != f->stream || f->in_at == AT_END) {
		end = false;
	} else if (f->in_at == AT_BODY) {
		assert_true(end);
		hear_end(f, &s);
		end = false;
	} else {
		s.tunnel |= s.status == 200 && f->out_tunnel && !end;
		hear_head(f, &s);
		if (s.status == 0 || s.status >= 200)
			f->in_at = AT_BODY;
	}
	if (end)
		hear_end(f, NULL);
	free(kept.p);
	free(cookie.p);
}

static inline void f2_settings(struct fake *f, const struct h2_frame *h, const uint8_t *p)
{
	if (h->flags & H2_FLAG_ACK)
		return;
	for (uint32_t i = 0; i < h->length; i += 6) {
		int64_t value = h2_get32(p + i + 2);

		if (h2_get16(p + i) != H2_SET_INITIAL_WINDOW_SIZE)
			continue;
		f->stream_window += value - f->initial_window;
		f->initial_window = value;
	}
	f2_frame(f, H2_FRAME_SETTINGS, H2_FLAG_ACK, 0, NULL, 0);
}

static inline void f2_data(struct fake *f, const struct h2_frame *h, const uint8_t *p)
{
	if (h->length)
		f2_frame32(f, H2_FRAME_WINDOW_UPDATE, 0, h->length);
	if (h->stream != f->stream || f->in_at != AT_BODY)
		return;
	hear_body(f, (const char *)p, h->length);
	if (h->flags & H2_FLAG_END_STREAM)
		hear_end(f, NULL);
	else if (h->length)
		f2_frame32(f, H2_FRAME_WINDOW_UPDATE, f->stream, h->length);
}

static inline void f2_take(struct fake *f, const struct h2_frame *h, const uint8_t *p)
{
	switch (h->type) {
	case H2_FRAME_DATA:
		f2_data(f, h, p);
		break;
	case H2_FRAME_HEADERS:
		f->block_flags = h->flags;
		/* fallthrough */
	case H2_FRAME_CONTINUATION:
		bytes_add(&f->block, p, h->length);
		if (h->flags & H2_FLAG_END_HEADERS)
			f2_headers(f, h->stream);
		break;
	case H2_FRAME_RST_STREAM:
		if (h->stream == f->stream)
			hear_cut(f);
		break;
	case H2_FRAME_SETTINGS:
		f2_settings(f, h, p);
		break;
	case H2_FRAME_PING:
		if (!(h->flags & H2_FLAG_ACK))
			f2_frame(f, H2_FRAME_PING, H2_FLAG_ACK, 0, p, h->length);
		break;
	case H2_FRAME_WINDOW_UPDATE:
		if (h->stream == 0)
			f->conn_window += h2_get32(p);
		else if (h->stream == f->stream)
			f->stream_window += h2_get32(p);
		break;
	case H2_FRAME_GOAWAY:
		break; /* the connection's end follows, and says the rest */
	default:
		fail_msg("frame of type %u", h->type);
	}
}

static inline void f2_receive(struct fake *f)
{
	if (!f->greeted && f->in.n >= H2_PREFACE_LEN) {
		assert_memory_equal(f->in.p, H2_PREFACE, H2_PREFACE_LEN);
		bytes_drop(&f->in, H2_PREFACE_LEN);
		f->greeted = true;
	}
	while (f->greeted && f->t && f->in.n >= H2_FRAME_HEADER) {
		const uint8_t *p = (const uint8_t *)f->in.p;
		struct h2_frame h;

		h2_frame_parse(&h, p);
		assert_true(h.length <= H2_FRAME_MAX);
		if (f->in.n < H2_FRAME_HEADER + h.length)
			break;
		f2_take(f, &h, p + H2_FRAME_HEADER);
		bytes_drop(&f->in, H2_FRAME_HEADER + h.length);
	}
}

static const struct fake_wire fake_h2 = {
	f2_begin, f2_end, f2_head, f2_body, f2_finish, f2_trailers, f2_reset, f2_receive};

#endif
