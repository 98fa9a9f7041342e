/* control/metrics.h - what control counts of itself, and what it knows of the pools. The text is metrics_text.h's. */
#ifndef WEIR_CONTROL_METRICS_H
#define WEIR_CONTROL_METRICS_H

#include <stdbool.h>
#include <time.h>
#include "exchange/tally.h"

struct control;

enum reload_outcome { RELOAD_APPLIED, RELOAD_UNCHANGED, RELOAD_REFUSED, RELOAD_OUTCOMES };

/* What control counts of itself. */
struct metrics {
	uint64_t reloads[RELOAD_OUTCOMES];
	uint64_t upgrades_failed, upgrades_refused; /* since the process began; the next one begins anew */
	bool reload_good; /* the last one */
	time_t reload_success; /* when it was last good; 0: never */
	time_t started;
};

void metrics_init(struct metrics *m);
/* One has ended. The first configuration counts as applied. */
void metrics_reloaded(struct metrics *m, enum reload_outcome outcome);
/* The event of an upgrade says how it went; one that was applied is not counted. outcome: "applied", "failed", "refused". */
void metrics_upgraded(struct metrics *m, const char *outcome);
const char *reload_outcome_name(enum reload_outcome outcome);

/* -- windows for those who compare pools -- */
/* What has been counted of the pool "acme/shop/blue" until now; all zero when it has had no request. False: there is no such pool. Two of
 * them make a window: tally_sums_since(). */
bool metrics_pool(struct control *c, struct str pool_key, struct tally_sums *sums);

#endif
