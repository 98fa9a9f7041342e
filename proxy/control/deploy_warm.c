/* control/deploy_warm.c - is every backend of a deploy healthy, and has each been asked before any user asks it? */
#include <stdio.h>
#include "base/obj.h"
#include "control/control.h"
#include "control/deploy_run.h"
#include "control/shift_run.h"

/* Between a last look that has failed and the next. */
#define LOOK_AGAIN_MS 1000

/* Of a warm-up request and of a last look, where the pool's own checks say nothing. */
#define ASK_TIMEOUT_MS 30000

static const __typeof__(*((struct conf_health *)0)->status) good_status[] = {{200, 399}};

bool deploy_all_healthy(const struct deploy *d, char *why, size_t n)
{
	const struct pool *pool = shift_find_pool(d->engine->control, d->service, deploy_text(d, "pool"));
	struct text text = text_in(why, n - 1);
	bool all = pool && pool->n;

	if (!all)
		text_fmt(&text, "the pool has no backends");
	for (uint32_t i = 0; pool && i < pool->n; i++) {
		const struct backend *b = pool->backends[i];
		const struct health *h = b->health;

		if (backend_standing(b) == BACKEND_UP)
			continue;
		text_fmt(&text, "%s" STR_FMT " is %s", text.n ? "; " : "", STR_ARG(b->address),
			backend_ejected(b) ? "ejected" : backend_state_name(backend_state(b)));
		if (h && h->why)
			text_fmt(&text, " (" STR_FMT ")", STR_ARG(reason_row((enum reason)h->why)->text));
		all = false;
	}
	why[text.n] = '\0';
	return all;
}

void deploy_warm_end(struct deploy *d)
{
	struct snapshot *s = TAKE(&d->snapshot);

	task_cancel(&d->next);
	probe_free(&d->probe);
	if (s)
		control_let_go(d->engine->control, s);
}

static const struct pool *pool_of(const struct deploy *d)
{
	return shift_find_pool(d->engine->control, d->service, deploy_text(d, "pool"));
}

static uint32_t wanted(const struct deploy *d)
{
	return 1 + (uint32_t)json_integer_value(json_object_get(d->doc, "warm_requests"));
}

/* The first question is the pool's own check, or whether it takes a connection at all; those after it are the warm-up. */
static void aim(struct deploy *d, const struct pool *pool)
{
	struct conf_policy how = *pool->conf->policy;
	struct probe_target target;

	if (d->asked) {
		how.health.kind = CONF_CHECK_HTTP;
		how.health.path = str_of(deploy_text(d, "warm_path"));
		how.health.method = STR("GET");
		how.health.body = STR_NONE;
		how.health.status = (__typeof__(how.health.status))(uintptr_t)good_status;
		how.health.status_n = COUNT_OF(good_status);
		how.health.timeout = ASK_TIMEOUT_MS;
	} else if (how.health.kind == CONF_CHECK_NONE) {
		how.health.kind = CONF_CHECK_TCP;
		how.health.timeout = ASK_TIMEOUT_MS;
	}
	health_target(&d->engine->control->health, &pool->members[d->backend], &how, &target);
	probe_aim(d->probe, &target);
}

/* One that was healthy a moment ago may be again, until its time is over. */
static void last_look_failed(struct deploy *d, const char *why)
{
	uint64_t now = d->engine->control->loop.now_ms;
	char text[SHIFT_TEXT + 64];

	if (now < d->give_up_ms) {
		d->look_again_ms = now + LOOK_AGAIN_MS;
		deploy_move(d, DEPLOY_CHECKING, why, NULL);
		return;
	}
	snprintf(text, sizeof(text), "not every backend has become healthy in time: %s", why);
	deploy_late(d, text);
}

static void on_asked(const struct probe_outcome *outcome, void *ctx)
{
	struct deploy *d = ctx;
	const struct pool *pool = pool_of(d);
	struct loop *l = &d->engine->control->loop;
	char why[SHIFT_TEXT];
	struct str address = pool && d->backend < pool->n ? pool->backends[d->backend]->address : STR_NONE;

	if (!control_may_change(d->engine->control)) {
		deploy_warm_end(d);
		return;
	}
	if (outcome->why == REASON_NONE) {
		if (++d->asked >= wanted(d)) {
			d->asked = 0;
			d->backend++;
		}
		loop_defer(l, &d->next, LOOP_REAP);
		return;
	}
	snprintf(why, sizeof(why), "%s to " STR_FMT " failed: " STR_FMT "%s%s",
		d->asked ? "a warm-up request" : "the last check", STR_ARG(address),
		STR_ARG(reason_row(outcome->why)->text), outcome->detail[0] ? ": " : "", outcome->detail);
	if (outcome->status)
		snprintf(why + strlen(why), sizeof(why) - strlen(why), " (it answered %u)", outcome->status);
	if (d->asked)
		deploy_move(d, DEPLOY_FAILED, why, NULL);
	else
		last_look_failed(d, why);
}

static void on_next(struct task *t)
{
	struct deploy *d = CONTAINER(t, struct deploy, next);
	const struct pool *pool = pool_of(d);

	if (!control_may_change(d->engine->control)) {
		deploy_warm_end(d);
		return;
	}
	if (d->snapshot != d->engine->control->snapshot || !pool) {
		deploy_warm(d); /* a reload has come between: the texts are others */
		return;
	}
	if (d->backend >= pool->n) {
		deploy_shift(d);
		return;
	}
	aim(d, pool);
	probe_ask(d->probe);
}

void deploy_warm(struct deploy *d)
{
	struct control *c = d->engine->control;

	deploy_warm_end(d);
	if (!pool_of(d)) {
		deploy_move(d, DEPLOY_FAILED, "the pool is not in the configuration any more", NULL);
		return;
	}
	d->backend = d->asked = 0;
	d->snapshot = c->snapshot;
	control_hold(d->snapshot);
	d->probe = probe_new(&c->loop, on_asked, d);
	d->next.run = on_next;
	loop_defer(&c->loop, &d->next, LOOP_READY);
}
