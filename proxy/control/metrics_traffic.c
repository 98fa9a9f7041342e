/* control/metrics_traffic.c - what is told by name: of requests, tenants, pools and backends. */
#include <stddef.h>
#include "base/obj.h"
#include "control/control.h"
#include "control/metrics_tell.h"
#include "exchange/quota.h"

/* -- requests -- */

/* "acme/shop/blue" as values of the labels tenant, service, pool; what is missing is empty. */
static void split_key(struct str key, struct str values[3])
{
	for (int i = 0; i < 3; i++) {
		values[i] = str_head(key, str_find(key, '/'));
		key = str_skip(key, values[i].n + 1);
		if (values[i].n == 0)
			values[i] = STR("");
	}
}

/* Those who have counted one name's requests. */
struct counted {
	const struct tally *v[IO_RINGS_MAX];
	uint32_t n;
};

static void find_counted(struct counted *by, const struct slot *slot)
{
	const struct tallies *all = slot->kept;

	by->n = 0;
	for (uint32_t i = 0; all && i < all->n; i++) {
		by->v[by->n] = atomic_load_explicit(&all->v[i], memory_order_acquire);
		by->n += by->v[by->n] != NULL;
	}
}

static uint64_t total(const struct counted *by, size_t offset)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < by->n; i++)
		n += counter_get((const _Atomic uint64_t *)((const char *)by->v[i] + offset));
	return n;
}

static void sum_row(const struct counted *by, size_t offset, uint64_t *sums, uint32_t n)
{
	memset(sums, 0, n * sizeof(*sums));
	for (uint32_t i = 0; i < by->n; i++)
		counters_sum(
			(struct counter_block *const _Atomic *)((const char *)by->v[i] + offset), n, sums);
}

static void tell_codes(struct metrics_text *t, const struct counted *by)
{
	uint64_t codes[TALLY_CODES];
	char number[8];

	sum_row(by, offsetof(struct tally, codes), codes, TALLY_CODES);
	for (uint32_t i = 0; i < TALLY_CODES; i++) {
		struct text code = text_in(number, sizeof(number));

		if (codes[i] == 0)
			continue;
		text_u64(&code, i);
		exposition_count(&t->out, text_str(&code), codes[i]);
	}
}

/* What was counted of a name's requests. Nothing, when there were none. */
static void tell_counted(struct metrics_text *t, struct str key, const struct counted *by)
{
	static const size_t offsets[METRICS] = {
		[METRIC_REQUEST_FAILURES] = offsetof(struct tally, failures),
		[METRIC_IN_FLIGHT] = offsetof(struct tally, in_flight),
		[METRIC_REQUEST_BYTES] = offsetof(struct tally, bytes_in),
		[METRIC_RESPONSE_BYTES] = offsetof(struct tally, bytes_out),
		[METRIC_RETRIES] = offsetof(struct tally, retries),
		[METRIC_RETRIES_DENIED] = offsetof(struct tally, retries_denied),
	};
	uint64_t buckets[HISTOGRAM_BUCKETS];
	struct str labels[3];

	if (by->n == 0)
		return;
	split_key(key, labels);
	exposition_of(&t->out, labels, 3);
	switch ((enum metric)t->metric) {
	case METRIC_REQUESTS:
		tell_codes(t, by);
		break;
	case METRIC_DURATION:
		sum_row(by, offsetof(struct tally, duration), buckets, HISTOGRAM_BUCKETS);
		exposition_histogram(&t->out, buckets, total(by, offsetof(struct tally, duration_us)));
		break;
	case METRIC_FIRST_BYTE:
		sum_row(by, offsetof(struct tally, first_byte), buckets, HISTOGRAM_BUCKETS);
		exposition_histogram(&t->out, buckets, total(by, offsetof(struct tally, first_byte_us)));
		break;
	default:
		exposition_count(&t->out, STR_NONE, total(by, offsets[t->metric]));
		break;
	}
}

void tell_pool_requests(struct metrics_text *t, const struct pool *pool)
{
	struct counted by;

	find_counted(&by, pool->slot);
	tell_counted(t, pool->slot->key, &by);
}

