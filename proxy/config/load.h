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

struct config_object;
/* A text whose root is o, whose members are those of struct conf; otherwise as conf_load_text(). */
struct conf *load_text_as(
	const struct config_object *o, const char *name, struct str text, struct conf_report *report);

#endif
