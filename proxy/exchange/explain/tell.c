#include "exchange/explain/explain.h"

#include "base/obj.h"

static const char *const kind_names[] = {
	[CONF_PATH_PREFIX] = "prefix",
	[CONF_PATH_EXACT] = "exact",
	[CONF_PATH_REGEX] = "regex",
};

static struct str place_text(const struct explanation *e, struct conf_place at)
{
	return arena_fmt(&e->request->arena, STR_FMT ":%u:%u", STR_ARG(e->snapshot->conf->names[at.file]),
		at.line, at.col);
}

static const struct service *service_of(const struct explanation *e)
{
	return e->routed.route ? e->routed.route->service : NULL;
}

static const struct pool_now *now_of(const struct explanation *e, const struct pool *p)
{
	return &e->now[p->slot->number];
}

/* What counts of a pool. */
static uint64_t weight_of(const struct explanation *e, const struct pool *p)
{
	bool empty = e->live ? pool_census(p).up == 0 : p->n == 0;

	return p->conf->spill && empty ? 0 : pool_share(now_of(e, p));
}

/* Of the service's requests, in percent. */
static double share_of(const struct explanation *e, const struct pool *p)
{
	const struct service *s = service_of(e);
	uint64_t sum = 0;

	for (uint32_t i = 0; i < s->n; i++)
		sum += weight_of(e, &s->pools[i]);
	return sum ? 100.0 * (double)weight_of(e, p) / (double)sum : 0;
}

/* May the request go to this pool? */
static bool is_candidate(const struct explanation *e, const struct pool *p)
{
	return e->split.pool ? e->split.pool == p : e->split.why != SPLIT_NONE && weight_of(e, p) > 0;
}

static const char *split_text(const struct explanation *e)
{
	return e->split.issue_id
		       ? "a new user: its id is made now, and its place among the weights follows from it"
		       : split_why_text(e->split.why);
}

/* What of the request was not followed; NULL: nothing. */
static const char *split_note(const struct explanation *e)
{
	const struct service *s = service_of(e);
	const struct head *head = &e->request->head;

	if (e->split.chosen && e->split.why != SPLIT_OVERRIDE)
		return "the request names a pool that takes nobody";
	if (!e->keys_known &&
		(cookie_value(head, s->pin_cookie).n || cookie_value(head, STR(SPLIT_COOKIE)).n))
		return "its cookies cannot be checked here: there is no cookie_secret, and no key in "
		       "state_dir";
	return NULL;
}

/* Why nothing answers; only if e->found is false. */
static enum reason failure(const struct explanation *e)
{
	return e->routed.why != REASON_NONE ? e->routed.why : REASON_NO_POOL;
}

static const char *health_of(const struct backend *b)
{
	static const char *const names[] = {
		[BACKEND_CHECKING] = "not checked yet",
		[BACKEND_UP] = "up",
		[BACKEND_DOWN] = "down",
	};

	if (backend_draining(b))
		return "draining";
	return backend_ejected(b) ? "ejected" : names[backend_state(b)];
}

/* What is known of a member, beyond what it is called; NULL: nothing. */
static const char *member_state(const struct explanation *e, const struct pool *p, uint32_t i)
{
	static const char *const unresolved[] = {
		[CONF_ADDRESS] = NULL,
		[CONF_DNS] = "a name: which addresses it stands for, the running weir knows",
		[CONF_SRV] = "a name: which addresses it stands for, the running weir knows",
		[CONF_FILE] = "a list that cannot be read here",
	};

	return e->live ? health_of(p->backends[i]) : unresolved[p->members[i].kind];
}

/* -- text -- */

static void print_listener(FILE *f, const struct explanation *e)
{
	const struct conf_listener *l = e->listener;

	if (!l) {
		fprintf(f, "listener  none speaks %s\n", e->request->tls ? "https" : "http");
		return;
	}
	fprintf(f, "listener  " STR_FMT ", " STR_FMT "\n", STR_ARG(l->name), STR_ARG(l->address));
	if (e->listener_guessed)
		fprintf(f, "            no listener has port %u; this is the first that speaks %s\n",
			e->request->port, e->request->tls ? "https" : "http");
	if (e->to_https)
		fprintf(f, "redirect  308 to https, port %u: the listener has redirect_https\n",
			l->redirect_port);
}

