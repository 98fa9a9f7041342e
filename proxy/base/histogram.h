/* base/histogram.h - how durations are spread: buckets from 100 us to 1000 s, twenty-four to each power of ten, none wider than a
 * seventh of its bound. Their bounds are round numbers, so that what is asked for in round numbers ("under 250 ms") is exact. */
#ifndef WEIR_BASE_HISTOGRAM_H
#define WEIR_BASE_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_DECADES 7
#define HISTOGRAM_STEPS   24
#define HISTOGRAM_BOUNDS  (HISTOGRAM_DECADES * HISTOGRAM_STEPS + 1)
#define HISTOGRAM_BUCKETS (HISTOGRAM_BOUNDS + 1) /* the last has no bound */

/* Bucket i holds what is above bound i - 1 and not above bound i. */
extern const uint32_t histogram_bounds_us[HISTOGRAM_BOUNDS];

uint32_t histogram_bucket(uint64_t us);
/* How many there are in all. */
uint64_t histogram_count(const uint64_t counts[HISTOGRAM_BUCKETS]);
/* How many of them are not above that bound, which must be one of histogram_bounds_us: else the next lower one counts. */
uint64_t histogram_upto(const uint64_t counts[HISTOGRAM_BUCKETS], uint32_t bound_us);
/* The duration that a share q of them (0 to 1) does not exceed, to within 7%: the middle of its bucket. 0: there are none. What lies
 * outside the buckets is given as the outermost bound. */
uint64_t histogram_quantile_us(const uint64_t counts[HISTOGRAM_BUCKETS], double q);

#endif
