/* upstream/balance_least_request.c - of two backends chosen at random by weight, the one with fewer requests in flight for its
 * weight. Two choices come close to knowing all of them, and do not send everybody to the one that just came back. */
#include "upstream/balance.h"

static uint32_t pick(struct balance_state *state, const struct candidates *c)
{
	uint32_t a = balance_random.pick(state, c), b = balance_random.pick(state, c);
	uint64_t load_a, load_b;

	if (a == b)
		return a;
	/* Compared as load+1 over weight, crosswise: a heavier one may have more. */
	load_a = (c->load(c->ctx, c->pool->backends[a]) + 1ull) * c->pool->conf->backends[b].weight;
	load_b = (c->load(c->ctx, c->pool->backends[b]) + 1ull) * c->pool->conf->backends[a].weight;
	return load_b < load_a ? b : a;
}

const struct balancer balance_least_request = {"least_request", pick};
