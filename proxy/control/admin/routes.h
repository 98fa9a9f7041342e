/* control/admin/routes.h - the tables of routes, each defined in the file that it is named after: life_routes in life.c. */
#ifndef WEIR_CONTROL_ADMIN_ROUTES_H
#define WEIR_CONTROL_ADMIN_ROUTES_H

#include "control/admin/admin.h"

/* Each ends with a row without a path. */
extern const struct admin_route life_routes[], metrics_routes[], requests_routes[], status_routes[];

#endif
