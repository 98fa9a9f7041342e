#include "http/h2/block.h"

#include "base/obj.h"
#include "http/h1/chars.h"

enum pseudo {
	PSEUDO_METHOD = 1,
	PSEUDO_SCHEME = 2,
	PSEUDO_AUTHORITY = 4,
	PSEUDO_PATH = 8,
	PSEUDO_PROTOCOL = 16,
	PSEUDO_STATUS = 32,
};

#define FIRST_FIELDS 24 /* room for these is there at once; more fields grow the array */
#define FIELD_EXTRA  32 /* what a field counts beside its bytes (RFC 9113 6.5.2) */
#define OVERSHOOT    4 /* a block may exceed the limit that many times before the connection ends */

/* RFC 9110 5.6.2 token, in lower case as RFC 9113 8.2.1 wants names. */
static const bool name_char[256] = {
	['!'] = true,
	['#'] = true,
	['$'] = true,
	['%'] = true,
	['&'] = true,
	['\''] = true,
	['*'] = true,
	['+'] = true,
	['-'] = true,
	['.'] = true,
	['^'] = true,
	['_'] = true,
	['`'] = true,
	['|'] = true,
	['~'] = true,
	['0' ... '9'] = true,
	['a' ... 'z'] = true,
};

void h2_block_init(struct h2_block *b, struct mem *m, const struct http_limits *lim, uint32_t stream,
	enum h2_block_kind kind)
{
	*b = (struct h2_block){.stream = stream, .kind = (uint8_t)kind, .limits = lim};
	arena_init(&b->arena, m);
	b->head.version = HTTP_2;
}

void h2_block_free(struct h2_block *b)
{
	arena_free(&b->arena);
}

static bool is_name(struct str s)
{
	bool all = true;

	/* Almost always true, so looked at to the end without a branch. */
	for (size_t i = 0; i < s.n; i++)
		all &= name_char[(uint8_t)s.p[i]];
	return all && s.n > 0;
}

/* RFC 9113 8.2.1, and no other control than a tab: an HTTP/1 peer would refuse it (RFC 9110 5.5). */
static bool is_value(struct str s)
{
	return h1_is_value(s) &&
	       (s.n == 0 || (s.p[0] != ' ' && s.p[0] != '\t' && s.p[s.n - 1] != ' ' && s.p[s.n - 1] != '\t'));
}

static void malformed(struct h2_block *b, enum reason why)
{
	if (b->wrong == REASON_NONE)
		b->wrong = (uint16_t)why;
}

static struct str keep(struct h2_block *b, struct str s)
{
	char *p = arena_bytes(&b->arena, s.n);

	if (s.n)
		memcpy(p, s.p, s.n);
	return (struct str){p, s.n};
}

static struct str keep_lower(struct h2_block *b, struct str s)
{
	struct str kept = keep(b, s);

	str_lower((char *)(uintptr_t)kept.p, kept.n);
	return kept;
}

/* Written as an HTTP/1 line, so that an HTTP/1 peer gets runs of lines copied at once. */
static void add_line(struct h2_block *b, enum field_id id, struct str name, struct str value)
{
	struct fields *fs = &b->head.fields;
	char *p = arena_bytes(&b->arena, name.n + value.n + 4);

	memcpy(p, name.p, name.n);
	memcpy(p + name.n, ": ", 2);
	if (value.n)
		memcpy(p + name.n + 2, value.p, value.n);
	memcpy(p + name.n + 2 + value.n, "\r\n", 2);
	fields_add(&b->arena, fs, id, (struct str){p, name.n}, (struct str){p + name.n + 2, value.n});
	fs->v[fs->n - 1].raw = true;
}

static const struct {
	struct str name;
	uint8_t bit;
	uint8_t kind; /* enum h2_block_kind in which it may come */
} pseudo_names[] = {
	{STR(":method"), PSEUDO_METHOD, H2_BLOCK_REQUEST},
	{STR(":path"), PSEUDO_PATH, H2_BLOCK_REQUEST},
	{STR(":scheme"), PSEUDO_SCHEME, H2_BLOCK_REQUEST},
	{STR(":authority"), PSEUDO_AUTHORITY, H2_BLOCK_REQUEST},
	{STR(":protocol"), PSEUDO_PROTOCOL, H2_BLOCK_REQUEST},
	{STR(":status"), PSEUDO_STATUS, H2_BLOCK_RESPONSE},
};

