#include "exchange/module_set.h"

#include <stdlib.h>

/* -- what a configuration's modules build -- */

static const struct module *module_of(const struct config_module *m)
{
	return CONTAINER(m, struct module, config);
}

/* Those that the program brings come in its order, loaded ones behind them as the file names them. */
static void number_modules(struct module_set *set, const struct conf *conf)
{
	for (uint32_t i = 0; config_modules && config_modules[i]; i++) {
		MUST(set->module_n < MODULES_MAX);
		set->modules[set->module_n++] = module_of(config_modules[i]);
	}
	for (uint32_t i = 0; i < conf->modules.n && set->module_n < MODULES_MAX; i++) {
		const struct config_module *m = conf->modules.v[i].module;

		if (config_module_find(str_of(m->name)) != m)
			set->modules[set->module_n++] = module_of(m);
	}
}

static uint8_t number_of(const struct module_set *set, const struct module *m)
{
	for (uint8_t i = 0; i < set->module_n; i++)
		if (set->modules[i] == m)
			return i;
	return MODULES_MAX;
}

static void place_add(struct module_set *set, struct module_place *place)
{
	if (set->n == set->cap) {
		uint32_t cap = set->cap ? set->cap * 2 : 8;
		struct module_place **grown = arena_array(&set->arena, struct module_place *, cap);

		if (set->n)
			memcpy(grown, set->places, set->n * sizeof(*grown));
		set->places = grown;
		set->cap = cap;
	}
	place->index = set->n;
	set->places[set->n++] = place;
	map_put(&set->by_values, (struct str){(const char *)&place->values, sizeof(place->values)}, place);
	map_put(&set->by_name, place->name, place);
}

static struct module_data *data_ref(struct module_data *d)
{
	d->refs++;
	return d;
}

static void data_unref(struct module_data *d)
{
	if (--d->refs)
		return;
	if (d->module->release && d->data)
		d->module->release(d->data);
	free(d);
}

/* What is being put together. */
struct building {
	struct module_set *set;
	const struct module_set *running;
	struct module_homes *homes;
	const struct conf *conf;
	struct conf_report *report;
	bool refresh; /* conf is that of `running` */
};

/* One call of a module's build(). */
struct building_one {
	struct module_build b;
	const struct building *g;
	const struct module *module;
	struct module_data *told; /* the last that other() has told of */
};

static void *other_data(struct module_build *b, uint32_t i)
{
	struct building_one *one = CONTAINER(b, struct building_one, b);
	const struct module_set *sets[] = {one->g->set, one->g->running};

	for (size_t s = 0; s < COUNT_OF(sets); s++)
		for (uint32_t p = 0; sets[s] && p < sets[s]->n; p++)
			if (sets[s]->places[p]->module == one->module && i-- == 0) {
				one->told = sets[s]->places[p]->built;
				return one->told->data;
			}
	return NULL;
}

static void *home_of(struct module_homes *homes, const struct module *m)
{
	if (!homes || !m->home_init)
		return NULL;
	for (uint32_t i = 0; i < homes->n; i++)
		if (homes->v[i].module == m)
			return homes->v[i].home;
	MUST(homes->n < MODULES_MAX);
	homes->v[homes->n].module = m;
	return homes->v[homes->n++].home = m->home_init(homes->loop);
}

bool module_homes_busy(struct module_homes *homes)
{
	bool busy = false;

	for (uint32_t i = 0; i < homes->n; i++)
		if (homes->v[i].module->home_busy)
			busy |= homes->v[i].module->home_busy(homes->v[i].home);
	return busy;
}

void module_homes_free(struct module_homes *homes)
{
	for (uint32_t i = 0; i < homes->n; i++)
		if (homes->v[i].module->home_free)
			homes->v[i].module->home_free(homes->v[i].home);
	*homes = (struct module_homes){0};
}

static struct module_data *build_data(
	struct building *g, const struct module *m, const struct conf_module *given, struct str name)
{
	struct module_place *old = g->running ? map_get(&g->running->by_name, name) : NULL;
	struct building_one one = {.b = {.place = str_skip(name, str_find(name, '@') + 1),
					   .previous = old && old->module == m ? old->built->data : NULL,
					   .home = home_of(g->homes, m),
					   .other = other_data},
		.g = g,
		.module = m};
	struct module_data *d;
	void *data;

	if (g->refresh && !m->watches)
		return data_ref(old->built);
	data = m->build ? m->build(&one.b, given->values) : NULL;
	if (m->build && !data) {
		conf_report_add(g->report, g->conf, given->place, false, "module \"%s\": %s", m->config.name,
			one.b.err);
		return g->refresh ? data_ref(old->built) : NULL;
	}
	if (one.b.warn[0])
		conf_report_add(g->report, g->conf, given->place, true, "module \"%s\": %s", m->config.name,
			one.b.warn);
	if (data && data == one.b.previous)
		return data_ref(old->built);
	if (data && one.told && data == one.told->data)
		return data_ref(one.told);
	d = calloc(1, sizeof(*d));
	MUST(d);
	d->module = m;
	d->data = data;
	d->refs = 1;
	return d;
}

