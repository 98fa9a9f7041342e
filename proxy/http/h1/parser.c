#include "http/h1/parser.h"
#include "base/obj.h"
#include "http/chars.h"
#include "http/h1/section.h"

#define EMPTY_LINES_MAX \
	8 /* before a request line: some clients end a body with one that its length does not count */

uint32_t h1_count_max(const struct http_limits *lim)
{
	return lim->header_count ? MIN(lim->header_count, H1_FIELDS_MAX) : H1_FIELDS_MAX;
}

/* "HTTP/1.1"; *version is HTTP_NONE for a well-formed version that is not 1.x. RFC 9110 2.5: a higher minor version is
 * treated as the highest one known. */
static enum h1_result take_version(struct h1_cursor *c, enum reason otherwise, uint8_t *version)
{
	static const char form[8] = "HTTP/d.d";

	if (c->end - c->p >= 8 && memcmp(c->p, "HTTP/1.1", 8) == 0) {
		c->p += 8;
		*version = HTTP_1_1;
		return H1_COMPLETE;
	}
	for (size_t i = 0; i < sizeof(form); i++) {
		if (c->p + i == c->end)
			return H1_PARTIAL;
		if (form[i] == 'd' ? c->p[i] < '0' || c->p[i] > '9' : c->p[i] != form[i])
			return h1_bad(c, otherwise);
	}
	*version = c->p[5] != '1' ? HTTP_NONE : c->p[7] == '0' ? HTTP_1_0 : HTTP_1_1;
	c->p += sizeof(form);
	return H1_COMPLETE;
}

static void drop_named(struct fields *fs, const struct h1_facts *k)
{
	for (unsigned i = 0; i < k->named_n; i++)
		fields_remove_name(fs, k->named[i]);
}

/* RFC 9112 6.1, 7: what Transfer-Encoding says. */
enum coding { CODING_CHUNKED, CODING_UNKNOWN_BEFORE_CHUNKED, CODING_UNCLEAR };

static enum coding coding_of(struct str list)
{
	enum coding c = CODING_CHUNKED;

	for (;;) {
		size_t comma = str_find(list, ',');
		struct str e = str_trim(str_head(list, comma));

		if (comma == list.n)
			return str_case_eq(e, STR("chunked")) ? c : CODING_UNCLEAR;
		/* Parameters may follow the name of a coding; chunked twice is chunked in two ways. */
		if (!chars_all(str_trim(str_head(e, str_find(e, ';'))), CHAR_TOKEN) ||
			str_case_eq(e, STR("chunked")))
			return CODING_UNCLEAR;
		c = CODING_UNKNOWN_BEFORE_CHUNKED;
		list = str_skip(list, comma + 1);
	}
}

/* RFC 9112 6.2; a length beyond 63 bits would overflow in somebody's parser. */
static bool length_of(const struct h1_facts *k, uint64_t *length)
{
	return k->lengths == 1 && str_to_u64(k->length, length) && *length <= INT64_MAX;
}

/* -- requests -- */

static enum h1_result take_request_line(struct h1_cursor *c, struct h1_message *m)
{
	struct head *h = &m->head;
	char *from;
	enum h1_result r;

	for (unsigned n = 0; n < EMPTY_LINES_MAX && c->p < c->end && *c->p == '\r'; n++) {
		r = h1_take_crlf(c, REASON_CLIENT_BAD_REQUEST);
		if (r != H1_COMPLETE)
			return r;
	}
	from = c->p;
	c->p = chars_skip(from, c->end, CHAR_TOKEN);
	if (c->p == c->end)
		return H1_PARTIAL;
	if (c->p == from || *c->p != ' ')
		return h1_bad(c, REASON_CLIENT_BAD_REQUEST);
	h->method = (struct str){from, (size_t)(c->p - from)};
	h->method_id = (uint8_t)method_of(h->method);
	from = ++c->p;
	c->p = chars_skip(from, c->end, CHAR_TARGET);
	if (c->p == c->end)
		return H1_PARTIAL;
	if (c->p == from || *c->p == '\r' || *c->p == '\n')
		return h1_bad(c, REASON_CLIENT_BAD_REQUEST); /* no version: HTTP/0.9 */
	if (*c->p != ' ')
		return h1_bad(c, REASON_CLIENT_BAD_PATH);
	h->path = (struct str){from, (size_t)(c->p - from)};
	c->p++;
	r = take_version(c, REASON_CLIENT_BAD_REQUEST, &h->version);
	if (r == H1_COMPLETE)
		r = h1_take_crlf(c, REASON_CLIENT_BAD_REQUEST);
	if (r == H1_COMPLETE && h->version == HTTP_NONE)
		r = h1_bad(c, REASON_CLIENT_BAD_VERSION);
	return r;
}

