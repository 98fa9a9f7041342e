#include "route/router.h"

#include <stdlib.h>
#include "base/obj.h"
#include "route/match.h"
#include "route/path.h"

/* Routes of one path, most conditions first. */
struct group {
	struct route **routes;
	uint32_t n;
};

/* The routes that share a host condition. */
struct table {
	struct map exact; /* path -> struct group */
	struct map prefix; /* path without a slash at its end -> struct group; "" is the root */
	struct route **regexes; /* longest literal first, then in file order */
	uint32_t regex_n;
	size_t longest_prefix;
	bool beside_own; /* of those without a host: a host or a wildcard of the tenant has routes of its own, too */
};

/* What a host name, or a wildcard, leads to. */
struct site {
	const struct tenant *tenant;
	struct table *own; /* routes that name this very host; NULL if none do */
	struct table *general; /* the tenant's routes that name no host */
};

struct router {
	struct map hosts; /* "acme.test" -> struct site */
	struct map suffixes; /* ".acme.test", for "*.acme.test" -> struct site */
	struct site *any; /* "*" */
	struct table **tables; /* all, to free */
	uint32_t table_n, table_cap;
	struct tenant *tenants;
	uint32_t tenant_n;
};

struct str authority_host(struct str authority)
{
	size_t end;

	if (authority.n && authority.p[0] == '[')
		end = MIN(authority.n, str_find(authority, ']') + 1);
	else
		end = str_find(authority, ':');
	/* "acme.test." is the same host, spelled absolutely. */
	if (end > 1 && authority.p[end - 1] == '.')
		end--;
	return str_head(authority, end);
}

/* -- building -- */

static struct table *table_new(struct router *r, struct arena *a)
{
	struct table *t = arena_new(a, struct table);

	if (r->table_n == r->table_cap) {
		r->table_cap = r->table_cap ? r->table_cap * 2 : 64;
		r->tables = realloc(r->tables, r->table_cap * sizeof(*r->tables));
		MUST(r->tables);
	}
	r->tables[r->table_n++] = t;
	return t;
}

static bool more_specific(const struct route *a, const struct route *b)
{
	if ((a->conf->methods.n > 0) != (b->conf->methods.n > 0))
		return a->conf->methods.n > 0;
	if (a->conf->header_n != b->conf->header_n)
		return a->conf->header_n > b->conf->header_n;
	if (a->conf->query_n != b->conf->query_n)
		return a->conf->query_n > b->conf->query_n;
	return a->order < b->order;
}

static void group_add(struct arena *a, struct map *paths, struct str path, struct route *route)
{
	struct group *g = map_get(paths, path);
	struct route **routes;
	uint32_t at;

	if (!g) {
		g = arena_new(a, struct group);
		map_put(paths, path, g);
	}
	/* Groups are small: most hold one route. */
	routes = arena_array(a, struct route *, g->n + 1);
	for (at = 0; at < g->n && !more_specific(route, g->routes[at]); at++)
		routes[at] = g->routes[at];
	routes[at] = route;
	for (; at < g->n; at++)
		routes[at + 1] = g->routes[at];
	g->routes = routes;
	g->n++;
}

static void regex_add(struct arena *a, struct table *t, struct route *route)
{
	struct route **routes = arena_array(a, struct route *, t->regex_n + 1);
	uint32_t at;

	for (at = 0; at < t->regex_n; at++) {
		const struct route *other = t->regexes[at];

		if (route->literal > other->literal ||
			(route->literal == other->literal && more_specific(route, other)))
			break;
		routes[at] = t->regexes[at];
	}
	routes[at] = route;
	for (; at < t->regex_n; at++)
		routes[at + 1] = t->regexes[at];
	t->regexes = routes;
	t->regex_n++;
}

static void table_add(struct arena *a, struct table *t, struct route *route)
{
	struct str path = route->conf->path;

	switch ((enum conf_path_kind)route->conf->path_kind) {
	case CONF_PATH_EXACT:
		group_add(a, &t->exact, path, route);
		break;
	case CONF_PATH_PREFIX:
		while (path.n && path.p[path.n - 1] == '/')
			path.n--;
		t->longest_prefix = MAX(t->longest_prefix, path.n);
		group_add(a, &t->prefix, path, route);
		break;
	case CONF_PATH_REGEX:
		regex_add(a, t, route);
		break;
	}
}

