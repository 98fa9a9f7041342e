#include "control/service_doc.h"

#include <stdio.h>
#include <string.h>
#include "base/obj.h"
#include "config/suggest.h"
#include "control/members_json.h"

/* -- the file's part -- */

static uint64_t backends_hash(const struct conf_pool *pool)
{
	uint64_t h = pool->backend_n;

	for (uint32_t i = 0; i < pool->backend_n; i++) {
		const struct conf_backend *b = &pool->backends[i];

		h = hash_bytes(b->address.p, b->address.n, h ^ b->weight ^ ((uint64_t)b->priority << 32));
	}
	return h;
}

uint64_t service_doc_fingerprint(const struct conf_service *conf)
{
	uint64_t h = conf->pool_n;

	for (uint32_t i = 0; i < conf->pool_n; i++) {
		const struct conf_pool *p = &conf->pools[i];
		uint64_t of_pool[] = {p->weight, p->state, backends_hash(p)};

		h = hash_bytes(p->name.p, p->name.n, h);
		h = hash_bytes(of_pool, sizeof(of_pool), h);
	}
	return h;
}

static json_t *file_of(const struct conf_pool *pool)
{
	char hash[20];

	snprintf(hash, sizeof(hash), "%016llx", (unsigned long long)backends_hash(pool));
	return json_pack("{s:I, s:s, s:s}", "weight", (json_int_t)pool->weight, "state",
		conf_pool_state_names[pool->state], "backends", hash);
}

static json_t *file_of_all(const struct conf_service *conf)
{
	json_t *file = json_object();

	for (uint32_t i = 0; i < conf->pool_n; i++)
		json_object_set_new(file, conf->pools[i].name.p, file_of(&conf->pools[i]));
	return file;
}

json_t *service_doc_new(const struct conf_service *conf)
{
	json_t *doc =
		json_pack("{s:I, s:o, s:{}}", "version", (json_int_t)1, "file", file_of_all(conf), "pools");

	MUST(doc);
	return doc;
}

/* -- what holds -- */

const json_t *service_doc_set(const json_t *doc, struct str pool, const char *what)
{
	const json_t *pools = doc ? json_object_get(doc, "pools") : NULL;
	char name[256];

	if (!pools || pool.n >= sizeof(name))
		return NULL;
	memcpy(name, pool.p, pool.n);
	name[pool.n] = '\0';
	return json_object_get(json_object_get(pools, name), what);
}

int service_doc_state_number(const char *name)
{
	for (int i = 0; name && conf_pool_state_names[i]; i++)
		if (strcmp(conf_pool_state_names[i], name) == 0)
			return i;
	return -1;
}

uint32_t service_doc_weight(const json_t *doc, const struct conf_pool *pool)
{
	const json_t *set = service_doc_set(doc, pool->name, "weight");

	return set ? (uint32_t)json_integer_value(set) : pool->weight;
}

uint8_t service_doc_state(const json_t *doc, const struct conf_pool *pool)
{
	int set = service_doc_state_number(json_string_value(service_doc_set(doc, pool->name, "state")));

	return set < 0 ? pool->state : (uint8_t)set;
}

const json_t *service_doc_backends(const json_t *doc, struct str pool)
{
	return service_doc_set(doc, pool, "backends");
}

/* What the file says of one of its values, as the document would have it. */
static json_t *file_value(const struct conf_pool *pool, const char *what)
{
	if (strcmp(what, "weight") == 0)
		return json_integer(pool->weight);
	if (strcmp(what, "state") == 0)
		return json_string(conf_pool_state_names[pool->state]);
	return members_json(pool->backends, pool->backend_n);
}

bool service_doc_put(json_t *doc, const struct conf_pool *pool, const char *what, json_t *value)
{
	json_t *pools = json_object_get(doc, "pools"), *of_pool = json_object_get(pools, pool->name.p);
	json_t *file = file_value(pool, what), *now = of_pool ? json_object_get(of_pool, what) : NULL;
	bool other;

	if (!value)
		value = json_incref(file);
	other = !json_equal(value, now ? now : file);
	if (json_equal(value, file)) {
		if (now)
			json_object_del(of_pool, what);
		json_decref(value);
	} else {
		if (!of_pool) {
			of_pool = json_object();
			json_object_set_new(pools, pool->name.p, of_pool);
		}
		json_object_set_new(of_pool, what, value);
	}
	if (of_pool && json_object_size(of_pool) == 0)
		json_object_del(pools, pool->name.p);
	json_decref(file);
	return other;
}

