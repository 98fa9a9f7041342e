/* The file that must not be lost: what it holds, and what becomes of it when it is damaged, full, taken away or somebody else's. */
#include "state_dir.h"

#include <glob.h>

static bool put(struct state_db *d, const char *key, const char *body)
{
	struct state_change c = {(char *)"thing", (char *)key, (char *)body};

	return state_db_write(d, &c, 1);
}

static const char *get(const struct state_db *d, const char *key)
{
	return json_string_value(json_object_get(json_object_get(d->documents, "thing"), key));
}

/* The same file, read by a process that comes later. */
static void reopen(struct state_dir *s, struct state_db *d)
{
	state_db_free(d);
	state_db_init(d, &s->io, s->dir);
	assert_true(state_db_load(d));
}

static void begin(struct state_dir *s, struct state_db *d)
{
	state_dir_begin(s);
	state_db_init(d, &s->io, s->dir);
	assert_true(state_db_load(d));
}

static void end(struct state_dir *s, struct state_db *d)
{
	state_db_free(d);
	state_dir_end(s);
}

static bool overwrite(const struct state_dir *s, const char *bytes, size_t n, off_t at)
{
	int fd = open(s->db, O_WRONLY | O_CREAT, 0600);
	bool good = fd >= 0 && pwrite(fd, bytes, n, at) == (ssize_t)n;

	close(fd);
	return good;
}

static size_t set_aside(const struct state_dir *s)
{
	char pattern[128];
	glob_t found = {0};
	size_t n;

	snprintf(pattern, sizeof(pattern), "%s.corrupt-*Z", s->db);
	n = glob(pattern, 0, NULL, &found) == 0 ? found.gl_pathc : 0;
	globfree(&found);
	return n;
}

static void what_another_process_has_changed_holds_and_the_write_that_meets_it_is_refused(void **state)
{
	struct state_dir s;
	struct state_db d, other;

	(void)state;
	begin(&s, &d);
	assert_true(put(&d, "a", "1"));
	state_db_init(&other, &s.io, s.dir);
	assert_true(state_db_load(&other));
	assert_true(put(&other, "a", "2"));
	assert_false(put(&d, "a", "3"));
	assert_true(d.changed);
	assert_int_equal(d.fault, STATE_WELL);
	assert_non_null(strstr(d.error, "changed by another process"));
	assert_string_equal(get(&d, "a"), "2");
	d.changed = false;
	assert_true(put(&d, "a", "4"));
	assert_true(state_db_look(&other));
	assert_string_equal(get(&other, "a"), "4");
	state_db_free(&other);
	end(&s, &d);
}

static void events_of_another_process_are_no_change(void **state)
{
	struct state_dir s;
	struct state_db d, other;
	json_t *lines = json_pack(
		"[{s:s, s:s, s:s}]", "time", "2026-01-01T00:00:00.000Z", "level", "info", "event", "health");

	(void)state;
	begin(&s, &d);
	assert_true(put(&d, "a", "1"));
	state_db_init(&other, &s.io, s.dir);
	assert_true(state_db_load(&other));
	assert_true(state_db_add_events(&other, lines));
	assert_false(state_db_look(&d));
	assert_true(put(&d, "a", "2"));
	json_decref(lines);
	state_db_free(&other);
	end(&s, &d);
}

static void documents_are_there_when_it_is_opened_again(void **state)
{
	struct state_dir s;
	struct state_db d;

	(void)state;
	begin(&s, &d);
	assert_true(put(&d, "a", "1"));
	assert_true(put(&d, "b", "2"));
	assert_true(put(&d, "a", "3"));
	assert_true(put(&d, "b", NULL));
	reopen(&s, &d);
	assert_string_equal(get(&d, "a"), "3");
	assert_null(get(&d, "b"));
	end(&s, &d);
}

