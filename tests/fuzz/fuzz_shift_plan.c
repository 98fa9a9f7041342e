/* Plans of shifts out of arbitrary JSON: refused with a text, or steps that rise to their end within the time there is. */
#include <stdint.h>
#include <stdlib.h>
#include "base/obj.h"
#include "control/shift_plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	json_t *json = json_loadb((const char *)data, n, 0, NULL), *base, *weights;
	struct shift_plan plan;
	char err[256] = "";

	if (json && !shift_plan_parse(&plan, json, NULL, err, sizeof(err)))
		MUST(err[0] && memchr(err, '\0', sizeof(err)));
	if (!json || err[0]) {
		json_decref(json);
		return 0;
	}
	MUST(plan.pool && plan.step_n > 0 && plan.step_n <= SHIFT_STEPS_MAX &&
		plan.every_ms >= SHIFT_EVERY_MIN);
	base = json_pack("{s:i, s:i, s:i}", "blue", 90, "green", 10, "grey", 0);
	for (uint32_t i = 0; i < plan.step_n; i++) {
		MUST(plan.steps[i] <= SHIFT_WHOLE && (i == 0 || plan.steps[i] > plan.steps[i - 1]));
		weights = shift_weights(&plan, base, plan.steps[i]);
		MUST(shift_share(weights, plan.pool) <= SHIFT_WHOLE);
		json_decref(weights);
	}
	if (plan.schedule.days)
		schedule_opens_in(&plan.schedule, 1790000000);
	json_decref(base);
	json_decref(json);
	return 0;
}
