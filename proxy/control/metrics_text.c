#include "control/metrics_text.h"

#include <stddef.h>
#include "base/obj.h"
#include "control/control.h"
#include "control/self.h"
#include "exchange/quota.h"

static void tell_time(struct exposition *e, struct str last, time_t when)
{
	exposition_count(e, last, when > 0 ? (uint64_t)when : 0);
}

/* -- the process -- */

static void tell_build(struct metrics_text *t)
{
	exposition_count(&t->out, STR(WEIR_VERSION), 1);
}

static void tell_cpu(struct metrics_text *t)
{
	exposition_millionths(&t->out, STR_NONE, self_cpu_us());
}

static void tell_self(struct metrics_text *t)
{
	struct self self = self_now();

	switch ((enum metric)t->metric) {
	case METRIC_PROCESS_RESIDENT:
		exposition_count(&t->out, STR_NONE, self.resident);
		break;
	case METRIC_PROCESS_VIRTUAL:
		exposition_count(&t->out, STR_NONE, self.address_space);
		break;
	case METRIC_PROCESS_OPEN_FDS:
		exposition_count(&t->out, STR_NONE, self_open_fds());
		break;
	case METRIC_PROCESS_MAX_FDS:
		exposition_count(&t->out, STR_NONE, self_max_fds());
		break;
	default:
		exposition_count(&t->out, STR_NONE, self.threads);
		break;
	}
}

static void tell_start(struct metrics_text *t)
{
	tell_time(&t->out, STR_NONE, t->control->metrics.started);
}

/* -- the configuration -- */

static void tell_generation(struct metrics_text *t)
{
	exposition_count(&t->out, STR_NONE, t->snapshot->generation);
}

static void tell_alive(struct metrics_text *t)
{
	exposition_count(&t->out, STR_NONE, t->control->snapshots_alive);
}

static void tell_reloads(struct metrics_text *t)
{
	for (int i = 0; i < RELOAD_OUTCOMES; i++)
		exposition_count(&t->out, str_of(reload_outcome_name((enum reload_outcome)i)),
			t->control->metrics.reloads[i]);
}

static void tell_reload_success(struct metrics_text *t)
{
	tell_time(&t->out, STR_NONE, t->control->metrics.reload_success);
}

static void tell_reload_good(struct metrics_text *t)
{
	exposition_count(&t->out, STR_NONE, t->control->metrics.reload_good);
}

static void tell_cert_expiry(struct metrics_text *t)
{
	const struct control *c = t->control;

	for (uint32_t l = 0; l < c->stores.n && l < c->snapshot->conf->listener_n; l++) {
		const struct cert_store *store = c->stores.v[l];

		for (uint32_t i = 0; store && i < store->cert_n; i++) {
			exposition_of(&t->out, &c->snapshot->conf->listeners[l].name, 1);
			tell_time(&t->out, str_of(store->certs[i]->cert.path), store->certs[i]->not_after);
		}
	}
}

static void tell_shifts(struct metrics_text *t)
{
	for (int i = SHIFT_DONE; i < SHIFT_STATES; i++)
		exposition_count(&t->out, str_of(shift_state_names[i]), t->control->shifts.ended[i]);
}

/* -- workers -- */

/* The counter at that place in each worker's tally. */
static uint64_t of_worker(const struct worker *w, size_t offset)
{
	return counter_get((const _Atomic uint64_t *)((const char *)&w->edge.tally + offset));
}

static uint64_t of_workers(const struct control *c, size_t offset)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < c->worker_n; i++)
		n += of_worker(&c->workers[i], offset);
	return n;
}

static void tell_worker(struct metrics_text *t)
{
	static const size_t offsets[METRICS] = {
		[METRIC_CONNECTIONS] = offsetof(struct worker_tally, connections),
		[METRIC_ACCEPTED] = offsetof(struct worker_tally, accepted),
		[METRIC_REFUSED] = offsetof(struct worker_tally, refused),
		[METRIC_LAG] = offsetof(struct worker_tally, lag_us),
		[METRIC_MEMORY] = offsetof(struct worker_tally, memory),
	};
	char number[12];

	for (uint32_t i = 0; i < t->control->worker_n; i++) {
		uint64_t value = of_worker(&t->control->workers[i], offsets[t->metric]);
		struct text name = text_in(number, sizeof(number));

		text_u64(&name, i);
		if (t->metric == METRIC_LAG)
			exposition_millionths(&t->out, text_str(&name), value);
		else
			exposition_count(&t->out, text_str(&name), value);
	}
}

static void tell_mirrors(struct metrics_text *t)
{
	exposition_count(&t->out, STR("answered"),
		of_workers(t->control, offsetof(struct worker_tally, mirrors_answered)));
	exposition_count(&t->out, STR("failed"),
		of_workers(t->control, offsetof(struct worker_tally, mirrors_failed)));
	exposition_count(&t->out, STR("dropped"),
		of_workers(t->control, offsetof(struct worker_tally, mirrors_dropped)));
}