static void the_log_is_synced_with_every_transaction(void **state)
{
	struct state_dir s;
	struct state_db d;
	sqlite3_stmt *stmt;

	(void)state;
	begin(&s, &d);
	assert_int_equal(sqlite3_prepare_v2(d.db, "PRAGMA synchronous", -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	assert_int_equal(sqlite3_column_int(stmt, 0), 2); /* FULL */
	sqlite3_finalize(stmt);
	assert_int_equal(sqlite3_prepare_v2(d.db, "PRAGMA journal_mode", -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	assert_string_equal(sqlite3_column_text(stmt, 0), "wal");
	sqlite3_finalize(stmt);
	end(&s, &d);
}

static void others_may_not_read_it(void **state)
{
	struct state_dir s;
	struct state_db d;
	struct stat st;

	(void)state;
	begin(&s, &d);
	assert_int_equal(stat(s.db, &st), 0);
	assert_int_equal(st.st_mode & 07, 0);
	end(&s, &d);
}

static void a_damaged_file_is_set_aside_and_a_new_one_begun(void **state)
{
	struct state_dir s;
	struct state_db d;

	(void)state;
	state_dir_begin(&s);
	assert_true(overwrite(&s, "this is no database, and long enough to be looked at", 52, 0));
	state_db_init(&d, &s.io, s.dir);
	assert_true(state_db_load(&d));
	assert_int_equal(set_aside(&s), 1);
	assert_true(state_dir_told(&s, "state_corrupt"));
	assert_true(put(&d, "a", "1"));
	reopen(&s, &d);
	assert_string_equal(get(&d, "a"), "1");
	end(&s, &d);
}

static void a_file_with_damaged_pages_is_set_aside(void **state)
{
	struct state_dir s;
	struct state_db d;
	char garbage[4096];
	struct stat st;

	(void)state;
	begin(&s, &d);
	assert_true(put(&d, "a", "1"));
	state_db_free(&d);
	memset(garbage, 0xa5, sizeof(garbage));
	assert_int_equal(stat(s.db, &st), 0);
	for (off_t at = 4096; at < st.st_size; at += 4096)
		assert_true(overwrite(&s, garbage, sizeof(garbage), at));
	state_db_init(&d, &s.io, s.dir);
	assert_true(state_db_load(&d));
	assert_int_equal(set_aside(&s), 1);
	assert_null(get(&d, "a"));
	assert_true(put(&d, "a", "2"));
	end(&s, &d);
}

static void a_file_of_a_newer_weir_is_left_alone(void **state)
{
	struct state_dir s;
	struct state_db d;
	char answer[64];

	(void)state;
	begin(&s, &d);
	assert_true(put(&d, "a", "1"));
	state_db_free(&d);
	state_dir_sql(&s, "PRAGMA user_version = 99", answer, sizeof(answer));
	state_db_init(&d, &s.io, s.dir);
	assert_false(state_db_load(&d));
	assert_int_equal(d.fault, STATE_FOREIGN);
	assert_non_null(strstr(d.error, "newer weir"));
	assert_int_equal(set_aside(&s), 0);
	state_dir_sql(&s, "SELECT body FROM documents WHERE key = 'a'", answer, sizeof(answer));
	assert_string_equal(answer, "1");
	end(&s, &d);
}

static void a_database_of_another_program_is_left_alone(void **state)
{
	struct state_dir s;
	struct state_db d;
	char answer[64];

	(void)state;
	state_dir_begin(&s);
	state_dir_sql(&s, "CREATE TABLE theirs(x)", answer, sizeof(answer));
	state_db_init(&d, &s.io, s.dir);
	assert_false(state_db_load(&d));
	assert_int_equal(d.fault, STATE_FOREIGN);
	assert_non_null(strstr(d.error, "is not weir's"));
	state_dir_sql(&s, "SELECT name FROM sqlite_master", answer, sizeof(answer));
	assert_string_equal(answer, "theirs");
	end(&s, &d);
}

static void a_full_disk_leaves_the_old_state_and_is_told_as_such(void **state)
{
	struct state_dir s;
	struct state_db d;
	char *big = malloc(300001);

	(void)state;
	memset(big, 'x', 300000);
	big[300000] = '\0';
	begin(&s, &d);
	assert_true(put(&d, "a", "1"));
	state_dir_limit(100000);
	assert_false(put(&d, "a", big));
	assert_int_equal(d.fault, STATE_FULL);
	assert_string_equal(get(&d, "a"), "1");
	state_dir_limit(0);
	assert_true(put(&d, "b", "2"));
	assert_int_equal(d.fault, STATE_WELL);
	reopen(&s, &d);
	assert_string_equal(get(&d, "a"), "1");
	assert_string_equal(get(&d, "b"), "2");
	free(big);
	end(&s, &d);
}

static void a_transaction_is_whole_or_not_at_all(void **state)
{
	struct state_dir s;
	struct state_db d;
	char *big = malloc(300001);
	struct state_change both[] = {
		{(char *)"thing", (char *)"a", (char *)"new"}, {(char *)"thing", (char *)"b", big}};

	(void)state;
	memset(big, 'x', 300000);
	big[300000] = '\0';
	begin(&s, &d);
	assert_true(put(&d, "a", "old"));
	state_dir_limit(100000);
	assert_false(state_db_write(&d, both, 2));
	state_dir_limit(0);
	reopen(&s, &d);
	assert_string_equal(get(&d, "a"), "old");
	assert_null(get(&d, "b"));
	free(big);
	end(&s, &d);
}

static void a_directory_that_cannot_be_had_is_told_of(void **state)
{
	struct state_dir s;
	struct state_db d;
	char below[128], err[256];

	(void)state;
	state_dir_begin(&s);
	snprintf(below, sizeof(below), "%s/events/state", s.dir); /* "events" is a file */
	assert_false(state_dir_make(below, NULL, err, sizeof(err)));
	assert_non_null(strstr(err, "Not a directory"));
	state_db_init(&d, &s.io, below);
	assert_false(state_db_load(&d));
	assert_int_equal(d.fault, STATE_UNWRITABLE);
	end(&s, &d);
}

static void missing_directories_are_made(void **state)
{
	struct state_dir s;
	char below[128], err[256];
	struct stat st;

	(void)state;
	state_dir_begin(&s);
	snprintf(below, sizeof(below), "%s/one/two", s.dir);
	assert_true(state_dir_make(below, NULL, err, sizeof(err)));
	assert_true(state_dir_make(below, NULL, err, sizeof(err)));
	assert_int_equal(stat(below, &st), 0);
	assert_int_equal(st.st_mode & 07, 0);
	state_dir_end(&s);
}

static void a_file_that_was_deleted_is_written_anew(void **state)
{
	struct state_dir s;
	struct state_db d;

	(void)state;
	begin(&s, &d);
	assert_true(put(&d, "a", "1"));
	assert_int_equal(unlink(s.db), 0);
	assert_true(put(&d, "b", "2"));
	assert_true(state_dir_told(&s, "state_replaced"));
	reopen(&s, &d);
	assert_string_equal(get(&d, "a"), "1");
	assert_string_equal(get(&d, "b"), "2");
	end(&s, &d);
}

static void a_file_that_is_held_by_another_process_is_busy_and_then_is_not(void **state)
{
	struct state_dir s;
	struct state_db d;
	sqlite3 *other;

	(void)state;
	begin(&s, &d);
	assert_int_equal(sqlite3_open(s.db, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	assert_false(put(&d, "a", "1"));
	assert_int_equal(d.fault, STATE_BUSY);
	assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	assert_true(put(&d, "a", "1"));
	sqlite3_close(other);
	end(&s, &d);
}

static void two_processes_may_use_it_at_once(void **state)
{
	struct state_dir s;
	struct state_db d, other;

	(void)state;
	begin(&s, &d);
	state_db_init(&other, &s.io, s.dir);
	assert_true(state_db_load(&other));
	for (int i = 0; i < 20; i++) {
		assert_true(put(&d, "a", i % 2 ? "odd" : "even"));
		if (!put(&other, "b", i % 2 ? "odd" : "even"))
			fail_msg("%s", other.error);
	}
	state_db_free(&other);
	reopen(&s, &d);
	assert_string_equal(get(&d, "a"), "odd");
	assert_string_equal(get(&d, "b"), "odd");
	end(&s, &d);
}

static void events_are_kept_with_who_and_why_and_come_back_as_they_were(void **state)
{
	struct state_dir s;
	struct state_db d;
	json_t *lines, *got, *seq;

	(void)state;
	begin(&s, &d);
	lines = json_pack("[{s:s, s:s, s:s, s:s, s:s, s:i}, {s:s, s:s, s:s}]", "time",
		"2031-05-06T07:08:09.123Z", "level", "info", "event", "changed", "author", "ci", "reason",
		"a canary", "version", 7, "time", "2031-05-06T07:08:10.000Z", "level", "info", "event",
		"later");
	assert_true(state_db_add_events(&d, lines));
	reopen(&s, &d);
	got = state_db_events(&d, 0, 0, 0, 100);
	assert_int_equal(json_array_size(got), 2);
	seq = json_object_get(json_array_get(got, 0), "number");
	assert_int_equal(json_integer_value(seq), 1);
	json_object_del(json_array_get(got, 0), "number");
	assert_true(json_equal(json_array_get(got, 0), json_array_get(lines, 0)));
	json_decref(got);
	got = state_db_events(&d, 1, 0, 0, 100);
	assert_int_equal(json_array_size(got), 1);
	json_decref(got);
	got = state_db_events(&d, 0, 0, 0, 1); /* the oldest one */
	assert_string_equal(json_string_value(json_object_get(json_array_get(got, 0), "event")), "changed");
	json_decref(got);
	got = state_db_events(&d, 0, 2, 0, 100);
	assert_int_equal(json_array_size(got), 1);
	json_decref(got);
	json_decref(lines);
	end(&s, &d);
}

static void numbers_of_events_go_on_and_two_processes_share_them(void **state)
{
	struct state_dir s;
	struct state_db d, other;
	json_t *lines = json_pack("[{s:s, s:s, s:s, s:i}, {s:s, s:s, s:s, s:i}]", "time",
		"2031-05-06T07:08:09.123Z", "level", "info", "event", "a", "number", 3, "time",
		"2031-05-06T07:08:09.123Z", "level", "info", "event", "b", "number", 7);
	json_t *got;

	(void)state;
	begin(&s, &d);
	assert_true(state_db_add_events(&d, lines));
	state_db_init(&other, &s.io, s.dir);
	assert_true(state_db_load(&other));
	assert_int_equal(other.numbered_from, 7 + STATE_DB_NUMBERS_LEFT);
	assert_true(state_db_add_events(&other, lines));
	assert_true(state_db_add_events(&d, lines)); /* taken already: they follow */
	got = state_db_events(&d, 0, 0, 0, 100);
	assert_int_equal(json_array_size(got), 6);
	for (size_t i = 0; i < 6; i++) {
		static const int want[] = {3, 7, 7 + STATE_DB_NUMBERS_LEFT + 3, 7 + STATE_DB_NUMBERS_LEFT + 7,
			7 + STATE_DB_NUMBERS_LEFT + 8, 7 + STATE_DB_NUMBERS_LEFT + 9};

		assert_int_equal(
			json_integer_value(json_object_get(json_array_get(got, i), "number")), want[i]);
	}
	json_decref(got);
	json_decref(lines);
	state_db_free(&other);
	end(&s, &d);
}

static void old_events_make_room(void **state)
{
	struct state_dir s;
	struct state_db d;
	json_t *lines = json_array(), *line, *got;

	(void)state;
	begin(&s, &d);
	line = json_pack(
		"{s:s, s:s, s:s}", "time", "2031-05-06T07:08:09.123Z", "level", "info", "event", "e");
	for (int i = 0; i < STATE_DB_EVENTS_MAX; i++)
		json_array_append(lines, line);
	if (!state_db_add_events(&d, lines))
		fail_msg("%s", d.error);
	assert_true(state_db_add_events(&d, lines));
	got = state_db_events(&d, 0, 0, 0, 3 * STATE_DB_EVENTS_MAX);
	assert_int_equal(json_array_size(got), STATE_DB_EVENTS_MAX);
	json_decref(got);
	json_array_clear(lines);
	json_object_set_new(line, "time", json_string("2001-01-01T00:00:00.000Z"));
	json_array_append_new(lines, line);
	assert_true(state_db_add_events(&d, lines));
	got = state_db_events(&d, 2 * STATE_DB_EVENTS_MAX, 0, 0, 10);
	assert_int_equal(json_array_size(got), 0); /* older than it may be */
	json_decref(got);
	json_decref(lines);
	end(&s, &d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(documents_are_there_when_it_is_opened_again),
		cmocka_unit_test(
			what_another_process_has_changed_holds_and_the_write_that_meets_it_is_refused),
		cmocka_unit_test(events_of_another_process_are_no_change),
		cmocka_unit_test(the_log_is_synced_with_every_transaction),
		cmocka_unit_test(others_may_not_read_it),
		cmocka_unit_test(a_damaged_file_is_set_aside_and_a_new_one_begun),
		cmocka_unit_test(a_file_with_damaged_pages_is_set_aside),
		cmocka_unit_test(a_file_of_a_newer_weir_is_left_alone),
		cmocka_unit_test(a_database_of_another_program_is_left_alone),
		cmocka_unit_test(a_full_disk_leaves_the_old_state_and_is_told_as_such),
		cmocka_unit_test(a_transaction_is_whole_or_not_at_all),
		cmocka_unit_test(a_directory_that_cannot_be_had_is_told_of),
		cmocka_unit_test(missing_directories_are_made),
		cmocka_unit_test(a_file_that_was_deleted_is_written_anew),
		cmocka_unit_test(a_file_that_is_held_by_another_process_is_busy_and_then_is_not),
		cmocka_unit_test(two_processes_may_use_it_at_once),
		cmocka_unit_test(events_are_kept_with_who_and_why_and_come_back_as_they_were),
		cmocka_unit_test(numbers_of_events_go_on_and_two_processes_share_them),
		cmocka_unit_test(old_events_make_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