/* RFC 9112 3.2: origin-form, "*" for OPTIONS, absolute-form. */
static enum h1_result sort_target(struct h1_cursor *c, struct head *h, struct h1_facts *k)
{
	struct str t = h->path, rest;
	size_t scheme;

	if (h->method_id == METHOD_CONNECT)
		return h1_bad(c, REASON_CLIENT_CONNECT);
	if (h->method_id == METHOD_TRACE)
		return h1_bad(c, REASON_CLIENT_TRACE);
	if (t.p[0] == '/')
		return H1_COMPLETE;
	if (t.n == 1 && t.p[0] == '*')
		return h->method_id == METHOD_OPTIONS ? H1_COMPLETE : h1_bad(c, REASON_CLIENT_BAD_PATH);
	if (str_case_eq(str_head(t, 7), STR("http://")))
		scheme = 7;
	else if (str_case_eq(str_head(t, 8), STR("https://")))
		scheme = 8;
	else
		return h1_bad(c, REASON_CLIENT_BAD_PATH);
	rest = str_skip(t, scheme);
	for (t.n = 0; t.n < rest.n && rest.p[t.n] != '/' && rest.p[t.n] != '?'; t.n++)
		;
	k->uri_authority = (struct str){rest.p, t.n};
	if (!authority_is_valid(k->uri_authority))
		return h1_bad(c, REASON_CLIENT_BAD_HOST);
	h->path = str_skip(rest, t.n);
	k->empty_path = h->path.n == 0 || h->path.p[0] == '?';
	return H1_COMPLETE;
}

/* Puts the host in lower case where it lies, and a '/' before a query that has no path: the authority moves one byte to the left for
 * it, over a byte of "://". Only done to a complete head, which nobody parses again. */
static void settle_target(struct head *h, const struct h1_facts *k)
{
	struct str a = k->uri_authority.n ? k->uri_authority : k->host;
	char *p = (char *)(uintptr_t)a.p;

	if (k->empty_path && h->path.n) {
		p--;
		memmove(p, a.p, a.n);
		p[a.n] = '/';
		h->path = (struct str){p + a.n, h->path.n + 1};
	} else if (k->empty_path) {
		h->path = h->method_id == METHOD_OPTIONS ? STR("*") : STR("/");
	}
	str_lower(p, a.n);
	h->authority = (struct str){p, a.n};
}

static enum h1_result request_framing(struct h1_cursor *c, struct h1_message *m, const struct h1_facts *k)
{
	struct head *h = &m->head;

	if (k->codings) {
		/* RFC 9112 6.1, 6.3: two lengths, or a coding that HTTP/1.0 does not have, are how requests are smuggled. */
		if (k->lengths || k->codings > 1 || h->version == HTTP_1_0)
			return h1_bad(c, REASON_CLIENT_BAD_FRAMING);
		switch (coding_of(k->coding)) {
		case CODING_CHUNKED:
			m->chunked = true;
			h->body = BODY_STREAM;
			break;
		case CODING_UNKNOWN_BEFORE_CHUNKED:
			return h1_bad(c, REASON_CLIENT_BAD_CODING);
		case CODING_UNCLEAR:
			return h1_bad(c, REASON_CLIENT_BAD_FRAMING);
		}
	} else if (k->lengths) {
		if (!length_of(k, &h->length))
			return h1_bad(c, REASON_CLIENT_BAD_FRAMING);
		h->has_length = true;
		h->body = h->length ? BODY_LENGTH : BODY_NONE;
	}
	/* RFC 9110 10.1.1: ignored from HTTP/1.0; without content there is nothing to wait for. */
	if (h->version == HTTP_1_0 || h->body == BODY_NONE)
		h->expect_continue = false;
	return H1_COMPLETE;
}

/* RFC 6455 4.1: the base64 form of 16 bytes. */
static bool websocket_key_is_valid(struct str key)
{
	for (size_t i = 0; i < 22 && i < key.n; i++) {
		char c = str_lower_char(key.p[i]);

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/'))
			return false;
	}
	return key.n == 24 && key.p[22] == '=' && key.p[23] == '=';
}

/* A WebSocket handshake becomes extended CONNECT (RFC 8441). Other upgrades, and one that carries a body, are plain requests. */
static enum h1_result request_upgrade(struct h1_cursor *c, struct h1_message *m, const struct h1_facts *k)
{
	struct head *h = &m->head;

	if (!k->upgrade || !k->websocket || h->method_id != METHOD_GET || h->version != HTTP_1_1 ||
		h->body != BODY_NONE)
		return H1_COMPLETE;
	if (k->keys != 1 || !websocket_key_is_valid(k->key))
		return h1_bad(c, REASON_CLIENT_BAD_UPGRADE);
	m->websocket_key = k->key;
	h->method = STR("CONNECT");
	h->method_id = METHOD_CONNECT;
	h->protocol = STR("websocket");
	h->body = BODY_TUNNEL;
	h->has_length = false;
	return H1_COMPLETE;
}