static void print_route(FILE *f, const struct explanation *e)
{
	const struct route *r = e->routed.route;

	if (r && r->conf->place.line)
		fprintf(f, "route     %s " STR_FMT ", " STR_FMT "\n", kind_names[r->conf->path_kind],
			STR_ARG(r->conf->path), STR_ARG(place_text(e, r->conf->place)));
	else if (r)
		fprintf(f, "route     the tenant has none and one service: it gets everything\n");
	else
		fprintf(f, "route     none matches\n");
	for (uint32_t i = 0; i < e->rival_n; i++) {
		const struct rival *v = &e->rivals[i];

		fprintf(f, "            not %s " STR_FMT ", " STR_FMT ": %s\n",
			kind_names[v->route->conf->path_kind], STR_ARG(v->route->conf->path),
			STR_ARG(place_text(e, v->route->conf->place)), v->why);
	}
	if (r && r->conf->redirect.on)
		fprintf(f, "redirect  %u to " STR_FMT "\n", r->conf->redirect.status,
			STR_ARG(r->conf->redirect.to.literal));
}

static void print_modules(FILE *f, const struct explanation *e)
{
	for (uint32_t i = 0; i < e->met_n; i++) {
		const struct met *m = &e->met[i];

		fprintf(f, "module    %s, of the %s%s" STR_FMT "\n", m->place->module->config.name,
			strcmp(m->level, "global") == 0 ? "top level" : m->level, m->says.n ? ": " : "",
			STR_ARG(m->says));
	}
}

static void print_count(FILE *f, uint32_t n, const char *what)
{
	fprintf(f, "%u %s%s", n, what, n == 1 ? "" : "s");
}

/* How many there are to choose from, as far as that is known. */
static void print_numbers(FILE *f, const struct pool *p)
{
	uint32_t named = 0;

	for (uint32_t i = 0; i < p->n; i++)
		named += p->members[i].kind != CONF_ADDRESS;
	if (named < p->n || named == 0)
		print_count(f, p->n - named, "backend");
	if (named && named < p->n)
		fputs(" and what is behind ", f);
	else if (named)
		fputs("what is behind ", f);
	if (named)
		print_count(f, named, "name");
}

static void print_pool(FILE *f, const struct explanation *e, const struct pool *p)
{
	const struct conf_policy *policy = p->conf->policy;

	fprintf(f, "pool      " STR_FMT, STR_ARG(p->conf->name));
	if (!e->split.pool)
		fprintf(f, " %.4g%%", share_of(e, p));
	if (now_of(e, p)->state != POOL_OPEN)
		fprintf(f, ", %s", conf_pool_state_names[now_of(e, p)->state]);
	if (now_of(e, p)->capacity < POOL_WHOLE)
		fprintf(f, ", carries %.0f%% of its weight", 100.0 * now_of(e, p)->capacity / POOL_WHOLE);
	fprintf(f, ", %s over ", conf_balance_name(policy->balance));
	print_numbers(f, p);
	fprintf(f, ", %s\n", conf_protocol_name(policy->protocol));
	for (uint32_t i = 0; i < p->n; i++) {
		const char *state = member_state(e, p, i);

		fprintf(f, "            " STR_FMT " weight %u%s%s\n", STR_ARG(p->backends[i]->address),
			p->members[i].weight, state ? ", " : "", state ? state : "");
	}
}

void explain_text(const struct explanation *e, FILE *f)
{
	const struct service *s = service_of(e);

	fprintf(f, "request   " STR_FMT " " STR_FMT "\n", STR_ARG(e->request->head.method),
		STR_ARG(e->request->url));
	print_listener(f, e);
	if (!e->listener || e->to_https)
		return;
	if (e->routed.tenant) {
		fprintf(f, "tenant    " STR_FMT ", by its host \"" STR_FMT "\"\n",
			STR_ARG(e->routed.tenant->conf->name), STR_ARG(e->host));
		print_route(f, e);
		print_modules(f, e);
	}
	if (s) {
		fprintf(f, "service   " STR_FMT "\n", STR_ARG(s->slot->key));
		fprintf(f, "split     %s", split_text(e));
		if (e->split.why == SPLIT_STABLE)
			fprintf(f, " (%.4f of 1)", e->split.point);
		putc('\n', f);
		if (split_note(e))
			fprintf(f, "            %s\n", split_note(e));
		for (uint32_t i = 0; i < s->n; i++)
			if (is_candidate(e, &s->pools[i]))
				print_pool(f, e, &s->pools[i]);
	}
	if (!e->found) {
		const struct reason_row *row = reason_row(failure(e));

		fprintf(f, "answer    %u: " STR_FMT "\n", row->status, STR_ARG(row->text));
	}
}

/* -- JSON -- */

static json_t *json_str(struct str s)
{
	json_t *j = json_stringn(s.p ? s.p : "", s.n);

	/* Bytes of the command line that are not UTF-8. */
	return j ? j : json_string("?");
}

