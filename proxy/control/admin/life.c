/* control/admin/life.c - is weir alive, and should it be given traffic? For balancers and supervisors: no token is asked for. */
#include "control/admin/routes.h"
#include "control/control.h"

static void livez(struct admin_request *rq)
{
	admin_answer_text(rq, "text/plain; charset=utf-8", STR("ok\n"));
}

/* NULL: it is ready. */
static const char *unready(const struct control *c)
{
	switch ((enum control_state)c->state) {
	case CONTROL_STARTING:
		return "starting: the first configuration is not served yet";
	case CONTROL_DRAINING:
		return "draining: weir is about to stop, and open requests finish";
	case CONTROL_STOPPING:
		return "stopping";
	default:
		return NULL;
	}
}

static void readyz(struct admin_request *rq)
{
	const char *why = unready(rq->control);

	if (why)
		admin_problem(rq, 503, "not_ready", "%s", why);
	else
		admin_answer_text(rq, "text/plain; charset=utf-8", STR("ok\n"));
}

const struct admin_route life_routes[] = {
	{.method = METHOD_GET,
		.role = ADMIN_ANYBODY,
		.path = "/livez",
		.summary = "200 while weir runs",
		.type = "text/plain",
		.handle = livez},
	{.method = METHOD_GET,
		.role = ADMIN_ANYBODY,
		.path = "/readyz",
		.summary = "200 while weir should be given traffic; 503 with the reason while it starts or "
			   "drains",
		.type = "text/plain",
		.handle = readyz},
	{.path = NULL},
};
