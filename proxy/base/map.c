#include "base/map.h"

#include <stdlib.h>
#include <xxhash.h>
#include "base/obj.h"

#define FIRST_CAP 4 /* of the many there are most hold one entry: a tenant's routes by path */

uint64_t hash_bytes(const void *p, size_t n, uint64_t seed)
{
	return XXH3_64bits_withSeed(p, n, seed);
}

static uint32_t hash_of(struct str key)
{
	return (uint32_t)hash_bytes(key.p, key.n, 0);
}

void map_free(struct map *m)
{
	free(m->entries);
	*m = (struct map){0};
}

/* The entry of key, or the free one where it would go. The table is never full. */
static struct map_entry *find(const struct map *m, struct str key, uint32_t hash)
{
	size_t i = hash & (m->cap - 1);

	while (m->entries[i].key && !(m->entries[i].hash == hash && str_eq(map_key(&m->entries[i]), key)))
		i = (i + 1) & (m->cap - 1);
	return &m->entries[i];
}

void *map_get(const struct map *m, struct str key)
{
	return m->n ? find(m, key, hash_of(key))->value : NULL;
}

static void grow(struct map *m)
{
	struct map old = *m;

	m->cap = old.cap ? old.cap * 2 : FIRST_CAP;
	m->entries = calloc(m->cap, sizeof(*m->entries));
	MUST(m->entries);
	for (size_t i = 0; i < old.cap; i++)
		if (old.entries[i].key)
			*find(m, map_key(&old.entries[i]), old.entries[i].hash) = old.entries[i];
	free(old.entries);
}

void *map_put(struct map *m, struct str key, void *value)
{
	uint32_t hash = hash_of(key);
	struct map_entry *e;
	void *former;

	MUST(value && key.p && key.n <= UINT32_MAX);
	if (m->n * 4 >= m->cap * 3)
		grow(m);
	e = find(m, key, hash);
	former = e->value;
	if (!e->key)
		m->n++;
	*e = (struct map_entry){key.p, (uint32_t)key.n, hash, value};
	return former;
}

void *map_remove(struct map *m, struct str key)
{
	struct map_entry *e;
	void *value;
	size_t hole, i;

	if (m->n == 0)
		return NULL;
	e = find(m, key, hash_of(key));
	if (!e->key)
		return NULL;
	value = e->value;
	m->n--;
	/* Close the gap: move back every later entry of the run whose own place is not behind the hole. */
	hole = i = (size_t)(e - m->entries);
	for (;;) {
		size_t home;

		i = (i + 1) & (m->cap - 1);
		if (!m->entries[i].key)
			break;
		home = m->entries[i].hash & (m->cap - 1);
		if (((i - home) & (m->cap - 1)) >= ((i - hole) & (m->cap - 1))) {
			m->entries[hole] = m->entries[i];
			hole = i;
		}
	}
	m->entries[hole] = (struct map_entry){0};
	return value;
}

struct map_entry *map_next(const struct map *m, struct map_entry *after)
{
	size_t i = after ? (size_t)(after - m->entries) + 1 : 0;

	for (; i < m->cap; i++)
		if (m->entries[i].key)
			return &m->entries[i];
	return NULL;
}
