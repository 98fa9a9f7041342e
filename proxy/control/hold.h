/* control/hold.h - services that an operator holds: their requests wait in weir (exchange/hold.h) until he releases them, or the time that he
 * gave is over.
 *
 * A hold is stored before it takes effect, with its end: whatever crashes, reloads and upgrades come between, it lasts until then and no
 * longer. It goes when no configuration names the service any more. */
#ifndef WEIR_CONTROL_HOLD_H
#define WEIR_CONTROL_HOLD_H

#include <jansson.h>
#include "base/map.h"
#include "base/str.h"
#include "io/loop.h"

#define HOLD_KIND      "hold" /* of documents; the key is the service's */
#define HOLD_MAX_MS    (3600u * 1000)
#define HOLD_QUEUE_MAX 1000000
#define HOLD_RATE_MAX  1000000 /* requests a second */
#define HOLD_SPREAD_MS 1000
#define HOLD_STOPPING  "weir has been told to stop"

struct control;
struct service;
struct snapshot;

struct hold_engine {
	struct control *control;
	struct map services; /* key -> struct held_service: those that were held once */
};

/* All workers' together. */
struct hold_sums {
	uint64_t waiting, held, full, timed_out;
};

void holds_init(struct hold_engine *e, struct control *c);
/* Takes over what was stored and is not over. */
void holds_load(struct hold_engine *e);
/* Before workers are given s: it may have brought services that are held, or taken them away. */
void holds_follow(struct hold_engine *e, const struct snapshot *s);
/* After the I/O thread has ended and its mail was delivered. */
void holds_close(struct hold_engine *e);

/* Holds it, or goes on holding it on other terms: {"for_ms", "queue", "wait_ms", "spread_ms", "rate", "path", "status", "author", "reason"}, checked.
 * Takes document; NULL: releases it as {"spread_ms", "rate"} of pace say. done: later, once, when all workers follow; error: nothing has changed, and why. */
void hold_set(struct hold_engine *e, const struct service *s, json_t *document, const json_t *pace,
	void (*done)(void *ctx, const char *error), void *ctx);
/* The terms with "until_ms" and "since_ms" (wall clock); borrowed; NULL: it is not held. */
const json_t *hold_document(const struct hold_engine *e, const struct service *s);
/* How long it has to go; 0: it is not held. */
uint32_t hold_left_ms(const struct hold_engine *e, const struct service *s);
void hold_sum(const struct hold_engine *e, const struct service *s, struct hold_sums *sums);

#endif
