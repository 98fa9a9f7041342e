#include "control/outlier.h"

#include <stdlib.h>
#include "base/obj.h"
#include "control/capacity.h"
#include "control/io_thread.h"
#include "control/pool_news.h"
#include "upstream/slow_start.h"

#define WHOLE      10000u
#define DEVIATIONS 1.9

/* -- decisions -- */

uint32_t outlier_most(uint32_t n, uint32_t share)
{
	uint32_t most = (uint32_t)((uint64_t)n * share / WHOLE);

	if (n < 2 || share == 0)
		return 0;
	return MIN(MAX(most, 1u), n - 1);
}

uint32_t outlier_length_ms(uint32_t ejection_ms, uint32_t times)
{
	uint64_t length = (uint64_t)ejection_ms * MIN(times, OUTLIER_TIMES_MAX);

	return (uint32_t)MIN(length, UINT32_MAX);
}

static bool tells_enough(const struct outlier_sample *s)
{
	return s->requests >= OUTLIER_REQUESTS_MIN;
}

static double good_share(const struct outlier_sample *s)
{
	return WHOLE * (1.0 - (double)s->failures / s->requests);
}

struct outlier_pool outlier_pool_of(const struct outlier_sample *samples, uint32_t n)
{
	struct outlier_pool pool = {0};
	double sum = 0, squares = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (!tells_enough(&samples[i]))
			continue;
		sum += good_share(&samples[i]);
		squares += good_share(&samples[i]) * good_share(&samples[i]);
		pool.hosts++;
	}
	if (pool.hosts == 0)
		return pool;
	pool.mean = sum / pool.hosts;
	pool.variance = squares / pool.hosts - pool.mean * pool.mean;
	return pool;
}

bool outlier_stands_out(const struct outlier_pool *pool, const struct outlier_sample *s)
{
	double below;

	if (pool->hosts < OUTLIER_HOSTS_MIN || !tells_enough(s))
		return false;
	below = pool->mean - good_share(s);
	return below > OUTLIER_MARGIN && below * below > DEVIATIONS * DEVIATIONS * pool->variance;
}

/* -- ejecting and returning -- */

static const char *const kind_texts[] = {
	[OUTCOME_ANSWER] = "consecutive_errors", [OUTCOME_LOCAL] = "consecutive_failures"};

static uint32_t count_ejected(const struct pool *p)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->n; i++)
		n += backend_ejected(p->backends[i]);
	return n;
}

static void tell(
	const struct outlier *o, uint8_t level, const char *event, const char *why, uint32_t length_ms)
{
	const struct pool *pool = o->watch->pool;
	json_t *members = json_pack("{s:s, s:i, s:i, s:i}", "backend", o->backend->slot->key.p, "times",
		(int)o->times, "pool_ejected", (int)count_ejected(pool), "pool_size", (int)pool->n);

	if (why)
		json_object_set_new(members, "reason", json_string(why));
	if (length_ms)
		json_object_set_new(members, "for_ms", json_integer(length_ms));
	event_emit(o->watch->engine->io, level, event, members);
}

/* Without it, would the pool still have somebody, and not more out than it allows? */
static bool can_be_spared(const struct outlier *o)
{
	const struct pool *pool = o->watch->pool;
	uint32_t others = pool_census(pool).up - (backend_standing(o->backend) == BACKEND_UP);

	return others > 0 &&
	       count_ejected(pool) < outlier_most(pool->n, pool->conf->policy->outlier.max_ejected);
}

static void look(struct outlier_engine *e, const struct pool *pool)
{
	capacity_look(e->capacity, pool);
	if (e->changed)
		e->changed(e->ctx);
}

static void eject(struct outlier *o, const char *why)
{
	struct outlier_engine *e = o->watch->engine;
	struct pool_census before = pool_census(o->watch->pool);
	uint32_t length;

	if (backend_ejected(o->backend) || backend_draining(o->backend))
		return;
	if (!can_be_spared(o)) {
		if (!o->spared)
			tell(o, CONF_LEVEL_WARNING, "ejection_spared", why, 0);
		o->spared = true;
		return;
	}
	o->times = MIN(o->times + 1, OUTLIER_TIMES_MAX);
	length = outlier_length_ms(o->watch->pool->conf->policy->outlier.ejection, o->times);
	atomic_store_explicit(&o->backend->ejected, true, memory_order_release);
	deadline_arm(e->loop, &o->back, length);
	look(e, o->watch->pool);
	tell(o, CONF_LEVEL_WARNING, "ejected", why, length);
	pool_news(e->io, o->watch->pool, before);
}

