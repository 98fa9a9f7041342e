#include "exchange/modules.h"

#include "exchange/exchange.h"
#include "io/transport.h"

/* For a hook that the request may meet before it has met any module. */
static struct module_call call_without_slot(struct exchange *x, const struct module_place *place)
{
	return (struct module_call){.x = x,
		.module = place->module,
		.values = place->values,
		.data = place->built->data,
		.worker = x->use->modules->v[place->index]->state,
		.loop = x->edge->loop,
		.arena = &x->arena};
}

static struct module_call call_of(struct exchange *x, const struct module_place *place)
{
	struct module_call call = call_without_slot(x, place);

	call.slot = &x->modules->slots[place->number];
	return call;
}

static bool has_declined(const struct module_run *run, const struct module_place *place)
{
	return run->declined & BIT(place->number);
}

/* What a hook's verdict comes to. True: on with the next module. */
static bool take_verdict(struct exchange *x, const struct module_place *place, int verdict)
{
	switch (verdict) {
	case MODULE_PASS:
		return true;
	case MODULE_DECLINE:
		x->modules->declined |= BIT(place->number);
		return true;
	case MODULE_HOLD:
		x->modules->held = place;
		exchange_set_state(x, EXCHANGE_HELD);
		return false;
	case MODULE_ANSWERED:
		return false;
	default:
		exchange_fail(x, (enum reason)verdict);
		return false;
	}
}

static bool go_on(struct exchange *x)
{
	struct module_run *run = x->modules;

	while (run->at < run->chain->n) {
		const struct module_place *place = run->chain->v[run->at++];
		const struct module *m = place->module;
		int (*hook)(struct module_call *) =
			run->stage == MODULE_STAGE_REQUEST ? m->request : m->routed;
		struct module_call call;

		run->met[place->number] = place;
		if (!hook || has_declined(run, place))
			continue;
		call = call_of(x, place);
		if (!take_verdict(x, place, hook(&call)))
			return false;
	}
	return true;
}

bool modules_run(struct exchange *x, const struct module_chain *chain, enum module_stage stage)
{
	static const struct module_chain none;

	if (!chain && !x->modules)
		return true;
	if (!x->modules)
		x->modules = arena_new(&x->arena, struct module_run);
	x->modules->chain = chain ? chain : &none;
	x->modules->stage = (uint8_t)stage;
	x->modules->at = 0;
	return go_on(x);
}

void module_resume(struct exchange *x, int verdict)
{
	const struct module_place *place = TAKE(&x->modules->held);

	MUST(x->state == EXCHANGE_HELD && verdict != MODULE_HOLD);
	exchange_set_state(x, EXCHANGE_ROUTING);
	if (!take_verdict(x, place, verdict) || !go_on(x))
		return;
	if (x->modules->stage == MODULE_STAGE_REQUEST)
		exchange_route(x);
	else
		exchange_serve(x);
}

void module_resume_answer(
	struct exchange *x, enum reason why, unsigned status, const struct fields *fields, struct str body)
{
	x->modules->held = NULL;
	x->reason = (uint16_t)why;
	exchange_set_state(x, EXCHANGE_ROUTING);
	reply_with(x, status, fields, body);
}

void modules_attempt(struct exchange *x)
{
	const struct module_chain *chain = x->modules->chain;

	for (uint32_t i = 0; i < chain->n; i++) {
		struct module_call call;

		if (!chain->v[i]->module->attempt || has_declined(x->modules, chain->v[i]))
			continue;
		call = call_of(x, chain->v[i]);
		chain->v[i]->module->attempt(&call, &x->request);
	}
}

void modules_attempt_failed(struct exchange *x, enum reason why)
{
	const struct module_chain *chain = x->modules->chain;

	for (uint32_t i = 0; i < chain->n; i++) {
		struct module_call call;

		if (!chain->v[i]->module->attempt_failed || has_declined(x->modules, chain->v[i]))
			continue;
		call = call_of(x, chain->v[i]);
		chain->v[i]->module->attempt_failed(&call, why);
	}
}

int modules_response(struct exchange *x, struct head *head, bool own)
{
	const struct module_chain *chain = x->modules->chain;
	int verdict = MODULE_PASS;

	for (uint32_t i = 0; i < chain->n && (own || verdict <= MODULE_PASS); i++) {
		const struct module_place *place = chain->v[i];
		struct module_call call;

		if (!place->module->response || has_declined(x->modules, place))
			continue;
		call = call_of(x, place);
		verdict = place->module->response(&call, head, own);
		if (verdict == MODULE_DECLINE)
			x->modules->declined |= BIT(place->number);
		else if (verdict == MODULE_ANSWERED)
			break;
	}
	return own || verdict == MODULE_DECLINE ? MODULE_PASS : verdict;
}

