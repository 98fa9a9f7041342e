/* io/loop.h: put-off tasks and deadlines. */
#include "unit.h"
#include <event2/event.h>
#include <unistd.h>
#include "base/obj.h"
#include "io/loop.h"

struct fixture {
	struct loop loop;
	char order[32];
	size_t n;
};

struct step {
	struct task task;
	struct fixture *fixture;
	char name;
	struct step *then; /* deferred to READY when this one runs */
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	return loop_init(&f->loop) ? 0 : -1;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	loop_free(&f->loop);
	free(f);
	return 0;
}

static void run_step(struct task *t)
{
	struct step *s = CONTAINER(t, struct step, task);

	s->fixture->order[s->fixture->n++] = s->name;
	if (s->then)
		loop_defer(&s->fixture->loop, &s->then->task, LOOP_READY);
}

static void flushing_waits_for_all_that_is_ready_and_freeing_for_all(void **state)
{
	struct fixture *f = *state;
	struct step late = {{.run = run_step}, f, 'l', NULL}, flush = {{.run = run_step}, f, 'f', &late},
		    ready = {{.run = run_step}, f, 'r', NULL}, reap = {{.run = run_step}, f, 'x', NULL};

	loop_defer(&f->loop, &reap.task, LOOP_REAP);
	loop_defer(&f->loop, &flush.task, LOOP_FLUSH);
	loop_defer(&f->loop, &ready.task, LOOP_READY);
	loop_defer(&f->loop, &ready.task, LOOP_READY);
	loop_run_tasks(&f->loop);
	assert_string_equal(f->order, "rflx");
}

/* A descriptor that brings a body: a block each time it is looked at, sent and let go of by a task. */
struct body {
	struct step sent;
	struct event *ev;
	size_t bytes;
	struct block *blocks[8];
};

static void on_body_sent(struct task *t)
{
	struct body *b = CONTAINER(t, struct body, sent.task);

	run_step(t);
	for (size_t i = 0; i < COUNT_OF(b->blocks); i++)
		block_unref(TAKE(&b->blocks[i]));
}

static void on_body(evutil_socket_t fd, short what, void *arg)
{
	struct body *b = arg;
	struct fixture *f = b->sent.fixture;

	(void)fd;
	(void)what;
	loop_enter(&f->loop);
	f->order[f->n++] = 'b';
	for (size_t i = 0; i * mem_block_max() < b->bytes; i++)
		b->blocks[i] = block_new(&f->loop.mem, mem_block_max());
	loop_defer(&f->loop, &b->sent.task, LOOP_FLUSH);
	loop_leave(&f->loop);
}

static void bring_two_bodies(struct fixture *f, size_t bytes)
{
	struct body bodies[2];

	for (int i = 0; i < 2; i++) {
		bodies[i] = (struct body){.sent = {{.run = on_body_sent}, f, 's', NULL}, .bytes = bytes};
		bodies[i].ev = event_new(f->loop.base, -1, 0, on_body, &bodies[i]);
		event_active(bodies[i].ev, EV_READ, 1);
	}
	loop_once(&f->loop, 0);
	for (int i = 0; i < 2; i++)
		event_free(bodies[i].ev);
}

static void small_bodies_are_sent_together_at_the_end_of_a_tick(void **state)
{
	struct fixture *f = *state;

	bring_two_bodies(f, 1000);
	assert_string_equal(f->order, "bbss");
}

static void a_large_body_is_sent_before_the_next_is_taken_in(void **state)
{
	struct fixture *f = *state;
	struct block *held[8];

	/* What others hold for long does not count. */
	for (size_t i = 0; i < COUNT_OF(held); i++)
		held[i] = block_new(&f->loop.mem, mem_block_max());
	bring_two_bodies(f, LOOP_TURN_BYTES);
	assert_string_equal(f->order, "bsbs");
	f->n = 0;
	memset(f->order, 0, sizeof(f->order));
	bring_two_bodies(f, 1000);
	assert_string_equal(f->order, "bbss");
	for (size_t i = 0; i < COUNT_OF(held); i++)
		block_unref(held[i]);
}

static void a_cancelled_task_does_not_run(void **state)
{
	struct fixture *f = *state;
	struct step s = {{.run = run_step}, f, 's', NULL};

	loop_defer(&f->loop, &s.task, LOOP_READY);
	task_cancel(&s.task);
	loop_run_tasks(&f->loop);
	assert_int_equal(f->n, 0);
}

struct timer {
	struct deadline deadline;
	struct fixture *fixture;
	uint64_t fired_ms;
};

static void on_fire(struct deadline *d)
{
	struct timer *t = CONTAINER(d, struct timer, deadline);

	t->fired_ms = t->fixture->loop.now_ms;
}

