#include "control/hold.h"

#include <stdlib.h>
#include <time.h>
#include "control/control.h"

#define NOT_TOLD  UINT32_MAX
#define FROZEN_MS 200 /* how soon a hold that is over is looked at again during an upgrade */

struct held_service {
	struct hold_engine *engine;
	char *key;
	json_t *document; /* NULL: it is not held (any more) */
	uint32_t slot; /* under which workers were told of it; NOT_TOLD */
	struct deadline end;
	struct hold_counts *counts; /* one a worker; they stay as long as workers do */
};

/* A change that is being stored, then followed by workers. */
struct hold_job {
	struct hold_engine *engine;
	struct held_service *held;
	json_t *document;
	struct hold_pace pace;
	uint32_t left; /* workers that do not follow yet */
	void (*done)(void *ctx, const char *error);
	void *ctx;
};

static int64_t wall_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static uint32_t number(const json_t *document, const char *name)
{
	json_int_t v = json_integer_value(json_object_get(document, name));

	return (uint32_t)MIN(MAX(v, 0), UINT32_MAX);
}

/* However the clock has jumped, no longer than it was to last. */
static uint32_t left_of(const json_t *document)
{
	int64_t left = json_integer_value(json_object_get(document, "until_ms")) - wall_ms();

	return (uint32_t)MIN(MAX(left, 0), (int64_t)MIN(number(document, "for_ms"), HOLD_MAX_MS));
}

static struct held_service *find(const struct hold_engine *e, struct str key)
{
	return map_get(&e->services, key);
}

static void on_end(struct deadline *d);

static struct held_service *find_or_make(struct hold_engine *e, struct str key)
{
	struct held_service *h = find(e, key);

	if (h)
		return h;
	h = calloc(1, sizeof(*h));
	MUST(h);
	h->engine = e;
	h->slot = NOT_TOLD;
	h->end.fire = on_end;
	h->key = strndup(key.p, key.n);
	h->counts = aligned_alloc(
		_Alignof(struct hold_counts), e->control->worker_n * sizeof(struct hold_counts));
	MUST(h->key && h->counts);
	memset(h->counts, 0, e->control->worker_n * sizeof(struct hold_counts));
	map_put(&e->services, str_of(h->key), h);
	return h;
}

/* -- workers -- */

/* Of a document, or of the wish to release; each worker lets its part go on. */
static struct hold_pace pace_of(const struct hold_engine *e, const json_t *terms)
{
	uint64_t rate = number(terms, "rate");

	return (struct hold_pace){number(terms, "spread_ms"),
		rate ? (uint32_t)MAX(MIN(rate * 1000 / e->control->worker_n, UINT32_MAX), 1) : 0};
}

static void fill_terms(const struct held_service *h, struct hold_terms *terms)
{
	const struct control *c = h->engine->control;
	uint32_t queue = number(h->document, "queue");
	const char *path = json_string_value(json_object_get(h->document, "path"));

	terms->until_ms = c->loop.now_ms + MAX(left_of(h->document), 1);
	terms->queue = queue / c->worker_n + (queue % c->worker_n > 0);
	terms->wait_ms = number(h->document, "wait_ms");
	terms->status = (uint16_t)number(h->document, "status");
	if (path)
		snprintf(terms->path, sizeof(terms->path), "%s", path);
}

static void tell_worker(const struct held_service *h, uint32_t slot, uint32_t worker, struct hold_pace pace,
	struct hold_job *job, void (*followed)(struct mail *m, void *control))
{
	struct worker_hold *order = calloc(1, sizeof(*order));

	MUST(order);
	order->slot = slot;
	order->on = h->document != NULL;
	order->terms.pace = pace;
	order->terms.counts = &h->counts[worker];
	if (order->on)
		fill_terms(h, &order->terms);
	order->followed = followed;
	order->ctx = job;
	worker_set_hold(&h->engine->control->workers[worker], order);
}

static void tell_workers(const struct held_service *h, uint32_t slot, struct hold_pace pace,
	struct hold_job *job, void (*followed)(struct mail *m, void *control))
{
	for (uint32_t i = 0; i < h->engine->control->worker_n; i++)
		tell_worker(h, slot, i, pace, job, followed);
}

/* -- what was stored -- */

static void on_forgotten(void *ctx, const char *error)
{
	(void)ctx;
	(void)error; /* its end stands in it: it comes back no more */
}

/* Workers have ended it by themselves, or are told to. */
static void forget(struct held_service *h, const char *event)
{
	const struct store_write write = {HOLD_KIND, h->key, NULL};

	json_decref(h->document);
	h->document = NULL;
	deadline_disarm(&h->engine->control->loop, &h->end);
	store_commit(&h->engine->control->store, &write, 1, on_forgotten, NULL);
	event_emit(&h->engine->control->io, CONF_LEVEL_WARNING, event, json_pack("{s:s}", "service", h->key));
}

static void on_end(struct deadline *d)
{
	struct held_service *h = CONTAINER(d, struct held_service, end);
	struct control *c = h->engine->control;

	/* The successor has it as well, and may have been told of another end; without one, it is over here all the same. */
	if (c->frozen)
		deadline_arm(&c->loop, d, FROZEN_MS);
	else
		forget(h, "hold_over");
}

static void take(struct held_service *h, json_t *document)
{
	struct loop *l = &h->engine->control->loop;

	json_decref(h->document);
	h->document = document;
	if (document)
		deadline_arm(l, &h->end, MAX(left_of(document), 1));
	else
		deadline_disarm(l, &h->end);
}

