/* control/admin/change.h - what the handlers that change a service have in common: what a body may say beside the change itself, the wait for its
 * turn, and the words for how it went. */
#ifndef WEIR_CONTROL_ADMIN_CHANGE_H
#define WEIR_CONTROL_ADMIN_CHANGE_H

#include "control/admin/admin.h"
#include "control/service_change.h"

struct service;

/* Members that every body of a change takes, for its JSON Schema. */
#define CHANGE_SCHEMA \
	"\"reason\": {\"type\": \"string\", \"description\": \"why; stands in events and the history\"}, " \
	"\"author\": {\"type\": \"string\", \"description\": \"who, besides the name of the token or " \
	"user\"}, " \
	"\"force\": {\"type\": \"boolean\", \"description\": \"though nobody would be left to serve\"}"

/* Is the body an object of CHANGE_SCHEMA's members and `own` (which ends with NULL)? Fills what they say. False: answered. */
bool change_read(struct admin_request *rq, const char *const *own, struct service_change *change);
/* Starts the change under the request's If-Match, and answers when all workers follow: 200 with what answer() says then, the service's
 * version as ETag, and "changed"; or a problem. */
void change_begin(struct admin_request *rq, const struct service *s, struct service_change *change,
	json_t *(*answer)(struct admin_request *rq));

#endif
