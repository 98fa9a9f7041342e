#include "base/slots.h"

#include <stdlib.h>
#include "base/obj.h"

static void slot_free(struct slots *s, struct slot *slot)
{
	if (slot->kept)
		s->forget(slot->kept);
	free(slot);
}

void slots_free(struct slots *s)
{
	for (struct map_entry *e = map_next(&s->by_key, NULL); e; e = map_next(&s->by_key, e))
		slot_free(s, e->value);
	map_free(&s->by_key);
	free(s->free);
	*s = (struct slots){0};
}

struct slot *slot_acquire(struct slots *s, struct str key)
{
	struct slot *slot = map_get(&s->by_key, key);
	char *text;

	if (slot) {
		slot->refs++;
		return slot;
	}
	slot = malloc(sizeof(*slot) + key.n + 1);
	MUST(slot);
	text = (char *)(slot + 1);
	memcpy(text, key.p, key.n);
	text[key.n] = '\0';
	*slot = (struct slot){s->free_n ? s->free[--s->free_n] : s->n++, 1, {text, key.n}, NULL};
	map_put(&s->by_key, slot->key, slot);
	return slot;
}

void slot_release(struct slots *s, struct slot *slot)
{
	MUST(slot->refs > 0);
	if (--slot->refs > 0)
		return;
	map_remove(&s->by_key, slot->key);
	if (s->free_n == s->free_cap) {
		s->free_cap = s->free_cap ? s->free_cap * 2 : 64;
		s->free = realloc(s->free, s->free_cap * sizeof(*s->free));
		MUST(s->free);
	}
	s->free[s->free_n++] = slot->number;
	slot_free(s, slot);
}
