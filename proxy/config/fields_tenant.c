#include "config/fields.h"

#include <stdlib.h>
#include "base/obj.h"
#include "config/load.h"
#include "config/module.h"
#include "config/suggest.h"
#include "config/twins.h"

/* -- hosts -- */

static bool label_ok(struct str label)
{
	for (size_t i = 0; i < label.n; i++) {
		char c = label.p[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_' &&
			(c != '-' || i == 0 || i == label.n - 1))
			return false;
	}
	return label.n > 0 && label.n <= 63;
}

/* RFC 1123 2.1, and '_' as it is found in the wild. */
static bool name_ok(struct str name, const char **why)
{
	*why = "a host is a name such as shop.example.com, *.example.com, * or an IP address";
	if (name.n > 253) {
		*why = "a host has at most 253 characters";
		return false;
	}
	while (name.n) {
		size_t dot = str_find(name, '.');

		if (!label_ok(str_head(name, dot)))
			return false;
		if (dot + 1 == name.n) {
			*why = "a host is written without a dot at its end";
			return false;
		}
		name = str_skip(name, dot + 1);
	}
	return true;
}

bool host_parse(struct arena *a, struct str in, struct str *out, const char **why)
{
	struct addr ip;
	struct str name;
	char *lower;

	*why = "a host is a name such as shop.example.com, *.example.com, * or an IP address";
	if (in.n == 0)
		return false;
	for (size_t i = 0; i < in.n; i++) {
		if ((signed char)in.p[i] < 0) {
			*why = "a host with other letters than ASCII's is written in its xn-- form";
			return false;
		}
	}
	lower = arena_bytes(a, in.n + 1);
	for (size_t i = 0; i < in.n; i++)
		lower[i] = str_lower_char(in.p[i]);
	lower[in.n] = '\0';
	*out = (struct str){lower, in.n};
	if (str_eq(in, STR("*")) || addr_parse_ip(&ip, in))
		return true;
	if (str_find(in, ':') < in.n) {
		*why = "a host is written without a scheme and a port";
		return false;
	}
	name = str_starts(*out, STR("*.")) ? str_skip(*out, 2) : *out;
	return name.n > 0 && name_ok(name, why);
}

static bool is_host(struct str s)
{
	struct arena scratch;
	struct str out;
	const char *why;
	bool ok;

	arena_init(&scratch, NULL);
	ok = host_parse(&scratch, s, &out, &why);
	arena_free(&scratch);
	return ok;
}

const struct config_type type_host = {
	.name = "host",
	.expects = "a host such as shop.example.com, *.example.com, * or an IP address",
	.schema = "{\"type\": \"string\", \"minLength\": 1}",
	.valid = is_host,
};

/* While loading, conf.hosts leads to these; load_finish() puts the tenants there. */
static void claim_host(struct parse *p, const struct node *e, struct str host)
{
	struct host_claim *claim = arena_new(&p->scratch, struct host_claim), *first;
	struct conf *c = p->conf;

	claim->tenant = c->tenant_n;
	claim->place = node_place(e);
	first = map_put(&c->hosts, host, claim);
	if (!first)
		return;
	map_put(&c->hosts, host, first);
	if (first->tenant == c->tenant_n)
		parse_error(p, e, "host %s is listed twice", parse_quote(p, host));
	else
		parse_error(p, e, "host %s belongs to tenant \"" STR_FMT "\" already (" STR_FMT ":%u:%u)",
			parse_quote(p, host), STR_ARG(p->tenants[first->tenant].name),
			STR_ARG(c->names[first->place.file]), first->place.line, first->place.col);
}

static void each_host(struct parse *p, const struct config_field *f, const struct node *e, void *obj)
{
	struct conf_strs *hosts = field_member(f, obj);
	struct str host;
	const char *why;

	if (e->kind != NODE_SCALAR || node_is_null(e)) {
		parse_bad(p, f, e, f->type->expects);
	} else if (!host_parse(&p->conf->arena, node_str(e), &host, &why)) {
		parse_error(p, e, "%s is no host: %s", parse_quote(p, node_str(e)), why);
	} else {
		claim_host(p, e, host);
		hosts->v[hosts->n++] = host;
	}
}

static void parse_hosts(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	struct conf_strs *hosts = field_member(f, obj);

	if (v->kind == NODE_LIST && v->n == 0)
		parse_error(p, v, "a tenant needs at least one host");
	hosts->v = arena_array(&p->conf->arena, struct str, v->kind == NODE_LIST ? v->n : 1);
	hosts->n = 0;
	parse_list(p, f, v, each_host, obj);
}