static void readmit(struct outlier *o)
{
	struct outlier_engine *e = o->watch->engine;
	struct pool_census before = pool_census(o->watch->pool);

	for (int kind = 0; kind < OUTCOME_KINDS; kind++)
		atomic_store_explicit(&o->backend->outcomes->streak[kind], 0, memory_order_relaxed);
	slow_start_begin(o->backend, e->loop->now_ms);
	atomic_store_explicit(&o->backend->ejected, false, memory_order_release);
	deadline_disarm(e->loop, &o->back);
	look(e, o->watch->pool);
	tell(o, CONF_LEVEL_INFO, "returned", NULL, 0);
	pool_news(e->io, o->watch->pool, before);
	for (uint32_t i = 0; i < e->worker_n; i++)
		worker_health_changed(&e->workers[i]);
}

static void on_back(struct deadline *d)
{
	readmit(CONTAINER(d, struct outlier, back));
}

void outlier_suspect(const struct backend *b, enum outcome_kind kind)
{
	/* The newest configuration may watch it no more. */
	if (b->outlier)
		eject(b->outlier, kind_texts[kind]);
}

/* -- every interval -- */

/* What has come since the last look. */
static struct outlier_sample take_sample(struct outlier *o)
{
	struct outlier_sample now, sample;

	outcomes_sum(o->backend->outcomes, &now.requests, &now.failures);
	sample = (struct outlier_sample){now.requests - o->requests, now.failures - o->failures};
	o->requests = now.requests;
	o->failures = now.failures;
	return sample;
}

static void on_interval(struct deadline *d)
{
	struct outlier_watch *w = CONTAINER(d, struct outlier_watch, interval);
	struct outlier_sample *samples = calloc(w->pool->n, sizeof(*samples));
	uint32_t n = 0;
	struct outlier_pool pool;

	MUST(samples);
	list_each (link, &w->outliers)
		samples[n++] = take_sample(CONTAINER(link, struct outlier, link));
	pool = outlier_pool_of(samples, n);
	n = 0;
	list_each (each, &w->outliers) {
		struct outlier *o = CONTAINER(each, struct outlier, link);

		o->spared = false;
		if (outlier_stands_out(&pool, &samples[n++]))
			eject(o, "success_rate");
		else if (!backend_ejected(o->backend) && o->times > 0)
			o->times--;
	}
	free(samples);
	deadline_arm(w->engine->loop, &w->interval, w->pool->conf->policy->outlier.interval);
}

/* -- who is watched -- */

static void outlier_forget(struct outlier *o)
{
	struct backend *b = o->backend;

	list_remove(&o->link);
	deadline_disarm(o->watch->engine->loop, &o->back);
	atomic_store_explicit(&b->ejected, false, memory_order_release);
	b->outlier = NULL;
	free(o);
}

static void watch_backend(struct outlier_watch *w, struct backend *b)
{
	struct outlier *o = b->outlier;

	if (!b->outcomes)
		b->outcomes = outcomes_new(w->engine->worker_n);
	if (!o) {
		o = calloc(1, sizeof(*o));
		MUST(o);
		o->backend = b;
		o->watch = w;
		o->back.fire = on_back;
		outcomes_sum(b->outcomes, &o->requests, &o->failures);
		b->outlier = o;
	}
	/* To the end: those that this configuration does not name are left in front. */
	list_remove(&o->link);
	list_push_back(&w->outliers, &o->link);
}

static struct outlier_watch *watch_of(struct outlier_engine *e, const struct pool *pool)
{
	struct outlier_watch *w = map_get(&e->watches, pool->slot->key);

	if (w)
		return w;
	w = calloc(1, sizeof(*w));
	MUST(w);
	w->engine = e;
	w->interval.fire = on_interval;
	list_init(&w->outliers);
	map_put(&e->watches, pool->slot->key, w);
	return w;
}

