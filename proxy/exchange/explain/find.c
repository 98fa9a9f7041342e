#include "exchange/explain/explain.h"

#include <time.h>
#include "base/obj.h"
#include "exchange/entry.h"
#include "route/match.h"
#include "route/path.h"

/* How closely a host of the configuration fits: 0 not at all, 1 for "*", more for longer wildcards, most for the name itself. */
static size_t host_fit(struct str pattern, struct str host)
{
	if (str_eq(pattern, STR("*")))
		return 1;
	if (str_starts(pattern, STR("*."))) {
		struct str suffix = str_skip(pattern, 1);

		return str_ends(host, suffix) && host.n > suffix.n ? pattern.n : 0;
	}
	return str_eq(pattern, host) ? SIZE_MAX : 0;
}

static size_t hosts_fit(const struct conf_strs *hosts, struct str host, struct str *which)
{
	size_t best = 0;

	for (uint32_t i = 0; i < hosts->n; i++) {
		size_t fit = host_fit(hosts->v[i], host);

		if (fit > best) {
			best = fit;
			if (which)
				*which = hosts->v[i];
		}
	}
	return best;
}

static void find_listener(struct explanation *e)
{
	const struct conf *c = e->snapshot->conf;

	for (uint32_t i = 0; i < c->listener_n; i++) {
		const struct conf_listener *l = &c->listeners[i];

		if (l->has_tls != e->request->tls)
			continue;
		if (l->addr.family != ADDR_UNIX && l->addr.port == e->request->port) {
			e->listener = l;
			e->listener_guessed = false;
			break;
		}
		if (!e->listener) {
			e->listener = l;
			e->listener_guessed = true;
		}
	}
	e->to_https =
		e->listener && entry_redirects(e->listener, &e->request->client, &e->request->head.fields);
}

/* The part of the path that the route's path is sure of; as the router ranks it. */
static size_t certain(const struct route *r)
{
	struct str path = r->conf->path;

	if (r->conf->path_kind == CONF_PATH_REGEX)
		return r->literal;
	while (path.n && path.p[path.n - 1] == '/')
		path.n--;
	return path.n;
}

static bool path_matches(const struct route *r, struct str path)
{
	size_t n = certain(r);

	switch ((enum conf_path_kind)r->conf->path_kind) {
	case CONF_PATH_EXACT:
		return str_eq(r->conf->path, path);
	case CONF_PATH_PREFIX:
		return str_starts(path, str_head(r->conf->path, n)) && (path.n == n || path.p[n] == '/');
	case CONF_PATH_REGEX:
		return regex_matches(r->regex, path);
	}
	return false;
}

/* Which condition fails; NULL: none. */
static const char *failing(const struct route *r, const struct head *head)
{
	const struct conf_route *c = r->conf;
	struct str query = str_skip(head->path, str_find(head->path, '?') + 1);

	if (c->methods.n && !match_method(&c->methods, head))
		return "it is for other methods";
	if (!match_headers(r->headers, c->header_n, head))
		return "a header that it asks for is missing or different";
	if (!match_query(r->query, c->query_n, query))
		return "a query parameter that it asks for is missing or different";
	return NULL;
}

/* Why `best` goes before r, though both match: the order of route/router.h. */
static const char *why_before(const struct route *best, const struct route *r, struct str host)
{
	const struct conf_route *a = best->conf, *b = r->conf;

	if (hosts_fit(&a->hosts, host, NULL) != hosts_fit(&b->hosts, host, NULL))
		return "the other names the host more closely";
	if (a->path_kind != b->path_kind && a->path_kind == CONF_PATH_EXACT)
		return "an exact path goes first";
	if (certain(best) != certain(r))
		return "a longer path goes first";
	if (a->path_kind != b->path_kind)
		return "a prefix goes before a pattern of its length";
	if (a->methods.n && !b->methods.n)
		return "the other names methods";
	if (a->header_n != b->header_n)
		return "the other asks for more headers";
	if (a->query_n != b->query_n)
		return "the other asks for more query parameters";
	return "the other comes first in the file";
}

static void find_rivals(struct explanation *e)
{
	const struct tenant *t = e->routed.tenant;
	const struct head *head = &e->request->head;
	struct str host = authority_host(head->authority), path = path_only(head->path);

	e->rivals = arena_array(&e->request->arena, struct rival, t->conf->route_n + 1);
	for (uint32_t i = 0; i < t->conf->route_n; i++) {
		const struct route *r = &t->routes[i];
		const char *why;

		if (r == e->routed.route || !path_matches(r, path) ||
			(r->conf->hosts.n && !hosts_fit(&r->conf->hosts, host, NULL)))
			continue;
		why = failing(r, head);
		e->rivals[e->rival_n++] = (struct rival){r, !why,
			why               ? why
			: e->routed.route ? why_before(e->routed.route, r, host)
					  : "the path is ambiguous"};
	}
}

/* As requests see it; where nothing is known of health, every pool that has a backend counts. */
static bool pool_usable(const void *ctx, const struct pool *pool)
{
	const struct explanation *e = ctx;

	return e->live ? pool_census(pool).up > 0 : pool->n > 0;
}

/* The one that a module would choose, the last one's word, if it can take the request; NULL: none does. */
static const struct pool *pool_of_modules(const struct explanation *e)
{
	const struct pool *pool;
	struct str name = STR_NONE;

	for (uint32_t i = 0; i < e->met_n; i++)
		if (e->met[i].pool.n)
			name = e->met[i].pool;
	pool = name.n ? service_pool(e->routed.route->service, name) : NULL;
	return pool && e->now[pool->slot->number].state <= POOL_PINNED && pool_usable(e, pool) ? pool : NULL;
}

static void find_pool(struct explanation *e)
{
	const struct service *service = e->routed.route->service;
	const struct split_request rq = {
		.service = service,
		.now = e->now,
		.head = &e->request->head,
		.client = &e->request->client,
		.keys = e->keys,
		.now_s = (uint64_t)time(NULL),
		.usable = pool_usable,
		.ctx = e,
	};
	struct split_state state = {0};
	const struct pool *wanted = pool_of_modules(e);
	bool new_user;
	struct loop loop = {.rng = {1}}; /* a turn begins at random, and is not told */

	e->split = split_pick(&state, &loop, &rq);
	split_state_free(&state);
	if (wanted && e->split.why != SPLIT_OVERRIDE)
		e->split =
			(struct split_result){.pool = wanted, .why = SPLIT_MODULE, .chosen = e->split.chosen};
	new_user = e->split.issue_id && !e->split.id.n;
	e->found = e->split.pool || new_user;
	e->split.issue_id = new_user;
	if (new_user || e->split.why == SPLIT_TURN) {
		e->split.pool = NULL;
		e->split.why = SPLIT_TURN;
	}
}

void explain_find(struct explanation *e)
{
	const struct head *head = &e->request->head;

	find_listener(e);
	if (!e->listener)
		return;
	if (e->to_https) {
		e->found = true;
		return;
	}
	explain_before_routing(e);
	e->routed = router_find(e->snapshot->router, head);
	if (!e->routed.tenant)
		return;
	hosts_fit(&e->routed.tenant->conf->hosts, authority_host(head->authority), &e->host);
	find_rivals(e);
	explain_modules(e);
	if (!e->routed.route)
		return;
	if (e->routed.route->service)
		find_pool(e);
	else
		e->found = true;
}