static void tell_closed(struct metrics_text *t)
{
	char buf[REASON_NAME_MAX];

	for (int r = REASON_NONE + 1; r < REASONS; r++) {
		uint64_t n = of_workers(
			t->control, offsetof(struct worker_tally, closed) + (size_t)r * sizeof(uint64_t));

		if (n)
			exposition_count(&t->out, reason_name((enum reason)r, buf), n);
	}
}

static void tell_handshakes(struct metrics_text *t)
{
	static const struct str versions[] = {STR("1.2"), STR("1.3")};

	for (size_t i = 0; i < COUNT_OF(versions); i++)
		exposition_count(&t->out, versions[i],
			of_workers(t->control,
				offsetof(struct worker_tally, handshakes) + i * sizeof(uint64_t)));
}

static void tell_protocols(struct metrics_text *t)
{
	static const struct str protocols[] = {
		[HTTP_1_0] = STR("HTTP/1.0"), [HTTP_1_1] = STR("HTTP/1.1"), [HTTP_2] = STR("HTTP/2")};

	for (size_t i = HTTP_1_0; i < COUNT_OF(protocols); i++)
		exposition_count(&t->out, protocols[i],
			of_workers(
				t->control, offsetof(struct worker_tally, protocols) + i * sizeof(uint64_t)));
}

static void tell_log_lost(struct metrics_text *t)
{
	exposition_count(&t->out, STR_NONE, counter_get(&t->control->io.lost));
}

static void tell_errors(struct metrics_text *t)
{
	char buf[REASON_NAME_MAX];

	for (int r = REASON_NONE + 1; r < REASONS; r++) {
		uint64_t n = of_workers(
			t->control, offsetof(struct worker_tally, errors) + (size_t)r * sizeof(uint64_t));
		struct str name = reason_name((enum reason)r, buf);

		if (!n)
			continue;
		exposition_of(&t->out, &name, 1);
		exposition_count(&t->out, reason_side((enum reason)r), n);
	}
}

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

static void tell_pool_requests(struct metrics_text *t, const struct pool *pool)
{
	struct counted by;

	find_counted(&by, pool->slot);
	tell_counted(t, pool->slot->key, &by);
}

/* Requests to its services that found no pool. */
static void tell_tenant_requests(struct metrics_text *t, const struct tenant *tenant)
{
	struct counted by;

	for (uint32_t i = 0; i < tenant->conf->service_n; i++) {
		find_counted(&by, tenant->services[i].slot);
		tell_counted(t, tenant->services[i].slot->key, &by);
	}
}

static void tell_unrouted(struct metrics_text *t)
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

static void tell_modules(struct metrics_text *t)
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

static void tell_quota(struct metrics_text *t, const struct tenant *tenant)
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

static void tell_shift(struct metrics_text *t, const struct pool *pool)
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

static void tell_pool(struct metrics_text *t, const struct pool *pool)
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

static void tell_tenant_shares(struct metrics_text *t, const struct tenant *tenant)
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

static void tell_backends(struct metrics_text *t, const struct pool *pool)
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

/* -- the whole -- */

