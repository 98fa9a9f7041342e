/* control/shift_begin.c - how a shift begins, what may be done to it by hand, and what is told of it. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/obj.h"
#include "control/control.h"
#include "control/shift_run.h"

const char *const shift_action_names[SHIFT_ACTIONS] = {[SHIFT_PAUSE] = "pause",
	[SHIFT_RESUME] = "resume",
	[SHIFT_PROMOTE] = "promote",
	[SHIFT_ABORT] = "abort"};

/* -- beginning -- */

bool shift_refuse(struct shift_answer *a, enum shift_outcome outcome, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(a->text, sizeof(a->text), fmt, ap);
	va_end(ap);
	a->outcome = (uint8_t)outcome;
	return false;
}

static bool hold(struct shift_answer *a)
{
	a->outcome = SHIFT_HELD;
	return false;
}

/* The weights as they are, of the pools among which users are divided; *from: the one with the most. */
static json_t *base_of(const struct control *c, const struct conf_service *conf, struct str service,
	const char *to, const char **from)
{
	const json_t *doc = runtime_doc(&c->runtime, service);
	json_t *base = json_object();
	int64_t most = -1;

	for (uint32_t i = 0; i < conf->pool_n; i++) {
		const struct conf_pool *pool = &conf->pools[i];
		uint32_t weight = service_doc_weight(doc, pool);

		if (service_doc_state(doc, pool) != POOL_OPEN)
			continue;
		json_object_set_new(base, pool->name.p, json_integer(weight));
		if (strcmp(pool->name.p, to) != 0 && weight > most) {
			most = weight;
			*from = pool->name.p;
		}
	}
	return base;
}

static bool may_begin(
	struct shift_engine *e, struct str service, const struct shift_plan *plan, struct shift_answer *a)
{
	const struct control *c = e->control;
	const struct conf_service *conf = runtime_conf_service(&c->runtime, service);
	const struct conf_pool *pool = conf ? service_doc_pool(conf, plan->pool) : NULL;
	const struct shift *s = shift_find(e, service);
	struct str meant = service_doc_pool_meant(conf, plan->pool);

	if (!pool)
		return shift_refuse(a, SHIFT_UNKNOWN, "there is no pool " STR_FMT "/%s%s" STR_FMT "%s",
			STR_ARG(service), plan->pool, meant.n ? "; did you mean \"" : "", STR_ARG(meant),
			meant.n ? "\"?" : "");
	if (shift_holds(e, service, a->text))
		return hold(a);
	if (s && s->jobs)
		return shift_refuse(a, SHIFT_HELD, "the last shift is just ending; try again");
	if (service_doc_state(runtime_doc(&c->runtime, service), pool) != POOL_OPEN)
		return shift_refuse(a, SHIFT_NOT_NOW,
			"pool %s is not open: new users would not reach it. Open it first: weir pool " STR_FMT
			"/%s --state open",
			plan->pool, STR_ARG(service), plan->pool);
	return true;
}

static void fill_doc(struct shift *s, const struct shift_wish *wish, json_t *base, const char *from)
{
	char id[24];

	snprintf(id, sizeof(id), "%llx", (unsigned long long)state_wall_ms());
	s->doc = json_pack("{s:s, s:I, s:s, s:s, s:s, s:s, s:s?, s:O, s:O, s:O, s:i, s:i, s:f, s:s?, s:s?, "
			   "s:s?, s:I, s:[]}",
		"id", id, "serial", json_integer_value(json_object_get(s->before, "serial")), "state", "none",
		"why", "", "service", s->key, "pool", s->plan.pool, "from", from, "plan", wish->plan, "base",
		base, "weights", base, "step", 0, "steps", (int)s->plan.step_n, "share", 0.0, "author",
		wish->author, "reason", wish->reason, "deploy", wish->deploy, "started_ms",
		(json_int_t)state_wall_ms(), "log");
	MUST(s->doc);
	json_object_set_new(s->doc, "plan", json_deep_copy(wish->plan));
	for (const char *const *name = wish->ignored; name && *name; name++)
		json_object_del(json_object_get(s->doc, "plan"), *name);
}

