/* modules/base64url.h - RFC 4648 5, without padding, and only in its one canonical form. */
#ifndef WEIR_MODULES_BASE64URL_H
#define WEIR_MODULES_BASE64URL_H

#include "exchange/module.h"

/* How many bytes it was; 0: none, it is malformed, or longer than room. */
size_t base64url_decode(struct str text, uint8_t *bytes, size_t room);

#endif
