#include "control/capacity.h"

#include <stdlib.h>
#include "base/obj.h"
#include "control/health.h"
#include "control/io_thread.h"

#define OVERPROVISIONING 140 /* percent */

/* The weight of one group of backends. */
struct group {
	uint64_t up, all;
};

uint16_t capacity_now(const struct pool *pool)
{
	struct group groups[CONF_PRIORITIES] = {0};
	uint64_t sum = 0;

	for (uint32_t i = 0; i < pool->n; i++) {
		const struct backend *b = pool->backends[i];
		struct group *g = &groups[pool->members[i].priority];

		if (backend_state(b) == BACKEND_CHECKING && b->health && b->health->joins)
			continue;
		g->all += pool->members[i].weight;
		if (backend_standing(b) == BACKEND_UP && !backend_draining(b))
			g->up += pool->members[i].weight;
	}
	for (int i = 0; i < CONF_PRIORITIES; i++)
		if (groups[i].all)
			sum += groups[i].up * POOL_WHOLE * OVERPROVISIONING / 100 / groups[i].all;
	return (uint16_t)MIN(sum, (uint64_t)POOL_WHOLE);
}

static void tell(struct capacity_engine *e, struct pool_capacity *p)
{
	bool capped = p->capacity < POOL_WHOLE;
	struct pool_census census = pool_census(p->pool);

	/* A start is no news, nor what becomes of a pool before it has been checked. */
	if (capped == p->told || census.checking > 0)
		return;
	p->told = capped;
	event_emit(e->io, capped ? CONF_LEVEL_WARNING : CONF_LEVEL_INFO,
		capped ? "pool_capped" : "pool_uncapped",
		json_pack("{s:s, s:f, s:i, s:i}", "pool", p->pool->slot->key.p, "capacity",
			p->capacity / (double)POOL_WHOLE, "pool_up", (int)census.up, "pool_size",
			(int)p->pool->n));
}

static void look(struct capacity_engine *e, struct pool_capacity *p)
{
	uint16_t now = p->counts ? capacity_now(p->pool) : POOL_WHOLE;

	if (now != p->capacity) {
		p->capacity = now;
		p->changed = true;
	}
	tell(e, p);
}

static void on_publish(struct task *t)
{
	struct capacity_engine *e = CONTAINER(t, struct capacity_engine, publish);
	const struct pool **changed = calloc(e->n + 1, sizeof(const struct pool *));
	uint32_t n = 0;

	MUST(changed);
	for (uint32_t i = 0; i < e->n; i++) {
		if (e->v[i].changed && e->v[i].pool)
			changed[n++] = e->v[i].pool;
		e->v[i].changed = false;
	}
	if (n)
		e->on_changed(e->ctx, changed, n);
	free(changed);
}

static void follow_pool(struct capacity_engine *e, const struct pool *pool, bool counts)
{
	struct pool_capacity *p = &e->v[pool->slot->number];

	if (!p->pool)
		*p = (struct pool_capacity){.capacity = POOL_WHOLE};
	p->pool = pool;
	p->counts = counts && pool->conf->spill;
	look(e, p);
	p->changed = false; /* it goes with the snapshot */
}

void capacity_follow(struct capacity_engine *e, const struct snapshot *s)
{
	struct pool_capacity *before = e->v;
	uint32_t n = e->n;

	e->n = s->pool_slots->n;
	e->v = calloc(e->n + 1, sizeof(*e->v));
	MUST(e->v);
	for (uint32_t p = 0; p < s->pool_n; p++) {
		uint32_t slot = s->pools[p]->slot->number;

		/* The snapshot before this one still holds its slots: the same slot is the same pool. */
		if (slot < n && before[slot].pool)
			e->v[slot] = before[slot];
	}
	free(before);
	for (uint32_t t = 0; t < s->conf->tenant_n; t++) {
		for (uint32_t i = 0; i < s->tenants[t].conf->service_n; i++) {
			const struct service *service = &s->tenants[t].services[i];

			for (uint32_t p = 0; p < service->n; p++)
				follow_pool(e, &service->pools[p],
					service->n > 1 && service->conf->split.capacity);
		}
	}
}

void capacity_look(struct capacity_engine *e, const struct pool *pool)
{
	struct pool_capacity *p;

	if (!e || pool->slot->number >= e->n)
		return;
	p = &e->v[pool->slot->number];
	if (p->pool != pool)
		return;
	look(e, p);
	if (p->changed)
		loop_defer(e->loop, &e->publish, LOOP_FLUSH);
}

uint16_t capacity_of(const struct capacity_engine *e, const struct pool *pool)
{
	const struct pool_capacity *p = pool->slot->number < e->n ? &e->v[pool->slot->number] : NULL;

	return p && p->pool == pool ? p->capacity : POOL_WHOLE;
}

void capacity_init(struct capacity_engine *e, struct loop *l, struct io_thread *io,
	void (*on_changed)(void *ctx, const struct pool *const *pools, uint32_t n), void *ctx)
{
	*e = (struct capacity_engine){
		.loop = l, .io = io, .publish.run = on_publish, .on_changed = on_changed, .ctx = ctx};
}

void capacity_free(struct capacity_engine *e)
{
	task_cancel(&e->publish);
	free(e->v);
	e->v = NULL;
	e->n = 0;
}
