/* control/admin/match.h - from a path and a query to a route and its parameters: pure. */
#ifndef WEIR_CONTROL_ADMIN_MATCH_H
#define WEIR_CONTROL_ADMIN_MATCH_H

#include "control/admin/admin.h"

/* Percent-decoded (RFC 3986 2.1), '+' as a space when in_query. p NULL: malformed, or it holds a NUL. */
struct str admin_decode(struct arena *a, struct str s, bool in_query);
/* Does the path fit the pattern? Fills params, decoded, one for each {name}; a malformed or empty segment fits no {name}. */
bool admin_match_path(
	struct arena *a, const char *pattern, struct str path, struct str params[ADMIN_PARAMS_MAX]);
/* The number of the {name} in the pattern, or -1. */
int admin_match_param(const char *pattern, const char *name);

struct admin_match {
	const struct admin_route *route; /* NULL: none */
	bool found; /* there is such a path, for these methods: */
	struct text allow; /* "GET, HEAD, PUT" */
	char allow_bytes[96];
};

/* tables: ends with NULL. A literal segment goes before a {name}: the first row that fits in the order of the tables must be the more
 * literal one. */
void admin_match_route(struct admin_match *m, struct arena *a, const struct admin_route *const *tables,
	enum method method, struct str path, struct str params[ADMIN_PARAMS_MAX]);

/* Splits a query into decoded pairs. REASON: NULL good, or a text that says what is wrong with it. */
const char *admin_match_query(
	struct arena *a, struct str query, struct admin_pair pairs[ADMIN_QUERY_MAX], uint32_t *n);

/* Does this Accept take that media type? Empty: takes everything (RFC 9110 12.5.1). */
bool admin_accepts(struct str accept, struct str type);
/* Does it name that type itself? */
bool admin_accept_names(struct str accept, struct str type);

/* How deep brackets nest in a JSON text; what is in strings does not count. */
uint32_t admin_json_depth(struct str text);

#endif
