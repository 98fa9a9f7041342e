#include "io/loop.h"

#include <event2/event.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#include "base/obj.h"

#define TRIM_EVERY_TICKS 50 /* of the deadline timer: 5 s */

static uint64_t clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

void loop_read_clock(struct loop *l)
{
	l->now_us = clock_us();
	l->now_ms = l->now_us / 1000;
	l->clock_fresh = true;
}

static void expire(struct loop *l, struct deadline_queue *q)
{
	struct list *link;

	while ((link = list_first(&q->entries))) {
		struct deadline *d = CONTAINER(link, struct deadline, link);

		if (d->at_ms > l->now_ms)
			return;
		deadline_disarm(l, d);
		d->fire(d);
	}
}

/* Every LOOP_TICK_MS from now, or no more. A descriptor of the kernel's, because with a timer of its own libevent reads the clock
 * twice a tick: 600 instructions of every request. */
static void set_timer(struct loop *l, bool on)
{
	const struct timespec every = {0, on ? LOOP_TICK_MS * 1000000 : 0};
	const struct itimerspec spec = {every, every};

	MUST(timerfd_settime(l->timer_fd, 0, &spec, NULL) == 0);
	l->timer_armed = on;
	if (!on)
		return;
	/* Not from the tick's clock: what has gone by since it was read would count as lateness for as long as the timer runs. */
	l->timer_due_us = clock_us() + LOOP_TICK_MS * 1000;
	memset(l->looks_us, 0, sizeof(l->looks_us));
	l->lag_us = 0;
}

/* The timer was ready when it was due, and is looked at now: whatever else is ready waits as long. Costs nothing but this, ten times
 * a second. */
static void measure_lag(struct loop *l, uint64_t expirations)
{
	uint64_t late = l->now_us > l->timer_due_us ? l->now_us - l->timer_due_us : 0;

	l->timer_due_us += expirations * LOOP_TICK_MS * 1000;
	l->looks_us[l->timer_ticks % LOOP_LOOKS] = (uint32_t)MIN(late, UINT32_MAX);
	l->lag_us = UINT32_MAX;
	for (int i = 0; i < LOOP_LOOKS; i++)
		l->lag_us = MIN(l->lag_us, l->looks_us[i]);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;
	uint64_t expirations = 0;

	(void)what;
	loop_enter(l);
	/* The kernel starts a periodic timer again only when its count is read. */
	if (read(fd, &expirations, sizeof(expirations)) == (ssize_t)sizeof(expirations))
		measure_lag(l, expirations);
	l->timer_rang = true;
}

/* After all else that had happened: a thread that did not run for seconds finds the answer and the end of its patience at the same time,
 * and the answer counts. */
static void look_at_deadlines(struct loop *l)
{
	l->timer_rang = false;
	for (uint32_t i = 0; i < l->queue_count; i++)
		expire(l, &l->queues[i]);
	if (++l->timer_ticks % TRIM_EVERY_TICKS == 0)
		mem_trim(&l->mem);
	/* With nothing armed the thread sleeps until something happens. */
	if (!l->armed)
		set_timer(l, false);
}

bool loop_init(struct loop *l)
{
	struct event_config *cfg = event_config_new();

	*l = (struct loop){.timer_fd = -1};
	MUST(cfg);
	/* One thread, no locks; and nobody asks libevent for the time. */
	event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_NO_CACHE_TIME);
	event_config_require_features(cfg, EV_FEATURE_ET | EV_FEATURE_EARLY_CLOSE);
	l->base = event_base_new_with_config(cfg);
	event_config_free(cfg);
	if (!l->base)
		return false;
	mem_init(&l->mem);
	for (int phase = 0; phase < LOOP_PHASES; phase++)
		list_init(&l->tasks[phase]);
	l->scratch = malloc(LOOP_SCRATCH);
	MUST(l->scratch);
	l->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (l->timer_fd >= 0)
		l->timer = event_new(l->base, l->timer_fd, EV_READ | EV_ET | EV_PERSIST, on_timer, l);
	if (!l->timer || event_add(l->timer, NULL) != 0 ||
		getrandom(l->rng, sizeof(l->rng), 0) != (ssize_t)sizeof(l->rng)) {
		loop_free(l);
		return false;
	}
	loop_read_clock(l);
	return true;
}

void loop_free(struct loop *l)
{
	loop_run_tasks(l);
	if (l->timer)
		event_free(l->timer);
	if (l->timer_fd >= 0)
		close(l->timer_fd);
	event_base_free(l->base);
	mem_free(&l->mem);
	free(l->scratch);
	*l = (struct loop){0};
}

