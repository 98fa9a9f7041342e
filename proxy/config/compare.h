/* config/compare.h - what two values of one object say differently, by the rows of its table: "weight" was 90 and is 50.
 *
 * Defaults and what was inherited count: it is about what is in effect. Rows of a type without `say` are passed over, and so are maps and
 * lists of objects, whose elements have identities of their own. */
#ifndef WEIR_CONFIG_COMPARE_H
#define WEIR_CONFIG_COMPARE_H

#include "config/field.h"

/* Longer values are cut. */
#define COMPARE_TEXT_MAX 120
#define COMPARE_KEY_MAX  96

/* One key that differs: "health.interval", and both values as they would stand in a file; with `secret` the values are not told. The texts live as long
 * as the call. */
struct config_change {
	struct str key, before, after;
	bool secret;
};

/* Calls `each` for every key that differs, in the order of the table. */
void config_compare(const struct config_object *o, const void *before, const void *after,
	void (*each)(const struct config_change *change, void *arg), void *arg);

#endif
