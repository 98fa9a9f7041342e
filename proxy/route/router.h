/* route/router.h - from a request head to a route: host, then path, method, headers and query, the most specific first.
 *
 * Built once from the configuration, const afterwards, part of a snapshot. Order, whatever the order in the file:
 *   1. the most specific host: exact, the longest wildcard, "*"; a route that names hosts itself before its tenant's others
 *   2. path: exact, then the longest prefix on a segment border; a regex ranks as a prefix as long as the literal text that it
 *      begins with, behind a real prefix of that length
 *   3. among routes of one path: a method condition, then more header conditions, then more query conditions, then the first
 *      in the file (Gateway API HTTPRouteRule) */
#ifndef WEIR_ROUTE_ROUTER_H
#define WEIR_ROUTE_ROUTER_H

#include "config/conf.h"
#include "http/head.h"
#include "route/service.h"

struct router;
struct site;
struct module_chain;
struct quota;

struct route {
	const struct conf_route *conf;
	const struct tenant *tenant;
	struct service *service; /* NULL: a redirect */
	struct regex *regex; /* of a regex path, or NULL */
	struct match *headers, *query; /* compiled conditions */
	uint32_t order; /* in the file, among the tenant's */
	uint32_t literal; /* bytes of path text that are certain */
	const struct module_chain *modules; /* that its requests meet once it is found; NULL: none */
};

struct tenant {
	const struct conf_tenant *conf;
	struct service *services; /* beside conf->services */
	struct route *routes; /* beside conf->routes */
	uint32_t index; /* in the configuration */
	const struct module_chain *modules; /* that its requests meet before a route is found; NULL: none */
	struct slot *slot; /* its key is the name: what is kept of its limits; NULL: it has none */
	struct quota *quota; /* the slot's; NULL: it has no limits */
};

/* arena: the snapshot's. services of each tenant are linked in already. */
struct router *router_build(struct arena *a, const struct conf *conf, struct tenant *tenants);
/* What the arena does not free: compiled patterns. */
void router_free(struct router *r);

struct routed {
	const struct tenant *tenant; /* set even when no route matches */
	const struct route *route;
	enum reason why; /* NO_TENANT, NO_ROUTE, CLIENT_BAD_PATH; NONE when route is set */
};

/* Where a host leads: looked up once, for the tenant before the route. */
struct router_host {
	struct str authority; /* as it was asked for; borrowed, like name */
	struct str name; /* without its port */
	const struct tenant *tenant; /* NULL: nobody's */
	const struct site *site; /* the most specific that covers it */
	size_t level; /* of the next less specific one */
};

struct router_host router_host(const struct router *r, struct str authority);
struct routed router_find_at(const struct router *r, const struct router_host *host, const struct head *head);
/* Both at once. */
struct routed router_find(const struct router *r, const struct head *head);
/* The tenant of a host (without port, lower case), or NULL: for certificates, tickets and 421. */
const struct tenant *router_tenant(const struct router *r, struct str host);
/* authority without its port; brackets of an IPv6 literal are kept. */
struct str authority_host(struct str authority);

#endif
