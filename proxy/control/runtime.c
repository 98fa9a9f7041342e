#include "control/runtime.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "base/obj.h"
#include "control/control.h"
#include "control/members_json.h"

#define LEASE_FROZEN_MS 200 /* how soon a lease that is over is looked at again during an upgrade */

/* A change on its way: in turn in service->jobs, then in runtime->applying. */
struct runtime_job {
	struct list link;
	struct runtime_service *service;
	struct service_change change; /* its texts and JSON are this job's own */
	void (*done)(void *ctx, const struct runtime_result *result);
	void *ctx;
	struct task begin;
	uint64_t revision; /* of the doc that next was worked out from */
	json_t *next; /* what is being stored */
	json_t *record; /* its entry in the history */
	uint8_t outcome; /* enum change_outcome: DONE or RENEWED, once next is there */
	int64_t version;
	uint32_t following; /* orders to the workers that are not answered yet */
};

static int64_t wall_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* -- services -- */

struct runtime_service *runtime_find(const struct runtime *rt, struct str key)
{
	return map_get(&rt->services, key);
}

struct str runtime_service_key(struct str pool_key)
{
	while (pool_key.n && pool_key.p[pool_key.n - 1] != '/')
		pool_key.n--;
	return str_head(pool_key, pool_key.n ? pool_key.n - 1 : 0);
}

static void on_lease_over(struct deadline *d);

struct runtime_service *runtime_service_new(struct runtime *rt, struct str key)
{
	struct runtime_service *s = calloc(1, sizeof(*s));

	MUST(s);
	s->runtime = rt;
	s->key = strndup(key.p, key.n);
	MUST(s->key);
	s->lease.fire = on_lease_over;
	list_init(&s->jobs);
	map_put(&rt->services, str_of(s->key), s);
	return s;
}

void runtime_set_doc(struct runtime_service *s, json_t *doc)
{
	uint32_t left;

	json_decref(s->doc);
	s->doc = doc;
	s->revision++;
	deadline_disarm(&s->runtime->control->loop, &s->lease);
	/* 0 would disarm it: one that is over ends at the next look. */
	if (service_doc_lease(doc, wall_ms(), &left))
		deadline_arm(&s->runtime->control->loop, &s->lease, MAX(left, 1));
}

static struct str tenant_of(struct str service)
{
	return str_head(service, str_find(service, '/'));
}

static const struct conf_service *service_in(const struct conf *conf, struct str key)
{
	struct str tenant = tenant_of(key), name = str_skip(key, tenant.n + 1);

	for (uint32_t t = 0; t < conf->tenant_n; t++) {
		const struct conf_tenant *ct = &conf->tenants[t];

		if (!str_eq(ct->name, tenant))
			continue;
		for (uint32_t i = 0; i < ct->service_n; i++)
			if (str_eq(ct->services[i].name, name))
				return &ct->services[i];
	}
	return NULL;
}

const struct conf_service *runtime_conf_service(const struct runtime *rt, struct str service)
{
	return rt->control->snapshot ? service_in(rt->control->snapshot->conf, service) : NULL;
}

/* -- storing -- */

void runtime_record_key(char key[RUNTIME_RECORD_KEY], const struct runtime_service *s, int64_t version)
{
	snprintf(key, RUNTIME_RECORD_KEY, "%s@%lld", s->key, (long long)version);
}

void runtime_save(struct runtime_service *s, const json_t *doc, const json_t *record,
	void (*done)(void *ctx, const char *error), void *ctx)
{
	struct store_write writes[3] = {{RUNTIME_KIND_SERVICE, s->key, doc}};
	char key[RUNTIME_RECORD_KEY], old[RUNTIME_RECORD_KEY];
	uint32_t n = 1;

	if (record) {
		runtime_record_key(key, s, service_doc_version(doc));
		runtime_record_key(old, s, service_doc_version(doc) - RUNTIME_HISTORY_MAX);
		writes[n++] = (struct store_write){RUNTIME_KIND_CHANGE, key, record};
		writes[n++] = (struct store_write){RUNTIME_KIND_CHANGE, old, NULL};
	}
	store_commit(&s->runtime->control->store, writes, n, done, ctx);
}

