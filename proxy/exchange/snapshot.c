#include "exchange/snapshot.h"

#include <stdlib.h>
#include "base/obj.h"
#include "upstream/stick.h"

/* Only where some are in weir's zone and some are not is there anything to prefer. */
static const bool *mark_zone(struct snapshot *s, const struct conf_backend *backends, uint32_t n)
{
	bool *in_zone = arena_array(&s->arena, bool, n);
	uint32_t in = 0;

	for (uint32_t i = 0; i < n; i++)
		in += in_zone[i] = s->conf->zone.n && str_eq(backends[i].zone, s->conf->zone);
	return in > 0 && in < n ? in_zone : NULL;
}

static void pool_build(struct snapshot *s, struct pool *pool, const struct conf_pool *conf,
	struct str service_key, uint32_t index)
{
	struct str key = arena_fmt(&s->arena, STR_FMT "/" STR_FMT, STR_ARG(service_key), STR_ARG(conf->name));

	pool->conf = conf;
	pool->index = index;
	pool->slot = slot_acquire(s->pool_slots, key);
	pool->n = conf->backend_n;
	pool->backends = arena_array(&s->arena, struct backend *, conf->backend_n);
	for (uint32_t i = 0; i < conf->backend_n; i++) {
		const struct conf_backend *b = &conf->backends[i];

		pool->backends[i] = backend_acquire(s->backends, key, b);
		pool->members = hash_bytes(b->address.p, b->address.n, pool->members ^ b->weight);
		pool->priorities |= (uint8_t)BIT(b->priority);
	}
	pool->in_zone = mark_zone(s, conf->backends, conf->backend_n);
	if (conf->policy.stick.on) {
		struct stick_token *tokens = arena_array(&s->arena, struct stick_token, conf->backend_n);

		stick_tokens(pool, backend_stick_key(s->backends), tokens);
		pool->tokens = tokens;
	}
	s->pools[s->pool_n++] = pool;
}

static void service_build(
	struct snapshot *s, struct service *service, const struct conf_service *conf, struct str tenant)
{
	struct str key = arena_fmt(&s->arena, STR_FMT "/" STR_FMT, STR_ARG(tenant), STR_ARG(conf->name));

	service->conf = conf;
	service->slot = slot_acquire(s->service_slots, key);
	service->n = conf->pool_n;
	service->pools = arena_array(&s->arena, struct pool, conf->pool_n);
	for (uint32_t i = 0; i < conf->pool_n; i++)
		pool_build(s, &service->pools[i], &conf->pools[i], key, i);
}

static uint32_t count_pools(const struct conf *conf)
{
	uint32_t n = 0;

	for (uint32_t t = 0; t < conf->tenant_n; t++)
		for (uint32_t i = 0; i < conf->tenants[t].service_n; i++)
			n += conf->tenants[t].services[i].pool_n;
	return n;
}

struct snapshot *snapshot_build(struct conf **conf, uint64_t generation, struct backend_registry *backends,
	struct slots *pool_slots, struct slots *service_slots)
{
	struct snapshot *s = calloc(1, sizeof(*s));

	MUST(s);
	s->magic = SNAPSHOT_MAGIC;
	s->generation = generation;
	s->conf = TAKE(conf);
	s->backends = backends;
	s->pool_slots = pool_slots;
	s->service_slots = service_slots;
	arena_init(&s->arena, NULL);
	s->pools = arena_array(&s->arena, struct pool *, count_pools(s->conf));
	s->tenants = arena_array(&s->arena, struct tenant, s->conf->tenant_n);
	for (uint32_t t = 0; t < s->conf->tenant_n; t++) {
		const struct conf_tenant *ct = &s->conf->tenants[t];

		s->tenants[t].conf = ct;
		s->tenants[t].index = t;
		s->tenants[t].services = arena_array(&s->arena, struct service, ct->service_n);
		for (uint32_t i = 0; i < ct->service_n; i++)
			service_build(s, &s->tenants[t].services[i], &ct->services[i], ct->name);
	}
	s->router = router_build(&s->arena, s->conf, s->tenants);
	return s;
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
	for (uint32_t t = 0; t < s->conf->tenant_n; t++)
		for (uint32_t i = 0; i < s->tenants[t].conf->service_n; i++)
			slot_release(s->service_slots, s->tenants[t].services[i].slot);
	arena_free(&s->arena);
	conf_free(s->conf);
	free(s);
}