/* Requests to its services that found no pool. */
void tell_tenant_requests(struct metrics_text *t, const struct tenant *tenant)
{
	struct counted by;

	for (uint32_t i = 0; i < tenant->conf->service_n; i++) {
		find_counted(&by, tenant->services[i].slot);
		tell_counted(t, tenant->services[i].slot->key, &by);
	}
}

void tell_unrouted(struct metrics_text *t)
{
	struct counted by = {.n = t->control->worker_n};

	for (uint32_t i = 0; i < by.n; i++)
		by.v[i] = &t->control->workers[i].edge.tally.unrouted;
	tell_counted(t, STR_NONE, &by);
}

struct module_teller {
	struct module_counts counts; /* the first member */
	struct exposition *out;
	struct str labels[3];
};

static void tell_module_event(struct module_counts *counts, struct str what, struct str event, uint64_t n)
{
	struct module_teller *teller = CONTAINER(counts, struct module_teller, counts);

	teller->labels[2] = what;
	exposition_of(teller->out, teller->labels, 3);
	exposition_count(teller->out, event, n);
}

void tell_modules(struct metrics_text *t)
{
	const struct module_set *set = t->snapshot->modules;
	struct map told = {0}; /* what several places share counts for the first of them */

	for (uint32_t i = 0; set && i < set->n; i++) {
		const struct module_place *p = set->places[i];
		struct str built = {(const char *)&p->built, sizeof(p->built)};
		struct module_teller teller = {{tell_module_event}, &t->out,
			{str_of(p->module->config.name), str_skip(p->name, str_find(p->name, '@') + 1)}};

		if (!p->module->counts || map_get(&told, built))
			continue;
		map_put(&told, built, p->built);
		p->module->counts(p->values, p->built->data, &teller.counts);
	}
	map_free(&told);
}

void tell_dependencies(struct metrics_text *t)
{
	const struct map *all = &t->control->dependencies.by_key;

	for (struct map_entry *e = map_next(all, NULL); e; e = map_next(all, e)) {
		const struct watched_dependency *w = e->value;
		struct str module = str_of(w->module);

		exposition_of(&t->out, &module, 1);
		exposition_count(&t->out, w->address, w->lost_ms == 0);
	}
}

void tell_quota(struct metrics_text *t, const struct tenant *tenant)
{
	const struct quota *q = tenant->quota;
	char buf[REASON_NAME_MAX];

	if (!q)
		return;
	switch ((enum metric)t->metric) {
	case METRIC_TENANT_REQUESTS:
		exposition_count(&t->out, tenant->conf->name, atomic_load(&q->requests));
		break;
	case METRIC_TENANT_CONNECTIONS:
		exposition_count(&t->out, tenant->conf->name, atomic_load(&q->connections));
		break;
	case METRIC_TENANT_WAITING:
		exposition_count(&t->out, tenant->conf->name, atomic_load(&q->waiting));
		break;
	default:
		exposition_of(&t->out, &tenant->conf->name, 1);
		for (int i = 0; i < QUOTA_REASONS; i++)
			exposition_count(&t->out, reason_name((enum reason)(REASON_TENANT_RATE + i), buf),
				atomic_load(&q->refused[i]));
		break;
	}
}

/* -- pools and backends -- */

void tell_shift(struct metrics_text *t, const struct pool *pool)
{
	enum shift_state state;
	int share = shift_share_now(&t->control->shifts, pool->slot->key, &state);
	struct str labels[3];

	if (share < 0)
		return;
	split_key(pool->slot->key, labels);
	exposition_of(&t->out, labels, 3);
	if (t->metric == METRIC_SHIFT_STATE)
		exposition_count(&t->out, str_of(shift_state_names[state]), 1);
	else
		exposition_millionths(&t->out, STR_NONE, (uint64_t)share * 1000000 / SHIFT_WHOLE);
}

