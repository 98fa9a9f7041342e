/* exchange/explain/modules.c - which modules a request meets, on whose behalf, and what they say that they would do. */
#include "exchange/explain/explain.h"

#include "base/obj.h"

#define SAYS_MAX 512

void explain_before_routing(struct explanation *e)
{
	const struct snapshot *s = e->snapshot;
	struct explain_request *r = e->request;
	const struct tenant *t = router_tenant(s->router, authority_host(r->head.authority));
	const struct module_chain *chain = t ? t->modules : s->chain;

	for (uint32_t i = 0; chain && i < chain->n; i++) {
		const struct module_place *p = chain->v[i];

		if (p->module->explain_request)
			p->module->explain_request(
				p->values, p->built->data, &r->arena, &r->head, &r->client);
	}
}

static const char *level_of(const struct module_place *p)
{
	struct str place = str_skip(p->name, str_find(p->name, '@') + 1);

	return place.n == 0 ? "global" : str_find(place, '/') < place.n ? "route" : "tenant";
}

static struct str ask(struct explain_request *r, const struct module_place *p)
{
	char *bytes = arena_bytes(&r->arena, SAYS_MAX);
	struct text out = text_in(bytes, SAYS_MAX);

	if (p->module->explain)
		p->module->explain(p->values, p->built->data, &r->head, &r->client, &out);
	return text_str(&out);
}

static struct str ask_pool(struct explain_request *r, const struct module_place *p)
{
	return p->module->explain_pool
		       ? p->module->explain_pool(p->values, p->built->data, &r->head, &r->client)
		       : STR_NONE;
}

void explain_modules(struct explanation *e)
{
	struct explain_request *r = e->request;
	const struct module_chain *chain = e->routed.route    ? e->routed.route->modules
					   : e->routed.tenant ? e->routed.tenant->modules
							      : e->snapshot->chain;

	if (!chain)
		return;
	e->met = arena_array(&r->arena, struct met, chain->n);
	for (uint32_t i = 0; i < chain->n; i++) {
		const struct module_place *p = chain->v[i];

		e->met[e->met_n++] = (struct met){p, level_of(p), ask(r, p), ask_pool(r, p)};
	}
}
