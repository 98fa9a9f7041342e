#include "control/diff.h"

#include <stdlib.h>
#include "base/map.h"
#include "base/obj.h"
#include "config/compare.h"
#include "config/fields.h"

enum kind { SETTING, LISTENER, CERTIFICATE, TENANT, SERVICE, POOL, BACKEND, KINDS };

static const char *const kind_names[KINDS] = {
	"setting", "listener", "certificate", "tenant", "service", "pool", "backend"};

/* Something that a configuration says. */
struct fact {
	struct fact *next;
	struct fact *whole; /* that it is a part of; NULL: none */
	struct str name;
	const struct config_object *object; /* of which `value` is one; NULL: its values are not told */
	const void *value;
	uint64_t digest;
	uint8_t kind;
	bool seen; /* the other configuration has it too */
};

struct facts {
	struct arena arena;
	struct map by_name[KINDS];
	struct fact *first, **last;
};

/* An object of the configuration, which tells its values when they change. */
static void tells(struct fact *fact, const struct config_object *object, const void *value)
{
	fact->object = object;
	fact->value = value;
}

static struct fact *add(struct facts *f, enum kind kind, struct fact *whole, struct str name, uint64_t digest)
{
	struct fact *fact = arena_new(&f->arena, struct fact);

	*fact = (struct fact){.kind = (uint8_t)kind, .whole = whole, .digest = digest};
	fact->name = whole ? arena_join(&f->arena, whole->name, name) : name;
	/* A backend may be listed twice. */
	if (map_get(&f->by_name[kind], fact->name))
		return fact;
	map_put(&f->by_name[kind], fact->name, fact);
	*f->last = fact;
	f->last = &fact->next;
	return fact;
}

/* -- what a configuration says -- */

static uint64_t backend_digest(const struct conf_backend *b)
{
	uint64_t h = hash_bytes(b->zone.p, b->zone.n, (uint64_t)b->weight << 32 | b->priority);

	return hash_bytes(&b->requests, sizeof(b->requests), h);
}

static void add_pool(struct facts *f, struct fact *service, const struct conf_pool *p)
{
	struct fact *pool = add(f, POOL, service, p->name, p->digest);

	tells(pool, &pool_object, p);
	for (uint32_t i = 0; i < p->backend_n; i++) {
		const struct conf_backend *b = &p->backends[i];

		tells(add(f, BACKEND, pool, b->address, backend_digest(b)), &backend_object, b);
	}
}

static void add_tenant(struct facts *f, const struct conf_tenant *t)
{
	struct fact *tenant = add(f, TENANT, NULL, t->name, t->digest);

	tells(tenant, &tenant_object, t);
	for (uint32_t s = 0; s < t->service_n; s++) {
		struct fact *service = add(f, SERVICE, tenant, t->services[s].name, t->services[s].digest);

		tells(service, &service_object, &t->services[s]);
		for (uint32_t p = 0; p < t->services[s].pool_n; p++)
			add_pool(f, service, &t->services[s].pools[p]);
	}
}

static uint64_t log_digest(const struct conf_log *l)
{
	uint64_t h = (uint64_t)l->access_format << 8 | l->events_level;

	h = hash_bytes(l->access_path.p, l->access_path.n, h);
	return hash_bytes(l->events_path.p, l->events_path.n, h);
}

static uint64_t resolver_digest(const struct conf_resolver *r)
{
	uint64_t h = (uint64_t)r->timeout << 32 | r->attempts;

	return hash_bytes(r->servers, r->server_n * sizeof(*r->servers), h);
}

static uint64_t texts_digest(const struct conf_strs *s)
{
	uint64_t h = s->n;

	for (uint32_t i = 0; i < s->n; i++)
		h = hash_bytes(s->v[i].p, s->v[i].n, h);
	return h;
}

/* The keys at the top level: all of them are told by the table of the whole (note_values()). */
static void add_setting(struct facts *f, const struct conf *c, struct str name, uint64_t digest)
{
	tells(add(f, SETTING, NULL, name, digest), &root_object, c);
}

