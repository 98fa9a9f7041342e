#include "control/shift.h"

#include <stdio.h>
#include <stdlib.h>
#include "base/obj.h"
#include "control/control.h"
#include "control/shift_run.h"

#define SHIFT_KIND    "shift"
#define SHIFT_TICK_MS 200
#define SHIFT_LOG_MAX 100

const char *const shift_state_names[SHIFT_STATES] = {
	[SHIFT_NONE] = "none",
	[SHIFT_BEGINNING] = "beginning",
	[SHIFT_STEPPING] = "stepping",
	[SHIFT_OBSERVING] = "observing",
	[SHIFT_INCONCLUSIVE] = "inconclusive",
	[SHIFT_JUDGING] = "judging",
	[SHIFT_WAITING] = "waiting",
	[SHIFT_PAUSED] = "paused",
	[SHIFT_RETURNING] = "returning",
	[SHIFT_DRAINING] = "draining",
	[SHIFT_DONE] = "done",
	[SHIFT_ABORTED] = "aborted",
	[SHIFT_ROLLED_BACK] = "rolled_back",
};

#define ENDS      (BIT(SHIFT_DONE) | BIT(SHIFT_ABORTED) | BIT(SHIFT_ROLLED_BACK))
#define GOES_ON   (BIT(SHIFT_STEPPING) | BIT(SHIFT_WAITING) | BIT(SHIFT_DRAINING) | BIT(SHIFT_DONE))
#define IS_HALTED (BIT(SHIFT_PAUSED) | BIT(SHIFT_RETURNING) | BIT(SHIFT_ABORTED))

static const uint16_t legal[SHIFT_STATES] = {
	[SHIFT_NONE] = BIT(SHIFT_BEGINNING),
	[SHIFT_BEGINNING] = BIT(SHIFT_WAITING) | BIT(SHIFT_NONE) | ENDS,
	[SHIFT_STEPPING] = BIT(SHIFT_OBSERVING) | IS_HALTED | GOES_ON,
	[SHIFT_OBSERVING] =
		BIT(SHIFT_OBSERVING) | BIT(SHIFT_INCONCLUSIVE) | BIT(SHIFT_JUDGING) | IS_HALTED | GOES_ON,
	[SHIFT_INCONCLUSIVE] =
		BIT(SHIFT_OBSERVING) | BIT(SHIFT_INCONCLUSIVE) | BIT(SHIFT_JUDGING) | IS_HALTED | GOES_ON,
	[SHIFT_JUDGING] = BIT(SHIFT_OBSERVING) | BIT(SHIFT_INCONCLUSIVE) | IS_HALTED | GOES_ON,
	[SHIFT_WAITING] = BIT(SHIFT_OBSERVING) | IS_HALTED | GOES_ON,
	[SHIFT_PAUSED] = BIT(SHIFT_OBSERVING) | IS_HALTED | GOES_ON,
	[SHIFT_RETURNING] = BIT(SHIFT_RETURNING) | ENDS,
	[SHIFT_DRAINING] = BIT(SHIFT_DRAINING) | BIT(SHIFT_RETURNING) | ENDS,
	[SHIFT_DONE] = BIT(SHIFT_BEGINNING),
	[SHIFT_ABORTED] = BIT(SHIFT_BEGINNING),
	[SHIFT_ROLLED_BACK] = BIT(SHIFT_BEGINNING),
};

uint64_t shift_now_ms(const struct shift *s)
{
	return s->engine->control->loop.now_ms;
}

const char *shift_text(const struct shift *s, const char *name)
{
	return json_string_value(json_object_get(s->doc, name));
}

uint32_t shift_step(const struct shift *s)
{
	return (uint32_t)json_integer_value(json_object_get(s->doc, "step"));
}

uint32_t shift_first(const struct shift *s)
{
	uint32_t share = shift_share(json_object_get(s->doc, "base"), s->plan.pool), n = 0;

	while (n < s->plan.step_n && s->plan.steps[n] <= share)
		n++;
	return n;
}

