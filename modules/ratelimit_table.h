/* modules/ratelimit_table.h - the buckets of one rule: a table of fixed size that all workers share without a lock.
 *
 * A place is two words: a hash of whom it counts, and the moment at which that one's bucket is full again (base/rate.h). A key has four
 * places, one cache line, where it may lie. A bucket that is full again says nothing: its place is free for anybody. If none of the four
 * is, the one goes that would have been full first: who floods the table with new keys pushes out those who have used least. */
#ifndef WEIR_MODULES_RATELIMIT_TABLE_H
#define WEIR_MODULES_RATELIMIT_TABLE_H

#include "exchange/module.h"

struct ratelimit_table {
	uint32_t refs; /* control's */
	char *identity; /* what the rule counts, as text: the table goes on for as long as that stays the same */
	uint64_t seed; /* strangers choose keys, and must not choose their places */
	uint64_t mask; /* lines - 1 */
	struct ratelimit_line *lines;
	_Atomic uint64_t refused, would_refuse, pushed_out;
};

/* A token's worth, and a whole bucket's, in nanoseconds. */
struct ratelimit_rate {
	uint64_t each, depth;
};

/* entries is rounded up to a power of two. */
struct ratelimit_table *ratelimit_table_new(const char *identity, uint32_t entries);
struct ratelimit_table *ratelimit_table_ref(struct ratelimit_table *t);
void ratelimit_table_unref(struct ratelimit_table *t);

/* The bucket of that key, which may be somebody else's by the time it is given back to: then somebody has a token too many. */
_Atomic uint64_t *ratelimit_table_find(struct ratelimit_table *t, struct str key, uint64_t now_ns);
/* What it lacks, as rate_lacks() says; 0 also where there is none. Any thread's, and changes nothing. */
uint64_t ratelimit_table_lacks(const struct ratelimit_table *t, struct str key, uint64_t now_ns);

#endif
