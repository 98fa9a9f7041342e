/* control/verify.h - what is checked of a configuration beyond its text: certificates, keys, authorities, ciphers.
 *
 * The same for `weir check`, the start and a reload, so that what passes the one cannot fail the other. */
#ifndef WEIR_CONTROL_VERIFY_H
#define WEIR_CONTROL_VERIFY_H

#include "config/conf.h"

/* Reads all TLS material that c names and adds to r what is wrong with it. False when r holds an error, an older one included.
 * Binds nothing, keeps nothing. */
bool conf_verify(const struct conf *c, struct conf_report *r);

#endif
