/* control/admin/explain.c - what would happen to a request, by the configuration, the weights and the health of this moment. */
#include <stdio.h>
#include <stdlib.h>
#include "base/obj.h"
#include "control/admin/routes.h"
#include "control/control.h"
#include "exchange/explain/explain.h"

/* The document, with the same in words as its member "text". */
static json_t *document(const struct explanation *e)
{
	json_t *j = explain_json(e);
	size_t n;
	char *text = NULL;
	FILE *f = open_memstream(&text, &n);

	MUST(f);
	explain_text(e, f);
	fclose(f);
	/* It repeats what was asked, whatever the bytes. */
	if (json_object_set_new(j, "text", json_string(text)) < 0)
		json_object_set_new(j, "text", json_string("the request is not UTF-8"));
	free(text);
	return j;
}

static void answer(struct admin_request *rq, struct explain_request *r)
{
	const struct control *c = rq->control;
	struct pool_now *now = calloc(c->pool_slots.n + 1, sizeof(*now));
	struct explanation e = {.request = r,
		.snapshot = c->snapshot,
		.now = now,
		.keys = c->cookie_keys,
		.keys_known = true,
		.live = true};

	MUST(now);
	for (uint32_t p = 0; p < c->snapshot->pool_n; p++)
		now[c->snapshot->pools[p]->slot->number] = control_pool_now(c, c->snapshot->pools[p]);
	explain_find(&e);
	if (rq->caller.tenants.n &&
		!(e.routed.tenant && admin_sees(&rq->caller, e.routed.tenant->conf->name)))
		admin_problem(rq, 403, "tenant",
			"\"" STR_FMT "\" is confined to tenants that do not have this host",
			STR_ARG(rq->caller.name));
	else
		admin_answer(rq, 200, document(&e));
	free(now);
}

static void explain_get(struct admin_request *rq)
{
	const char *headers[ADMIN_QUERY_MAX];
	uint32_t header_n = 0;
	struct explain_request r;
	char err[512];

	for (uint32_t i = 0; i < rq->query_n; i++)
		if (str_eq(rq->query[i].name, STR("header")))
			headers[header_n++] = rq->query[i].value.p;
	if (!admin_query(rq, "url").n) {
		admin_problem(rq, 400, "query", "which request? ?url=http://host/path");
		return;
	}
	if (explain_request_parse(&r, admin_query(rq, "url").p, admin_query(rq, "method").p, headers,
		    header_n, admin_query(rq, "ip").p, err, sizeof(err)))
		answer(rq, &r);
	else
		admin_problem(rq, 400, "query", "%s", err);
	explain_request_free(&r);
}

static const struct admin_param parameters[] = {
	{"url", "string", "of the request"},
	{"method", "string", "of the request; GET"},
	{"header", "string", "'name: value'; may be given many times"},
	{"ip", "string", "who asks; 127.0.0.1"},
	{0},
};

const struct admin_route explain_routes[] = {
	{.method = METHOD_GET,
		.role = ADMIN_VIEWER,
		.path = "/v1/explain",
		.summary = "What would happen to a request, and why: listener, tenant, route, split, pool, "
			   "backends",
		.query = parameters,
		.handle = explain_get},
	{.path = NULL},
};
