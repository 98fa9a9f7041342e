#include "ratelimit_table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define WAYS 4
#define LINE 64

struct ratelimit_line {
	_Atomic uint64_t key[WAYS]; /* 0: nobody's */
	_Atomic uint64_t full_at[WAYS];
};

_Static_assert(sizeof(struct ratelimit_line) == LINE, "a line is a cache line");

struct ratelimit_table *ratelimit_table_new(const char *identity, uint32_t entries)
{
	struct ratelimit_table *t = calloc(1, sizeof(*t));
	size_t lines = 1;

	MUST(t);
	while (lines * WAYS < entries)
		lines *= 2;
	t->refs = 1;
	t->identity = strdup(identity);
	t->mask = lines - 1;
	t->lines = aligned_alloc(LINE, lines * sizeof(*t->lines));
	MUST(t->identity && t->lines);
	memset(t->lines, 0, lines * sizeof(*t->lines));
	MUST(getrandom(&t->seed, sizeof(t->seed), 0) == sizeof(t->seed));
	return t;
}

struct ratelimit_table *ratelimit_table_ref(struct ratelimit_table *t)
{
	t->refs++;
	return t;
}

void ratelimit_table_unref(struct ratelimit_table *t)
{
	if (--t->refs)
		return;
	free(t->identity);
	free(t->lines);
	free(t);
}

static uint64_t load(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

/* The place whose bucket is full, or will be first. */
static int least_used(const struct ratelimit_line *l)
{
	int least = 0;

	for (int i = 1; i < WAYS; i++)
		if (load(&l->full_at[i]) < load(&l->full_at[least]))
			least = i;
	return least;
}

static uint64_t hash_of(const struct ratelimit_table *t, struct str key)
{
	return hash_bytes(key.p, key.n, t->seed) | 1;
}

static struct ratelimit_line *line_of(const struct ratelimit_table *t, uint64_t hash)
{
	return &t->lines[(hash >> 1) & t->mask];
}

uint64_t ratelimit_table_lacks(const struct ratelimit_table *t, struct str key, uint64_t now_ns)
{
	uint64_t hash = hash_of(t, key);
	const struct ratelimit_line *l = line_of(t, hash);

	for (int i = 0; i < WAYS; i++)
		if (load(&l->key[i]) == hash)
			return rate_lacks(&l->full_at[i], now_ns);
	return 0;
}

_Atomic uint64_t *ratelimit_table_find(struct ratelimit_table *t, struct str key, uint64_t now_ns)
{
	uint64_t hash = hash_of(t, key), was, owed;
	struct ratelimit_line *l = line_of(t, hash);
	int place;

	for (;;) {
		for (int i = 0; i < WAYS; i++)
			if (load(&l->key[i]) == hash)
				return &l->full_at[i];
		place = least_used(l);
		was = load(&l->key[place]);
		owed = load(&l->full_at[place]);
		if (atomic_compare_exchange_strong_explicit(
			    &l->key[place], &was, hash, memory_order_relaxed, memory_order_relaxed))
			break;
		/* Another worker was quicker; it may have been for the same key. */
	}
	if (owed > now_ns) {
		atomic_fetch_add_explicit(&t->pushed_out, 1, memory_order_relaxed);
		/* What the other owed is not the newcomer's. If it fails, somebody has taken of the new bucket already. */
		atomic_compare_exchange_strong_explicit(
			&l->full_at[place], &owed, now_ns, memory_order_relaxed, memory_order_relaxed);
	}
	return &l->full_at[place];
}
