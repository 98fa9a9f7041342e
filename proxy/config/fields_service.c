#include "base/obj.h"
#include "config/backend_address.h"
#include "config/fields.h"

/* -- split -- */

static void parse_sticky(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	static const struct {
		struct str name;
		uint8_t sticky;
	} plain[] = {
		{STR("none"), CONF_STICKY_NONE},
		{STR("cookie"), CONF_STICKY_COOKIE},
		{STR("ip"), CONF_STICKY_IP},
	};
	struct conf_split *split = obj;
	struct str s = v->kind == NODE_SCALAR ? node_str(v) : STR_NONE;

	for (size_t i = 0; i < COUNT_OF(plain); i++) {
		if (str_eq(s, plain[i].name)) {
			split->sticky = plain[i].sticky;
			return;
		}
	}
	if (!str_starts(s, STR("header:")) || !type_token.valid(str_skip(s, 7))) {
		parse_bad(p, f, v, f->type->expects);
		return;
	}
	split->sticky = CONF_STICKY_HEADER;
	split->sticky_header = arena_str(&p->conf->arena, str_skip(s, 7));
}

static void say_sticky(const struct config_field *f, const void *obj, struct text *out)
{
	static const char *const names[] = {
		[CONF_STICKY_NONE] = "none",
		[CONF_STICKY_COOKIE] = "cookie",
		[CONF_STICKY_IP] = "ip",
		[CONF_STICKY_HEADER] = "header:",
	};
	const struct conf_split *split = obj;

	(void)f;
	text_put(out, str_of(names[split->sticky]));
	if (split->sticky == CONF_STICKY_HEADER)
		text_put(out, split->sticky_header);
}

static const struct config_type type_sticky = {
	.name = "none, cookie, ip or header:NAME",
	.expects = "none, cookie, ip or header:NAME",
	.schema = "{\"type\": \"string\", \"pattern\": \"^(none|cookie|ip|header:.+)$\"}",
	.parse = parse_sticky,
	.say = say_sticky,
};

static const struct config_field override_fields[] = {
	CUSTOM("header", type_token, struct conf_split, override_header,
		"a request header that names the pool", NULLABLE),
	CUSTOM("cookie", type_token, struct conf_split, override_cookie, "a cookie that names the pool",
		NULLABLE),
	NETWORKS("from", struct conf_split, override_from, override_from_n,
		"who may override; empty: everybody"),
	END,
};

static const struct config_object override_object = {
	.id = OBJECT_OVERRIDE,
	.path = "services.NAME.split.override",
	.what = "override",
	.doc = "How testers choose a pool for themselves.",
	.size = sizeof(struct conf_split),
	.fields = override_fields,
};

static const struct config_field split_fields[] = {
	CUSTOM("sticky", type_sticky, struct conf_split, sticky, "what keeps a user in one pool",
		.text = "none"),
	DURATION("pin", struct conf_split, pin,
		"a user keeps the pool that he was given, whatever becomes of the weights, until it is "
		"draining or "
		"closed or he has stayed away so long; 0: by the weights of the moment",
		.dflt = 0),
	BOOL("capacity", struct conf_split, capacity,
		"a pool takes no more of its share than its healthy backends can carry: all of it down to "
		"five in "
		"seven of them, then in proportion",
		.dflt = true),
	WITHIN("override", override_object, "how testers choose a pool; null: they cannot", NULLABLE),
	END,
};

static const struct config_object split_object = {
	.id = OBJECT_SPLIT,
	.path = "services.NAME.split",
	.what = "split",
	.doc = "Which pool a request goes to.",
	.size = sizeof(struct conf_split),
	.fields = split_fields,
};

/* -- backends -- */

/* Relative paths are beside the file that names them; the address keeps the text, which is what messages show. */
static void place_path(struct parse *p, const struct node *v, size_t prefix, struct str *path)
{
	struct node rest = *v;

	rest.text += prefix;
	rest.n -= (uint32_t)prefix;
	*path = parse_path(p, &rest);
}

