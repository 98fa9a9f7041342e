/* control/admin/listeners.c - listeners, draining one of them, and how far that has come. */
#include <stdlib.h>
#include "base/obj.h"
#include "config/suggest.h"
#include "control/admin/change.h"
#include "control/admin/routes.h"
#include "control/control.h"

static json_t *text_of(struct str s)
{
	return json_stringn(s.p ? s.p : "", s.n);
}

static json_t *listener_json(const struct control *c, const struct conf_listener *l)
{
	const json_t *why = listener_drain_document(&c->listener_drains, l->name);
	json_t *j = json_pack("{s:o, s:o, s:b}", "listener", text_of(l->name), "address", text_of(l->address),
		"draining", why != NULL);

	if (why)
		json_object_set_new(j, "drain", json_deep_copy(why));
	return j;
}

static void list(struct admin_request *rq)
{
	const struct conf *conf = rq->control->snapshot->conf;
	json_t *all = json_array();

	for (uint32_t i = 0; i < conf->listener_n; i++)
		json_array_append_new(all, listener_json(rq->control, &conf->listeners[i]));
	admin_answer(rq, 200, json_pack("{s:o}", "listeners", all));
}

/* NULL: answered. */
static const struct conf_listener *asked(struct admin_request *rq)
{
	const struct conf *conf = rq->control->snapshot->conf;
	struct str name = admin_param(rq, "l");
	struct suggestion meant = {.word = name};

	if (rq->control->state == CONTROL_DRAINING || rq->control->state == CONTROL_STOPPING) {
		admin_problem(rq, 503, "stopping", "weir is about to stop: all listeners are closed");
		return NULL;
	}
	for (uint32_t i = 0; i < conf->listener_n; i++) {
		if (str_eq(conf->listeners[i].name, name))
			return &conf->listeners[i];
		suggest_try(&meant, conf->listeners[i].name);
	}
	admin_problem(rq, 404, "no_such_listener", "there is no listener \"" STR_FMT "\"%s" STR_FMT,
		STR_ARG(name), meant.best.n ? "; did you mean " : "", STR_ARG(meant.best));
	return NULL;
}

static json_t *progress_of(
	const struct control *c, const struct conf_listener *l, const struct gate_sums *sums)
{
	json_t *j = listener_json(c, l);
	bool drains = listener_drain_document(&c->listener_drains, l->name);

	json_object_set_new(j, "done", json_boolean(drains && sums->connections == 0));
	json_object_set_new(j, "connections", json_integer((json_int_t)sums->connections));
	json_object_set_new(j, "requests", json_integer((json_int_t)sums->requests));
	json_object_set_new(j, "websockets", json_integer((json_int_t)sums->websockets));
	json_object_set_new(j, "streams", json_integer((json_int_t)sums->streams));
	return j;
}

/* -- what workers say -- */

static void on_gone(struct admin_request *rq)
{
	*(struct admin_request **)rq->user = NULL;
}

static struct admin_request **asker_of(struct admin_request *rq)
{
	struct admin_request **asker = malloc(sizeof(struct admin_request *));

	MUST(asker);
	*asker = rq;
	rq->user = asker;
	rq->gone = on_gone;
	return asker;
}

/* Nobody waits for it any more: NULL. */
static struct admin_request *asker_back(struct admin_request **asker)
{
	struct admin_request *rq = *asker;

	free(asker);
	if (rq)
		rq->gone = NULL;
	return rq;
}

static void on_counted(void *ctx, const char *error, const struct gate_sums *sums)
{
	struct admin_request *rq = asker_back(ctx);
	const struct conf_listener *l = rq ? asked(rq) : NULL;
	bool busy = l && sums->connections && listener_drain_document(&rq->control->listener_drains, l->name);

	(void)error;
	if (l && !(busy && drains_wait(&rq->control->drains, rq)))
		admin_answer(rq, 200, progress_of(rq->control, l, sums));
}

static void get(struct admin_request *rq)
{
	const struct conf_listener *l = asked(rq);

	if (!l)
		return;
	/* It must not be woken while workers are asked. */
	deadline_disarm(&rq->control->loop, &rq->deadline);
	listener_drain_ask(&rq->control->listener_drains, l, on_counted, asker_of(rq));
}

