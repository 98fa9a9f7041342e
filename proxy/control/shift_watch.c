/* control/shift_watch.c - what a shift sees: the two pools over the same window, and whether the next step may be taken. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "base/obj.h"
#include "control/control.h"
#include "control/shift_run.h"

#define RAMP_WINDOW_MS 60000 /* what a ramp looks back on */

/* A window slides by halves: it is judged from the older mark on, and once the newer one is old and full enough by itself, it takes the older
 * one's place. So a hold of hours never hides what has gone wrong lately. */
struct shift_mark {
	struct tally_sums new_pool, old;
	uint64_t at_ms;
};

struct shift_window {
	struct shift_mark marks[2];
	struct shift_mark now;
	struct tally_sums difference;
};

static void pool_sums(const struct shift *s, const char *pool, struct tally_sums *sums)
{
	char key[700];
	int n = snprintf(key, sizeof(key), "%s/%s", s->key, pool);

	if (!metrics_pool(s->engine->control, (struct str){key, (size_t)n}, sums))
		memset(sums, 0, sizeof(*sums));
}

static void take_mark(const struct shift *s, struct shift_mark *m)
{
	pool_sums(s, s->plan.pool, &m->new_pool);
	pool_sums(s, json_string_value(json_object_get(s->doc, "from")), &m->old);
	m->at_ms = shift_now_ms(s);
}

void shift_mark(struct shift *s)
{
	if (!s->window) {
		s->window = malloc(sizeof(*s->window));
		MUST(s->window);
	}
	take_mark(s, &s->window->marks[0]);
	s->window->marks[1] = s->window->marks[0];
}

void shift_window_free(struct shift *s)
{
	free(TAKE(&s->window));
}

static void figures_since(struct shift_window *w, const struct shift_mark *m, struct guard_figures *new_pool,
	struct guard_figures *old)
{
	tally_sums_since(&w->now.new_pool, &m->new_pool, &w->difference);
	guard_figures_of(&w->difference, new_pool);
	tally_sums_since(&w->now.old, &m->old, &w->difference);
	guard_figures_of(&w->difference, old);
}

static bool old_gets_nobody(const struct shift *s)
{
	return shift_share(json_object_get(s->doc, "weights"), s->plan.pool) >= SHIFT_WHOLE;
}

static void judge_since(struct shift *s, const struct shift_mark *m, struct guard_figures *new_pool,
	struct guard_figures *old, struct guard_verdict *v)
{
	struct guard_figures kept;

	figures_since(s->window, m, new_pool, old);
	if (old_gets_nobody(s) && old->requests < MAX(s->plan.guards.min_samples, 1u) &&
		guard_figures_read(json_object_get(s->doc, "baseline"), &kept))
		*old = kept;
	guard_judge(&s->plan.guards, new_pool, old, v);
}

static void slide(struct shift *s)
{
	struct shift_window *w = s->window;
	struct guard_figures new_pool, old;
	struct guard_verdict v;

	if (w->now.at_ms < w->marks[1].at_ms + (s->plan.ramp ? RAMP_WINDOW_MS : s->plan.every_ms))
		return;
	judge_since(s, &w->marks[1], &new_pool, &old, &v);
	if (v.outcome == GUARD_INCONCLUSIVE)
		return;
	w->marks[0] = w->marks[1];
	w->marks[1] = w->now;
}

void shift_judge_window(struct shift *s, struct guard_verdict *v, json_t **evidence)
{
	struct shift_window *w = s->window;
	struct guard_figures new_pool, old;

	*v = (struct guard_verdict){.outcome = GUARD_PASS};
	if (!w)
		return;
	take_mark(s, &w->now);
	judge_since(s, &w->marks[0], &new_pool, &old, v);
	if (evidence)
		*evidence = json_pack("{s:s, s:s, s:I, s:f, s:o, s:o}", "outcome",
			guard_outcome_names[v->outcome], "text", v->text, "window_ms",
			(json_int_t)(w->now.at_ms - w->marks[0].at_ms), "share",
			json_number_value(json_object_get(s->doc, "share")), "new",
			guard_figures_json(&new_pool), "old", guard_figures_json(&old));
	slide(s);
}