/* How a family is told: at once, or pool by pool, then tenant by tenant, then what is left. */
static const struct {
	void (*once)(struct metrics_text *t);
	void (*pool)(struct metrics_text *t, const struct pool *pool);
	void (*tenant)(struct metrics_text *t, const struct tenant *tenant);
	void (*rest)(struct metrics_text *t);
} families[METRICS] = {
	[METRIC_BUILD_INFO] = {.once = tell_build},
	[METRIC_PROCESS_CPU] = {.once = tell_cpu},
	[METRIC_PROCESS_RESIDENT] = {.once = tell_self},
	[METRIC_PROCESS_VIRTUAL] = {.once = tell_self},
	[METRIC_PROCESS_OPEN_FDS] = {.once = tell_self},
	[METRIC_PROCESS_MAX_FDS] = {.once = tell_self},
	[METRIC_PROCESS_THREADS] = {.once = tell_self},
	[METRIC_PROCESS_START] = {.once = tell_start},
	[METRIC_GENERATION] = {.once = tell_generation},
	[METRIC_GENERATIONS_ALIVE] = {.once = tell_alive},
	[METRIC_RELOADS] = {.once = tell_reloads},
	[METRIC_RELOAD_SUCCESS] = {.once = tell_reload_success},
	[METRIC_RELOAD_GOOD] = {.once = tell_reload_good},
	[METRIC_CERT_EXPIRY] = {.once = tell_cert_expiry},
	[METRIC_CONNECTIONS] = {.once = tell_worker},
	[METRIC_ACCEPTED] = {.once = tell_worker},
	[METRIC_REFUSED] = {.once = tell_worker},
	[METRIC_CLOSED] = {.once = tell_closed},
	[METRIC_HANDSHAKES] = {.once = tell_handshakes},
	[METRIC_PROTOCOLS] = {.once = tell_protocols},
	[METRIC_MIRRORS] = {.once = tell_mirrors},
	[METRIC_LAG] = {.once = tell_worker},
	[METRIC_MEMORY] = {.once = tell_worker},
	[METRIC_LOG_LOST] = {.once = tell_log_lost},
	[METRIC_REQUESTS] = {.pool = tell_pool_requests,
		.tenant = tell_tenant_requests,
		.rest = tell_unrouted},
	[METRIC_REQUEST_FAILURES] = {.pool = tell_pool_requests,
		.tenant = tell_tenant_requests,
		.rest = tell_unrouted},
	[METRIC_IN_FLIGHT] = {.pool = tell_pool_requests},
	[METRIC_DURATION] = {.pool = tell_pool_requests,
		.tenant = tell_tenant_requests,
		.rest = tell_unrouted},
	[METRIC_FIRST_BYTE] = {.pool = tell_pool_requests},
	[METRIC_REQUEST_BYTES] = {.pool = tell_pool_requests,
		.tenant = tell_tenant_requests,
		.rest = tell_unrouted},
	[METRIC_RESPONSE_BYTES] = {.pool = tell_pool_requests,
		.tenant = tell_tenant_requests,
		.rest = tell_unrouted},
	[METRIC_RETRIES] = {.pool = tell_pool_requests},
	[METRIC_RETRIES_DENIED] = {.pool = tell_pool_requests},
	[METRIC_ERRORS] = {.once = tell_errors},
	[METRIC_MODULE_EVENTS] = {.once = tell_modules},
	[METRIC_TENANT_REQUESTS] = {.tenant = tell_quota},
	[METRIC_TENANT_CONNECTIONS] = {.tenant = tell_quota},
	[METRIC_TENANT_WAITING] = {.tenant = tell_quota},
	[METRIC_TENANT_REFUSED] = {.tenant = tell_quota},
	[METRIC_SHIFT_SHARE] = {.pool = tell_shift},
	[METRIC_SHIFT_STATE] = {.pool = tell_shift},
	[METRIC_SHIFTS] = {.once = tell_shifts},
	[METRIC_POOL_WEIGHT] = {.pool = tell_pool},
	[METRIC_POOL_WEIGHT_CONFIGURED] = {.pool = tell_pool},
	[METRIC_POOL_EFFECTIVE] = {.tenant = tell_tenant_shares},
	[METRIC_POOL_STATE] = {.pool = tell_pool},
	[METRIC_POOL_BACKENDS] = {.pool = tell_pool},
	[METRIC_POOL_BACKENDS_UP] = {.pool = tell_pool},
	[METRIC_POOL_PANIC] = {.pool = tell_pool},
	[METRIC_BACKEND_UP] = {.pool = tell_backends},
	[METRIC_BACKEND_STATE] = {.pool = tell_backends},
	[METRIC_UPSTREAM_REQUESTS] = {.pool = tell_backends},
	[METRIC_UPSTREAM_RESPONSES] = {.pool = tell_backends},
	[METRIC_UPSTREAM_FAILURES] = {.pool = tell_backends},
	[METRIC_UPSTREAM_IN_FLIGHT] = {.pool = tell_backends},
	[METRIC_UPSTREAM_CONNECTIONS] = {.pool = tell_backends},
	[METRIC_UPSTREAM_CONNECTS] = {.pool = tell_backends},
	[METRIC_UPSTREAM_CONNECT_FAILURES] = {.pool = tell_backends},
};

/* One thing of the family at hand. False when there is none left. */
static bool tell_next(struct metrics_text *t)
{
	const struct snapshot *s = t->snapshot;
	uint32_t i = t->item++;

	if (families[t->metric].once) {
		families[t->metric].once(t);
		return false;
	}
	if (i < s->pool_n) {
		if (families[t->metric].pool)
			families[t->metric].pool(t, s->pools[i]);
		return true;
	}
	i -= s->pool_n;
	if (i < s->conf->tenant_n && families[t->metric].tenant) {
		families[t->metric].tenant(t, &s->tenants[i]);
		return true;
	}
	if (families[t->metric].rest)
		families[t->metric].rest(t);
	return false;
}

void metrics_text_begin(struct metrics_text *t, struct control *c, bool openmetrics)
{
	*t = (struct metrics_text){.control = c, .snapshot = c->snapshot};
	control_hold(t->snapshot);
	exposition_init(&t->out, openmetrics);
	exposition_family(&t->out, (enum metric)0);
	for (uint32_t i = 0; i < c->worker_n; i++)
		worker_measure(&c->workers[i], c->loop.now_us);
}

bool metrics_text_step(struct metrics_text *t)
{
	for (uint32_t n = 0; n < METRICS_SLICE && t->metric < METRICS; n++) {
		if (tell_next(t))
			continue;
		t->item = 0;
		if (++t->metric < METRICS)
			exposition_family(&t->out, (enum metric)t->metric);
	}
	if (t->metric < METRICS)
		return false;
	exposition_end(&t->out);
	return true;
}

void metrics_text_end(struct metrics_text *t)
{
	exposition_free(&t->out);
	control_let_go(t->control, t->snapshot);
	t->snapshot = NULL;
}
