#include "config/twins.h"

#include "base/obj.h"

static bool has(const struct conf_strs *all, struct str one)
{
	for (uint32_t i = 0; i < all->n; i++)
		if (str_eq(all->v[i], one))
			return true;
	return false;
}

static bool within(const struct conf_strs *some, const struct conf_strs *all)
{
	for (uint32_t i = 0; i < some->n; i++)
		if (!has(all, some->v[i]))
			return false;
	return true;
}

static bool meet(const struct conf_strs *a, const struct conf_strs *b)
{
	for (uint32_t i = 0; i < a->n; i++)
		if (has(b, a->v[i]))
			return true;
	/* A route without hosts comes after those that name one. */
	return a->n == 0 && b->n == 0;
}

/* Names of headers are without case, those of parameters are not. */
static bool same_condition(const struct conf_match *a, const struct conf_match *b, bool headers)
{
	return (headers ? str_case_eq(a->name, b->name) : str_eq(a->name, b->name)) && a->regex == b->regex &&
	       a->any == b->any && str_eq(a->value, b->value);
}

static bool conditions_within(const struct conf_match *some, uint32_t some_n, const struct conf_match *all,
	uint32_t n, bool headers)
{
	for (uint32_t i = 0; i < some_n; i++) {
		uint32_t k = 0;

		while (k < n && !same_condition(&some[i], &all[k], headers))
			k++;
		if (k == n)
			return false;
	}
	return true;
}

/* Their paths are the same. */
static bool are_twins(const struct conf_route *a, const struct conf_route *b)
{
	return a->path_kind == b->path_kind && a->header_n == b->header_n && a->query_n == b->query_n &&
	       meet(&a->hosts, &b->hosts) && within(&a->methods, &b->methods) &&
	       within(&b->methods, &a->methods) &&
	       conditions_within(a->headers, a->header_n, b->headers, b->header_n, true) &&
	       conditions_within(b->headers, b->header_n, a->headers, a->header_n, true) &&
	       conditions_within(a->query, a->query_n, b->query, b->query_n, false) &&
	       conditions_within(b->query, b->query_n, a->query, a->query_n, false);
}

void twins_init(struct twins *t, struct arena *a, const struct conf_route *routes, uint32_t n)
{
	*t = (struct twins){.routes = routes, .before = arena_array(a, const struct conf_route *, n)};
}

void twins_free(struct twins *t)
{
	map_free(&t->by_path);
}

const struct conf_route *twins_add(struct twins *t, const struct conf_route *route)
{
	struct str path = route->path;
	const struct conf_route *other;

	/* A prefix ends on a segment, with or without its slash. */
	while (route->path_kind == CONF_PATH_PREFIX && path.n && path.p[path.n - 1] == '/')
		path.n--;
	other = map_put(&t->by_path, path, (void *)(uintptr_t)route);
	t->before[route - t->routes] = other;
	while (other && !are_twins(route, other))
		other = t->before[other - t->routes];
	return other;
}
