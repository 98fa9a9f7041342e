/* control/admin/services.c - services as documents: pools with their weights, backends with their health and its cause. */
#include "base/obj.h"
#include "config/suggest.h"
#include "control/admin/routes.h"
#include "control/admin/services.h"
#include "control/control.h"

static json_t *text_of(struct str s)
{
	return json_stringn(s.p ? s.p : "", s.n);
}

/* What the checks say, and why. */
static json_t *health_of(const struct control *c, const struct backend *b)
{
	const struct health *h = b->health;
	json_t *j =
		json_pack("{s:s, s:b}", "state", backend_state_name(backend_state(b)), "checked", h != NULL);
	char name[REASON_NAME_MAX];

	if (!h)
		return j;
	json_object_set_new(j, "since_s", json_real((double)(c->loop.now_ms - h->since_ms) / 1000));
	json_object_set_new(
		j, "reason", h->why ? text_of(reason_name((enum reason)h->why, name)) : json_null());
	json_object_set_new(j, "text", h->why ? text_of(reason_row((enum reason)h->why)->text) : json_null());
	json_object_set_new(j, "status", h->status ? json_integer(h->status) : json_null());
	json_object_set_new(j, "duration_ms", json_real(h->duration_us / 1000.0));
	return j;
}

static json_t *backend_document(const struct control *c, const struct pool *p, uint32_t i)
{
	const struct backend *b = p->backends[i];
	json_t *j = json_pack("{s:o, s:i, s:i, s:o, s:b}", "address", text_of(b->address), "weight",
		(int)p->members[i].weight, "priority", (int)p->members[i].priority, "health", health_of(c, b),
		"ejected", backend_ejected(b));
	json_object_set_new(j, "drained", json_boolean(backend_draining(b)));

	if (backend_ejected(b) && b->outlier)
		json_object_set_new(j, "ejections_in_row", json_integer(b->outlier->times));
	return j;
}

/* What was set at run time; null: nothing. */
static json_t *set_value(const json_t *doc, const struct pool *p, const char *what)
{
	const json_t *set = service_doc_set(doc, p->conf->name, what);

	return set ? json_deep_copy(set) : json_null();
}

static json_t *pool_document(const struct control *c, const struct pool *p)
{
	struct pool_census census = pool_census(p);
	struct pool_now now = control_pool_now(c, p);
	json_t *backends = json_array();
	const json_t *doc = runtime_doc(&c->runtime, runtime_service_key(p->slot->key));

	for (uint32_t i = 0; i < p->n; i++)
		json_array_append_new(backends, backend_document(c, p, i));
	return json_pack("{s:o, s:I, s:o, s:f, s:s, s:o, s:b, s:f, s:i, s:i, s:i, s:b, s:o}", "name",
		text_of(p->conf->name), "weight", (json_int_t)p->conf->weight, "runtime_weight",
		set_value(doc, p, "weight"), "effective_weight",
		now.state == POOL_OPEN ? (double)now.weight * now.capacity / POOL_WHOLE : 0.0, "state",
		conf_pool_state_names[now.state], "runtime_state", set_value(doc, p, "state"),
		"runtime_backends", service_doc_backends(doc, p->conf->name) != NULL, "capacity",
		(double)now.capacity / POOL_WHOLE, "up", (int)census.up, "down", (int)census.down, "checking",
		(int)census.checking, "panic", pool_panics(p, census), "backends", backends);
}

json_t *lease_document(const struct control *c, const struct service *s)
{
	const json_t *doc = runtime_doc(&c->runtime, s->slot->key);
	const json_t *lease = doc ? json_object_get(doc, "lease") : NULL;
	uint32_t left;

	if (!lease || !runtime_lease_left(&c->runtime, s->slot->key, &left))
		return json_null();
	return json_pack("{s:O, s:I, s:O}", "length_ms", json_object_get(lease, "length_ms"), "left_ms",
		(json_int_t)left, "returns_to", json_object_get(lease, "pools"));
}