static void take_status(struct h2_block *b, struct str value)
{
	uint64_t status;

	/* RFC 9110 15: three digits. RFC 9113 8.6: there is no 101 here. */
	if (value.n != 3 || !str_to_u64(value, &status) || status < 100 || status > 599 || status == 101)
		malformed(b, REASON_CLIENT_BAD_HEADER);
	else
		b->head.status = (uint16_t)status;
}

static void take_pseudo(struct h2_block *b, struct str name, struct str value)
{
	struct head *h = &b->head;
	uint8_t bit = 0;

	for (size_t i = 0; i < COUNT_OF(pseudo_names) && !bit; i++)
		if (str_eq(pseudo_names[i].name, name) && pseudo_names[i].kind == b->kind)
			bit = pseudo_names[i].bit;
	/* RFC 9113 8.3: unknown, late or repeated, or in trailers. */
	if (!bit || b->regular || (b->pseudo & bit) || (bit == PSEUDO_PROTOCOL && !b->tunnel_ok)) {
		malformed(b, REASON_CLIENT_BAD_HEADER);
		return;
	}
	b->pseudo |= bit;
	switch (bit) {
	case PSEUDO_METHOD:
		h->method_id = (uint8_t)method_of(value);
		if (!h->method_id && !h1_all(value, H1_TOKEN))
			malformed(b, REASON_CLIENT_BAD_REQUEST);
		h->method = h->method_id ? method_name(h->method_id) : keep(b, value);
		break;
	case PSEUDO_SCHEME:
		if (str_eq(value, STR("https")))
			h->scheme = STR("https");
		else if (str_eq(value, STR("http")))
			h->scheme = STR("http");
		else
			malformed(b, REASON_CLIENT_BAD_REQUEST);
		break;
	case PSEUDO_AUTHORITY:
		if (!authority_is_valid(value))
			malformed(b, REASON_CLIENT_BAD_HOST);
		h->authority = keep_lower(b, value);
		break;
	case PSEUDO_PATH:
		/* RFC 3986 3.3, 3.4 leave nothing but visible ASCII, and no fragment. */
		if (!h1_is_target(value))
			malformed(b, REASON_CLIENT_BAD_PATH);
		h->path = keep(b, value);
		break;
	case PSEUDO_PROTOCOL:
		if (!h1_all(value, H1_TOKEN))
			malformed(b, REASON_CLIENT_BAD_HEADER);
		h->protocol = keep(b, value);
		h->consent_by_status = true;
		break;
	case PSEUDO_STATUS:
		take_status(b, value);
		break;
	}
}

static void take_length(struct h2_block *b, struct str value)
{
	/* RFC 9110 8.6: digits. A repeated one is refused even if it says the same. */
	if (b->head.has_length || !str_to_u64(value, &b->head.length))
		malformed(b, REASON_CLIENT_BAD_FRAMING);
	b->head.has_length = true;
}

static void take_host(struct h2_block *b, struct str value)
{
	if (b->host.n || !authority_is_valid(value))
		malformed(b, REASON_CLIENT_BAD_HOST);
	else
		b->host = keep_lower(b, value);
}

