/* control/last_good.c: what is kept of a configuration, and who is believed. */
#include "unit.h"
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

static json_t *load_good(void)
{
	struct conf_report report;
	struct conf *c;
	json_t *files;

	write_config(GOOD);
	c = conf_load(config, &report);
	assert_non_null(c);
	files = last_good_of(c);
	conf_free(c);
	conf_report_free(&report);
	assert_non_null(files);
	return files;
}

static void what_was_kept_loads_as_the_file_did(void **state)
{
	json_t *files = load_good();
	struct conf_report report;
	struct conf *from_file = conf_load(config, &report), *from_kept;
	uint64_t fingerprint = from_file->fingerprint;

	(void)state;
	conf_report_free(&report);
	conf_free(from_file);
	unlink(config);
	from_kept = last_good_load(files, &report);
	assert_non_null(from_kept);
	assert_int_equal(from_kept->tenant_n, 1);
	assert_true(from_kept->fingerprint == fingerprint);
	conf_report_free(&report);
	conf_free(from_kept);
	json_decref(files);
}

static void garbage_in_what_was_kept_is_no_configuration(void **state)
{
	static const char *const texts[] = {"[]", "{}", "null", "[1]", "[{}]", "[{\"name\": 1, \"text\": 2}]",
		"[{\"name\": \"a\", \"text\": \"tenants: [\"}]"};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		json_t *files = json_loads(texts[i], JSON_DECODE_ANY, NULL);
		struct conf_report report;

		assert_null(last_good_load(files, &report));
		conf_report_free(&report);
		json_decref(files);
	}
}

static void the_file_is_read_by_who_wrote_it_for_the_configuration_it_was_written_for(void **state)
{
	json_t *files = load_good(), *back;
	char path[128];

	(void)state;
	assert_null(last_good_read(dir, config));
	assert_true(last_good_write(dir, config, files));
	assert_true(last_good_write(dir, config, files));
	back = last_good_read(dir, config);
	assert_true(json_equal(back, files));
	json_decref(back);
	assert_null(last_good_read(dir, "/etc/other.yaml"));
	snprintf(path, sizeof(path), "%s/" LAST_GOOD_FILE, dir);
	chmod(path, 0620);
	assert_null(last_good_read(dir, config));
	unlink(path);
	assert_int_equal(symlink(config, path), 0);
	assert_null(last_good_read(dir, config));
	/* A link is replaced, not followed. */
	assert_true(last_good_write(dir, config, files));
	back = last_good_read(dir, config);
	assert_non_null(back);
	json_decref(back);
	unlink(path);
	assert_false(last_good_write("/proc/nowhere", config, files));
	json_decref(files);
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
		cmocka_unit_test(garbage_in_what_was_kept_is_no_configuration),
		cmocka_unit_test(the_file_is_read_by_who_wrote_it_for_the_configuration_it_was_written_for),
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