/* Whose modules they are: all tenants' (NULL, NULL), a tenant's (t, NULL), a route's. */
struct level {
	const struct conf_tenant *tenant;
	const struct conf_route *route;
};

static bool service_has(const struct conf_service *s, struct str pool)
{
	for (uint32_t i = 0; i < s->pool_n; i++)
		if (str_eq(s->pools[i].name, pool))
			return true;
	return false;
}

static bool tenant_has(const struct conf_tenant *t, struct str pool)
{
	for (uint32_t i = 0; i < t->service_n; i++)
		if (service_has(&t->services[i], pool))
			return true;
	return false;
}

static bool level_has(const struct conf *conf, struct level at, struct str pool)
{
	if (at.route)
		return at.route->service.n == 0 ||
		       service_has(&at.tenant->services[at.route->service_index], pool);
	if (at.tenant)
		return tenant_has(at.tenant, pool);
	for (uint32_t t = 0; t < conf->tenant_n; t++)
		if (tenant_has(&conf->tenants[t], pool))
			return true;
	return false;
}

static struct str reach_of(struct arena *a, struct level at)
{
	if (at.route)
		return arena_fmt(a, "service \"" STR_FMT "\"", STR_ARG(at.route->service));
	if (at.tenant)
		return arena_fmt(a, "tenant \"" STR_FMT "\"", STR_ARG(at.tenant->name));
	return STR("any service");
}

/* At the top level it is a warning: tenants come and go in files of their own. */
static void check_pools(
	struct building *g, const struct module *m, const struct conf_module *given, struct level at)
{
	struct str pool;

	for (uint32_t i = 0; m->pools && (pool = m->pools(given->values, i)).n; i++)
		if (!level_has(g->conf, at, pool))
			conf_report_add(g->report, g->conf, given->place, !at.tenant,
				"module \"%s\": there is no pool \"" STR_FMT "\" in " STR_FMT, m->config.name,
				STR_ARG(pool), STR_ARG(reach_of(&g->set->arena, at)));
}

static void build_level(
	struct building *g, const struct conf_modules *level, struct level at, struct str where)
{
	for (uint32_t i = 0; i < level->n; i++) {
		const struct module *m = module_of(level->v[i].module);
		struct module_place *place;
		struct module_data *built;
		struct str name;

		if (!level->v[i].values)
			continue;
		name = arena_fmt(&g->set->arena, "%s@" STR_FMT, m->config.name, STR_ARG(where));
		/* Routes that ask for the same: the first gets all requests. */
		while (map_get(&g->set->by_name, name))
			name = arena_fmt(&g->set->arena, STR_FMT "+", STR_ARG(name));
		built = build_data(g, m, &level->v[i], name);
		if (!built)
			continue;
		place = arena_new(&g->set->arena, struct module_place);
		*place = (struct module_place){.module = m,
			.number = number_of(g->set, m),
			.values = level->v[i].values,
			.built = built,
			.name = name};
		if (place->number == MODULES_MAX)
			conf_report_add(g->report, g->conf, level->v[i].place, false,
				"more than %d different modules", MODULES_MAX);
		if (!g->refresh)
			check_pools(g, m, &level->v[i], at);
		place_add(g->set, place);
	}
}

/* -- routes have no names -- */

#define PATH_TOLD_MAX 64 /* bytes: it becomes a label of metrics, too */

static uint64_t mix(uint64_t hash, struct str s)
{
	return hash_bytes(s.p, s.n, hash);
}

static uint64_t mix_all(uint64_t hash, const struct conf_strs *all)
{
	for (uint32_t i = 0; i < all->n; i++)
		hash = mix(hash, all->v[i]);
	return mix(hash, STR("end"));
}

static uint64_t mix_matches(uint64_t hash, const struct conf_match *all, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		hash = mix(mix(hash, all[i].name), all[i].value);
		hash = mix(hash, all[i].any ? STR("any") : all[i].regex ? STR("regex") : STR("is"));
	}
	return mix(hash, STR("end"));
}

/* What a route is told by from one configuration to the next, and from node to node, wherever it stands among the others: its path, and
 * where that does not say all, a hash of what it asks for. */
static struct str place_of_route(struct arena *a, const struct conf_tenant *t, const struct conf_route *r)
{
	struct str path = str_skip(r->path, str_starts(r->path, STR("/")));
	char hex[16];
	uint64_t hash;

	if (r->path_kind == CONF_PATH_PREFIX && path.n <= PATH_TOLD_MAX &&
		!(r->hosts.n || r->methods.n || r->header_n || r->query_n))
		return arena_fmt(a, STR_FMT "/" STR_FMT, STR_ARG(t->name), STR_ARG(path));
	hash = mix_all(mix_all(mix(r->path_kind, r->path), &r->hosts), &r->methods);
	hash = mix_matches(mix_matches(hash, r->headers, r->header_n), r->query, r->query_n);
	text_hex_16(hex, hash);
	return arena_fmt(a, STR_FMT "/" STR_FMT "#%.16s", STR_ARG(t->name),
		STR_ARG(str_head_utf8(path, PATH_TOLD_MAX)), hex);
}

