#include "http/head.h"
#include "base/obj.h"
#include "http/field_hash.def"

_Static_assert(FIELD_HASH_ROWS == FIELDS - 1, "field.def has changed: run proxy/http/field_hash.py");

#define FIELD(id, name, flags) [FIELD_##id] = {STR(name), (flags)},
/* clang-format off */
const struct field_row field_rows[FIELDS] = {
	[FIELD_OTHER] = {STR(""), 0},
#include "http/field.def"
};
/* clang-format on */
#undef FIELD

static const uint8_t field_slots[1u << FIELD_HASH_BITS] = {FIELD_HASH_SLOTS};

static const struct str method_names[METHODS] = {
	[METHOD_OTHER] = STR(""),
	[METHOD_GET] = STR("GET"),
	[METHOD_HEAD] = STR("HEAD"),
	[METHOD_POST] = STR("POST"),
	[METHOD_PUT] = STR("PUT"),
	[METHOD_DELETE] = STR("DELETE"),
	[METHOD_OPTIONS] = STR("OPTIONS"),
	[METHOD_PATCH] = STR("PATCH"),
	[METHOD_TRACE] = STR("TRACE"),
	[METHOD_CONNECT] = STR("CONNECT"),
};

/* Eight bytes against eight of a lower-case name. Only letters have bit 0x40 in the names of field.def, so only they may
 * differ, and only in 0x20. */
static inline uint64_t differ_8(const char *any, const char *lower)
{
	uint64_t a, b;

	memcpy(&a, any, 8);
	memcpy(&b, lower, 8);
	return (a | ((b & 0x4040404040404040u) >> 1)) ^ b;
}

static inline uint32_t differ_4(const char *any, const char *lower)
{
	uint32_t a, b;

	memcpy(&a, any, 4);
	memcpy(&b, lower, 4);
	return (a | ((b & 0x40404040u) >> 1)) ^ b;
}

/* Lengths are equal and at least 2. */
static bool names_equal(const char *any, struct str lower)
{
	size_t i;

	if (lower.n < 4) {
		for (i = 0; i < lower.n; i++)
			if (str_lower_char(any[i]) != lower.p[i])
				return false;
		return true;
	}
	if (lower.n < 8)
		return (differ_4(any, lower.p) | differ_4(any + lower.n - 4, lower.p + lower.n - 4)) == 0;
	for (i = 0; i + 8 < lower.n; i += 8)
		if (differ_8(any + i, lower.p + i))
			return false;
	return differ_8(any + lower.n - 8, lower.p + lower.n - 8) == 0;
}

enum field_id field_id_of(struct str name)
{
	uint32_t key;
	enum field_id id;

	if (name.n < 2 || name.n > UINT8_MAX)
		return FIELD_OTHER;
	key = (uint32_t)name.n << 24 | (uint32_t)(uint8_t)(name.p[0] | 0x20) << 16 |
	      (uint32_t)(uint8_t)(name.p[name.n > 2 ? name.n - 3 : 0] | 0x20) << 8 |
	      (uint8_t)(name.p[name.n - 2] | 0x20);
	id = field_slots[key * FIELD_HASH_MULTIPLIER >> (32 - FIELD_HASH_BITS)];
	return field_rows[id].name.n == name.n && names_equal(name.p, field_rows[id].name) ? id : FIELD_OTHER;
}

enum method method_of(struct str name)
{
	for (enum method m = METHOD_GET; m < METHODS; m++)
		if (method_names[m].n == name.n && memcmp(method_names[m].p, name.p, name.n) == 0)
			return m;
	return METHOD_OTHER;
}

struct str method_name(enum method m)
{
	return method_names[m];
}

bool method_is_idempotent(enum method m)
{
	switch (m) {
	case METHOD_GET:
	case METHOD_HEAD:
	case METHOD_PUT:
	case METHOD_DELETE:
	case METHOD_OPTIONS:
	case METHOD_TRACE:
		return true;
	default:
		return false;
	}
}

/* RFC 3986 3.2.2 IP-literal, between its brackets. */
static bool ip_literal_is_valid(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = str_lower_char(s.p[i]);

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || c == ':' || c == '.'))
			return false;
	}
	return s.n >= 2;
}

/* How many bytes of a registered name or an IPv4 address s begins with. */
static size_t reg_name_length(struct str s)
{
	static const bool may_stand[256] = {['a' ... 'z'] = true,
		['A' ... 'Z'] = true,
		['0' ... '9'] = true,
		['.'] = true,
		['-'] = true,
		['_'] = true,
		['~'] = true};
	size_t n = 0;

	while (n < s.n && may_stand[(uint8_t)s.p[n]])
		n++;
	return n;
}