void tell_pool(struct metrics_text *t, const struct pool *pool)
{
	struct pool_census census = pool_census(pool);
	struct pool_now now = control_pool_now(t->control, pool);
	struct str labels[3];
	uint64_t value = 0;

	split_key(pool->slot->key, labels);
	exposition_of(&t->out, labels, 3);
	switch ((enum metric)t->metric) {
	case METRIC_POOL_STATE:
		exposition_count(&t->out, str_of(conf_pool_state_names[now.state]), 1);
		return;
	case METRIC_POOL_WEIGHT:
		value = now.weight;
		break;
	case METRIC_POOL_WEIGHT_CONFIGURED:
		value = pool->conf->weight;
		break;
	case METRIC_POOL_BACKENDS:
		value = pool->n;
		break;
	case METRIC_POOL_BACKENDS_UP:
		value = census.up;
		break;
	default:
		value = pool_panics(pool, census);
		break;
	}
	exposition_count(&t->out, STR_NONE, value);
}

/* The shares of a service's pools add up to 1, unless none of them takes new users. */
static void tell_shares(struct metrics_text *t, const struct service *service)
{
	uint64_t all = 0;
	struct str labels[3];

	for (uint32_t i = 0; i < service->n; i++) {
		struct pool_now now = control_pool_now(t->control, &service->pools[i]);

		all += pool_share(&now);
	}
	for (uint32_t i = 0; i < service->n; i++) {
		struct pool_now now = control_pool_now(t->control, &service->pools[i]);

		split_key(service->pools[i].slot->key, labels);
		exposition_of(&t->out, labels, 3);
		exposition_millionths(&t->out, STR_NONE, all ? pool_share(&now) * 1000000 / all : 0);
	}
}

void tell_tenant_shares(struct metrics_text *t, const struct tenant *tenant)
{
	for (uint32_t i = 0; i < tenant->conf->service_n; i++)
		tell_shares(t, &tenant->services[i]);
}

static void tell_responses(struct metrics_text *t, const struct backend_sums *sums)
{
	static const struct str classes[BACKEND_CLASSES] = {
		STR("1xx"), STR("2xx"), STR("3xx"), STR("4xx"), STR("5xx")};

	for (int i = 0; i < BACKEND_CLASSES; i++)
		if (sums->responses[i])
			exposition_count(&t->out, classes[i], sums->responses[i]);
}

static void tell_failures(struct metrics_text *t, const struct backend_sums *sums)
{
	char buf[REASON_NAME_MAX];

	for (int r = REASON_NONE + 1; r < REASONS; r++)
		if (sums->failures[r])
			exposition_count(&t->out, reason_name((enum reason)r, buf), sums->failures[r]);
}

static struct str state_text(const struct backend *b)
{
	if (backend_state(b) == BACKEND_UP && backend_ejected(b))
		return STR("ejected");
	return str_of(backend_state_name(backend_state(b)));
}

static void tell_upstream(struct metrics_text *t, const struct backend *b)
{
	static const size_t offsets[METRICS] = {
		[METRIC_UPSTREAM_REQUESTS] = offsetof(struct backend_sums, requests),
		[METRIC_UPSTREAM_IN_FLIGHT] = offsetof(struct backend_sums, in_flight),
		[METRIC_UPSTREAM_CONNECTIONS] = offsetof(struct backend_sums, connections),
		[METRIC_UPSTREAM_CONNECTS] = offsetof(struct backend_sums, connects),
		[METRIC_UPSTREAM_CONNECT_FAILURES] = offsetof(struct backend_sums, connect_failures),
	};
	struct backend_sums sums;

	if (!backend_tallies_sum(b->tallies, &sums))
		return;
	if (t->metric == METRIC_UPSTREAM_RESPONSES)
		tell_responses(t, &sums);
	else if (t->metric == METRIC_UPSTREAM_FAILURES)
		tell_failures(t, &sums);
	else
		exposition_count(
			&t->out, STR_NONE, *(const uint64_t *)((const char *)&sums + offsets[t->metric]));
}

void tell_backends(struct metrics_text *t, const struct pool *pool)
{
	struct str labels[4];

	split_key(pool->slot->key, labels);
	for (uint32_t i = 0; i < pool->n; i++) {
		const struct backend *b = pool->backends[i];

		labels[3] = b->address;
		exposition_of(&t->out, labels, 4);
		if (t->metric == METRIC_BACKEND_UP)
			exposition_count(&t->out, STR_NONE, backend_standing(b) == BACKEND_UP);
		else if (t->metric == METRIC_BACKEND_STATE)
			exposition_count(&t->out, state_text(b), 1);
		else
			tell_upstream(t, b);
	}
}