/* Some members of what is under way, or was last; null: nothing ever was. Takes all. */
static json_t *summary_of(json_t *all, const char *const *members)
{
	json_t *some;

	if (!all)
		return json_null();
	some = json_object();
	for (; *members; members++)
		if (json_object_get(all, *members))
			json_object_set(some, *members, json_object_get(all, *members));
	json_decref(all);
	return some;
}

static json_t *shift_summary(struct control *c, const struct service *s)
{
	static const char *const members[] = {"pool", "from", "state", "why", "share", "step", "steps",
		"left_ms", "author", "reason", "started_ms", "changed_ms", NULL};
	const json_t *stored = shift_stored(&c->shifts, s->slot->key);
	json_t *j = summary_of(shift_document(&c->shifts, s->slot->key), members);
	json_t *verdict = json_object_get(json_object_get(stored, "verdict"), "text");
	json_t *steps = json_object_get(json_object_get(stored, "plan"), "steps");

	if (json_is_object(j)) {
		json_object_set_new(j, "verdict", verdict ? json_incref(verdict) : json_null());
		json_object_set_new(j, "plan_steps", steps ? json_deep_copy(steps) : json_array());
	}
	return j;
}

static json_t *deploy_summary(struct control *c, const struct service *s)
{
	static const char *const members[] = {
		"id", "pool", "state", "why", "author", "reason", "started_ms", "changed_ms", NULL};

	return summary_of(deploy_document(&c->deploys, s->slot->key), members);
}

static json_t *hold_summary(const struct control *c, const struct service *s)
{
	struct hold_sums sums;

	if (!hold_document(&c->holds, s))
		return json_null();
	hold_sum(&c->holds, s, &sums);
	return json_pack("{s:I, s:I}", "left_ms", (json_int_t)hold_left_ms(&c->holds, s), "waiting",
		(json_int_t)sums.waiting);
}

json_t *service_document(struct control *c, const struct tenant *t, const struct service *s)
{
	json_t *pools = json_array();

	for (uint32_t i = 0; i < s->n; i++)
		json_array_append_new(pools, pool_document(c, &s->pools[i]));
	return json_pack("{s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:o}", "tenant", text_of(t->conf->name),
		"service", text_of(s->conf->name), "version", (json_int_t)service_version(c, s), "pools",
		pools, "lease", lease_document(c, s), "shift", shift_summary(c, s), "deploy",
		deploy_summary(c, s), "hold", hold_summary(c, s));
}

uint64_t service_version(const struct control *c, const struct service *s)
{
	return (uint64_t)runtime_version(&c->runtime, s->slot->key);
}

const struct service *service_find(
	const struct control *c, struct str tenant, struct str name, const struct tenant **of)
{
	const struct conf *conf = c->snapshot->conf;

	for (uint32_t i = 0; i < conf->tenant_n; i++) {
		const struct tenant *t = &c->snapshot->tenants[i];

		if (!str_eq(t->conf->name, tenant))
			continue;
		*of = t;
		for (uint32_t s = 0; s < t->conf->service_n; s++)
			if (str_eq(t->services[s].conf->name, name))
				return &t->services[s];
	}
	return NULL;
}

struct str service_key_asked(struct admin_request *rq)
{
	return arena_fmt(&rq->arena, STR_FMT "/" STR_FMT, STR_ARG(admin_param(rq, "t")),
		STR_ARG(admin_param(rq, "s")));
}

