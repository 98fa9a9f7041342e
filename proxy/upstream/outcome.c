#include "upstream/outcome.h"

#include <stdlib.h>
#include <string.h>
#include "base/obj.h"

struct outcomes *outcomes_new(uint32_t worker_n)
{
	size_t size = sizeof(struct outcomes) + worker_n * sizeof(struct outcome_tally);
	struct outcomes *o = aligned_alloc(_Alignof(struct outcomes), size);

	MUST(o);
	memset(o, 0, size);
	o->worker_n = worker_n;
	return o;
}

void outcomes_sum(const struct outcomes *o, uint32_t *requests, uint32_t *failures)
{
	*requests = *failures = 0;
	for (uint32_t i = 0; i < o->worker_n; i++) {
		*requests += atomic_load_explicit(&o->tallies[i].requests, memory_order_relaxed);
		*failures += atomic_load_explicit(&o->tallies[i].failures, memory_order_relaxed);
	}
}

/* With one writer a load and a store are enough, and cheaper than an atomic addition. */
static void add_one(_Atomic uint32_t *n)
{
	atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + 1, memory_order_relaxed);
}

bool outcome_failed(struct outcomes *o, uint32_t worker, enum outcome_kind kind, uint32_t threshold)
{
	_Atomic uint32_t *streak = &o->streak[kind];

	add_one(&o->tallies[worker].requests);
	add_one(&o->tallies[worker].failures);
	if (atomic_fetch_add_explicit(streak, 1, memory_order_relaxed) + 1 < threshold)
		return false;
	/* Several workers may come here at once: the one that takes the row tells of it. */
	return atomic_exchange_explicit(streak, 0, memory_order_relaxed) >= threshold;
}

/* The line is shared by all workers: not written while there is nothing to say. */
static void end_streak(_Atomic uint32_t *streak)
{
	if (atomic_load_explicit(streak, memory_order_relaxed))
		atomic_store_explicit(streak, 0, memory_order_relaxed);
}

void outcome_answered(struct outcomes *o)
{
	end_streak(&o->streak[OUTCOME_ANSWER]);
}

void outcome_completed(struct outcomes *o, uint32_t worker, bool failed)
{
	end_streak(&o->streak[OUTCOME_LOCAL]);
	if (!failed)
		add_one(&o->tallies[worker].requests);
}