/* -- storing -- */

/* A document on its way to the disk. */
struct saving {
	struct list link; /* in engine->saving */
	struct shift *shift;
	uint64_t turn;
	void (*then)(struct shift *s, const char *error);
};

static void on_saved(void *ctx, const char *error)
{
	struct saving *saving = ctx;
	struct shift *s = saving->shift;

	list_remove(&saving->link);
	if (saving->then && saving->turn == s->turn && !s->engine->stopped)
		saving->then(s, error);
	free(saving);
}

void shift_save(struct shift *s, void (*then)(struct shift *s, const char *error))
{
	const struct store_write write = {SHIFT_KIND, s->key, s->doc};
	struct saving *saving = malloc(sizeof(*saving));

	MUST(saving);
	*saving = (struct saving){{0}, s, s->turn, then};
	list_push_back(&s->engine->saving, &saving->link);
	store_commit(&s->engine->control->store, &write, 1, on_saved, saving);
}

/* -- states -- */

void shift_tick_soon(struct shift_engine *e)
{
	if (!deadline_armed(&e->tick) && !e->stopped)
		deadline_arm(&e->control->loop, &e->tick, SHIFT_TICK_MS);
}

static void note(struct shift *s, const char *why)
{
	json_t *log = json_object_get(s->doc, "log");

	json_array_append_new(
		log, json_pack("{s:I, s:O, s:s, s:O, s:s}", "time_ms", (json_int_t)state_wall_ms(), "serial",
			     json_object_get(s->doc, "serial"), "state", shift_state_names[s->state], "share",
			     json_object_get(s->doc, "share"), "text", why));
	if (json_array_size(log) > SHIFT_LOG_MAX)
		json_array_remove(log, 1); /* how it began stays */
}

static void tell(struct shift *s, const char *why)
{
	bool bad = s->state == SHIFT_RETURNING || s->state == SHIFT_ROLLED_BACK ||
		   s->state == SHIFT_ABORTED || s->state == SHIFT_INCONCLUSIVE;
	json_t *line = json_pack("{s:s, s:s, s:s, s:O, s:O, s:i, s:s, s:O?, s:O?}", "service", s->key, "pool",
		s->plan.pool, "state", shift_state_names[s->state], "share", json_object_get(s->doc, "share"),
		"step", json_object_get(s->doc, "step"), "steps", (int)s->plan.step_n, "text", why, "author",
		json_object_get(s->doc, "author"), "deploy", json_object_get(s->doc, "deploy"));

	if (bad && json_object_get(s->doc, "verdict"))
		json_object_set(line, "verdict", json_object_get(s->doc, "verdict"));
	event_emit(&s->engine->control->io, bad ? CONF_LEVEL_WARNING : CONF_LEVEL_INFO, "shift", line);
}

void shift_set_state(struct shift *s, enum shift_state to, const char *why)
{
	bool news = s->state != to || strcmp(shift_text(s, "why"), why) != 0;

	MUST(legal[s->state] & BIT(to) || s->state == to);
	s->state = (uint8_t)to;
	s->turn++;
	fetching_cancel(&s->question);
	json_object_set_new(s->doc, "state", json_string(shift_state_names[to]));
	json_object_set_new(s->doc, "why", json_string(why));
	json_object_set_new(s->doc, "changed_ms", json_integer(state_wall_ms()));
	json_object_set_new(
		s->doc, "serial", json_integer(json_integer_value(json_object_get(s->doc, "serial")) + 1));
	if (news) {
		note(s, why);
		tell(s, why);
	}
	if (shift_has_ended(to)) {
		s->engine->ended[to]++;
		shift_window_free(s);
	}
	admin_topic_wake(&s->engine->changed);
	shift_tick_soon(s->engine);
}

void shift_move(struct shift *s, enum shift_state to, const char *why)
{
	shift_set_state(s, to, why);
	shift_save(s, NULL);
}

