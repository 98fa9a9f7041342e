#include "exchange/snapshot.h"

#include <stdlib.h>
#include "base/obj.h"
#include "exchange/quota.h"
#include "exchange/tally.h"
#include "upstream/stick.h"
#include "route/pin.h"

/* Only where some are in weir's zone and some are not is there anything to prefer. */
static const bool *mark_zone(struct snapshot *s, const struct conf_backend *backends, uint32_t n)
{
	bool *in_zone = arena_array(&s->arena, bool, n);
	uint32_t in = 0;

	for (uint32_t i = 0; i < n; i++)
		in += in_zone[i] = s->conf->zone.n && str_eq(backends[i].zone, s->conf->zone);
	return in > 0 && in < n ? in_zone : NULL;
}

static struct roster roster_of(
	const struct roster_source *source, struct str pool_key, const struct conf_pool *conf)
{
	if (source)
		return source->members(source->ctx, pool_key, conf);
	return (struct roster){conf->backends, conf->backend_n, POOL_KNOWN};
}

/* Of everything that a snapshot keeps of its members: two that are equal are not worth another snapshot. */
static uint64_t fingerprint(const struct roster *r)
{
	uint64_t h = hash_bytes(&r->lookup, sizeof(r->lookup), r->n);

	for (uint32_t i = 0; i < r->n; i++) {
		const struct conf_backend *m = &r->v[i];

		h = hash_bytes(m->address.p, m->address.n, h ^ m->weight);
		h = hash_bytes(m->host.p, m->host.n, h ^ m->priority);
		h = hash_bytes(m->zone.p, m->zone.n, h ^ m->requests);
	}
	return h;
}

/* What the source says of members stands only until the next question: unless it is the conf's, it is copied with its texts. */
static const struct conf_backend *keep_members(
	struct arena *a, const struct roster *r, const struct conf_pool *conf, struct backend **backends)
{
	struct conf_backend *kept;

	if (r->v == conf->backends)
		return r->v;
	kept = arena_array(a, struct conf_backend, r->n);
	for (uint32_t i = 0; i < r->n; i++) {
		kept[i] = r->v[i];
		kept[i].address = backends[i]->address;
		kept[i].unix_path = backends[i]->unix_path;
		kept[i].host = arena_str(a, kept[i].host);
		kept[i].zone = arena_str(a, kept[i].zone);
	}
	return kept;
}

static void pool_build(struct snapshot *s, const struct snapshot_parts *parts, struct pool *pool,
	const struct conf_pool *conf, struct str service_key)
{
	struct str key = arena_join(&s->arena, service_key, conf->name);
	struct roster roster = roster_of(parts->roster, key, conf);

	pool->conf = conf;
	pool->slot = slot_acquire(s->pool_slots, key);
	tallies_attach(s->pool_slots, pool->slot, s->backends->worker_n);
	pool->n = roster.n;
	pool->lookup = roster.lookup;
	pool->fingerprint = fingerprint(&roster);
	pool->backends = arena_array(&s->arena, struct backend *, roster.n);
	for (uint32_t i = 0; i < roster.n; i++) {
		pool->backends[i] = backend_acquire(s->backends, key, &roster.v[i], s->serial);
		pool->priorities |= (uint8_t)BIT(roster.v[i].priority);
	}
	pool->members = keep_members(&s->arena, &roster, conf, pool->backends);
	pool->in_zone = mark_zone(s, pool->members, pool->n);
	if (conf->policy->stick.on) {
		struct stick_token *tokens = arena_array(&s->arena, struct stick_token, pool->n);

		stick_tokens(pool, backend_stick_key(s->backends), tokens);
		pool->tokens = tokens;
	}
	s->pools[s->pool_n++] = pool;
}

static void service_build(struct snapshot *s, const struct snapshot_parts *parts, struct service *service,
	const struct conf_service *conf, const struct tenant *tenant)
{
	struct str key = arena_join(&s->arena, tenant->conf->name, conf->name);

	service->conf = conf;
	service->tenant = tenant;
	service->slot = slot_acquire(s->service_slots, key);
	tallies_attach(s->service_slots, service->slot, s->backends->worker_n);
	service->n = conf->pool_n;
	if (conf->split.pin)
		service->pin_cookie = arena_fmt(&s->arena, PIN_COOKIE STR_FMT, STR_ARG(conf->name));
	service->pools = arena_array(&s->arena, struct pool, conf->pool_n);
	for (uint32_t i = 0; i < conf->pool_n; i++) {
		service->pools[i].index = i;
		pool_build(s, parts, &service->pools[i], &conf->pools[i], key);
	}
}

static void keep_limits(struct snapshot *s, struct tenant *t)
{
	if (!s->tenant_slots || !quota_wanted(&t->conf->limits))
		return;
	t->slot = slot_acquire(s->tenant_slots, t->conf->name);
	t->quota = quota_attach(s->tenant_slots, t->slot);
}

