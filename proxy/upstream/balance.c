#include "upstream/balance.h"

#include <stdlib.h>

const struct balancer *balancer_of(uint8_t balance)
{
	switch ((enum conf_balance)balance) {
	case CONF_LEAST_REQUEST:
		return &balance_least_request;
	case CONF_RANDOM:
		return &balance_random;
	default:
		return &balance_round_robin;
	}
}

void balance_state_free(struct balance_state *state)
{
	free(state->credit);
	*state = (struct balance_state){0};
}