void shift_set_step(struct shift *s, uint32_t step)
{
	const json_t *base = json_object_get(s->doc, "base");
	json_t *weights = step > shift_first(s) ? shift_weights(&s->plan, base, s->plan.steps[step - 1])
						: json_deep_copy(base);

	json_object_set_new(s->doc, "step", json_integer(step));
	json_object_set_new(s->doc, "share", json_real(shift_share(weights, s->plan.pool) / 100.0));
	json_object_set_new(s->doc, "weights", weights);
}

/* -- changing the service -- */

/* A change of the service, and what shall come of it. */
struct changing {
	struct list link; /* in engine->changing */
	struct shift *shift;
	uint64_t turn;
	void (*then)(struct shift *s, const struct runtime_result *r);
};

static void on_changed(void *ctx, const struct runtime_result *r)
{
	struct changing *c = ctx;
	struct shift *s = c->shift;

	s->jobs--;
	list_remove(&c->link);
	if (c->turn == s->turn && !s->engine->stopped)
		c->then(s, r);
	free(c);
}

void shift_change(struct shift *s, json_t *weights, json_t *states, bool must,
	void (*then)(struct shift *s, const struct runtime_result *r))
{
	struct service_change wanted = {.weights = weights, .states = states, .must = must, .force = true};
	struct changing *c = malloc(sizeof(*c));
	char reason[256];

	MUST(c);
	snprintf(reason, sizeof(reason), "shift to %s, %s: " STR_FMT, s->plan.pool,
		shift_state_names[s->state], STR_ARG(str_head_utf8(str_of(shift_text(s, "why")), 150)));
	wanted.reason = reason;
	wanted.author = shift_text(s, "author");
	*c = (struct changing){{0}, s, s->turn, then};
	list_push_back(&s->engine->changing, &c->link);
	s->jobs++;
	runtime_change(&s->engine->control->runtime, str_of(s->key), &wanted, on_changed, c);
}

/* -- forwards -- */

static bool waits_for_nothing(const struct shift *s)
{
	return !s->plan.guards.min_samples && !shift_has_judges(s);
}

static void not_taken(struct shift *s, const char *why)
{
	shift_set_step(s, shift_step(s) - 1);
	shift_move(s, SHIFT_WAITING, why);
}

static void on_stepped(struct shift *s, const struct runtime_result *r)
{
	char why[SHIFT_TEXT];

	if (r->outcome == CHANGE_STOPPING)
		return;
	if (r->outcome == CHANGE_UNKNOWN) {
		shift_move(s, SHIFT_ABORTED, r->text);
		return;
	}
	if (!shift_change_holds(r)) {
		not_taken(s, r->text);
		return;
	}
	if (!s->plan.ramp || !s->window)
		shift_mark(s);
	s->step_ms = shift_now_ms(s);
	s->asked_hook = false;
	if (shift_step(s) == s->plan.step_n && waits_for_nothing(s)) {
		shift_complete(s);
		return;
	}
	snprintf(why, sizeof(why), "pool %s has %g%%", s->plan.pool,
		json_number_value(json_object_get(s->doc, "share")));
	shift_set_state(s, SHIFT_OBSERVING, why);
	shift_save(s, NULL);
	if (s->pause_wanted)
		shift_move(s, SHIFT_PAUSED, "paused");
	s->pause_wanted = false;
}

static void on_step_stored(struct shift *s, const char *error)
{
	char why[SHIFT_TEXT];

	if (!error) {
		shift_change(s, json_object_get(s->doc, "weights"), NULL, false, on_stepped);
		return;
	}
	snprintf(why, sizeof(why), "the step cannot be stored: %s", error);
	not_taken(s, why);
}

