/* config/fields.h - the tables of fields_*.c: what may stand in the file. */
#ifndef WEIR_CONFIG_FIELDS_H
#define WEIR_CONFIG_FIELDS_H

#include "config/field.h"

/* fields_root.c */
extern const struct config_object root_object, included_object, timeouts_object, limits_object;
/* fields_resolver.c */
extern const struct config_object resolver_object;
/* fields_log.c, fields_admin.c */
extern const struct config_object log_object, admin_object;
/* fields_listener.c */
extern const struct config_object listener_object;
/* fields_tenant.c */
extern const struct config_object tenant_object;
/* fields_route.c */
extern const struct config_object route_object;
/* fields_service.c */
extern const struct config_object service_object, pool_object, backend_object;
/* The backends of a pool and nothing else of it, for those that come at run time or in a list. */
extern const struct config_object members_object;
/* fields_health.c; the type takes null for none */
extern const struct config_object health_object;
extern const struct config_type type_health;
/* fields_policy.c: the rows that a service and a pool have in common */
extern const struct config_object policy_object;

/* One entry under `tenants`. Neither node is needed afterwards. */
void tenant_add(struct parse *p, const struct node *key, const struct node *value);

/* Protocol, TLS: what must fit together once a pool's keys lie over its service's. Reported at the place of `at`. */
void policy_check(struct parse *p, const struct node *at, const struct conf_policy *policy);

/* "IP:PORT"; false after an error at v, which says what f's type expects. */
bool parse_ip_address(struct parse *p, const struct config_field *f, const struct node *v, struct str *text,
	struct addr *addr);
/* The same, or "unix:PATH" (relative paths as in parse_path()). */
bool parse_address(struct parse *p, const struct config_field *f, const struct node *v, struct str *text,
	struct addr *addr, struct str *unix_path);

/* A host in lower case: a name, "*.name", "*", or an IP address. False, and why not in *why, for anything else. */
bool host_parse(struct arena *a, struct str in, struct str *out, const char **why);

extern const struct config_type type_tenants, type_host, type_route_path, type_method;

#endif
