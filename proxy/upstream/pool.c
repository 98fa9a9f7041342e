#include "upstream/pool.h"

struct pool_census pool_census(const struct pool *p)
{
	struct pool_census census = {0};

	for (uint32_t i = 0; i < p->n; i++) {
		switch (backend_state(p->backends[i])) {
		case BACKEND_UP:
			census.up++;
			break;
		case BACKEND_CHECKING:
			census.checking++;
			break;
		default:
			census.down++;
			break;
		}
	}
	return census;
}

bool pool_panics(const struct pool *p, struct pool_census census)
{
	uint64_t checked = (uint64_t)census.up + census.down;

	return census.down > 0 && census.up * 10000ull < checked * p->conf->policy.panic_threshold;
}
