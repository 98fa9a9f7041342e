#include "control/reload_log.h"

#include <string.h>
#include <time.h>

void reload_log_init(struct reload_log *log, struct loop *l)
{
	*log = (struct reload_log){0};
	admin_topic_init(&log->changed, l);
}

void reload_log_free(struct reload_log *log)
{
	json_decref(log->last);
	json_decref(log->refused);
}

static void replace(json_t **document, json_t *by)
{
	json_decref(*document);
	*document = by;
}

void reload_log_begin(struct reload_log *log)
{
	log->begun++;
}

void reload_log_end(struct reload_log *log, json_t *outcome)
{
	json_t *document = json_deep_copy(outcome);

	log->ended++;
	if (document) {
		bool refused =
			strcmp(json_string_value(json_object_get(document, "outcome")), "refused") == 0;

		json_object_set_new(document, "unix_time", json_integer((json_int_t)time(NULL)));
		replace(&log->refused, refused ? json_incref(document) : NULL);
		replace(&log->last, document);
	}
	admin_topic_wake(&log->changed);
}
