#include "worker/drain.h"

#include "base/obj.h"
#include "worker/worker.h"

#define AT_LEAST 10 /* are told in a tick: few clients are no stampede */

static bool concerns(const struct drain *d, const struct http_conn *c)
{
	const struct entry *e = c->owner;

	return d->socket_key.n == 0 || str_eq(e->conf.socket_key, d->socket_key);
}

void drain_newcomer(struct http_conn *c)
{
	if (c->version == HTTP_2)
		http_conn_drain(c);
	else
		c->draining = c->patient = true;
}

static uint32_t count_untold(const struct drain *d)
{
	uint32_t n = 0;

	list_each (link, &d->worker->conns) {
		struct http_conn *c = CONTAINER(link, struct http_conn, link);

		n += !c->draining && concerns(d, c);
	}
	return n;
}

/* Those that were used longest ago first. */
static void tell(struct drain *d, uint32_t n)
{
	list_each_safe (link, &d->worker->conns) {
		struct http_conn *c = CONTAINER(link, struct http_conn, link);
		struct entry *e = c->owner;

		if (n == 0)
			return;
		if (c->draining || !concerns(d, c))
			continue;
		e->draining |= d->socket_key.n > 0;
		drain_newcomer(c);
		n--;
	}
}

static void close_those_at_rest(struct drain *d)
{
	list_each_safe (link, &d->worker->conns) {
		struct http_conn *c = CONTAINER(link, struct http_conn, link);

		if (c->patient && concerns(d, c))
			http_conn_drain(c);
	}
}

static void on_tick(struct deadline *tick)
{
	struct drain *d = CONTAINER(tick, struct drain, tick);
	struct loop *l = &d->worker->loop;
	uint64_t left = d->end_ms > l->now_ms ? d->end_ms - l->now_ms : 0;
	uint32_t n = count_untold(d), share = n;

	if (n == 0 && d->told) {
		close_those_at_rest(d);
		deadline_arm(l, tick, d->rest_ms);
		return;
	}
	if (left > LOOP_TICK_MS)
		share = MIN(n, MAX((uint32_t)(n * (uint64_t)LOOP_TICK_MS / left), AT_LEAST));
	tell(d, share);
	d->told = share == n;
	deadline_arm(l, tick, d->told ? d->rest_ms : LOOP_TICK_MS);
}

void drain_begin(
	struct drain *d, struct worker *w, struct str socket_key, uint32_t spread_ms, uint32_t rest_ms)
{
	*d = (struct drain){.worker = w, .socket_key = socket_key, .tick.fire = on_tick};
	d->end_ms = w->loop.now_ms + spread_ms;
	/* A short time to go is short for them too. */
	d->rest_ms = rest_ms && spread_ms ? MIN(rest_ms, MAX(spread_ms, LOOP_TICK_MS)) : rest_ms;
	lasting_look(&w->edge);
	on_tick(&d->tick);
}

void drain_end(struct drain *d)
{
	if (d->worker)
		deadline_disarm(&d->worker->loop, &d->tick);
}
