/* control/admin/history.c - what was changed of a service, by whom and why. */
#include "control/admin/routes.h"
#include "control/admin/services.h"
#include "control/control.h"

static void get(struct admin_request *rq)
{
	const struct tenant *t;
	const struct service *s = service_asked(rq, &t);

	if (s)
		admin_answer(rq, 200,
			json_pack("{s:s, s:o}", "service", s->slot->key.p, "history",
				runtime_history(&rq->control->runtime, s->slot->key)));
}

const struct admin_route history_routes[] = {
	{.method = METHOD_GET,
		.role = ADMIN_VIEWER,
		.path = "/v1/services/{t}/{s}/history",
		.summary = "The last changes of a service, newest first: who, when, why and what",
		.handle = get},
	{.path = NULL},
};
