/* upstream/balance_least_request.c - of two backends chosen at random by weight, the one with fewer requests in flight for its
 * weight. Two choices come close to knowing all of them, and do not send everybody to the one that just came back. */
#include "upstream/balance.h"

static uint32_t pick(struct balance_state *state, const struct candidates *c)
{
	uint32_t a = balance_random.pick(state, c), b = balance_random.pick(state, c);
	uint64_t load_a, load_b;

	if (a == b)
		return a;
	/* Load over weight, compared crosswise. When both are idle the first draw stands: it followed the weights, and a second look
	 * at them would give the heavy one more than its share. */
	load_a = (uint64_t)c->load(c->ctx, c->pool->backends[a]) *
		 backend_weight_now(c->pool, b, c->loop->now_ms);
	load_b = (uint64_t)c->load(c->ctx, c->pool->backends[b]) *
		 backend_weight_now(c->pool, a, c->loop->now_ms);
	return load_b < load_a ? b : a;
}

const struct balancer balance_least_request = {"least_request", pick};
