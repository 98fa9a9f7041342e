/* control/admin/hold.c - holding a service and releasing it, and who waits. */
#include <stdlib.h>
#include "base/obj.h"
#include "config/unit.h"
#include "control/admin/change.h"
#include "control/admin/routes.h"
#include "control/admin/services.h"
#include "control/control.h"

#define QUEUE_DEFAULT 1000

static json_t *progress_of(const struct control *c, const struct service *s)
{
	const json_t *document = hold_document(&c->holds, s);
	struct hold_sums sums;
	json_t *j;

	hold_sum(&c->holds, s, &sums);
	j = json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:I}", "service", s->slot->key.p, "held",
		document != NULL, "left_ms", (json_int_t)hold_left_ms(&c->holds, s), "waiting",
		(json_int_t)sums.waiting, "had_to_wait", (json_int_t)sums.held, "found_no_room",
		(json_int_t)sums.full, "timed_out", (json_int_t)sums.timed_out);
	json_object_set_new(j, "terms", document ? json_deep_copy(document) : json_null());
	return j;
}

static void get(struct admin_request *rq)
{
	const struct tenant *t;
	const struct service *s = service_asked(rq, &t);
	struct hold_sums sums;

	if (!s)
		return;
	hold_sum(&rq->control->holds, s, &sums);
	if ((sums.waiting == 0 && !hold_document(&rq->control->holds, s)) ||
		!drains_wait(&rq->control->drains, rq))
		admin_answer(rq, 200, progress_of(rq->control, s));
}

/* -- changes -- */

static void on_done(void *ctx, const char *error)
{
	struct admin_request **asker = ctx, *rq = *asker;
	const struct tenant *t;
	const struct service *s;

	free(asker);
	if (!rq)
		return;
	rq->gone = NULL;
	s = error ? NULL : service_asked(rq, &t);
	if (error && strcmp(error, HOLD_STOPPING) == 0)
		admin_problem(rq, 503, "stopping", "%s", error);
	else if (error)
		admin_problem(rq, store_is_full(&rq->control->store) ? 507 : 503, "state_unwritable",
			"it could not be stored, and nothing has changed: %s", error);
	else if (s)
		admin_answer(rq, 200, progress_of(rq->control, s));
}

static void on_gone(struct admin_request *rq)
{
	*(struct admin_request **)rq->user = NULL;
}

static void begin(struct admin_request *rq, const struct service *s, const struct service_change *who,
	json_t *document, const json_t *pace)
{
	struct control *c = rq->control;
	struct admin_request **asker = malloc(sizeof(struct admin_request *));
	json_t *told = document ? json_copy(document) : json_object();

	MUST(asker);
	*asker = rq;
	rq->user = asker;
	rq->gone = on_gone;
	json_object_set_new(told, "service", json_string(s->slot->key.p));
	json_object_set_new(told, "author", json_string(who->author));
	json_object_set_new(told, "reason", who->reason ? json_string(who->reason) : json_null());
	event_emit(&c->io, CONF_LEVEL_INFO, document ? "hold" : "release", told);
	hold_set(&c->holds, s, document, pace, on_done, asker);
}

/* A duration among the members, in ms. False: answered. */
static bool read_ms(struct admin_request *rq, const char *name, uint64_t max, uint64_t *ms)
{
	const json_t *v = json_object_get(rq->body, name);

	if (!v)
		return true;
	if (json_is_string(v) && unit_duration(str_of(json_string_value(v)), ms) && *ms <= max)
		return true;
	admin_problem(rq, 400, "bad_member", "\"%s\" must be a duration such as \"30s\", %llu s at most",
		name, (unsigned long long)max / 1000);
	return false;
}

static bool read_number(struct admin_request *rq, const char *name, int64_t min, int64_t max, int64_t *n)
{
	const json_t *v = json_object_get(rq->body, name);

	if (!v)
		return true;
	*n = json_integer_value(v);
	if (json_is_integer(v) && *n >= min && *n <= max)
		return true;
	admin_problem(rq, 400, "bad_member", "\"%s\" must be a number from %lld to %lld", name,
		(long long)min, (long long)max);
	return false;
}

static bool read_path(struct admin_request *rq, const char **path)
{
	const json_t *v = json_object_get(rq->body, "path");

	*path = json_string_value(v);
	if (!v || (*path && **path == '/' && strlen(*path) < HOLD_PATH_MAX))
		return true;
	admin_problem(rq, 400, "bad_member", "\"path\" must be a path such as \"/healthz\"");
	return false;
}

