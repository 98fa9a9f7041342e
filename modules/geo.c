/* modules/geo.c - where clients are, by the address of who asks: tells backends, lets in or turns away, chooses pools.
 *
 * Headers are set in `request`, so that routes can ask for them; what allows, denies and chooses is looked at once the route is known,
 * because a route may say otherwise. Each worker remembers the addresses that it has looked up last. */
#include "geo/database.h"
#include "modules.h"

#include <stdatomic.h>
#include <stdlib.h>

#define CACHE_SIZE 1024 /* addresses that a worker remembers: a power of two */

struct geo_pool {
	struct str country, pool;
};

struct geo {
	struct str database, asn_database, language;
	struct conf_strs allow, deny;
	struct geo_pool *pools;
	uint32_t pool_n;
};

/* -- configuration -- */

static bool is_country(struct str s)
{
	return s.n == 2 && s.p[0] >= 'A' && s.p[0] <= 'Z' && s.p[1] >= 'A' && s.p[1] <= 'Z';
}

static const struct config_type type_country = {
	.name = "country",
	.plural = "countries",
	.expects = "a country's two capital letters (ISO 3166), or ZZ for addresses that are not known",
	.schema = "{\"type\": \"string\", \"pattern\": \"^[A-Z]{2}$\"}",
	.valid = is_country,
	.parse = type_text_parse,
	.init = type_text_init,
};

static void parse_pools(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	struct geo_pool *all;
	uint32_t n = 0;

	if (v->kind != NODE_MAP) {
		parse_bad(p, f, v, f->type->expects);
		return;
	}
	all = arena_array(&p->conf->arena, struct geo_pool, v->n);
	for (const struct node *k = v->first; k; k = k->next->next) {
		struct config_field named;

		if (!is_country(node_str(k))) {
			parse_error(p, k, "a name in \"%s\" must be %s, not %s", f->key, type_country.expects,
				parse_quote(p, node_str(k)));
			continue;
		}
		all[n].country = arena_str(&p->conf->arena, node_str(k));
		named = (struct config_field){.key = all[n].country.p};
		n += parse_text(p, &named, &type_name, k->next, &all[n].pool);
	}
	*(struct geo_pool **)field_member(f, obj) = all;
	*field_count(f, obj) = n;
}

static const struct config_type type_pools = {
	.name = "mapping of countries to pools",
	.expects = "a mapping of countries to names of pools",
	.schema = "{\"type\": \"object\", \"additionalProperties\": {\"type\": \"string\"}}",
	.parse = parse_pools,
};

static const struct config_field fields[] = {
	INPUT("database", struct geo, database,
		"a database of addresses (MMDB): countries, or cities; watched, and replaced when it "
		"changes. "
		"Required, here or at a wider level"),
	INPUT("asn_database", struct geo, asn_database,
		"another one, of networks; none: no ASN. Comes with `database`, if that is a wider level's"),
	STRING("language", struct geo, language, "of the cities' names", .text = "en"),
	STRINGS("allow", struct geo, allow, type_country,
		"only these countries are let in; ZZ: addresses that are not known"),
	STRINGS("deny", struct geo, deny, type_country, "these countries are turned away: 403"),
	CUSTOM("pools", type_pools, struct geo, pools,
		"the pool that a country's requests go to, if it can take them",
		.count_offset = offsetof(struct geo, pool_n)),
	END,
};

static const struct config_object object = {
	.id = OBJECT_MODULE,
	.path = "modules.geo",
	.what = "geo",
	.doc = "Where clients are: headers for backends, allow and deny, pools by country. See "
	       "[geo](modules/geo.md).",
	.size = sizeof(struct geo),
	.fields = fields,
	.short_key = "database",
};

static const char *inherit(void *values, const void *wider)
{
	struct geo *g = values;
	const struct geo *from = wider;

	if (g->database.n == 0 && from) {
		g->database = from->database;
		if (g->asn_database.n == 0)
			g->asn_database = from->asn_database;
	}
	return g->database.n ? NULL : "database";
}

/* -- what is counted: requests by country -- */

#define LETTERS   26
#define COUNTRIES (LETTERS * LETTERS)

/* Of one worker, which alone writes it. */
struct tally {
	struct tally *next;
	uint32_t worker;
	_Atomic uint64_t v[COUNTRIES];
};

