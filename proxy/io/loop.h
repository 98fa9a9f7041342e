/* io/loop.h - a thread's event loop: libevent underneath, a clock read once a tick, work put off to the end of the
 * tick, and lazy deadlines.
 *
 * A tick is: wait, run the callbacks of all ready descriptors, then the put-off tasks in three phases, again and again until none
 * is left. READY delivers what codecs owe to the owners of streams; FLUSH writes what has gathered on connections
 * (so that head and body, and the frames of many streams, leave in one write); REAP frees.
 * No call that goes down (exchange to codec to transport) ever calls up: it defers a task instead. */
#ifndef WEIR_IO_LOOP_H
#define WEIR_IO_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include "base/list.h"
#include "base/mem.h"

struct event_base;
struct event;

enum loop_phase { LOOP_READY, LOOP_FLUSH, LOOP_REAP, LOOP_PHASES };

/* Embedded in what is to be run. Zeroed is valid and not queued. */
struct task {
	struct list link;
	void (*run)(struct task *t);
};

/* A moment at which something is given up. Embedded; zeroed is valid and not armed. Kept in one FIFO per length of
 * time, so that arming is a move to the end of a list, not an update of a heap; looked at every LOOP_TICK_MS, never early, and
 * late by at most that much. */
struct deadline {
	struct list link;
	struct deadline_queue *queue; /* NULL: not armed */
	uint64_t at_ms;
	void (*fire)(struct deadline *d); /* it is disarmed when called */
};

#define LOOP_TICK_MS 100

/* How many looks in a row must be late before the loop counts as late: a pause of the process, or one long tick, is none of the work's
 * doing and over when it is noticed. */
#define LOOP_LOOKS 4

struct deadline_queue {
	struct list entries; /* by time of arming, hence by at_ms */
	uint32_t length_ms;
};

#define LOOP_QUEUES_RECENT 16
#define LOOP_QUEUES_MAX    64 /* distinct lengths; rarer ones share the next longer queue, which stays correct */

struct loop {
	struct event_base *base;
	uint64_t now_us; /* CLOCK_MONOTONIC, read once a tick, by the first callback: loop_enter() */
	uint64_t now_ms;
	struct list tasks[LOOP_PHASES];
	struct mem mem;
	size_t turn_from; /* mem.in_use when the tasks had run last */
	struct deadline_queue queues[LOOP_QUEUES_MAX];
	struct deadline_queue *recent_queues[LOOP_QUEUES_RECENT]; /* by length: those that were found last */
	uint32_t queue_count;
	int timer_fd;
	struct event *timer; /* of timer_fd */
	bool timer_armed;
	bool timer_rang; /* in this tick: deadlines are due for a look */
	bool clock_fresh; /* now_us was read in this tick */
	uint32_t timer_ticks;
	uint64_t timer_due_us; /* when the timer should have run next */
	uint32_t looks_us[LOOP_LOOKS]; /* by how much it was late, the last times */
	uint32_t
		lag_us; /* the least of them: how late the thread has been with everything, for some time now */
	uint32_t armed; /* deadlines armed now; the timer rests at 0 */
	volatile bool stop;
	uint8_t *
		scratch; /* LOOP_SCRATCH bytes that any callback may use until it returns: TLS records, gathered writes */
	uint64_t rng[4]; /* not for secrets */
};

#define LOOP_SCRATCH (64 * 1024)

/* False with errno set when the kernel has no descriptors left. */
bool loop_init(struct loop *l);
void loop_free(struct loop *l);
/* Until loop_stop(). */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);
/* One tick, waiting at most max_ms (-1: until something happens): for tests. */
void loop_once(struct loop *l, int max_ms);
/* Runs the put-off tasks until none is left: the end of a tick. */
void loop_run_tasks(struct loop *l);

/* Every callback that libevent makes begins with it: the first of a tick reads the clock. */
void loop_read_clock(struct loop *l);
static inline void loop_enter(struct loop *l)
{
	if (!l->clock_fresh)
		loop_read_clock(l);
}

/* With how many bytes taken in the put-off tasks do not wait for the end of the tick: half of a CPU's own cache. */
#define LOOP_TURN_BYTES (256 * 1024)

void loop_end_turn(struct loop *l);
/* A callback that may have received bodies ends with it: bytes that many connections have brought are sent on while they are in
 * the cache, not after those of all the others. What the callback was called for may be gone afterwards. */
static inline void loop_leave(struct loop *l)
{
	if (l->mem.in_use > l->turn_from + LOOP_TURN_BYTES)
		loop_end_turn(l);
}

/* Queues t for this tick's phase; a task already queued stays where it is. */
static inline void loop_defer(struct loop *l, struct task *t, enum loop_phase phase)
{
	if (!list_linked(&t->link))
		list_push_back(&l->tasks[phase], &t->link);
}
static inline void task_cancel(struct task *t)
{
	list_remove(&t->link);
}

/* (Re)arms d to fire length_ms from now. 0 disarms: a timeout of 0 in the configuration is "none". */
void deadline_arm(struct loop *l, struct deadline *d, uint32_t length_ms);
static inline bool deadline_armed(const struct deadline *d)
{
	return d->queue != NULL;
}
static inline void deadline_disarm(struct loop *l, struct deadline *d)
{
	if (!deadline_armed(d))
		return;
	list_remove(&d->link);
	d->queue = NULL;
	l->armed--;
}

/* xoshiro256**: for balancing, jitter and request ids. */
uint64_t loop_random(struct loop *l);

#endif
