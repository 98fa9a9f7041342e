/* route/path.h - paths that could be read in two ways.
 *
 * weir routes on exactly the bytes that it forwards and never rewrites them silently. Some backends decode %2F, merge slashes, drop
 * ;parameters or take a backslash for a slash before they look at a path. Where that would lead to another route (past an access
 * rule, to another service) the request is ambiguous and is refused. */
#ifndef WEIR_ROUTE_PATH_H
#define WEIR_ROUTE_PATH_H

#include <stdbool.h>
#include "base/str.h"

enum path_kind {
	PATH_PLAIN, /* every reader agrees */
	PATH_AMBIGUOUS, /* compare the routes of the path as it is and as path_lenient() reads it */
	PATH_BAD, /* dot segments, encoded or not, and encoded NUL: no honest client sends them (RFC 3986 5.2.4) */
};

/* Looks at the path only, not at the query. */
enum path_kind path_kind(struct str path);
/* The path as the most lenient backend reads it, into buf (path.n bytes): decoded, backslashes turned, slashes merged, parameters cut. */
struct str path_lenient(struct str path, char *buf);
/* Without the query. */
struct str path_only(struct str path_and_query);

#endif
