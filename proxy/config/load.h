/* config/load.h - from files to a conf: reading, including, finishing. The public part is in conf.h. */
#ifndef WEIR_CONFIG_LOAD_H
#define WEIR_CONFIG_LOAD_H

#include "config/conf.h"

/* The value in conf.hosts until the load is over: tenants still move in memory. */
struct host_claim {
	uint32_t tenant; /* index */
	struct conf_place place;
};

/* A whole regular file of at most max bytes, NUL-terminated, in the arena. False and *why, for the user. */
bool load_file(struct arena *a, const char *path, size_t max, struct str *text, const char **why);

#endif
