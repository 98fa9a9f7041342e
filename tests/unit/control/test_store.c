/* The store as control sees it: answers by mail, in order, whatever happens to the file. */
#include "state_dir.h"

#include <event2/event.h>
#include <poll.h>
#include "control/store.h"

struct fixture {
	struct state_dir s;
	struct io_thread io;
	struct loop loop;
	struct mailbox box;
	struct store store;
	char answers[64]; /* '+' done, '-' failed, in order */
	uint32_t n, changed;
	char error[256];
	json_t *events;
};

static void on_changed(void *ctx, bool documents_came)
{
	struct fixture *f = ctx;

	(void)documents_came;
	f->changed++;
}

static void begin_at(struct fixture *f, const char *dir)
{
	struct conf_log log = {.access_path = STR("/dev/null"),
		.events_path = str_of(f->s.events),
		.events_level = CONF_LEVEL_INFO};

	f->io = (struct io_thread){0};
	assert_true(loop_init(&f->loop));
	assert_int_equal(mailbox_init(&f->box), 0);
	store_init(&f->store, &f->io, &f->loop, &f->box);
	f->store.changed = on_changed;
	f->store.ctx = f;
	assert_true(io_thread_start(&f->io));
	io_thread_configure(&f->io, &log);
	store_open(&f->store, dir);
	store_wait(&f->store, NULL);
}

static void stop(struct fixture *f)
{
	io_thread_stop(&f->io);
	mailbox_deliver(&f->box, NULL);
	store_free(&f->store);
	loop_free(&f->loop);
	mailbox_free(&f->box);
}

static void begin(struct fixture *f)
{
	*f = (struct fixture){0};
	state_dir_begin(&f->s);
	begin_at(f, f->s.dir);
}

static void end(struct fixture *f)
{
	stop(f);
	state_dir_end(&f->s);
}

static void on_done(void *ctx, const char *error)
{
	struct fixture *f = ctx;

	f->answers[f->n++] = error ? '-' : '+';
	snprintf(f->error, sizeof(f->error), "%s", error ? error : "");
}

static void wait_for(struct fixture *f, const uint32_t *counter, uint32_t n)
{
	struct pollfd pfd = {.fd = f->box.fd, .events = POLLIN};

	while (*counter < n) {
		assert_int_equal(poll(&pfd, 1, 20000), 1);
		mailbox_deliver(&f->box, NULL);
	}
}

static void commit(struct fixture *f, const char *key, const char *text)
{
	json_t *body = text ? json_string(text) : NULL;
	struct store_write w = {"thing", key, body};

	store_commit(&f->store, &w, 1, on_done, f);
	json_decref(body);
}

static void assert_thing(struct fixture *f, const char *key, const char *want)
{
	json_t *all = store_load(&f->store, "thing");

	if (want)
		assert_string_equal(json_string_value(json_object_get(all, key)), want);
	else
		assert_null(json_object_get(all, key));
	json_decref(all);
}

static void what_was_committed_is_loaded_at_the_next_start(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	commit(&f, "a", "one");
	commit(&f, "b", "two");
	commit(&f, "b", NULL);
	wait_for(&f, &f.n, 3);
	assert_memory_equal(f.answers, "+++", 3);
	stop(&f);
	begin_at(&f, f.s.dir);
	assert_thing(&f, "a", "one");
	assert_thing(&f, "b", NULL);
	store_forget(&f.store);
	assert_thing(&f, "a", NULL);
	end(&f);
}

static void a_commit_that_nobody_waited_for_is_done_before_the_end(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	commit(&f, "a", "last");
	stop(&f);
	assert_memory_equal(f.answers, "+", 1);
	begin_at(&f, f.s.dir);
	assert_thing(&f, "a", "last");
	end(&f);
}

static void without_a_place_changes_are_refused_and_it_is_said_why(void **state)
{
	struct fixture f = {0};
	json_t *status;
	char below[128];

	(void)state;
	state_dir_begin(&f.s);
	snprintf(below, sizeof(below), "%s/events/no", f.s.dir);
	begin_at(&f, below);
	assert_false(f.store.loaded);
	commit(&f, "a", "one");
	wait_for(&f, &f.n, 1);
	assert_memory_equal(f.answers, "-", 1);
	assert_non_null(strstr(f.error, "Not a directory"));
	status = store_status(&f.store);
	assert_false(json_is_true(json_object_get(status, "writable")));
	assert_non_null(json_object_get(status, "error"));
	json_decref(status);
	end(&f);
}