enum reason modules_forward(struct exchange *x)
{
	const struct module_chain *chain = x->modules->chain;

	for (uint32_t i = 0; i < chain->n; i++) {
		const struct module_place *place = chain->v[i];
		struct module_call call;
		int verdict;

		if (!place->module->forward || has_declined(x->modules, place))
			continue;
		call = call_of(x, place);
		verdict = place->module->forward(&call);
		if (verdict > MODULE_PASS)
			return (enum reason)verdict;
	}
	return REASON_NONE;
}

/* That a request meets which has come as far as this one. */
static const struct module_chain *chain_so_far(const struct exchange *x)
{
	if (x->route)
		return x->route->modules;
	return x->tenant ? x->tenant->modules : x->use->snapshot->chain;
}

bool modules_page(struct exchange *x, const struct head *head, enum reason why, struct module_page *out)
{
	const struct module_chain *chain = chain_so_far(x);

	for (uint32_t i = 0; chain && i < chain->n; i++) {
		const struct module_place *place = chain->v[i];
		struct module_call call;

		if (!place->module->page)
			continue;
		call = call_without_slot(x, place);
		if (place->module->page(&call, head, why, out))
			return true;
	}
	return false;
}

struct str modules_value(struct exchange *x, const struct config_module *m, struct str variable)
{
	const struct module_chain *chain = x->modules ? x->modules->chain : NULL;
	struct str value = STR_NONE;

	for (uint32_t i = 0; chain && i < chain->n; i++) {
		const struct module_place *place = chain->v[i];
		struct module_call call;

		if (&place->module->config != m || !place->module->value)
			continue;
		call = call_of(x, place);
		place->module->value(&call, variable, &value);
	}
	return value;
}

void modules_cancel(struct exchange *x)
{
	const struct module_place *held = TAKE(&x->modules->held);

	if (held && held->module->cancel) {
		struct module_call call = call_of(x, held);

		held->module->cancel(&call);
	}
}

/* The same place of another configuration; NULL: it is none of that, or something else by now. */
static const struct module_place *place_in(const struct module_set *set, const struct module_place *old)
{
	const struct module_place *p = set ? map_get(&set->by_name, old->name) : NULL;

	if (!p || p->module != old->module || (p->module->build && p->built != old->built))
		return NULL;
	return p;
}

bool modules_follow(struct exchange *x, const struct module_set *set)
{
	static const struct module_chain none;
	struct module_run *run = x->modules, next = {.chain = &none, .stage = run->stage, .log = run->log};

	for (uint32_t i = 0; i < MODULES_MAX; i++) {
		const struct module_place *old = run->met[i], *p;
		bool filters = run->filtering & BIT(i);

		/* Of the others nobody hears any more. */
		if (!old || (!old->module->log && !filters))
			continue;
		p = place_in(set, old);
		if (!p)
			return false;
		next.met[p->number] = p;
		next.slots[p->number] = run->slots[i];
		next.filtering |= filters ? BIT(p->number) : 0;
	}
	*run = next;
	return true;
}

void modules_end(struct exchange *x)
{
	modules_cancel(x);
	for (uint32_t i = 0; i < MODULES_MAX; i++) {
		const struct module_place *place = x->modules->met[i];
		struct module_call call;

		if (!place || !place->module->log)
			continue;
		call = call_of(x, place);
		place->module->log(&call);
	}
}

enum reason modules_accept(const struct module_chain *chain, const struct module_locals *locals,
	struct loop *l, const struct addr *peer, const struct addr *local, struct str listener)
{
	for (uint32_t i = 0; chain && i < chain->n; i++) {
		const struct module_place *place = chain->v[i];
		struct module_conn conn = {.values = place->values,
			.data = place->built->data,
			.worker = locals->v[place->index]->state,
			.loop = l,
			.peer = peer,
			.local = local,
			.listener = listener};
		int verdict = place->module->accept ? place->module->accept(&conn) : MODULE_PASS;

		if (verdict > MODULE_PASS)
			return (enum reason)verdict;
	}
	return REASON_NONE;
}
