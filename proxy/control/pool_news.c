#include "control/pool_news.h"

#include "control/io_thread.h"

static void tell_panic(struct io_thread *io, const struct pool *p, struct pool_census now, bool panics)
{
	event_emit(io, panics ? CONF_LEVEL_WARNING : CONF_LEVEL_INFO, "panic",
		json_pack("{s:s, s:b, s:i, s:i}", "pool", p->slot->key.p, "on", panics, "pool_up",
			(int)now.up, "pool_size", (int)p->n));
}

static void tell_emptiness(struct io_thread *io, const struct pool *p, bool empty)
{
	event_emit(io, empty ? CONF_LEVEL_WARNING : CONF_LEVEL_INFO, empty ? "pool_empty" : "pool_up",
		json_pack("{s:s, s:b}", "pool", p->slot->key.p, "spills", p->conf->spill));
}

void pool_news(struct io_thread *io, const struct pool *p, struct pool_census before)
{
	struct pool_census now = pool_census(p);
	bool panics = pool_panics(p, now);

	if (panics != pool_panics(p, before))
		tell_panic(io, p, now, panics);
	if ((now.up == 0) != (before.up == 0))
		tell_emptiness(io, p, now.up == 0);
}
