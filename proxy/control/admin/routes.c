/* control/admin/routes.c - all there is: a table for each noun, in the file of its handlers. */
#include "control/admin/routes.h"

const struct admin_route *const admin_tables[] = {
	dashboard_routes,
	event_routes,
	explain_routes,
	life_routes,
	metrics_routes,
	openapi_routes,
	process_routes,
	requests_routes,
	service_routes,
	status_routes,
	drain_routes,
	listener_routes,
	history_routes,
	hold_routes,
	pool_routes,
	weights_routes,
	deploy_routes,
	shift_routes,
	NULL,
};
