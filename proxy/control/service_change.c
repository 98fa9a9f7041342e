#include "control/service_change.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/obj.h"
#include "control/members_json.h"

/* One change on its way. */
struct draft {
	const struct conf_service *conf;
	const struct service_change *change;
	json_t *doc; /* a copy that is being changed */
	enum change_outcome outcome;
	char *text;
	bool changed; /* something in force differs */
	bool lease_changed;
};

__attribute__((format(printf, 3, 4))) static bool refuse(
	struct draft *d, enum change_outcome why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(d->text, CHANGE_TEXT, fmt, ap);
	va_end(ap);
	d->outcome = why;
	return false;
}

static const struct conf_pool *wanted_pool(struct draft *d, const char *name)
{
	const struct conf_pool *found = service_doc_pool(d->conf, name);
	struct str meant = service_doc_pool_meant(d->conf, name);

	if (found)
		return found;
	if (meant.n)
		refuse(d, CHANGE_UNKNOWN,
			"service " STR_FMT " has no pool \"%.64s\"; did you mean \"" STR_FMT "\"?",
			STR_ARG(d->conf->name), name, STR_ARG(meant));
	else
		refuse(d, CHANGE_UNKNOWN,
			"service " STR_FMT
			" has no pool \"%.64s\"; a pool has to be in the file before it can be "
			"changed at run time",
			STR_ARG(d->conf->name), name);
	return NULL;
}

/* -- weights, and their lease -- */

/* What the pool had before the lease is remembered once; without a lease a weight is set for good. */
static void lease_pool(struct draft *d, const struct conf_pool *pool, const json_t *value)
{
	json_t *lease = json_object_get(d->doc, "lease"), *pools = json_object_get(lease, "pools");
	const json_t *before = service_doc_set(d->doc, pool->name, "weight");
	bool same = json_integer_value(value) == service_doc_weight(d->doc, pool) && !json_is_null(value);

	if (!d->change->lease_ms) {
		if (pools && json_object_del(pools, pool->name.p) == 0)
			d->lease_changed = true;
		if (pools && json_object_size(pools) == 0)
			json_object_del(d->doc, "lease");
		return;
	}
	if (pools && json_object_get(pools, pool->name.p)) {
		d->lease_changed = true;
		return;
	}
	if (same)
		return;
	if (!lease) {
		lease = json_pack("{s:{}}", "pools");
		json_object_set_new(d->doc, "lease", lease);
		pools = json_object_get(lease, "pools");
	}
	d->lease_changed = true;
	json_object_set_new(pools, pool->name.p, before ? json_deep_copy(before) : json_null());
}

static bool change_weights(struct draft *d, int64_t now_ms)
{
	json_t *value, *lease;
	const char *name;

	json_object_foreach(d->change->weights, name, value)
	{
		const struct conf_pool *pool = wanted_pool(d, name);

		if (!pool)
			return false;
		if (!json_is_null(value) && (!json_is_integer(value) || json_integer_value(value) < 0 ||
						    json_integer_value(value) > WEIGHT_MAX))
			return refuse(d, CHANGE_BAD,
				"the weight of pool %s must be a whole number from 0 to %d", name,
				WEIGHT_MAX);
		lease_pool(d, pool, value);
		d->changed |= service_doc_put(
			d->doc, pool, "weight", json_is_null(value) ? NULL : json_incref(value));
	}
	lease = json_object_get(d->doc, "lease");
	if (lease && d->change->lease_ms && d->lease_changed) {
		json_object_set_new(lease, "length_ms", json_integer(d->change->lease_ms));
		json_object_set_new(lease, "until_ms", json_integer(now_ms + d->change->lease_ms));
	}
	return true;
}

static void end_lease(struct draft *d)
{
	json_t *lease = json_object_get(d->doc, "lease"), *value;
	const char *name;

	json_object_foreach(json_object_get(lease, "pools"), name, value)
	{
		const struct conf_pool *pool = service_doc_pool(d->conf, name);

		if (pool)
			d->changed |= service_doc_put(
				d->doc, pool, "weight", json_is_null(value) ? NULL : json_incref(value));
	}
	if (json_object_del(d->doc, "lease") == 0)
		d->lease_changed = true;
}

/* -- states -- */

static bool change_states(struct draft *d)
{
	json_t *value;
	const char *name;

	json_object_foreach(d->change->states, name, value)
	{
		const struct conf_pool *pool = wanted_pool(d, name);

		if (!pool)
			return false;
		if (!json_is_null(value) && service_doc_state_number(json_string_value(value)) < 0)
			return refuse(d, CHANGE_BAD,
				"the state of pool %s must be open, pinned, draining or closed", name);
		d->changed |= service_doc_put(
			d->doc, pool, "state", json_is_null(value) ? NULL : json_incref(value));
	}
	return true;
}

/* -- backends -- */

static size_t index_of(const json_t *list, const json_t *backend)
{
	const json_t *address = json_object_get(backend, "address"), *one;
	size_t i;

	json_array_foreach(list, i, one)
	{
		if (json_equal(json_object_get(one, "address"), address))
			return i;
	}
	return json_array_size(list);
}

static bool remove_backends(struct draft *d, const struct conf_pool *pool, json_t *list, const json_t *given)
{
	json_t *one;
	size_t i;

	json_array_foreach(given, i, one)
	{
		size_t at = index_of(list, one);

		if (at == json_array_size(list))
			return refuse(d, CHANGE_UNKNOWN, "pool " STR_FMT " has no backend \"%.256s\"",
				STR_ARG(pool->name), json_string_value(json_object_get(one, "address")));
		json_array_remove(list, at);
	}
	return true;
}

