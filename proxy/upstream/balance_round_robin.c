/* upstream/balance_round_robin.c - smooth weighted round robin: every turn each usable backend earns its weight, the richest is
 * taken and pays the sum of all weights. Weights 5,1,1 give A A B A C A A, not A A A A A B C. */
#include <stdlib.h>
#include "base/obj.h"
#include "upstream/balance.h"

static void begin(struct balance_state *state, const struct candidates *c)
{
	uint32_t first;
	int64_t total = 0;

	balance_state_free(state);
	state->credit = calloc(c->pool->n, sizeof(*state->credit));
	MUST(state->credit);
	state->n = c->pool->n;
	state->fingerprint = c->pool->fingerprint;
	/* The first turn falls at random by weight, or many workers, and many fresh starts, would all begin with the heaviest. */
	first = balance_random.pick(state, c);
	for (uint32_t i = 0; i < state->n; i++)
		total += backend_weight_now(c->pool, i, c->loop->now_ms);
	if (first != BALANCE_NOBODY)
		state->credit[first] = total;
}

static uint32_t pick(struct balance_state *state, const struct candidates *c)
{
	uint32_t best = BALANCE_NOBODY;
	int64_t total = 0;

	if (c->pool->n == 0)
		return BALANCE_NOBODY;
	if (state->fingerprint != c->pool->fingerprint || state->n != c->pool->n || !state->credit)
		begin(state, c);
	for (uint32_t i = 0; i < state->n; i++) {
		uint32_t weight;

		if (!is_candidate(c, i))
			continue;
		weight = backend_weight_now(c->pool, i, c->loop->now_ms);
		state->credit[i] += weight;
		total += weight;
		if (best == BALANCE_NOBODY || state->credit[i] > state->credit[best])
			best = i;
	}
	if (best != BALANCE_NOBODY)
		state->credit[best] -= total;
	return best;
}

const struct balancer balance_round_robin = {"round_robin", pick};
