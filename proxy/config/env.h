/* config/env.h - the environment in scalars: ${NAME}, ${NAME:-default}, and $${ for a literal ${. */
#ifndef WEIR_CONFIG_ENV_H
#define WEIR_CONFIG_ENV_H

#include "base/arena.h"
#include "base/str.h"

/* `in` with every reference replaced, NUL-terminated in the arena. An unset variable without a default, and a
 * reference without an end or with a malformed name, are errors: `*problem` becomes their text (in the arena) and the
 * result is `in`. A default also stands in for a variable that is set but empty, as in the shell; it is taken literally. */
struct str env_expand(struct arena *a, struct str in, const char **problem);

#endif