static inline bool run_first(struct list *tasks)
{
	struct list *link = tasks->next;
	struct task *t;

	if (link == tasks)
		return false;
	t = CONTAINER(link, struct task, link);
	list_remove(link);
	t->run(t);
	return true;
}

void loop_run_tasks(struct loop *l)
{
	/* Flushing may owe owners something again, so each round begins with the lowest phase that has work. */
	while (run_first(&l->tasks[LOOP_READY]) || run_first(&l->tasks[LOOP_FLUSH]) ||
		run_first(&l->tasks[LOOP_REAP]))
		;
}

void loop_end_turn(struct loop *l)
{
	loop_run_tasks(l);
	l->turn_from = l->mem.in_use;
}

static void tick(struct loop *l, int flags)
{
	l->clock_fresh = false;
	l->turn_from = l->mem.in_use;
	event_base_loop(l->base, flags);
	loop_enter(l);
	loop_run_tasks(l);
	if (l->timer_rang) {
		look_at_deadlines(l);
		loop_run_tasks(l);
	}
}

void loop_run(struct loop *l)
{
	while (!l->stop)
		tick(l, EVLOOP_ONCE);
}

void loop_stop(struct loop *l)
{
	l->stop = true;
	event_base_loopbreak(l->base);
}

static void on_nothing(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

void loop_once(struct loop *l, int max_ms)
{
	struct event *limit = NULL;

	if (max_ms > 0) {
		struct timeval tv = {max_ms / 1000, max_ms % 1000 * 1000};

		limit = event_new(l->base, -1, 0, on_nothing, NULL);
		MUST(limit);
		event_add(limit, &tv);
	}
	tick(l, max_ms == 0 ? EVLOOP_ONCE | EVLOOP_NONBLOCK : EVLOOP_ONCE);
	if (limit)
		event_free(limit);
}

static struct deadline_queue *search_queue(struct loop *l, uint32_t length_ms)
{
	struct deadline_queue *next_longer = NULL;

	for (uint32_t i = 0; i < l->queue_count; i++) {
		struct deadline_queue *q = &l->queues[i];

		if (q->length_ms == length_ms)
			return q;
		if (q->length_ms > length_ms && (!next_longer || q->length_ms < next_longer->length_ms))
			next_longer = q;
	}
	if (l->queue_count < LOOP_QUEUES_MAX) {
		struct deadline_queue *q = &l->queues[l->queue_count++];

		list_init(&q->entries);
		q->length_ms = length_ms;
		return q;
	}
	/* More lengths than any configuration needs: keep the order of some queue by searching the place. */
	return next_longer ? next_longer : &l->queues[0];
}

/* A request arms five deadlines; a configuration has few lengths, nearly all of them whole seconds. */
static struct deadline_queue *queue_for(struct loop *l, uint32_t length_ms)
{
	struct deadline_queue **recent = &l->recent_queues[length_ms / 8 % LOOP_QUEUES_RECENT];

	if (!*recent || (*recent)->length_ms != length_ms)
		*recent = search_queue(l, length_ms);
	return *recent;
}

void deadline_arm(struct loop *l, struct deadline *d, uint32_t length_ms)
{
	struct deadline_queue *q;
	struct list *after;
	uint64_t at_ms = l->now_ms + length_ms;

	if (length_ms == 0) {
		deadline_disarm(l, d);
		return;
	}
	if (d->queue) {
		/* Armed so already: a tick often arms the same one several times. */
		if (d->at_ms == at_ms && d->queue->length_ms == length_ms)
			return;
		list_remove(&d->link);
		l->armed--;
	}
	q = queue_for(l, length_ms);
	l->armed++;
	d->queue = q;
	d->at_ms = at_ms;
	/* Armed with the queue's own length this ends at once: the last one cannot be later. */
	for (after = q->entries.prev; after != &q->entries; after = after->prev)
		if (CONTAINER(after, struct deadline, link)->at_ms <= at_ms)
			break;
	list_push_front(after, &d->link);
	if (!l->timer_armed)
		set_timer(l, true);
}

static inline uint64_t rotl(uint64_t x, int k)
{
	return (x << k) | (x >> (64 - k));
}

/* xoshiro256**, Blackman and Vigna, public domain */
uint64_t loop_random(struct loop *l)
{
	uint64_t *s = l->rng;
	uint64_t result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotl(s[3], 45);
	return result;
}
