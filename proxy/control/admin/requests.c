/* control/admin/requests.c - what became of requests that failed. Workers keep the records; all are asked, by mail. */
#include <stdlib.h>
#include "base/obj.h"
#include "control/admin/routes.h"
#include "control/cause_json.h"
#include "control/control.h"

#define PATIENCE_MS   2000 /* for a worker that is busy; then it is answered without it */
#define LIMIT_DEFAULT 20
#define LIMIT_MAX     1000

/* One question, out at all workers. */
struct inquiry {
	struct admin_request *rq; /* NULL: answered, or nobody waits for it any more */
	struct deadline deadline;
	bool one; /* by id */
	uint32_t limit;
	uint32_t left; /* workers that have not answered */
	struct cause **found;
	uint32_t n;
};

static int newest_first(const void *a, const void *b)
{
	const struct cause *left = *(struct cause *const *)a, *right = *(struct cause *const *)b;

	return (left->began_us < right->began_us) - (left->began_us > right->began_us);
}

static void answer_one(struct admin_request *rq, const struct inquiry *q)
{
	struct str id = admin_param(rq, "id");

	if (q->n)
		admin_answer(rq, 200, cause_json(q->found[0]));
	else
		admin_problem(rq, 404, "no_such_request",
			"no request of that id has failed lately: " STR_FMT
			". The last %d failures of each worker are kept, and none of before the process was "
			"started; the access log has them all",
			STR_ARG(id), CAUSES_KEPT);
}

static void answer_list(struct admin_request *rq, const struct inquiry *q)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < MIN(q->n, q->limit); i++)
		json_array_append_new(list, cause_json(q->found[i]));
	admin_answer(rq, 200, json_pack("{s:o, s:b}", "requests", list, "complete", q->left == 0));
}

static void answer(struct inquiry *q)
{
	struct admin_request *rq = TAKE(&q->rq);

	deadline_disarm(&rq->control->loop, &q->deadline);
	rq->gone = NULL;
	if (q->n)
		qsort(q->found, q->n, sizeof(struct cause *), newest_first);
	if (q->one)
		answer_one(rq, q);
	else
		answer_list(rq, q);
}

static void on_gone(struct admin_request *rq)
{
	struct inquiry *q = rq->user;

	deadline_disarm(&rq->control->loop, &q->deadline);
	q->rq = NULL;
}

static void on_late(struct deadline *d)
{
	answer(CONTAINER(d, struct inquiry, deadline));
}

/* Those that the caller may see. */
static void take(struct inquiry *q, struct worker_causes *order)
{
	if (!q->rq || !order->n)
		return;
	q->found = realloc(q->found, (q->n + order->n) * sizeof(struct cause *));
	MUST(q->found);
	for (uint32_t i = 0; i < order->n; i++) {
		struct cause *c = order->found[i];
		struct str tenant = cause_str(c, c->tenant);

		if (tenant.n ? !admin_sees(&q->rq->caller, tenant) : q->rq->caller.tenants.n > 0)
			continue;
		q->found[q->n++] = c;
		order->found[i] = NULL;
	}
}

static void on_answered(struct mail *m, void *control)
{
	struct worker_causes *order = CONTAINER(m, struct worker_causes, mail);
	struct inquiry *q = order->ctx;

	(void)control;
	take(q, order);
	for (uint32_t i = 0; i < order->n; i++)
		free(order->found[i]);
	free(order->found);
	free(order);
	if (--q->left > 0)
		return;
	if (q->rq)
		answer(q);
	for (uint32_t i = 0; i < q->n; i++)
		free(q->found[i]);
	free(q->found);
	free(q);
}

static void inquire(struct admin_request *rq, const struct cause_query *query, uint32_t limit)
{
	struct control *c = rq->control;
	struct inquiry *q = calloc(1, sizeof(*q));

	MUST(q);
	*q = (struct inquiry){.rq = rq, .one = query->id.n > 0, .limit = limit, .left = c->worker_n};
	q->deadline.fire = on_late;
	rq->user = q;
	rq->gone = on_gone;
	deadline_arm(&c->loop, &q->deadline, PATIENCE_MS);
	for (uint32_t i = 0; i < c->worker_n; i++) {
		struct worker_causes *order = calloc(1, sizeof(*order));
		struct text id, tenant;

		MUST(order);
		id = text_in(order->id, sizeof(order->id) - 1);
		tenant = text_in(order->tenant, sizeof(order->tenant) - 1);
		text_put(&id, query->id);
		text_put(&tenant, query->tenant);
		order->query = *query;
		order->answered = on_answered;
		order->ctx = q;
		worker_ask_causes(&c->workers[i], order);
	}
}

static void one_request(struct admin_request *rq)
{
	struct str id = admin_param(rq, "id");

	if (id.n == 0 || id.n > EXCHANGE_ID_MAX) {
		admin_problem(
			rq, 404, "no_such_request", "request ids have up to %d characters", EXCHANGE_ID_MAX);
		return;
	}
	inquire(rq, &(struct cause_query){.id = id, .limit = 1}, 1);
}

static void recent_requests(struct admin_request *rq)
{
	struct str tenant = admin_query(rq, "tenant"), reason = admin_query(rq, "reason"),
		   clients = admin_query(rq, "clients");
	struct cause_query query = {.tenant = tenant};
	uint64_t limit = LIMIT_DEFAULT;

	if (!admin_query_u64(rq, "limit", &limit))
		return;
	if (tenant.n >= sizeof(((struct worker_causes *)0)->tenant)) {
		admin_problem(rq, 400, "bad_tenant", "no tenant has so long a name");
		return;
	}
	if (reason.n) {
		query.reason = reason_from_name(reason);
		if (query.reason == REASON_NONE) {
			admin_problem(rq, 400, "bad_reason",
				"no such reason: " STR_FMT "; docs/reasons.md lists them", STR_ARG(reason));
			return;
		}
	}
	/* Who asks for a reason wants it, whoever's doing it is. */
	query.clients = str_eq(clients, STR("true")) || query.reason != REASON_NONE;
	query.limit = (uint32_t)MIN(MAX(limit, 1u), LIMIT_MAX);
	inquire(rq, &query, query.limit);
}

static const struct admin_param recent_query[] = {
	{"tenant", "string", "Only requests to this tenant"},
	{"reason", "string", "Only those that failed for this reason"},
	{"clients", "boolean", "Also what was the client's doing (4xx, 499)"},
	{"limit", "integer", "At most so many, the newest first (20)"},
	{NULL, NULL, NULL},
};

const struct admin_route requests_routes[] = {
	{.method = METHOD_GET,
		.role = ADMIN_VIEWER,
		.path = "/v1/requests/{id}",
		.summary = "What happened to a request that failed",
		.handle = one_request},
	{.method = METHOD_GET,
		.role = ADMIN_VIEWER,
		.path = "/v1/requests",
		.summary = "The requests that failed last, the newest first",
		.query = recent_query,
		.handle = recent_requests},
	{.path = NULL},
};