static void add_settings(struct facts *f, const struct conf *c)
{
	add_setting(f, c, STR("workers"), c->workers);
	add_setting(f, c, STR("user"), hash_bytes(c->user.p, c->user.n, 0));
	add_setting(f, c, STR("zone"), hash_bytes(c->zone.p, c->zone.n, 0));
	add_setting(f, c, STR("cookie_secret"), texts_digest(&c->cookie_secrets));
	add_setting(f, c, STR("resolver"), resolver_digest(&c->resolver));
	add_setting(f, c, STR("log"), log_digest(&c->log));
	add_setting(f, c, STR("admin"), c->admin.digest);
	add_setting(f, c, STR("modules"), c->modules.digest);
	add_setting(f, c, STR("state_dir"), hash_bytes(c->state_dir.p, c->state_dir.n, 0));
	add_setting(f, c, STR("timeouts"), hash_bytes(&c->timeouts, sizeof(c->timeouts), 0));
	add_setting(f, c, STR("limits"), hash_bytes(&c->limits, sizeof(c->limits), 0));
}

/* Two listeners may have the same. A certificate that was read again is another object. */
static void add_certificates(struct facts *f, const struct cert_store *store)
{
	for (uint32_t i = 0; store && i < store->cert_n; i++)
		add(f, CERTIFICATE, NULL, str_of(store->certs[i]->cert.path),
			(uint64_t)(uintptr_t)store->certs[i]);
}

static void add_listener(struct facts *f, const struct conf_listener *l)
{
	tells(add(f, LISTENER, NULL, l->name, l->digest), &listener_object, l);
}

/* -- tenants that say the same -- */

static bool same_pool(const struct conf_pool *a, const struct conf_pool *b)
{
	if (!str_eq(a->name, b->name) || a->digest != b->digest || a->backend_n != b->backend_n)
		return false;
	for (uint32_t i = 0; i < a->backend_n; i++)
		if (!str_eq(a->backends[i].address, b->backends[i].address) ||
			backend_digest(&a->backends[i]) != backend_digest(&b->backends[i]))
			return false;
	return true;
}

static bool same_service(const struct conf_service *a, const struct conf_service *b)
{
	if (!str_eq(a->name, b->name) || a->digest != b->digest || a->pool_n != b->pool_n)
		return false;
	for (uint32_t i = 0; i < a->pool_n; i++)
		if (!same_pool(&a->pools[i], &b->pools[i]))
			return false;
	return true;
}

/* In the same order too: what is only in another one is found to be no difference fact by fact. */
static bool same_tenant(const struct conf_tenant *a, const struct conf_tenant *b)
{
	if (a->digest != b->digest || a->service_n != b->service_n)
		return false;
	for (uint32_t i = 0; i < a->service_n; i++)
		if (!same_service(&a->services[i], &b->services[i]))
			return false;
	return true;
}

/* The place of that name among c's tenants, c->tenant_n if it has none: likely it stands at the place given. places: of all of them, found out
 * when that has failed for the first time. */
static uint32_t tenant_place(const struct conf *c, struct map *places, struct str name, uint32_t likely)
{
	const struct conf_tenant *found;

	if (likely < c->tenant_n && str_eq(c->tenants[likely].name, name))
		return likely;
	for (uint32_t i = 0; places->n < c->tenant_n; i++)
		map_put(places, c->tenants[i].name, &c->tenants[i]);
	found = map_get(places, name);
	return found ? (uint32_t)(found - c->tenants) : c->tenant_n;
}

/* Of thousands, a reload changes a few: those that say the same on both sides are no facts on either. */
static void add_tenants(
	struct facts *old, struct facts *new, const struct conf *before, const struct conf *after)
{
	bool *same = calloc(before->tenant_n + 1u, sizeof(*same));
	struct map places = {0};
	uint32_t place = 0;

	MUST(same);
	for (uint32_t i = 0; i < after->tenant_n; i++) {
		const struct conf_tenant *t = &after->tenants[i];
		uint32_t found = tenant_place(before, &places, t->name, place);

		same[found] = found < before->tenant_n && same_tenant(&before->tenants[found], t);
		if (!same[found])
			add_tenant(new, t);
		if (found < before->tenant_n)
			place = found + 1;
	}
	for (uint32_t i = 0; i < before->tenant_n; i++)
		if (!same[i])
			add_tenant(old, &before->tenants[i]);
	map_free(&places);
	free(same);
}

