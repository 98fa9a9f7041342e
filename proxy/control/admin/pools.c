/* control/admin/pools.c - one pool: the state it is in, and its backends. */
#include "control/admin/change.h"
#include "control/admin/routes.h"
#include "control/admin/services.h"
#include "control/control.h"

/* The pool of the path, as its service's document has it. */
static json_t *pool_document(struct admin_request *rq)
{
	const struct tenant *t;
	const struct service *s = service_find(rq->control, admin_param(rq, "t"), admin_param(rq, "s"), &t);
	const struct pool *pool = s ? pool_find(s, admin_param(rq, "p")) : NULL;
	json_t *service, *document;

	if (!pool)
		return json_object(); /* a reload has just taken it away */
	service = service_document(rq->control, t, s);
	document = json_deep_copy(json_array_get(json_object_get(service, "pools"), pool->index));
	json_object_set_new(document, "pool", json_string(pool->slot->key.p));
	json_object_set(document, "version", json_object_get(service, "version"));
	json_decref(service);
	return document;
}

static void get(struct admin_request *rq)
{
	const struct service *s;

	if (pool_asked(rq, &s))
		admin_answer_etag(rq, 200, pool_document(rq), service_version(rq->control, s));
}

static void put_state(struct admin_request *rq)
{
	static const char *const own[] = {"state", NULL};
	struct service_change change = {0};
	const struct service *s;
	const struct pool *pool = pool_asked(rq, &s);
	json_t *state;

	if (!pool || !change_read(rq, own, &change))
		return;
	state = json_object_get(rq->body, "state");
	if (!state) {
		admin_problem(rq, 400, "bad_body",
			"which state? {\"state\": \"open\"}, pinned, draining or closed; null: the file's");
		return;
	}
	change.states = json_object();
	json_object_set(change.states, pool->conf->name.p, state);
	change_begin(rq, s, &change, pool_document);
	json_decref(change.states);
}

static void change_backends(struct admin_request *rq, enum backends_how how)
{
	static const char *const own[] = {"backends", NULL};
	struct service_change change = {.backends_how = (uint8_t)how};
	const struct service *s;
	const struct pool *pool = pool_asked(rq, &s);

	if (!pool || !change_read(rq, own, &change))
		return;
	change.backends_pool = pool->conf->name.p;
	change.backends = json_object_get(rq->body, "backends");
	if (!json_is_array(change.backends) && !(how == BACKENDS_SET && json_is_null(change.backends))) {
		admin_problem(rq, 400, "bad_body",
			"which backends? {\"backends\": [\"10.0.0.1:8080\", ...]}%s",
			how == BACKENDS_SET ? "; null: the file's" : "");
		return;
	}
	change_begin(rq, s, &change, pool_document);
}

static void set_backends(struct admin_request *rq)
{
	change_backends(rq, BACKENDS_SET);
}

static void add_backends(struct admin_request *rq)
{
	change_backends(rq, BACKENDS_ADD);
}

static void remove_backends(struct admin_request *rq)
{
	change_backends(rq, BACKENDS_REMOVE);
}

#define STATE_SCHEMA \
	"{\"type\": \"object\", \"required\": [\"state\"], \"additionalProperties\": false, " \
	"\"properties\": {\"state\": " \
	"{\"enum\": [\"open\", \"pinned\", \"draining\", \"closed\", null]}, " CHANGE_SCHEMA "}}"
#define BACKENDS_SCHEMA \
	"{\"type\": \"object\", \"required\": [\"backends\"], \"additionalProperties\": false, " \
	"\"properties\": " \
	"{\"backends\": {\"type\": [\"array\", \"null\"], \"items\": {\"anyOf\": [{\"type\": \"string\"}, " \
	"{\"type\": " \
	"\"object\", \"required\": [\"address\"], \"properties\": {\"address\": {\"type\": \"string\"}, " \
	"\"weight\": " \
	"{\"type\": \"integer\", \"minimum\": 1, \"maximum\": 1000}, \"priority\": {\"type\": \"integer\", " \
	"\"minimum\": 0, " \
	"\"maximum\": 7}}}]}}, " CHANGE_SCHEMA "}}"

const struct admin_route pool_routes[] = {
	{.method = METHOD_GET,
		.role = ADMIN_VIEWER,
		.path = "/v1/pools/{t}/{s}/{p}",
		.summary = "A pool: weight, state, backends with their health",
		.handle = get},
	{.method = METHOD_PUT,
		.role = ADMIN_OPERATOR,
		.path = "/v1/pools/{t}/{s}/{p}/state",
		.summary = "Set the state of a pool at run time",
		.request = STATE_SCHEMA,
		.handle = put_state},
	{.method = METHOD_POST,
		.role = ADMIN_OPERATOR,
		.path = "/v1/pools/{t}/{s}/{p}/state",
		.summary = "The same as PUT",
		.request = STATE_SCHEMA,
		.handle = put_state},
	{.method = METHOD_GET,
		.role = ADMIN_VIEWER,
		.path = "/v1/pools/{t}/{s}/{p}/backends",
		.summary = "The backends of a pool",
		.handle = get},
	{.method = METHOD_PUT,
		.role = ADMIN_OPERATOR,
		.path = "/v1/pools/{t}/{s}/{p}/backends",
		.summary = "Set the backends of a pool at run time; null goes back to the file's",
		.request = BACKENDS_SCHEMA,
		.handle = set_backends},
	{.method = METHOD_POST,
		.role = ADMIN_OPERATOR,
		.path = "/v1/pools/{t}/{s}/{p}/backends",
		.summary = "Add backends to a pool at run time",
		.request = BACKENDS_SCHEMA,
		.handle = add_backends},
	{.method = METHOD_DELETE,
		.role = ADMIN_OPERATOR,
		.path = "/v1/pools/{t}/{s}/{p}/backends",
		.summary = "Remove backends from a pool at run time",
		.request = BACKENDS_SCHEMA,
		.handle = remove_backends},
	{.path = NULL},
};
