/* control/admin/shift.c - a service's shift: begun, looked at, told what to do. */
#include "control/admin/change.h"
#include "control/admin/routes.h"
#include "control/admin/services.h"
#include "control/control.h"

void shift_problem(struct admin_request *rq, const struct shift_answer *a)
{
	static const struct {
		unsigned status;
		const char *type;
	} problems[] = {
		[SHIFT_BAD] = {400, "bad_value"},
		[SHIFT_UNKNOWN] = {404, "unknown_name"},
		[SHIFT_HELD] = {409, "shift_under_way"},
		[SHIFT_NOT_NOW] = {409, "not_now"},
		[SHIFT_UNSTORED] = {503, "state_unwritable"},
	};

	admin_problem(rq, problems[a->outcome].status, problems[a->outcome].type, "%s", a->text);
}

/* An operator's token must not make weir knock wherever it can reach. */
static bool judge_allowed(struct admin_request *rq, const json_t *plan, const char *name)
{
	const struct conf_strs *judges = &rq->control->snapshot->conf->admin.judges;
	const char *url = json_string_value(json_object_get(json_object_get(plan, name), "url"));
	struct str rest = str_of(url);

	if (!url)
		return true;
	for (uint32_t i = 0; i < judges->n; i++) {
		struct str origin = judges->v[i];

		if (!str_case_eq(str_head(rest, origin.n), origin))
			continue;
		if (rest.n == origin.n || rest.p[origin.n] == '/' || rest.p[origin.n] == '?')
			return true;
	}
	admin_problem(rq, 403, "judge",
		"\"" STR_FMT "\" may not have weir ask %.200s: list its scheme, host and port under "
		"admin.judges, or use a token of role admin for all tenants",
		STR_ARG(rq->caller.name), url);
	return false;
}

bool judges_allowed(struct admin_request *rq, const json_t *plan)
{
	if (rq->caller.role >= ADMIN_ADMIN && rq->caller.tenants.n == 0)
		return true;
	return judge_allowed(rq, plan, "hook") && judge_allowed(rq, plan, "prometheus");
}

static void answer_document(struct admin_request *rq, unsigned status)
{
	struct str service = service_key_asked(rq);
	json_t *document = shift_document(&rq->control->shifts, service);

	if (document)
		admin_answer(rq, status, document);
	else
		admin_problem(rq, 404, "no_shift", "service " STR_FMT " has had no shift", STR_ARG(service));
}

static void get(struct admin_request *rq)
{
	const struct tenant *t;
	const json_t *doc;
	uint64_t after = 0;

	if (!service_asked(rq, &t) || !admin_query_u64(rq, "after", &after))
		return;
	doc = shift_stored(&rq->control->shifts, service_key_asked(rq));
	if (doc && (uint64_t)json_integer_value(json_object_get(doc, "serial")) <= after &&
		admin_wait(rq, &rq->control->shifts.changed))
		return;
	answer_document(rq, 200);
}

static void on_begun(void *ctx, const char *error)
{
	struct admin_request *rq = ctx;

	rq->gone = NULL;
	if (error)
		admin_problem(rq, store_is_full(&rq->control->store) ? 507 : 503, "state_unwritable",
			"the shift could not be stored, nothing has begun: %s", error);
	else
		answer_document(rq, 201);
}

static void on_gone(struct admin_request *rq)
{
	shift_forget(&rq->control->shifts, service_key_asked(rq), rq);
}