static json_t *json_route(const struct explanation *e, const struct route *r)
{
	json_t *j;

	if (!r->conf->place.line)
		return json_pack("{s:s, s:s}", "kind", "implicit", "path", "/");
	j = json_pack("{s:s, s:o, s:o}", "kind", kind_names[r->conf->path_kind], "path",
		json_str(r->conf->path), "place", json_str(place_text(e, r->conf->place)));
	if (r->conf->redirect.on)
		json_object_set_new(j, "redirect",
			json_pack("{s:i, s:o}", "status", r->conf->redirect.status, "to",
				json_str(r->conf->redirect.to.literal)));
	return j;
}

static json_t *json_pool(const struct explanation *e, const struct pool *p)
{
	json_t *backends = json_array();

	for (uint32_t i = 0; i < p->n; i++)
		json_array_append_new(backends,
			json_pack("{s:o, s:I, s:b, s:s*}", "address", json_str(p->backends[i]->address),
				"weight", (json_int_t)p->members[i].weight, "resolved",
				p->members[i].kind == CONF_ADDRESS, "health",
				e->live ? health_of(p->backends[i]) : NULL));
	return json_pack("{s:o, s:I, s:s, s:f, s:f, s:b, s:s, s:s, s:o}", "name", json_str(p->conf->name),
		"weight", (json_int_t)now_of(e, p)->weight, "state",
		conf_pool_state_names[now_of(e, p)->state], "capacity",
		now_of(e, p)->capacity / (double)POOL_WHOLE, "share", share_of(e, p) / 100, "candidate",
		is_candidate(e, p), "balance", conf_balance_name(p->conf->policy->balance), "protocol",
		conf_protocol_name(p->conf->policy->protocol), "backends", backends);
}

static void json_service(const struct explanation *e, json_t *j)
{
	const struct service *s = service_of(e);
	json_t *split = json_pack("{s:s, s:s}", "why",
		e->split.issue_id ? "new_user" : split_why_name(e->split.why), "text", split_text(e));
	json_t *pools = json_array();

	if (e->split.why == SPLIT_STABLE)
		json_object_set_new(split, "point", json_real(e->split.point));
	for (uint32_t i = 0; i < s->n; i++)
		json_array_append_new(pools, json_pool(e, &s->pools[i]));
	if (split_note(e))
		json_object_set_new(split, "note", json_string(split_note(e)));
	json_object_set_new(j, "service", json_str(s->slot->key));
	json_object_set_new(j, "split", split);
	json_object_set_new(j, "pool", e->split.pool ? json_str(e->split.pool->conf->name) : json_null());
	json_object_set_new(j, "pools", pools);
}

static json_t *json_modules(const struct explanation *e)
{
	json_t *all = json_array();

	for (uint32_t i = 0; i < e->met_n; i++) {
		const struct met *m = &e->met[i];

		json_array_append_new(all, json_pack("{s:s, s:s, s:o}", "name", m->place->module->config.name,
						   "level", m->level, "text", json_str(m->says)));
	}
	return all;
}

static json_t *json_rivals(const struct explanation *e)
{
	json_t *all = json_array();

	for (uint32_t i = 0; i < e->rival_n; i++) {
		json_t *j = json_route(e, e->rivals[i].route);

		json_object_set_new(j, "matches", json_boolean(e->rivals[i].matches));
		json_object_set_new(j, "why", json_string(e->rivals[i].why));
		json_array_append_new(all, j);
	}
	return all;
}

json_t *explain_json(const struct explanation *e)
{
	json_t *j = json_pack("{s:o, s:o, s:b}", "method", json_str(e->request->head.method), "url",
		json_str(e->request->url), "found", e->found);
	char name[REASON_NAME_MAX];

	json_object_set_new(j, "listener",
		e->listener ? json_pack("{s:o, s:o, s:b, s:b}", "name", json_str(e->listener->name),
				      "address", json_str(e->listener->address), "guessed",
				      e->listener_guessed, "redirect_https", e->to_https)
			    : json_null());
	if (e->routed.tenant) {
		json_object_set_new(j, "tenant", json_str(e->routed.tenant->conf->name));
		json_object_set_new(j, "host", json_str(e->host));
		json_object_set_new(
			j, "route", e->routed.route ? json_route(e, e->routed.route) : json_null());
		json_object_set_new(j, "other_routes", json_rivals(e));
		json_object_set_new(j, "modules", json_modules(e));
	}
	if (service_of(e))
		json_service(e, j);
	if (!e->found && e->listener) {
		json_object_set_new(j, "status", json_integer(reason_row(failure(e))->status));
		json_object_set_new(j, "reason", json_str(reason_name(failure(e), name)));
	}
	return j;
}
