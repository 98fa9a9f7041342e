/* config/twins.h - routes of one tenant that are for the very same requests.
 *
 * The most specific route wins, never the one that stands first: where two ask for the same, one of them would never be used, and
 * nothing but their order would say which. */
#ifndef WEIR_CONFIG_TWINS_H
#define WEIR_CONFIG_TWINS_H

#include "base/map.h"
#include "config/conf.h"

struct twins {
	struct map by_place; /* path and host -> struct twin of the last route that was added there */
	struct arena *arena; /* borrowed, for all that is kept */
};

/* a must outlive t. Free it with twins_free(). */
void twins_init(struct twins *t, struct arena *a);
void twins_free(struct twins *t);
/* Adds one of the routes, once; its hosts must be in lower case. The one of those added before that is its twin: the same path, methods and
 * conditions, in whatever order they are written, for a host of both. NULL: it has none. */
const struct conf_route *twins_add(struct twins *t, const struct conf_route *route);

#endif
