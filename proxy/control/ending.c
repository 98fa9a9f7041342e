#include "control/ending.h"

#include <unistd.h>
#include "base/obj.h"
#include "control/control.h"

/* When all else has ended: with who has come to the admin API and says nothing yet; with what modules have still to send. */
#define PATIENCE_MS 1000
#define FAREWELL_MS 3000
/* Between two words of an older process about what is left in it. */
#define TELL_MS 1000

json_t *ending_left(const struct control *c)
{
	uint64_t connections = 0, requests = 0, websockets = 0, streams = 0;

	for (uint32_t i = 0; i < c->worker_n; i++) {
		const struct worker_tally *t = &c->workers[i].edge.tally;

		connections += counter_get(&t->connections);
		requests += counter_get(&t->exchanges);
		websockets += counter_get(&t->tunnels);
		streams += counter_get(&t->streams);
	}
	return json_pack("{s:I, s:I, s:I, s:I}", "connections", (json_int_t)connections, "requests",
		(json_int_t)requests, "websockets", (json_int_t)websockets, "streams", (json_int_t)streams);
}

/* Takes members. With what is left: of two processes that write to one log it says which this is. */
static void tell_stopping(struct control *c, json_t *members)
{
	json_object_set_new(members, "pid", json_integer(getpid()));
	json_object_update_new(members, ending_left(c));
	event_emit(&c->io, CONF_LEVEL_INFO, "stopping", members);
}

void control_stop(struct control *c, const char *why)
{
	if (c->state == CONTROL_STOPPING)
		return;
	if (c->worker_n == 0) { /* not begun: there are no threads to end, nor one to log */
		control_set_state(c, CONTROL_STOPPING);
		loop_stop(&c->loop);
		return;
	}
	tell_stopping(c, json_pack("{s:b, s:s}", "drain", 0, "why", why));
	if (c->state != CONTROL_DRAINING)
		c->workers_waited_for = c->worker_n;
	control_set_state(c, CONTROL_STOPPING);
	rebuild_stop(&c->rebuild);
	for (uint32_t i = 0; i < c->worker_n; i++)
		worker_stop(&c->workers[i]);
}

static void on_stop_deadline(struct deadline *d)
{
	struct control *c = CONTAINER(d, struct control, stop_deadline);

	control_stop(c, c->upgraded ? "timeouts.upgrade has passed" : "timeouts.shutdown has passed");
}

/* The sooner of two lengths of time of which 0 is none. */
static uint32_t sooner(uint32_t a, uint32_t b)
{
	return a && b ? MIN(a, b) : MAX(a, b);
}

/* That something which lasts is given: its own time, and so much of the limit that its client can still answer. Nobody has to be quick when
 * another process has taken over. */
static uint32_t time_to_last(const struct control *c, uint32_t own_ms, uint32_t limit_ms)
{
	uint32_t ms = sooner(c->upgraded ? 0 : own_ms, limit_ms / 4 * 3);

	return ms ? ms : UINT32_MAX;
}

static struct worker_farewell farewell_within(const struct control *c, uint32_t limit_ms)
{
	const struct conf_timeouts *t = &c->snapshot->conf->timeouts;

	return (struct worker_farewell){
		.spread_ms = sooner(sooner(t->drain_spread, t->drain), limit_ms / 2),
		.tunnel_ms = time_to_last(c, t->tunnel_drain, limit_ms),
		.stream_ms = time_to_last(c, t->stream_drain, limit_ms),
	};
}

static void drain_workers(struct control *c)
{
	struct worker_farewell farewell = farewell_within(c, c->drain_ms);

	for (uint32_t i = 0; i < c->worker_n; i++)
		worker_drain(&c->workers[i], &farewell);
	if (!deadline_armed(&c->stop_deadline) || c->stop_deadline.at_ms > c->loop.now_ms + c->drain_ms)
		deadline_arm(&c->loop, &c->stop_deadline, c->drain_ms);
}

static void on_readiness(struct deadline *d)
{
	struct control *c = CONTAINER(d, struct control, readiness);

	if (c->state == CONTROL_DRAINING)
		drain_workers(c);
}

/* Beyond the state: what has to end before the workers do. */
static void begin_to_end(struct control *c)
{
	tell_stopping(c, json_pack("{s:b, s:b}", "drain", 1, "upgrade", c->upgraded));
	control_set_state(c, CONTROL_DRAINING);
	c->workers_waited_for = c->worker_n;
	rebuild_stop(&c->rebuild);
	admin_topic_wake(&c->reloads.changed);
	admin_topic_wake(&c->orders.upgrade.changed);
}

void control_drain(struct control *c, uint32_t limit_ms)
{
	bool left = c->upgraded;

	if (c->state == CONTROL_STOPPING)
		return;
	if (c->worker_n == 0 || (c->state == CONTROL_DRAINING && !left)) {
		control_stop(c, "told again");
		return;
	}
	c->upgraded = false;
	c->drain_ms = limit_ms;
	if (!left)
		begin_to_end(c);
	/* One who has left already is not asked for by any balancer. */
	if (!left && c->snapshot->conf->timeouts.readiness)
		deadline_arm(&c->loop, &c->readiness, c->snapshot->conf->timeouts.readiness);
	else
		drain_workers(c);
}

static void on_tell(struct deadline *d)
{
	struct control *c = CONTAINER(d, struct control, finishing);
	json_t *left = ending_left(c);

	if (deadline_armed(&c->stop_deadline))
		json_object_set_new(left, "ends_in_ms",
			json_integer((json_int_t)c->stop_deadline.at_ms - (json_int_t)c->loop.now_ms));
	orders_tell_finishing(c, left);
	deadline_arm(&c->loop, d, TELL_MS);
}

void control_leave(struct control *c)
{
	uint32_t limit_ms = c->snapshot->conf->timeouts.upgrade;
	struct worker_farewell farewell;

	if (c->state == CONTROL_DRAINING || c->state == CONTROL_STOPPING) {
		orders_tell_left(c);
		return;
	}
	c->upgraded = true;
	farewell = farewell_within(c, limit_ms);
	begin_to_end(c);
	deadline_arm(&c->loop, &c->stop_deadline, limit_ms);
	admin_leave(&c->admin);
	c->leaving = c->worker_n;
	for (uint32_t i = 0; i < c->worker_n; i++)
		worker_leave(&c->workers[i], &farewell);
	on_tell(&c->finishing);
}

/* -- when the workers have ended -- */

/* Those who have come to the admin API just now are answered, and what modules have gathered is sent; whoever takes long is not waited
 * for. */
static void on_farewell(struct deadline *d)
{
	struct control *c = CONTAINER(d, struct control, farewell);
	uint64_t gone_ms = c->loop.now_ms - c->farewell_ms;

	if ((admin_expects(&c->admin) && gone_ms < PATIENCE_MS) ||
		(module_homes_busy(&c->homes) && gone_ms < FAREWELL_MS))
		deadline_arm(&c->loop, d, LOOP_TICK_MS);
	else
		loop_stop(&c->loop);
}

void ending_say_farewell(struct control *c)
{
	admin_leave(&c->admin);
	c->farewell_ms = c->loop.now_ms;
	on_farewell(&c->farewell);
}

void ending_init(struct control *c)
{
	c->readiness.fire = on_readiness;
	c->stop_deadline.fire = on_stop_deadline;
	c->finishing.fire = on_tell;
	c->farewell.fire = on_farewell;
}
