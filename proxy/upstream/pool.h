/* upstream/pool.h - one version of a service: its backends and how they are used. Const, part of a snapshot. */
#ifndef WEIR_UPSTREAM_POOL_H
#define WEIR_UPSTREAM_POOL_H

#include "upstream/backend.h"

struct pool {
	const struct conf_pool *conf;
	struct slot *slot; /* its key is "acme/shop/blue"; where workers keep their balancing state */
	uint32_t index; /* in the service's pools */
	uint32_t n;
	struct backend **backends; /* in declared order, beside conf->backends */
};

/* How many of its backends are in which state now. */
struct pool_census {
	uint32_t up, down, checking;
};

struct pool_census pool_census(const struct pool *p);
/* Are so few up (panic_threshold) that health is no longer a guide, and all are tried? When most of a pool fails its checks it is
 * more likely that the checks are wrong, or that the rest would drown. New backends do not count until they have been checked. */
bool pool_panics(const struct pool *p, struct pool_census census);

#endif
