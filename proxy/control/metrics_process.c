/* control/metrics_process.c - what is told of weir as a whole: the process, the configuration, the workers. */
#include <stddef.h>
#include "base/obj.h"
#include "control/control.h"
#include "control/metrics_tell.h"
#include "control/self.h"

static void tell_time(struct exposition *e, struct str last, time_t when)
{
	exposition_count(e, last, when > 0 ? (uint64_t)when : 0);
}

/* -- the process -- */

void tell_build(struct metrics_text *t)
{
	exposition_count(&t->out, STR(WEIR_VERSION), 1);
}

void tell_cpu(struct metrics_text *t)
{
	exposition_millionths(&t->out, STR_NONE, self_cpu_us());
}

void tell_self(struct metrics_text *t)
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

void tell_start(struct metrics_text *t)
{
	tell_time(&t->out, STR_NONE, t->control->metrics.started);
}

/* -- the configuration -- */

void tell_generation(struct metrics_text *t)
{
	exposition_count(&t->out, STR_NONE, t->snapshot->generation);
}

void tell_alive(struct metrics_text *t)
{
	exposition_count(&t->out, STR_NONE, t->control->snapshots_alive);
}

void tell_reloads(struct metrics_text *t)
{
	for (int i = 0; i < RELOAD_OUTCOMES; i++)
		exposition_count(&t->out, str_of(reload_outcome_name((enum reload_outcome)i)),
			t->control->metrics.reloads[i]);
}

void tell_reload_success(struct metrics_text *t)
{
	tell_time(&t->out, STR_NONE, t->control->metrics.reload_success);
}

void tell_reload_good(struct metrics_text *t)
{
	exposition_count(&t->out, STR_NONE, t->control->metrics.reload_good);
}

void tell_cert_expiry(struct metrics_text *t)
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

void tell_shifts(struct metrics_text *t)
{
	for (int i = SHIFT_DONE; i < SHIFT_STATES; i++)
		exposition_count(&t->out, str_of(shift_state_names[i]), t->control->shifts.ended[i]);
}

/* -- listeners -- */

static void tell_left(struct exposition *e, const struct listener_drains *d, struct str name)
{
	json_t *left = (json_t *)(uintptr_t)listener_drain_left(d, name), *n;
	const char *what;

	exposition_of(e, &name, 1);
	json_object_foreach(left, what, n)
	{
		exposition_count(e, str_of(what), (uint64_t)json_integer_value(n));
	}
}

void tell_listeners(struct metrics_text *t)
{
	const struct conf *conf = t->snapshot->conf;
	const struct listener_drains *d = &t->control->listener_drains;

	for (uint32_t i = 0; i < conf->listener_n; i++) {
		struct str name = conf->listeners[i].name;

		if (t->metric == METRIC_LISTENER_LEFT)
			tell_left(&t->out, d, name);
		else
			exposition_count(&t->out, name, listener_drain_document(d, name) != NULL);
	}
}

/* -- upgrades -- */

void tell_upgrades(struct metrics_text *t)
{
	exposition_count(&t->out, STR("failed"), t->control->metrics.upgrades_failed);
	exposition_count(&t->out, STR("refused"), t->control->metrics.upgrades_refused);
}

void tell_older(struct metrics_text *t)
{
	static const char *const whats[] = {"connections", "requests", "websockets", "streams"};
	const struct older *o = &t->control->older;

	if (t->metric == METRIC_OLDER) {
		exposition_count(&t->out, STR_NONE, older_count(o));
		return;
	}
	for (size_t i = 0; i < COUNT_OF(whats); i++)
		exposition_count(&t->out, str_of(whats[i]), older_left(o, whats[i]));
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

void tell_worker(struct metrics_text *t)
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

void tell_headers_dropped(struct metrics_text *t)
{
	exposition_count(
		&t->out, STR_NONE, of_workers(t->control, offsetof(struct worker_tally, headers_dropped)));
}

void tell_mirrors(struct metrics_text *t)
{
	exposition_count(&t->out, STR("answered"),
		of_workers(t->control, offsetof(struct worker_tally, mirrors_answered)));
	exposition_count(&t->out, STR("failed"),
		of_workers(t->control, offsetof(struct worker_tally, mirrors_failed)));
	exposition_count(&t->out, STR("dropped"),
		of_workers(t->control, offsetof(struct worker_tally, mirrors_dropped)));
}

void tell_closed(struct metrics_text *t)
{
	char buf[REASON_NAME_MAX];

	for (int r = REASON_NONE + 1; r < REASONS; r++) {
		uint64_t n = of_workers(
			t->control, offsetof(struct worker_tally, closed) + (size_t)r * sizeof(uint64_t));

		if (n)
			exposition_count(&t->out, reason_name((enum reason)r, buf), n);
	}
}

void tell_handshakes(struct metrics_text *t)
{
	static const struct str versions[] = {STR("1.2"), STR("1.3")};

	for (size_t i = 0; i < COUNT_OF(versions); i++)
		exposition_count(&t->out, versions[i],
			of_workers(t->control,
				offsetof(struct worker_tally, handshakes) + i * sizeof(uint64_t)));
}

void tell_protocols(struct metrics_text *t)
{
	static const struct str protocols[] = {
		[HTTP_1_0] = STR("HTTP/1.0"), [HTTP_1_1] = STR("HTTP/1.1"), [HTTP_2] = STR("HTTP/2")};

	for (size_t i = HTTP_1_0; i < COUNT_OF(protocols); i++)
		exposition_count(&t->out, protocols[i],
			of_workers(
				t->control, offsetof(struct worker_tally, protocols) + i * sizeof(uint64_t)));
}

void tell_log_lost(struct metrics_text *t)
{
	exposition_count(&t->out, STR_NONE, counter_get(&t->control->io.lost));
}

void tell_errors(struct metrics_text *t)
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