static void take_field(struct h2_block *b, struct str name, struct str value)
{
	bool request = b->kind == H2_BLOCK_REQUEST, trailers = b->kind == H2_BLOCK_TRAILERS;
	enum field_id id = field_id_of(name);

	b->regular = true;
	if (!is_name(name) || !is_value(value)) {
		malformed(b, REASON_CLIENT_BAD_HEADER);
		return;
	}
	switch (id) {
	/* RFC 9113 8.2.2: connection-specific fields are malformed. */
	case FIELD_CONNECTION:
	case FIELD_PROXY_CONNECTION:
	case FIELD_KEEP_ALIVE:
	case FIELD_TRANSFER_ENCODING:
	case FIELD_UPGRADE:
		malformed(b, REASON_CLIENT_BAD_HEADER);
		return;
	case FIELD_TE:
		if (!request || !str_case_eq(value, STR("trailers")))
			malformed(b, REASON_CLIENT_BAD_HEADER);
		b->head.te_trailers = true;
		return;
	default:
		break;
	}
	if (trailers) {
		/* RFC 9110 6.5.1: what changes framing, routing or authorisation comes too late. */
		if (!(field_rows[id].flags & (FIELD_NO_TRAILER | FIELD_HOP)))
			add_line(b, id, name, value);
		return;
	}
	switch (id) {
	case FIELD_HTTP2_SETTINGS:
		return;
	case FIELD_CONTENT_LENGTH:
		take_length(b, value);
		return;
	case FIELD_HOST:
		if (request) {
			take_host(b, value);
			return;
		}
		break;
	case FIELD_EXPECT:
		if (request && str_case_eq(value, STR("100-continue"))) {
			b->head.expect_continue = true;
			return;
		}
		break;
	case FIELD_COOKIE:
		b->cookies += b->cookies < UINT8_MAX;
		break;
	default:
		break;
	}
	add_line(b, id, name, value);
}

static void take(struct h2_block *b, const nghttp2_nv *nv)
{
	struct str name = {(char *)nv->name, nv->namelen}, value = {(char *)nv->value, nv->valuelen};

	b->count++;
	b->bytes += name.n + value.n + FIELD_EXTRA;
	if (b->bytes > b->limits->header_bytes || b->count > b->limits->header_count)
		b->too_large = true;
	if (b->too_large || b->wrong || b->kind == H2_BLOCK_IGNORED)
		return;
	if (!b->head.fields.v) {
		b->head.fields.v = arena_room(&b->arena, FIRST_FIELDS * sizeof(struct field));
		b->head.fields.cap = FIRST_FIELDS;
	}
	if (name.n && name.p[0] == ':')
		take_pseudo(b, name, value);
	else
		take_field(b, name, value);
}

enum h2_error h2_block_feed(struct h2_block *b, struct h2_hpack *hp, const uint8_t *p, size_t n, bool last)
{
	for (;;) {
		nghttp2_nv nv;
		int flags = 0;
		ssize_t used = nghttp2_hd_inflate_hd2(hp->in, &nv, &flags, p, n, last);

		if (used < 0)
			return H2_COMPRESSION_ERROR;
		p += used;
		n -= (size_t)used;
		if (flags & NGHTTP2_HD_INFLATE_EMIT) {
			take(b, &nv);
			if (b->bytes / OVERSHOOT > b->limits->header_bytes)
				return H2_ENHANCE_YOUR_CALM;
		}
		if (flags & NGHTTP2_HD_INFLATE_FINAL) {
			nghttp2_hd_inflate_end_headers(hp->in);
			return H2_NO_ERROR;
		}
		if (!(flags & NGHTTP2_HD_INFLATE_EMIT) && n == 0)
			return H2_NO_ERROR;
	}
}

/* RFC 9113 8.2.3: crumbs become one field again, where the first stood. */
static void join_cookies(struct h2_block *b)
{
	struct fields *fs = &b->head.fields;
	struct field *first = NULL;
	unsigned kept = 0;
	size_t n = 0;
	char *p, *line;

	for (unsigned i = 0; i < fs->n; i++)
		if (fs->v[i].id == FIELD_COOKIE)
			n += fs->v[i].value_len + 2;
	line = p = arena_bytes(&b->arena, sizeof("cookie: ") + n);
	memcpy(p, "cookie: ", 8);
	p += 8;
	for (unsigned i = 0; i < fs->n; i++) {
		struct field *f = &fs->v[i];

		if (f->id == FIELD_COOKIE) {
			memcpy(p, f->value, f->value_len);
			p += f->value_len;
			memcpy(p, "; ", 2);
			p += 2;
			if (first)
				continue;
			first = &fs->v[kept];
		}
		fs->v[kept++] = *f;
	}
	fs->n = (uint16_t)kept;
	memcpy(p - 2, "\r\n", 2);
	MUST(first); /* the caller has counted the crumbs */
	first->name = line;
	first->value = line + 8;
	first->value_len = (uint32_t)(p - 2 - first->value);
}