static void deadlines_never_fire_early_and_can_be_put_off(void **state)
{
	struct fixture *f = *state;
	struct timer a = {{.fire = on_fire}, f, 0}, b = {{.fire = on_fire}, f, 0},
		     c = {{.fire = on_fire}, f, 0};
	uint64_t begin;

	loop_enter(&f->loop);
	begin = f->loop.now_ms;
	deadline_arm(&f->loop, &a.deadline, 150);
	deadline_arm(&f->loop, &b.deadline, 150);
	deadline_arm(&f->loop, &c.deadline, 150);
	deadline_arm(&f->loop, &a.deadline, 400); /* put off */
	deadline_arm(&f->loop, &c.deadline, 0); /* none */
	assert_false(deadline_armed(&c.deadline));
	while (!a.fired_ms)
		loop_once(&f->loop, 1000);
	assert_true(b.fired_ms >= begin + 150 && b.fired_ms <= a.fired_ms);
	assert_true(a.fired_ms >= begin + 400);
	assert_int_equal(c.fired_ms, 0);
	assert_int_equal(f->loop.armed, 0);
}

struct reply {
	struct loop *loop;
	struct deadline patience;
	bool lost;
};

static void on_reply(evutil_socket_t fd, short what, void *arg)
{
	struct reply *r = arg;

	(void)fd;
	(void)what;
	deadline_disarm(r->loop, &r->patience);
}

static void on_patience_end(struct deadline *d)
{
	CONTAINER(d, struct reply, patience)->lost = true;
}

static void what_has_come_in_time_counts_although_nobody_looked_until_too_late(void **state)
{
	struct fixture *f = *state;
	struct reply r = {.loop = &f->loop, .patience.fire = on_patience_end};
	struct event *e;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	e = event_new(f->loop.base, ends[0], EV_READ, on_reply, &r);
	event_add(e, NULL);
	deadline_arm(&f->loop, &r.patience, LOOP_TICK_MS);
	usleep(2 * LOOP_TICK_MS * 1000); /* the thread does not run; the timer is ready first */
	assert_int_equal(write(ends[1], "x", 1), 1);
	for (int i = 0; i < 3; i++)
		loop_once(&f->loop, 0);
	assert_false(deadline_armed(&r.patience));
	assert_false(r.lost);
	event_free(e);
	close(ends[0]);
	close(ends[1]);
}

static void more_lengths_than_queues_still_fire_in_their_order(void **state)
{
	struct fixture *f = *state;
	struct timer timers[LOOP_QUEUES_MAX * 2];
	uint64_t begin;

	loop_enter(&f->loop);
	begin = f->loop.now_ms;
	for (uint32_t i = 0; i < COUNT_OF(timers); i++) {
		timers[i] = (struct timer){{.fire = on_fire}, f, 0};
		deadline_arm(&f->loop, &timers[i].deadline, 1 + i);
	}
	while (f->loop.armed)
		loop_once(&f->loop, 1000);
	for (uint32_t i = 0; i < COUNT_OF(timers); i++)
		assert_true(timers[i].fired_ms >= begin + 1 + i);
}

static void late_by(struct fixture *f, uint32_t ms)
{
	uint32_t ticks = f->loop.timer_ticks;

	usleep((LOOP_TICK_MS + ms) * 1000);
	while (f->loop.timer_ticks == ticks)
		loop_once(&f->loop, 1000);
}

static void only_lateness_that_lasts_counts_and_one_timely_look_ends_it(void **state)
{
	struct fixture *f = *state;
	struct timer a = {{.fire = on_fire}, f, 0};

	loop_enter(&f->loop);
	deadline_arm(&f->loop, &a.deadline, 3600000);
	for (int i = 1; i < LOOP_LOOKS; i++)
		late_by(f, 150);
	assert_int_equal(f->loop.lag_us, 0);
	late_by(f, 150);
	assert_true(f->loop.lag_us >= 40000);
	/* Whatever else the machine does: some look is in time. */
	for (int i = 0; i < 100 && f->loop.lag_us >= 40000; i++)
		loop_once(&f->loop, 1000);
	assert_true(f->loop.lag_us < 40000);
	deadline_disarm(&f->loop, &a.deadline);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			flushing_waits_for_all_that_is_ready_and_freeing_for_all, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			small_bodies_are_sent_together_at_the_end_of_a_tick, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_large_body_is_sent_before_the_next_is_taken_in, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_cancelled_task_does_not_run, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			deadlines_never_fire_early_and_can_be_put_off, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_has_come_in_time_counts_although_nobody_looked_until_too_late, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			more_lengths_than_queues_still_fire_in_their_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			only_lateness_that_lasts_counts_and_one_timely_look_ends_it, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
