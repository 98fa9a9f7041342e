/* control/admin/routes.c - all there is: a table for each noun, in the file of its handlers. */
#include "control/admin/routes.h"

const struct admin_route *const admin_tables[] = {
	life_routes,
	metrics_routes,
	requests_routes,
	status_routes,
	NULL,
};
