/* control/runtime_load.c - what was changed at run time against what is read: a configuration, or the state of an earlier process. */
#include <stdio.h>
#include <stdlib.h>
#include "base/obj.h"
#include "control/control.h"

/* -- saving -- */

static void on_resaved(void *ctx, const char *error)
{
	struct runtime_service *s = ctx;

	/* What is tried again when the store says that it works. */
	if (error)
		s->unsaved = true;
}

static void resave(struct runtime_service *s)
{
	s->unsaved = false;
	runtime_save(s, s->doc, NULL, on_resaved, s);
}

/* -- against the file -- */

static void tell_lost(struct runtime_service *s, json_t *lost)
{
	json_t *one;
	size_t i;

	json_array_foreach(lost, i, one)
	{
		json_object_set_new(one, "service", json_string(s->key));
		event_emit(
			&s->runtime->control->io, CONF_LEVEL_WARNING, "runtime_overridden", json_incref(one));
	}
	json_decref(lost);
}

/* What one load changes is stored in one transaction: thousands of services may be concerned. */
struct batch {
	struct runtime *runtime;
	struct store_write *v; /* keys and bodies are its own */
	uint32_t n, cap;
};

static void batch_add(struct batch *b, const char *kind, const char *key, json_t *body)
{
	if (b->n == b->cap) {
		b->cap = b->cap ? 2 * b->cap : 64;
		b->v = realloc(b->v, b->cap * sizeof(*b->v));
		MUST(b->v);
	}
	b->v[b->n] = (struct store_write){kind, strdup(key), json_incref(body)};
	MUST(b->v[b->n++].key);
}

static void on_batch_stored(void *ctx, const char *error)
{
	struct runtime *rt = ctx;

	for (struct map_entry *e = map_next(&rt->services, NULL); error && e; e = map_next(&rt->services, e))
		((struct runtime_service *)e->value)->unsaved |=
			((struct runtime_service *)e->value)->doc != NULL;
}

static void batch_end(struct batch *b)
{
	if (b->n)
		store_commit(&b->runtime->control->store, b->v, b->n, on_batch_stored, b->runtime);
	for (uint32_t i = 0; i < b->n; i++) {
		free((char *)b->v[i].key);
		json_decref((json_t *)b->v[i].body);
	}
	free(b->v);
}

/* Takes next and lost. conf NULL: the service is gone. */
static void adopt(struct batch *b, struct runtime_service *s, const struct conf_service *conf, json_t *next,
	json_t *lost)
{
	json_t *record = runtime_record(s, next, conf, "configuration", NULL);
	char key[RUNTIME_RECORD_KEY];

	runtime_remember(s, record);
	batch_add(b, RUNTIME_KIND_SERVICE, s->key, next);
	runtime_record_key(key, s, service_doc_version(next));
	batch_add(b, RUNTIME_KIND_CHANGE, key, record);
	runtime_record_key(key, s, service_doc_version(next) - RUNTIME_HISTORY_MAX);
	batch_add(b, RUNTIME_KIND_CHANGE, key, NULL);
	json_decref(record);
	runtime_set_doc(s, next);
	tell_lost(s, lost);
}

static void follow_service(
	struct batch *b, struct runtime *rt, struct str key, const struct conf_service *conf)
{
	struct runtime_service *s = runtime_find(rt, key);
	uint64_t print = service_doc_fingerprint(conf), before;
	json_t *next, *lost;

	if (!s)
		s = runtime_service_new(rt, key);
	before = s->fingerprint;
	s->fingerprint = print;
	s->generation = rt->loads;
	if (!s->doc && before && before != print) {
		/* Nothing was set, but who has read version 1 must see that it is over. */
		next = service_doc_new(conf);
		json_object_set_new(next, "version", json_integer(2));
		adopt(b, s, conf, next, json_array());
	}
	if (!s->doc || before == print)
		return;
	lost = json_array();
	next = service_doc_follow(s->doc, conf, lost);
	if (next)
		adopt(b, s, conf, next, lost);
	else
		json_decref(lost);
}

/* Its versions go on if it ever comes back. */
static void forget_service(struct batch *b, struct runtime_service *s)
{
	json_t *lost = json_array(), *first = json_pack("{s:I}", "version", (json_int_t)1);

	if (s->fingerprint || (s->doc && json_object_get(s->doc, "file")))
		adopt(b, s, NULL, service_doc_without_service(s->doc ? s->doc : first, lost), lost);
	else
		json_decref(lost);
	json_decref(first);
	s->fingerprint = 0;
}

