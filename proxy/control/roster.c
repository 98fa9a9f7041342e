#include "control/roster.h"

#include "control/control.h"

static struct roster members(void *ctx, struct str pool_key, const struct conf_pool *conf)
{
	struct control *c = ctx;
	struct roster set = {.lookup = POOL_KNOWN};

	if (runtime_members(&c->runtime, pool_key, &set.v, &set.n))
		return set;
	return (struct roster){conf->backends, conf->backend_n, POOL_KNOWN};
}

struct roster_source roster_source_of(struct control *c)
{
	return (struct roster_source){members, c};
}