json_t *runtime_record(const struct runtime_service *s, const json_t *doc, const struct conf_service *conf,
	const char *author, const char *reason)
{
	char when[40];
	struct timespec ts;
	struct tm tm;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	n = strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(when + n, sizeof(when) - n, ".%03ldZ", ts.tv_nsec / 1000000);
	return json_pack("{s:I, s:s, s:s?, s:s?, s:o}", "version", (json_int_t)service_doc_version(doc),
		"time", when, "author", author, "reason", reason, "changes",
		conf ? service_doc_difference(s->doc, doc, conf) : json_object());
}

void runtime_remember(struct runtime_service *s, json_t *record)
{
	if (!s->history)
		s->history = json_array();
	json_array_append(s->history, record);
	if (json_array_size(s->history) > RUNTIME_HISTORY_MAX)
		json_array_remove(s->history, 0);
}

/* -- a change -- */

static void job_free(struct runtime_job *job)
{
	list_remove(&job->link);
	task_cancel(&job->begin);
	json_decref(job->next);
	json_decref(job->record);
	json_decref(job->change.weights);
	json_decref(job->change.states);
	json_decref(job->change.backends);
	free((char *)job->change.author);
	free((char *)job->change.reason);
	free((char *)job->change.backends_pool);
	free(job);
}

static void begin_next(struct runtime_service *s)
{
	if (!list_empty(&s->jobs))
		loop_defer(&s->runtime->control->loop,
			&CONTAINER(list_first(&s->jobs), struct runtime_job, link)->begin, LOOP_READY);
}

static void leave_queue(struct runtime_job *job)
{
	struct runtime *rt = job->service->runtime;

	list_remove(&job->link);
	job->service->job_n--;
	begin_next(job->service);
	if (--rt->open == 0)
		orders_settled(rt->control);
}

/* Answers and ends it. */
static void finish(struct runtime_job *job, enum change_outcome outcome, const char *text)
{
	struct runtime_result result = {(uint8_t)outcome, job->version, text};

	if (job->done)
		job->done(job->ctx, &result);
	job_free(job);
}

static void refuse(struct runtime_job *job, enum change_outcome outcome, const char *text)
{
	job->version = runtime_version(job->service->runtime, str_of(job->service->key));
	leave_queue(job);
	finish(job, outcome, text);
}

static void on_followed(void *ctx)
{
	struct runtime_job *job = ctx;

	if (--job->following == 0)
		finish(job, (enum change_outcome)job->outcome, NULL);
}

static const struct pool *snapshot_pool(const struct snapshot *s, struct str service, struct str name)
{
	char key[600];
	int n = snprintf(key, sizeof(key), STR_FMT "/" STR_FMT, STR_ARG(service), STR_ARG(name));
	const struct slot *slot = map_get(&s->pool_slots->by_key, (struct str){key, (size_t)n});

	for (uint32_t p = 0; slot && p < s->pool_n; p++)
		if (s->pools[p]->slot == slot)
			return s->pools[p];
	return NULL;
}

void runtime_publish(
	struct runtime_service *s, const struct conf_service *conf, void (*done)(void *ctx), void *ctx)
{
	struct control *c = s->runtime->control;
	struct pool_change *v = calloc(conf->pool_n + 1, sizeof(*v));
	uint32_t n = 0;

	MUST(v);
	for (uint32_t i = 0; i < conf->pool_n; i++) {
		const struct pool *pool = snapshot_pool(c->snapshot, str_of(s->key), conf->pools[i].name);

		if (pool)
			v[n++] = (struct pool_change){pool, control_pool_now(c, pool)};
	}
	publish_pools(&c->publisher, v, n, done, ctx);
	free(v);
}

static void tell(const struct runtime_job *job, const char *problem)
{
	const struct service_change *ch = &job->change;
	const struct runtime_service *s = job->service;
	json_t *line = json_pack("{s:s, s:I, s:O, s:s?, s:s?}", "service", s->key, "version",
		(json_int_t)service_doc_version(s->doc), "changes", json_object_get(job->record, "changes"),
		"author", ch->author, "reason", ch->reason);

	if (ch->lease_ms)
		json_object_set_new(line, "lease_ms", json_integer(ch->lease_ms));
	if (problem)
		json_object_set_new(line, "not_stored", json_string(problem));
	event_emit(&s->runtime->control->io,
		problem || ch->lease_is_over ? CONF_LEVEL_WARNING : CONF_LEVEL_INFO,
		ch->lease_is_over ? "lease_over" : "runtime_changed", line);
}

