/* upstream/balance_random.c - at random, by weight. */
#include "upstream/balance.h"

static uint32_t pick(struct balance_state *state, const struct candidates *c)
{
	uint64_t total = 0, at;

	(void)state;
	for (uint32_t i = 0; i < c->pool->n; i++)
		if (c->usable(c->ctx, c->pool->backends[i]))
			total += c->pool->conf->backends[i].weight;
	if (total == 0)
		return BALANCE_NOBODY;
	at = loop_random(c->loop) % total;
	for (uint32_t i = 0; i < c->pool->n; i++) {
		uint64_t weight = c->pool->conf->backends[i].weight;

		if (!c->usable(c->ctx, c->pool->backends[i]))
			continue;
		if (at < weight)
			return i;
		at -= weight;
	}
	return BALANCE_NOBODY;
}

const struct balancer balance_random = {"random", pick};
