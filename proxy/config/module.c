#include "config/module.h"

#include <dlfcn.h>
#include <stdio.h>
#include "base/obj.h"
#include "config/shared_object.h"
#include "config/suggest.h"

const struct config_module *config_module_find(struct str name)
{
	for (uint32_t i = 0; config_modules && config_modules[i]; i++)
		if (str_eq(str_of(config_modules[i]->name), name))
			return config_modules[i];
	return NULL;
}

const struct conf_module *conf_modules_find(const struct conf_modules *all, const struct config_module *m)
{
	for (uint32_t i = 0; i < all->n; i++)
		if (all->v[i].module == m)
			return &all->v[i];
	return NULL;
}

/* -- shared objects -- */

/* Loaded once and never unloaded: exchanges, timers and threads may be inside its code at any time. */
static const struct config_module *load(struct parse *p, const struct node *key, const struct node *path)
{
	const struct config_module *m;
	const char *file;
	char err[512];
	void *object;

	if (path->kind != NODE_SCALAR || path->n == 0) {
		parse_error(p, path, "\"path\" must be the path of a shared object");
		return NULL;
	}
	file = parse_path(p, path).p;
	/* One that is loaded already is not read again. */
	object = dlopen(file, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
	if (!object && shared_object_is_whole(file, err, sizeof(err))) {
		object = dlopen(file, RTLD_NOW | RTLD_LOCAL);
		snprintf(err, sizeof(err), "%s", object ? "" : dlerror());
	}
	if (!object) {
		parse_error(p, path, "cannot load module %s: %s", parse_quote(p, node_str(key)), err);
		return NULL;
	}
	m = dlsym(object, "weir_module");
	if (!m) {
		parse_error(p, path, "%s is no module of weir: it has no \"weir_module\"",
			parse_quote(p, node_str(path)));
	} else if (m->abi != MODULE_ABI) {
		parse_error(p, path,
			"module %s was built for interface %u, this weir has %u; build it again with this "
			"weir's exchange/module.h",
			parse_quote(p, node_str(key)), m->abi, MODULE_ABI);
	} else if (!str_eq(str_of(m->name), node_str(key))) {
		parse_error(p, key, "the module in %s is called \"%s\", not %s",
			parse_quote(p, node_str(path)), m->name, parse_quote(p, node_str(key)));
	} else {
		map_put(&p->loaded, str_of(m->name), (void *)(uintptr_t)m);
		return m;
	}
	/* Nothing of it has run. As long as it is there, the loader takes no other file of that name. */
	dlclose(object);
	return NULL;
}

/* The module's own keys: all but `path`, which is the loader's. */
static const struct node *without_path(struct parse *p, const struct node *v)
{
	struct node *map = arena_new(&p->scratch, struct node), **end = &map->first;

	*map = *v;
	map->n = 0;
	for (const struct node *k = v->first; k; k = k->next->next) {
		struct node *pair;

		if (str_eq(node_str(k), STR("path")))
			continue;
		pair = arena_array(&p->scratch, struct node, 2);
		pair[0] = *k;
		pair[1] = *k->next;
		pair[0].next = &pair[1];
		*end = pair;
		end = &pair[1].next;
		map->n++;
	}
	*end = NULL;
	return map;
}

/* -- one level -- */

#define NAMES_MAX 512 /* of all modules in a message: what does not fit is left out */

static void unknown(struct parse *p, const struct node *key, unsigned level)
{
	struct suggestion s = {.word = node_str(key)};
	char buf[NAMES_MAX];
	struct text names = text_in(buf, sizeof(buf));

	for (uint32_t i = 0; config_modules && config_modules[i]; i++) {
		suggest_try(&s, str_of(config_modules[i]->name));
		text_fmt(&names, "%s%s", i ? ", " : "", config_modules[i]->name);
	}
	if (s.best.n)
		parse_error(p, key, "there is no module %s; did you mean \"" STR_FMT "\"?",
			parse_quote(p, node_str(key)), STR_ARG(s.best));
	else if (level == MODULE_GLOBAL)
		parse_error(p, key,
			"there is no module %s; there are " STR_FMT
			", and one of your own is loaded with {path: FILE}",
			parse_quote(p, node_str(key)), STR_ARG(text_str(&names)));
	else
		parse_error(p, key,
			"there is no module %s; there are " STR_FMT
			", and one of your own must be named with its path in the top "
			"level's "
			"\"modules\", above \"tenants\"",
			parse_quote(p, node_str(key)), STR_ARG(text_str(&names)));
}

static void misplaced(struct parse *p, const struct node *key, const struct config_module *m)
{
	parse_error(p, key, "module \"%s\" cannot stand here, but %s%s%s%s", m->name,
		m->levels & MODULE_GLOBAL ? "at the top level" : "",
		(m->levels & MODULE_GLOBAL) && (m->levels & ~(unsigned)MODULE_GLOBAL) ? ", " : "",
		m->levels & MODULE_TENANT ? "in a tenant" : "",
		m->levels & MODULE_ROUTE ? (m->levels & MODULE_TENANT ? ", in a route" : "in a route") : "");
}

/* *v: its own keys; NULL: it is loaded here for other levels. */
static const struct config_module *find(
	struct parse *p, const struct node *key, const struct node **v, unsigned level)
{
	const struct config_module *m = config_module_find(node_str(key));
	const struct node *path = NULL;

	if (!m)
		m = map_get(&p->loaded, node_str(key));
	if (!m && level == MODULE_GLOBAL && (*v)->kind == NODE_MAP)
		path = node_get(*v, STR("path"));
	if (path) {
		m = load(p, key, path);
		*v = without_path(p, *v);
	} else if (!m) {
		unknown(p, key, level);
	}
	if (!m || m->levels & level)
		return m;
	if (path && (*v)->n == 0) {
		*v = NULL;
		return m;
	}
	misplaced(p, key, m);
	return NULL;
}

static bool is_word(const struct node *v, const char *a, const char *b)
{
	return v->kind == NODE_SCALAR && (str_eq(node_str(v), str_of(a)) || str_eq(node_str(v), str_of(b)));
}

static void parse_values(struct parse *p, const struct node *v, struct conf_module *of)
{
	const struct config_object *o = of->module->object;
	uint32_t before = p->report->errors;

	of->values = arena_alloc(&p->conf->arena, o->size);
	object_init(p, o, of->values);
	object_parse(p, o, STR_NONE, v, of->values);
	of->wrong = p->report->errors > before;
}

static void parse_one(
	struct parse *p, const struct config_field *f, const struct node *key, struct conf_modules *all)
{
	const struct node *v = key->next, *given = v;
	const struct config_module *m = find(p, key, &v, f->choice);
	struct node nothing = *key;

	if (!m)
		return;
	if (conf_modules_find(all, m)) {
		parse_error(p, key, "%s is written twice in \"%s\"", parse_quote(p, node_str(key)), f->key);
		return;
	}
	nothing.kind = NODE_MAP;
	nothing.n = 0;
	nothing.first = NULL;
	all->v[all->n] = (struct conf_module){.module = m, .place = node_place(key)};
	if (!v) {
		all->n++;
		return;
	}
	if (is_word(given, "on", "true"))
		v = &nothing;
	if (v->kind == NODE_MAP) {
		parse_values(p, v, &all->v[all->n++]);
	} else if (is_word(given, "off", "false")) {
		all->n++;
	} else if (m->object->short_key && v->kind == NODE_SCALAR && !node_is_null(v)) {
		struct node pair[2] = {*v, *v};

		pair[0].text = m->object->short_key;
		pair[0].n = (uint32_t)strlen(m->object->short_key);
		pair[0].next = &pair[1];
		pair[1].next = NULL;
		nothing.n = 1;
		nothing.first = pair;
		parse_values(p, &nothing, &all->v[all->n++]);
	} else {
		parse_error(p, v, "module \"%s\" takes a mapping of its keys, on, or off", m->name);
	}
}

static void parse_modules(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	struct conf_modules *all = field_member(f, obj);

	if (v->kind != NODE_MAP) {
		parse_bad(p, f, v, f->type->expects);
		return;
	}
	all->digest = node_digest(v, NULL);
	all->v = arena_array(&p->conf->arena, struct conf_module, v->n);
	for (const struct node *k = v->first; k; k = k->next->next)
		parse_one(p, f, k, all);
}

const struct config_type type_modules = {
	.name = "mapping of modules",
	.expects = "a mapping of module names to their configurations",
	.parse = parse_modules,
};

/* -- what is inherited -- */

static const void *values_in(const struct conf_modules *all, const struct config_module *m)
{
	const struct conf_module *found = all ? conf_modules_find(all, m) : NULL;

	return found ? found->values : NULL;
}

/* near and far: the levels around this one; NULL: none. */
static void inherit(struct parse *p, const struct conf_modules *all, const struct conf_modules *near,
	const struct conf_modules *far)
{
	for (uint32_t i = 0; i < all->n; i++) {
		const struct conf_module *of = &all->v[i];
		const void *wider;
		const char *missing;

		if (!of->values || !of->module->inherit)
			continue;
		wider = values_in(near, of->module);
		missing = of->module->inherit(of->values, wider ? wider : values_in(far, of->module));
		if (missing && !of->wrong)
			conf_report_add(p->report, p->conf, of->place, false,
				"module \"%s\" needs \"%s\", here or at a wider level", of->module->name,
				missing);
	}
}

void modules_inherit(struct parse *p)
{
	const struct conf *c = p->conf;

	inherit(p, &c->modules, NULL, NULL);
	for (uint32_t i = 0; i < c->tenant_n; i++) {
		const struct conf_tenant *t = &c->tenants[i];

		inherit(p, &t->modules, &c->modules, NULL);
		for (uint32_t r = 0; r < t->route_n; r++)
			inherit(p, &t->routes[r].modules, &t->modules, &c->modules);
	}
}
