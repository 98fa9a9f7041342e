#include "upstream/backend_tally.h"

#include <stdlib.h>
#include "base/obj.h"

struct backend_tallies *backend_tallies_new(uint32_t worker_n)
{
	struct backend_tallies *t = calloc(1, sizeof(*t) + worker_n * sizeof(t->v[0]));

	MUST(t);
	t->n = worker_n;
	return t;
}

void backend_tallies_free(struct backend_tallies **tp)
{
	struct backend_tallies *t = TAKE(tp);

	for (uint32_t i = 0; i < t->n; i++) {
		struct backend_tally *one = atomic_load_explicit(&t->v[i], memory_order_relaxed);

		if (one)
			counters_free(one->failures, REASONS);
		free(one);
	}
	free(t);
}

struct backend_tally *backend_tally(struct backend_tallies *t, uint32_t worker)
{
	struct backend_tally *one;

	MUST(worker < t->n);
	one = atomic_load_explicit(&t->v[worker], memory_order_relaxed);
	if (one)
		return one;
	one = aligned_alloc(_Alignof(struct backend_tally), sizeof(*one));
	MUST(one);
	memset(one, 0, sizeof(*one));
	atomic_store_explicit(&t->v[worker], one, memory_order_release);
	return one;
}

bool backend_tallies_sum(const struct backend_tallies *t, struct backend_sums *sums)
{
	bool counted = false;

	*sums = (struct backend_sums){0};
	for (uint32_t i = 0; i < t->n; i++) {
		const struct backend_tally *one = atomic_load_explicit(&t->v[i], memory_order_acquire);

		if (!one)
			continue;
		counted = true;
		sums->requests += counter_get(&one->requests);
		for (uint32_t c = 0; c < BACKEND_CLASSES; c++)
			sums->responses[c] += counter_get(&one->responses[c]);
		sums->connects += counter_get(&one->connects);
		sums->connect_failures += counter_get(&one->connect_failures);
		sums->in_flight += counter_get(&one->in_flight);
		sums->connections += counter_get(&one->connections);
		counters_sum(one->failures, REASONS, sums->failures);
	}
	return counted;
}
