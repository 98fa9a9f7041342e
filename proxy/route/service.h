/* route/service.h - a tenant's application: its pools and how new users are divided among them. Const, part of a snapshot. */
#ifndef WEIR_ROUTE_SERVICE_H
#define WEIR_ROUTE_SERVICE_H

#include "upstream/pool.h"

struct tenant;

struct service {
	const struct conf_service *conf;
	const struct tenant *tenant; /* whose it is */
	struct slot *slot; /* its key is "acme/shop"; where workers keep their split state */
	uint32_t n;
	struct pool *pools; /* in declared order */
	struct str pin_cookie; /* the name of its pins; empty: no pins */
};

/* The pool of that name, or NULL. */
static inline const struct pool *service_pool(const struct service *service, struct str name)
{
	for (uint32_t i = 0; i < service->n; i++)
		if (str_eq(service->pools[i].conf->name, name))
			return &service->pools[i];
	return NULL;
}

#endif
