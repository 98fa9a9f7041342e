#include "http/h2/guard.h"

bool h2_guard_charge(struct h2_guard *g, enum h2_guard_cost cost, uint64_t now_ms)
{
	uint64_t passed = now_ms - g->at_ms;

	/* Paid out in whole units, so that many charges within a millisecond do not lose it. */
	if (passed >= 1000 / H2_GUARD_PER_SECOND) {
		uint64_t pay = passed * H2_GUARD_PER_SECOND / 1000;

		g->left = pay > (uint64_t)(H2_GUARD_FULL - g->left) ? H2_GUARD_FULL : g->left + (int32_t)pay;
		g->at_ms = now_ms;
	}
	g->left -= (int32_t)cost;
	return g->left >= 0;
}
