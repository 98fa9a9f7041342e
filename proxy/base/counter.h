/* base/counter.h - numbers that one thread counts up and any other may read: relaxed, no lock, no locked instruction.
 *
 * A row of counters of which most stay zero (one for each HTTP status, one for each bucket of a histogram) is an array of pointers to
 * blocks, each made when one of its counters first counts: what is never used costs a pointer in sixteen. */
#ifndef WEIR_BASE_COUNTER_H
#define WEIR_BASE_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

/* By the counter's one writer. */
static inline void counter_add(_Atomic uint64_t *c, uint64_t n)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline void counter_set(_Atomic uint64_t *c, uint64_t n)
{
	atomic_store_explicit(c, n, memory_order_relaxed);
}

/* From any thread. */
static inline uint64_t counter_get(const _Atomic uint64_t *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

#define COUNTER_BLOCK     16
#define COUNTER_BLOCKS(n) (((n) + COUNTER_BLOCK - 1) / COUNTER_BLOCK)

struct counter_block {
	_Atomic uint64_t v[COUNTER_BLOCK];
};

/* The block of a row's counter number i, made if it is the first of its block to count. By the row's one writer. */
struct counter_block *counter_block_new(struct counter_block *_Atomic *at);

static inline void counters_add(struct counter_block *_Atomic *row, uint32_t i, uint64_t n)
{
	struct counter_block *b = atomic_load_explicit(&row[i / COUNTER_BLOCK], memory_order_relaxed);

	if (__builtin_expect(!b, 0))
		b = counter_block_new(&row[i / COUNTER_BLOCK]);
	counter_add(&b->v[i % COUNTER_BLOCK], n);
}

/* Adds the first n counters of a row to sums. From any thread. */
void counters_sum(struct counter_block *const _Atomic *row, uint32_t n, uint64_t *sums);
/* Frees the blocks of a row of n counters. When nobody counts or reads any more. */
void counters_free(struct counter_block *_Atomic *row, uint32_t n);

#endif
