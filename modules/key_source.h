/* modules/key_source.h - a key set that is fetched from a URL, by each worker for itself: early, again and again, and when a token names
 * a key that is not in it. What was fetched last stays while fetching fails. */
#ifndef WEIR_MODULES_KEY_SOURCE_H
#define WEIR_MODULES_KEY_SOURCE_H

#include "jwk.h"

struct key_source {
	struct loop *loop;
	struct fetcher *fetcher;
	struct fetching *fetching; /* NULL: none is under way */
	struct str url; /* the owner's */
	struct dependency *state; /* the owner's: how the issuer fares */
	uint32_t refresh_ms;
	struct deadline refresh;
	bool fetched; /* keys are there */
	uint64_t asked_ms; /* on the loop's clock; when it was last begun */
	uint64_t called_ms; /* likewise; when a token last made it begin; 0: none has */
	struct jwks keys;
	uint32_t takes; /* how often the keys were replaced */
	struct list waiting; /* struct key_wait */
};

/* A request that waits for the fetch under way. In its arena. */
struct key_wait {
	struct list link;
	struct module_call call;
	void (*go_on)(struct key_wait *w);
};

/* Begins to fetch at once. */
void key_source_init(
	struct key_source *s, struct loop *l, struct str url, uint32_t refresh_ms, struct dependency *state);
/* Nobody waits any more. */
void key_source_free(struct key_source *s);
/* w->go_on() follows from the loop, when the fetch under way, or one begun now, is over. False: it was over only just. */
bool key_source_wait(struct key_source *s, struct key_wait *w);

#endif
