/* control/admin/deploy.c - a service's deploy: begun or joined, looked at, aborted. */
#include "control/admin/change.h"
#include "control/admin/routes.h"
#include "control/admin/services.h"
#include "control/control.h"

static void answer_document(struct admin_request *rq, unsigned status, bool joined)
{
	struct str service = service_key_asked(rq);
	json_t *document = deploy_document(&rq->control->deploys, service);

	if (!document) {
		admin_problem(
			rq, 404, "no_deploy", "service " STR_FMT " has had no deploy", STR_ARG(service));
		return;
	}
	if (joined)
		json_object_set_new(document, "joined", json_true());
	admin_answer(rq, status, document);
}

static void get(struct admin_request *rq)
{
	const struct tenant *t;
	uint64_t after = 0, serial;

	if (!service_asked(rq, &t) || !admin_query_u64(rq, "after", &after))
		return;
	serial = deploy_serial(&rq->control->deploys, service_key_asked(rq));
	if (serial && serial <= after && admin_wait(rq, &rq->control->shifts.changed))
		return;
	answer_document(rq, 200, false);
}

static void on_begun(void *ctx, const char *error)
{
	struct admin_request *rq = ctx;

	rq->gone = NULL;
	if (error)
		admin_problem(rq, store_is_full(&rq->control->store) ? 507 : 503, "state_unwritable",
			"the deploy could not be stored, nothing has begun: %s", error);
	else
		answer_document(rq, 201, false);
}

static void on_gone(struct admin_request *rq)
{
	deploy_forget(&rq->control->deploys, service_key_asked(rq), rq);
}

static void post(struct admin_request *rq)
{
	static const char *const common[] = {"reason", "author", "force", NULL};
	static const char *const own[] = {"pool", "backends", "id", "healthy_within", "warm_up", "shift",
		"drain", "drain_timeout", NULL};
	struct service_change change = {0};
	struct shift_answer answer;
	const struct service *s = change_asked(rq, own, &change);
	struct deploy_wish wish = {.body = rq->body, .ignored = common};
	bool joined;

	if (!s || !judges_allowed(rq, json_object_get(rq->body, "shift")))
		return;
	if (deploy_is_unwinding(&rq->control->deploys, s->slot->key)) {
		admin_wait_on(rq, &rq->control->shifts.changed);
		return;
	}
	wish.author = change.author;
	wish.reason = change.reason;
	rq->gone = on_gone;
	deploy_begin(&rq->control->deploys, s->slot->key, &wish, &answer, &joined, on_begun, rq);
	if (answer.outcome == SHIFT_TAKEN && !joined)
		return;
	rq->gone = NULL;
	if (joined)
		answer_document(rq, 200, true);
	else
		shift_problem(rq, &answer);
}

static void abort_it(struct admin_request *rq)
{
	static const char *const own[] = {NULL};
	struct service_change change = {0};
	struct shift_answer answer;
	const struct service *s = change_asked(rq, own, &change);

	if (!s)
		return;
	deploy_abort(&rq->control->deploys, s->slot->key, change.author, change.reason, &answer);
	if (answer.outcome == SHIFT_TAKEN)
		answer_document(rq, 200, false);
	else
		shift_problem(rq, &answer);
}

static const struct admin_param get_parameters[] = {
	{"wait", "duration", "wait so long for a change"},
	{"after", "integer", "the serial number that is known already"},
	{0},
};

const struct admin_route deploy_routes[] = {
	{.method = METHOD_GET,
		.role = ADMIN_VIEWER,
		.path = "/v1/services/{t}/{s}/deploy",
		.summary = "The deploy that is under way, or the last one, with its shift",
		.query = get_parameters,
		.response = "{\"$ref\": \"#/components/schemas/Deploy\"}",
		.handle = get},
	{.method = METHOD_POST,
		.role = ADMIN_OPERATOR,
		.path = "/v1/services/{t}/{s}/deploy",
		.summary = "Deploy: set a pool's backends, wait until all are healthy, warm them up, shift "
			   "users, drain the "
			   "old pool; the same one again joins it",
		.request = "{\"type\": \"object\", \"required\": [\"pool\"], \"additionalProperties\": "
			   "false, \"properties\": "
			   "{\"pool\": {\"type\": \"string\"}, \"backends\": {\"type\": \"array\", "
			   "\"description\": \"as in the "
			   "file; without it, those that the pool has\"}, "
			   "\"id\": {\"type\": \"string\", \"maxLength\": 128, \"description\": \"what its "
			   "caller calls it: asked for "
			   "again, it is joined, or reported if it is over\"}, "
			   "\"healthy_within\": {\"type\": \"string\", \"description\": \"60s\"}, "
			   "\"warm_up\": {\"type\": \"object\", \"properties\": {\"path\": {\"type\": "
			   "\"string\"}, \"requests\": "
			   "{\"type\": \"integer\"}}}, "
			   "\"shift\": {\"type\": \"object\", \"description\": \"without it, users are "
			   "switched at once\", "
			   "\"properties\": {" SHIFT_PLAN_SCHEMA "}}, "
			   "\"drain\": {\"type\": \"boolean\"}, \"drain_timeout\": {\"type\": "
			   "\"string\"}, " CHANGE_SCHEMA "}}",
		.response = "{\"$ref\": \"#/components/schemas/Deploy\"}",
		.handle = post},
	{.method = METHOD_DELETE,
		.role = ADMIN_OPERATOR,
		.path = "/v1/services/{t}/{s}/deploy",
		.summary = "Abort the deploy: the old pool serves as before",
		.request = "{\"type\": \"object\", \"additionalProperties\": false, \"properties\": "
			   "{" CHANGE_SCHEMA "}}",
		.response = "{\"$ref\": \"#/components/schemas/Deploy\"}",
		.handle = abort_it},
	{.path = NULL},
};
