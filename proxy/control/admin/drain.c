/* control/admin/drain.c - draining a pool, one of its backends, or the whole process, and how far it has come. */
#include <stdlib.h>
#include "config/suggest.h"
#include "control/admin/change.h"
#include "control/admin/routes.h"
#include "control/admin/services.h"
#include "control/control.h"
#include "control/ending.h"

static json_t *text_of(struct str s)
{
	return json_stringn(s.p ? s.p : "", s.n);
}

/* -- whom it is about -- */

static const struct backend *backend_named(
	struct admin_request *rq, const struct pool *pool, struct str address)
{
	struct suggestion meant = {.word = address};

	for (uint32_t i = 0; i < pool->n; i++) {
		if (str_eq(pool->backends[i]->address, address))
			return pool->backends[i];
		suggest_try(&meant, pool->backends[i]->address);
	}
	admin_problem(rq, 404, "no_such_backend", "pool " STR_FMT " has no backend \"" STR_FMT "\"%s" STR_FMT,
		STR_ARG(pool->slot->key), STR_ARG(address), meant.best.n ? "; did you mean " : "",
		STR_ARG(meant.best));
	return NULL;
}

/* -- how far it has come -- */

static uint64_t requests_at(const struct backend *b)
{
	struct backend_sums sums;

	backend_tallies_sum(b->tallies, &sums);
	return sums.in_flight;
}

static json_t *backend_progress(const struct control *c, const struct backend *b)
{
	json_t *j = json_pack("{s:o, s:b, s:I}", "address", text_of(b->address), "drained",
		backend_draining(b), "requests", (json_int_t)requests_at(b));
	const json_t *why = drains_document(&c->drains, b);

	if (why)
		json_object_set_new(j, "drain", json_deep_copy(why));
	return j;
}

/* Of the pool, or of one backend of it. */
static json_t *progress_of(const struct control *c, const struct pool *pool, const struct backend *only)
{
	struct pool_now now = control_pool_now(c, pool);
	json_t *backends = json_array();
	uint64_t requests = 0;
	bool drains = now.state >= POOL_DRAINING;

	for (uint32_t i = 0; i < pool->n; i++) {
		if (only && pool->backends[i] != only)
			continue;
		requests += requests_at(pool->backends[i]);
		json_array_append_new(backends, backend_progress(c, pool->backends[i]));
	}
	drains |= only && backend_draining(only);
	return json_pack("{s:o, s:s, s:b, s:b, s:I, s:o}", "pool", text_of(pool->slot->key), "state",
		conf_pool_state_names[now.state], "draining", drains, "done", drains && requests == 0,
		"requests", (json_int_t)requests, "backends", backends);
}

static void get(struct admin_request *rq)
{
	const struct service *s;
	const struct pool *pool = pool_asked(rq, &s);
	const struct backend *only = NULL;
	struct str address = admin_query(rq, "backend");
	json_t *progress;

	if (!pool || (address.n && !(only = backend_named(rq, pool, address))))
		return;
	progress = progress_of(rq->control, pool, only);
	if (json_is_true(json_object_get(progress, "draining")) &&
		!json_is_true(json_object_get(progress, "done")) && drains_wait(&rq->control->drains, rq))
		json_decref(progress);
	else
		admin_answer(rq, 200, progress);
}

/* -- a backend -- */

static void on_done(void *ctx, const char *error)
{
	struct admin_request *rq = ctx;
	const struct service *s;
	const struct pool *pool;

	rq->gone = NULL;
	if (error) {
		admin_problem(rq, store_is_full(&rq->control->store) ? 507 : 503, "state_unwritable",
			"it could not be stored, and nothing has changed: %s", error);
		return;
	}
	pool = pool_asked(rq, &s);
	if (pool)
		admin_answer(rq, 200, progress_of(rq->control, pool, NULL));
}

static void on_done_or_gone(void *ctx, const char *error)
{
	struct admin_request **asker = ctx, *rq = *asker;

	free(asker);
	if (rq)
		on_done(rq, error);
}

static void on_gone(struct admin_request *rq)
{
	*(struct admin_request **)rq->user = NULL;
}

/* Does anybody serve new users without it? */
static bool serves_without(const struct control *c, const struct service *s, const struct backend *b)
{
	for (uint32_t p = 0; p < s->n; p++) {
		struct pool_now now = control_pool_now(c, &s->pools[p]);

		for (uint32_t i = 0; i < s->pools[p].n && pool_share(&now) > 0; i++)
			if (s->pools[p].backends[i] != b && !backend_draining(s->pools[p].backends[i]))
				return true;
	}
	return false;
}

static void set_backend(struct admin_request *rq, const struct service *s, const struct pool *pool,
	const struct service_change *change, bool on)
{
	const json_t *address = json_object_get(rq->body, "backend");
	const struct backend *b;
	struct admin_request **asker;

	if (!json_is_string(address)) {
		admin_problem(
			rq, 400, "bad_member", "\"backend\" must be the address of a backend of the pool");
		return;
	}
	b = backend_named(rq, pool, str_of(json_string_value(address)));
	if (!b)
		return;
	if (on && !change->force && !serves_without(rq->control, s, b)) {
		admin_problem(rq, 409, "unsafe",
			"without " STR_FMT " nobody would be left to serve " STR_FMT
			". Enable another one first, or say force (--force)",
			STR_ARG(b->address), STR_ARG(s->slot->key));
		return;
	}
	if (!change_may_begin(rq) || !admin_if_match(rq, service_version(rq->control, s)))
		return;
	if (on == backend_draining(b)) {
		admin_answer(rq, 200, progress_of(rq->control, pool, NULL));
		return;
	}
	asker = malloc(sizeof(struct admin_request *));
	MUST(asker);
	*asker = rq;
	rq->user = asker;
	rq->gone = on_gone;
	drains_set(&rq->control->drains, b, on, change->author, change->reason, on_done_or_gone, asker);
}

