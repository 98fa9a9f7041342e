/* upstream/balance_hash.c - the same backend for the same key, with bounded load: a Maglev table (Eisenbud et al., NSDI 2016).
 *
 * Maglev rather than a ring: its shares are the weights to within a slot, where a ring of some hundred points each is off by a
 * tenth, and a lookup is one read. The price is that a change of the configured backends or weights also moves one or two in a
 * hundred of the keys that need not move; a backend that goes down or comes back moves only its own, for the table has all that are
 * configured, and a key whose backend cannot take it tries other slots in an order of its own.
 *
 * Nobody takes more than HASH_LOAD_BOUND percent of the mean load (Mirrokni et al., "Consistent Hashing with Bounded Loads"). */
#include <stdlib.h>
#include "base/map.h"
#include "base/obj.h"
#include "upstream/balance.h"

#define SLOTS_PER_WEIGHT 128 /* backends differ by one slot at most: under 1% of a share */

/* The largest primes below powers of two: any step through the table visits all of it. Few, because keys are placed anew when a pool
 * grows from one to the next; and none above, because building that one takes milliseconds: beyond 512 units of weight the shares
 * get coarser instead. */
static const uint32_t sizes[] = {4093, 65521};

static uint32_t gcd(uint32_t a, uint32_t b)
{
	while (b) {
		uint32_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

static uint32_t size_for(const struct pool *pool)
{
	uint64_t sum = 0, want;
	uint32_t common = 0, i = 0;

	for (uint32_t b = 0; b < pool->n; b++) {
		sum += pool->members[b].weight;
		common = gcd(pool->members[b].weight, common);
	}
	want = sum / MAX(common, 1) * SLOTS_PER_WEIGHT;
	while (i < COUNT_OF(sizes) - 1 && sizes[i] < want)
		i++;
	return sizes[i];
}

/* One backend's way through the table. */
struct walk {
	uint32_t at, step;
	uint32_t credit; /* earned, not yet a turn's worth */
};

static struct walk *walks_begin(const struct pool *pool, uint32_t size)
{
	struct walk *walks = calloc(pool->n, sizeof(*walks));

	MUST(walks);
	for (uint32_t i = 0; i < pool->n; i++) {
		struct str name = pool->backends[i]->address;

		walks[i].at = (uint32_t)(hash_bytes(name.p, name.n, 1) % size);
		walks[i].step = (uint32_t)(hash_bytes(name.p, name.n, 2) % (size - 1)) + 1;
	}
	return walks;
}

/* In turns, each backend takes the next slot on its way that is still free; the heaviest has a turn in every round. */
static void table_fill(uint32_t *table, uint32_t size, const struct pool *pool)
{
	struct walk *walks = walks_begin(pool, size);
	uint32_t heaviest = 1, filled = 0;

	for (uint32_t i = 0; i < pool->n; i++)
		heaviest = MAX(heaviest, pool->members[i].weight);
	memset(table, 0xff, size * sizeof(*table));
	while (filled < size) {
		for (uint32_t i = 0; i < pool->n && filled < size; i++) {
			struct walk *w = &walks[i];

			w->credit += pool->members[i].weight;
			if (w->credit < heaviest)
				continue;
			w->credit -= heaviest;
			while (table[w->at] != BALANCE_NOBODY)
				w->at = (w->at + w->step) % size;
			table[w->at] = i;
			filled++;
		}
	}
	free(walks);
}

static void table_build(struct balance_state *state, const struct pool *pool)
{
	free(state->table); /* nothing else: requests without a key have a memory there too */
	state->table_size = size_for(pool);
	state->table = malloc(state->table_size * sizeof(*state->table));
	MUST(state->table);
	state->fingerprint = pool->fingerprint;
	state->n = pool->n;
	table_fill(state->table, state->table_size, pool);
}

/* Which of its keys a backend that warms up already takes: always the same, and more of them as its share grows. */
static bool has_come_home(const struct candidates *c, uint32_t i)
{
	uint32_t share = backend_weight_now(c->pool, i, c->loop->now_ms) / c->pool->members[i].weight;

	return share == SLOW_START_WHOLE || c->key % SLOW_START_WHOLE < share;
}

/* What everybody has together. */
struct sum {
	uint64_t weight, load;
};

static struct sum sum_up(const struct candidates *c)
{
	struct sum all = {0};

	for (uint32_t i = 0; i < c->pool->n; i++) {
		if (!is_candidate(c, i))
			continue;
		all.weight += backend_weight_now(c->pool, i, c->loop->now_ms);
		all.load += c->load(c->ctx, c->pool->backends[i]);
	}
	return all;
}

/* Would one more request bring it above the bound, rounded up? */
static bool is_full(const struct candidates *c, uint32_t i, const struct sum *all)
{
	uint64_t weight = backend_weight_now(c->pool, i, c->loop->now_ms);
	uint64_t load = c->load(c->ctx, c->pool->backends[i]);

	return load >= HASH_LOAD_FREE &&
	       load * all->weight * 100 >= (all->load + 1) * weight * HASH_LOAD_BOUND;
}

static uint32_t pick(struct balance_state *state, const struct candidates *c)
{
	uint32_t at, step, i;
	struct sum all;

	if (c->pool->n == 0)
		return BALANCE_NOBODY;
	if (!c->has_key)
		return balance_least_request.pick(state, c);
	if (!state->table || state->fingerprint != c->pool->fingerprint || state->n != c->pool->n)
		table_build(state, c->pool);
	/* The table is read by the upper bits, has_come_home() by the lower ones. */
	at = (uint32_t)((c->key >> 32) * state->table_size >> 32);
	i = state->table[at];
	if (is_candidate(c, i) && has_come_home(c, i) &&
		c->load(c->ctx, c->pool->backends[i]) < HASH_LOAD_FREE)
		return i;
	all = sum_up(c);
	if (all.weight == 0)
		return BALANCE_NOBODY;
	/* Each key has a way of its own, or a backend's keys would all go to its neighbours in the table. */
	step = (uint32_t)c->key % (state->table_size - 1) + 1;
	for (uint32_t tries = 0; tries < state->table_size; tries++) {
		i = state->table[at];
		if (is_candidate(c, i) && has_come_home(c, i) && !is_full(c, i, &all))
			return i;
		at = (at + step) % state->table_size;
	}
	/* Everybody who could warms up. */
	return balance_least_request.pick(state, c);
}

const struct balancer balance_hash = {"hash", pick};
