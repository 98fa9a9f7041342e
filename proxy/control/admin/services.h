/* control/admin/services.h - finding a service, and what is told of it. */
#ifndef WEIR_CONTROL_ADMIN_SERVICES_H
#define WEIR_CONTROL_ADMIN_SERVICES_H

#include "control/admin/admin.h"
#include "route/router.h"

/* NULL: there is none. *of: its tenant. */
const struct service *service_find(
	const struct control *c, struct str tenant, struct str name, const struct tenant **of);
/* The service that {t} and {s} of the path name; NULL: 404 has been answered. */
const struct service *service_asked(struct admin_request *rq, const struct tenant **of);
/* NULL: the service has no such pool. */
const struct pool *pool_find(const struct service *s, struct str name);
/* The pool {p} of that service, which goes to *of; NULL: 404 has been answered. */
const struct pool *pool_asked(struct admin_request *rq, const struct service **of);
/* "acme/shop", as the path names it; valid as long as the request, whatever a reload does meanwhile. */
struct str service_key_asked(struct admin_request *rq);
/* {tenant, service, version, lease, shift, deploy, hold, pools: [{name, weight, runtime_weight, effective_weight, state, ..., backends: [...]}]} */
json_t *service_document(struct control *c, const struct tenant *t, const struct service *s);
/* {length_ms, left_ms, returns_to: {pool: weight, or null: the file's}}, or null: its weights are for good. */
json_t *lease_document(const struct control *c, const struct service *s);
/* Goes up with every change of what the document says of weights and states. */
uint64_t service_version(const struct control *c, const struct service *s);

#endif
