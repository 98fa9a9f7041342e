/* control/admin/weights.c - the weights of a service's pools, as they are and as somebody wants them. */
#include "config/unit.h"
#include "control/admin/change.h"
#include "control/admin/routes.h"
#include "control/admin/services.h"
#include "control/control.h"

static json_t *pool_weights(const struct control *c, const struct pool *pool, const json_t *doc, double sum)
{
	struct pool_now now = control_pool_now(c, pool);
	const json_t *weight = service_doc_set(doc, pool->conf->name, "weight");
	const json_t *state = service_doc_set(doc, pool->conf->name, "state");
	double effective = (double)pool_share(&now) / POOL_WHOLE;

	return json_pack("{s:I, s:O?, s:f, s:f, s:s, s:O?}", "weight", (json_int_t)pool->conf->weight,
		"runtime_weight", weight, "effective_weight", effective, "share",
		sum > 0 ? effective / sum : 0.0, "state", conf_pool_state_names[now.state], "runtime_state",
		state);
}

/* Of the service that the path names; empty when a reload has just taken it away. */
static json_t *weights_document(struct admin_request *rq)
{
	const struct control *c = rq->control;
	const struct tenant *t;
	const struct service *s = service_find(c, admin_param(rq, "t"), admin_param(rq, "s"), &t);
	json_t *pools = json_object();
	const json_t *doc;
	double sum = 0;

	if (!s)
		return pools;
	doc = runtime_doc(&c->runtime, s->slot->key);
	for (uint32_t i = 0; i < s->n; i++) {
		struct pool_now now = control_pool_now(c, &s->pools[i]);

		sum += (double)pool_share(&now) / POOL_WHOLE;
	}
	for (uint32_t i = 0; i < s->n; i++)
		json_object_set_new(pools, s->pools[i].conf->name.p, pool_weights(c, &s->pools[i], doc, sum));
	return json_pack("{s:s, s:I, s:o, s:o, s:O?, s:O?}", "service", s->slot->key.p, "version",
		(json_int_t)service_version(c, s), "pools", pools, "lease", lease_document(c, s), "author",
		doc ? json_object_get(doc, "author") : NULL, "reason",
		doc ? json_object_get(doc, "reason") : NULL);
}

static void get(struct admin_request *rq)
{
	const struct tenant *t;
	const struct service *s = service_asked(rq, &t);

	if (s)
		admin_answer_etag(rq, 200, weights_document(rq), service_version(rq->control, s));
}

static bool read_lease(struct admin_request *rq, struct service_change *change)
{
	const json_t *lease = json_object_get(rq->body, "lease");
	uint64_t ms = 0;

	if (!lease || json_is_null(lease))
		return true;
	if (!json_is_string(lease) || !unit_duration(str_of(json_string_value(lease)), &ms) ||
		ms < LEASE_MIN_MS || ms > LEASE_MAX_MS) {
		admin_problem(
			rq, 400, "bad_value", "\"lease\" must be a duration from 1s to 24h, such as \"60s\"");
		return false;
	}
	change->lease_ms = (uint32_t)ms;
	return true;
}

static void put(struct admin_request *rq)
{
	static const char *const own[] = {"weights", "lease", NULL};
	struct service_change change = {0};
	const struct tenant *t;
	const struct service *s = service_asked(rq, &t);

	if (!s || !change_read(rq, own, &change) || !read_lease(rq, &change))
		return;
	change.weights = json_object_get(rq->body, "weights");
	if (!json_is_object(change.weights) || json_object_size(change.weights) == 0) {
		admin_problem(
			rq, 400, "bad_body", "which weights? {\"weights\": {\"blue\": 90, \"green\": 10}}");
		return;
	}
	change_begin(rq, s, &change, weights_document);
}

/* Back to the file's. */
static void reset(struct admin_request *rq)
{
	static const char *const own[] = {NULL};
	struct service_change change = {0};
	const struct tenant *t;
	const struct service *s = service_asked(rq, &t);

	if (!s || !change_read(rq, own, &change))
		return;
	change.weights = json_object();
	for (uint32_t i = 0; i < s->n; i++)
		json_object_set_new(change.weights, s->pools[i].conf->name.p, json_null());
	change_begin(rq, s, &change, weights_document);
	json_decref(change.weights);
}

const struct admin_route weights_routes[] = {
	{.method = METHOD_GET,
		.role = ADMIN_VIEWER,
		.path = "/v1/services/{t}/{s}/weights",
		.summary = "The weights of a service's pools: in the file, at run time, in effect",
		.handle = get},
	{.method = METHOD_PUT,
		.role = ADMIN_OPERATOR,
		.path = "/v1/services/{t}/{s}/weights",
		.summary = "Set weights of pools at run time; If-Match makes sure that nobody else has "
			   "meanwhile",
		.request = "{\"type\": \"object\", \"required\": [\"weights\"], \"additionalProperties\": "
			   "false, \"properties\": "
			   "{\"weights\": {\"type\": \"object\", \"additionalProperties\": {\"type\": "
			   "[\"integer\", \"null\"], "
			   "\"minimum\": 0, \"maximum\": 1000000, \"description\": \"null: the file's\"}}, "
			   "\"lease\": {\"type\": [\"string\", \"null\"], \"description\": \"the weights go "
			   "back after this time, "
			   "such as 60s, unless they are sent again before\"}, " CHANGE_SCHEMA "}}",
		.handle = put},
	{.method = METHOD_DELETE,
		.role = ADMIN_OPERATOR,
		.path = "/v1/services/{t}/{s}/weights",
		.summary = "Go back to the file's weights",
		.request = "{\"type\": \"object\", \"additionalProperties\": false, \"properties\": "
			   "{" CHANGE_SCHEMA "}}",
		.handle = reset},
	{.path = NULL},
};