static uint32_t count_pools(const struct conf *conf)
{
	uint32_t n = 0;

	for (uint32_t t = 0; t < conf->tenant_n; t++)
		for (uint32_t i = 0; i < conf->tenants[t].service_n; i++)
			n += conf->tenants[t].services[i].pool_n;
	return n;
}

static void index_services(struct snapshot *s)
{
	s->by_slot_n = s->service_slots->n;
	s->by_slot = arena_array(&s->arena, const struct service *, s->by_slot_n);
	for (uint32_t t = 0; t < s->conf->tenant_n; t++)
		for (uint32_t i = 0; i < s->conf->tenants[t].service_n; i++)
			s->by_slot[s->tenants[t].services[i].slot->number] = &s->tenants[t].services[i];
}

/* A backend's name has its pool's in it: it is in one pool, and there once. */
static void index_backends(struct snapshot *s)
{
	s->by_backend_n = s->backends->slots.n;
	s->by_backend = arena_array(&s->arena, struct membership, s->by_backend_n);
	for (uint32_t p = 0; p < s->pool_n; p++)
		for (uint32_t i = 0; i < s->pools[p]->n; i++)
			s->by_backend[s->pools[p]->backends[i]->slot->number] =
				(struct membership){s->pools[p], i};
}

struct membership snapshot_member(const struct snapshot *s, uint32_t slot)
{
	return slot < s->by_backend_n ? s->by_backend[slot] : (struct membership){0};
}

const struct service *snapshot_service(const struct snapshot *s, uint32_t slot)
{
	return slot < s->by_slot_n ? s->by_slot[slot] : NULL;
}

static void build_chains(struct snapshot *s)
{
	const struct conf_modules *global = &s->conf->modules;

	for (uint32_t t = 0; t < s->conf->tenant_n; t++) {
		struct tenant *tenant = &s->tenants[t];
		const struct conf_modules *own = &tenant->conf->modules;

		tenant->modules = module_chain_build(&s->arena, s->modules, global, own, NULL, s->chain);
		for (uint32_t r = 0; r < tenant->conf->route_n; r++)
			tenant->routes[r].modules = module_chain_build(&s->arena, s->modules, global, own,
				&tenant->conf->routes[r].modules, tenant->modules);
	}
}

struct snapshot *snapshot_build(struct conf **conf, const struct snapshot_parts *parts)
{
	struct snapshot *s = calloc(1, sizeof(*s));

	MUST(s);
	s->magic = SNAPSHOT_MAGIC;
	s->generation = parts->generation;
	s->serial = parts->serial;
	s->conf = TAKE(conf);
	s->backends = parts->backends;
	s->pool_slots = parts->pool_slots;
	s->service_slots = parts->service_slots;
	s->tenant_slots = parts->tenant_slots;
	arena_init(&s->arena, NULL);
	s->modules = module_set_ref(parts->modules);
	s->chain = module_chain_build(&s->arena, s->modules, &s->conf->modules, NULL, NULL, NULL);
	s->pools = arena_array(&s->arena, struct pool *, count_pools(s->conf));
	s->tenants = arena_array(&s->arena, struct tenant, s->conf->tenant_n);
	for (uint32_t t = 0; t < s->conf->tenant_n; t++) {
		const struct conf_tenant *ct = &s->conf->tenants[t];

		s->tenants[t].conf = ct;
		s->tenants[t].index = t;
		keep_limits(s, &s->tenants[t]);
		s->tenants[t].services = arena_array(&s->arena, struct service, ct->service_n);
		for (uint32_t i = 0; i < ct->service_n; i++)
			service_build(s, parts, &s->tenants[t].services[i], &ct->services[i], &s->tenants[t]);
	}
	index_services(s);
	index_backends(s);
	s->router = router_build(&s->arena, s->conf, s->tenants);
	if (s->modules)
		build_chains(s);
	return s;
}

bool snapshot_is_outdated(const struct snapshot *s, const struct roster_source *source)
{
	for (uint32_t p = 0; p < s->pool_n; p++) {
		struct roster now = roster_of(source, s->pools[p]->slot->key, s->pools[p]->conf);

		if (fingerprint(&now) != s->pools[p]->fingerprint)
			return true;
	}
	return false;
}

void snapshot_free(struct snapshot **sp)
{
	struct snapshot *s = TAKE(sp);

	OBJ_CHECK(s, SNAPSHOT_MAGIC);
	s->magic = 0;
	router_free(s->router);
	for (uint32_t p = 0; p < s->pool_n; p++) {
		for (uint32_t i = 0; i < s->pools[p]->n; i++)
			backend_release(s->backends, &s->pools[p]->backends[i]);
		slot_release(s->pool_slots, s->pools[p]->slot);
	}
	for (uint32_t t = 0; t < s->conf->tenant_n; t++) {
		for (uint32_t i = 0; i < s->tenants[t].conf->service_n; i++)
			slot_release(s->service_slots, s->tenants[t].services[i].slot);
		if (s->tenants[t].slot)
			slot_release(s->tenant_slots, s->tenants[t].slot);
	}
	module_set_unref(s->modules);
	arena_free(&s->arena);
	conf_free(s->conf);
	free(s);
}
