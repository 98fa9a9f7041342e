/* base/str.h - a borrowed run of bytes. Never owns, never NUL-terminated unless a function says so. */
#ifndef WEIR_BASE_STR_H
#define WEIR_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
	const char *p; /* may be NULL when n == 0 */
	size_t n;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
#define STR_NONE     ((struct str){NULL, 0})
#define STR_FMT      "%.*s"
#define STR_ARG(s)   (int)(s).n, (s).p ? (s).p : ""

static inline struct str str_of(const char *z)
{
	return (struct str){z, z ? strlen(z) : 0};
}

static inline bool str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool str_starts(struct str s, struct str prefix)
{
	return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

static inline bool str_ends(struct str s, struct str suffix)
{
	return s.n >= suffix.n && (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

static inline struct str str_skip(struct str s, size_t n)
{
	return n > s.n ? (struct str){s.p + s.n, 0} : (struct str){s.p + n, s.n - n};
}

static inline struct str str_head(struct str s, size_t n)
{
	return (struct str){s.p, n < s.n ? n : s.n};
}

/* ASCII only, as every HTTP token is (RFC 9110 5.6.2); the locale has no say. */
static inline char str_lower_char(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* ASCII to lower case, where it lies. */
void str_lower(char *p, size_t n);
bool str_case_eq(struct str a, struct str b);
/* Bytewise; a prefix sorts first. */
int str_cmp(struct str a, struct str b);
/* Offset of the first c, or s.n. */
size_t str_find(struct str s, char c);
/* Without spaces and tabs at either end (OWS, RFC 9110 5.6.3). */
struct str str_trim(struct str s);
/* Takes the next element of a comma separated list (RFC 9110 5.6.1), trimmed; empty elements are passed over.
 * False at the end. */
bool str_next_element(struct str *list, struct str *element);
/* Of s, which is UTF-8, n bytes at most that end where a character does. */
struct str str_head_utf8(struct str s, size_t n);
/* The length of the UTF-8 sequence that s, which is not empty, begins with; 0 if it is none (RFC 3629 4). */
size_t str_utf8_length(struct str s);
/* Nothing but whole characters. */
bool str_is_utf8(struct str s);
/* Digits only, no sign, no space, at least one, no overflow. */
bool str_to_u64(struct str s, uint64_t *out);

/* A bounded writer: the one way text is put together in a fixed buffer. What does not fit is not written, and
 * `cut` says so; there is no unbounded append. */
struct text {
	char *p;
	size_t n;
	size_t cap;
	bool cut;
};

static inline struct text text_in(char *buf, size_t cap)
{
	return (struct text){buf, 0, cap, false};
}

static inline void text_put(struct text *t, struct str s)
{
	if (s.n > t->cap - t->n) {
		t->cut = true;
		return;
	}
	if (s.n)
		memcpy(t->p + t->n, s.p, s.n);
	t->n += s.n;
}

static inline void text_char(struct text *t, char c)
{
	if (t->n == t->cap) {
		t->cut = true;
		return;
	}
	t->p[t->n++] = c;
}

void text_u64(struct text *t, uint64_t v);
/* v as sixteen hexadecimal digits, in lower case. */
void text_hex_16(char to[16], uint64_t v);
__attribute__((format(printf, 2, 3))) void text_fmt(struct text *t, const char *fmt, ...);
static inline struct str text_str(const struct text *t)
{
	return (struct str){t->p, t->n};
}

#endif