static void on_begun(struct shift *s, const char *error)
{
	void (*begun)(void *, const char *) = TAKE(&s->begun);

	if (error) {
		s->turn++;
		json_decref(s->doc);
		s->doc = TAKE(&s->before);
		s->state = shift_state_in(s->doc);
		if (begun)
			begun(s->begun_ctx, error);
		return;
	}
	json_decref(TAKE(&s->before));
	shift_set_state(s, SHIFT_WAITING, "begins");
	if (begun)
		begun(s->begun_ctx, NULL);
	shift_next_step(s, false);
}

void shift_begin(struct shift_engine *e, struct str service, const struct shift_wish *wish,
	struct shift_answer *answer, void (*done)(void *ctx, const char *error), void *ctx)
{
	struct shift_plan plan;
	struct shift *s;
	const char *from = NULL;
	json_t *base, *stored;

	*answer = (struct shift_answer){.outcome = SHIFT_TAKEN};
	if (!shift_plan_parse(&plan, wish->plan, wish->ignored, answer->text, sizeof(answer->text))) {
		answer->outcome = SHIFT_BAD;
		return;
	}
	if (!may_begin(e, service, &plan, answer))
		return;
	base = base_of(
		e->control, runtime_conf_service(&e->control->runtime, service), service, plan.pool, &from);
	s = shift_of(e, service);
	s->before = s->doc;
	s->plan = plan;
	s->loaded = s->pause_wanted = s->asked_hook = false;
	s->ask_ms = 0;
	s->begun = done;
	s->begun_ctx = ctx;
	fill_doc(s, wish, base, from);
	json_decref(base);
	/* Its texts are the copy's from now on. */
	MUST(shift_plan_parse(
		&s->plan, json_object_get(s->doc, "plan"), NULL, answer->text, sizeof(answer->text)));
	shift_set_step(s, shift_first(s));
	shift_set_state(s, SHIFT_BEGINNING, "is being stored");
	/* Found again after a crash, it waits for its first step. */
	stored = json_object_get(s->doc, "state");
	json_string_set(stored, shift_state_names[SHIFT_WAITING]);
	shift_save(s, on_begun);
}

void shift_forget(struct shift_engine *e, struct str service, void *ctx)
{
	struct shift *s = shift_find(e, service);

	if (s && s->begun_ctx == ctx)
		s->begun = NULL;
}

/* -- actions -- */

static const uint16_t takes[SHIFT_ACTIONS] = {
	[SHIFT_PAUSE] = BIT(SHIFT_STEPPING) | BIT(SHIFT_OBSERVING) | BIT(SHIFT_INCONCLUSIVE) |
			BIT(SHIFT_JUDGING) | BIT(SHIFT_WAITING),
	[SHIFT_RESUME] = BIT(SHIFT_PAUSED),
	[SHIFT_PROMOTE] = BIT(SHIFT_OBSERVING) | BIT(SHIFT_INCONCLUSIVE) | BIT(SHIFT_JUDGING) |
			  BIT(SHIFT_WAITING) | BIT(SHIFT_PAUSED),
	[SHIFT_ABORT] = BIT(SHIFT_STEPPING) | BIT(SHIFT_OBSERVING) | BIT(SHIFT_INCONCLUSIVE) |
			BIT(SHIFT_JUDGING) | BIT(SHIFT_WAITING) | BIT(SHIFT_PAUSED) | BIT(SHIFT_DRAINING),
};

static void do_resume(struct shift *s, const char *why)
{
	if (shift_step(s) <= shift_first(s)) {
		shift_move(s, SHIFT_WAITING, why);
		return;
	}
	shift_mark(s);
	s->step_ms = shift_now_ms(s);
	shift_move(s, SHIFT_OBSERVING, why);
}

