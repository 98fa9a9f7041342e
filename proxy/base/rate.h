/* base/rate.h - a token bucket in one word that all threads may share: the moment at which the bucket is full again (GCRA, ITU-T
 * I.371). A zeroed word is a full bucket; one whose moment has passed says nothing, and may be forgotten.
 *
 * What a token is worth is time: the time in which it comes back. Times are in nanoseconds of one clock that all callers share, and
 * that never goes back; callers whose clocks are a tick apart are a tick's worth apart in what they grant, not more. When a bucket's cost
 * or depth changes, what was taken before at other terms leaves it no emptier than empty. */
#ifndef WEIR_BASE_RATE_H
#define WEIR_BASE_RATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* More than any two callers' clocks are apart: what is beyond it was taken at other terms. */
#define RATE_CLOCKS_APART 1000000000ull

/* Takes tokens worth `cost` from a bucket of `depth`, if they are there: 0, or how long until they will be. cost <= depth. */
static inline uint64_t rate_take(_Atomic uint64_t *full_at, uint64_t cost, uint64_t depth, uint64_t now)
{
	uint64_t was = atomic_load_explicit(full_at, memory_order_relaxed), next;

	do {
		if (was > now + depth + RATE_CLOCKS_APART) {
			atomic_compare_exchange_strong_explicit(
				full_at, &was, now + depth, memory_order_relaxed, memory_order_relaxed);
			return cost;
		}
		next = (was > now ? was : now) + cost;
		if (next - now > depth)
			return next - now - depth;
	} while (!atomic_compare_exchange_weak_explicit(
		full_at, &was, next, memory_order_relaxed, memory_order_relaxed));
	return 0;
}

/* The same for what cannot be cut to size: it is granted while anything is left, and what it costs beyond that is owed. */
static inline bool rate_overdraw(_Atomic uint64_t *full_at, uint64_t cost, uint64_t depth, uint64_t now)
{
	uint64_t was = atomic_load_explicit(full_at, memory_order_relaxed);

	do {
		if (was > now && was - now >= depth)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
		full_at, &was, (was > now ? was : now) + cost, memory_order_relaxed, memory_order_relaxed));
	return true;
}

/* What was taken and not used. */
static inline void rate_give_back(_Atomic uint64_t *full_at, uint64_t cost)
{
	atomic_fetch_sub_explicit(full_at, cost, memory_order_relaxed);
}

/* What the bucket lacks: 0 when it is full. */
static inline uint64_t rate_lacks(const _Atomic uint64_t *full_at, uint64_t now)
{
	uint64_t at = atomic_load_explicit(full_at, memory_order_relaxed);

	return at > now ? at - now : 0;
}

#endif
