/* modules/base64.h - RFC 4648, only in its one canonical form: what a backend would read in another way is not read at all. */
#ifndef WEIR_MODULES_BASE64_H
#define WEIR_MODULES_BASE64_H

#include "exchange/module.h"

/* RFC 4648 4, padded. How many bytes it was; 0: none, it is malformed, or longer than room. */
size_t base64_decode(struct str text, uint8_t *bytes, size_t room);
/* RFC 4648 5, without padding. Likewise. */
size_t base64url_decode(struct str text, uint8_t *bytes, size_t room);

#endif