static const struct config_type type_hosts = {
	.name = "list of hosts",
	.expects = "a list of hosts such as [shop.example.com, \"*.example.com\"]",
	.schema = "{\"anyOf\": [{\"type\": \"string\"}, {\"type\": \"array\", \"minItems\": 1, \"items\":"
		  "{\"type\": \"string\"}}]}",
	.parse = parse_hosts,
	.say = type_strings_say,
};

/* -- limits -- */

static const struct config_field tenant_limits_fields[] = {
	COUNT("requests_per_second", struct conf_tenant_limits, requests_per_second,
		"requests a second, in the long run; above it 429; 0: any", .dflt = 0, .max = 1000000000),
	COUNT("burst", struct conf_tenant_limits, burst,
		"requests that may come at once, and are made up for afterwards; 0: as many as "
		"`requests_per_second` brings in a tenth of a second",
		.dflt = 0, .max = 1000000000),
	COUNT("concurrent_requests", struct conf_tenant_limits, concurrent_requests,
		"requests in flight at once; above it 503; 0: any", .dflt = 0),
	COUNT("connections", struct conf_tenant_limits, connections,
		"client connections at once; a connection counts for the tenant of its first request; above "
		"it "
		"503, and the connection is closed; 0: any",
		.dflt = 0),
	SIZE("body", struct conf_tenant_limits, body,
		"of a request; above it 413; 0: what `limits.body` allows, which goes before", .dflt = 0),
	SIZE("header_bytes", struct conf_tenant_limits, header_bytes,
		"of a request's head; above it 431; 0: what `limits.header_bytes` allows, which goes before",
		.dflt = 0),
	SIZE("bandwidth", struct conf_tenant_limits, bandwidth,
		"bytes a second of answers' bodies, all together; above it they take longer; 0: any",
		.dflt = 0),
	COUNT("queue", struct conf_tenant_limits, queue,
		"requests that wait at once for the tenant's pools; above it 503; 0: as many as "
		"`breaker.pending` "
		"allows",
		.dflt = 0),
	SHARE("retries", struct conf_tenant_limits, retries,
		"of the tenant's requests that may be tried again; up to 100 are saved up; 100%: as many as "
		"`retries.budget` allows",
		.dflt = 10000),
	END,
};

static const struct config_object tenant_limits_object = {
	.id = OBJECT_TENANT_LIMITS,
	.path = "tenants.NAME.limits",
	.what = "limits",
	.doc = "What one tenant may take.",
	.size = sizeof(struct conf_tenant_limits),
	.fields = tenant_limits_fields,
};

/* -- tenants -- */

static const struct config_field tenant_fields[] = {
	CUSTOM("hosts", type_hosts, struct conf_tenant, hosts,
		"the names that this tenant answers to: exact, `*.example.com` for everything below, `*` for "
		"what nobody else has",
		REQUIRED),
	OBJECT("limits", struct conf_tenant, limits, tenant_limits_object, "what the tenant may take"),
	MAP_OF("services", struct conf_tenant, services, service_n, service_object,
		"the tenant's applications, by name"),
	LIST_OF("routes", struct conf_tenant, routes, route_n, route_object,
		"where requests go; with one service and no routes, everything goes to it"),
	MODULES(struct conf_tenant, modules, MODULE_TENANT),
	END,
};

static int service_index(const struct conf_tenant *t, struct str name)
{
	for (uint32_t i = 0; i < t->service_n; i++)
		if (str_eq(t->services[i].name, name))
			return (int)i;
	return -1;
}

/* Does the tenant answer to it, exactly or by a wildcard? */
static bool has_host(const struct conf_tenant *t, struct str host)
{
	for (uint32_t i = 0; i < t->hosts.n; i++) {
		struct str own = t->hosts.v[i];

		if (str_eq(own, host) || str_eq(own, STR("*")))
			return true;
		if (str_starts(own, STR("*.")) && host.n >= own.n && str_ends(host, str_skip(own, 1)))
			return true;
	}
	return false;
}

static void check_route(
	struct parse *p, const struct node *v, const struct conf_tenant *t, struct conf_route *r)
{
	int service = r->service.n ? service_index(t, r->service) : -1;

	if (service >= 0)
		r->service_index = (uint32_t)service;
	if (r->service.n && service < 0) {
		struct suggestion s = {.word = r->service};
		const struct node *at = node_get(v, STR("service"));

		for (uint32_t i = 0; i < t->service_n; i++)
			suggest_try(&s, t->services[i].name);
		parse_error(p, at ? at : v, "tenant %s has no service %s%s%s%s", parse_quote(p, t->name),
			parse_quote(p, r->service), s.best.n ? "; did you mean " : "",
			s.best.n ? parse_quote(p, s.best) : "", s.best.n ? "?" : "");
	}
	for (uint32_t i = 0; i < r->hosts.n; i++)
		if (!has_host(t, r->hosts.v[i]))
			parse_error(p, v, "host %s of this route is none of tenant %s",
				parse_quote(p, r->hosts.v[i]), parse_quote(p, t->name));
}

