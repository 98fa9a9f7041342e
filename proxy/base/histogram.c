#include "base/histogram.h"

#include <math.h>
#include "base/obj.h"

#define DECADE(n) \
	10 * (n), 11 * (n), 12 * (n), 13 * (n), 14 * (n), 15 * (n), 16 * (n), 18 * (n), 20 * (n), 22 * (n), \
		25 * (n), 28 * (n), 30 * (n), 33 * (n), 36 * (n), 40 * (n), 44 * (n), 50 * (n), 55 * (n), \
		60 * (n), 65 * (n), 72 * (n), 80 * (n), 90 * (n)

const uint32_t histogram_bounds_us[HISTOGRAM_BOUNDS] = {DECADE(10), DECADE(100), DECADE(1000), DECADE(10000),
	DECADE(100000), DECADE(1000000), DECADE(10000000), 1000000000};

/* A binary search without branches: eight steps. */
uint32_t histogram_bucket(uint64_t us)
{
	const uint32_t *at = histogram_bounds_us;
	uint32_t n = HISTOGRAM_BOUNDS;

	while (n > 1) {
		uint32_t half = n / 2;

		at += at[half - 1] < us ? half : 0;
		n -= half;
	}
	return (uint32_t)(at - histogram_bounds_us) + (*at < us);
}

uint64_t histogram_count(const uint64_t counts[HISTOGRAM_BUCKETS])
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		n += counts[i];
	return n;
}

uint64_t histogram_upto(const uint64_t counts[HISTOGRAM_BUCKETS], uint32_t bound_us)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < HISTOGRAM_BOUNDS && histogram_bounds_us[i] <= bound_us; i++)
		n += counts[i];
	return n;
}

uint64_t histogram_quantile_us(const uint64_t counts[HISTOGRAM_BUCKETS], double q)
{
	uint64_t n = histogram_count(counts), below = 0;
	/* The rank of the one that is asked for, from 1. */
	double rank = MAX(ceil(q * (double)n), 1.0);

	if (n == 0)
		return 0;
	for (uint32_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
		below += counts[i];
		if ((double)below < rank)
			continue;
		if (i == 0)
			return histogram_bounds_us[0];
		return (uint64_t)sqrt((double)histogram_bounds_us[i - 1] * histogram_bounds_us[i]);
	}
	return histogram_bounds_us[HISTOGRAM_BOUNDS - 1];
}
