/* config/backend_address.h - what a backend may be called: an address, or something that addresses are found by.
 *
 *   10.0.0.1:8080  [fd00::1]:8080  unix:/run/app.sock     one address
 *   dns:NAME:PORT                                         all A and AAAA records of the name
 *   srv:_http._tcp.NAME                                   its SRV records (RFC 2782): targets, ports, weights, priorities
 *   file:PATH                                             a list of any of these in a file */
#ifndef WEIR_CONFIG_BACKEND_ADDRESS_H
#define WEIR_CONFIG_BACKEND_ADDRESS_H

#include "config/conf.h"

#define BACKEND_NAME_MAX 253 /* of a host (RFC 1035 2.3.4, as text) */
#define BACKEND_PATH_MAX 512 /* of a file: */

#define BACKEND_WEIGHT_MAX 1000000u /* of an address, however it was found */

/* Fills b's address and what it stands for, texts in the arena; weight and the rest are left alone. Paths stay as they are. False, and
 * why not in *why (static, to follow the text), when it is none of these. */
bool backend_address_parse(struct arena *a, struct str text, struct conf_backend *b, const char **why);
/* What has been found by an entry, as a member of the entry's pool: what the entry says holds for it, unless it says more; weights are
 * multiplied (up to BACKEND_WEIGHT_MAX), priorities added up. */
struct conf_backend backend_inherit(struct conf_backend found, const struct conf_backend *entry);
/* One address, for b, without a name. */
void backend_address_set(struct arena *a, struct conf_backend *b, const struct addr *addr);

#endif
