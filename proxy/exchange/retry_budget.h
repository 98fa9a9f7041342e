/* exchange/retry_budget.h - how many retries a pool may have: a share of its requests (retries.budget), so that a pool that
 * fails as a whole is not asked twice as much just when it can take least.
 *
 * Every request earns its share of a retry, every retry costs one. What has been saved loses a tenth each second, which leaves about ten
 * seconds' worth: enough to carry the requests of a backend that has just died until it is known to be dead. A pool that is hardly
 * used would have none: what it earns in a second is made up to RETRY_BUDGET_MIN. Unlike a share of the requests that are in flight, this
 * bounds the rate also when failures come back at once. Belongs to one worker. */
#ifndef WEIR_EXCHANGE_RETRY_BUDGET_H
#define WEIR_EXCHANGE_RETRY_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#define RETRY_BUDGET_MIN 3 /* per second */

/* Zeroed is fresh. */
struct retry_budget {
	uint64_t second; /* up to which it is accounted for, on the loop's clock, +1; 0: fresh */
	uint64_t saved; /* in 1/10000 of a retry */
	uint64_t earned; /* of it, in this second */
};

/* A request begins. share: in 1/10000, as in the configuration. */
void retry_budget_earn(struct retry_budget *b, uint64_t now_ms, uint32_t share);
/* Is there one to be had? */
bool retry_budget_has(struct retry_budget *b, uint64_t now_ms);
/* Takes one; false if there is none. */
bool retry_budget_spend(struct retry_budget *b, uint64_t now_ms);

#endif
