/* control/admin/process.c - what is told to the process as a whole: reload, stop, reopen. */
#include <limits.h>
#include "base/obj.h"
#include "config/unit.h"
#include "control/admin/routes.h"
#include "control/control.h"

/* -- reload -- */

static void answer_reload(struct admin_request *rq)
{
	json_t *last = rq->control->reloads.last;
	const char *outcome = json_string_value(json_object_get(last, "outcome"));

	if (outcome && strcmp(outcome, "refused") == 0)
		admin_problem_with(rq, 422, "refused", json_deep_copy(last),
			"the configuration has errors; what was served before goes on");
	else
		admin_answer(rq, 200, last ? json_deep_copy(last) : json_object());
}

static void reload_post(struct admin_request *rq)
{
	struct control *c = rq->control;

	if (!rq->woken && c->frozen) {
		admin_problem(rq, 409, "upgrading",
			"an upgrade is under way, whose program reads the configuration; try again when it "
			"has ended");
		return;
	}
	if (!rq->woken)
		rq->mark = control_reload(c);
	if (rq->mark && c->reloads.ended >= rq->mark)
		answer_reload(rq);
	else if (rq->mark == 0 || c->state == CONTROL_DRAINING || c->state == CONTROL_STOPPING)
		admin_problem(rq, 503, "stopping", "weir has been told to stop");
	else
		admin_wait_on(rq, &c->reloads.changed);
}

/* -- upgrade -- */

static void answer_upgrade(struct admin_request *rq)
{
	json_t *outcome = rq->control->orders.upgrade.outcome;
	const char *what = json_string_value(json_object_get(outcome, "outcome"));
	const char *why = json_string_value(json_object_get(outcome, "error"));

	if (what && strcmp(what, "applied") == 0)
		admin_answer(rq, 200, json_deep_copy(outcome));
	else if (what && strcmp(what, "refused") == 0)
		admin_problem_with(rq, 409, "upgrade_refused", json_deep_copy(outcome), "%s", why ? why : "");
	else
		admin_problem_with(rq, 422, "upgrade_failed", json_deep_copy(outcome),
			"the process that serves goes on: %s", why ? why : "it was not told why");
}

static void upgrade_post(struct admin_request *rq)
{
	struct control *c = rq->control;
	struct upgrade_wait *u = &c->orders.upgrade;
	bool ending = c->state == CONTROL_DRAINING || c->state == CONTROL_STOPPING;

	if (!rq->woken && !ending) {
		if (c->frozen || u->answered < u->asked) {
			admin_problem(rq, 409, "upgrade_refused", "another upgrade is under way");
			return;
		}
		rq->mark = orders_ask_upgrade(c);
	}
	if (rq->mark && u->answered >= rq->mark)
		answer_upgrade(rq);
	else if (ending && !u->applied)
		admin_problem(rq, 503, "stopping", "weir has been told to stop");
	else
		admin_wait_on(rq, &u->changed);
}

/* -- stop -- */

/* Optional members of the body that are not known are mistakes. */
static bool only_has(struct admin_request *rq, const char *known)
{
	const char *key;
	json_t *value;

	if (rq->body && !json_is_object(rq->body)) {
		admin_problem(rq, 400, "body", "the body must be an object");
		return false;
	}
	json_object_foreach(rq->body, key, value) if (strcmp(key, known) != 0)
	{
		admin_problem(rq, 400, "body", "unknown member \"%.60s\"; there is \"%s\"", key, known);
		return false;
	}
	return true;
}

static void stop_post(struct admin_request *rq)
{
	struct control *c = rq->control;
	uint64_t ms = c->snapshot->conf->timeouts.shutdown;
	const json_t *drain = rq->body ? json_object_get(rq->body, "drain") : NULL;

	if (!only_has(rq, "drain"))
		return;
	if (drain && (!json_is_string(drain) || !unit_duration(str_of(json_string_value(drain)), &ms) ||
			     ms > UINT32_MAX)) {
		admin_problem(rq, 400, "body",
			"\"drain\" must be a duration such as \"60s\"; \"0s\" stops at once");
		return;
	}
	if (drain && ms == 0)
		control_stop(c, "told by the admin API");
	else if (c->state != CONTROL_DRAINING && c->state != CONTROL_STOPPING)
		control_drain(c, (uint32_t)ms);
	admin_answer(
		rq, 202, json_pack("{s:s}", "state", c->state == CONTROL_DRAINING ? "draining" : "stopping"));
}

static void reopen_post(struct admin_request *rq)
{
	io_thread_reopen(&rq->control->io);
	admin_answer(rq, 200, json_pack("{s:b}", "reopened", true));
}

const struct admin_route process_routes[] = {
	{.method = METHOD_POST,
		.role = ADMIN_ADMIN,
		.global = true,
		.path = "/v1/reload",
		.summary = "Reads the configuration again and answers with the outcome; 422 with the errors "
			   "if it is refused",
		.response =
			"{\"type\": \"object\", \"properties\": {\"outcome\": {\"enum\": [\"applied\", "
			"\"unchanged\"]}, \"generation\": {\"type\": \"integer\"}, \"changes\": {\"type\": "
			"\"object\"}, \"warnings\": {\"type\": \"array\", \"items\": {\"type\": "
			"\"object\"}}}}",
		.handle = reload_post},
	{.method = METHOD_POST,
		.role = ADMIN_ADMIN,
		.global = true,
		.path = "/v1/upgrade",
		.summary = "Lets the program that lies at weir's path now take over, and answers with the "
			   "outcome; 422 with the cause if it cannot, 409 if another upgrade is under way",
		.response =
			"{\"type\": \"object\", \"required\": [\"outcome\"], \"properties\": {\"outcome\": "
			"{\"enum\": [\"applied\"]}, \"version\": {\"type\": \"string\"}, \"from\": "
			"{\"type\": \"string\"}, \"pid\": {\"type\": \"integer\"}, \"old_pid\": {\"type\": "
			"\"integer\"}}}",
		.handle = upgrade_post},
	{.method = METHOD_POST,
		.role = ADMIN_ADMIN,
		.global = true,
		.path = "/v1/stop",
		.summary = "Lets open requests end, then stops; what is left after `drain` is cut",
		.request =
			"{\"type\": \"object\", \"additionalProperties\": false, \"properties\": {\"drain\": "
			"{\"type\": \"string\", \"description\": \"a duration; timeouts.shutdown if absent, "
			"0s "
			"stops at once\"}}}",
		.response = "{\"type\": \"object\", \"properties\": {\"state\": {\"type\": \"string\"}}}",
		.handle = stop_post},
	{.method = METHOD_POST,
		.role = ADMIN_ADMIN,
		.global = true,
		.path = "/v1/reopen",
		.summary = "Opens the log files again, after a rotation",
		.handle = reopen_post},
	{.path = NULL},
};
