#include "control/deploy.h"

#include <stdio.h>
#include <stdlib.h>
#include "base/obj.h"
#include "control/control.h"
#include "control/deploy_run.h"

#define DEPLOY_TICK_MS 200
#define DEPLOY_LOG_MAX 100

const char *const deploy_state_names[DEPLOY_STATES] = {
	[DEPLOY_NONE] = "none",
	[DEPLOY_BEGINNING] = "beginning",
	[DEPLOY_SETTING] = "setting",
	[DEPLOY_CHECKING] = "checking",
	[DEPLOY_WARMING] = "warming",
	[DEPLOY_SHIFTING] = "shifting",
	[DEPLOY_DONE] = "done",
	[DEPLOY_FAILED] = "failed",
	[DEPLOY_ABORTED] = "aborted",
	[DEPLOY_ROLLED_BACK] = "rolled_back",
};

#define FAILS (BIT(DEPLOY_FAILED) | BIT(DEPLOY_ABORTED))

static const uint16_t legal[DEPLOY_STATES] = {
	[DEPLOY_NONE] = BIT(DEPLOY_BEGINNING),
	[DEPLOY_BEGINNING] = BIT(DEPLOY_SETTING),
	[DEPLOY_SETTING] = BIT(DEPLOY_SETTING) | BIT(DEPLOY_CHECKING) | FAILS,
	[DEPLOY_CHECKING] = BIT(DEPLOY_SETTING) | BIT(DEPLOY_CHECKING) | BIT(DEPLOY_WARMING) | FAILS,
	[DEPLOY_WARMING] = BIT(DEPLOY_SETTING) | BIT(DEPLOY_CHECKING) | BIT(DEPLOY_SHIFTING) | FAILS,
	[DEPLOY_SHIFTING] = BIT(DEPLOY_DONE) | BIT(DEPLOY_ROLLED_BACK) | FAILS,
	[DEPLOY_DONE] = BIT(DEPLOY_BEGINNING),
	[DEPLOY_FAILED] = BIT(DEPLOY_BEGINNING),
	[DEPLOY_ABORTED] = BIT(DEPLOY_BEGINNING),
	[DEPLOY_ROLLED_BACK] = BIT(DEPLOY_BEGINNING),
};

/* What the store or the service is being changed for. */
struct pending {
	struct list link; /* in engine->pending */
	struct deploy *deploy;
	uint64_t turn;
	void (*stored)(struct deploy *d, const char *error);
	void (*changed)(struct deploy *d, const struct runtime_result *r);
};

const char *deploy_text(const struct deploy *d, const char *name)
{
	return json_string_value(json_object_get(d->doc, name));
}

static struct pending *pending_new(struct deploy *d)
{
	struct pending *p = calloc(1, sizeof(*p));

	MUST(p);
	p->deploy = d;
	p->turn = d->turn;
	list_push_back(&d->engine->pending, &p->link);
	return p;
}

/* Is it still what the deploy waits for? */
static bool pending_is_due(const struct pending *p)
{
	return p->turn == p->deploy->turn && !p->deploy->engine->stopped;
}

static void pending_free(struct pending *p)
{
	list_remove(&p->link);
	free(p);
}

/* -- states -- */

static void tick_soon(struct deploy_engine *e)
{
	if (!deadline_armed(&e->tick) && !e->stopped)
		deadline_arm(&e->control->loop, &e->tick, DEPLOY_TICK_MS);
}

static void tell(struct deploy *d, const char *why)
{
	bool bad = d->state > DEPLOY_DONE;
	json_t *log = json_object_get(d->doc, "log");

	json_array_append_new(log, json_pack("{s:I, s:O, s:s, s:s}", "time_ms", (json_int_t)state_wall_ms(),
					   "serial", json_object_get(d->doc, "serial"), "state",
					   deploy_state_names[d->state], "text", why));
	if (json_array_size(log) > DEPLOY_LOG_MAX)
		json_array_remove(log, 1);
	event_emit(&d->engine->control->io, bad ? CONF_LEVEL_WARNING : CONF_LEVEL_INFO, "deploy",
		json_pack("{s:s, s:O, s:s, s:s, s:O, s:O?, s:O?}", "service", d->service, "pool",
			json_object_get(d->doc, "pool"), "state", deploy_state_names[d->state], "text", why,
			"id", json_object_get(d->doc, "id"), "author", json_object_get(d->doc, "author"),
			"reason", json_object_get(d->doc, "reason")));
}

/* The same was told last, or before that: a last look that fails again and again is told once. */
static bool is_told(const struct deploy *d, enum deploy_state state, const char *why)
{
	const json_t *log = json_object_get(d->doc, "log");
	size_t n = json_array_size(log), back = d->look_again_ms ? 2 : 1;

	for (size_t i = n - MIN(n, back); i < n; i++) {
		const json_t *entry = json_array_get(log, i);

		if (strcmp(json_string_value(json_object_get(entry, "state")), deploy_state_names[state]) ==
				0 &&
			strcmp(json_string_value(json_object_get(entry, "text")), why) == 0)
			return true;
	}
	return false;
}

