#include "control/metrics.h"

#include "base/obj.h"
#include "control/control.h"

void metrics_init(struct metrics *m)
{
	*m = (struct metrics){.started = time(NULL)};
}

void metrics_reloaded(struct metrics *m, enum reload_outcome outcome)
{
	m->reloads[outcome]++;
	m->reload_good = outcome != RELOAD_REFUSED;
	if (m->reload_good)
		m->reload_success = time(NULL);
}

void metrics_upgraded(struct metrics *m, const char *outcome)
{
	m->upgrades_failed += strcmp(outcome, "failed") == 0;
	m->upgrades_refused += strcmp(outcome, "refused") == 0;
}

const char *reload_outcome_name(enum reload_outcome outcome)
{
	static const char *const names[RELOAD_OUTCOMES] = {
		[RELOAD_APPLIED] = "applied", [RELOAD_UNCHANGED] = "unchanged", [RELOAD_REFUSED] = "refused"};

	return names[outcome];
}

bool metrics_pool(struct control *c, struct str pool_key, struct tally_sums *sums)
{
	const struct slot *slot = map_get(&c->pool_slots.by_key, pool_key);

	if (!slot)
		return false;
	tallies_sum(slot, sums);
	return true;
}