/* With the one that was probably meant, of those that the caller may see. */
static void answer_unknown(struct admin_request *rq, struct str key)
{
	const struct conf *conf = rq->control->snapshot->conf;
	struct suggestion meant = {.word = key};

	for (uint32_t t = 0; t < conf->tenant_n; t++) {
		if (!admin_sees(&rq->caller, conf->tenants[t].name))
			continue;
		for (uint32_t i = 0; i < conf->tenants[t].service_n; i++)
			suggest_try(&meant, rq->control->snapshot->tenants[t].services[i].slot->key);
	}
	if (meant.best.n)
		admin_problem(rq, 404, "no_such_service",
			"there is no service " STR_FMT "; did you mean " STR_FMT "?", STR_ARG(key),
			STR_ARG(meant.best));
	else
		admin_problem(rq, 404, "no_such_service",
			"there is no service " STR_FMT "; GET /v1/services lists them", STR_ARG(key));
}

const struct service *service_asked(struct admin_request *rq, const struct tenant **of)
{
	struct str t = admin_param(rq, "t"), s = admin_param(rq, "s");
	const struct service *found = service_find(rq->control, t, s, of);

	if (!found)
		answer_unknown(rq, arena_fmt(&rq->arena, STR_FMT "/" STR_FMT, STR_ARG(t), STR_ARG(s)));
	return found;
}

const struct pool *pool_find(const struct service *s, struct str name)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (str_eq(s->pools[i].conf->name, name))
			return &s->pools[i];
	return NULL;
}

const struct pool *pool_asked(struct admin_request *rq, const struct service **of)
{
	const struct tenant *t;
	const struct service *s = service_asked(rq, &t);
	struct suggestion meant = {.word = admin_param(rq, "p")};
	const struct pool *pool = s ? pool_find(s, meant.word) : NULL;

	*of = s;
	if (!s || pool)
		return pool;
	for (uint32_t i = 0; i < s->n; i++)
		suggest_try(&meant, s->pools[i].conf->name);
	if (meant.best.n)
		admin_problem(rq, 404, "no_such_pool",
			"service " STR_FMT " has no pool \"" STR_FMT "\"; did you mean \"" STR_FMT "\"?",
			STR_ARG(s->slot->key), STR_ARG(meant.word), STR_ARG(meant.best));
	else
		admin_problem(rq, 404, "no_such_pool", "service " STR_FMT " has no pool \"" STR_FMT "\"",
			STR_ARG(s->slot->key), STR_ARG(meant.word));
	return NULL;
}

static void service_get(struct admin_request *rq)
{
	const struct tenant *t;
	const struct service *s = service_asked(rq, &t);

	if (s)
		admin_answer_etag(
			rq, 200, service_document(rq->control, t, s), service_version(rq->control, s));
}

static void services_get(struct admin_request *rq)
{
	const struct snapshot *snapshot = rq->control->snapshot;
	struct str only = admin_query(rq, "tenant");
	json_t *services = json_array();

	for (uint32_t i = 0; i < snapshot->conf->tenant_n; i++) {
		const struct tenant *t = &snapshot->tenants[i];

		if ((only.n && !str_eq(only, t->conf->name)) || !admin_sees(&rq->caller, t->conf->name))
			continue;
		for (uint32_t s = 0; s < t->conf->service_n; s++)
			json_array_append_new(services, service_document(rq->control, t, &t->services[s]));
	}
	admin_answer(rq, 200, json_pack("{s:o}", "services", services));
}

static const struct admin_param list_parameters[] = {
	{"tenant", "string", "only the services of this tenant"},
	{0},
};

#define REF_SERVICE "{\"$ref\": \"#/components/schemas/Service\"}"

const struct admin_route service_routes[] = {
	{.method = METHOD_GET,
		.role = ADMIN_VIEWER,
		.path = "/v1/services",
		.summary = "Every service that the caller may see",
		.query = list_parameters,
		.response = "{\"type\": \"object\", \"properties\": {\"services\": {\"type\": \"array\", "
			    "\"items\": " REF_SERVICE "}}}",
		.handle = services_get},
	{.method = METHOD_GET,
		.role = ADMIN_VIEWER,
		.path = "/v1/services/{t}/{s}",
		.summary = "One service; its ETag is its version",
		.response = REF_SERVICE,
		.handle = service_get},
	{.path = NULL},
};