/* How much of the path a pattern spells out: "^/api/v[0-9]+" says "/api/v". */
static uint32_t literal_length(struct str pattern)
{
	uint32_t n = 0;

	for (size_t i = pattern.n && pattern.p[0] == '^'; i < pattern.n; i++) {
		char c = pattern.p[i];

		if (c == '\\' && i + 1 < pattern.n && memchr("./-_", pattern.p[i + 1], 4)) {
			i++;
		} else if (memchr("\\[](){}.*+?|^$", c, 14)) {
			/* A quantifier takes the character before it back; an alternative makes nothing certain. */
			if (n > 0 && memchr("*?{", c, 3))
				n--;
			break;
		}
		n++;
	}
	return str_find(pattern, '|') < pattern.n ? 0 : n;
}

static void route_build(struct arena *a, struct tenant *t, uint32_t index)
{
	struct route *route = &t->routes[index];
	const struct conf_route *conf = &t->conf->routes[index];

	route->conf = conf;
	route->tenant = t;
	route->order = index;
	route->service = conf->service.n ? &t->services[conf->service_index] : NULL;
	route->headers = match_build(a, conf->headers, conf->header_n);
	route->query = match_build(a, conf->query, conf->query_n);
	if (conf->path_kind == CONF_PATH_REGEX) {
		route->regex = pattern_compile(conf->path);
		route->literal = literal_length(conf->path);
	}
}

/* The site of a host as written in the configuration, made if it is new. */
static struct site *site_of(
	struct router *r, struct arena *a, struct str host, const struct tenant *t, struct table *general)
{
	bool suffix = host.n > 1 && host.p[0] == '*';
	struct map *map = suffix ? &r->suffixes : &r->hosts;
	struct site *s;

	if (str_eq(host, STR("*"))) {
		s = r->any;
	} else {
		host = str_skip(host, suffix ? 1 : 0);
		s = map_get(map, host);
	}
	if (s)
		return s;
	s = arena_new(a, struct site);
	s->tenant = t;
	s->general = general;
	if (str_eq(host, STR("*")))
		r->any = s;
	else
		map_put(map, host, s);
	return s;
}

static void tenant_build(struct router *r, struct arena *a, struct tenant *t)
{
	struct table *general = table_new(r, a);

	t->routes = arena_array(a, struct route, t->conf->route_n);
	for (uint32_t i = 0; i < t->conf->hosts.n; i++)
		site_of(r, a, t->conf->hosts.v[i], t, general);
	for (uint32_t i = 0; i < t->conf->route_n; i++) {
		const struct conf_strs *hosts = &t->conf->routes[i].hosts;

		route_build(a, t, i);
		if (hosts->n == 0)
			table_add(a, general, &t->routes[i]);
		for (uint32_t h = 0; h < hosts->n; h++) {
			struct site *s = site_of(r, a, hosts->v[h], t, general);

			if (!s->own)
				s->own = table_new(r, a);
			s->general->beside_own = true;
			table_add(a, s->own, &t->routes[i]);
		}
	}
}

struct router *router_build(struct arena *a, const struct conf *conf, struct tenant *tenants)
{
	struct router *r = arena_new(a, struct router);

	r->tenants = tenants;
	r->tenant_n = conf->tenant_n;
	for (uint32_t i = 0; i < conf->tenant_n; i++)
		tenant_build(r, a, &tenants[i]);
	return r;
}

void router_free(struct router *r)
{
	for (uint32_t i = 0; i < r->table_n; i++) {
		map_free(&r->tables[i]->exact);
		map_free(&r->tables[i]->prefix);
	}
	free(r->tables);
	map_free(&r->hosts);
	map_free(&r->suffixes);
	for (uint32_t t = 0; t < r->tenant_n; t++) {
		for (uint32_t i = 0; i < r->tenants[t].conf->route_n; i++) {
			struct route *route = &r->tenants[t].routes[i];

			regex_free(route->regex);
			match_free(route->headers, route->conf->header_n);
			match_free(route->query, route->conf->query_n);
		}
	}
}

/* -- finding -- */

static bool conditions_hold(const struct route *route, const struct head *head, struct str query)
{
	const struct conf_route *c = route->conf;

	return (c->methods.n == 0 || match_method(&c->methods, head)) &&
	       (c->header_n == 0 || match_headers(route->headers, c->header_n, head)) &&
	       (c->query_n == 0 || match_query(route->query, c->query_n, query));
}

