/* route/service.h - a tenant's application: its pools and how new users are divided among them. Const, part of a snapshot. */
#ifndef WEIR_ROUTE_SERVICE_H
#define WEIR_ROUTE_SERVICE_H

#include "upstream/pool.h"

struct service {
	const struct conf_service *conf;
	struct slot *slot; /* its key is "acme/shop"; where workers keep their split state */
	uint32_t n;
	struct pool *pools; /* in declared order */
};

#endif