/* Goes over to what is built in its place, so that a new database begins no count anew. */
struct tallies {
	uint32_t refs; /* control's */
	_Atomic(struct tally *) first; /* grows only; workers put theirs in front */
};

static struct tallies *tallies_of(struct tallies *before)
{
	struct tallies *t = before ? before : calloc(1, sizeof(*t));

	MUST(t);
	t->refs++;
	return t;
}

static void tallies_unref(struct tallies *t)
{
	struct tally *one;

	if (!t || --t->refs)
		return;
	while ((one = atomic_load(&t->first))) {
		atomic_store(&t->first, one->next);
		free(one);
	}
	free(t);
}

/* A worker's own, which it may have had for another database. */
static struct tally *tally_for(struct tallies *all, uint32_t worker)
{
	struct tally *t = atomic_load(&all->first);

	while (t && t->worker != worker)
		t = t->next;
	if (t)
		return t;
	t = calloc(1, sizeof(*t));
	MUST(t);
	t->worker = worker;
	t->next = atomic_load(&all->first);
	while (!atomic_compare_exchange_weak(&all->first, &t->next, t))
		;
	return t;
}

static void tally_add(struct tally *t, struct str country)
{
	_Atomic uint64_t *count;

	if (!is_country(country))
		country = GEO_UNKNOWN;
	count = &t->v[(country.p[0] - 'A') * LETTERS + country.p[1] - 'A'];
	atomic_store_explicit(
		count, atomic_load_explicit(count, memory_order_relaxed) + 1, memory_order_relaxed);
}

/* -- databases -- */

enum which { PLACES, NETWORKS_OF, DATABASES };

/* Many tenants may name one file: it is in memory once, and so are the addresses that were looked up in it. */
struct geo_data {
	struct geo_database *v[DATABASES]; /* NULL: none */
	char *language;
	struct tallies *tallies;
};

static struct str path_of(const struct geo *g, uint32_t which)
{
	return which == PLACES ? g->database : g->asn_database;
}

static void release(void *data)
{
	struct geo_data *d = data;

	for (int i = 0; i < DATABASES; i++)
		geo_database_unref(d->v[i]);
	tallies_unref(d->tallies);
	free(d->language);
	free(d);
}

/* Would building it again come to the same? */
static bool is_current(const struct geo_data *d, const struct geo *g)
{
	for (uint32_t i = 0; i < DATABASES; i++) {
		struct str path = path_of(g, i);

		if (path.n ? !d->v[i] || !geo_database_is_current(d->v[i], path.p) : d->v[i] != NULL)
			return false;
	}
	return strcmp(d->language, g->language.p) == 0;
}

static struct geo_database *open_database(struct module_build *b, const char *path)
{
	const struct geo_data *other;

	for (uint32_t i = 0; (other = b->other(b, i)); i++)
		for (int w = 0; w < DATABASES; w++)
			if (other->v[w] && geo_database_is_current(other->v[w], path))
				return geo_database_ref(other->v[w]);
	return geo_database_open(path, b->err, sizeof(b->err));
}

static void *build(struct module_build *b, const void *values)
{
	const struct geo *g = values;
	const struct geo_data *before = b->previous;
	struct geo_data *d = b->previous;

	if (d && is_current(d, g))
		return d;
	for (uint32_t i = 0; (d = b->other(b, i)); i++)
		if (is_current(d, g))
			return d;
	d = calloc(1, sizeof(*d));
	MUST(d);
	d->language = strdup(g->language.p);
	MUST(d->language);
	d->tallies = tallies_of(before ? before->tallies : NULL);
	for (uint32_t i = 0; i < DATABASES; i++) {
		struct str path = path_of(g, i);

		if (path.n && !(d->v[i] = open_database(b, path.p))) {
			release(d);
			return NULL;
		}
	}
	return d;
}

static struct str watches(const void *values, uint32_t i)
{
	const struct geo *g = values;

	if (i == 0)
		return g->database;
	return i == 1 ? g->asn_database : STR_NONE;
}

/* -- looking up -- */

struct remembered {
	struct addr client; /* family NONE: nobody */
	struct geo_place place;
};

struct memory {
	struct tally *tally;
	struct remembered cache[CACHE_SIZE];
};

