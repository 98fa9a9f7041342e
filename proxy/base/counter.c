#include "base/counter.h"

#include <stdlib.h>
#include "base/obj.h"

struct counter_block *counter_block_new(struct counter_block *_Atomic *at)
{
	struct counter_block *b = calloc(1, sizeof(*b));

	MUST(b);
	atomic_store_explicit(at, b, memory_order_release);
	return b;
}

void counters_sum(struct counter_block *const _Atomic *row, uint32_t n, uint64_t *sums)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct counter_block *b =
			atomic_load_explicit(&row[i / COUNTER_BLOCK], memory_order_acquire);

		if (b)
			sums[i] += counter_get(&b->v[i % COUNTER_BLOCK]);
		else
			i |= COUNTER_BLOCK - 1; /* on to the next block */
	}
}

void counters_free(struct counter_block *_Atomic *row, uint32_t n)
{
	for (uint32_t i = 0; i < COUNTER_BLOCKS(n); i++)
		free(atomic_exchange_explicit(&row[i], NULL, memory_order_relaxed));
}