/* It is on the disk (or must be done without): now it holds. */
static void take_effect(struct runtime_job *job, const char *problem)
{
	struct runtime_service *s = job->service;
	struct control *c = s->runtime->control;
	const struct conf_service *conf = runtime_conf_service(s->runtime, str_of(s->key));
	bool members = false;

	if (job->record) {
		const char *pool;
		json_t *changes = json_object_get(job->record, "changes"), *of_pool;

		json_object_foreach(changes, pool, of_pool)
		{
			members |= json_object_get(of_pool, "backends") != NULL;
		}
		runtime_remember(s, job->record);
	}
	runtime_set_doc(s, TAKE(&job->next));
	s->unsaved = problem != NULL;
	job->version = service_doc_version(s->doc);
	if (job->outcome == CHANGE_DONE)
		tell(job, problem);
	leave_queue(job);
	if (job->outcome == CHANGE_RENEWED || !conf) {
		finish(job, (enum change_outcome)job->outcome, NULL);
		return;
	}
	list_push_back(&s->runtime->applying, &job->link);
	job->following = 1 + members;
	runtime_publish(s, conf, on_followed, job);
	if (members)
		control_rebuild(c, on_followed, job);
}

static void on_stored(void *ctx, const char *error)
{
	struct runtime_job *job = ctx;
	struct runtime_service *s = job->service;

	if (s->runtime->stopped) {
		refuse(job, CHANGE_STOPPING, "weir is stopping");
		return;
	}
	if (error && !job->change.must) {
		refuse(job, store_is_full(&s->runtime->control->store) ? CHANGE_FULL : CHANGE_UNWRITABLE,
			error);
		return;
	}
	if (job->revision == s->revision) {
		take_effect(job, error);
		return;
	}
	/* A reload came between: its document has been stored after this one. Worked out again. */
	json_decref(TAKE(&job->next));
	json_decref(TAKE(&job->record));
	loop_defer(&s->runtime->control->loop, &job->begin, LOOP_READY);
}

/* Its turn has come. */
static void on_begin(struct task *t)
{
	struct runtime_job *job = CONTAINER(t, struct runtime_job, begin);
	struct runtime_service *s = job->service;
	const struct conf_service *conf = runtime_conf_service(s->runtime, str_of(s->key));
	enum change_outcome outcome;
	char text[CHANGE_TEXT];
	json_t *fresh = NULL;

	if (s->runtime->stopped) {
		refuse(job, CHANGE_STOPPING, "weir is stopping");
		return;
	}
	if (!conf) {
		refuse(job, CHANGE_UNKNOWN, "there is no such service");
		return;
	}
	/* A renewal was on its way when the time was over. */
	if (job->change.lease_is_over && deadline_armed(&s->lease)) {
		refuse(job, CHANGE_SAME, "");
		return;
	}
	if (!s->doc)
		fresh = service_doc_new(conf);
	job->next =
		service_change_apply(s->doc ? s->doc : fresh, conf, &job->change, wall_ms(), &outcome, text);
	json_decref(fresh);
	if (!job->next) {
		refuse(job, outcome, text);
		return;
	}
	job->outcome = (uint8_t)outcome;
	job->revision = s->revision;
	if (outcome == CHANGE_DONE)
		job->record = runtime_record(s, job->next, conf, job->change.author, job->change.reason);
	runtime_save(s, job->next, job->record, on_stored, job);
}

static char *copy(const char *text)
{
	char *mine = text ? strdup(text) : NULL;

	MUST(mine || !text);
	return mine;
}

struct runtime_job *runtime_change(struct runtime *rt, struct str service,
	const struct service_change *change, void (*done)(void *ctx, const struct runtime_result *result),
	void *ctx)
{
	struct runtime_job *job = calloc(1, sizeof(*job));
	struct runtime_service *s = runtime_find(rt, service);

	MUST(job);
	job->service = s ? s : runtime_service_new(rt, service);
	s = job->service;
	job->change = *change;
	job->change.author = copy(change->author);
	job->change.reason = copy(change->reason);
	job->change.backends_pool = copy(change->backends_pool);
	job->change.weights = json_deep_copy(change->weights);
	job->change.states = json_deep_copy(change->states);
	job->change.backends = json_deep_copy(change->backends);
	job->done = done;
	job->ctx = ctx;
	job->begin.run = on_begin;
	list_push_back(&s->jobs, &job->link);
	rt->open++;
	if (s->job_n++ == 0)
		begin_next(s);
	return job;
}