static enum h1_result parse_request(struct h1_cursor *c, struct h1_message *m, const struct http_limits *lim)
{
	struct head *h = &m->head;
	struct h1_facts k = {0};
	enum h1_result r = take_request_line(c, m);

	h->scheme = lim->tls ? STR("https") : STR("http");
	if (r == H1_COMPLETE)
		r = sort_target(c, h, &k);
	if (r == H1_COMPLETE)
		r = h1_take_fields(c, h, &k, lim, REASON_CLIENT_BAD_HEADER, REASON_CLIENT_HEADERS_TOO_LARGE);
	if (r != H1_COMPLETE)
		return r;
	/* RFC 9112 3.2: one Host, also when the URI names the authority and wins. HTTP/1.0 without one could not be routed. */
	if (k.hosts != 1 || !authority_is_valid(k.host))
		return h1_bad(c, REASON_CLIENT_BAD_HOST);
	settle_target(h, &k);
	drop_named(&h->fields, &k);
	r = request_framing(c, m, &k);
	if (r == H1_COMPLETE)
		r = request_upgrade(c, m, &k);
	m->keep_alive = !k.close && (h->version == HTTP_1_1 || k.keep);
	return r;
}

/* -- responses -- */

static enum h1_result take_status_line(struct h1_cursor *c, struct h1_message *m)
{
	struct head *h = &m->head;
	enum h1_result r = take_version(c, REASON_UPSTREAM_BAD_RESPONSE, &h->version);

	if (r != H1_COMPLETE)
		return r;
	if (h->version == HTTP_NONE)
		return h1_bad(c, REASON_UPSTREAM_BAD_RESPONSE);
	for (int i = 0; i < 4; i++, c->p++) {
		if (c->p == c->end)
			return H1_PARTIAL;
		if (i == 0 ? *c->p != ' ' : *c->p < '0' || *c->p > '9')
			return h1_bad(c, REASON_UPSTREAM_BAD_RESPONSE);
		if (i > 0)
			h->status = (uint16_t)(h->status * 10 + (*c->p - '0'));
	}
	if (h->status < 100 || h->status > 599)
		return h1_bad(c, REASON_UPSTREAM_BAD_RESPONSE);
	/* The reason phrase is not passed on; some servers leave out its space too. */
	if (c->p < c->end && *c->p == ' ')
		c->p = chars_skip_value(c->p, c->end);
	return h1_take_crlf(c, REASON_UPSTREAM_BAD_RESPONSE);
}

/* RFC 9112 6.3 */
static enum h1_result response_framing(
	struct h1_cursor *c, struct h1_message *m, const struct h1_facts *k, const struct h1_asked *asked)
{
	struct head *h = &m->head;
	bool empty =
		h->status < 200 || h->status == 204 || h->status == 304 || asked->method_id == METHOD_HEAD;

	if (k->lengths) {
		if (!length_of(k, &h->length))
			return h1_bad(c, REASON_UPSTREAM_BAD_FRAMING);
		h->has_length = !k->codings && h->status >= 200 && h->status != 204;
	}
	if (k->codings) {
		/* RFC 9112 6.3: Transfer-Encoding overrides the length, and the connection is not to be trusted further. */
		if (k->lengths)
			m->keep_alive = false;
		if (empty)
			return H1_COMPLETE;
		if (k->codings > 1 || h->version == HTTP_1_0 || coding_of(k->coding) != CODING_CHUNKED)
			return h1_bad(c, REASON_UPSTREAM_BAD_FRAMING);
		m->chunked = true;
		h->body = BODY_STREAM;
	} else if (empty) {
		h->body = BODY_NONE;
	} else if (h->has_length) {
		h->body = h->length ? BODY_LENGTH : BODY_NONE;
	} else {
		h->body = BODY_STREAM;
		m->until_close = true;
		m->keep_alive = false;
	}
	if (!h->has_length)
		h->length = 0;
	return H1_COMPLETE;
}

