/* modules/pattern.h - texts with stars, as configurations name subjects and origins. */
#ifndef WEIR_MODULES_PATTERN_H
#define WEIR_MODULES_PATTERN_H

#include "exchange/module.h"

/* Does s as a whole look like the pattern? `*` stands for any bytes, also none; every other byte for itself. */
bool pattern_has(struct str pattern, struct str s);
bool patterns_have(const struct conf_strs *patterns, struct str s);

#endif
