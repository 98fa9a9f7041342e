/* control/admin/routes.h - the tables of routes, each defined in the file that it is named after: event_routes in events.c. */
#ifndef WEIR_CONTROL_ADMIN_ROUTES_H
#define WEIR_CONTROL_ADMIN_ROUTES_H

#include "control/admin/admin.h"

/* Each ends with a row without a path. */
extern const struct admin_route dashboard_routes[], event_routes[], explain_routes[], life_routes[],
	metrics_routes[], openapi_routes[], process_routes[], requests_routes[], service_routes[],
	status_routes[];
extern const struct admin_route drain_routes[], listener_routes[], history_routes[], hold_routes[],
	pool_routes[], weights_routes[];
extern const struct admin_route deploy_routes[], shift_routes[];

#endif