/* -- a pool -- */

static json_t *answer_pool(struct admin_request *rq)
{
	const struct tenant *t;
	const struct service *s = service_find(rq->control, admin_param(rq, "t"), admin_param(rq, "s"), &t);

	for (uint32_t i = 0; s && i < s->n; i++)
		if (str_eq(s->pools[i].conf->name, admin_param(rq, "p")))
			return progress_of(rq->control, &s->pools[i], NULL);
	return json_object(); /* a reload has just taken it away */
}

static void set(struct admin_request *rq, bool on)
{
	static const char *const own[] = {"backend", NULL};
	struct service_change change = {0};
	const struct service *s;
	const struct pool *pool = pool_asked(rq, &s);

	if (!pool || !change_read(rq, own, &change))
		return;
	if (json_object_get(rq->body, "backend")) {
		set_backend(rq, s, pool, &change, on);
		return;
	}
	change.states =
		json_pack("{s:s}", pool->conf->name.p, conf_pool_state_names[on ? POOL_DRAINING : POOL_OPEN]);
	change_begin(rq, s, &change, answer_pool);
	json_decref(change.states);
}

static void drain(struct admin_request *rq)
{
	set(rq, true);
}

static void enable(struct admin_request *rq)
{
	set(rq, false);
}

/* -- the process -- */

static json_t *process_progress(const struct control *c)
{
	const char *phase = c->state == CONTROL_STOPPING    ? "stopping"
			    : c->state != CONTROL_DRAINING  ? "serving"
			    : deadline_armed(&c->readiness) ? "not_ready"
							    : "draining";
	json_t *progress = json_pack("{s:s}", "state", phase);

	json_object_update_new(progress, ending_left(c));
	return progress;
}

static void process_get(struct admin_request *rq)
{
	admin_answer(rq, 200, process_progress(rq->control));
}

static void process_drain(struct admin_request *rq)
{
	struct control *c = rq->control;

	if (c->state != CONTROL_DRAINING && c->state != CONTROL_STOPPING)
		control_drain(c, c->snapshot->conf->timeouts.shutdown);
	admin_answer(rq, 202, process_progress(c));
}

#define BODY \
	"{\"type\": \"object\", \"additionalProperties\": false, \"properties\": {\"backend\": {\"type\": " \
	"\"string\", \"description\": \"only this backend of the pool\"}, " CHANGE_SCHEMA "}}"
#define PROGRESS \
	"{\"type\": \"object\", \"properties\": {\"pool\": {\"type\": \"string\"}, \"state\": {\"type\": " \
	"\"string\"}, \"draining\": {\"type\": \"boolean\"}, \"done\": {\"type\": \"boolean\"}, " \
	"\"requests\": {\"type\": \"integer\"}, \"backends\": {\"type\": \"array\"}}}"
#define PROCESS \
	"{\"type\": \"object\", \"properties\": {\"state\": {\"enum\": [\"serving\", \"not_ready\", " \
	"\"draining\", \"stopping\"]}, \"connections\": {\"type\": \"integer\"}, \"requests\": {\"type\": " \
	"\"integer\"}, \"websockets\": {\"type\": \"integer\"}, \"streams\": {\"type\": \"integer\"}}}"

static const struct admin_param get_parameters[] = {
	{"backend", "string", "only this backend of the pool"},
	{"wait", "duration", "until nothing is in flight there any more, at most so long"},
	{0},
};

const struct admin_route drain_routes[] = {
	{.method = METHOD_GET,
		.role = ADMIN_VIEWER,
		.path = "/v1/pools/{t}/{s}/{p}/drain",
		.summary = "What is still in flight to a pool and to each of its backends",
		.query = get_parameters,
		.response = PROGRESS,
		.handle = get},
	{.method = METHOD_POST,
		.role = ADMIN_OPERATOR,
		.path = "/v1/pools/{t}/{s}/{p}/drain",
		.summary = "Drain a pool, or one backend of it: nothing new goes there",
		.request = BODY,
		.response = PROGRESS,
		.handle = drain},
	{.method = METHOD_DELETE,
		.role = ADMIN_OPERATOR,
		.path = "/v1/pools/{t}/{s}/{p}/drain",
		.summary = "Have a pool, or one backend of it, take requests again",
		.request = BODY,
		.response = PROGRESS,
		.handle = enable},
	{.method = METHOD_GET,
		.role = ADMIN_VIEWER,
		.global = true,
		.path = "/v1/drain",
		.summary = "What is open in the whole process",
		.response = PROCESS,
		.handle = process_get},
	{.method = METHOD_POST,
		.role = ADMIN_ADMIN,
		.global = true,
		.path = "/v1/drain",
		.summary = "/readyz fails, clients are told to go, and weir stops when nothing is open",
		.response = PROCESS,
		.handle = process_drain},
	{.path = NULL},
};
