/* What a supervisor finds that was another program before: written by an older or a newer one, or by nobody that it knows. */
#include "unit.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include "control/orders.h"
#include "supervisor/manifest.h"
#include "supervisor/supervisor.h"

struct bench {
	struct supervisor s;
	int channel[2], crash[2], socket;
};

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	b->s = (struct supervisor){
		.config = "none.yaml", .program = strdup("/bin/true"), .program_fd = -1, .notify.fd = -1};
	assert_true(supervisor_set_up(&b->s));
	assert_true(channel_pair(b->channel));
	assert_int_equal(pipe(b->crash), 0);
	b->socket = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(b->socket, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(b->socket, 1), 0);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	supervisor_tear_down(&b->s);
	close(b->channel[1]);
	close(b->crash[1]);
	free(b);
	return 0;
}

static json_t *manifest_of(const struct bench *b, int version)
{
	return json_pack("{s:i, s:[{s:i, s:i, s:i, s:b, s:b}], s:[{s:s, s:[i]}]}", "version", version,
		"processes", "pid", 4711, "channel", b->channel[0], "crash", b->crash[0], "current", 1,
		"ready", 1, "sockets", "address", "127.0.0.1:0", "fds", b->socket);
}

static void close_rest(const struct bench *b)
{
	close(b->channel[0]);
	close(b->crash[0]);
	close(b->socket);
}

static void children_and_sockets_are_taken_over_and_close_on_exec_again(void **state)
{
	struct bench *b = *state;
	json_t *m = manifest_of(b, SUPERVISOR_MANIFEST);

	assert_true(manifest_load(&b->s, m));
	json_decref(m);
	assert_non_null(b->s.current);
	assert_int_equal(b->s.current->pid, 4711);
	assert_true(b->s.current->ready);
	assert_non_null(listener_sockets_find(&b->s.sockets.all, STR("127.0.0.1:0")));
	assert_true(fcntl(b->socket, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(b->crash[0], F_GETFD) & FD_CLOEXEC);
}

static void what_a_newer_one_has_added_is_passed_over_and_what_an_older_one_lacks_has_a_default(void **state)
{
	struct bench *b = *state;
	json_t *m = manifest_of(b, SUPERVISOR_MANIFEST);

	json_object_set_new(m, "weather", json_pack("{s:[i, i]}", "sun", 1, 2));
	json_object_set_new(json_array_get(json_object_get(m, "processes"), 0), "mood", json_string("good"));
	assert_true(manifest_load(&b->s, m));
	json_decref(m);
	assert_int_equal(b->s.reload_asked, 0);
	assert_null(b->s.last_reload);
	assert_null(b->s.current->keep);
	assert_int_equal(b->s.notify.fd, -1);
}

static void an_upgrade_that_was_not_told_of_yet_is_told_by_the_next_one(void **state)
{
	struct bench *b = *state;
	json_t *m = manifest_of(b, SUPERVISOR_MANIFEST);
	json_t *process = json_array_get(json_object_get(m, "processes"), 0);
	struct process *p;

	json_object_set_new(process, "current", json_false());
	json_object_set_new(process, "replaced", json_pack("{s:s}", "outcome", "applied"));
	assert_true(manifest_load(&b->s, m));
	json_decref(m);
	p = CONTAINER(list_first(&b->s.processes), struct process, link);
	m = manifest_save(&b->s);
	process = json_array_get(json_object_get(m, "processes"), 0);
	assert_non_null(json_object_get(process, "replaced"));
	json_decref(m);
	/* Once, whether it says so or dies: no process serves in this test, so the line waits for one. */
	upgrade_left(&b->s, p);
	upgrade_left(&b->s, p);
	assert_int_equal(json_array_size(b->s.events), 1);
}

static void another_version_is_refused(void **state)
{
	struct bench *b = *state;

	for (int version = SUPERVISOR_MANIFEST_OLDEST - 1; version <= SUPERVISOR_MANIFEST + 1; version++) {
		json_t *m = manifest_of(b, version);

		if (version < SUPERVISOR_MANIFEST_OLDEST || version > SUPERVISOR_MANIFEST)
			assert_false(manifest_load(&b->s, m));
		json_decref(m);
	}
	assert_null(b->s.current);
	close_rest(b);
}

static void descriptors_that_are_not_open_are_nobodys(void **state)
{
	struct bench *b = *state;
	json_t *m = manifest_of(b, SUPERVISOR_MANIFEST);

	close_rest(b);
	assert_true(manifest_load(&b->s, m));
	json_decref(m);
	assert_null(b->s.current);
	assert_null(listener_sockets_find(&b->s.sockets.all, STR("127.0.0.1:0")));
}

static void what_one_leaves_the_next_finds(void **state)
{
	struct bench *b = *state;
	json_t *m = manifest_of(b, SUPERVISOR_MANIFEST), *again, *process;

	json_object_set_new(m, "reload_asked", json_integer(7));
	json_object_set_new(m, "user", json_pack("{s:s, s:i, s:i}", "name", "weir", "uid", 123, "gid", 456));
	assert_true(manifest_load(&b->s, m));
	json_decref(m);
	again = manifest_save(&b->s);
	process = json_array_get(json_object_get(again, "processes"), 0);
	assert_int_equal(json_integer_value(json_object_get(again, "version")), SUPERVISOR_MANIFEST);
	assert_int_equal(json_integer_value(json_object_get(again, "reload_asked")), 7);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(again, "user"), "gid")), 456);
	assert_int_equal(json_integer_value(json_object_get(process, "channel")), b->channel[0]);
	assert_true(json_is_true(json_object_get(process, "current")));
	json_decref(again);
}

static void a_variable_that_names_no_file_is_no_manifest(void **state)
{
	(void)state;
	setenv("WEIR_SUPERVISOR_MANIFEST", "0", 1);
	assert_null(manifest_inherited());
	assert_null(getenv("WEIR_SUPERVISOR_MANIFEST"));
	setenv("WEIR_SUPERVISOR_MANIFEST", "99999", 1);
	assert_null(manifest_inherited());
	assert_null(manifest_inherited());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			children_and_sockets_are_taken_over_and_close_on_exec_again, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_a_newer_one_has_added_is_passed_over_and_what_an_older_one_lacks_has_a_default,
			setup, teardown),
		cmocka_unit_test_setup_teardown(
			an_upgrade_that_was_not_told_of_yet_is_told_by_the_next_one, setup, teardown),
		cmocka_unit_test_setup_teardown(another_version_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(descriptors_that_are_not_open_are_nobodys, setup, teardown),
		cmocka_unit_test_setup_teardown(what_one_leaves_the_next_finds, setup, teardown),
		cmocka_unit_test(a_variable_that_names_no_file_is_no_manifest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
