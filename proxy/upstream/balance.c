#include "upstream/balance.h"

#include <stdlib.h>

const struct balancer *balancer_of(uint8_t balance)
{
	static const struct balancer *const balancers[] = {
		[CONF_ROUND_ROBIN] = &balance_round_robin,
		[CONF_LEAST_REQUEST] = &balance_least_request,
		[CONF_RANDOM] = &balance_random,
		[CONF_HASH] = &balance_hash,
		[CONF_EWMA] = &balance_ewma,
	};

	return balancers[balance];
}

/* The lowest number under which there is anybody; any if there is not. */
static uint8_t first_usable_group(const struct candidates *c)
{
	uint32_t lowest = CONF_PRIORITIES - 1;

	for (uint32_t i = 0; i < c->pool->n; i++)
		if (c->pool->members[i].priority < lowest && c->usable(c->ctx, c->pool->backends[i]))
			lowest = c->pool->members[i].priority;
	return (uint8_t)lowest;
}

uint32_t balance_pick(struct balance_state *state, struct candidates *c)
{
	c->priority = pool_has_groups(c->pool) ? first_usable_group(c) : 0;
	c->side = (uint8_t)zone_pick(c);
	return balancer_of(c->pool->conf->policy->balance)->pick(state, c);
}

void balance_state_free(struct balance_state *state)
{
	free(state->credit);
	free(state->taken);
	free(state->table);
	*state = (struct balance_state){0};
}
