/* base/slots.h - small numbers for names that come and go: what is kept per worker in arrays is found by slot, and a name that
 * is named again keeps its slot, so what was learned under it survives a reload. One thread (control) owns it. */
#ifndef WEIR_BASE_SLOTS_H
#define WEIR_BASE_SLOTS_H

#include "base/map.h"

struct slot {
	uint32_t number;
	uint32_t refs;
	struct str key; /* NUL-terminated, lies behind the struct */
	void *kept; /* what the owner keeps under the name for as long as it is named; NULL: nothing */
};

struct slots {
	struct map by_key;
	uint32_t *free; /* numbers given back */
	uint32_t free_n, free_cap;
	uint32_t n; /* numbers ever given: the size of the arrays they index */
	void (*forget)(void *kept); /* frees what was kept under a name that is gone */
};

void slots_free(struct slots *s);
/* The slot of key, made if it is new, with one more reference. */
struct slot *slot_acquire(struct slots *s, struct str key);
/* Drops a reference; the last one frees the name and its number. Call it when no array is read by that number any more. */
void slot_release(struct slots *s, struct slot *slot);

#endif