static void parse_backend_address(
	struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	struct conf_backend *b = obj;
	const char *why;

	if (v->kind != NODE_SCALAR || v->n == 0) {
		parse_bad(p, f, v, f->type->expects);
		return;
	}
	if (str_starts(node_str(v), STR("unix:"))) {
		parse_address(p, f, v, &b->address, &b->addr, &b->unix_path);
		return;
	}
	if (!backend_address_parse(&p->conf->arena, node_str(v), b, &why)) {
		parse_error(p, v, "\"address\": %s %s", parse_quote(p, node_str(v)), why);
		return;
	}
	if (b->kind == CONF_FILE)
		place_path(p, v, strlen("file:"), &b->file);
}

static const struct config_type type_backend_address = {
	.name = "address",
	.expects = "an address and port such as 10.0.0.1:8080 or [fd00::1]:8080, dns:NAME:PORT, srv:NAME, "
		   "file:PATH or unix:PATH",
	.schema = "{\"type\": \"string\"}",
	.parse = parse_backend_address,
};

static const struct config_field backend_fields[] = {
	CUSTOM("address", type_backend_address, struct conf_backend, address,
		"`10.0.0.1:8080`, `[fd00::1]:8080`, `unix:/run/app.sock`; or what addresses are found by: "
		"`dns:app.internal:8080` (A and AAAA, all of them), `srv:_http._tcp.app.internal`, "
		"`file:app.backends`. See [discovery](discovery.md)",
		REQUIRED),
	COUNT("weight", struct conf_backend, weight, "its share of the pool's requests", .dflt = 1, .min = 1,
		.max = 1000),
	COUNT("priority", struct conf_backend, priority,
		"those with the lowest number that has a healthy backend take all requests; the others wait "
		"until they are gone",
		.dflt = 0, .max = CONF_PRIORITIES - 1),
	COUNT("requests", struct conf_backend, requests,
		"in flight to it; with so many it is passed over; 0: `breaker.backend_requests`", .dflt = 0),
	STRING("zone", struct conf_backend, zone,
		"where it runs; one that runs in weir's own `zone` is preferred while enough of those are "
		"healthy",
		NULLABLE),
	END,
};

const struct config_object backend_object = {
	.id = OBJECT_BACKEND,
	.path = "pools.NAME.backends",
	.what = "backend",
	.doc = "One address of a pool. The address alone is short for `{address: ...}`.",
	.size = sizeof(struct conf_backend),
	.place_offset = offsetof(struct conf_backend, place),
	.fields = backend_fields,
	.short_key = "address",
};

/* -- pools -- */

const char *const conf_pool_state_names[] = {
	[POOL_OPEN] = "open",
	[POOL_PINNED] = "pinned",
	[POOL_DRAINING] = "draining",
	[POOL_CLOSED] = "closed",
	[POOL_STATES] = NULL,
};

static const struct config_field pool_fields[] = {
	COUNT("weight", struct conf_pool, weight,
		"share of new users, relative to the sum over the service's pools; needed if there are "
		"several",
		.dflt = 100, .max = 1000000),
	ENUM("state", struct conf_pool, state, conf_pool_state_names,
		"open: takes new users by its weight; pinned: nobody new, who is pinned stays; draining: "
		"nobody, who "
		"was pinned moves on; closed: the same, for good",
		.dflt = POOL_OPEN),
	STRINGS("hosts", struct conf_pool, hosts, type_host,
		"some of the tenant's: who asks for one of them gets this pool whatever its weight, if "
		"`split.override.from` lets him"),
	BOOL("spill", struct conf_pool, spill, "with no healthy backend, give the pool's share to the others",
		.dflt = true),
	LIST_OF("backends", struct conf_pool, backends, backend_n, backend_object,
		"where the pool's requests go"),
	EMBED_SHARED(struct conf_pool, policy, policy_object, .text = "the service's"),
	END,
};

static void check_backends_unique(struct parse *p, const struct conf_backend *v, uint32_t n)
{
	struct map seen = {0};

	for (uint32_t i = 0; i < n; i++) {
		/* None: it was an error by itself. */
		if (v[i].address.n == 0)
			continue;
		if (map_get(&seen, v[i].address))
			conf_report_add(p->report, p->conf, v[i].place, false,
				"backend " STR_FMT " is listed twice", STR_ARG(v[i].address));
		map_put(&seen, v[i].address, p);
	}
	map_free(&seen);
}