void deploy_set_state(struct deploy *d, enum deploy_state to, const char *why)
{
	bool news = !is_told(d, to, why);

	MUST(legal[d->state] & BIT(to));
	d->state = (uint8_t)to;
	d->turn++;
	deploy_warm_end(d);
	json_object_set_new(d->doc, "state", json_string(deploy_state_names[to]));
	json_object_set_new(d->doc, "why", json_string(why));
	json_object_set_new(d->doc, "changed_ms", json_integer(state_wall_ms()));
	json_object_set_new(
		d->doc, "serial", json_integer(json_integer_value(json_object_get(d->doc, "serial")) + 1));
	if (news)
		tell(d, why);
	admin_topic_wake(&d->engine->control->shifts.changed);
	tick_soon(d->engine);
}

static void on_saved(void *ctx, const char *error)
{
	struct pending *p = ctx;

	if (p->stored && pending_is_due(p))
		p->stored(p->deploy, error);
	pending_free(p);
}

void deploy_move(struct deploy *d, enum deploy_state to, const char *why,
	void (*then)(struct deploy *d, const char *error))
{
	const struct store_write write = {DEPLOY_KIND, d->service, d->doc};
	struct pending *p;

	deploy_set_state(d, to, why);
	p = pending_new(d);
	p->stored = then;
	store_commit(&d->engine->control->store, &write, 1, on_saved, p);
}

static void fail(struct deploy *d, const char *why)
{
	deploy_move(d, DEPLOY_FAILED, why, NULL);
}

void deploy_late(struct deploy *d, const char *why)
{
	json_object_set_new(d->doc, "timed_out", json_true());
	fail(d, why);
}

/* -- backends in -- */

static void on_changed(void *ctx, const struct runtime_result *r)
{
	struct pending *p = ctx;

	p->deploy->jobs--;
	if (pending_is_due(p))
		p->changed(p->deploy, r);
	else
		admin_topic_wake(
			&p->deploy->engine->control->shifts.changed); /* for who waits until it is quiet */
	pending_free(p);
}

static void on_backends_set(struct deploy *d, const struct runtime_result *r)
{
	if (r->outcome == CHANGE_STOPPING)
		return;
	if (r->outcome > CHANGE_RENEWED) {
		fail(d, r->text);
		return;
	}
	d->look_again_ms = 0;
	d->give_up_ms = d->engine->control->loop.now_ms +
			(uint64_t)json_integer_value(json_object_get(d->doc, "healthy_within_ms"));
	deploy_move(d, DEPLOY_CHECKING, "waiting until every backend is healthy", NULL);
}

/* A pool that was not open gets no users by being opened: its weight is 0 until the shift. */
static void change_pool(struct deploy *d, const struct conf_pool *pool)
{
	const json_t *doc = runtime_doc(&d->engine->control->runtime, str_of(d->service));
	bool closed = service_doc_state(doc, pool) != POOL_OPEN;
	struct service_change change = {.author = deploy_text(d, "author"),
		.reason = deploy_text(d, "reason"),
		.force = true,
		.backends_pool = pool->name.p};
	struct pending *p = pending_new(d);

	change.backends = json_object_get(d->doc, "backends");
	if (!json_is_array(change.backends))
		change.backends = NULL;
	if (closed) {
		change.states = json_pack("{s:s}", pool->name.p, "open");
		change.weights = json_pack("{s:i}", pool->name.p, 0);
	}
	p->changed = on_backends_set;
	d->jobs++;
	runtime_change(&d->engine->control->runtime, str_of(d->service), &change, on_changed, p);
	json_decref(change.states);
	json_decref(change.weights);
}

void deploy_set_backends(struct deploy *d, const char *error)
{
	const struct conf_service *conf =
		runtime_conf_service(&d->engine->control->runtime, str_of(d->service));
	const struct conf_pool *pool = conf ? service_doc_pool(conf, deploy_text(d, "pool")) : NULL;

	if (error)
		fail(d, error);
	else if (!pool)
		fail(d, "the pool is not in the configuration any more");
	else
		change_pool(d, pool);
}

/* -- healthy -- */

static void look_at_health(struct deploy *d)
{
	char why[SHIFT_TEXT], text[SHIFT_TEXT + 64];
	uint64_t now = d->engine->control->loop.now_ms;

	if (now < MIN(d->look_again_ms, d->give_up_ms))
		return;
	if (deploy_all_healthy(d, why, sizeof(why))) {
		deploy_move(d, DEPLOY_WARMING, "every backend is asked once more", NULL);
		deploy_warm(d);
		return;
	}
	if (now < d->give_up_ms)
		return;
	snprintf(text, sizeof(text), "not every backend has become healthy in time: %s", why);
	deploy_late(d, text);
}

/* -- the shift -- */

static bool shift_is_mine(const struct deploy *d)
{
	const char *id = json_string_value(
		json_object_get(shift_stored(&d->engine->control->shifts, str_of(d->service)), "deploy"));

	return id && strcmp(id, deploy_text(d, "id")) == 0;
}