bool authority_is_valid(struct str a)
{
	size_t host_end = a.n, close;
	uint64_t port;

	if (a.n > 0 && a.p[0] == '[') {
		close = str_find(a, ']');
		if (close == a.n || !ip_literal_is_valid((struct str){a.p + 1, close - 1}))
			return false;
		host_end = close + 1;
	} else {
		host_end = reg_name_length(a);
		if (host_end == 0)
			return false;
	}
	if (host_end == a.n)
		return true;
	return a.p[host_end] == ':' && a.n - host_end <= 6 && str_to_u64(str_skip(a, host_end + 1), &port) &&
	       port >= 1 && port <= UINT16_MAX;
}

const struct field *fields_find(const struct fields *fs, enum field_id id)
{
	for (unsigned i = 0; i < fs->n; i++)
		if (fs->v[i].id == id)
			return &fs->v[i];
	return NULL;
}

const struct field *fields_find_name(const struct fields *fs, struct str name)
{
	for (unsigned i = 0; i < fs->n; i++)
		if (fs->v[i].name_len == name.n && str_case_eq(field_name(&fs->v[i]), name))
			return &fs->v[i];
	return NULL;
}

void fields_remove(struct fields *fs, enum field_id id)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < fs->n; i++)
		if (fs->v[i].id != id)
			fs->v[kept++] = fs->v[i];
	fs->n = (uint16_t)kept;
}

void fields_remove_name(struct fields *fs, struct str name)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < fs->n; i++)
		if (!str_case_eq(field_name(&fs->v[i]), name))
			fs->v[kept++] = fs->v[i];
	fs->n = (uint16_t)kept;
}

static char alike_char(char c)
{
	return c == '_' ? '-' : str_lower_char(c);
}

static bool is_alike(struct str name, struct str of)
{
	bool begins = of.n && of.p[of.n - 1] == '-';

	if (begins ? name.n < of.n : name.n != of.n)
		return false;
	for (size_t i = 0; i < of.n; i++)
		if (alike_char(name.p[i]) != alike_char(of.p[i]))
			return false;
	return true;
}

void fields_remove_alike(struct fields *fs, struct str name)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < fs->n; i++)
		if (!is_alike(field_name(&fs->v[i]), name))
			fs->v[kept++] = fs->v[i];
	fs->n = (uint16_t)kept;
}

void fields_grow(struct arena *a, struct fields *fs)
{
	unsigned cap = MIN(UINT16_MAX, MAX(16, 2u * fs->cap));
	struct field *grown = arena_room(a, cap * sizeof(*grown));

	MUST(fs->n < UINT16_MAX);
	if (fs->n)
		memcpy(grown, fs->v, fs->n * sizeof(*grown));
	fs->v = grown;
	fs->cap = (uint16_t)cap;
}

static char *put(char *at, struct str *s)
{
	if (s->n)
		memcpy(at, s->p, s->n);
	s->p = at;
	return at + s->n;
}

/* What a copy of f takes: the whole line where it is raw. */
static size_t field_bytes(const struct field *f)
{
	return f->raw ? (size_t)f->name_len + 2 + f->value_len + 2 : (size_t)f->name_len + f->value_len;
}

static size_t fields_bytes(const struct fields *fs)
{
	size_t n = 0;

	for (unsigned i = 0; i < fs->n; i++)
		n += field_bytes(&fs->v[i]);
	return n;
}

/* Copies the array into the arena, with room to add, and the bytes to `at`, where there is room for them. */
static void fields_copy_to(struct arena *a, struct fields *to, const struct fields *from, char *at)
{
	to->n = from->n;
	to->cap = (uint16_t)MIN(UINT16_MAX, from->n + 16);
	to->v = arena_room(a, to->cap * sizeof(*to->v));
	for (unsigned i = 0; i < from->n; i++) {
		const struct field *f = &from->v[i];
		struct field *t = &to->v[i];

		*t = *f;
		t->name = at;
		if (f->raw) {
			memcpy(at, f->name, field_bytes(f));
			t->value = at + f->name_len + 2;
		} else {
			memcpy(at, f->name, f->name_len);
			t->value = at + f->name_len;
			if (f->value_len)
				memcpy(at + f->name_len, f->value, f->value_len);
		}
		at += field_bytes(f);
	}
}

void fields_copy(struct arena *a, struct fields *to, const struct fields *from)
{
	fields_copy_to(a, to, from, arena_bytes(a, fields_bytes(from)));
}

/* -- the same for a head that lies in one run of bytes: they are copied at once, and what points there is moved -- */
struct move {
	struct arena *arena;
	struct str from;
	char *to;
};

/* n bytes at p; those that lie elsewhere are copied by themselves. */
static inline const char *moved(const struct move *m, const char *p, size_t n)
{
	uintptr_t at = (uintptr_t)p - (uintptr_t)m->from.p;

	if (__builtin_expect(at < m->from.n, 1))
		return m->to + at;
	return n ? memcpy(arena_bytes(m->arena, n), p, n) : p;
}