static void a_place_that_comes_later_is_read_and_told_of(void **state)
{
	struct fixture f;
	char moved[128], name[128];

	(void)state;
	begin(&f);
	commit(&f, "a", "one");
	wait_for(&f, &f.n, 1);
	stop(&f);
	snprintf(name, sizeof(name), "%s/place", f.s.dir);
	snprintf(moved, sizeof(moved), "%s/moved.db", f.s.dir);
	assert_int_equal(mkdir(name, 0700), 0);
	assert_int_equal(rename(f.s.db, moved), 0);
	/* A file of another program stands where ours should. */
	snprintf(f.s.db, sizeof(f.s.db), "%s/state.db", f.s.dir);
	state_dir_sql(&f.s, "CREATE TABLE theirs(x)", name, sizeof(name));
	f.n = 0;
	begin_at(&f, f.s.dir);
	assert_int_equal(f.store.fault, STATE_FOREIGN);
	assert_int_equal(rename(moved, f.s.db), 0);
	commit(&f, "a", "two");
	wait_for(&f, &f.n, 1);
	assert_memory_equal(f.answers, "-", 1); /* nobody knew then what was in it */
	assert_int_equal(f.changed, 1);
	assert_true(f.store.loaded);
	assert_thing(&f, "a", "one");
	commit(&f, "a", "two");
	wait_for(&f, &f.n, 2);
	assert_memory_equal(f.answers, "-+", 2);
	end(&f);
}

static void a_full_disk_is_refused_as_such_and_recovered_from(void **state)
{
	struct fixture f;
	char *big = malloc(300001);

	(void)state;
	memset(big, 'x', 300000);
	big[300000] = '\0';
	begin(&f);
	commit(&f, "a", "one");
	wait_for(&f, &f.n, 1);
	state_dir_limit(100000);
	commit(&f, "a", big);
	wait_for(&f, &f.n, 2);
	state_dir_limit(0);
	assert_true(store_is_full(&f.store));
	assert_int_equal(f.changed, 1);
	commit(&f, "a", "two");
	wait_for(&f, &f.n, 3);
	assert_memory_equal(f.answers, "+-+", 3);
	assert_false(store_is_full(&f.store));
	assert_int_equal(f.changed, 2);
	free(big);
	end(&f);
}

static void the_state_moves_to_another_directory(void **state)
{
	struct fixture f;
	char other[128];

	(void)state;
	begin(&f);
	snprintf(other, sizeof(other), "%s/elsewhere", f.s.dir);
	commit(&f, "a", "one");
	store_open(&f.store, other);
	commit(&f, "b", "two");
	wait_for(&f, &f.n, 2);
	stop(&f);
	begin_at(&f, other);
	assert_thing(&f, "a", "one");
	assert_thing(&f, "b", "two");
	end(&f);
}

static void on_events(void *ctx, json_t *events, const char *error)
{
	struct fixture *f = ctx;

	assert_null(error);
	f->events = events;
	f->n++;
}

static void events_can_be_asked_for_though_the_log_leaves_them_out(void **state)
{
	struct fixture f;
	struct conf_log log = {.access_path = STR("/dev/null"),
		.events_path = STR("/dev/null"),
		.events_level = CONF_LEVEL_ERROR};

	(void)state;
	begin(&f);
	io_thread_configure(&f.io, &log);
	event_emit(&f.io, CONF_LEVEL_INFO, "first", json_pack("{s:s}", "author", "ci"));
	event_emit(&f.io, CONF_LEVEL_DEBUG, "unheard", NULL);
	event_emit(&f.io, CONF_LEVEL_INFO, "second", NULL);
	store_events(&f.store, 0, 0, 0, 10, on_events, &f);
	wait_for(&f, &f.n, 1);
	assert_int_equal(json_array_size(f.events), 2);
	assert_string_equal(json_string_value(json_object_get(json_array_get(f.events, 0), "author")), "ci");
	json_decref(f.events);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_committed_is_loaded_at_the_next_start),
		cmocka_unit_test(a_commit_that_nobody_waited_for_is_done_before_the_end),
		cmocka_unit_test(without_a_place_changes_are_refused_and_it_is_said_why),
		cmocka_unit_test(a_place_that_comes_later_is_read_and_told_of),
		cmocka_unit_test(a_full_disk_is_refused_as_such_and_recovered_from),
		cmocka_unit_test(the_state_moves_to_another_directory),
		cmocka_unit_test(events_can_be_asked_for_though_the_log_leaves_them_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