void shift_act(struct shift_engine *e, struct str service, enum shift_action action, const char *author,
	const char *reason, struct shift_answer *answer)
{
	static const char *const done[SHIFT_ACTIONS] = {"paused", "resumed", "promoted", "aborted"};
	struct shift *s = shift_find(e, service);
	char why[SHIFT_TEXT];

	*answer = (struct shift_answer){.outcome = SHIFT_TAKEN};
	if (!s || !s->doc || shift_has_ended(s->state)) {
		shift_refuse(answer, SHIFT_UNKNOWN, "there is no shift of " STR_FMT " under way",
			STR_ARG(service));
		return;
	}
	if (s->loaded) {
		shift_refuse(answer, SHIFT_NOT_NOW,
			"weir has just started and is about to go on with the shift: try again in a moment");
		return;
	}
	if (!(takes[action] & BIT(s->state))) {
		shift_refuse(answer, SHIFT_NOT_NOW, "the shift is %s: it cannot be %s",
			shift_state_names[s->state], done[action]);
		return;
	}
	snprintf(why, sizeof(why), "%s by " STR_FMT "%s" STR_FMT, done[action],
		STR_ARG(str_head_utf8(author ? str_of(author) : STR("somebody"), 200)), reason ? ": " : "",
		STR_ARG(str_head_utf8(str_of(reason), 600)));
	if (action == SHIFT_ABORT)
		shift_return(s, SHIFT_ABORTED, why);
	else if (action == SHIFT_PROMOTE)
		shift_next_step(s, true);
	else if (action == SHIFT_RESUME)
		do_resume(s, why);
	else if (s->state == SHIFT_STEPPING)
		s->pause_wanted = true;
	else
		shift_move(s, SHIFT_PAUSED, why);
}

/* -- what is known -- */

enum shift_state shift_state(const struct shift_engine *e, struct str service)
{
	const struct shift *s = shift_find(e, service);

	return s && s->doc ? (enum shift_state)s->state : SHIFT_NONE;
}

bool shift_holds(const struct shift_engine *e, struct str service, char *text)
{
	const struct shift *s = shift_find(e, service);
	const char *author;

	if (!s || !s->doc || shift_has_ended(s->state))
		return false;
	author = shift_text(s, "author");
	snprintf(text, SHIFT_TEXT,
		"a shift to %s is under way (%s, %g%%, by %.128s): wait for its end, or end it with weir "
		"shift " STR_FMT " --abort",
		shift_text(s, "pool"), shift_state_names[s->state],
		json_number_value(json_object_get(s->doc, "share")), author ? author : "somebody",
		STR_ARG(service));
	return true;
}

json_t *shift_document(struct shift_engine *e, struct str service)
{
	struct shift *s = shift_find(e, service);
	json_t *document;
	uint64_t now = e->control->loop.now_ms, end;

	if (!s || !s->doc)
		return NULL;
	document = json_deep_copy(s->doc);
	/* What is on the disk of one that is being stored is not how it is. */
	json_object_set_new(document, "state", json_string(shift_state_names[s->state]));
	json_object_set_new(document, "ended", json_boolean(shift_has_ended(s->state)));
	if (s->state == SHIFT_OBSERVING) {
		end = s->step_ms + s->plan.every_ms;
		json_object_set_new(
			document, "left_ms", json_integer(end > now ? (json_int_t)(end - now) : 0));
	}
	if (s->state == SHIFT_DRAINING)
		json_object_set_new(document, "in_flight", json_integer((json_int_t)shift_in_flight(s)));
	return document;
}

const json_t *shift_stored(const struct shift_engine *e, struct str service)
{
	const struct shift *s = shift_find(e, service);

	return s ? s->doc : NULL;
}

int shift_share_now(const struct shift_engine *e, struct str pool_key, enum shift_state *state)
{
	struct str service = runtime_service_key(pool_key);
	const struct shift *s = shift_find(e, service);

	if (!s || !s->doc || shift_has_ended(s->state) ||
		!str_eq(str_skip(pool_key, service.n + 1), str_of(shift_text(s, "pool"))))
		return -1;
	*state = (enum shift_state)s->state;
	return (int)(json_number_value(json_object_get(s->doc, "share")) * 100 + 0.5);
}