void shift_keep_baseline(struct shift *s)
{
	struct guard_figures new_pool, old;

	if (!s->window || old_gets_nobody(s))
		return;
	take_mark(s, &s->window->now);
	figures_since(s->window, &s->window->marks[0], &new_pool, &old);
	if (old.requests >= MAX(s->plan.guards.min_samples, 1u))
		json_object_set_new(s->doc, "baseline", guard_figures_json(&old));
}

uint64_t shift_in_flight(const struct shift *s)
{
	struct tally_sums *sums = malloc(sizeof(*sums));
	uint64_t n = 0;
	const char *name;
	json_t *weight;

	MUST(sums);
	json_object_foreach(json_object_get(s->doc, "base"), name, weight)
	{
		if (strcmp(name, s->plan.pool) == 0)
			continue;
		pool_sums(s, name, sums);
		n += sums->in_flight;
	}
	free(sums);
	return n;
}

/* -- gates -- */

const struct pool *shift_find_pool(const struct control *c, const char *service, const char *pool)
{
	char key[700];
	int n = snprintf(key, sizeof(key), "%s/%s", service, pool);
	const struct slot *slot =
		c->snapshot ? map_get(&c->pool_slots.by_key, (struct str){key, (size_t)n}) : NULL;

	for (uint32_t p = 0; slot && p < c->snapshot->pool_n; p++)
		if (c->snapshot->pools[p]->slot == slot)
			return c->snapshot->pools[p];
	return NULL;
}

bool shift_pool_ready(const struct control *c, const char *service, const char *name, char *why, size_t n)
{
	const struct pool *pool = shift_find_pool(c, service, name);

	if (!pool || !pool->n)
		snprintf(why, n, "pool %s has no backends", name);
	else if (capacity_now(pool) < POOL_WHOLE)
		snprintf(why, n, "pool %s cannot carry more users: %u of its %u backends are healthy", name,
			pool_census(pool).up, pool->n);
	else
		return true;
	return false;
}

bool shift_gate_open(const struct shift *s, bool promoted, char *why, size_t n)
{
	int64_t wall_s = state_wall_ms() / 1000;

	if (!promoted && !schedule_open(&s->plan.schedule, wall_s)) {
		time_t opens = wall_s + schedule_opens_in(&s->plan.schedule, wall_s);
		struct tm tm;
		char when[40];

		gmtime_r(&opens, &tm);
		strftime(when, sizeof(when), "%a %H:%M", &tm);
		snprintf(why, n, "the schedule opens on %s UTC", when);
		return false;
	}
	return shift_pool_ready(s->engine->control, s->key, s->plan.pool, why, n);
}

bool shift_overridden(const struct shift *s, const json_t *expected, char *why, size_t n)
{
	const struct runtime *rt = &s->engine->control->runtime;
	const struct conf_service *conf = runtime_conf_service(rt, str_of(s->key));
	const json_t *doc = runtime_doc(rt, str_of(s->key));
	const char *name;
	json_t *weight;

	if (!conf) {
		snprintf(why, n, "the service is not in the configuration any more");
		return true;
	}
	json_object_foreach((json_t *)expected, name, weight)
	{
		const struct conf_pool *pool = service_doc_pool(conf, name);

		if (!pool) {
			snprintf(why, n, "pool %s is not in the configuration any more", name);
			return true;
		}
		if (service_doc_weight(doc, pool) != (uint32_t)json_integer_value(weight)) {
			snprintf(why, n,
				"somebody else has set the weight of pool %s to %u: the weights stay as they "
				"are",
				name, service_doc_weight(doc, pool));
			return true;
		}
	}
	return false;
}
