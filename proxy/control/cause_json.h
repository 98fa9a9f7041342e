/* control/cause_json.h - the record of a failed request as the admin API tells it. */
#ifndef WEIR_CONTROL_CAUSE_JSON_H
#define WEIR_CONTROL_CAUSE_JSON_H

#include <jansson.h>
#include "exchange/cause.h"

/* Everything that is known; what did not happen is left out. Bytes that are not UTF-8 are told as "?". */
json_t *cause_json(const struct cause *c);

#endif
