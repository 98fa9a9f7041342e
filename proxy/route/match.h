/* route/match.h - the conditions of a route beside its path: methods, headers, query parameters. */
#ifndef WEIR_ROUTE_MATCH_H
#define WEIR_ROUTE_MATCH_H

#include "base/regex.h"
#include "config/conf.h"
#include "http/head.h"

struct match {
	const struct conf_match *conf;
	uint8_t field; /* enum field_id of a header's name */
	struct regex *regex; /* or NULL */
};

/* Patterns were checked when the configuration was: compiling cannot fail but for memory, which ends the process. */
struct regex *pattern_compile(struct str pattern);

struct match *match_build(struct arena *a, const struct conf_match *conf, uint32_t n);
void match_free(struct match *m, uint32_t n);

bool match_method(const struct conf_strs *methods, const struct head *head);
bool match_headers(const struct match *m, uint32_t n, const struct head *head);
/* query: what follows the '?', compared as sent. */
bool match_query(const struct match *m, uint32_t n, struct str query);

#endif
