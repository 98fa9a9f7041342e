/* upstream/balance_random.c - at random, by weight. */
#include "upstream/balance.h"

uint32_t balance_random_but(const struct candidates *c, uint32_t except)
{
	uint64_t total = 0, at, now_ms = c->loop->now_ms;

	for (uint32_t i = 0; i < c->pool->n; i++)
		if (i != except && is_candidate(c, i))
			total += backend_weight_now(c->pool, i, now_ms);
	if (total == 0)
		return BALANCE_NOBODY;
	at = loop_random(c->loop) % total;
	for (uint32_t i = 0; i < c->pool->n; i++) {
		uint64_t weight;

		if (i == except || !is_candidate(c, i))
			continue;
		weight = backend_weight_now(c->pool, i, now_ms);
		if (at < weight)
			return i;
		at -= weight;
	}
	return BALANCE_NOBODY;
}

static uint32_t pick(struct balance_state *state, const struct candidates *c)
{
	(void)state;
	return balance_random_but(c, BALANCE_NOBODY);
}

const struct balancer balance_random = {"random", pick};