/* How fast those who wait go on: as the body says, else as terms (NULL: none) do. NULL: answered. */
static json_t *read_pace(struct admin_request *rq, const json_t *terms)
{
	bool spread = json_object_get(rq->body, "spread"), rate = json_object_get(rq->body, "rate");
	uint64_t spread_ms =
		terms ? (uint64_t)json_integer_value(json_object_get(terms, "spread_ms")) : HOLD_SPREAD_MS;
	int64_t per_second = json_integer_value(json_object_get(terms, "rate"));

	if (spread && rate) {
		admin_problem(rq, 400, "bad_body",
			"\"spread\" is the time that all may take, \"rate\" is so many a second: give one or "
			"the other");
		return NULL;
	}
	if (!read_ms(rq, "spread", HOLD_MAX_MS, &spread_ms) ||
		!read_number(rq, "rate", 1, HOLD_RATE_MAX, &per_second))
		return NULL;
	return json_pack("{s:I, s:I}", "spread_ms", (json_int_t)spread_ms, "rate",
		spread ? (json_int_t)0 : (json_int_t)per_second);
}

static void hold(struct admin_request *rq)
{
	static const char *const own[] = {"for", "queue", "wait", "spread", "rate", "path", "status", NULL};
	struct service_change who = {0};
	const struct service *s = change_asked(rq, own, &who);
	uint64_t for_ms = 0, wait_ms = 0;
	int64_t queue = QUEUE_DEFAULT, status = 200;
	json_t *pace, *document;
	const char *path;

	if (!s || !read_ms(rq, "for", HOLD_MAX_MS, &for_ms) || !read_ms(rq, "wait", HOLD_MAX_MS, &wait_ms) ||
		!read_number(rq, "queue", 0, HOLD_QUEUE_MAX, &queue) ||
		!read_number(rq, "status", 200, 599, &status) || !read_path(rq, &path))
		return;
	if (for_ms == 0) {
		admin_problem(rq, 400, "bad_body", "for how long? {\"for\": \"30s\"}");
		return;
	}
	pace = read_pace(rq, NULL);
	if (!pace)
		return;
	document = json_pack("{s:I, s:I, s:I, s:s?, s:I, s:s?, s:s?}", "for_ms", (json_int_t)for_ms, "queue",
		(json_int_t)queue, "wait_ms", (json_int_t)wait_ms, "path", path, "status", (json_int_t)status,
		"author", who.author, "reason", who.reason);
	json_object_update(document, pace);
	json_decref(pace);
	begin(rq, s, &who, document, NULL);
}

static void release(struct admin_request *rq)
{
	static const char *const own[] = {"spread", "rate", NULL};
	struct service_change who = {0};
	const struct service *s = change_asked(rq, own, &who);
	const json_t *terms = s ? hold_document(&rq->control->holds, s) : NULL;
	json_t *pace = s ? read_pace(rq, terms) : NULL;

	if (pace && terms)
		begin(rq, s, &who, NULL, pace);
	else if (pace)
		admin_answer(rq, 200, progress_of(rq->control, s));
	json_decref(pace);
}

#define TIME_SCHEMA "{\"type\": \"string\", \"examples\": [\"30s\"]}"
#define RATE_SCHEMA \
	"\"rate\": {\"type\": \"integer\", \"minimum\": 1, \"description\": \"those who wait go on at so " \
	"many a " \
	"second, in place of spread\"}"
#define PROGRESS "{\"$ref\": \"#/components/schemas/Hold\"}"

static const struct admin_param get_parameters[] = {
	{"wait", "duration", "until it is not held and nobody waits any more, at most so long"},
	{0},
};

const struct admin_route hold_routes[] = {
	{.method = METHOD_GET,
		.role = ADMIN_VIEWER,
		.path = "/v1/services/{t}/{s}/hold",
		.summary = "Is the service held, on which terms, and how many requests wait?",
		.query = get_parameters,
		.response = PROGRESS,
		.handle = get},
	{.method = METHOD_POST,
		.role = ADMIN_OPERATOR,
		.path = "/v1/services/{t}/{s}/hold",
		.summary = "Hold the service: its requests wait in weir",
		.request = "{\"type\": \"object\", \"required\": [\"for\"], \"additionalProperties\": false, "
			   "\"properties\": {\"for\": " TIME_SCHEMA
			   ", \"queue\": {\"type\": \"integer\"}, \"wait\": " TIME_SCHEMA
			   ", \"spread\": " TIME_SCHEMA ", " RATE_SCHEMA
			   ", \"path\": {\"type\": \"string\"}, \"status\": "
			   "{\"type\": \"integer\"}, " CHANGE_SCHEMA "}}",
		.response = PROGRESS,
		.handle = hold},
	{.method = METHOD_DELETE,
		.role = ADMIN_OPERATOR,
		.path = "/v1/services/{t}/{s}/hold",
		.summary = "Release the service: who waits goes on, over a while",
		.request = "{\"type\": \"object\", \"additionalProperties\": false, \"properties\": "
			   "{\"spread\": " TIME_SCHEMA ", " RATE_SCHEMA ", " CHANGE_SCHEMA "}}",
		.response = PROGRESS,
		.handle = release},
	{.path = NULL},
};
