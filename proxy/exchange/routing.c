/* exchange/routing.c - from a request's head to the service that takes it: the listener, the tenant and its modules, the route. */
#include "base/obj.h"
#include "exchange/exchange.h"

bool routing_by_listener(struct exchange *x)
{
	const struct conf_listener *l = &x->entry->conf;
	struct str host, location;

	if (!entry_redirects(l, &x->peer, &x->request.fields))
		return false;
	host = authority_host(x->request.authority);
	if (l->redirect_port == 443)
		location = arena_fmt(
			&x->arena, "https://" STR_FMT STR_FMT, STR_ARG(host), STR_ARG(x->request.path));
	else
		location = arena_fmt(&x->arena, "https://" STR_FMT ":%u" STR_FMT, STR_ARG(host),
			l->redirect_port, STR_ARG(x->request.path));
	reply_redirect(x, 308, location);
	return true;
}

/* RFC 9110 7.4: a request for a tenant whose name the connection's certificate was not chosen for goes to another connection. */
static bool is_misdirected(const struct exchange *x, struct str host)
{
	const struct tls_info *tls = transport_tls(x->client->conn->transport);
	const struct tenant *of_sni;

	if (!tls || tls->sni.n == 0 || !x->tenant || str_eq(tls->sni, host))
		return false;
	of_sni = router_tenant(x->use->snapshot->router, tls->sni);
	return of_sni != x->tenant;
}

/* What came while modules held the request has not passed the filters that they added. */
static bool filter_early_body(struct exchange *x)
{
	if (!filters_any(&x->filters_up) || (x->request_body.n == 0 && !x->request_last))
		return true;
	return filters_pass(&x->filters_up, &x->edge->loop->mem, &x->request_body, x->request_last);
}

void exchange_serve(struct exchange *x)
{
	const struct conf_route *conf = x->route->conf;
	enum reason why;

	if (conf->redirect.on) {
		reply_redirect(x, conf->redirect.status, STR_NONE);
		return;
	}
	if (!x->service) {
		exchange_fail(x, REASON_NO_ROUTE);
		return;
	}
	if (x->request.body == BODY_TUNNEL) {
		if (!conf->websocket) {
			exchange_fail(x, REASON_WEBSOCKET_OFF);
			return;
		}
		tunnel_begin(x);
	}
	why = tenancy_refuses_body(x, x->request.has_length ? x->request.length : 0);
	if (why != REASON_NONE) {
		exchange_fail(x, why);
		return;
	}
	if (!hold_takes(x))
		exchange_proceed(x);
}

void exchange_proceed(struct exchange *x)
{
	if (!filter_early_body(x)) {
		exchange_fail(x, REASON_FILTER);
		return;
	}
	deadline_arm(x->edge->loop, &x->total, x->route->conf->timeout);
	if (!x->request_last && !x->tunnel)
		lasting_request(x);
	attempt_begin(x);
}

static bool asks_for_names(const struct service *s)
{
	for (uint32_t p = 0; p < s->n; p++)
		if (s->pools[p].lookup == POOL_ASKED)
			return true;
	return false;
}

bool exchange_is_outdated(const struct exchange *x)
{
	return (x->renewed ? x->renewed : x->use) != x->edge->use;
}

void exchange_follow_names(struct exchange *x)
{
	if (exchange_is_outdated(x) && asks_for_names(x->service))
		exchange_renew(x, snapshot_service(x->edge->use->snapshot, x->service->slot->number));
}

/* host: where the authority was found to lead before modules ran; they may have changed it since. */
static void route(struct exchange *x, const struct router_host *host)
{
	const struct router *r = x->use->snapshot->router;
	struct router_host changed;
	struct routed routed;

	if (x->request.authority.p != host->authority.p || x->request.authority.n != host->authority.n) {
		changed = router_host(r, x->request.authority);
		host = &changed;
	}
	routed = router_find_at(r, host, &x->request);
	x->tenant = routed.tenant;
	if (is_misdirected(x, host->name)) {
		exchange_fail(x, REASON_MISDIRECTED);
		return;
	}
	if (!tenancy_enter(x))
		return;
	if (routed.why != REASON_NONE) {
		exchange_fail(x, routed.why);
		return;
	}
	if (forward_loops(x)) {
		exchange_fail(x, REASON_LOOP);
		return;
	}
	x->route = routed.route;
	x->service = routed.route->service;
	if (modules_run(x, x->route->modules, MODULE_STAGE_ROUTED))
		exchange_serve(x);
}

void exchange_route(struct exchange *x)
{
	struct router_host host = router_host(x->use->snapshot->router, x->request.authority);

	route(x, &host);
}

void routing_begin(struct exchange *x)
{
	const struct snapshot *s = x->use->snapshot;
	/* Looked up once, for modules and for the route: they may change what routing looks at, so the tenant must be known before it. */
	struct router_host host = router_host(s->router, x->request.authority);
	const struct module_chain *chain = host.tenant ? host.tenant->modules : s->chain;

	if (chain) {
		x->tenant = host.tenant;
		/* The limits first: modules may be what a flood makes busy. */
		if (!is_misdirected(x, host.name) && !tenancy_enter(x))
			return;
		if (!modules_run(x, chain, MODULE_STAGE_REQUEST))
			return;
	}
	route(x, &host);
}

void exchange_follow_members(struct exchange *x)
{
	struct snapshot_use *now = x->edge->use;
	struct routed routed;

	if (x->use == now || x->use->snapshot->conf != now->snapshot->conf)
		return;
	/* What a module has begun with, it ends with. */
	if (x->modules && x->use->snapshot->modules != now->snapshot->modules)
		return;
	routed = router_find(now->snapshot->router, &x->request);
	/* A module may have changed since what it was routed by. */
	if (routed.why != REASON_NONE || routed.route->conf != x->route->conf)
		return;
	exchange_use(x, now);
	x->tenant = routed.tenant;
	x->route = routed.route;
	x->service = routed.route->service;
	x->pool = NULL;
}
