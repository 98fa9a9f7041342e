/* control/verify.h - what is checked of a configuration beyond its text: certificates, keys, authorities, ciphers.
 *
 * The same for `weir check`, the start and a reload, so that what passes the one cannot fail the other. */
#ifndef WEIR_CONTROL_VERIFY_H
#define WEIR_CONTROL_VERIFY_H

#include "config/conf.h"
#include "exchange/module_set.h"
#include "io/cert_store.h"

/* The certificates of each listener of a configuration, beside conf->listeners; NULL where it is plain. */
struct cert_stores {
	struct cert_store **v;
	uint32_t n;
	struct cert_store *admin; /* of admin.listen; NULL: plain */
};

/* A configuration that is served, and its certificates: what has not changed is taken over. */
struct verified {
	const struct conf *conf;
	const struct cert_stores *stores;
	const struct module_set *modules;
};

/* Reads all TLS material that c names, has its modules built, and adds to r what is wrong with them. False when r holds an error, an
 * older one included. before: NULL, or what is served now. homes: of modules, or NULL where nothing runs. stores, modules: NULL, or where to leave the certificates and a
 * reference to the modules (NULL: it names none), whatever the outcome. Binds nothing. */
bool conf_verify(const struct conf *c, const struct verified *before, struct module_homes *homes,
	struct cert_stores *stores, struct module_set **modules, struct conf_report *r);
void cert_stores_free(struct cert_stores *s);
/* Says on standard error why weir has not started with that file. */
void conf_tell_not_started(const char *file, const struct conf_report *r);

#endif