static void follow_pool(struct outlier_engine *e, const struct pool *pool, uint64_t serial)
{
	struct outlier_watch *w = watch_of(e, pool);
	uint32_t all = 0;

	/* A new length of the interval holds from now on; an unchanged one goes on to its end. */
	if (!w->pool || w->pool->conf->policy->outlier.interval != pool->conf->policy->outlier.interval)
		deadline_arm(e->loop, &w->interval, pool->conf->policy->outlier.interval);
	w->pool = pool;
	w->serial = serial;
	for (uint32_t i = 0; i < pool->n; i++)
		watch_backend(w, pool->backends[i]);
	list_each (link, &w->outliers)
		all++;
	for (; all > pool->n; all--)
		outlier_forget(CONTAINER(list_first(&w->outliers), struct outlier, link));
}

static void watch_free(struct outlier_watch *w)
{
	struct list *link;

	while ((link = list_first(&w->outliers)))
		outlier_forget(CONTAINER(link, struct outlier, link));
	deadline_disarm(w->engine->loop, &w->interval);
	free(w);
}

/* Pools that the new snapshot does not watch. serial 0: all. */
static void forget_others(struct outlier_engine *e, uint64_t serial)
{
	struct map_entry *entry = map_next(&e->watches, NULL);

	while (entry) {
		struct outlier_watch *w = entry->value;

		if (serial && w->serial == serial) {
			entry = map_next(&e->watches, entry);
			continue;
		}
		map_remove(&e->watches, map_key(entry));
		watch_free(w);
		/* Removing moves entries about: begin again. */
		entry = map_next(&e->watches, NULL);
	}
}

void outlier_init(struct outlier_engine *e, struct loop *l, struct io_thread *io, struct worker *workers,
	uint32_t worker_n)
{
	*e = (struct outlier_engine){.loop = l, .io = io, .workers = workers, .worker_n = worker_n};
}

void outlier_follow(struct outlier_engine *e, struct snapshot *s)
{
	for (uint32_t p = 0; p < s->pool_n; p++)
		if (s->pools[p]->conf->policy->outlier.on)
			follow_pool(e, s->pools[p], s->serial);
	forget_others(e, s->serial);
}

void outlier_free(struct outlier_engine *e)
{
	forget_others(e, 0);
	map_free(&e->watches);
}

/* -- a successor -- */

json_t *outlier_save(const struct outlier_engine *e)
{
	json_t *all = json_object();

	for (struct map_entry *entry = map_next(&e->watches, NULL); entry;
		entry = map_next(&e->watches, entry)) {
		const struct outlier_watch *w = entry->value;

		list_each (link, &w->outliers) {
			const struct outlier *o = CONTAINER(link, struct outlier, link);
			uint64_t until = deadline_armed(&o->back) ? o->back.at_ms : 0;

			if (o->times)
				json_object_set_new(all, o->backend->slot->key.p,
					json_pack("{s:I, s:I}", "times", (json_int_t)o->times, "until_ms",
						(json_int_t)until));
		}
	}
	return all;
}

static void load_one(struct outlier_engine *e, struct outlier *o, const json_t *saved)
{
	json_int_t times = json_integer_value(json_object_get(saved, "times"));
	json_int_t left =
		json_integer_value(json_object_get(saved, "until_ms")) - (json_int_t)e->loop->now_ms;

	o->times = (uint32_t)MIN(MAX(times, 0), OUTLIER_TIMES_MAX);
	if (left <= 0 || left > UINT32_MAX || !can_be_spared(o))
		return;
	atomic_store_explicit(&o->backend->ejected, true, memory_order_release);
	deadline_arm(e->loop, &o->back, (uint32_t)left);
}

void outlier_load(struct outlier_engine *e, const json_t *saved)
{
	for (struct map_entry *entry = map_next(&e->watches, NULL); entry;
		entry = map_next(&e->watches, entry)) {
		const struct outlier_watch *w = entry->value;

		list_each (link, &w->outliers) {
			struct outlier *o = CONTAINER(link, struct outlier, link);
			const json_t *one = json_object_get(saved, o->backend->slot->key.p);

			if (one)
				load_one(e, o, one);
		}
	}
}
