/* config/backend_list.h - the list of backends in a file that `file:PATH` names, in whichever form its writer likes:
 *
 *   10.0.0.1:8080 weight=2          one a line, blank lines and what follows a # passed over
 *   - {address: 10.0.0.1:8080}      YAML: a list as `backends` of a pool has it, or a mapping with the key `backends`
 *   ["10.0.0.1:8080"]               JSON is YAML
 *
 * All forms are read by the tables of the configuration, so every key of a backend may stand there, and mistakes get the same
 * messages. A list of nobody is written [], so that a file which is empty because it is just being written empties no pool. */
#ifndef WEIR_CONFIG_BACKEND_LIST_H
#define WEIR_CONFIG_BACKEND_LIST_H

#include "config/conf.h"

#define BACKEND_LIST_BYTES_MAX (1024u * 1024)

/* The list is listed[] of what is returned; NULL when it is bad, and the report says all that is. Both are the caller's, as after
 * conf_load_text(). name: the path, absolute; relative paths of unix sockets start beside it. */
struct conf *backend_list_load(const char *name, struct str text, struct conf_report *report);

#endif
