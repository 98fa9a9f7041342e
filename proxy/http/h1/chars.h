/* http/h1/chars.h - which bytes may stand where in HTTP/1 (RFC 9110 5.5, 5.6.2; RFC 9112 3.2). */
#ifndef WEIR_HTTP_H1_CHARS_H
#define WEIR_HTTP_H1_CHARS_H

#include <stdbool.h>
#include <stdint.h>
#include "base/str.h"

enum h1_class {
	H1_TOKEN = 1, /* names, methods, codings */
	H1_VALUE = 2, /* field values: printable, space, tab, obs-text */
	H1_TARGET = 4, /* request targets: printable ASCII but space and '#' */
};

extern const uint8_t h1_classes[256];

static inline bool h1_is(char c, enum h1_class class)
{
	return h1_classes[(uint8_t)c] & class;
}

/* Behind the run of bytes of that class at p; end if it does not end before. */
static inline char *h1_skip(char *p, const char *end, enum h1_class class)
{
	while (p < end && h1_is(*p, class))
		p++;
	return p;
}

/* The same for H1_VALUE, eight bytes a step. */
char *h1_skip_value(char *p, const char *end);

/* The first ':' at or behind p, or end. */
char *h1_find_colon(char *p, const char *end);

/* Not empty, and every byte of that class. */
bool h1_all(struct str s, enum h1_class class);
/* A field value that may be sent; it may be empty. */
bool h1_is_value(struct str s);

#endif