bool runtime_is_busy(const struct runtime *rt, struct str service)
{
	const struct runtime_service *s = runtime_find(rt, service);

	return rt->stopped || (s && s->job_n >= RUNTIME_QUEUE_MAX);
}

void runtime_job_forget(struct runtime_job *job)
{
	job->done = NULL;
}

static void on_lease_over(struct deadline *d)
{
	struct runtime_service *s = CONTAINER(d, struct runtime_service, lease);
	struct control *c = s->runtime->control;
	const struct service_change over = {
		.author = "weir", .reason = "the lease was not renewed", .lease_is_over = true, .must = true};

	/* The successor has the lease as well; without one, it is over here all the same. */
	if (c->frozen)
		deadline_arm(&c->loop, &s->lease, LEASE_FROZEN_MS);
	else
		runtime_change(s->runtime, str_of(s->key), &over, NULL, NULL);
}

/* -- what holds -- */

struct pool_now runtime_pool_now(const struct runtime *rt, const struct pool *pool)
{
	const struct runtime_service *s = runtime_find(rt, runtime_service_key(pool->slot->key));
	const json_t *doc = s ? s->doc : NULL;

	return (struct pool_now){
		service_doc_weight(doc, pool->conf), POOL_WHOLE, service_doc_state(doc, pool->conf)};
}

bool runtime_members(struct runtime *rt, struct str pool_key, const struct conf_backend **v, uint32_t *n)
{
	struct str service = runtime_service_key(pool_key);
	const struct runtime_service *s = runtime_find(rt, service);
	const json_t *set = s ? service_doc_backends(s->doc, str_skip(pool_key, service.n + 1)) : NULL;
	struct conf_backend *members;

	if (!set)
		return false;
	conf_free(rt->members);
	rt->members = members_json_parse(set, &members, n);
	*v = members;
	return rt->members != NULL;
}

int64_t runtime_version(const struct runtime *rt, struct str service)
{
	const struct runtime_service *s = runtime_find(rt, service);

	return s && s->doc ? service_doc_version(s->doc) : 1;
}

const json_t *runtime_doc(const struct runtime *rt, struct str service)
{
	const struct runtime_service *s = runtime_find(rt, service);

	return s ? s->doc : NULL;
}

bool runtime_lease_left(const struct runtime *rt, struct str service, uint32_t *left_ms)
{
	const struct runtime_service *s = runtime_find(rt, service);
	uint64_t now = rt->control->loop.now_ms;

	if (!s)
		return false;
	/* Not armed: it is over, and stays until that is stored. */
	*left_ms = deadline_armed(&s->lease) && s->lease.at_ms > now ? (uint32_t)(s->lease.at_ms - now) : 0;
	return true;
}

json_t *runtime_history(const struct runtime *rt, struct str service)
{
	const struct runtime_service *s = runtime_find(rt, service);
	json_t *all = json_array();

	for (size_t i = s && s->history ? json_array_size(s->history) : 0; i > 0; i--)
		json_array_append(all, json_array_get(s->history, i - 1));
	return all;
}

/* -- the life -- */

static void on_store_changed(void *ctx, bool documents_came)
{
	runtime_store_changed(ctx, documents_came);
}

void runtime_init(struct runtime *rt, struct control *c)
{
	*rt = (struct runtime){.control = c};
	list_init(&rt->applying);
	c->store.changed = on_store_changed;
	c->store.ctx = rt;
}

void runtime_stop(struct runtime *rt)
{
	struct list *link;

	rt->stopped = true;
	while ((link = list_first(&rt->applying)))
		finish(CONTAINER(link, struct runtime_job, link), CHANGE_STOPPING, "weir is stopping");
}

static void service_free(struct runtime_service *s)
{
	list_each_safe (link, &s->jobs)
		job_free(CONTAINER(link, struct runtime_job, link));
	deadline_disarm(&s->runtime->control->loop, &s->lease);
	json_decref(s->doc);
	json_decref(s->history);
	free(s->key);
	free(s);
}

void runtime_free(struct runtime *rt)
{
	for (struct map_entry *e = map_next(&rt->services, NULL); e; e = map_next(&rt->services, e))
		service_free(e->value);
	map_free(&rt->services);
	conf_free(rt->members);
	rt->members = NULL;
}