static void add_backends(json_t *list, const json_t *given)
{
	json_t *one;
	size_t i;

	json_array_foreach(given, i, one)
	{
		size_t at = index_of(list, one);

		if (at < json_array_size(list))
			json_array_set(list, at, one);
		else
			json_array_append(list, one);
	}
}

static bool change_backends(struct draft *d)
{
	const struct conf_pool *pool = wanted_pool(d, d->change->backends_pool);
	const json_t *now;
	json_t *given, *list;
	bool good = true;

	if (!pool)
		return false;
	if (json_is_null(d->change->backends)) {
		d->changed |= service_doc_put(d->doc, pool, "backends", NULL);
		return true;
	}
	given = members_json_check(d->change->backends, d->text, CHANGE_TEXT);
	if (!given) {
		d->outcome = CHANGE_BAD;
		return false;
	}
	now = service_doc_backends(d->doc, pool->name);
	if (d->change->backends_how == BACKENDS_SET)
		list = json_incref(given);
	else
		list = now ? json_deep_copy(now) : members_json(pool->backends, pool->backend_n);
	if (d->change->backends_how == BACKENDS_ADD)
		add_backends(list, given);
	else if (d->change->backends_how == BACKENDS_REMOVE)
		good = remove_backends(d, pool, list, given);
	if (good && json_array_size(list) > BACKENDS_MAX)
		good = refuse(d, CHANGE_BAD, "a pool has at most %d backends", BACKENDS_MAX);
	if (good)
		d->changed |= service_doc_put(d->doc, pool, "backends", list);
	else
		json_decref(list);
	json_decref(given);
	return good;
}

/* -- is somebody left? -- */

/* A pool that gets new users has somebody to give them to. */
static const struct conf_pool *empty_pool(const json_t *doc, const struct conf_service *conf)
{
	for (uint32_t i = 0; i < conf->pool_n; i++)
		if (service_doc_weight(doc, &conf->pools[i]) &&
			service_doc_state(doc, &conf->pools[i]) == POOL_OPEN &&
			!service_doc_backend_count(doc, &conf->pools[i]))
			return &conf->pools[i];
	return NULL;
}

static bool check_safe(struct draft *d, const json_t *before)
{
	const struct conf_pool *empty;

	if (d->change->force || d->change->must || !d->changed)
		return true;
	if (service_doc_serves(before, d->conf) && !service_doc_serves(d->doc, d->conf))
		return refuse(d, CHANGE_UNSAFE,
			"no open pool of service " STR_FMT
			" would have a weight above 0 and a backend: all its requests would "
			"fail. Give another pool a weight first, or say force (--force)",
			STR_ARG(d->conf->name));
	empty = empty_pool(d->doc, d->conf);
	if (empty && empty_pool(before, d->conf) != empty)
		return refuse(d, CHANGE_UNSAFE,
			"pool " STR_FMT " would have a weight of %u and no backend. Set its weight to 0 "
			"first, or say force (--force)",
			STR_ARG(empty->name), service_doc_weight(d->doc, empty));
	return true;
}

/* -- a change -- */

static bool check_texts(struct draft *d)
{
	const struct service_change *c = d->change;

	if (c->author && strlen(c->author) > AUTHOR_MAX)
		return refuse(d, CHANGE_BAD, "the author's name is longer than %d bytes", AUTHOR_MAX);
	if (c->reason && strlen(c->reason) > REASON_MAX)
		return refuse(d, CHANGE_BAD, "the reason is longer than %d bytes", REASON_MAX);
	if (c->lease_ms && (c->lease_ms < LEASE_MIN_MS || c->lease_ms > LEASE_MAX_MS))
		return refuse(d, CHANGE_BAD, "a lease lasts from 1s to 24h");
	return true;
}

static bool apply(struct draft *d, int64_t now_ms)
{
	const struct service_change *c = d->change;

	if (c->lease_is_over) {
		end_lease(d);
		return true;
	}
	return check_texts(d) && (!c->weights || change_weights(d, now_ms)) &&
	       (!c->states || change_states(d)) && (!c->backends || change_backends(d));
}

json_t *service_change_apply(const json_t *doc, const struct conf_service *conf,
	const struct service_change *change, int64_t now_ms, enum change_outcome *outcome, char *text)
{
	struct draft d = {conf, change, json_deep_copy(doc), CHANGE_DONE, text, false, false};

	MUST(d.doc);
	text[0] = '\0';
	if (change->if_version && change->if_version != service_doc_version(doc))
		refuse(&d, CHANGE_CONFLICT,
			"the version is %lld, not %lld: somebody has changed it meanwhile. Look at it, then "
			"try again",
			(long long)service_doc_version(doc), (long long)change->if_version);
	else if (apply(&d, now_ms) && check_safe(&d, doc))
		d.outcome = d.changed ? CHANGE_DONE : d.lease_changed ? CHANGE_RENEWED : CHANGE_SAME;
	*outcome = d.outcome;
	if (d.outcome == CHANGE_DONE)
		service_doc_sign(d.doc, change->author, change->reason, now_ms);
	if (d.outcome == CHANGE_DONE || d.outcome == CHANGE_RENEWED)
		return d.doc;
	json_decref(d.doc);
	return NULL;
}