static void begin_step(struct shift *s)
{
	char why[SHIFT_TEXT];

	shift_keep_baseline(s);
	shift_set_step(s, shift_step(s) + 1);
	snprintf(why, sizeof(why), "step %u of %u: %g%% to pool %s", shift_step(s), s->plan.step_n,
		json_number_value(json_object_get(s->doc, "share")), s->plan.pool);
	shift_set_state(s, SHIFT_STEPPING, why);
	shift_save(s, on_step_stored);
}

void shift_next_step(struct shift *s, bool promoted)
{
	char why[SHIFT_TEXT];

	if (shift_step(s) >= s->plan.step_n)
		shift_complete(s);
	else if (shift_gate_open(s, promoted, why, sizeof(why)))
		begin_step(s);
	else if (s->state != SHIFT_WAITING || strcmp(shift_text(s, "why"), why) != 0)
		shift_move(s, SHIFT_WAITING, why);
}

void shift_advance(struct shift *s)
{
	shift_next_step(s, false);
}

/* -- the look, every now and then -- */

/* False: the guards have ended it. */
static bool guards_hold(struct shift *s, struct guard_verdict *v)
{
	json_t *evidence = NULL;

	*v = (struct guard_verdict){.outcome = GUARD_PASS};
	if (shift_step(s) <= shift_first(s) || !s->window)
		return true;
	shift_judge_window(s, v, &evidence);
	if (evidence)
		json_object_set_new(s->doc, "verdict", evidence);
	if (v->outcome != GUARD_FAIL)
		return true;
	shift_return(s, SHIFT_ROLLED_BACK, v->text);
	return false;
}

static void look_at_window(struct shift *s, const struct guard_verdict *v)
{
	if (shift_now_ms(s) < s->step_ms + s->plan.every_ms || shift_now_ms(s) < s->ask_ms)
		return;
	if (v->outcome == GUARD_INCONCLUSIVE) {
		if (s->state != SHIFT_INCONCLUSIVE)
			shift_move(s, SHIFT_INCONCLUSIVE,
				"the window is over, with too few requests to judge by: held");
	} else if (shift_has_judges(s)) {
		shift_set_state(s, SHIFT_JUDGING, "asking the judges outside");
		shift_ask(s);
	} else {
		shift_advance(s);
	}
}

static void look(struct shift *s)
{
	struct guard_verdict v;
	char why[SHIFT_TEXT];

	if (s->state == SHIFT_JUDGING && !s->question)
		shift_ask(s); /* the answer came when it could not be taken */
	if (s->state == SHIFT_DRAINING)
		shift_look_at_draining(s);
	else if (s->state == SHIFT_RETURNING && !s->jobs)
		shift_put_back(s);
	if (s->jobs || s->state < SHIFT_OBSERVING || s->state > SHIFT_PAUSED)
		return;
	if (shift_overridden(s, json_object_get(s->doc, "weights"), why, sizeof(why))) {
		shift_move(s, SHIFT_ABORTED, why);
		return;
	}
	if (!guards_hold(s, &v))
		return;
	if (s->state == SHIFT_OBSERVING || s->state == SHIFT_INCONCLUSIVE)
		look_at_window(s, &v);
	else if (s->state == SHIFT_WAITING)
		shift_next_step(s, false);
}

/* -- after a start -- */

/* The step that was stored may have come into force or not: it does now, unless the file has other ideas. */
static void resume_step(struct shift *s)
{
	char why[SHIFT_TEXT];
	json_t *earlier;
	uint32_t step = shift_step(s);

	if (shift_overridden(s, json_object_get(s->doc, "weights"), why, sizeof(why))) {
		shift_set_step(s, step ? step - 1 : 0);
		earlier = json_incref(json_object_get(s->doc, "weights"));
		shift_set_step(s, step);
		if (shift_overridden(s, earlier, why, sizeof(why))) {
			json_decref(earlier);
			shift_move(s, SHIFT_ABORTED, why);
			return;
		}
		json_decref(earlier);
	}
	shift_set_state(
		s, SHIFT_STEPPING, "weir has started: the step is taken again, and its window begins anew");
	on_step_stored(s, NULL); /* it is on the disk */
}