static void *worker_init(struct loop *l, void *data, uint32_t worker, uint32_t workers)
{
	const struct geo_data *d = data;
	struct memory *m = calloc(1, sizeof(*m));

	(void)l;
	(void)workers;
	MUST(m);
	m->tally = tally_for(d->tallies, worker);
	return m;
}

static void worker_free(void *state, void *data)
{
	(void)data;
	free(state);
}

static struct geo_place look_up(const struct geo *g, const struct geo_data *d, const struct addr *client)
{
	struct geo_place place = {.asn = 0};

	for (int i = 0; i < DATABASES; i++)
		if (d->v[i])
			geo_database_find(d->v[i], client, g->language.p, &place);
	return place;
}

static const struct geo_place *place_of(const struct module_call *c)
{
	const struct addr *client = module_client(c);
	size_t n = client->family == ADDR_IP4 ? 4 : sizeof(client->ip);
	struct memory *m = c->worker;
	struct remembered *r = &m->cache[hash_bytes(client->ip, n, 0) & (CACHE_SIZE - 1)];

	if (r->client.family == ADDR_NONE || !addr_eq_ip(&r->client, client)) {
		r->client = *client;
		r->place = look_up(c->values, c->data, client);
	}
	return &r->place;
}

/* -- headers -- */

/* All of them: whoever sends such a one, only a lookup says where somebody is. */
static const struct str ours = STR("x-geo-");

static struct str asn_text(struct arena *a, const struct geo_place *p)
{
	return p->asn ? arena_fmt(a, "%u", p->asn) : STR_NONE;
}

static void tell(struct arena *a, struct fields *fs, const struct geo_place *p)
{
	const struct {
		struct str name, value;
	} all[] = {
		{STR("x-geo-country"), p->country},
		{STR("x-geo-subdivision"), p->subdivision},
		{STR("x-geo-city"), p->city},
		{STR("x-geo-asn"), asn_text(a, p)},
		{STR("x-geo-org"), p->org},
	};

	for (size_t i = 0; i < COUNT_OF(all); i++)
		if (all[i].value.n)
			fields_add(a, fs, FIELD_OTHER, all[i].name, all[i].value);
}

/* Of one request; in its arena, and its texts too: it may outlive the database. */
struct found {
	const void *values; /* that it was found by */
	struct geo_place place;
};

static struct found *find(struct module_call *c)
{
	struct found *f = *c->slot;

	if (f && f->values == c->values)
		return f;
	*c->slot = f = arena_new(c->arena, struct found);
	f->values = c->values;
	f->place = *place_of(c);
	f->place.country = arena_str(c->arena, f->place.country);
	f->place.subdivision = arena_str(c->arena, f->place.subdivision);
	f->place.city = arena_str(c->arena, f->place.city);
	f->place.org = arena_str(c->arena, f->place.org);
	module_claim_header(c, ours);
	tell(c->arena, &module_request(c)->fields, &f->place);
	return f;
}

static int request(struct module_call *c)
{
	find(c);
	return MODULE_PASS;
}

static const char *const variables[] = {"country", "subdivision", "city", "asn", "org", NULL};

static void value(struct module_call *c, struct str variable, struct str *out)
{
	const struct found *f = *c->slot;

	if (!f)
		return;
	if (str_eq(variable, STR("country")))
		*out = f->place.country;
	else if (str_eq(variable, STR("subdivision")))
		*out = f->place.subdivision;
	else if (str_eq(variable, STR("city")))
		*out = f->place.city;
	else if (str_eq(variable, STR("org")))
		*out = f->place.org;
	else
		*out = asn_text(c->arena, &f->place);
}

/* -- rules -- */

static bool is_among(const struct conf_strs *list, struct str country)
{
	for (uint32_t i = 0; i < list->n; i++)
		if (str_eq(list->v[i], country))
			return true;
	return false;
}

static struct str country_of(const struct geo_place *p)
{
	return p->country.n ? p->country : GEO_UNKNOWN;
}

static bool is_denied(const struct geo *g, struct str country)
{
	return is_among(&g->deny, country) || (g->allow.n && !is_among(&g->allow, country));
}

