#include "control/drain.h"

#include <stdlib.h>
#include <time.h>
#include "control/control.h"

/* One that is being stored. */
struct drain_job {
	struct drains *drains;
	char *key;
	json_t *document; /* NULL: it is enabled */
	void (*done)(void *ctx, const char *error);
	void *ctx;
};

static void on_look(struct deadline *d)
{
	struct drains *drains = CONTAINER(d, struct drains, look);

	admin_topic_wake(&drains->progress);
}

void drains_init(struct drains *d, struct control *c)
{
	*d = (struct drains){.control = c, .documents = json_object(), .look.fire = on_look};
	admin_topic_init(&d->progress, &c->loop);
}

void drains_load(struct drains *d)
{
	json_t *stored = store_load(&d->control->store, DRAIN_KIND);

	json_object_update(d->documents, stored);
	json_decref(stored);
	if (d->control->snapshot)
		drains_follow(d, d->control->snapshot);
}

void drains_free(struct drains *d)
{
	deadline_disarm(&d->control->loop, &d->look);
	json_decref(d->documents);
}

const json_t *drains_document(const struct drains *d, const struct backend *b)
{
	return json_object_get(d->documents, b->slot->key.p);
}

static void mark(const struct drains *d, struct backend *b)
{
	backend_set_draining(b, drains_document(d, b) != NULL);
}

static const struct backend *find(const struct snapshot *s, struct str key)
{
	for (uint32_t p = 0; p < s->pool_n; p++)
		for (uint32_t i = 0; i < s->pools[p]->n; i++)
			if (str_eq(s->pools[p]->backends[i]->slot->key, key))
				return s->pools[p]->backends[i];
	return NULL;
}

/* What becomes of the store makes no difference: at the next start it is forgotten again. */
static void on_forgotten(void *ctx, const char *error)
{
	(void)ctx;
	(void)error;
}

static void forget(struct drains *d, const char *key)
{
	const struct store_write write = {DRAIN_KIND, key, NULL};

	store_commit(&d->control->store, &write, 1, on_forgotten, NULL);
	event_emit(&d->control->io, CONF_LEVEL_INFO, "drain_forgotten", json_pack("{s:s}", "backend", key));
}

void drains_follow(struct drains *d, const struct snapshot *s)
{
	const char *key;
	json_t *document;
	void *next;

	for (uint32_t p = 0; p < s->pool_n; p++)
		for (uint32_t i = 0; i < s->pools[p]->n; i++)
			mark(d, s->pools[p]->backends[i]);
	json_object_foreach_safe(d->documents, next, key, document)
	{
		if (find(s, str_of(key)))
			continue;
		forget(d, key);
		json_object_del(d->documents, key);
	}
}

static void on_stored(void *ctx, const char *error)
{
	struct drain_job *job = ctx;
	struct drains *d = job->drains;
	struct control *c = d->control;

	if (!error) {
		if (job->document)
			json_object_set(d->documents, job->key, job->document);
		else
			json_object_del(d->documents, job->key);
	}
	if (!error && c->state != CONTROL_DRAINING && c->state != CONTROL_STOPPING) {
		/* A reload may have taken the backend away meanwhile, or brought it. */
		drains_follow(d, c->snapshot);
		for (uint32_t i = 0; i < c->worker_n; i++)
			worker_drains_changed(&c->workers[i]);
	}
	job->done(job->ctx, error);
	json_decref(job->document);
	free(job->key);
	free(job);
}

void drains_set(struct drains *d, const struct backend *b, bool on, const char *author, const char *reason,
	void (*done)(void *ctx, const char *error), void *ctx)
{
	struct drain_job *job = calloc(1, sizeof(*job));
	struct store_write write = {DRAIN_KIND, NULL, NULL};
	struct timespec now;

	MUST(job);
	*job = (struct drain_job){
		.drains = d, .key = strndup(b->slot->key.p, b->slot->key.n), .done = done, .ctx = ctx};
	MUST(job->key);
	clock_gettime(CLOCK_REALTIME, &now);
	if (on)
		job->document = json_pack("{s:s?, s:s?, s:I}", "author", author, "reason", reason, "since_ms",
			(json_int_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
	event_emit(&d->control->io, CONF_LEVEL_INFO, on ? "drain" : "enable",
		json_pack("{s:s, s:s?, s:s?}", "backend", job->key, "author", author, "reason", reason));
	write.key = job->key;
	write.body = job->document;
	store_commit(&d->control->store, &write, 1, on_stored, job);
}

bool drains_wait(struct drains *d, struct admin_request *rq)
{
	if (!admin_wait(rq, &d->progress))
		return false;
	if (!deadline_armed(&d->look))
		deadline_arm(&d->control->loop, &d->look, DRAIN_LOOK_MS);
	return true;
}