void runtime_follow(struct runtime *rt, const struct conf *conf)
{
	struct batch batch = {.runtime = rt};
	char key[600];

	rt->loads++;
	for (uint32_t t = 0; t < conf->tenant_n; t++) {
		for (uint32_t i = 0; i < conf->tenants[t].service_n; i++) {
			const struct conf_service *service = &conf->tenants[t].services[i];
			int n = snprintf(key, sizeof(key), STR_FMT "/" STR_FMT,
				STR_ARG(conf->tenants[t].name), STR_ARG(service->name));

			follow_service(&batch, rt, (struct str){key, (size_t)n}, service);
		}
	}
	for (struct map_entry *e = map_next(&rt->services, NULL); e; e = map_next(&rt->services, e))
		if (((struct runtime_service *)e->value)->generation != rt->loads)
			forget_service(&batch, e->value);
	batch_end(&batch);
}

/* -- the store -- */

static int by_version(const void *a, const void *b)
{
	int64_t x = service_doc_version(*(json_t *const *)a), y = service_doc_version(*(json_t *const *)b);

	return x < y ? -1 : x > y;
}

static void sort_history(struct runtime_service *s)
{
	size_t n = s->history ? json_array_size(s->history) : 0;
	json_t **v = calloc(n + 1, sizeof(*v));

	MUST(v);
	for (size_t i = 0; i < n; i++)
		v[i] = json_incref(json_array_get(s->history, i));
	qsort(v, n, sizeof(*v), by_version);
	if (n)
		json_array_clear(s->history);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(s->history, v[i]);
	free(v);
}

static void load_history(struct runtime *rt)
{
	json_t *all = store_load(&rt->control->store, RUNTIME_KIND_CHANGE), *record;
	const char *key;

	for (struct map_entry *e = map_next(&rt->services, NULL); e; e = map_next(&rt->services, e)) {
		struct runtime_service *s = e->value;

		json_decref(TAKE(&s->history));
	}
	json_object_foreach(all, key, record)
	{
		struct str service = str_head(str_of(key), str_find(str_of(key), '@'));
		struct runtime_service *s = runtime_find(rt, service);

		if (!s)
			continue;
		if (!s->history)
			s->history = json_array();
		json_array_append(s->history, record);
	}
	json_decref(all);
	for (struct map_entry *e = map_next(&rt->services, NULL); e; e = map_next(&rt->services, e))
		sort_history(e->value);
}

void runtime_load(struct runtime *rt)
{
	json_t *all = store_load(&rt->control->store, RUNTIME_KIND_SERVICE), *doc;
	const char *key;

	json_object_foreach(all, key, doc)
	{
		struct runtime_service *s = runtime_find(rt, str_of(key));

		if (!s)
			s = runtime_service_new(rt, str_of(key));
		runtime_set_doc(s, json_incref(doc));
		s->fingerprint = 0; /* compared with the file at the next look, whatever it was */
	}
	json_decref(all);
	load_history(rt);
	shift_load(&rt->control->shifts);
	deploy_load(&rt->control->deploys);
	store_forget(&rt->control->store);
}

/* What another process has taken away holds no more. */
static void drop_missing(struct runtime *rt)
{
	json_t *all = store_load(&rt->control->store, RUNTIME_KIND_SERVICE);

	for (struct map_entry *e = map_next(&rt->services, NULL); e; e = map_next(&rt->services, e)) {
		struct runtime_service *s = e->value;

		if (s->doc && !json_object_get(all, s->key))
			runtime_set_doc(s, NULL);
	}
	json_decref(all);
}

/* Documents came though weir serves already: what they say holds from now on. Those of another process are not compared with the
 * file: it may have another file, and the two would change them in turn for ever. */
static void take_over(struct runtime *rt)
{
	struct control *c = rt->control;
	bool elsewhere = c->store.elsewhere;

	drains_load(&c->drains);
	listener_drains_load(&c->listener_drains);
	holds_load(&c->holds);
	if (elsewhere)
		drop_missing(rt);
	runtime_load(rt);
	if (!c->snapshot)
		return;
	if (!elsewhere)
		runtime_follow(rt, c->snapshot->conf);
	for (struct map_entry *e = map_next(&rt->services, NULL); e; e = map_next(&rt->services, e)) {
		struct runtime_service *s = e->value;
		const struct conf_service *conf = runtime_conf_service(rt, str_of(s->key));

		if (conf && (s->doc || elsewhere))
			runtime_publish(s, conf, NULL, NULL);
	}
	control_rebuild(c, NULL, NULL);
	if (!elsewhere)
		event_emit(&c->io, CONF_LEVEL_WARNING, "state_taken_over", NULL);
}

void runtime_store_changed(struct runtime *rt, bool documents_came)
{
	if (rt->stopped)
		return;
	if (documents_came)
		take_over(rt);
	if (rt->control->store.fault != STATE_WELL || rt->control->frozen)
		return;
	for (struct map_entry *e = map_next(&rt->services, NULL); e; e = map_next(&rt->services, e))
		if (((struct runtime_service *)e->value)->unsaved)
			resave(e->value);
}
