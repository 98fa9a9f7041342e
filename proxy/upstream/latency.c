#include "upstream/latency.h"

#include "base/obj.h"

#define FAIL_FACTOR 4

/* v after so long without samples. Between two halvings the line is straight: within 6% of the curve. */
static uint32_t decayed(uint32_t v, uint64_t age_us)
{
	uint64_t halvings = age_us / LATENCY_HALF_US, rest = age_us % LATENCY_HALF_US;

	if (halvings >= 32)
		return 0;
	v >>= halvings;
	return v - (uint32_t)(v * rest / (2ull * LATENCY_HALF_US));
}

uint32_t latency_now(const struct latency *l, uint64_t now_us)
{
	if (l->at_us == 0)
		return 0;
	/* Worn out, but known: not to be mistaken for a backend that nobody has asked yet. */
	return MAX(1, decayed(l->ewma_us, now_us > l->at_us ? now_us - l->at_us : 0));
}

void latency_observe(struct latency *l, uint64_t sample_us, uint64_t now_us)
{
	uint32_t sample = (uint32_t)MIN(sample_us, LATENCY_MAX_US);
	uint64_t age = now_us > l->at_us ? now_us - l->at_us : 0;

	/* What the average loses by age is what the sample's word is worth. */
	if (l->at_us == 0 || sample >= l->ewma_us)
		l->ewma_us = sample;
	else
		l->ewma_us = sample + decayed(l->ewma_us - sample, age);
	l->at_us = MAX(now_us, 1);
}

void latency_fail(struct latency *l, uint64_t sample_us, uint64_t now_us)
{
	uint64_t worse = (uint64_t)latency_now(l, now_us) * FAIL_FACTOR;

	latency_observe(l, MAX(MAX(sample_us, worse), LATENCY_FAIL_US), now_us);
}
