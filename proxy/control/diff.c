#include "control/diff.h"

#include "base/map.h"
#include "base/obj.h"

enum kind { SETTING, LISTENER, CERTIFICATE, TENANT, SERVICE, POOL, BACKEND, KINDS };

static const char *const kind_names[KINDS] = {
	"setting", "listener", "certificate", "tenant", "service", "pool", "backend"};

/* Something that a configuration says. */
struct fact {
	struct fact *next;
	struct fact *whole; /* that it is a part of; NULL: none */
	struct str name;
	uint64_t digest;
	uint8_t kind;
	bool seen; /* the other configuration has it too */
};

struct facts {
	struct arena arena;
	struct map by_name[KINDS];
	struct fact *first, **last;
};

static struct fact *add(struct facts *f, enum kind kind, struct fact *whole, struct str name, uint64_t digest)
{
	struct fact *fact = arena_new(&f->arena, struct fact);

	*fact = (struct fact){.kind = (uint8_t)kind, .whole = whole, .digest = digest};
	fact->name =
		whole ? arena_fmt(&f->arena, STR_FMT "/" STR_FMT, STR_ARG(whole->name), STR_ARG(name)) : name;
	/* A backend may be listed twice. */
	if (map_get(&f->by_name[kind], fact->name))
		return fact;
	map_put(&f->by_name[kind], fact->name, fact);
	*f->last = fact;
	f->last = &fact->next;
	return fact;
}

/* -- what a configuration says -- */

static void add_pool(struct facts *f, struct fact *service, const struct conf_pool *p)
{
	struct fact *pool = add(f, POOL, service, p->name, p->digest);

	for (uint32_t i = 0; i < p->backend_n; i++) {
		const struct conf_backend *b = &p->backends[i];

		add(f, BACKEND, pool, b->address, (uint64_t)b->weight << 32 | b->priority);
	}
}

static void add_tenant(struct facts *f, const struct conf_tenant *t)
{
	struct fact *tenant = add(f, TENANT, NULL, t->name, t->digest);

	for (uint32_t s = 0; s < t->service_n; s++) {
		struct fact *service = add(f, SERVICE, tenant, t->services[s].name, t->services[s].digest);

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

static void add_settings(struct facts *f, const struct conf *c)
{
	add(f, SETTING, NULL, STR("log"), log_digest(&c->log));
	add(f, SETTING, NULL, STR("admin"), c->admin.digest);
	add(f, SETTING, NULL, STR("modules"), c->modules.digest);
	add(f, SETTING, NULL, STR("state_dir"), hash_bytes(c->state_dir.p, c->state_dir.n, 0));
	add(f, SETTING, NULL, STR("timeouts"), hash_bytes(&c->timeouts, sizeof(c->timeouts), 0));
	add(f, SETTING, NULL, STR("limits"), hash_bytes(&c->limits, sizeof(c->limits), 0));
}

/* Two listeners may have the same. A certificate that was read again is another object. */
static void add_certificates(struct facts *f, const struct cert_store *store)
{
	for (uint32_t i = 0; store && i < store->cert_n; i++)
		add(f, CERTIFICATE, NULL, str_of(store->certs[i]->cert.path),
			(uint64_t)(uintptr_t)store->certs[i]);
}

static void facts_of(struct facts *f, const struct verified *v)
{
	*f = (struct facts){.last = &f->first};
	arena_init(&f->arena, NULL);
	add_settings(f, v->conf);
	for (uint32_t i = 0; i < v->conf->listener_n; i++)
		add(f, LISTENER, NULL, v->conf->listeners[i].name, v->conf->listeners[i].digest);
	for (uint32_t i = 0; i < v->stores->n; i++)
		add_certificates(f, v->stores->v[i]);
	add_certificates(f, v->stores->admin);
	for (uint32_t i = 0; i < v->conf->tenant_n; i++)
		add_tenant(f, &v->conf->tenants[i]);
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

static void note(json_t *diff, const struct fact *fact, const char *way)
{
	json_t *kind = member(diff, kind_names[fact->kind], json_object),
	       *names = member(kind, way, json_array);

	if (json_array_size(names) < DIFF_NAMES_MAX)
		json_array_append_new(names, json_stringn(fact->name.p, fact->name.n));
	else
		json_object_set_new(
			kind, "more", json_integer(json_integer_value(json_object_get(kind, "more")) + 1));
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
	for (struct fact *fact = new.first; fact; fact = fact->next) {
		struct fact *was = map_get(&old.by_name[fact->kind], fact->name);

		if (!was)
			continue;
		was->seen = fact->seen = true;
		if (was->digest != fact->digest)
			note(diff, fact, "changed");
	}
	note_unseen(diff, &new, "added");
	note_unseen(diff, &old, "removed");
	facts_free(&old);
	facts_free(&new);
	return diff;
}
