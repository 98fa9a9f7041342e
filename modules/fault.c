/* modules/fault.c - delays and failures on purpose, for a share of requests: to test in production what clients make of them. */
#include "modules.h"

struct fault {
	struct {
		uint32_t share, ms; /* share: of 10,000 */
	} delay;
	struct {
		uint32_t share;
		uint16_t status;
	} abort;
};

static const struct config_field delay_fields[] = {
	SHARE("share", struct fault, delay.share, "of requests that wait", .dflt = 0),
	DURATION("for", struct fault, delay.ms, "how long, within a tenth of a second", .dflt = 1000,
		.min = 1, .max = 600000),
	END,
};

static const struct config_object delay_object = {
	.id = OBJECT_MODULE,
	.path = "modules.fault.delay",
	.what = "delay",
	.doc = "Requests that wait before they go on.",
	.size = sizeof(struct fault),
	.fields = delay_fields,
};

static const struct config_field abort_fields[] = {
	SHARE("share", struct fault, abort.share, "of requests that fail", .dflt = 0),
	COUNT("status", struct fault, abort.status, "that they are answered with", .dflt = 503, .min = 400,
		.max = 599),
	END,
};

static const struct config_object abort_object = {
	.id = OBJECT_MODULE,
	.path = "modules.fault.abort",
	.what = "abort",
	.doc = "Requests that fail without a backend being asked.",
	.size = sizeof(struct fault),
	.fields = abort_fields,
};

static const struct config_field fields[] = {
	WITHIN("delay", delay_object, "make some wait"),
	WITHIN("abort", abort_object, "make some fail; those that wait, too, once they have waited"),
	END,
};

static const struct config_object object = {
	.id = OBJECT_MODULE,
	.path = "modules.fault",
	.what = "fault",
	.doc = "Delays and failures on purpose. See [fault](modules/fault.md).",
	.size = sizeof(struct fault),
	.fields = fields,
};

/* A request that waits. In its arena. */
struct wait {
	struct deadline deadline;
	struct exchange *x;
	bool fails; /* afterwards */
	uint16_t status;
};

static bool is_drawn(struct loop *l, uint32_t share)
{
	return share && loop_random(l) % 10000 < share;
}

static void on_waited(struct deadline *d)
{
	struct wait *w = CONTAINER(d, struct wait, deadline);

	if (!w->fails)
		module_resume(w->x, MODULE_PASS);
	else if (w->status == 503)
		module_resume(w->x, REASON_FAULT_INJECTED);
	else
		module_resume_answer(w->x, REASON_FAULT_INJECTED, w->status, NULL, STR_NONE);
}

static int fail(struct module_call *c, uint16_t status)
{
	module_set_reason(c, REASON_FAULT_INJECTED);
	return status == 503 ? REASON_FAULT_INJECTED : module_answer(c, status, NULL, STR_NONE);
}

static int routed(struct module_call *c)
{
	const struct fault *f = c->values;
	bool fails = is_drawn(c->loop, f->abort.share);
	struct wait *w;

	if (!is_drawn(c->loop, f->delay.share))
		return fails ? fail(c, f->abort.status) : MODULE_DECLINE;
	module_log_field(c, STR("fault"), STR("delayed"));
	*c->slot = w = arena_new(c->arena, struct wait);
	*w = (struct wait){.x = c->x, .fails = fails, .status = f->abort.status};
	w->deadline.fire = on_waited;
	deadline_arm(c->loop, &w->deadline, f->delay.ms);
	return MODULE_HOLD;
}

static void cancel(struct module_call *c)
{
	struct wait *w = *c->slot;

	deadline_disarm(c->loop, &w->deadline);
}

static void explain(const void *values, void *data, const struct head *request, const struct addr *client,
	struct text *out)
{
	const struct fault *f = values;

	(void)data;
	(void)request;
	(void)client;
	text_fmt(out, "%u.%02u%% wait for %u ms, %u.%02u%% are answered %u", f->delay.share / 100,
		f->delay.share % 100, f->delay.ms, f->abort.share / 100, f->abort.share % 100,
		f->abort.status);
}

const struct module fault_module = {
	.config = {.abi = MODULE_ABI, .name = "fault", .levels = MODULE_ANYWHERE, .object = &object},
	.routed = routed,
	.cancel = cancel,
	.explain = explain,
};
