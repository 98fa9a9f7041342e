/* control/last_good.c: what is kept of a configuration, and who is believed. */
#include "unit.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/obj.h"
#include "control/last_good.h"

#define GOOD \
	"listeners: {http: {address: \"127.0.0.1:0\"}}\n" \
	"tenants: {acme: {hosts: [a.test], services: {shop: {pools: {blue: {backends: " \
	"[\"127.0.0.1:1\"]}}}}}}\n"

static char dir[] = "/tmp/weir-last-good-XXXXXX";
static char config[64];

static void write_config(const char *text)
{
	FILE *f = fopen(config, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static struct conf *load_good(void)
{
	struct conf_report report;
	struct conf *c;

	write_config(GOOD);
	c = conf_load(config, &report);
	assert_non_null(c);
	conf_report_free(&report);
	return c;
}

/* What is kept loads as the configuration did. */
static void assert_holds(int fd, const struct conf *c)
{
	struct conf_report report;
	struct conf *kept;

	assert_true(fd >= 0);
	kept = last_good_load(fd, &report);
	assert_non_null(kept);
	assert_int_equal(kept->tenant_n, c->tenant_n);
	assert_true(kept->fingerprint == c->fingerprint);
	conf_report_free(&report);
	conf_free(kept);
}

static void what_was_kept_loads_as_the_file_did(void **state)
{
	struct conf *c = load_good();
	int fd = last_good_hold(config, c);

	(void)state;
	unlink(config);
	assert_holds(fd, c);
	assert_holds(fd, c); /* whoever else has read it */
	assert_int_equal(pwrite(fd, "{", 1, 0), -1);
	close(fd);
	conf_free(c);
}

static void texts_of_any_kind_are_kept_as_they_are(void **state)
{
	static const char all[] =
		"# \"quoted\" \\ \t \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80\n\n" GOOD "\n# no end";
	char *text = malloc(sizeof(all) + 20000);
	struct conf_report report;
	struct conf *c;
	int fd;

	(void)state;
	memcpy(text, all, sizeof(all) - 1);
	/* A line that is longer than what is written at once. */
	for (int i = 0; i < 10000; i++)
		memcpy(text + sizeof(all) - 1 + 2 * i, "\xc3\xb6", 3);
	write_config(text);
	free(text);
	c = conf_load(config, &report);
	assert_non_null(c);
	conf_report_free(&report);
	fd = last_good_hold(config, c);
	assert_holds(fd, c);
	close(fd);
	conf_free(c);
	unlink(config);
}

static void garbage_in_what_was_kept_is_no_configuration(void **state)
{
	static const char *const texts[] = {"", "[]", "{}", "null", "{\"files\": [1]}", "{\"files\": [{}]}",
		"{\"files\": [{\"name\": 1, \"text\": 2}]}",
		"{\"files\": [{\"name\": \"a\", \"text\": \"tenants: [\"}]}"};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		FILE *f = tmpfile();
		struct conf_report report;

		assert_non_null(f);
		fputs(texts[i], f);
		fflush(f);
		assert_null(last_good_load(fileno(f), &report));
		conf_report_free(&report);
		fclose(f);
	}
}

static void assert_found(struct conf *c)
{
	int fd = last_good_open(dir, config);

	assert_holds(fd, c);
	close(fd);
}

static void the_file_is_read_by_who_wrote_it_for_the_configuration_it_was_written_for(void **state)
{
	struct conf *c = load_good();
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/" LAST_GOOD_FILE, dir);
	assert_int_equal(last_good_open(dir, config), -1);
	for (int i = 0; i < 2; i++) {
		int fd = last_good_write(dir, config, c);

		assert_holds(fd, c);
		assert_int_equal(pwrite(fd, "{", 1, 0), -1);
		close(fd);
		assert_found(c);
	}
	assert_int_equal(last_good_open(dir, "/etc/other.yaml"), -1);
	chmod(path, 0620);
	assert_int_equal(last_good_open(dir, config), -1);
	unlink(path);
	assert_int_equal(symlink(config, path), 0);
	assert_int_equal(last_good_open(dir, config), -1);
	/* A link is replaced, not followed. */
	close(last_good_write(dir, config, c));
	assert_found(c);
	unlink(path);
	assert_int_equal(last_good_write("/proc/nowhere", config, c), -1);
	conf_free(c);
}

static void what_is_no_text_is_not_kept(void **state)
{
	struct conf *c = load_good();

	(void)state;
	c->names[0] = STR("/etc/\xff.yaml");
	assert_int_equal(last_good_write(dir, config, c), -1);
	assert_int_equal(errno, EILSEQ);
	assert_int_equal(last_good_hold(config, c), -1);
	conf_free(c);
}

static void the_directory_is_found_in_a_broken_file(void **state)
{
	static const struct {
		const char *text, *dir;
	} cases[] = {
		{"tenants: [\nstate_dir: /a/b # there\n", "/a/b"},
		{"state_dir: \"/a b\"\n", "/a b"},
		{"state_dir:   '/q'  \n", "/q"},
		{"state_dir: /no/newline", "/no/newline"},
		{"  state_dir: /indented\n", "/var/lib/weir"},
		{"state_dir:\n", "/var/lib/weir"},
		{"", "/var/lib/weir"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		char *found;

		write_config(cases[i].text);
		found = last_good_dir(config);
		assert_string_equal(found, cases[i].dir);
		free(found);
	}
	unlink(config);
	free(last_good_dir(config));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_kept_loads_as_the_file_did),
		cmocka_unit_test(texts_of_any_kind_are_kept_as_they_are),
		cmocka_unit_test(garbage_in_what_was_kept_is_no_configuration),
		cmocka_unit_test(the_file_is_read_by_who_wrote_it_for_the_configuration_it_was_written_for),
		cmocka_unit_test(what_is_no_text_is_not_kept),
		cmocka_unit_test(the_directory_is_found_in_a_broken_file),
	};
	int failed;

	MUST(mkdtemp(dir));
	snprintf(config, sizeof(config), "%s/weir.yaml", dir);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(config);
	rmdir(dir);
	return failed;
}
