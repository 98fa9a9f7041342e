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

#endif
