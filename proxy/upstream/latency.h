/* upstream/latency.h - how long a backend takes to begin its answers, as one worker sees it.
 *
 * A peak-sensitive average: a sample above it is believed at once, one below it only as far as the time since the last one has
 * worn it out. It halves in LATENCY_HALF_US without samples, so that who once was slow is asked again. Integers, no floating
 * point, no time call. */
#ifndef WEIR_UPSTREAM_LATENCY_H
#define WEIR_UPSTREAM_LATENCY_H

#include <stdint.h>

struct latency {
	uint64_t at_us; /* of the last sample; 0: none yet */
	uint32_t ewma_us; /* at that time */
};

#define LATENCY_HALF_US 5000000u
#define LATENCY_MAX_US  60000000u
#define LATENCY_FAIL_US 10000u /* what a failure costs at least */

/* The average as it stands now; 0: nothing is known. */
uint32_t latency_now(const struct latency *l, uint64_t now_us);
/* An answer has begun, sample_us after its backend was chosen. */
void latency_observe(struct latency *l, uint64_t sample_us, uint64_t now_us);
/* An attempt has failed after so long. Counts as four times the average, however quickly it came: who refuses at once must not
 * pass for fast. */
void latency_fail(struct latency *l, uint64_t sample_us, uint64_t now_us);

#endif