static enum h1_result parse_response(struct h1_cursor *c, struct h1_message *m, const struct http_limits *lim,
	const struct h1_asked *asked)
{
	struct head *h = &m->head;
	struct h1_facts k = {0};
	enum h1_result r = take_status_line(c, m);

	if (r == H1_COMPLETE)
		r = h1_take_fields(
			c, h, &k, lim, REASON_UPSTREAM_BAD_RESPONSE, REASON_UPSTREAM_HEADERS_TOO_LARGE);
	if (r != H1_COMPLETE)
		return r;
	drop_named(&h->fields, &k);
	h->te_trailers = h->expect_continue = false;
	m->keep_alive = !k.close && (h->version == HTTP_1_1 || k.keep);
	if (h->status != 101)
		return response_framing(c, m, &k, asked);
	if (!asked->tunnel || h->version != HTTP_1_1 || !k.upgrade || !k.websocket || k.accepts != 1)
		return h1_bad(c, REASON_UPSTREAM_BAD_UPGRADE);
	m->websocket_accept = k.accept;
	h->status = 200;
	h->body = BODY_TUNNEL;
	return H1_COMPLETE;
}

/* -- sections that come in pieces -- */

static uint32_t bytes_max(const struct http_limits *lim)
{
	return lim->header_bytes ? MIN(lim->header_bytes, H1_HEAD_MAX) : H1_HEAD_MAX;
}

/* Whether a parse may come to a result other than H1_PARTIAL, or is due anyway. A section ends with an empty line; a line end or a
 * control byte that no head may hold is an error that need not wait for it. */
static bool worth_parsing(struct h1_progress *g, const char *p, size_t n)
{
	bool worth = n >= g->parse_at;

	for (size_t at = g->scanned; at < n && !worth; at++) {
		if (p[at] == '\n') {
			worth = !g->line_seen || at < 3 || p[at - 1] != '\r' ||
				(p[at - 2] == '\n' && p[at - 3] == '\r');
			g->line_seen = true;
		} else {
			worth = (at > 0 && p[at - 1] == '\r') ||
				(p[at] != '\r' && !chars_is(p[at], CHAR_VALUE));
		}
	}
	g->scanned = (uint32_t)n;
	if (worth)
		g->parse_at = (uint32_t)MIN(2 * n, UINT32_MAX);
	return worth;
}

static void begin(struct h1_message *m, struct h1_cursor *c, char *p, size_t n)
{
	struct fields fs = {m->head.fields.v, 0, m->head.fields.cap};

	*m = (struct h1_message){.head.fields = fs};
	*c = (struct h1_cursor){p, p + n, REASON_NONE};
}

/* Closes a parse: the size limit, and what the caller is told. */
static enum h1_result finish(struct h1_message *m, const struct h1_cursor *c, enum h1_result r, char *p,
	size_t n, const struct http_limits *lim, enum reason too_large)
{
	m->why = c->why;
	m->size = (size_t)(c->p - p);
	if ((r == H1_PARTIAL && n >= bytes_max(lim)) || (r == H1_COMPLETE && m->size > bytes_max(lim))) {
		m->why = too_large;
		r = H1_BAD;
	}
	if (r == H1_COMPLETE)
		m->head.span = (struct str){p, m->size};
	return r;
}

enum h1_result h1_parse_request(
	struct h1_message *m, struct h1_progress *g, char *p, size_t n, const struct http_limits *lim)
{
	struct h1_cursor c;
	enum h1_result r = H1_PARTIAL;
	const char *lf;

	if (!worth_parsing(g, p, n) && n < bytes_max(lim))
		return H1_PARTIAL;
	begin(m, &c, p, n);
	r = finish(m, &c, parse_request(&c, m, lim), p, n, lim, REASON_CLIENT_HEADERS_TOO_LARGE);
	if (m->why == REASON_CLIENT_HEADERS_TOO_LARGE) {
		lf = memchr(p, '\n', n);
		if (!lf || (size_t)(lf - p) >= bytes_max(lim))
			m->why = REASON_CLIENT_URI_TOO_LONG;
	}
	m->head.reject = (uint16_t)m->why;
	return r;
}

enum h1_result h1_parse_response(struct h1_message *m, struct h1_progress *g, char *p, size_t n,
	const struct http_limits *lim, const struct h1_asked *asked)
{
	struct h1_cursor c;

	if (!worth_parsing(g, p, n) && n < bytes_max(lim))
		return H1_PARTIAL;
	begin(m, &c, p, n);
	return finish(m, &c, parse_response(&c, m, lim, asked), p, n, lim, REASON_UPSTREAM_HEADERS_TOO_LARGE);
}

enum h1_result h1_parse_trailers(
	struct h1_message *m, struct h1_progress *g, char *p, size_t n, const struct http_limits *lim)
{
	struct h1_cursor c;
	enum h1_result r;

	if (!worth_parsing(g, p, n) && n < bytes_max(lim))
		return H1_PARTIAL;
	begin(m, &c, p, n);
	r = h1_take_fields(&c, &m->head, NULL, lim, REASON_CLIENT_BAD_CHUNK, REASON_CLIENT_HEADERS_TOO_LARGE);
	return finish(m, &c, r, p, n, lim, REASON_CLIENT_HEADERS_TOO_LARGE);
}