static void head_move(struct arena *a, struct head *to, const struct head *from)
{
	struct move m = {a, from->span, arena_bytes(a, from->span.n)};
	struct fields *fs = &to->fields;

	memcpy(m.to, m.from.p, m.from.n);
	to->method.p = moved(&m, from->method.p, from->method.n);
	to->scheme.p = moved(&m, from->scheme.p, from->scheme.n);
	to->authority.p = moved(&m, from->authority.p, from->authority.n);
	to->path.p = moved(&m, from->path.p, from->path.n);
	to->protocol.p = moved(&m, from->protocol.p, from->protocol.n);
	fs->cap = (uint16_t)MIN(UINT16_MAX, fs->n + 16);
	fs->v = arena_room(a, fs->cap * sizeof(*fs->v));
	for (unsigned i = 0; i < fs->n; i++) {
		struct field f = from->fields.v[i];

		if (f.raw) {
			f.name = moved(&m, f.name, field_bytes(&f));
			f.value = f.name + f.name_len + 2;
		} else {
			f.name = moved(&m, f.name, f.name_len);
			f.value = moved(&m, f.value, f.value_len);
		}
		fs->v[i] = f;
	}
}

void head_copy(struct arena *a, struct head *to, const struct head *from)
{
	char *at;

	*to = *from;
	to->span = STR_NONE;
	if (from->span.n) {
		head_move(a, to, from);
		return;
	}
	at = arena_bytes(a, from->method.n + from->scheme.n + from->authority.n + from->path.n +
				    from->protocol.n + fields_bytes(&from->fields));
	at = put(at, &to->method);
	at = put(at, &to->scheme);
	at = put(at, &to->authority);
	at = put(at, &to->path);
	at = put(at, &to->protocol);
	fields_copy_to(a, &to->fields, &from->fields, at);
}

struct str status_phrase(unsigned status)
{
	/* clang-format off */
	switch (status) {
	case 100: return STR("Continue");
	case 101: return STR("Switching Protocols");
	case 102: return STR("Processing");
	case 103: return STR("Early Hints");
	case 200: return STR("OK");
	case 201: return STR("Created");
	case 202: return STR("Accepted");
	case 203: return STR("Non-Authoritative Information");
	case 204: return STR("No Content");
	case 205: return STR("Reset Content");
	case 206: return STR("Partial Content");
	case 207: return STR("Multi-Status");
	case 208: return STR("Already Reported");
	case 226: return STR("IM Used");
	case 300: return STR("Multiple Choices");
	case 301: return STR("Moved Permanently");
	case 302: return STR("Found");
	case 303: return STR("See Other");
	case 304: return STR("Not Modified");
	case 305: return STR("Use Proxy");
	case 307: return STR("Temporary Redirect");
	case 308: return STR("Permanent Redirect");
	case 400: return STR("Bad Request");
	case 401: return STR("Unauthorized");
	case 402: return STR("Payment Required");
	case 403: return STR("Forbidden");
	case 404: return STR("Not Found");
	case 405: return STR("Method Not Allowed");
	case 406: return STR("Not Acceptable");
	case 407: return STR("Proxy Authentication Required");
	case 408: return STR("Request Timeout");
	case 409: return STR("Conflict");
	case 410: return STR("Gone");
	case 411: return STR("Length Required");
	case 412: return STR("Precondition Failed");
	case 413: return STR("Content Too Large");
	case 414: return STR("URI Too Long");
	case 415: return STR("Unsupported Media Type");
	case 416: return STR("Range Not Satisfiable");
	case 417: return STR("Expectation Failed");
	case 418: return STR("I'm a teapot"); /* RFC 2324 2.3.2 */
	case 421: return STR("Misdirected Request");
	case 422: return STR("Unprocessable Content");
	case 423: return STR("Locked");
	case 424: return STR("Failed Dependency");
	case 425: return STR("Too Early");
	case 426: return STR("Upgrade Required");
	case 428: return STR("Precondition Required");
	case 429: return STR("Too Many Requests");
	case 431: return STR("Request Header Fields Too Large");
	case 451: return STR("Unavailable For Legal Reasons");
	case 499: return STR("Client Closed Request");
	case 500: return STR("Internal Server Error");
	case 501: return STR("Not Implemented");
	case 502: return STR("Bad Gateway");
	case 503: return STR("Service Unavailable");
	case 504: return STR("Gateway Timeout");
	case 505: return STR("HTTP Version Not Supported");
	case 506: return STR("Variant Also Negotiates");
	case 507: return STR("Insufficient Storage");
	case 508: return STR("Loop Detected");
	case 511: return STR("Network Authentication Required");
	default:  return STR("");
	}
	/* clang-format on */
}