static void pool_check(struct parse *p, const struct node *v, void *obj)
{
	const struct conf_pool *pool = obj;

	check_backends_unique(p, pool->backends, pool->backend_n);
	if (pool->weight && pool->backend_n == 0 && !node_get(v, STR("backends")) &&
		!object_misspells(p, &pool_object, v, STR("backends")))
		conf_report_add(p->report, p->conf, node_place(v), true,
			"pool %s has a weight but no backends", parse_quote(p, pool->name));
}

const struct config_object pool_object = {
	.id = OBJECT_POOL,
	.path = "pools.NAME",
	.what = "pool",
	.doc = "One version of a service. A key that it shares with the service overrides the service's; in "
	       "a mapping, only "
	       "the keys that are written do.",
	.size = sizeof(struct conf_pool),
	.place_offset = offsetof(struct conf_pool, place),
	.digest_offset = offsetof(struct conf_pool, digest),
	.digest_without = "backends",
	.fields = pool_fields,
	.check = pool_check,
};

static const struct config_field members_fields[] = {
	LIST_OF("backends", struct conf, listed, listed_n, backend_object, "where a pool's requests go",
		REQUIRED),
	END,
};

static void members_check(struct parse *p, const struct node *v, void *obj)
{
	const struct conf *c = obj;

	(void)v;
	check_backends_unique(p, c->listed, c->listed_n);
}

const struct config_object members_object = {
	.id = OBJECT_MEMBERS,
	.path = "backends",
	.what = "list of backends",
	.doc = "Backends that come at run time, or in a file that a backend `file:PATH` names.",
	.size = sizeof(struct conf),
	.fields = members_fields,
	.check = members_check,
};

static void pool_inherit(void *element, const void *parent)
{
	((struct conf_pool *)element)->policy = ((const struct conf_service *)parent)->policy;
}

/* -- mirror -- */

static const struct config_field mirror_fields[] = {
	STRING("pool", struct conf_mirror, pool, "the pool of the service that gets the copies", NULLABLE),
	SHARE("share", struct conf_mirror, share, "of the service's requests", .dflt = 10000),
	SIZE("body", struct conf_mirror, body, "above which a request is not copied", .dflt = 65536,
		.max = 1048576),
	COUNT("requests", struct conf_mirror, requests,
		"copies at once from one worker; what comes beyond is not copied; 0: any number",
		.dflt = 100),
	DURATION("timeout", struct conf_mirror, timeout,
		"for a copy, from connecting to the end of its answer", .dflt = 5000),
	END,
};

static const struct config_object mirror_object = {
	.id = OBJECT_MIRROR,
	.path = "services.NAME.mirror",
	.what = "mirror",
	.doc = "A copy of requests to another pool, without any effect on their answers.",
	.size = sizeof(struct conf_mirror),
	.fields = mirror_fields,
};

static void check_mirror(struct parse *p, const struct node *v, const struct conf_service *s)
{
	const struct node *mirror = node_get(v, STR("mirror"));

	if (s->mirror.pool.n == 0 || !mirror)
		return;
	for (uint32_t i = 0; i < s->pool_n; i++)
		if (str_eq(s->pools[i].name, s->mirror.pool))
			return;
	parse_error(p, node_get(mirror, STR("pool")), "service %s has no pool %s", parse_quote(p, s->name),
		parse_quote(p, s->mirror.pool));
}

/* -- services -- */

static const struct config_field service_fields[] = {
	OBJECT("split", struct conf_service, split, split_object, "which pool a request goes to"),
	OBJECT("mirror", struct conf_service, mirror, mirror_object,
		"a copy of requests to another pool, without any effect on their answers"),
	EMBED_SHARED(struct conf_service, policy, policy_object),
	/* After the service's own keys, which the pools begin with. */
	MAP_OF("pools", struct conf_service, pools, pool_n, pool_object,
		"the service's versions, by name; their order is the order in which shares are laid end to "
		"end",
		REQUIRED, LATE, .inherit = pool_inherit),
	END,
};

