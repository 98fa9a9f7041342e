/* config/suggest.h - which of the known words was probably meant. */
#ifndef WEIR_CONFIG_SUGGEST_H
#define WEIR_CONFIG_SUGGEST_H

#include "base/str.h"

/* The best candidate so far; start with only `word` set. */
struct suggestion {
	struct str word; /* what was written */
	struct str best; /* empty: nothing is near enough to be worth saying */
	unsigned distance;
};

/* Edits (insert, delete, replace, swap of neighbours) from one to the other, cases aside. Words beyond 63 bytes are never near. */
unsigned suggest_distance(struct str a, struct str b);
/* Near enough is a third of the word's length, and at least one edit. The first of equals stays. */
void suggest_try(struct suggestion *s, struct str candidate);
/* The same, but what the word abbreviates to, like "h2" for "http2", comes before all that is spelt alike. */
void suggest_try_short(struct suggestion *s, struct str candidate);

#endif
