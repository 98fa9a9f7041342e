/* modules/pattern.h - texts with stars, as configurations name subjects and origins. */
#ifndef WEIR_MODULES_PATTERN_H
#define WEIR_MODULES_PATTERN_H

#include "exchange/module.h"

/* Does s as a whole look like the pattern? `*` stands for any bytes, also none; every other byte for itself.
 * A comma or plus behind a backslash, which is part of a name, is not one that stands between two: nobody gets into an organisation
 * by having its name in his own. */
bool pattern_has(struct str pattern, struct str s);
bool patterns_have(const struct conf_strs *patterns, struct str s);

#endif
