/* supervisor/restart.c - what follows the death of the worker process: a report, and another one on the same sockets. */
#include <stdio.h>
#include "base/obj.h"
#include "supervisor/supervisor.h"

#define FORGET_MS   10000 /* who has lived so long has not died of its start */
#define DELAY_FIRST 100
#define DELAY_MAX   10000
#define TRUST \
	2 /* deaths in a row after which the next process is told nothing: they may die of what they are told */

uint32_t restart_delay_ms(uint32_t deaths)
{
	uint32_t delay = DELAY_FIRST;

	/* The first is at once: connections are waiting in the sockets' queues. */
	if (deaths < 2)
		return 0;
	while (deaths-- > 2 && delay < DELAY_MAX)
		delay *= 2;
	return MIN(delay, DELAY_MAX);
}

static void say(const json_t *report, const char *follows)
{
	const char *sign = json_string_value(json_object_get(report, "signal"));
	const char *reason = json_string_value(json_object_get(report, "reason"));
	const json_t *stack = json_object_get(report, "stack");

	fprintf(stderr, "weir: the worker process (PID %d) ",
		(int)json_integer_value(json_object_get(report, "pid")));
	if (sign)
		fprintf(stderr, "died of %s", sign);
	else
		fprintf(stderr, "ended with status %d",
			(int)json_integer_value(json_object_get(report, "status")));
	fprintf(stderr, " after %.1f s%s%s; %s\n",
		(double)json_integer_value(json_object_get(report, "uptime_ms")) / 1000, reason ? ": " : "",
		reason ? reason : "", follows);
	for (size_t i = 0; i < json_array_size(stack); i++)
		fprintf(stderr, "  %s\n", json_string_value(json_array_get(stack, i)));
}

void restart_not(struct supervisor *s, const struct process *dead, int status, const char *follows)
{
	json_t *report = process_obituary(dead, status, s->loop.now_ms);

	say(report, follows);
	supervisor_tell(s, CONF_LEVEL_ERROR, "worker_died", report);
}

static void start(struct supervisor *s)
{
	s->current = supervisor_start_process(s, s->program_fd, s->deaths <= TRUST ? s->known : NULL);
	if (!s->current)
		deadline_arm(&s->loop, &s->restart, restart_delay_ms(++s->deaths));
}

static void on_restart(struct deadline *d)
{
	start(CONTAINER(d, struct supervisor, restart));
}

void restart_init(struct supervisor *s)
{
	s->restart.fire = on_restart;
}

void restart_after(struct supervisor *s, const struct process *dead, int status)
{
	json_t *report = process_obituary(dead, status, s->loop.now_ms);
	char follows[64];
	uint32_t delay;

	if (dead->ready && s->loop.now_ms - dead->started_ms >= FORGET_MS)
		s->deaths = 0;
	delay = restart_delay_ms(++s->deaths);
	json_object_set_new(report, "restart_in_ms", json_integer(delay));
	json_object_set_new(report, "deaths", json_integer(s->deaths));
	if (s->last_reload)
		json_object_set(report, "last_reload", s->last_reload);
	snprintf(follows, sizeof(follows), delay ? "the next is started in %u ms" : "the next is started now",
		delay);
	say(report, follows);
	s->current = NULL;
	if (s->state != SUPERVISOR_RESTARTING)
		supervisor_set_state(s, SUPERVISOR_RESTARTING);
	notify_send(&s->notify, "STATUS=The worker process has died, the next is started");
	supervisor_tell(s, CONF_LEVEL_ERROR, "worker_died", report);
	if (delay)
		deadline_arm(&s->loop, &s->restart, delay);
	else
		start(s);
}
