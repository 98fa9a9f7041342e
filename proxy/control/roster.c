#include "control/roster.h"

#include "control/control.h"

static struct roster members(void *ctx, struct str pool_key, const struct conf_pool *conf)
{
	struct control *c = ctx;

	(void)pool_key;
	return discovery_expand(&c->discovery, conf->backends, conf->backend_n);
}

struct roster_source roster_source_of(struct control *c)
{
	return (struct roster_source){members, c};
}
