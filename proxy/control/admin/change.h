/* control/admin/change.h - what the handlers that change a service have in common: what a body may say beside the change itself, the wait for its
 * turn, and the words for how it went. */
#ifndef WEIR_CONTROL_ADMIN_CHANGE_H
#define WEIR_CONTROL_ADMIN_CHANGE_H

#include "control/admin/admin.h"
#include "control/service_change.h"

struct service;
struct shift_answer;

/* Members that every body of a change takes, for its JSON Schema. */
#define CHANGE_SCHEMA \
	"\"reason\": {\"type\": \"string\", \"description\": \"why; stands in events and the history\"}, " \
	"\"author\": {\"type\": \"string\", \"description\": \"who, besides the name of the token or " \
	"user\"}, " \
	"\"force\": {\"type\": \"boolean\", \"description\": \"though nobody would be left to serve\"}"

/* Of a shift's plan (shift_plan.h), but for its pool. */
#define SHIFT_PLAN_SCHEMA \
	"\"steps\": {\"type\": \"array\", \"items\": {\"type\": \"number\"}, \"description\": " \
	"\"percentages, " \
	"rising; 1, 5, 25, 50, 100\"}, " \
	"\"every\": {\"type\": \"string\", \"description\": \"the least time between two steps; 60s\"}, " \
	"\"ramp\": {\"type\": \"string\", \"description\": \"a smooth rise over this time, in place of " \
	"steps\"}, " \
	"\"guards\": {\"type\": \"object\", \"additionalProperties\": false, \"properties\": " \
	"{\"max_error_rate\": {\"type\": \"string\", \"description\": \"1%, or 1.5x the old pool's\"}, " \
	"\"max_p50\": {\"type\": \"string\"}, \"max_p90\": {\"type\": \"string\"}, " \
	"\"max_p99\": {\"type\": \"string\", \"description\": \"500ms, or 1.5x the old pool's\"}, " \
	"\"min_samples\": {\"type\": \"integer\", \"minimum\": 1}}}, " \
	"\"hook\": {\"type\": \"object\", \"properties\": {\"url\": {\"type\": \"string\"}, \"timeout\": " \
	"{\"type\": " \
	"\"string\"}}}, " \
	"\"prometheus\": {\"type\": \"object\", \"properties\": {\"url\": {\"type\": \"string\"}, " \
	"\"query\": " \
	"{\"type\": \"string\"}, \"min\": {\"type\": \"number\"}, \"max\": {\"type\": \"number\"}, " \
	"\"timeout\": " \
	"{\"type\": \"string\"}}}, " \
	"\"schedule\": {\"type\": \"object\", \"properties\": {\"between\": {\"type\": \"string\"}, " \
	"\"days\": " \
	"{\"type\": \"string\"}, \"tz\": {\"type\": \"string\"}}}, " \
	"\"drain\": {\"type\": \"boolean\", \"description\": \"afterwards the old pool drains and is " \
	"closed\"}, " \
	"\"drain_timeout\": {\"type\": \"string\"}"

/* Is the body an object of CHANGE_SCHEMA's members and `own` (which ends with NULL)? Fills what they say. False: answered. */
bool change_read(struct admin_request *rq, const char *const *own, struct service_change *change);
/* False, and answered: what is known is just being handed over to a successor. */
bool change_may_begin(struct admin_request *rq);
/* The service that the path names, of which the body wants a change: all of the above, and its version is that of If-Match. NULL: answered. */
const struct service *change_asked(
	struct admin_request *rq, const char *const *own, struct service_change *change);
/* Starts the change under the request's If-Match, and answers when all workers follow: 200 with what answer() says then, the service's
 * version as ETag, and "changed"; or a problem. */
void change_begin(struct admin_request *rq, const struct service *s, struct service_change *change,
	json_t *(*answer)(struct admin_request *rq));

/* May the caller have weir ask those whom the plan of a shift names? False: answered. */
bool judges_allowed(struct admin_request *rq, const json_t *plan);
/* Why a wish for a shift or a deploy was not taken. */
void shift_problem(struct admin_request *rq, const struct shift_answer *answer);

#endif