const struct conf_pool *service_doc_pool(const struct conf_service *conf, const char *name)
{
	for (uint32_t i = 0; i < conf->pool_n; i++)
		if (str_eq(conf->pools[i].name, str_of(name)))
			return &conf->pools[i];
	return NULL;
}

struct str service_doc_pool_meant(const struct conf_service *conf, const char *name)
{
	struct suggestion s = {.word = str_of(name)};

	for (uint32_t i = 0; conf && i < conf->pool_n; i++)
		suggest_try(&s, conf->pools[i].name);
	return s.best;
}

bool service_doc_lease(const json_t *doc, int64_t now_ms, uint32_t *left_ms)
{
	const json_t *lease = doc ? json_object_get(doc, "lease") : NULL;
	int64_t length, left;

	if (!lease)
		return false;
	length = json_integer_value(json_object_get(lease, "length_ms"));
	left = json_integer_value(json_object_get(lease, "until_ms")) - now_ms;
	*left_ms = (uint32_t)MIN(MAX(left, 0), MIN(MAX(length, 0), (int64_t)LEASE_MAX_MS));
	return true;
}

/* -- is somebody left? -- */

size_t service_doc_backend_count(const json_t *doc, const struct conf_pool *pool)
{
	const json_t *set = service_doc_backends(doc, pool->name);

	return set ? json_array_size(set) : pool->backend_n;
}

/* New users have somewhere to go. */
bool service_doc_serves(const json_t *doc, const struct conf_service *conf)
{
	for (uint32_t i = 0; i < conf->pool_n; i++)
		if (service_doc_weight(doc, &conf->pools[i]) &&
			service_doc_state(doc, &conf->pools[i]) == POOL_OPEN &&
			service_doc_backend_count(doc, &conf->pools[i]))
			return true;
	return false;
}

void service_doc_sign(json_t *doc, const char *author, const char *reason, int64_t now_ms)
{
	json_object_set_new(doc, "version", json_integer(service_doc_version(doc) + 1));
	json_object_set_new(doc, "changed_ms", json_integer(now_ms));
	json_object_set_new(doc, "author", author ? json_string(author) : json_null());
	json_object_set_new(doc, "reason", reason ? json_string(reason) : json_null());
}

/* -- against the file -- */

static const char *const values[] = {"weight", "state", "backends"};

static void lose(json_t *lost, const char *pool, const char *what, const json_t *runtime, json_t *file,
	const char *why)
{
	json_array_append_new(lost, json_pack("{s:s, s:s, s:O, s:o, s:s}", "pool", pool, "what", what,
					    "runtime", runtime, "file", file, "why", why));
}

static void forget_lease(json_t *doc, const char *pool)
{
	json_t *pools = json_object_get(json_object_get(doc, "lease"), "pools");

	if (!pools)
		return;
	json_object_del(pools, pool);
	if (json_object_size(pools) == 0)
		json_object_del(doc, "lease");
}

/* One pool: what changed in the file wins over what was set. */
static void follow_pool(json_t *doc, const struct conf_pool *pool, const json_t *before, json_t *lost)
{
	json_t *file = file_of(pool);

	for (size_t i = 0; i < COUNT_OF(values); i++) {
		const json_t *set = service_doc_set(doc, pool->name, values[i]);

		if (!before ||
			json_equal(json_object_get(before, values[i]), json_object_get(file, values[i])))
			continue;
		if (strcmp(values[i], "weight") == 0)
			forget_lease(doc, pool->name.p);
		if (!set)
			continue;
		lose(lost, pool->name.p, values[i], set, file_value(pool, values[i]),
			"it changed in the file");
		service_doc_put(doc, pool, values[i], NULL);
	}
	json_decref(file);
}