/* Nobody would ever come by a host that another tenant has, or none. */
static void check_pool_hosts(
	struct parse *p, const struct node *v, const struct conf_tenant *t, const struct conf_pool *pool)
{
	for (uint32_t i = 0; i < pool->hosts.n; i++) {
		struct str host = pool->hosts.v[i];

		if (str_find(host, '*') == host.n && !has_host(t, host))
			parse_error(p, node_get(v, STR("hosts")),
				"host %s of pool %s is none of tenant %s: list it there as well",
				parse_quote(p, host), parse_quote(p, pool->name), parse_quote(p, t->name));
	}
}

static void check_pools(struct parse *p, const struct node *v, const struct conf_tenant *t)
{
	for (uint32_t i = 0; i < t->service_n; i++) {
		const struct conf_service *s = &t->services[i];
		const struct node *pools =
			node_get(node_get(node_get(v, STR("services")), s->name), STR("pools"));

		for (uint32_t k = 0; k < s->pool_n; k++)
			check_pool_hosts(p, node_get(pools, s->pools[k].name), t, &s->pools[k]);
	}
}

static void add_implicit_route(struct parse *p, const struct node *v, struct conf_tenant *t)
{
	struct conf_route *r = arena_new(&p->conf->arena, struct conf_route);

	object_init(p, &route_object, r);
	r->path = STR("/");
	r->service = t->services[0].name;
	r->place = node_place(v);
	t->routes = r;
	t->route_n = 1;
}

/* e: the first element of the list. */
static void check_routes(struct parse *p, const struct node *e, const struct conf_tenant *t)
{
	const struct conf_route *twin;
	struct twins twins;

	twins_init(&twins, &p->scratch);
	for (uint32_t i = 0; i < t->route_n; i++, e = e->next) {
		while (e->kind != NODE_MAP)
			e = e->next;
		check_route(p, e, t, &t->routes[i]);
		twin = t->routes[i].path.n ? twins_add(&twins, &t->routes[i]) : NULL;
		if (twin)
			parse_error(p, e,
				"this route is for the same requests as that of line %u; one of the two "
				"would never be used",
				twin->place.line);
	}
	twins_free(&twins);
}

static void tenant_check(struct parse *p, const struct node *v, void *obj)
{
	struct conf_tenant *t = obj;
	const struct node *routes = node_get(v, STR("routes"));

	check_pools(p, v, t);
	if (routes && routes->kind == NODE_LIST && routes->n) {
		check_routes(p, routes->first, t);
	} else if (t->service_n == 1) {
		add_implicit_route(p, v, t);
	} else if (t->service_n > 1) {
		parse_error(p, v, "tenant %s has several services and no \"routes\" that say which gets what",
			parse_quote(p, t->name));
	}
}

const struct config_object tenant_object = {
	.id = OBJECT_TENANT,
	.path = "tenants.NAME",
	.what = "tenant",
	.doc = "A customer of the platform: owns hosts, routes, services, limits.",
	.size = sizeof(struct conf_tenant),
	.place_offset = offsetof(struct conf_tenant, place),
	.digest_offset = offsetof(struct conf_tenant, digest),
	.digest_without = "services",
	.fields = tenant_fields,
	.check = tenant_check,
};

static const struct config_field tenant_row = {
	.key = "tenants",
	.object = &tenant_object,
	.element = &type_name,
};

void tenant_add(struct parse *p, const struct node *key, const struct node *value)
{
	struct conf *c = p->conf;
	struct conf_place *place, *first;
	struct str name;

	if (c->tenant_n == p->tenant_cap) {
		p->tenant_cap = p->tenant_cap ? p->tenant_cap * 2 : 64;
		p->tenants = realloc(p->tenants, p->tenant_cap * sizeof(*p->tenants));
		MUST(p->tenants);
	}
	element_parse(p, &tenant_row, key, value, &p->tenants[c->tenant_n], c);
	name = p->tenants[c->tenant_n].name;
	place = arena_new(&p->scratch, struct conf_place);
	*place = node_place(key);
	first = map_put(&p->tenant_places, name, place);
	if (first) {
		map_put(&p->tenant_places, name, first);
		parse_error(p, key, "tenant %s is there already (" STR_FMT ":%u:%u)", parse_quote(p, name),
			STR_ARG(c->names[first->file]), first->line, first->col);
	}
	c->tenant_n++;
}