/* Empty: none. */
static struct str pool_of(const struct geo *g, struct str country)
{
	for (uint32_t i = 0; i < g->pool_n; i++)
		if (str_eq(g->pools[i].country, country))
			return g->pools[i].pool;
	return STR_NONE;
}

static int routed(struct module_call *c)
{
	const struct geo *g = c->values;
	struct str country = country_of(&find(c)->place), pool;

	if (is_denied(g, country))
		return REASON_GEO_DENIED;
	pool = pool_of(g, country);
	if (pool.n)
		module_choose_pool(c, pool);
	return MODULE_DECLINE;
}

static void log_place(struct module_call *c)
{
	const struct found *f = *c->slot;
	const struct memory *m = c->worker;
	struct str asn;

	if (!f)
		return;
	tally_add(m->tally, country_of(&f->place));
	asn = asn_text(c->arena, &f->place);
	module_log_field(c, STR("geo_country"), country_of(&f->place));
	if (f->place.subdivision.n)
		module_log_field(c, STR("geo_subdivision"), f->place.subdivision);
	if (f->place.city.n)
		module_log_field(c, STR("geo_city"), f->place.city);
	if (asn.n)
		module_log_field(c, STR("geo_asn"), asn);
}

static void counts(const void *values, void *data, struct module_counts *out)
{
	const struct geo_data *d = data;

	(void)values;
	for (int i = 0; i < COUNTRIES; i++) {
		char country[] = {(char)('A' + i / LETTERS), (char)('A' + i % LETTERS)};
		uint64_t n = 0;

		for (struct tally *t = atomic_load(&d->tallies->first); t; t = t->next)
			n += atomic_load_explicit(&t->v[i], memory_order_relaxed);
		if (n)
			module_count(out, (struct str){country, sizeof(country)}, STR("requests"), n);
	}
}

static struct str pools(const void *values, uint32_t i)
{
	const struct geo *g = values;

	return i < g->pool_n ? g->pools[i].pool : STR_NONE;
}

/* -- explain -- */

static enum reason explain_refusal(
	const void *values, void *data, const struct head *head, const struct addr *client)
{
	const struct geo *g = values;
	struct geo_place place = look_up(g, data, client);

	(void)head;
	return is_denied(g, country_of(&place)) ? REASON_GEO_DENIED : REASON_NONE;
}

static struct str explain_pool(
	const void *values, void *data, const struct head *head, const struct addr *client)
{
	const struct geo *g = values;
	struct geo_place place = look_up(g, data, client);

	(void)head;
	return pool_of(g, country_of(&place));
}

static void explain_request(
	const void *values, void *data, struct arena *a, struct head *head, const struct addr *client)
{
	struct geo_place place = look_up(values, data, client);

	fields_remove_alike(&head->fields, ours);
	tell(a, &head->fields, &place);
}

static void explain(
	const void *values, void *data, const struct head *head, const struct addr *client, struct text *out)
{
	const struct geo *g = values;
	struct geo_place place = look_up(g, data, client);
	struct str country = country_of(&place), pool = pool_of(g, country);

	(void)head;
	if (place.country.n)
		text_fmt(out, "the client is in " STR_FMT, STR_ARG(country));
	else
		text_put(out, STR("the client's country is not known (ZZ)"));
	if (place.city.n)
		text_fmt(out, ", " STR_FMT, STR_ARG(place.city));
	if (place.asn)
		text_fmt(out, ", AS%u", place.asn);
	if (is_denied(g, country))
		text_put(out, is_among(&g->deny, country) ? STR(": turned away by deny")
							  : STR(": turned away, allow does not name it"));
	else if (pool.n)
		text_fmt(out, ": goes to pool \"" STR_FMT "\" if that can take it", STR_ARG(pool));
}

const struct module geo_module = {
	.config = {.abi = MODULE_ABI,
		.name = "geo",
		.levels = MODULE_ANYWHERE,
		.object = &object,
		.variables = variables,
		.inherit = inherit},
	.build = build,
	.release = release,
	.watches = watches,
	.worker_init = worker_init,
	.worker_free = worker_free,
	.request = request,
	.routed = routed,
	.log = log_place,
	.value = value,
	.counts = counts,
	.explain = explain,
	.explain_request = explain_request,
	.pools = pools,
	.explain_refusal = explain_refusal,
	.explain_pool = explain_pool,
};
