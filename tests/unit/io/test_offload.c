/* io/offload.c: what a helper thread does for a loop, and what becomes of it when the loop has let go. */
#include "unit.h"
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include "base/obj.h"
#include "io/offload.h"

struct fake_job {
	struct offload_job job;
	atomic_uint *done_here, *done_there;
	sem_t *gate; /* the helper waits for it; NULL: it does not */
	bool worked;
};

static void work(struct offload_job *job)
{
	struct fake_job *f = CONTAINER(job, struct fake_job, job);

	if (f->gate)
		sem_wait(f->gate);
	f->worked = true;
}

static void done(struct offload_job *job, bool here)
{
	struct fake_job *f = CONTAINER(job, struct fake_job, job);
	atomic_uint *count = here ? f->done_here : f->done_there;

	assert_true(f->worked);
	free(f);
	atomic_fetch_add(count, 1);
}

struct bench {
	struct loop loop;
	struct offload *offload;
	atomic_uint done_here, done_there;
	sem_t gate;
};

static struct fake_job *job_new(struct bench *b, bool gated)
{
	struct fake_job *f = calloc(1, sizeof(*f));

	MUST(f);
	f->job.work = work;
	f->job.done = done;
	f->done_here = &b->done_here;
	f->done_there = &b->done_there;
	f->gate = gated ? &b->gate : NULL;
	return f;
}

static void bench_init(struct bench *b)
{
	MUST(loop_init(&b->loop) && sem_init(&b->gate, 0, 0) == 0);
	b->offload = offload_new(&b->loop);
}

static void bench_free(struct bench *b)
{
	offload_free(&b->offload);
	loop_free(&b->loop);
	sem_destroy(&b->gate);
}

static void jobs_come_back_to_the_loop(void **state)
{
	struct bench b = {0};

	(void)state;
	bench_init(&b);
	for (unsigned i = 0; i < 10; i++)
		assert_true(offload_run(b.offload, &job_new(&b, false)->job));
	while (b.done_here < 10)
		loop_once(&b.loop, -1);
	bench_free(&b);
}

static void no_more_than_so_many_wait(void **state)
{
	struct bench b = {0};
	struct fake_job *one_more;

	(void)state;
	bench_init(&b);
	for (unsigned i = 0; i < OFFLOAD_WAITING_MAX; i++)
		assert_true(offload_run(b.offload, &job_new(&b, true)->job));
	one_more = job_new(&b, false);
	assert_false(offload_run(b.offload, &one_more->job));
	for (unsigned i = 0; i < OFFLOAD_WAITING_MAX; i++)
		sem_post(&b.gate);
	while (b.done_here < OFFLOAD_WAITING_MAX)
		loop_once(&b.loop, -1);
	assert_true(offload_run(b.offload, &one_more->job));
	while (b.done_here <= OFFLOAD_WAITING_MAX)
		loop_once(&b.loop, -1);
	bench_free(&b);
}

static void whoever_lets_go_waits_for_nobody(void **state)
{
	struct bench b = {0};

	(void)state;
	bench_init(&b);
	for (unsigned i = 0; i < 3; i++)
		assert_true(offload_run(b.offload, &job_new(&b, true)->job));
	offload_free(&b.offload);
	assert_null(b.offload);
	for (unsigned i = 0; i < 3; i++)
		sem_post(&b.gate);
	while (b.done_there < 3)
		sched_yield();
	assert_int_equal(b.done_here, 0);
	bench_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(jobs_come_back_to_the_loop),
		cmocka_unit_test(no_more_than_so_many_wait),
		cmocka_unit_test(whoever_lets_go_waits_for_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
