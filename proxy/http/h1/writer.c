#include "http/h1/writer.h"
#include "base/obj.h"
#include "http/chars.h"

/* Of an average field, and of the lines that are none: what is larger goes on in another block. */
#define FIELD_GUESS 48
#define LINES_GUESS 256

/* Writes into the end of a chain: into one block, which nearly always has room for all of it. */
struct sink {
	struct mem *mem;
	struct chain *out;
	char *from, *at, *end;
};

/* n is a guess: all that the block has is used. */
static void sink_open(struct sink *s, struct mem *m, struct chain *out, size_t n)
{
	n = MIN(n, mem_block_max());
	s->mem = m;
	s->out = out;
	s->from = s->at = chain_reserve(m, out, n);
	s->end = out->last->block->data + out->last->block->size;
}

static void sink_close(struct sink *s)
{
	chain_commit(s->mem, s->out, (size_t)(s->at - s->from));
}

/* A head larger than was guessed, or than any block: goes on in further ones. */
static void put_beyond(struct sink *s, const char *p, size_t n)
{
	sink_close(s);
	chain_add_copy(s->mem, s->out, p, n);
	sink_open(s, s->mem, s->out, LINES_GUESS);
}

/* Inline, so that a literal is two or three stores: called, a head's lines cost 1,100 instructions. */
static inline __attribute__((always_inline)) void put(struct sink *s, const char *p, size_t n)
{
	if (__builtin_expect(n > (size_t)(s->end - s->at), 0)) {
		put_beyond(s, p, n);
		return;
	}
	memcpy(s->at, p, n);
	s->at += n;
}

static inline void put_str(struct sink *s, struct str str)
{
	if (str.n)
		put(s, str.p, str.n);
}

#define PUT(s, literal) put(s, literal, sizeof(literal) - 1)

static void put_number(struct sink *s, uint64_t v)
{
	char digits[20];
	size_t at = sizeof(digits);

	do
		digits[--at] = (char)('0' + v % 10);
	while (v /= 10);
	put(s, digits + at, sizeof(digits) - at);
}

static size_t fields_guess(const struct fields *fs)
{
	return fs->n * (size_t)FIELD_GUESS + LINES_GUESS;
}

/* Fields of other origin than an HTTP/1 line: from HTTP/2, or made here. What frames a message is written from the head's members
 * only, whoever put it among the fields. */
static bool is_sendable(const struct field *f)
{
	switch (f->id) {
	case FIELD_HOST:
	case FIELD_CONTENT_LENGTH:
	case FIELD_SEC_WEBSOCKET_KEY:
	case FIELD_SEC_WEBSOCKET_ACCEPT:
		return false;
	default:
		return !(field_rows[f->id].flags & FIELD_HOP) && chars_all(field_name(f), CHAR_TOKEN) &&
		       chars_is_value(field_value(f));
	}
}

static void put_fields(struct sink *s, const struct fields *fs)
{
	const struct field *f = fs->v;
	unsigned left = fs->n;

	while (left) {
		if (f->raw) {
			const char *from = f->name, *end;

			do {
				end = f->value + f->value_len + 2;
				f++;
			} while (--left && f->raw && f->name == end);
			put(s, from, (size_t)(end - from));
			continue;
		}
		if (is_sendable(f)) {
			put(s, f->name, f->name_len);
			PUT(s, ": ");
			put_str(s, field_value(f));
			PUT(s, "\r\n");
		}
		f++;
		left--;
	}
}

/* Content-Length, Transfer-Encoding, Connection, Upgrade, and the end of the head. */
static void put_lines(struct sink *s, const struct h1_lines *l)
{
	if (l->length) {
		PUT(s, "Content-Length: ");
		put_number(s, l->content_length);
		PUT(s, "\r\n");
	}
	if (l->chunked)
		PUT(s, "Transfer-Encoding: chunked\r\n");
	if (l->websocket.n)
		PUT(s, "Upgrade: websocket\r\nConnection: Upgrade\r\n");
	if (l->close)
		PUT(s, "Connection: close\r\n");
	if (l->keep_alive)
		PUT(s, "Connection: keep-alive\r\n");
}

bool h1_write_request(struct mem *m, struct chain *out, const struct head *h, const struct h1_lines *l)
{
	struct sink s;

	if (!chars_all(h->method, CHAR_TOKEN) || !chars_is_target(h->path) || !chars_is_target(h->authority))
		return false;
	sink_open(&s, m, out, h->method.n + h->path.n + h->authority.n + fields_guess(&h->fields));
	if (l->websocket.n)
		PUT(&s, "GET");
	else
		put_str(&s, h->method);
	PUT(&s, " ");
	put_str(&s, h->path);
	PUT(&s, " HTTP/1.1\r\nHost: ");
	put_str(&s, h->authority);
	PUT(&s, "\r\n");
	put_fields(&s, &h->fields);
	/* RFC 9110 10.1.4: a sender of TE names it in Connection. */
	if (h->te_trailers && !l->websocket.n)
		PUT(&s, "TE: trailers\r\nConnection: TE\r\n");
	if (h->expect_continue)
		PUT(&s, "Expect: 100-continue\r\n");
	if (l->websocket.n) {
		PUT(&s, "Sec-WebSocket-Key: ");
		put_str(&s, l->websocket);
		PUT(&s, "\r\n");
		if (!fields_find(&h->fields, FIELD_SEC_WEBSOCKET_VERSION))
			PUT(&s, "Sec-WebSocket-Version: 13\r\n");
	}
	put_lines(&s, l);
	PUT(&s, "\r\n");
	sink_close(&s);
	return true;
}

void h1_write_response(struct mem *m, struct chain *out, const struct head *h, const struct h1_lines *l)
{
	unsigned status = l->websocket.n ? 101 : h->status;
	const char digits[4] = {
		(char)('0' + status / 100), (char)('0' + status / 10 % 10), (char)('0' + status % 10), ' '};
	struct sink s;

	MUST(status >= 100 && status <= 999);
	sink_open(&s, m, out, fields_guess(&h->fields));
	PUT(&s, "HTTP/1.1 ");
	put(&s, digits, sizeof(digits));
	put_str(&s, status_phrase(status));
	PUT(&s, "\r\n");
	put_fields(&s, &h->fields);
	if (l->websocket.n) {
		PUT(&s, "Sec-WebSocket-Accept: ");
		put_str(&s, l->websocket);
		PUT(&s, "\r\n");
	}
	put_lines(&s, l);
	PUT(&s, "\r\n");
	sink_close(&s);
}

void h1_write_chunk(struct mem *m, struct chain *out, struct chain *body)
{
	static const char hex[16] = "0123456789abcdef";
	char line[18]; /* 16 digits and CRLF */
	size_t at = sizeof(line), n = body->n;

	if (n == 0)
		return;
	line[--at] = '\n';
	line[--at] = '\r';
	do
		line[--at] = hex[n & 15];
	while (n >>= 4);
	chain_add_copy(m, out, line + at, sizeof(line) - at);
	chain_move(out, body);
	chain_add_static(m, out, STR("\r\n"));
}

void h1_write_last_chunk(struct mem *m, struct chain *out, const struct fields *trailers)
{
	struct sink s;

	if (!trailers || trailers->n == 0) {
		chain_add_static(m, out, STR("0\r\n\r\n"));
		return;
	}
	sink_open(&s, m, out, fields_guess(trailers));
	PUT(&s, "0\r\n");
	put_fields(&s, trailers);
	PUT(&s, "\r\n");
	sink_close(&s);
}
