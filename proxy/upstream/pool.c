#include "upstream/pool.h"

struct pool_census pool_census(const struct pool *p)
{
	struct pool_census census = {0};

	for (uint32_t i = 0; i < p->n; i++)
		if (!backend_draining(p->backends[i]))
			++*pool_census_of(&census, backend_standing(p->backends[i]));
	return census;
}

bool pool_panics(const struct pool *p, struct pool_census census)
{
	uint64_t checked = (uint64_t)census.up + census.down;

	if (census.up == 0 && census.checking > 0)
		return false;
	if (pool_has_groups(p) && census.up > 0)
		return false;
	return census.down > 0 && census.up * 10000ull < checked * p->conf->policy->panic_threshold;
}
