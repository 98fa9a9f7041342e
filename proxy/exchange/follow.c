/* exchange/follow.c - an exchange whose answer has begun does not keep alive the configuration that it began under: it goes on with what
 * the current one says of the same names. Of what that does not name any more it keeps the names, for the log. So a download or a
 * WebSocket of days costs no more than itself, whatever is reloaded meanwhile.
 *
 * Before that it cannot go: its answer is still to be edited, or the request tried again, as its own configuration says. */
#include "base/obj.h"
#include "exchange/exchange.h"

#define SLICE 4096 /* exchanges that are looked at in one tick */

struct str exchange_tenant(const struct exchange *x)
{
	return x->kept ? x->kept->tenant : x->tenant ? x->tenant->conf->name : STR_NONE;
}

struct str exchange_service(const struct exchange *x)
{
	return x->kept ? x->kept->service : x->service ? x->service->conf->name : STR_NONE;
}

struct str exchange_pool(const struct exchange *x)
{
	return x->kept ? x->kept->pool : x->pool ? x->pool->conf->name : STR_NONE;
}

struct str exchange_backend(const struct exchange *x)
{
	return x->kept ? x->kept->backend : x->backend ? x->backend->address : STR_NONE;
}

struct str exchange_route_path(const struct exchange *x)
{
	return x->kept ? x->kept->route : x->route ? x->route->conf->path : STR_NONE;
}

static bool is_upgrade(const struct exchange *x)
{
	return x->request.body == BODY_TUNNEL && x->request.version < HTTP_2;
}

struct str exchange_method(const struct exchange *x)
{
	return is_upgrade(x) ? STR("GET") : x->request.method;
}

unsigned exchange_status(const struct exchange *x)
{
	return is_upgrade(x) && x->tunnel && x->status / 100 == 2 ? 101 : x->status;
}

uint64_t exchange_generation(const struct exchange *x)
{
	return x->kept ? x->kept->generation : x->use->snapshot->generation;
}

/* What a route or a module has put into the head may be text of the configuration. */
static void keep_head(struct exchange *x)
{
	const struct conf_headers *edits = x->route ? &x->route->conf->request_headers : NULL;
	struct arena *a = &x->arena;
	struct fields fields = {0};

	x->request.authority = arena_str(a, x->request.authority);
	if (!x->modules && !(edits && (edits->rename_n || edits->set_n || edits->add_n)))
		return;
	fields_copy(a, &fields, &x->request.fields);
	x->request.fields = fields;
	for (struct module_field *f = x->modules ? x->modules->log : NULL; f; f = f->next) {
		f->name = arena_str(a, f->name);
		f->value = arena_str(a, f->value);
	}
}

static void keep(struct exchange *x)
{
	const struct conf *conf = x->use->snapshot->conf;
	struct exchange_kept *k;

	if (x->kept)
		return;
	k = arena_new(&x->arena, struct exchange_kept);
	*k = (struct exchange_kept){
		.tenant = arena_str(&x->arena, exchange_tenant(x)),
		.service = arena_str(&x->arena, exchange_service(x)),
		.pool = arena_str(&x->arena, exchange_pool(x)),
		.backend = arena_str(&x->arena, exchange_backend(x)),
		.route = arena_str(&x->arena, exchange_route_path(x)),
		.generation = exchange_generation(x),
		.response_ms = conf->timeouts.response,
		.body_max = conf->limits.body,
		.tenant_body_max = x->tenant ? x->tenant->conf->limits.body : 0,
	};
	keep_head(x);
	x->kept = k;
}

/* The same pool of the same service; NULL: there is none any more. */
static const struct pool *pool_in(const struct service *service, const struct pool *old)
{
	for (uint32_t i = 0; service && old && i < service->n; i++)
		if (service->pools[i].slot == old->slot)
			return &service->pools[i];
	return NULL;
}

void exchange_follow(struct exchange *x)
{
	struct edge *e = x->edge;
	struct snapshot_use *now = e->use;
	const struct service *service;
	const struct pool *pool;

	if (x->use == now || (x->state != EXCHANGE_RELAYING && x->state != EXCHANGE_REPLYING) ||
		(x->modules && !modules_follow(x, now->snapshot->modules)))
		return;
	keep(x);
	service = x->service ? snapshot_service(now->snapshot, x->service->slot->number) : NULL;
	pool = pool_in(service, x->pool);
	if (!pool)
		traffic_leave(x);
	if (x->backend && !edge_backend(e, x->backend))
		x->backend = NULL;
	tenancy_follow(x, service ? service->tenant : NULL);
	x->service = service;
	x->pool = pool;
	x->route = NULL;
	x->stuck_to = x->retry_to = NULL;
	x->tried_n = 0;
	exchange_use(x, now);
}

bool exchange_is_left(const struct exchange *x)
{
	return x->kept && x->kept->backend.n && (!x->pool || !x->backend);
}

static void on_follow(struct deadline *d)
{
	struct edge *e = CONTAINER(d, struct edge, follow);

	/* Those that were looked at go to the end; that some began meanwhile, and are looked at for nothing, does no harm. */
	for (uint32_t n = MIN(e->follow_left, SLICE); n > 0 && !list_empty(&e->exchanges); n--) {
		struct exchange *x = CONTAINER(list_first(&e->exchanges), struct exchange, link);

		list_remove(&x->link);
		list_push_back(&e->exchanges, &x->link);
		exchange_follow(x);
	}
	e->follow_left -= MIN(e->follow_left, SLICE);
	if (e->follow_left)
		deadline_arm(e->loop, &e->follow, LOOP_TICK_MS);
}

void exchanges_follow(struct edge *e)
{
	deadline_disarm(e->loop, &e->follow);
	e->follow.fire = on_follow;
	e->follow_left = e->exchange_n;
	on_follow(&e->follow);
}
