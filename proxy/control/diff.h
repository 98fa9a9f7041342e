/* control/diff.h - what a new configuration changes, by identity: which things are new, which are said differently, which are gone. */
#ifndef WEIR_CONTROL_DIFF_H
#define WEIR_CONTROL_DIFF_H

#include <jansson.h>
#include "control/verify.h"

/* Names of one kind; of what is beyond, only the number is told. */
#define DIFF_NAMES_MAX 50

/* {"tenant": {"added": ["beta"]}, "pool": {"changed": ["acme/shop/blue"], "removed": [...], "more": 7, "values": {"acme/shop/blue": [{"key":
 * "weight", "before": "90", "after": "50"}]}}, ...}: kinds are setting, listener, certificate, tenant, service, pool, backend; a kind without
 * changes is left out. Of what is added or removed the parts are not told apart. Certificates count by their contents, everything else by
 * what is written. `values` has what can be told of what has changed (config/compare.h); secrets without before and after. */
json_t *conf_diff(const struct verified *before, const struct verified *after);

#endif
