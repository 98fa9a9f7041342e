/* config/describe.h - reading the tables aloud: what the JSON Schema and the reference have in common. */
#ifndef WEIR_CONFIG_DESCRIBE_H
#define WEIR_CONFIG_DESCRIBE_H

#include <stdio.h>
#include "config/field.h"

#define DEFAULT_TEXT_MAX 128

/* Every object that can be reached from o, by id; the others NULL. `all` starts zeroed. */
void describe_objects(const struct config_object *o, const struct config_object *all[OBJECTS]);
/* The objects of all modules that the program has, each behind the one that it belongs to. */
struct described_modules {
	const struct config_object *v[128];
	uint32_t n;
};
void describe_modules(struct described_modules *all);
/* The default as it would be written in a file. Empty: there is none to speak of. */
struct str describe_default(const struct config_field *f, char buf[DEFAULT_TEXT_MAX]);
/* What the row's number may be at most: the range, or what the member holds. */
uint64_t describe_max(const struct config_field *f);

/* Calls `each` for every variable of templates (config/template.h): its name, where it is known and what it is, in Markdown. */
void describe_variables(FILE *f, void (*each)(FILE *f, struct str name, const char *where, struct str doc));

#endif
