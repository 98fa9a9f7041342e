#include "base/histogram.h"

#include <math.h>
#include "base/obj.h"

#define DECADE(n) \
	10 * (n), 11 * (n), 12 * (n), 13 * (n), 14 * (n), 15 * (n), 16 * (n), 18 * (n), 20 * (n), 22 * (n), \
		25 * (n), 28 * (n), 30 * (n), 33 * (n), 36 * (n), 40 * (n), 44 * (n), 50 * (n), 55 * (n), \
		60 * (n), 65 * (n), 72 * (n), 80 * (n), 90 * (n)

const uint32_t histogram_bounds_us[HISTOGRAM_BOUNDS] = {DECADE(10), DECADE(100), DECADE(1000), DECADE(10000),
	DECADE(100000), DECADE(1000000), DECADE(10000000), 1000000000};

/* Within a power of ten: the first step that is not below q, of those that DECADE lists. 24: the next power's first. */
/* clang-format off */
static const uint8_t step_of[101] = {
	[11] = 1, [12] = 2, [13] = 3, [14] = 4, [15] = 5, [16] = 6, [17 ... 18] = 7, [19 ... 20] = 8,
	[21 ... 22] = 9, [23 ... 25] = 10, [26 ... 28] = 11, [29 ... 30] = 12, [31 ... 33] = 13,
	[34 ... 36] = 14, [37 ... 40] = 15, [41 ... 44] = 16, [45 ... 50] = 17, [51 ... 55] = 18,
	[56 ... 60] = 19, [61 ... 65] = 20, [66 ... 72] = 21, [73 ... 80] = 22, [81 ... 90] = 23,
	[91 ... 100] = 24,
};
/* clang-format on */

uint32_t histogram_bucket(uint64_t us)
{
	uint32_t scale = 10, decade = 0;

	if (us > histogram_bounds_us[HISTOGRAM_BOUNDS - 1])
		return HISTOGRAM_BOUNDS;
	while (us > 100ull * scale) {
		scale *= 10;
		decade += HISTOGRAM_STEPS;
	}
	return decade + step_of[((uint32_t)us + scale - 1) / scale];
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
