/* base/escape.h - text from strangers inside one line of a format: whatever it holds, the line stays one valid line. */
#ifndef WEIR_BASE_ESCAPE_H
#define WEIR_BASE_ESCAPE_H

#include "base/str.h"

/* Appends at most `max` bytes of s; what is longer ends with "...". Without the surrounding quotes. */
/* RFC 8259 7; bytes that are not UTF-8 become \u00XX. */
void text_json(struct text *t, struct str s, size_t max);
/* As it is, in whole characters; control characters and bytes that are not UTF-8 become "?". Nothing tells that more was there. */
void text_utf8(struct text *t, struct str s, size_t max);
/* Inside double quotes of a combined log: ", \ and what is not printable ASCII become \xHH, as nginx and Apache do. */
void text_combined(struct text *t, struct str s, size_t max);
/* A logfmt value, quoted if it needs to be. */
void text_logfmt(struct text *t, struct str s, size_t max);
/* & < > " ' (HTML) */
void text_html(struct text *t, struct str s);
/* Microseconds as milliseconds with three places: 1234567 is "1234.567". */
void text_ms(struct text *t, uint64_t us);

#endif
