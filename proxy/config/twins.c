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

/* Their paths are the same, and they have a host in common. */
static bool are_twins(const struct conf_route *a, const struct conf_route *b)
{
	return a->path_kind == b->path_kind && a->header_n == b->header_n && a->query_n == b->query_n &&
	       within(&a->methods, &b->methods) && within(&b->methods, &a->methods) &&
	       conditions_within(a->headers, a->header_n, b->headers, b->header_n, true) &&
	       conditions_within(b->headers, b->header_n, a->headers, a->header_n, true) &&
	       conditions_within(a->query, a->query_n, b->query, b->query_n, false) &&
	       conditions_within(b->query, b->query_n, a->query, a->query_n, false);
}

struct twin {
	const struct conf_route *route;
	struct twin *before; /* added before it at the same place */
};

void twins_init(struct twins *t, struct arena *a)
{
	*t = (struct twins){.arena = a};
}

void twins_free(struct twins *t)
{
	map_free(&t->by_place);
}

/* host empty: a route without hosts comes after those that name one. */
static const struct conf_route *add_at(
	struct twins *t, const struct conf_route *route, struct str path, struct str host)
{
	struct twin *one = arena_new(t->arena, struct twin);
	const struct twin *other;

	one->route = route;
	one->before = map_put(
		&t->by_place, arena_fmt(t->arena, STR_FMT " " STR_FMT, STR_ARG(host), STR_ARG(path)), one);
	other = one->before;
	/* The same host may be named twice. */
	while (other && (other->route == route || !are_twins(route, other->route)))
		other = other->before;
	return other ? other->route : NULL;
}

const struct conf_route *twins_add(struct twins *t, const struct conf_route *route)
{
	struct str path = route->path;
	const struct conf_route *twin = NULL;

	/* A prefix ends on a segment, with or without its slash. */
	while (route->path_kind == CONF_PATH_PREFIX && path.n && path.p[path.n - 1] == '/')
		path.n--;
	if (route->hosts.n == 0)
		return add_at(t, route, path, STR_NONE);
	for (uint32_t i = 0; i < route->hosts.n; i++) {
		const struct conf_route *found = add_at(t, route, path, route->hosts.v[i]);

		twin = twin ? twin : found;
	}
	return twin;
}
