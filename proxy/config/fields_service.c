#include "base/obj.h"
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

static const struct config_type type_sticky = {
	.name = "none, cookie, ip or header:NAME",
	.expects = "none, cookie, ip or header:NAME",
	.schema = "{\"type\": \"string\", \"pattern\": \"^(none|cookie|ip|header:.+)$\"}",
	.parse = parse_sticky,
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

/* "NAME:PORT" */
static bool name_and_port(struct str s, struct str *host, uint16_t *port)
{
	size_t colon = str_find(s, ':');
	uint64_t n;

	*host = str_head(s, colon);
	for (size_t i = 0; i < host->n; i++) {
		char c = str_lower_char(host->p[i]);

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_' &&
			(c != '.' || i == 0))
			return false;
	}
	if (host->n == 0 || host->n > 253 || !str_to_u64(str_skip(s, colon + 1), &n) || n < 1 || n > 65535)
		return false;
	*port = (uint16_t)n;
	return true;
}

static void parse_backend_address(
	struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	struct conf_backend *b = obj;
	struct str s = v->kind == NODE_SCALAR ? node_str(v) : STR_NONE, host;
	uint16_t port;

	if (str_starts(s, STR("dns:")) && name_and_port(str_skip(s, 4), &host, &port)) {
		b->address = arena_str(&p->conf->arena, s);
		b->host = arena_str(&p->conf->arena, host);
		b->port = port;
	} else if (!addr_parse(&b->addr, s) && name_and_port(s, &host, &port)) {
		parse_error(p, v, "\"address\" has a name that has to be resolved: write dns:" STR_FMT,
			STR_ARG(s));
	} else if (parse_address(p, f, v, &b->address, &b->addr, &b->unix_path)) {
		b->port = b->addr.port;
		if (b->addr.family != ADDR_UNIX && b->port == 0)
			parse_error(p, v, "port 0 of %s: nobody can be reached there", parse_quote(p, s));
	}
}

static const struct config_type type_backend_address = {
	.name = "address",
	.expects = "an address and port such as 10.0.0.1:8080 or [fd00::1]:8080, dns:NAME:PORT or unix:PATH",
	.schema = "{\"type\": \"string\"}",
	.parse = parse_backend_address,
};

static const struct config_field backend_fields[] = {
	CUSTOM("address", type_backend_address, struct conf_backend, address,
		"`10.0.0.1:8080`, `[fd00::1]:8080`, `dns:app.internal:8080` (resolved again as its TTL "
		"says), `unix:/run/app.sock`",
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

static const struct config_object backend_object = {
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
	BOOL("spill", struct conf_pool, spill, "with no healthy backend, give the pool's share to the others",
		.dflt = true),
	LIST_OF("backends", struct conf_pool, backends, backend_n, backend_object,
		"where the pool's requests go"),
	EMBED(struct conf_pool, policy, policy_object, .text = "the service's"),
	END,
};

static void check_backends_unique(struct parse *p, const struct conf_pool *pool)
{
	for (uint32_t i = 0; i < pool->backend_n; i++) {
		const struct conf_backend *b = &pool->backends[i];

		for (uint32_t j = 0; j < i; j++) {
			if (b->address.n == 0 || !str_eq(pool->backends[j].address, b->address))
				continue;
			conf_report_add(p->report, p->conf, b->place, false,
				"backend " STR_FMT " is listed twice", STR_ARG(b->address));
			break;
		}
	}
}

static void pool_check(struct parse *p, const struct node *v, void *obj)
{
	const struct conf_pool *pool = obj;

	check_backends_unique(p, pool);
	if (pool->weight && pool->backend_n == 0 && !node_get(v, STR("backends")))
		conf_report_add(p->report, p->conf, node_place(v), true,
			"pool %s has a weight but no backends", parse_quote(p, pool->name));
}

static const struct config_object pool_object = {
	.id = OBJECT_POOL,
	.path = "pools.NAME",
	.what = "pool",
	.doc = "One version of a service. A key that it shares with the service overrides the service's; in "
	       "a mapping, only "
	       "the keys that are written do.",
	.size = sizeof(struct conf_pool),
	.place_offset = offsetof(struct conf_pool, place),
	.fields = pool_fields,
	.check = pool_check,
};

static const struct config_field members_fields[] = {
	LIST_OF("backends", struct conf_pool, backends, backend_n, backend_object,
		"where the pool's requests go", REQUIRED),
	END,
};

static void members_check(struct parse *p, const struct node *v, void *obj)
{
	(void)v;
	check_backends_unique(p, obj);
}

const struct config_object members_object = {
	.id = OBJECT_MEMBERS,
	.path = "backends",
	.what = "list of backends",
	.doc = "Backends that come at run time.",
	.size = sizeof(struct conf_pool),
	.fields = members_fields,
	.check = members_check,
};

static void pool_inherit(void *element, const void *parent)
{
	((struct conf_pool *)element)->policy = ((const struct conf_service *)parent)->policy;
}

/* -- services -- */

static const struct config_field service_fields[] = {
	OBJECT("split", struct conf_service, split, split_object, "which pool a request goes to"),
	EMBED(struct conf_service, policy, policy_object),
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
		const struct conf_policy *own = &s->pools[i].policy;

		if (own->protocol == s->policy.protocol && own->tls.on == s->policy.tls.on)
			inherited = true;
		else
			policy_check(p, node_get(pools, s->pools[i].name), own);
	}
	if (inherited)
		policy_check(p, v, &s->policy);
}

static void service_check(struct parse *p, const struct node *v, void *obj)
{
	const struct conf_service *s = obj;
	const struct node *pools = node_get(v, STR("pools"));

	if (!pools || pools->kind != NODE_MAP)
		return;
	if (pools->n == 0)
		parse_error(p, pools, "service %s needs at least one pool", parse_quote(p, s->name));
	for (const struct node *k = pools->first; k; k = k->next->next) {
		if (pools->n > 1 && k->next->kind == NODE_MAP && !node_get(k->next, STR("weight")))
			parse_error(p, k,
				"pool %s needs a \"weight\": with several pools, each says its share",
				parse_quote(p, node_str(k)));
	}
	check_policies(p, v, pools, s);
}

const struct config_object service_object = {
	.id = OBJECT_SERVICE,
	.path = "services.NAME",
	.what = "service",
	.doc = "One application of a tenant.",
	.size = sizeof(struct conf_service),
	.place_offset = offsetof(struct conf_service, place),
	.fields = service_fields,
	.check = service_check,
};
