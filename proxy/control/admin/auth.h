/* control/admin/auth.h - who asks and whether he may: decisions without side effects but for the rates.
 *
 * A token is never kept: its SHA-256 stands in the configuration. All of them are compared, each in constant time, so that neither the
 * place nor the length of a match can be measured. */
#ifndef WEIR_CONTROL_ADMIN_AUTH_H
#define WEIR_CONTROL_ADMIN_AUTH_H

#include "config/conf.h"
#include "http/head.h"
#include "io/cert_store.h"

/* So many a second, and so many at once. Zeroed: full. */
struct auth_rate {
	uint64_t spent_us; /* the time up to which all has been used */
};

/* Takes one. False: none left. */
bool auth_rate_take(struct auth_rate *r, uint64_t now_us, uint32_t per_second, uint32_t burst);
/* The same without taking. */
bool auth_rate_left(const struct auth_rate *r, uint64_t now_us, uint32_t per_second, uint32_t burst);

/* The token of an Authorization field (RFC 6750 2.1); empty: there is none of that kind. */
struct str auth_bearer(const struct head *head);
/* Whose token it is, or whose certificate; NULL: nobody's. subject: of the verified client certificate, or empty. */
const struct conf_token *auth_find(const struct conf_admin *conf, struct str token, struct str subject);

/* Is this a name for us? A page of some site could have its name resolved to our address (DNS rebinding) and would then send its own
 * name. store: NULL without TLS. */
bool auth_host_is_ours(const struct conf_admin *conf, const struct cert_store *store, struct str authority);
/* Does a request with these fields come from our own pages, or from no page at all (CSRF), or follow a link to us? */
bool auth_origin_is_ours(const struct head *head, bool tls);

#endif
