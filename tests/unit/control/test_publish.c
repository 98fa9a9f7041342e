/* What pools are worth, told to workers: when everybody follows, and in which order. */
#include "unit.h"
#include <stdlib.h>
#include "base/obj.h"
#include "control/publish.h"

#define WORKERS 3

static struct mailbox box; /* control's */
static struct worker workers[WORKERS];
static struct publisher publisher;
static struct slot slots[2] = {{.number = 0}, {.number = 1}};
static const struct pool blue = {.slot = &slots[0]}, green = {.slot = &slots[1]};
static uint32_t done_n;

static void on_pools_set(struct mail *m, void *control)
{
	struct worker_note *note = CONTAINER(m, struct worker_note, mail);

	publish_followed(control, note->serial);
	free(note);
}

static int set_up(void **state)
{
	(void)state;
	memset(workers, 0, sizeof(workers));
	done_n = 0;
	MUST(mailbox_init(&box) == 0);
	for (int i = 0; i < WORKERS; i++) {
		struct worker *w = &workers[i];

		MUST(mailbox_init(&w->box) == 0);
		w->owner.box = &box;
		w->owner.on_pools_set = on_pools_set;
		list_init(&w->edge.queues);
		w->edge.now = calloc(w->edge.now_n = 2, sizeof(*w->edge.now));
		MUST(w->edge.now);
	}
	publish_init(&publisher, workers, WORKERS);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (int i = 0; i < WORKERS; i++) {
		mailbox_deliver(&workers[i].box, &workers[i]);
		mailbox_free(&workers[i].box);
		free(workers[i].edge.now);
	}
	mailbox_deliver(&box, &publisher);
	publish_free(&publisher);
	mailbox_free(&box);
	return 0;
}

static void on_done(void *ctx)
{
	uint32_t *at = ctx;

	*at = ++done_n;
}

static void publish(uint32_t weight, uint32_t *done)
{
	const struct pool_change changes[] = {
		{&blue, {100 - weight, POOL_WHOLE, POOL_OPEN}},
		{&green, {weight, POOL_WHOLE, POOL_OPEN}},
	};

	publish_pools(&publisher, changes, COUNT_OF(changes), on_done, done);
}

static void deliver(int worker)
{
	mailbox_deliver(&workers[worker].box, &workers[worker]);
	mailbox_deliver(&box, &publisher);
}

static void it_is_done_when_the_last_worker_follows(void **state)
{
	uint32_t done = 0;

	(void)state;
	publish(30, &done);
	deliver(2);
	deliver(0);
	assert_int_equal(done, 0);
	deliver(1);
	assert_int_equal(done, 1);
	for (int i = 0; i < WORKERS; i++) {
		assert_int_equal(workers[i].edge.now[0].weight, 70);
		assert_int_equal(workers[i].edge.now[1].weight, 30);
	}
}

static void later_ones_do_not_wait_and_come_in_order(void **state)
{
	uint32_t first = 0, second = 0;

	(void)state;
	publish(10, &first);
	deliver(0);
	publish(20, &second);
	deliver(0);
	deliver(1);
	assert_int_equal(first, 0);
	deliver(2);
	assert_int_equal(first, 1);
	assert_int_equal(second, 2);
	assert_int_equal(workers[2].edge.now[1].weight, 20);
}

static void a_worker_that_has_ended_still_answers(void **state)
{
	uint32_t done = 0;

	(void)state;
	workers[1].edge.now_n = 0;
	publish(10, &done);
	for (int i = 0; i < WORKERS; i++)
		deliver(i);
	assert_int_equal(done, 1);
	assert_int_equal(workers[1].edge.now[1].weight, 0);
}

static void what_is_pending_at_the_end_is_dropped(void **state)
{
	static uint32_t done;

	(void)state;
	publish(10, &done);
	deliver(0);
	publish_free(&publisher);
	publish(20, &done); /* nobody is left to take it, or to free it */
	deliver(0);
	assert_int_equal(workers[0].edge.now[1].weight, 10);
	assert_int_equal(done_n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(it_is_done_when_the_last_worker_follows, set_up, tear_down),
		cmocka_unit_test_setup_teardown(later_ones_do_not_wait_and_come_in_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_worker_that_has_ended_still_answers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_pending_at_the_end_is_dropped, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