/* -- changes -- */

static void on_set(void *ctx, const char *error, const struct gate_sums *sums)
{
	struct admin_request *rq = asker_back(ctx);
	const struct conf_listener *l;

	if (rq && error)
		admin_problem(rq, store_is_full(&rq->control->store) ? 507 : 503, "state_unwritable",
			"it could not be stored, and nothing has changed: %s", error);
	else if (rq && (l = asked(rq)))
		admin_answer(rq, 200, progress_of(rq->control, l, sums));
}

/* Does another one let anybody in? */
static bool enters_without(const struct control *c, const struct conf_listener *l)
{
	const struct conf *conf = c->snapshot->conf;

	for (uint32_t i = 0; i < conf->listener_n; i++)
		if (&conf->listeners[i] != l &&
			!listener_drain_document(&c->listener_drains, conf->listeners[i].name))
			return true;
	return false;
}

static void set(struct admin_request *rq, bool on)
{
	static const char *const own[] = {NULL};
	struct service_change change = {0};
	struct listener_drains *d = &rq->control->listener_drains;
	const struct conf_listener *l = asked(rq);

	if (!l || !change_read(rq, own, &change) || !change_may_begin(rq))
		return;
	if (on == (listener_drain_document(d, l->name) != NULL))
		listener_drain_ask(d, l, on_set, asker_of(rq));
	else if (on && !change.force && !enters_without(rq->control, l))
		admin_problem(rq, 409, "unsafe",
			"without " STR_FMT " nobody could come in any more. Enable another listener first, "
			"or say force (--force)",
			STR_ARG(l->name));
	else
		listener_drain_set(d, l, on, change.author, change.reason, on_set, asker_of(rq));
}

static void drain(struct admin_request *rq)
{
	set(rq, true);
}

static void enable(struct admin_request *rq)
{
	set(rq, false);
}

#define BODY "{\"type\": \"object\", \"additionalProperties\": false, \"properties\": {" CHANGE_SCHEMA "}}"
#define OF_LISTENER \
	"\"listener\": {\"type\": \"string\"}, \"address\": {\"type\": \"string\"}, \"draining\": " \
	"{\"type\": \"boolean\"}, \"drain\": {\"type\": \"object\"}"
#define LIST \
	"{\"type\": \"object\", \"properties\": {\"listeners\": {\"type\": \"array\", \"items\": " \
	"{\"type\": \"object\", \"properties\": {" OF_LISTENER "}}}}}"
#define PROGRESS \
	"{\"type\": \"object\", \"properties\": {" OF_LISTENER ", \"done\": {\"type\": \"boolean\"}, " \
	"\"connections\": {\"type\": \"integer\"}, \"requests\": {\"type\": \"integer\"}, " \
	"\"websockets\": {\"type\": \"integer\"}, \"streams\": {\"type\": \"integer\"}}}"

static const struct admin_param get_parameters[] = {
	{"wait", "duration", "if it drains: until nobody is connected any more, at most so long"},
	{0},
};

const struct admin_route listener_routes[] = {
	{.method = METHOD_GET,
		.role = ADMIN_VIEWER,
		.global = true,
		.path = "/v1/listeners",
		.summary = "All listeners",
		.response = LIST,
		.handle = list},
	{.method = METHOD_GET,
		.role = ADMIN_VIEWER,
		.global = true,
		.path = "/v1/listeners/{l}/drain",
		.summary = "What is open on a listener",
		.query = get_parameters,
		.response = PROGRESS,
		.handle = get},
	{.method = METHOD_POST,
		.role = ADMIN_OPERATOR,
		.global = true,
		.path = "/v1/listeners/{l}/drain",
		.summary = "Drain a listener: it lets nobody in, and who is there is told to go",
		.request = BODY,
		.response = PROGRESS,
		.handle = drain},
	{.method = METHOD_DELETE,
		.role = ADMIN_OPERATOR,
		.global = true,
		.path = "/v1/listeners/{l}/drain",
		.summary = "Have a listener let clients in again",
		.request = BODY,
		.response = PROGRESS,
		.handle = enable},
	{.path = NULL},
};
