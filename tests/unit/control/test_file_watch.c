/* control/file_watch.h, on a clock of the test's own: what is told, when, and what is not. */
#include "unit.h"
#include <sys/stat.h>
#include <unistd.h>
#include "base/obj.h"
#include "control/file_watch.h"
#include "control/io_thread.h"

#define LOOK_MS 300 /* at least so long between two looks */

struct bench {
	struct io_thread io; /* it never runs: the test does what it would do */
	struct mailbox box; /* the owner's */
	char dir[64], path[96];
	uint64_t now_ms;
	struct file_watch *watch;
	uint32_t told; /* how often there was news */
	char text[256], error[256]; /* of the last news */
};

static void on_news(struct str text, const char *error, void *ctx)
{
	struct bench *b = ctx;

	b->told++;
	snprintf(b->text, sizeof(b->text), STR_FMT, STR_ARG(text));
	snprintf(b->error, sizeof(b->error), "%s", error ? error : "");
}

static int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	MUST(b && mailbox_init(&b->io.box) == 0 && mailbox_init(&b->box) == 0);
	list_init(&b->io.files);
	strcpy(b->dir, "/tmp/weir-watch-XXXXXX");
	MUST(mkdtemp(b->dir));
	snprintf(b->path, sizeof(b->path), "%s/list", b->dir);
	b->now_ms = 1000;
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	file_watch_end(&b->watch);
	mailbox_deliver(&b->io.box, &b->io);
	mailbox_deliver(&b->box, NULL);
	mailbox_free(&b->io.box);
	mailbox_free(&b->box);
	unlink(b->path);
	rmdir(b->dir);
	free(b);
	return 0;
}

static void watch(struct bench *b, size_t max)
{
	b->watch = file_watch_new(&b->io, &b->box, b->path, max, on_news, b);
	mailbox_deliver(&b->io.box, &b->io);
}

/* Every content here has another length: files that are written within one tick of the clock differ in nothing else. */
static void write_to(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	MUST(f);
	fputs(text, f);
	fclose(f);
}

/* The next look at it; how often there was news by then. */
static uint32_t look(struct bench *b)
{
	b->now_ms += LOOK_MS;
	file_watches_look(&b->io.files, b->now_ms);
	mailbox_deliver(&b->box, NULL);
	return b->told;
}

static void what_is_there_is_told_at_the_first_look_and_once(void **state)
{
	struct bench *b = *state;

	write_to(b->path, "one");
	watch(b, 100);
	assert_int_equal(look(b), 1);
	assert_string_equal(b->text, "one");
	assert_string_equal(b->error, "");
	assert_int_equal(look(b), 1);
	assert_int_equal(look(b), 1);
}

static void a_change_is_told_when_it_has_rested_for_a_look(void **state)
{
	struct bench *b = *state;

	write_to(b->path, "1");
	watch(b, 100);
	look(b);
	write_to(b->path, "12");
	assert_int_equal(look(b), 1);
	write_to(b->path, "123");
	assert_int_equal(look(b), 1); /* still being written */
	assert_int_equal(look(b), 2);
	assert_string_equal(b->text, "123");
}

static void nobody_looks_before_it_is_time(void **state)
{
	struct bench *b = *state;

	write_to(b->path, "1");
	watch(b, 100);
	look(b);
	write_to(b->path, "12");
	look(b);
	file_watches_look(&b->io.files, b->now_ms + LOOK_MS - 1);
	mailbox_deliver(&b->box, NULL);
	assert_int_equal(b->told, 1);
}

static void a_file_that_is_replaced_by_rename_is_another_one(void **state)
{
	struct bench *b = *state;
	char next[128];

	snprintf(next, sizeof(next), "%s.new", b->path);
	write_to(b->path, "one");
	watch(b, 100);
	look(b);
	write_to(next, "two"); /* as long as the first: the inode tells */
	assert_int_equal(rename(next, b->path), 0);
	look(b);
	assert_int_equal(look(b), 2);
	assert_string_equal(b->text, "two");
}

static void one_that_goes_is_told_of_once_and_counts_again_when_it_is_back(void **state)
{
	struct bench *b = *state;

	write_to(b->path, "one");
	watch(b, 100);
	look(b);
	unlink(b->path);
	assert_int_equal(look(b), 2);
	assert_string_equal(b->error, "No such file or directory");
	assert_int_equal(look(b), 2);
	write_to(b->path, "back");
	look(b);
	assert_int_equal(look(b), 3);
	assert_string_equal(b->text, "back");
}

static void one_that_was_never_there_is_told_of_at_once(void **state)
{
	struct bench *b = *state;

	watch(b, 100);
	assert_int_equal(look(b), 1);
	assert_string_equal(b->error, "No such file or directory");
}

static void what_cannot_be_read_is_told_with_the_reason_and_once(void **state)
{
	struct bench *b = *state;

	write_to(b->path, "longer than that");
	watch(b, 10);
	assert_int_equal(look(b), 1);
	assert_string_equal(b->error, "it is too large");
	assert_int_equal(look(b), 1);
	write_to(b->path, "short");
	look(b);
	assert_int_equal(look(b), 2);
	assert_string_equal(b->text, "short");
}

static void a_directory_is_no_list(void **state)
{
	struct bench *b = *state;

	snprintf(b->path, sizeof(b->path), "%s", b->dir);
	watch(b, 100);
	look(b);
	assert_string_equal(b->error, "it is a directory");
}

static void without_a_limit_only_that_it_is_another_one_is_told(void **state)
{
	struct bench *b = *state;

	write_to(b->path, "secret");
	watch(b, 0);
	assert_int_equal(look(b), 1);
	assert_string_equal(b->text, "");
	assert_string_equal(b->error, "");
}

static void nothing_is_told_once_it_has_ended(void **state)
{
	struct bench *b = *state;

	write_to(b->path, "one");
	watch(b, 100);
	file_watches_look(&b->io.files, b->now_ms); /* news is on its way */
	file_watch_end(&b->watch);
	assert_null(b->watch);
	mailbox_deliver(&b->box, NULL);
	mailbox_deliver(&b->io.box, &b->io);
	assert_true(list_empty(&b->io.files));
	assert_int_equal(look(b), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(what_is_there_is_told_at_the_first_look_and_once),
		CASE(a_change_is_told_when_it_has_rested_for_a_look),
		CASE(nobody_looks_before_it_is_time),
		CASE(a_file_that_is_replaced_by_rename_is_another_one),
		CASE(one_that_goes_is_told_of_once_and_counts_again_when_it_is_back),
		CASE(one_that_was_never_there_is_told_of_at_once),
		CASE(what_cannot_be_read_is_told_with_the_reason_and_once),
		CASE(a_directory_is_no_list),
		CASE(without_a_limit_only_that_it_is_another_one_is_told),
		CASE(nothing_is_told_once_it_has_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