static void look_at_shift(struct deploy *d)
{
	const struct shift_engine *shifts = &d->engine->control->shifts;
	const char *why = json_string_value(json_object_get(shift_stored(shifts, str_of(d->service)), "why"));
	char said[SHIFT_TEXT];

	if (!shift_is_mine(d)) {
		deploy_shift(d);
		return;
	}
	snprintf(said, sizeof(said), "%s", why ? why : "");
	switch (shift_state(shifts, str_of(d->service))) {
	case SHIFT_DONE:
		deploy_move(d, DEPLOY_DONE, said, NULL);
		break;
	case SHIFT_ABORTED:
		deploy_move(d, DEPLOY_ABORTED, said, NULL);
		break;
	case SHIFT_ROLLED_BACK:
		deploy_move(d, DEPLOY_ROLLED_BACK, said, NULL);
		break;
	default:
		break;
	}
}

void deploy_shift(struct deploy *d)
{
	struct shift_answer answer;
	struct shift_wish wish = {.plan = json_object_get(d->doc, "plan"),
		.author = deploy_text(d, "author"),
		.reason = deploy_text(d, "reason"),
		.deploy = deploy_text(d, "id")};

	if (d->state != DEPLOY_SHIFTING)
		deploy_move(d, DEPLOY_SHIFTING, "users move to the pool", NULL);
	shift_begin(&d->engine->control->shifts, str_of(d->service), &wish, &answer, NULL, NULL);
	if (answer.outcome != SHIFT_TAKEN)
		fail(d, answer.text);
}

/* -- the look, every now and then -- */

/* After a start: everything up to the shift begins anew. */
static void resume(struct deploy *d)
{
	d->loaded = false;
	if (d->state == DEPLOY_SHIFTING)
		return;
	deploy_set_state(d, DEPLOY_SETTING, "weir has started: the backends are set again");
	deploy_set_backends(d, NULL);
}

static void look(struct deploy *d)
{
	if (d->loaded)
		resume(d);
	else if (d->state == DEPLOY_CHECKING)
		look_at_health(d);
	else if (d->state == DEPLOY_WARMING && !d->probe)
		deploy_warm(d); /* an upgrade that has come to nothing had ended it */
	else if (d->state == DEPLOY_SHIFTING)
		look_at_shift(d);
}

static void on_tick(struct deadline *deadline)
{
	struct deploy_engine *e = CONTAINER(deadline, struct deploy_engine, tick);
	bool serving = control_may_change(e->control), busy = false;

	for (struct map_entry *m = map_next(&e->deploys, NULL); m; m = map_next(&e->deploys, m)) {
		struct deploy *d = m->value;

		if (deploy_has_ended(d->state))
			continue;
		busy = true;
		if (serving)
			look(d);
	}
	if (busy)
		tick_soon(e);
}

/* -- the life -- */

struct deploy *deploy_find(const struct deploy_engine *e, struct str service)
{
	return map_get(&e->deploys, service);
}

struct deploy *deploy_of(struct deploy_engine *e, struct str service)
{
	struct deploy *d = deploy_find(e, service);

	if (d)
		return d;
	d = calloc(1, sizeof(*d));
	MUST(d);
	d->engine = e;
	d->service = strndup(service.p, service.n);
	MUST(d->service);
	map_put(&e->deploys, str_of(d->service), d);
	return d;
}

uint8_t deploy_state_in(const json_t *doc)
{
	const char *state = json_string_value(json_object_get(doc, "state"));

	for (uint8_t i = DEPLOY_NONE; state && i < DEPLOY_STATES; i++)
		if (strcmp(deploy_state_names[i], state) == 0)
			return i;
	return DEPLOY_NONE;
}

void deploy_init(struct deploy_engine *e, struct control *c)
{
	*e = (struct deploy_engine){.control = c};
	e->tick.fire = on_tick;
	list_init(&e->pending);
}

void deploy_load(struct deploy_engine *e)
{
	json_t *all = store_load(&e->control->store, DEPLOY_KIND), *doc;
	const char *key;

	json_object_foreach(all, key, doc)
	{
		struct deploy *d = deploy_of(e, str_of(key));

		if (d->doc)
			continue;
		d->state = deploy_state_in(doc);
		d->doc = json_incref(doc);
		d->loaded = !deploy_has_ended(d->state);
	}
	json_decref(all);
	tick_soon(e);
}

void deploy_stop(struct deploy_engine *e)
{
	e->stopped = true;
	deadline_disarm(&e->control->loop, &e->tick);
	for (struct map_entry *m = map_next(&e->deploys, NULL); m; m = map_next(&e->deploys, m))
		deploy_warm_end(m->value);
}

void deploy_free(struct deploy_engine *e)
{
	struct list *link;

	while ((link = list_pop_front(&e->pending)))
		free(CONTAINER(link, struct pending, link));
	for (struct map_entry *m = map_next(&e->deploys, NULL); m; m = map_next(&e->deploys, m)) {
		struct deploy *d = m->value;

		json_decref(d->before);
		json_decref(d->doc);
		free(d->service);
		free(d);
	}
	map_free(&e->deploys);
}