/* What was set of pools that are gone. */
static void drop_gone(json_t *doc, const struct conf_service *conf, json_t *lost)
{
	json_t *pools = json_object_get(doc, "pools"), *set, *value;
	const char *name, *what;
	void *next;

	json_object_foreach_safe(pools, next, name, set)
	{
		if (service_doc_pool(conf, name))
			continue;
		json_object_foreach(set, what, value)
		{
			lose(lost, name, what, value, json_null(), "the pool is gone from the file");
		}
		forget_lease(doc, name);
		json_object_del(pools, name);
	}
	/* A leased pool need not have a value of its own. */
	pools = json_object_get(json_object_get(doc, "lease"), "pools");
	json_object_foreach_safe(pools, next, name, value)
	{
		if (!service_doc_pool(conf, name))
			json_object_del(pools, name);
	}
	if (pools && json_object_size(pools) == 0)
		json_object_del(doc, "lease");
}

/* What is left of the changes would leave nobody to serve, and the file would not: then the file holds. */
static void rescue(json_t *doc, const struct conf_service *conf, json_t *lost)
{
	if (service_doc_serves(doc, conf) || !service_doc_serves(NULL, conf))
		return;
	for (uint32_t i = 0; i < conf->pool_n; i++) {
		const struct conf_pool *pool = &conf->pools[i];

		for (size_t v = 0; v < COUNT_OF(values); v++) {
			const json_t *set = service_doc_set(doc, pool->name, values[v]);

			if (!set)
				continue;
			lose(lost, pool->name.p, values[v], set, file_value(pool, values[v]),
				"with what is now in the file, nobody would be left to serve");
			service_doc_put(doc, pool, values[v], NULL);
		}
	}
	json_object_del(doc, "lease");
}

json_t *service_doc_follow(const json_t *doc, const struct conf_service *conf, json_t *lost)
{
	json_t *next = json_deep_copy(doc), *file = file_of_all(conf), *before;

	MUST(next);
	before = json_object_get(next, "file");
	if (before && json_equal(before, file)) {
		json_decref(file);
		json_decref(next);
		return NULL;
	}
	if (!json_object_get(next, "pools"))
		json_object_set_new(next, "pools", json_object());
	for (uint32_t i = 0; before && i < conf->pool_n; i++)
		follow_pool(next, &conf->pools[i], json_object_get(before, conf->pools[i].name.p), lost);
	drop_gone(next, conf, lost);
	if (json_array_size(lost))
		rescue(next, conf, lost);
	json_object_set_new(next, "file", file);
	json_object_set_new(next, "version", json_integer(service_doc_version(next) + 1));
	return next;
}

json_t *service_doc_without_service(const json_t *doc, json_t *lost)
{
	json_t *set, *value;
	const char *name, *what;

	json_object_foreach(json_object_get(doc, "pools"), name, set)
	{
		json_object_foreach(set, what, value)
		{
			lose(lost, name, what, value, json_null(), "the service is gone from the file");
		}
	}
	return json_pack("{s:I, s:{}}", "version", (json_int_t)service_doc_version(doc) + 1, "pools");
}

/* -- for history -- */

json_t *service_doc_difference(const json_t *before, const json_t *after, const struct conf_service *conf)
{
	json_t *all = json_object();

	for (uint32_t i = 0; i < conf->pool_n; i++) {
		const struct conf_pool *pool = &conf->pools[i];
		json_t *of_pool = json_object();

		for (size_t v = 0; v < COUNT_OF(values); v++) {
			const json_t *was = service_doc_set(before, pool->name, values[v]);
			const json_t *is = service_doc_set(after, pool->name, values[v]);
			json_t *file;

			if (was == is || (was && is && json_equal(was, is)))
				continue;
			file = file_value(pool, values[v]);
			json_object_set_new(
				of_pool, values[v], json_pack("[O, O]", was ? was : file, is ? is : file));
			json_decref(file);
		}
		if (json_object_size(of_pool))
			json_object_set(all, pool->name.p, of_pool);
		json_decref(of_pool);
	}
	return all;
}