void holds_init(struct hold_engine *e, struct control *c)
{
	*e = (struct hold_engine){.control = c};
}

/* Another process, which this one makes way for or shares the file with, has released it. */
static void drop_released(struct hold_engine *e, const json_t *all)
{
	for (struct map_entry *at = map_next(&e->services, NULL); at; at = map_next(&e->services, at)) {
		struct held_service *h = at->value;
		struct hold_pace pace;

		if (!h->document || json_object_get(all, h->key))
			continue;
		pace = pace_of(e, h->document);
		take(h, NULL);
		if (h->slot != NOT_TOLD)
			tell_workers(h, h->slot, pace, NULL, NULL);
	}
}

void holds_load(struct hold_engine *e)
{
	json_t *all = store_load(&e->control->store, HOLD_KIND), *document;
	const char *key;

	json_object_foreach(all, key, document)
	{
		if (left_of(document) > 0)
			take(find_or_make(e, str_of(key)), json_incref(document));
	}
	if (e->control->store.elsewhere)
		drop_released(e, all);
	json_decref(all);
	if (e->control->snapshot)
		holds_follow(e, e->control->snapshot);
}

static const struct service *service_of(const struct snapshot *s, struct str key)
{
	for (uint32_t t = 0; t < s->conf->tenant_n; t++)
		for (uint32_t i = 0; i < s->tenants[t].conf->service_n; i++)
			if (str_eq(s->tenants[t].services[i].slot->key, key))
				return &s->tenants[t].services[i];
	return NULL;
}

void holds_follow(struct hold_engine *e, const struct snapshot *s)
{
	for (struct map_entry *at = map_next(&e->services, NULL); at; at = map_next(&e->services, at)) {
		struct held_service *h = at->value;
		const struct service *service = h->document ? service_of(s, str_of(h->key)) : NULL;

		if (!h->document)
			continue;
		if (!service)
			forget(h, "hold_forgotten");
		if (!service && h->slot != NOT_TOLD)
			tell_workers(h, h->slot, (struct hold_pace){0}, NULL, NULL);
		if (service && service->slot->number != h->slot)
			tell_workers(h, service->slot->number, pace_of(e, h->document), NULL, NULL);
		h->slot = service ? service->slot->number : NOT_TOLD;
	}
}

void holds_close(struct hold_engine *e)
{
	for (struct map_entry *at = map_next(&e->services, NULL); at; at = map_next(&e->services, at)) {
		struct held_service *h = at->value;

		deadline_disarm(&e->control->loop, &h->end);
		json_decref(h->document);
		free(h->counts);
		free(h->key);
		free(h);
	}
	map_free(&e->services);
}

/* -- changes -- */

static void end_job(struct hold_job *job, const char *error)
{
	job->done(job->ctx, error);
	json_decref(job->document);
	free(job);
}

static void on_followed(struct mail *m, void *control)
{
	struct worker_hold *order = CONTAINER(m, struct worker_hold, mail);
	struct hold_job *job = order->ctx;

	(void)control;
	free(order);
	if (--job->left == 0)
		end_job(job, NULL);
}

static void on_stored(void *ctx, const char *error)
{
	struct hold_job *job = ctx;
	struct held_service *h = job->held;
	struct control *c = job->engine->control;
	bool stops = c->state == CONTROL_DRAINING || c->state == CONTROL_STOPPING;
	const struct service *service = stops ? NULL : service_of(c->snapshot, str_of(h->key));

	if (error || stops || !service) {
		end_job(job, error ? error : stops ? HOLD_STOPPING : "the service has just been taken away");
		return;
	}
	take(h, json_incref(job->document));
	h->slot = service->slot->number;
	job->left = c->worker_n;
	tell_workers(h, h->slot, job->pace, job, on_followed);
}

void hold_set(struct hold_engine *e, const struct service *s, json_t *document, const json_t *pace,
	void (*done)(void *ctx, const char *error), void *ctx)
{
	struct hold_job *job = calloc(1, sizeof(*job));
	struct store_write write = {HOLD_KIND, NULL, document};
	int64_t now_ms = wall_ms();

	MUST(job);
	*job = (struct hold_job){.engine = e,
		.held = find_or_make(e, s->slot->key),
		.document = document,
		.pace = pace_of(e, document ? document : pace),
		.done = done,
		.ctx = ctx};
	if (document) {
		json_object_set_new(document, "since_ms", json_integer(now_ms));
		json_object_set_new(document, "until_ms", json_integer(now_ms + number(document, "for_ms")));
	}
	write.key = job->held->key;
	store_commit(&e->control->store, &write, 1, on_stored, job);
}

/* -- what holds -- */

const json_t *hold_document(const struct hold_engine *e, const struct service *s)
{
	const struct held_service *h = find(e, s->slot->key);

	return h ? h->document : NULL;
}

uint32_t hold_left_ms(const struct hold_engine *e, const struct service *s)
{
	const json_t *document = hold_document(e, s);

	return document ? left_of(document) : 0;
}

void hold_sum(const struct hold_engine *e, const struct service *s, struct hold_sums *sums)
{
	const struct held_service *h = find(e, s->slot->key);

	*sums = (struct hold_sums){0};
	for (uint32_t i = 0; h && i < e->control->worker_n; i++) {
		sums->waiting += counter_get(&h->counts[i].waiting);
		sums->held += counter_get(&h->counts[i].held);
		sums->full += counter_get(&h->counts[i].full);
		sums->timed_out += counter_get(&h->counts[i].timed_out);
	}
}