static void post(struct admin_request *rq)
{
	static const char *const common[] = {"reason", "author", "force", NULL};
	static const char *const own[] = {"pool", "steps", "every", "ramp", "guards", "hook", "prometheus",
		"schedule", "drain", "drain_timeout", NULL};
	struct service_change change = {0};
	struct shift_answer answer;
	const struct service *s = change_asked(rq, own, &change);
	struct shift_wish wish = {.plan = rq->body, .ignored = common};

	if (!s || !judges_allowed(rq, rq->body))
		return;
	if (deploy_holds(&rq->control->deploys, s->slot->key, NULL, answer.text)) {
		answer.outcome = SHIFT_HELD;
		shift_problem(rq, &answer);
		return;
	}
	wish.author = change.author;
	wish.reason = change.reason;
	rq->gone = on_gone;
	shift_begin(&rq->control->shifts, s->slot->key, &wish, &answer, on_begun, rq);
	if (answer.outcome != SHIFT_TAKEN) {
		rq->gone = NULL;
		shift_problem(rq, &answer);
	}
}

static void act(struct admin_request *rq, enum shift_action action)
{
	static const char *const own[] = {"action", NULL};
	struct service_change change = {0};
	struct shift_answer answer;
	const struct service *s = change_asked(rq, own, &change);

	if (!s)
		return;
	shift_act(&rq->control->shifts, s->slot->key, action, change.author, change.reason, &answer);
	if (answer.outcome == SHIFT_TAKEN)
		answer_document(rq, 200);
	else
		shift_problem(rq, &answer);
}

static void patch(struct admin_request *rq)
{
	const char *name = json_string_value(json_object_get(rq->body, "action"));

	for (int i = 0; name && i < SHIFT_ACTIONS; i++) {
		if (strcmp(shift_action_names[i], name) == 0) {
			act(rq, (enum shift_action)i);
			return;
		}
	}
	admin_problem(rq, 400, "bad_body", "which action? {\"action\": \"pause\"}, resume, promote or abort");
}

static void abort_it(struct admin_request *rq)
{
	act(rq, SHIFT_ABORT);
}

static const struct admin_param get_parameters[] = {
	{"wait", "duration", "wait so long for a change"},
	{"after", "integer", "the serial number that is known already"},
	{0},
};

const struct admin_route shift_routes[] = {
	{.method = METHOD_GET,
		.role = ADMIN_VIEWER,
		.path = "/v1/services/{t}/{s}/shift",
		.summary = "The shift that is under way, or the last one, with its evidence",
		.query = get_parameters,
		.response = "{\"$ref\": \"#/components/schemas/Shift\"}",
		.handle = get},
	{.method = METHOD_POST,
		.role = ADMIN_OPERATOR,
		.path = "/v1/services/{t}/{s}/shift",
		.summary = "Begin a shift: users move to a pool step by step, and back when a guard fails",
		.request = "{\"type\": \"object\", \"required\": [\"pool\"], \"additionalProperties\": "
			   "false, \"properties\": "
			   "{" SHIFT_PLAN_SCHEMA ", \"pool\": {\"type\": \"string\"}, " CHANGE_SCHEMA "}}",
		.response = "{\"$ref\": \"#/components/schemas/Shift\"}",
		.handle = post},
	{.method = METHOD_PATCH,
		.role = ADMIN_OPERATOR,
		.path = "/v1/services/{t}/{s}/shift",
		.summary = "Pause, resume, promote (take the next step now) or abort the shift",
		.request = "{\"type\": \"object\", \"required\": [\"action\"], \"additionalProperties\": "
			   "false, \"properties\": "
			   "{\"action\": {\"enum\": [\"pause\", \"resume\", \"promote\", "
			   "\"abort\"]}, " CHANGE_SCHEMA "}}",
		.response = "{\"$ref\": \"#/components/schemas/Shift\"}",
		.handle = patch},
	{.method = METHOD_DELETE,
		.role = ADMIN_OPERATOR,
		.path = "/v1/services/{t}/{s}/shift",
		.summary = "Abort the shift: the weights are put back",
		.request = "{\"type\": \"object\", \"additionalProperties\": false, \"properties\": "
			   "{" CHANGE_SCHEMA "}}",
		.response = "{\"$ref\": \"#/components/schemas/Shift\"}",
		.handle = abort_it},
	{.path = NULL},
};
