#include "control/metrics_text.h"

#include "base/obj.h"
#include "control/control.h"
#include "control/metrics_tell.h"

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
	[METRIC_LISTENER_DRAINED] = {.once = tell_listeners},
	[METRIC_LISTENER_LEFT] = {.once = tell_listeners},
	[METRIC_UPGRADES_NOT_DONE] = {.once = tell_upgrades},
	[METRIC_OLDER] = {.once = tell_older},
	[METRIC_OLDER_LEFT] = {.once = tell_older},
	[METRIC_HANDSHAKES] = {.once = tell_handshakes},
	[METRIC_PROTOCOLS] = {.once = tell_protocols},
	[METRIC_HEADERS_DROPPED] = {.once = tell_headers_dropped},
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
	[METRIC_DEPENDENCY_UP] = {.once = tell_dependencies},
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