/* What several pools take from the service is told once, at the service. */
static void check_policies(
	struct parse *p, const struct node *v, const struct node *pools, const struct conf_service *s)
{
	bool inherited = false;

	for (uint32_t i = 0; i < s->pool_n; i++) {
		const struct conf_policy *own = s->pools[i].policy;

		if (own->protocol == s->policy->protocol && own->tls.on == s->policy->tls.on)
			inherited = true;
		else
			policy_check(p, node_get(pools, s->pools[i].name), own);
	}
	if (inherited)
		policy_check(p, v, s->policy);
}

/* The pool that a host before this one stands for, or NULL. */
static const struct conf_pool *host_taken(const struct conf_service *s, uint32_t pool, uint32_t host)
{
	struct str name = s->pools[pool].hosts.v[host];

	for (uint32_t i = 0; i <= pool; i++)
		for (uint32_t h = 0; h < (i == pool ? host : s->pools[i].hosts.n); h++)
			if (str_eq(s->pools[i].hosts.v[h], name))
				return &s->pools[i];
	return NULL;
}

/* Each stands for one pool. That they are the tenant's is seen there. */
static void take_hosts(struct parse *p, const struct node *pools, struct conf_service *s, uint32_t pool)
{
	struct conf_pool *own = &s->pools[pool];
	const struct node *pool_at = node_get(pools, own->name), *at = node_get(pool_at, STR("hosts"));
	const struct conf_pool *other;
	const char *why;

	for (uint32_t h = 0; h < own->hosts.n; h++) {
		struct str *host = &own->hosts.v[h];

		host_parse(&p->conf->arena, *host, host, &why);
		if (str_find(*host, '*') < host->n)
			parse_error(p, at, "%s cannot stand for one pool: write the whole host",
				parse_quote(p, *host));
		other = host_taken(s, pool, h);
		if (other)
			parse_error(p, at, "host %s stands for pool %s already", parse_quote(p, *host),
				parse_quote(p, other->name));
		s->split.by_host = true;
	}
}

/* It may be meant, for a moment: a weight can be given at run time. */
static void check_weights(struct parse *p, const struct node *pools, const struct conf_service *s)
{
	for (uint32_t i = 0; i < s->pool_n; i++)
		if (s->pools[i].weight && s->pools[i].state == POOL_OPEN)
			return;
	if (s->pool_n && p->report->errors == 0)
		conf_report_add(p->report, p->conf, node_place(pools), true,
			"no pool of service %s is open and has a weight above 0: all its requests fail",
			parse_quote(p, s->name));
}

static void service_check(struct parse *p, const struct node *v, void *obj)
{
	struct conf_service *s = obj;
	const struct node *pools = node_get(v, STR("pools"));

	if (!pools || pools->kind != NODE_MAP)
		return;
	if (pools->n == 0)
		parse_error(p, pools, "service %s needs at least one pool", parse_quote(p, s->name));
	for (const struct node *k = pools->first; k; k = k->next->next) {
		if (pools->n > 1 && k->next->kind == NODE_MAP && !node_get(k->next, STR("weight")) &&
			!object_misspells(p, &pool_object, k->next, STR("weight")))
			parse_error(p, k,
				"pool %s needs a \"weight\": with several pools, each says its share",
				parse_quote(p, node_str(k)));
	}
	check_mirror(p, v, s);
	check_policies(p, v, pools, s);
	for (uint32_t i = 0; i < s->pool_n; i++)
		take_hosts(p, pools, s, i);
	check_weights(p, pools, s);
}

const struct config_object service_object = {
	.id = OBJECT_SERVICE,
	.path = "services.NAME",
	.what = "service",
	.doc = "One application of a tenant.",
	.size = sizeof(struct conf_service),
	.place_offset = offsetof(struct conf_service, place),
	.digest_offset = offsetof(struct conf_service, digest),
	.digest_without = "pools",
	.fields = service_fields,
	.check = service_check,
};