/* All but tenants. */
static void facts_of(struct facts *f, const struct verified *v)
{
	*f = (struct facts){.last = &f->first};
	arena_init(&f->arena, NULL);
	add_settings(f, v->conf);
	for (uint32_t i = 0; i < v->conf->listener_n; i++)
		add_listener(f, &v->conf->listeners[i]);
	for (uint32_t i = 0; i < v->stores->n; i++)
		add_certificates(f, v->stores->v[i]);
	add_certificates(f, v->stores->admin);
}

static void facts_free(struct facts *f)
{
	for (int k = 0; k < KINDS; k++)
		map_free(&f->by_name[k]);
	arena_free(&f->arena);
}

/* -- the difference -- */

static json_t *member(json_t *object, const char *name, json_t *(*make)(void))
{
	json_t *j = json_object_get(object, name);

	if (!j) {
		j = make();
		json_object_set_new(object, name, j);
	}
	return j;
}

/* False: there are too many of its kind. */
static bool note(json_t *diff, const struct fact *fact, const char *way)
{
	json_t *kind = member(diff, kind_names[fact->kind], json_object),
	       *names = member(kind, way, json_array);

	if (json_array_size(names) < DIFF_NAMES_MAX) {
		json_array_append_new(names, json_stringn(fact->name.p, fact->name.n));
		return true;
	}
	json_object_set_new(
		kind, "more", json_integer(json_integer_value(json_object_get(kind, "more")) + 1));
	return false;
}

struct values_note {
	const struct fact *fact;
	json_t *list; /* NULL: no value so far */
};

static void note_value(const struct config_change *change, void *arg)
{
	struct values_note *n = arg;
	struct str key = change->key;
	json_t *value;

	if (n->fact->kind == SETTING) {
		if (!str_eq(str_head(key, str_find(key, '.')), n->fact->name))
			return;
		if (str_find(key, '.') < key.n)
			key = str_skip(key, n->fact->name.n + 1);
	}
	value = json_pack("{s:s%}", "key", key.p, key.n);
	if (!change->secret) {
		json_object_set_new(value, "before", json_stringn(change->before.p, change->before.n));
		json_object_set_new(value, "after", json_stringn(change->after.p, change->after.n));
	}
	if (!n->list)
		n->list = json_array();
	json_array_append_new(n->list, value);
}

/* What it says differently, as far as it can be told. */
static void note_values(json_t *diff, const struct fact *was, const struct fact *is)
{
	struct values_note n = {.fact = is};
	json_t *values;

	if (!is->object)
		return;
	config_compare(is->object, was->value, is->value, note_value, &n);
	if (!n.list)
		return;
	values = member(json_object_get(diff, kind_names[is->kind]), "values", json_object);
	json_object_setn_new(values, is->name.p, is->name.n, n.list);
}

/* What only this side has; parts of it go without saying. */
static void note_unseen(json_t *diff, const struct facts *f, const char *way)
{
	for (const struct fact *fact = f->first; fact; fact = fact->next)
		if (!fact->seen && (!fact->whole || fact->whole->seen))
			note(diff, fact, way);
}

json_t *conf_diff(const struct verified *before, const struct verified *after)
{
	struct facts old, new;
	json_t *diff = json_object();

	facts_of(&old, before);
	facts_of(&new, after);
	add_tenants(&old, &new, before->conf, after->conf);
	for (struct fact *fact = new.first; fact; fact = fact->next) {
		struct fact *was = map_get(&old.by_name[fact->kind], fact->name);

		if (!was)
			continue;
		was->seen = fact->seen = true;
		if (was->digest != fact->digest && note(diff, fact, "changed"))
			note_values(diff, was, fact);
	}
	note_unseen(diff, &new, "added");
	note_unseen(diff, &old, "removed");
	facts_free(&old);
	facts_free(&new);
	return diff;
}