static void resume(struct shift *s)
{
	char why[SHIFT_TEXT];

	s->loaded = false;
	if (!shift_plan_parse(&s->plan, json_object_get(s->doc, "plan"), NULL, why, sizeof(why))) {
		shift_move(s, SHIFT_ABORTED, why);
		return;
	}
	switch ((enum shift_state)s->state) {
	case SHIFT_RETURNING:
		shift_put_back(s);
		break;
	case SHIFT_DRAINING:
		s->drain_ms = 0;
		shift_begin_draining(s);
		break;
	case SHIFT_WAITING:
	case SHIFT_PAUSED:
		shift_mark(s);
		break;
	default:
		resume_step(s);
	}
}

static void on_tick(struct deadline *d)
{
	struct shift_engine *e = CONTAINER(d, struct shift_engine, tick);
	bool serving = control_may_change(e->control);
	bool busy = false;

	for (struct map_entry *m = map_next(&e->shifts, NULL); m; m = map_next(&e->shifts, m)) {
		struct shift *s = m->value;

		if (shift_has_ended(s->state))
			continue;
		busy = true;
		if (serving && s->loaded)
			resume(s);
		else if (serving)
			look(s);
	}
	if (busy)
		shift_tick_soon(e);
}

/* -- the life -- */

struct shift *shift_find(const struct shift_engine *e, struct str service)
{
	return map_get(&e->shifts, service);
}

struct shift *shift_of(struct shift_engine *e, struct str service)
{
	struct shift *s = shift_find(e, service);

	if (s)
		return s;
	s = calloc(1, sizeof(*s));
	MUST(s);
	s->engine = e;
	s->key = strndup(service.p, service.n);
	MUST(s->key);
	map_put(&e->shifts, str_of(s->key), s);
	return s;
}

void shift_init(struct shift_engine *e, struct control *c)
{
	*e = (struct shift_engine){.control = c, .fetcher = fetcher_new(&c->loop, NULL)};
	e->tick.fire = on_tick;
	list_init(&e->saving);
	list_init(&e->changing);
	admin_topic_init(&e->changed, &c->loop);
}

uint8_t shift_state_in(const json_t *doc)
{
	const char *state = json_string_value(json_object_get(doc, "state"));

	for (uint8_t i = SHIFT_NONE; state && i < SHIFT_STATES; i++)
		if (strcmp(shift_state_names[i], state) == 0)
			return i;
	return SHIFT_NONE;
}

void shift_load(struct shift_engine *e)
{
	json_t *all = store_load(&e->control->store, SHIFT_KIND), *doc;
	const char *key;

	json_object_foreach(all, key, doc)
	{
		struct shift *s = shift_of(e, str_of(key));

		/* What is in force goes before what could not be read until now. */
		if (s->doc)
			continue;
		s->state = shift_state_in(doc);
		s->doc = json_incref(doc);
		s->loaded = !shift_has_ended(s->state);
	}
	json_decref(all);
	shift_tick_soon(e);
}

void shift_stop(struct shift_engine *e)
{
	e->stopped = true;
	deadline_disarm(&e->control->loop, &e->tick);
	for (struct map_entry *m = map_next(&e->shifts, NULL); m; m = map_next(&e->shifts, m))
		fetching_cancel(&((struct shift *)m->value)->question);
}

void shift_free(struct shift_engine *e)
{
	struct list *link;

	while ((link = list_pop_front(&e->saving)))
		free(CONTAINER(link, struct saving, link));
	while ((link = list_pop_front(&e->changing)))
		free(CONTAINER(link, struct changing, link));
	for (struct map_entry *m = map_next(&e->shifts, NULL); m; m = map_next(&e->shifts, m)) {
		struct shift *s = m->value;

		shift_window_free(s);
		json_decref(s->before);
		json_decref(s->doc);
		free(s->key);
		free(s);
	}
	map_free(&e->shifts);
	fetcher_free(&e->fetcher);
}
