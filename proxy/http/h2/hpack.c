#include "http/h2/hpack.h"

#include <stdlib.h>
#include "base/arena.h"
#include "base/obj.h"
#include "http/h2/frame.h"

#define NV_INLINE    64 /* more fields than nearly every head has */
#define SECRET_SHORT 20 /* a secret that short could be guessed by its compressed length (RFC 7541 7.1.3) */

void h2_hpack_init(struct h2_hpack *hp)
{
	MUST(nghttp2_hd_inflate_new(&hp->in) == 0);
	MUST(nghttp2_hd_deflate_new(&hp->out, H2_HPACK_TABLE) == 0);
}

void h2_hpack_free(struct h2_hpack *hp)
{
	nghttp2_hd_inflate_del(hp->in);
	nghttp2_hd_deflate_del(hp->out);
	*hp = (struct h2_hpack){0};
}

void h2_hpack_peer_table(struct h2_hpack *hp, uint32_t size)
{
	MUST(nghttp2_hd_deflate_change_table_size(hp->out, MIN(size, H2_HPACK_TABLE)) == 0);
}

/* The fields of one head as nghttp2 wants them. */
struct nv_list {
	nghttp2_nv *v;
	size_t n;
	struct arena arena; /* what had to be copied */
	char number[3][24]; /* :status, content-length */
	int numbers;
	nghttp2_nv small[NV_INLINE];
};

static void put(struct nv_list *l, struct str name, struct str value, uint8_t flags)
{
	l->v[l->n++] = (nghttp2_nv){
		.name = (uint8_t *)(uintptr_t)name.p,
		.namelen = name.n,
		.value = (uint8_t *)(uintptr_t)value.p,
		.valuelen = value.n,
		.flags = flags,
	};
}

static void put_number(struct nv_list *l, struct str name, uint64_t value)
{
	char *end = l->number[l->numbers++] + sizeof(l->number[0]), *p = end;

	do
		*--p = (char)('0' + value % 10);
	while (value /= 10);
	put(l, name, (struct str){p, (size_t)(end - p)}, NGHTTP2_NV_FLAG_NONE);
}

/* HTTP/1 keeps the case in which a name came; here upper-case is malformed (RFC 9113 8.2.1). */
static struct str lower(struct nv_list *l, struct str name)
{
	char *copy;
	size_t i = 0;

	while (i < name.n && str_lower_char(name.p[i]) == name.p[i])
		i++;
	if (i == name.n)
		return name;
	copy = arena_bytes(&l->arena, name.n);
	for (i = 0; i < name.n; i++)
		copy[i] = str_lower_char(name.p[i]);
	return (struct str){copy, name.n};
}

/* What is not worth a place in the table, or must not have one: nghttp2 has no word for "not now" but "never". */
static bool stays_out(const struct field *f)
{
	uint8_t flags = field_rows[f->id].flags;

	return (flags & FIELD_UNIQUE) || ((flags & FIELD_SECRET) && f->value_len < SECRET_SHORT);
}

static void put_fields(struct nv_list *l, const struct fields *fs)
{
	for (unsigned i = 0; i < fs->n; i++) {
		const struct field *f = &fs->v[i];
		uint8_t flags = NGHTTP2_NV_FLAG_NONE;

		if (f->id == FIELD_OTHER) {
			put(l, lower(l, field_name(f)), field_value(f), flags);
			continue;
		}
		if (f->id == FIELD_EXPECT)
			continue; /* head->expect_continue says it */
		if (stays_out(f))
			flags = NGHTTP2_NV_FLAG_NO_INDEX;
		put(l, field_rows[f->id].name, field_value(f), flags);
	}
}

static void put_request(struct nv_list *l, const struct head *h)
{
	put(l, STR(":method"), h->method, 0);
	if (h->protocol.n)
		put(l, STR(":protocol"), h->protocol, 0);
	put(l, STR(":scheme"), h->scheme, 0);
	put(l, STR(":authority"), h->authority, 0);
	put(l, STR(":path"), h->path, 0);
	if (h->te_trailers)
		put(l, STR("te"), STR("trailers"), 0);
	if (h->expect_continue)
		put(l, STR("expect"), STR("100-continue"), 0);
}

static void build(struct nv_list *l, struct mem *m, enum h2_headers_kind kind, const struct head *h)
{
	size_t cap = h->fields.n + 8u;

	l->n = 0;
	l->numbers = 0;
	arena_init(&l->arena, m);
	l->v = cap <= NV_INLINE ? l->small : arena_alloc(&l->arena, cap * sizeof(*l->v));
	if (kind == H2_HEADERS_REQUEST)
		put_request(l, h);
	else if (kind == H2_HEADERS_RESPONSE)
		put_number(l, STR(":status"), h->status);
	if (kind != H2_HEADERS_TRAILERS && h->has_length && h->body != BODY_TUNNEL)
		put_number(l, STR("content-length"), h->length);
	put_fields(l, &h->fields);
}

/* A block that may be larger than a frame: compressed aside, then cut up. */
static void write_large(struct h2_hpack *hp, struct mem *m, struct chain *out, const struct nv_list *l,
	struct h2_frame f, size_t bound)
{
	uint8_t *block = malloc(bound), *p = block;
	ssize_t n;

	MUST(block);
	n = nghttp2_hd_deflate_hd(hp->out, block, bound, l->v, l->n);
	MUST(n >= 0);
	do {
		uint8_t header[H2_FRAME_HEADER];

		f.length = (uint32_t)MIN(n, (ssize_t)H2_FRAME_MAX);
		if (f.length == n)
			f.flags |= H2_FLAG_END_HEADERS;
		h2_frame_pack(header, &f);
		chain_add_copy(m, out, (char *)header, sizeof(header));
		chain_add_copy(m, out, (char *)p, f.length);
		p += f.length;
		n -= f.length;
		f.type = H2_FRAME_CONTINUATION;
		f.flags = 0;
	} while (n > 0);
	free(block);
}

void h2_hpack_write(struct h2_hpack *hp, struct mem *m, struct chain *out, uint32_t stream,
	enum h2_headers_kind kind, const struct head *head, bool end_stream)
{
	struct h2_frame f = {0, stream, H2_FRAME_HEADERS, end_stream ? H2_FLAG_END_STREAM : 0};
	struct nv_list l;
	size_t bound;

	build(&l, m, kind, head);
	bound = nghttp2_hd_deflate_bound(hp->out, l.v, l.n);
	if (bound > H2_FRAME_MAX) {
		write_large(hp, m, out, &l, f, bound);
	} else {
		uint8_t *room = (uint8_t *)chain_reserve(m, out, H2_FRAME_HEADER + bound);
		ssize_t n = nghttp2_hd_deflate_hd(hp->out, room + H2_FRAME_HEADER, bound, l.v, l.n);

		MUST(n >= 0);
		f.length = (uint32_t)n;
		f.flags |= H2_FLAG_END_HEADERS;
		h2_frame_pack(room, &f);
		chain_commit(m, out, H2_FRAME_HEADER + (size_t)n);
	}
	arena_free(&l.arena);
}
