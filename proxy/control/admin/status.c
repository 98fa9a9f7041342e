/* control/admin/status.c - the state of the process as a whole. */
#include <unistd.h>
#include "control/admin/routes.h"
#include "control/control.h"

static const char *state_name(const struct control *c)
{
	static const char *const names[CONTROL_STATES] = {
		[CONTROL_STARTING] = "starting",
		[CONTROL_SERVING] = "serving",
		[CONTROL_BINDING] = "reloading",
		[CONTROL_INSTALLING] = "reloading",
		[CONTROL_DRAINING] = "draining",
		[CONTROL_STOPPING] = "stopping",
	};

	return names[c->state];
}

static json_t *counts(const struct control *c, const struct admin_caller *caller)
{
	const struct conf *conf = c->snapshot->conf;
	uint32_t tenants = 0, services = 0, pools = 0, backends = 0;

	for (uint32_t i = 0; i < conf->tenant_n; i++) {
		const struct tenant *t = &c->snapshot->tenants[i];

		if (!admin_sees(caller, t->conf->name))
			continue;
		tenants++;
		services += t->conf->service_n;
		for (uint32_t s = 0; s < t->conf->service_n; s++) {
			pools += t->services[s].n;
			for (uint32_t p = 0; p < t->services[s].n; p++)
				backends += t->services[s].pools[p].n;
		}
	}
	return json_pack("{s:i, s:i, s:i, s:i}", "tenants", (int)tenants, "services", (int)services, "pools",
		(int)pools, "backends", (int)backends);
}

/* Those whom modules ask: the operator's, not a tenant's. */
static json_t *dependencies(const struct control *c)
{
	const struct map *all = &c->dependencies.by_key;
	json_t *list = json_array();

	for (struct map_entry *e = map_next(all, NULL); e; e = map_next(all, e)) {
		const struct watched_dependency *w = e->value;
		json_t *one = json_pack("{s:s, s:s%, s:s%, s:b}", "module", w->module, "what", w->what.p,
			w->what.n, "address", w->address.p, w->address.n, "answers", w->lost_ms == 0);

		if (w->lost_ms)
			json_object_update_new(
				one, json_pack("{s:f, s:s, s:s}", "lost_s",
					     (double)(c->loop.now_ms - w->lost_ms) / 1000, "error",
					     w->problem ? w->problem : "", "meanwhile", w->meanwhile));
		json_array_append_new(list, one);
	}
	return list;
}

static void status(struct admin_request *rq)
{
	const struct control *c = rq->control;
	bool all = rq->caller.tenants.n == 0;

	/* Errors stay until a good reload; they are the operator's, not a tenant's. */
	json_t *reload = c->reloads.last && all ? json_deep_copy(c->reloads.last) : NULL;
	json_t *refused = c->reloads.refused && all ? json_deep_copy(c->reloads.refused) : NULL;
	json_t *upgrade = all ? json_incref(c->orders.failed_upgrade) : NULL;
	json_t *drained = all ? listener_drains_told(&c->listener_drains) : NULL;
	json_t *older = all ? older_list(&c->older, c->loop.now_ms) : NULL;

	admin_answer(rq, 200,
		json_pack("{s:s, s:s, s:i, s:f, s:I, s:i, s:o, s:o, s:o, s:o?, s:o?, s:o*, s:o*, s:o*}",
			"version", WEIR_VERSION, "state", state_name(c), "pid", (int)getpid(), "uptime_s",
			(double)(c->loop.now_ms - c->started_ms) / 1000, "generation",
			(json_int_t)c->snapshot->generation, "workers", (int)c->worker_n, "counts",
			counts(c, &rq->caller), "storage", store_status(&c->store), "dependencies",
			all ? dependencies(c) : json_array(), "last_reload", reload, "refused_reload",
			refused, "failed_upgrade", upgrade, "drained_listeners", drained, "older_processes",
			older));
}

const struct admin_route status_routes[] = {
	{.method = METHOD_GET,
		.role = ADMIN_VIEWER,
		.path = "/v1/status",
		.summary = "The state of the process",
		.handle = status},
	{.path = NULL},
};
