/* control/members_json.h - backends as JSON, as the API and the state have them: [{"address", "weight", "priority"}], with
 * "requests" and "zone" where a backend has them. */
#ifndef WEIR_CONTROL_MEMBERS_JSON_H
#define WEIR_CONTROL_MEMBERS_JSON_H

#include <jansson.h>
#include "config/conf.h"

/* New reference. */
json_t *members_json(const struct conf_backend *v, uint32_t n);
/* The list with nothing left out, new, after all checks that the file would get; addresses alone are short for an object. NULL: `text`
 * (n bytes) says what is wrong. */
json_t *members_json_check(const json_t *list, char *text, size_t n);
/* What a snapshot is built from; the conf owns it (conf_free). The list has been checked: NULL only if it was stored by a weir with other
 * rules. */
struct conf *members_json_parse(const json_t *list, struct conf_backend **v, uint32_t *n);

#endif
