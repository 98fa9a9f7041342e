/* upstream/balance_least_request.c - of two backends chosen at random by weight, the one with fewer requests in flight for its
 * weight. Two choices come close to knowing all of them, and do not send everybody to the one that just came back.
 *
 * A difference of one request is none: it would be the other way round with the one at hand. Then that one takes it which is behind with
 * its share, so that backends which are as fast as each other get their weights to within a percent, however few requests are under way:
 * with two at a time, the mere look at who is idle would take a tenth from the heaviest of 5, 3 and 2. */
#include <stdlib.h>
#include "base/obj.h"
#include "upstream/balance.h"

/* One turn, in units of turns over weight. Weights are SLOW_START_WHOLE times those of the configuration. */
#define TURN (1ull << 36)

/* Who has been away, or was busy for long, does not get all of it back: so many turns at most. */
#define TURNS_OWED 4

static void remember(struct balance_state *state, uint32_t n)
{
	free(state->taken);
	state->taken = calloc(n, sizeof(*state->taken));
	MUST(state->taken);
	state->taken_n = n;
}

/* Would it still have fewer requests for its weight than the other, if it took this one? Compared crosswise. */
static bool is_idler(uint64_t load, uint64_t weight, uint64_t other_load, uint64_t other_weight)
{
	return (load + 1) * other_weight < other_load * weight;
}

/* Is a not ahead of b? Whoever is too far behind is moved up. */
static bool is_behind(uint64_t *taken, uint32_t a, uint32_t b, uint64_t most)
{
	int64_t ahead = (int64_t)(taken[a] - taken[b]);

	if (ahead > (int64_t)most)
		taken[b] = taken[a] - most;
	else if (-ahead > (int64_t)most)
		taken[a] = taken[b] - most;
	return ahead <= 0;
}

static uint32_t choose(struct balance_state *state, const struct candidates *c, uint32_t a, uint32_t b)
{
	uint64_t weight_a = backend_weight_now(c->pool, a, c->loop->now_ms);
	uint64_t weight_b = backend_weight_now(c->pool, b, c->loop->now_ms);
	uint64_t load_a = c->load(c->ctx, c->pool->backends[a]);
	uint64_t load_b = c->load(c->ctx, c->pool->backends[b]);

	if (is_idler(load_a, weight_a, load_b, weight_b))
		return a;
	if (is_idler(load_b, weight_b, load_a, weight_a))
		return b;
	return is_behind(state->taken, a, b, TURNS_OWED * TURN / MIN(weight_a, weight_b)) ? a : b;
}

static uint32_t pick(struct balance_state *state, const struct candidates *c)
{
	uint32_t a = balance_random.pick(state, c), b;

	if (a == BALANCE_NOBODY)
		return a;
	if (state->taken_n != c->pool->n)
		remember(state, c->pool->n);
	b = balance_random_but(
		c, a); /* the same twice would be no choice: of two backends, every other time */
	if (b != BALANCE_NOBODY)
		a = choose(state, c, a, b);
	state->taken[a] += TURN / backend_weight_now(c->pool, a, c->loop->now_ms);
	return a;
}

const struct balancer balance_least_request = {"least_request", pick};
