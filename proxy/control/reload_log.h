/* control/reload_log.h - how the last reloads went: for those who wait for one, and for those who ask later. */
#ifndef WEIR_CONTROL_RELOAD_LOG_H
#define WEIR_CONTROL_RELOAD_LOG_H

#include <jansson.h>
#include "control/admin/admin.h"

struct reload_log {
	uint64_t begun, ended; /* how many have, the start included; one at a time */
	json_t *last; /* the document of the last one; NULL: there was only the start */
	json_t *refused; /* of the last refused one, until a good one; NULL: what is in the file is what is served */
	struct admin_topic changed;
};

void reload_log_init(struct reload_log *log, struct loop *l);
void reload_log_free(struct reload_log *log);
void reload_log_begin(struct reload_log *log);
/* One has ended. outcome: {"outcome": "applied" | "unchanged" | "refused", ...}, borrowed; NULL: the start. */
void reload_log_end(struct reload_log *log, json_t *outcome);

#endif
