/* modules/auth.h - how the modules that ask who somebody is work together: access, jwt, basic_auth, forward_auth, met in this order.
 *
 * Each must be content, unless `access` says `satisfy: any`: then the first that is content is enough, and whoever is the last to ask
 * turns the request away. What they agree on stands in access's word of the request. */
#ifndef WEIR_MODULES_AUTH_H
#define WEIR_MODULES_AUTH_H

#include "exchange/module.h"

enum auth_mark {
	AUTH_ALL = 0, /* everyone must be content */
	AUTH_ANY, /* one is enough, and nobody has been yet */
	AUTH_GRANTED, /* one was */
};

/* Has another one been content already, so that this one need not look? */
bool auth_is_granted(const struct module_call *c);
/* Content. Returns the verdict. */
int auth_grant(const struct module_call *c);
/* Not content: why, unless another one behind this one may still be. challenge: for WWW-Authenticate, or empty; borrowed. */
int auth_refuse(const struct module_call *c, enum reason why, struct str challenge);

/* Is there more than one field of that name? Credentials are one (RFC 9110 11.6.2); of several a backend could take another one for the one
 * that was verified. */
bool auth_has_several(const struct head *request, struct str name);

#endif
