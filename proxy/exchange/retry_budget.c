#include "exchange/retry_budget.h"

#include "base/obj.h"

#define ONE             10000u
#define FORGOTTEN_AFTER 100 /* seconds: of what was saved nothing worth counting is left */

static void account(struct retry_budget *b, uint64_t now_ms)
{
	uint64_t second = now_ms / 1000 + 1, passed = second - b->second, least;

	if (passed == 0)
		return;
	least = RETRY_BUDGET_MIN * ONE;
	if (passed == 1)
		least -= MIN(least, b->earned);
	if (b->second == 0 || passed > FORGOTTEN_AFTER)
		b->saved = 0;
	else
		while (passed-- > 0)
			b->saved -= b->saved / 10;
	b->second = second;
	b->earned = 0;
	b->saved = MAX(b->saved, least);
}

void retry_budget_earn(struct retry_budget *b, uint64_t now_ms, uint32_t share)
{
	account(b, now_ms);
	b->saved += share;
	b->earned += share;
}

bool retry_budget_has(struct retry_budget *b, uint64_t now_ms)
{
	account(b, now_ms);
	return b->saved >= ONE;
}

bool retry_budget_spend(struct retry_budget *b, uint64_t now_ms)
{
	if (!retry_budget_has(b, now_ms))
		return false;
	b->saved -= ONE;
	return true;
}
