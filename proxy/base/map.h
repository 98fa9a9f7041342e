/* base/map.h - a hash table from strings to pointers: open addressing, XXH3. Keys are borrowed: they must outlive
 * the entry (usually they lie in the same arena or object as the value). Not for the keys of strangers. */
#ifndef WEIR_BASE_MAP_H
#define WEIR_BASE_MAP_H

#include <stdint.h>
#include "base/str.h"

/* 24 bytes: there are tables of tens of thousands. */
struct map_entry {
	const char *key; /* NULL: free */
	uint32_t key_n;
	uint32_t hash;
	void *value;
};

static inline struct str map_key(const struct map_entry *e)
{
	return (struct str){e->key, e->key_n};
}

struct map {
	struct map_entry *entries; /* malloc; NULL while empty */
	size_t cap; /* a power of two */
	size_t n;
};

void map_free(struct map *m);
/* NULL when absent. */
void *map_get(const struct map *m, struct str key);
/* The former value, or NULL. value must not be NULL. */
void *map_put(struct map *m, struct str key, void *value);
/* The value that was there, or NULL. */
void *map_remove(struct map *m, struct str key);
/* for (struct map_entry *e = map_next(m, NULL); e; e = map_next(m, e)); the map must not change meanwhile. */
struct map_entry *map_next(const struct map *m, struct map_entry *after);

uint64_t hash_bytes(const void *p, size_t n, uint64_t seed);

#endif
