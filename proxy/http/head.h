/* http/head.h - a message head in canonical form, the same for HTTP/1 and HTTP/2, requests and responses.
 *
 * Codecs absorb every oddity: what is hop-by-hop (Connection and what it names, Keep-Alive, Proxy-Connection, TE,
 * Transfer-Encoding, Upgrade, HTTP2-Settings), what became a pseudo-header (Host), and what says where the body ends
 * (Content-Length) are not among the fields: they are members of `struct head`, and each codec writes its own form of them.
 *
 * All bytes are borrowed: from a codec's input, an arena, or literals. Who needs them longer than the call copies
 * them (head_copy()). */
#ifndef WEIR_HTTP_HEAD_H
#define WEIR_HTTP_HEAD_H

#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/obj.h"
#include "base/reason.h"
#include "base/str.h"

/* Names that somebody compares with: http/field.def. FIELD_OTHER is every other name. */
enum field_id {
	FIELD_OTHER,
#define FIELD(id, name, flags) FIELD_##id,
#include "http/field.def"
#undef FIELD
	FIELDS
};

enum field_flag {
	FIELD_HOP = 1, /* hop-by-hop: never among canonical fields */
	FIELD_NO_TRAILER =
		2, /* changes framing, routing or authorisation: dropped from trailers (RFC 9110 6.5.1) */
	FIELD_SECRET = 4, /* HPACK never-indexed (RFC 7541 7.1.3), starred in logs */
	FIELD_TOLD = 8, /* what it says becomes a member of struct head, as what most hop-by-hop ones say */
	FIELD_UNIQUE =
		16, /* says something else in each message: in HPACK's table it would push out what comes again */
};

struct field {
	const char *name; /* as received (case kept from HTTP/1; lower from HTTP/2) */
	const char *value; /* trimmed */
	uint32_t value_len;
	uint16_t name_len;
	uint8_t id; /* enum field_id */
	/* The bytes from name to the end of the line are exactly "name: value\r\n": a run of neighbours that lie next to each other in
	 * memory can be copied to an HTTP/1 peer at once. */
	bool raw;
};

struct fields {
	struct field *v;
	uint16_t n, cap;
};

enum method {
	METHOD_OTHER,
	METHOD_GET,
	METHOD_HEAD,
	METHOD_POST,
	METHOD_PUT,
	METHOD_DELETE,
	METHOD_OPTIONS,
	METHOD_PATCH,
	METHOD_TRACE,
	METHOD_CONNECT,
	METHODS
};

/* What follows the head; says what is true, each codec picks its framing. */
enum body_kind {
	BODY_NONE, /* nothing follows: `last` comes with the head */
	BODY_LENGTH, /* exactly `length` bytes */
	BODY_STREAM, /* until `last`: chunked, DATA frames, or (HTTP/1.0) until close */
	BODY_TUNNEL, /* bytes of another protocol both ways, `last` is half-close */
};

enum http_version { HTTP_NONE, HTTP_1_0, HTTP_1_1, HTTP_2 };

struct head {
	/* request */
	struct str method; /* case-sensitive token */
	struct str scheme; /* "http", "https": how the client reached us, or as :scheme said */
	struct str authority; /* host[:port], the host in lower case; never empty in an accepted request */
	struct str path; /* origin-form with query, starts with '/'; "*" for OPTIONS */
	struct str
		protocol; /* extended CONNECT (RFC 8441): "websocket"; method is CONNECT and body TUNNEL then */
	/* response; 100 to 199 but 101: interim, more heads follow. A tunnel's consent is 200 with BODY_TUNNEL. */
	uint16_t status;

	uint8_t method_id; /* enum method */
	uint8_t body; /* enum body_kind */
	uint8_t version; /* enum http_version it was received in: for the access log and Via only */
	bool has_length; /* Content-Length is known: `length`. With BODY_NONE: HEAD and 304 (RFC 9110 8.6) */
	bool te_trailers; /* TE: trailers */
	bool expect_continue;
	bool consent_by_status; /* a tunnel request whose client takes any 2xx for consent (RFC 8441 5), not only a switch */
	/* Not REASON_NONE: the request is not acceptable; other members hold what could be understood, maybe nothing. The owner
	 * answers with a response of that reason's status, the codec closes after it. Never seen on responses. */
	uint16_t reject; /* enum reason */
	uint64_t length;
	struct fields fields;
	struct str
		span; /* one run of bytes in which most of what is borrowed lies, so that head_copy() is quick; empty: none */
};

struct field_row {
	struct str name; /* lower case */
	uint8_t flags;
};
extern const struct field_row field_rows[FIELDS];

/* Any case; perfect hash over http/field.def, about 10 ns. */
enum field_id field_id_of(struct str name);
enum method method_of(struct str name);
struct str method_name(enum method m);
/* RFC 9110 9.2.2, and only methods that the RFC itself names. */
bool method_is_idempotent(enum method m);

static inline struct str field_name(const struct field *f)
{
	return (struct str){f->name, f->name_len};
}
static inline struct str field_value(const struct field *f)
{
	return (struct str){f->value, f->value_len};
}

/* First field with that id, or NULL. */
const struct field *fields_find(const struct fields *fs, enum field_id id);
/* By name, any case, for names that are not in field.def. */
const struct field *fields_find_name(const struct fields *fs, struct str name);
/* Removes all with that id, or that name; keeps the order of the others. */
void fields_remove(struct fields *fs, enum field_id id);
void fields_remove_name(struct fields *fs, struct str name);
/* The same with "_" for "-", which CGI, and what came after it, cannot tell apart. A name that ends with "-" is all that begin so. */
void fields_remove_alike(struct fields *fs, struct str name);
/* Makes room for more; the array moves in the arena. */
void fields_grow(struct arena *a, struct fields *fs);
/* Appends; the array grows in the arena. name and value are borrowed. Inline: a request adds ten, of which all but the bytes is known
 * where it is called. */
static inline void fields_add(
	struct arena *a, struct fields *fs, enum field_id id, struct str name, struct str value)
{
	MUST(name.n <= UINT16_MAX && value.n <= UINT32_MAX);
	if (fs->n == fs->cap)
		fields_grow(a, fs);
	fs->v[fs->n++] =
		(struct field){name.p, value.p, (uint32_t)value.n, (uint16_t)name.n, (uint8_t)id, false};
}
/* Makes room for n more. */
static inline void fields_room(struct arena *a, struct fields *fs, unsigned n)
{
	while (fs->cap - fs->n < (int)n)
		fields_grow(a, fs);
}
/* Appends a whole line, "name: value\r\n", borrowed; name_len is that of the name. */
static inline void fields_add_line(
	struct arena *a, struct fields *fs, enum field_id id, struct str line, size_t name_len)
{
	fields_add(a, fs, id, (struct str){line.p, name_len},
		(struct str){line.p + name_len + 2, line.n - name_len - 4});
	fs->v[fs->n - 1].raw = true;
}
static inline struct str field_std_name(enum field_id id)
{
	return field_rows[id].name;
}

/* host[:port] as a Host field or :authority may carry it (RFC 9110 7.2): a name of letters, digits and "-._~", or an address in
 * brackets; a port of 1 to 65535. No userinfo, no list, not empty. */
bool authority_is_valid(struct str a);

/* A copy whose fields and bytes all lie in the arena; neighbours stay neighbours, so `raw` stays true. It has no span. */
void head_copy(struct arena *a, struct head *to, const struct head *from);
void fields_copy(struct arena *a, struct fields *to, const struct fields *from);

/* Standard reason phrase; "" for unknown codes. */
struct str status_phrase(unsigned status);

#endif