static void build_tenant(struct building *g, const struct conf_tenant *t)
{
	build_level(g, &t->modules, (struct level){t, NULL}, t->name);
	for (uint32_t r = 0; r < t->route_n; r++)
		if (t->routes[r].modules.n)
			build_level(g, &t->routes[r].modules, (struct level){t, &t->routes[r]},
				place_of_route(&g->set->arena, t, &t->routes[r]));
}

static struct module_set *build_set(struct building *g)
{
	const struct conf *conf = g->conf;
	struct module_set *set = calloc(1, sizeof(*set));
	uint32_t errors = g->report->errors;

	MUST(set);
	g->set = set;
	set->refs = 1;
	arena_init(&set->arena, NULL);
	number_modules(set, conf);
	build_level(g, &conf->modules, (struct level){NULL, NULL}, STR_NONE);
	for (uint32_t t = 0; t < conf->tenant_n; t++)
		build_tenant(g, &conf->tenants[t]);
	if (set->n && (g->refresh || g->report->errors == errors))
		return set;
	module_set_unref(set);
	return NULL;
}

struct module_set *module_set_build(const struct conf *conf, const struct module_set *running,
	struct module_homes *homes, struct conf_report *report)
{
	return build_set(
		&(struct building){.running = running, .homes = homes, .conf = conf, .report = report});
}

struct module_set *module_set_refresh(const struct conf *conf, const struct module_set *running,
	struct module_homes *homes, struct conf_report *report)
{
	return build_set(&(struct building){
		.running = running, .homes = homes, .conf = conf, .report = report, .refresh = true});
}

bool module_set_same(const struct module_set *a, const struct module_set *b)
{
	if (!a || !b || a->n != b->n)
		return a == b;
	/* What builds nothing is its values, and those are bytes of the file. */
	for (uint32_t i = 0; i < a->n; i++)
		if (a->places[i]->module->build && a->places[i]->built != b->places[i]->built)
			return false;
	return true;
}

struct module_set *module_set_ref(struct module_set *set)
{
	if (set)
		set->refs++;
	return set;
}

void module_set_unref(struct module_set *set)
{
	if (!set || --set->refs)
		return;
	for (uint32_t i = 0; i < set->n; i++)
		data_unref(set->places[i]->built);
	map_free(&set->by_values);
	map_free(&set->by_name);
	arena_free(&set->arena);
	free(set);
}

/* -- which of them a tenant or a route has -- */

const struct module_chain *module_chain_build(struct arena *a, const struct module_set *set,
	const struct conf_modules *global, const struct conf_modules *tenant,
	const struct conf_modules *route, const struct module_chain *wider)
{
	const struct conf_modules *levels[] = {route, tenant, global};
	const struct conf_modules *narrowest = route ? route : tenant ? tenant : global;
	struct module_chain *chain;

	if (!set || narrowest->n == 0)
		return wider;
	chain = arena_alloc(a, sizeof(*chain) + set->module_n * sizeof(*chain->v));
	for (uint32_t m = 0; m < set->module_n; m++) {
		const struct conf_module *given = NULL;

		for (size_t i = 0; i < COUNT_OF(levels) && !given; i++)
			if (levels[i])
				given = conf_modules_find(levels[i], &set->modules[m]->config);
		if (given && given->values)
			chain->v[chain->n++] = map_get(&set->by_values,
				(struct str){(const char *)&given->values, sizeof(given->values)});
	}
	return chain->n ? chain : NULL;
}

/* -- what a worker keeps for them -- */

static struct module_local *local_for(const struct module_locals *all, const struct module_data *built)
{
	for (uint32_t i = 0; all && i < all->n; i++)
		if (all->v[i] && all->v[i]->built == built)
			return all->v[i];
	return NULL;
}

struct module_locals *module_locals_new(const struct module_set *set, const struct module_locals *before,
	struct loop *l, uint32_t worker, uint32_t workers)
{
	struct module_locals *all;

	if (!set)
		return NULL;
	all = calloc(1, sizeof(*all) + set->n * sizeof(*all->v));
	MUST(all);
	all->n = set->n;
	for (uint32_t i = 0; i < set->n; i++) {
		struct module_data *built = set->places[i]->built;
		struct module_local *local = local_for(before, built);

		if (!local) {
			local = calloc(1, sizeof(*local));
			MUST(local);
			local->built = built;
			if (built->module->worker_init)
				local->state = built->module->worker_init(l, built->data, worker, workers);
		}
		local->refs++;
		all->v[i] = local;
	}
	return all;
}

void module_locals_free(struct module_locals **lp)
{
	struct module_locals *all = *lp;

	*lp = NULL;
	for (uint32_t i = 0; all && i < all->n; i++) {
		struct module_local *local = all->v[i];

		if (--local->refs)
			continue;
		if (local->built->module->worker_free)
			local->built->module->worker_free(local->state, local->built->data);
		free(local);
	}
	free(all);
}
