/* base/regex.h - regular expressions that a configuration holds (PCRE2), matched against what strangers send.
 *
 * They look at bytes, and at all of them: one that matched in the middle would let past what its author never thought of. What takes
 * longer than a millisecond or so to find out does not match: some expressions take exponential time for some texts, and a
 * stranger who knows of one would hold up all others of the worker. A pattern that needs more may begin with (*LIMIT_MATCH=1000000). */
#ifndef WEIR_BASE_REGEX_H
#define WEIR_BASE_REGEX_H

#include <stdbool.h>
#include <stddef.h>
#include "base/str.h"

/* A compiled expression; threads may share it. */
struct regex;
/* Where a thread has matches written. */
struct regex_room;

/* NULL with err, "broken at character 3: ...": it is no expression. */
struct regex *regex_compile(struct str pattern, char *err, size_t err_n);
/* NULL too. */
void regex_free(struct regex *re);
bool regex_matches(const struct regex *re, struct str subject);

/* For so many captures, of which the first is the whole. */
struct regex_room *regex_room_new(unsigned captures);
void regex_room_free(struct regex_room *room);
/* The same, without an allocation. Captures that took part are set to their part of the subject, the others stay as they are. */
bool regex_capture(const struct regex *re, struct regex_room *room, struct str subject, struct str *captures);

#endif