static const struct route *in_group(const struct group *g, const struct head *head, struct str query)
{
	for (uint32_t i = 0; g && i < g->n; i++)
		if (conditions_hold(g->routes[i], head, query))
			return g->routes[i];
	return NULL;
}

/* The first regex, from *next on, that matches and whose literal is longer than `over`. */
static const struct route *in_regexes(const struct table *t, uint32_t *next, size_t over, struct str path,
	const struct head *head, struct str query)
{
	for (; *next < t->regex_n && (over == SIZE_MAX || t->regexes[*next]->literal > over); ++*next) {
		const struct route *route = t->regexes[*next];

		if (regex_matches(route->regex, path) && conditions_hold(route, head, query))
			return route;
	}
	return NULL;
}

static const struct route *in_table(
	const struct table *t, struct str path, const struct head *head, struct str query)
{
	const struct route *found = NULL;
	uint32_t regex = 0;
	size_t len = path.n;

	if (t->exact.n && (found = in_group(map_get(&t->exact, path), head, query)))
		return found;
	/* Prefixes end on a segment border: at the end of the path, or before a slash. */
	if (len > t->longest_prefix) {
		len = t->longest_prefix;
		while (len > 0 && path.p[len] != '/')
			len--;
	}
	for (;;) {
		if (t->regex_n && (found = in_regexes(t, &regex, len, path, head, query)))
			return found;
		if ((found = in_group(map_get(&t->prefix, str_head(path, len)), head, query)))
			return found;
		if (len == 0)
			break;
		do
			len--;
		while (len > 0 && path.p[len] != '/');
	}
	return t->regex_n ? in_regexes(t, &regex, SIZE_MAX, path, head, query) : NULL;
}

/* The next less specific site that covers the host. *level: 0 before the first call. */
static const struct site *next_site(const struct router *r, struct str host, size_t *level)
{
	const struct site *s;

	if (*level == 0) {
		*level = 1;
		if ((s = map_get(&r->hosts, host)))
			return s;
	}
	if (!r->suffixes.n)
		*level = MAX(*level, host.n + 1);
	while (*level <= host.n) {
		size_t at = (*level)++ - 1;

		if (host.p[at] == '.' && at > 0 && (s = map_get(&r->suffixes, str_skip(host, at))))
			return s;
	}
	if (*level == host.n + 1) {
		++*level;
		return r->any;
	}
	return NULL;
}

struct router_host router_host(const struct router *r, struct str authority)
{
	struct router_host host = {.authority = authority, .name = authority_host(authority)};

	host.site = next_site(r, host.name, &host.level);
	host.tenant = host.site ? host.site->tenant : NULL;
	return host;
}

static const struct route *find(const struct router *r, const struct router_host *host, struct str path,
	struct str query, const struct head *head)
{
	size_t level = host->level;
	const struct route *found;

	if (!host->site)
		return NULL;
	/* No other tenant's site is asked, whatever it covers. */
	for (const struct site *s = host->site->general->beside_own ? host->site : NULL;
		s && s->tenant == host->tenant; s = next_site(r, host->name, &level))
		if (s->own && (found = in_table(s->own, path, head, query)))
			return found;
	return in_table(host->site->general, path, head, query);
}

struct routed router_find(const struct router *r, const struct head *head)
{
	struct router_host host = router_host(r, head->authority);

	return router_find_at(r, &host, head);
}

struct routed router_find_at(const struct router *r, const struct router_host *host, const struct head *head)
{
	struct str path = path_only(head->path);
	struct str query = str_skip(head->path, path.n + 1);
	enum path_kind kind = path_kind(path);
	struct routed result = {.tenant = host->tenant};

	result.route = find(r, host, path, query, head);
	if (kind == PATH_AMBIGUOUS) {
		char *buf = malloc(path.n);

		MUST(buf);
		if (find(r, host, path_lenient(path, buf), query, head) != result.route)
			kind = PATH_BAD;
		free(buf);
	}
	if (!result.tenant)
		result.why = REASON_NO_TENANT;
	else if (kind == PATH_BAD)
		result.why = REASON_CLIENT_BAD_PATH;
	else if (!result.route)
		result.why = REASON_NO_ROUTE;
	if (result.why != REASON_NONE)
		result.route = NULL;
	return result;
}

const struct tenant *router_tenant(const struct router *r, struct str host)
{
	size_t level = 0;
	const struct site *s = next_site(r, host, &level);

	return s ? s->tenant : NULL;
}