/* RFC 9113 8.3.1 and 8.5, RFC 8441 4: which pseudo-headers a request has to have. */
static void finish_request(struct h2_block *b)
{
	const uint8_t plain = PSEUDO_METHOD | PSEUDO_SCHEME | PSEUDO_PATH;
	struct head *h = &b->head;

	if (h->authority.n == 0)
		h->authority = b->host;
	else if (b->host.n && !str_eq(h->authority, b->host))
		malformed(b, REASON_CLIENT_BAD_HOST);
	if (h->authority.n == 0)
		malformed(b, REASON_CLIENT_BAD_HOST);
	if (h->method_id == METHOD_CONNECT && !(b->pseudo & PSEUDO_PROTOCOL)) {
		if (b->pseudo != (PSEUDO_METHOD | PSEUDO_AUTHORITY))
			malformed(b, REASON_CLIENT_BAD_REQUEST);
		h->reject = REASON_CLIENT_CONNECT;
		h->body = b->end_stream ? BODY_NONE : BODY_STREAM;
		return;
	}
	if ((b->pseudo & plain) != plain ||
		((b->pseudo & PSEUDO_PROTOCOL) && h->method_id != METHOD_CONNECT)) {
		malformed(b, REASON_CLIENT_BAD_REQUEST);
		return;
	}
	if (h->path.p[0] != '/' && !(h->method_id == METHOD_OPTIONS && str_eq(h->path, STR("*"))))
		malformed(b, REASON_CLIENT_BAD_PATH);
	if (b->pseudo & PSEUDO_PROTOCOL) {
		if (h->has_length)
			malformed(b, REASON_CLIENT_BAD_FRAMING);
		h->body = BODY_TUNNEL;
	} else if (b->end_stream) {
		if (h->has_length && h->length > 0)
			malformed(b, REASON_CLIENT_LENGTH_MISMATCH);
		h->body = BODY_NONE;
	} else {
		h->body = h->has_length ? BODY_LENGTH : BODY_STREAM;
	}
}

static void finish_response(struct h2_block *b, enum method request_method)
{
	struct head *h = &b->head;

	if (!(b->pseudo & PSEUDO_STATUS)) {
		malformed(b, REASON_CLIENT_BAD_HEADER);
		return;
	}
	if (h->status < 200) {
		/* RFC 9113 8.1: an interim head cannot be the end. */
		if (b->end_stream)
			malformed(b, REASON_CLIENT_BAD_HEADER);
		h->has_length = false;
		h->body = BODY_NONE;
	} else if (request_method == METHOD_CONNECT && h->status < 300) {
		h->status = 200;
		h->has_length = false;
		h->body = BODY_TUNNEL;
	} else if (request_method == METHOD_HEAD || h->status == 304) {
		h->body = BODY_NONE;
	} else if (h->status == 204) {
		h->has_length = false;
		h->body = BODY_NONE;
	} else if (b->end_stream) {
		if (h->has_length && h->length > 0)
			malformed(b, REASON_CLIENT_LENGTH_MISMATCH);
		h->body = BODY_NONE;
	} else {
		h->body = h->has_length ? BODY_LENGTH : BODY_STREAM;
	}
}

void h2_block_finish(struct h2_block *b, enum method request_method)
{
	if (b->wrong || b->kind == H2_BLOCK_IGNORED)
		return;
	if (b->too_large) {
		b->head.reject = REASON_CLIENT_HEADERS_TOO_LARGE;
		b->head.body = b->end_stream ? BODY_NONE : BODY_STREAM;
		b->head.has_length = false;
		return;
	}
	if (b->cookies > 1)
		join_cookies(b);
	if (b->kind == H2_BLOCK_REQUEST)
		finish_request(b);
	else if (b->kind == H2_BLOCK_RESPONSE)
		finish_response(b, request_method);
	else if (!b->end_stream)
		malformed(b, REASON_CLIENT_BAD_HEADER); /* RFC 9113 8.1: trailers are the end */
}
