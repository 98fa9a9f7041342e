/* upstream/balance_ewma.c - peak EWMA: of two backends drawn at random by weight, the one that would begin its answer sooner, as
 * its average latency and the requests in flight to it suggest. Backends that are alike share by weight. */
#include "upstream/balance.h"

/* A backend of which nothing is known is tried at once, by one request; with more in flight it counts as this slow until the first
 * answer has come. */
#define UNKNOWN_US 1000000u

static unsigned __int128 cost(const struct candidates *c, uint32_t i, uint64_t weight, uint64_t other)
{
	const struct backend *b = c->pool->backends[i];
	uint64_t latency = latency_now(c->latency(c->ctx, b), c->loop->now_us), load = c->load(c->ctx, b);

	if (latency == 0)
		latency = load ? UNKNOWN_US : 0;
	/* latency * (1 + load / weight) with the mean of both weights as the unit, times what both costs have in common. */
	return (unsigned __int128)latency * (2 * weight + load * (weight + other)) * other;
}

static uint32_t pick(struct balance_state *state, const struct candidates *c)
{
	uint32_t a = balance_random.pick(state, c), b;
	uint64_t weight_a, weight_b;

	if (a == BALANCE_NOBODY)
		return a;
	/* Another one than a: with both draws on the slowest it would keep its share squared, a ninth in a pool of three. */
	b = balance_random_but(c, a);
	if (b == BALANCE_NOBODY)
		return a;
	weight_a = backend_weight_now(c->pool, a, c->loop->now_ms);
	weight_b = backend_weight_now(c->pool, b, c->loop->now_ms);
	/* Less than a quarter is noise: the first draw stands, or the one that is a microsecond ahead would take everything. */
	return cost(c, b, weight_b, weight_a) < cost(c, a, weight_a, weight_b) * 4 / 5 ? b : a;
}

const struct balancer balance_ewma = {"ewma", pick};
