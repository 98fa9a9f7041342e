#include "upstream/zone.h"

#include "base/obj.h"
#include "upstream/balance.h"

uint32_t zone_share(uint64_t usable, uint64_t all)
{
	return all == 0 ? 0
			: (uint32_t)MIN(usable * ZONE_OVERPROVISION * ZONE_WHOLE / (all * 100), ZONE_WHOLE);
}

/* The upper bits of a key say its slot under hash, the lowest ones whether it has come home: these are in between. */
static uint32_t draw(const struct candidates *c)
{
	uint64_t bits = c->has_key ? c->key >> 16 : loop_random(c->loop);

	return (uint32_t)(bits % ZONE_WHOLE);
}

enum zone_side zone_pick(const struct candidates *c)
{
	const struct pool *p = c->pool;
	uint64_t own = 0, own_usable = 0, others_usable = 0;
	uint32_t share;

	/* When everybody is tried because health is no longer believed, where they are says nothing either. */
	if (!p->in_zone || c->panic)
		return ZONE_ANY;
	for (uint32_t i = 0; i < p->n; i++) {
		bool usable;

		if (pool_has_groups(p) && p->members[i].priority != c->priority)
			continue;
		usable = c->usable(c->ctx, p->backends[i]);
		if (p->in_zone[i]) {
			own += p->members[i].weight;
			own_usable += usable ? p->members[i].weight : 0;
		} else {
			others_usable += usable ? p->members[i].weight : 0;
		}
	}
	if (own_usable == 0 || others_usable == 0)
		return ZONE_ANY;
	share = zone_share(own_usable, own);
	return share == ZONE_WHOLE || draw(c) < share ? ZONE_OWN : ZONE_OTHERS;
}
