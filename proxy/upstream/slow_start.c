#include "upstream/slow_start.h"

#include "base/obj.h"

uint32_t slow_start_share(const struct slow_start *ss, uint64_t now_ms)
{
	uint64_t age;

	if (ss->since_ms == 0 || ss->window_ms == 0)
		return SLOW_START_WHOLE;
	/* Each thread reads the clock once a tick: control may be ahead. */
	age = now_ms > ss->since_ms ? now_ms - ss->since_ms : 0;
	if (age >= ss->window_ms)
		return SLOW_START_WHOLE;
	return MAX(SLOW_START_LEAST, (uint32_t)(age * SLOW_START_WHOLE / ss->window_ms));
}

void slow_start_begin(struct backend *b, uint64_t now_ms)
{
	atomic_store_explicit(&b->warm_from_ms, now_ms, memory_order_relaxed);
}
