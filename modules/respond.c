/* modules/respond.c - a fixed answer, without a backend: robots.txt, a well-known file, a teapot (RFC 2324). */
#include "modules.h"

struct respond {
	uint16_t status;
	struct str body, content_type;
};

static const struct config_field fields[] = {
	COUNT("status", struct respond, status, "of the answer; 418 declares the route a teapot (RFC 2324)",
		.dflt = 200, .min = 200, .max = 599),
	LINES("body", struct respond, body, "what it says; empty: nothing, or the status in words for 418"),
	STRING("content_type", struct respond, content_type, "of the body",
		.text = "text/plain; charset=utf-8"),
	END,
};

/* RFC 9110 15.3.5, 15.3.6, 15.4.5. */
static void check(struct parse *p, const struct node *v, void *obj)
{
	const struct respond *r = obj;

	if (r->body.n && (r->status == 204 || r->status == 205 || r->status == 304))
		parse_error(p, v, "an answer with status %u has no body", r->status);
}

static const struct config_object object = {
	.id = OBJECT_MODULE,
	.path = "modules.respond",
	.what = "respond",
	.doc = "A fixed answer without a backend. A route with it needs no service. "
	       "[docs/modules/respond.md](modules/respond.md)",
	.size = sizeof(struct respond),
	.fields = fields,
	.check = check,
};

static int routed(struct module_call *c)
{
	const struct respond *r = c->values;
	struct str body = r->body;
	struct fields head = {0};

	if (r->status == 418 && body.n == 0)
		body = STR("I'm a teapot\n");
	if (body.n)
		fields_add(c->arena, &head, FIELD_CONTENT_TYPE, STR("content-type"), r->content_type);
	return module_answer(c, r->status, &head, body);
}

static void explain(const void *values, void *data, const struct head *request, const struct addr *client,
	struct text *out)
{
	const struct respond *r = values;

	(void)data;
	(void)request;
	(void)client;
	text_fmt(out, "answers %u%s", r->status, r->status == 418 ? ": it is a teapot" : "");
}

const struct module respond_module = {
	.config = {.abi = MODULE_ABI,
		.name = "respond",
		.levels = MODULE_ROUTE,
		.answers = true,
		.object = &object},
	.routed = routed,
	.explain = explain,
};
