/* Files: what is included, where relative paths start, what cannot be read. */
#include "conf_text.h"

#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

static char home[PATH_MAX];

static int setup(void **state)
{
	(void)state;
	snprintf(home, sizeof(home), "/tmp/weir-config-XXXXXX");
	return mkdtemp(home) && chdir(home) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	char command[PATH_MAX + 16];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", home);
	return chdir("/") == 0 ? system(command) : -1;
}

static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static struct loaded load(const char *path)
{
	struct loaded l;

	l.conf = conf_load(path, &l.report);
	l.said = conf_report_text(&l.report);
	return l;
}

static void load_says(const char *path, const char *expected)
{
	struct loaded l = load(path);

	assert_string_equal(l.said, expected);
	loaded_free(&l);
}

static void tenants_come_from_every_file_that_matches(void **state)
{
	struct loaded l;

	(void)state;
	mkdir("many", 0755);
	put("many/b.yaml", "tenants: {b: {hosts: b.test}}\n");
	put("many/a.yaml", "tenants: {a: {hosts: a.test}}\n");
	put("many/ignored.txt", "nothing");
	put("extra.yaml", "tenants: {c: {hosts: c.test}}\n");
	put("main.yaml", "include: [many/*.yaml, extra.yaml, none.d/*.yaml]\n" LISTEN
			 "tenants: {m: {hosts: m.test}}\n");
	l = load("main.yaml");
	assert_string_equal(l.said, "");
	assert_int_equal(l.conf->tenant_n, 4);
	assert_string_equal(l.conf->tenants[0].name.p, "m");
	assert_string_equal(l.conf->tenants[1].name.p, "a");
	assert_string_equal(l.conf->tenants[2].name.p, "b");
	assert_string_equal(l.conf->tenants[3].name.p, "c");
	assert_int_equal(l.conf->file_n, 4);
	assert_string_equal(l.conf->names[1].p, "many/a.yaml");
	assert_true(str_starts(l.conf->files[1], str_of(home)));
	assert_true(str_ends(l.conf->files[1], STR("/many/a.yaml")));
	assert_int_equal(l.conf->tenants[2].place.file, 2);
	loaded_free(&l);
}

static void mistakes_are_told_with_the_file_that_they_are_in(void **state)
{
	(void)state;
	mkdir("bad", 0755);
	put("bad/one.yaml", "tenants:\n  x: {hosts: x.test, hots: y}\nworkers: 2\n");
	put("bad/two.yaml", "tenants:\n  x: {hosts: z.test}\n  y: {hosts: x.test}\n");
	put("bad.yaml", LISTEN "include: bad/*.yaml\n");
	load_says("bad.yaml",
		"bad/one.yaml:2:22: unknown key \"hots\" in tenant \"x\"; did you mean \"hosts\"?\n"
		"bad/one.yaml:3:1: unknown key \"workers\" at the top level; known here: tenants\n"
		"bad/two.yaml:2:3: tenant \"x\" is there already (bad/one.yaml:2:3)\n"
		"bad/two.yaml:3:14: host \"x.test\" belongs to tenant \"x\" already (bad/one.yaml:2:14)\n");
}

static void a_plain_path_must_be_there(void **state)
{
	(void)state;
	put("main.yaml", LISTEN "include: [missing.yaml]\n");
	load_says("main.yaml", "main.yaml:2:11: cannot read missing.yaml: No such file or directory\n");
	put("main.yaml", LISTEN "include: [/tmp]\n");
	load_says("main.yaml", "main.yaml:2:11: cannot read /tmp: it is a directory\n");
	put("main.yaml", LISTEN "include: {a: b}\n");
	load_says("main.yaml", "main.yaml:2:10: \"include\" must be a list of paths or patterns such as "
			       "tenants.d/*.yaml, not a mapping\n");
}

static void a_file_that_cannot_be_read_is_an_error_without_a_line(void **state)
{
	(void)state;
	load_says("nowhere.yaml", "nowhere.yaml: cannot be read: No such file or directory\n");
	load_says("/dev/zero", "/dev/zero: cannot be read: it is not a regular file\n");
}

static void includes_are_relative_to_the_main_file(void **state)
{
	struct loaded l;
	char path[PATH_MAX + 32];

	(void)state;
	mkdir("etc", 0755);
	mkdir("etc/t", 0755);
	put("etc/main.yaml", LISTEN "include: t/*.yaml\n");
	put("etc/t/a.yaml", "tenants: {a: {hosts: a.test}}\n");
	l = load("etc/main.yaml");
	assert_int_equal(l.conf->tenant_n, 1);
	assert_string_equal(l.conf->names[1].p, "etc/t/a.yaml");
	loaded_free(&l);
	snprintf(path, sizeof(path), "%s/etc/main.yaml", home);
	l = load(path);
	assert_int_equal(l.conf->tenant_n, 1);
	loaded_free(&l);
}

static void paths_are_relative_to_the_file_that_they_are_written_in(void **state)
{
	struct loaded l;
	char expected[PATH_MAX + 32];

	(void)state;
	mkdir("deep", 0755);
	put("cert.pem", "x");
	put("cert.key", "x");
	put("deep/t.yaml", "tenants: {a: {hosts: a.test}}\n");
	put("main.yaml", "listeners: {a: {address: \"127.0.0.1:1\", tls: {certificates: [{cert: cert.pem, "
			 "key: cert.key}]}}}\n"
			 "log: {access: {path: access.log}}\ninclude: deep/t.yaml\n");
	l = load("main.yaml");
	assert_string_equal(l.said, "");
	snprintf(expected, sizeof(expected), "%s/cert.pem", home);
	assert_string_equal(l.conf->listeners[0].tls.certs[0].cert.p, expected);
	snprintf(expected, sizeof(expected), "%s/access.log", home);
	assert_string_equal(l.conf->log.access_path.p, expected);
	loaded_free(&l);
}

static void later_checks_report_at_a_place_too(void **state)
{
	struct loaded l;
	char *said;

	(void)state;
	put("main.yaml", LISTEN);
	l = load("main.yaml");
	conf_report_add(&l.report, l.conf, l.conf->listeners[0].place, false, "port %d is busy", 8080);
	said = conf_report_text(&l.report);
	assert_string_equal(said, "main.yaml:1:13: port 8080 is busy\n");
	assert_int_equal(l.report.errors, 1);
	free(said);
	loaded_free(&l);
}

#define TENANT "  acme: {hosts: acme.test}\n"

/* Whether tenants were left out is told by how many there are. */
static void root_has(const char *text, uint32_t tenants, uint32_t workers)
{
	struct loaded l;

	put("root.yaml", text);
	l.conf = conf_load_root("root.yaml", &l.report);
	l.said = conf_report_text(&l.report);
	assert_string_equal(l.said, "");
	assert_non_null(l.conf);
	assert_int_equal(l.conf->tenant_n, tenants);
	assert_int_equal(l.conf->workers, workers);
	assert_int_equal(l.conf->listener_n, 1);
	loaded_free(&l);
}

static void the_root_alone_is_read_where_tenants_come_last(void **state)
{
	(void)state;
	root_has(LISTEN "workers: 3\ntenants:\n" TENANT, 0, 3);
	root_has(LISTEN "workers: 3\ntenants:\n\n# all of them\n" TENANT "    # and none\n\n", 0, 3);
	root_has(LISTEN "workers: 3\ntenants:\n  acme: {hosts: acme.test}", 0, 3);
	/* What is wrong with them, or with files that hold only tenants, is for others to find. */
	root_has(LISTEN "workers: 3\ninclude: [none.yaml]\ntenants:\n  acme: {hots: acme.test}\n", 0, 3);
	root_has(LISTEN "workers: 3\ntenants:\n  acme: \"\n", 0, 3);
}

static void the_whole_is_read_where_the_root_may_go_on(void **state)
{
	(void)state;
	root_has("tenants:\n" TENANT LISTEN "workers: 3\n", 1, 3);
	root_has(LISTEN "tenants:\n" TENANT "workers: 3\n", 1, 3);
	root_has(LISTEN "tenants:\n" TENANT "\"workers\": 3\n", 1, 3);
	root_has(LISTEN "tenants:\n" TENANT "? workers\n: 3\n", 1, 3);
	root_has(LISTEN "tenants: {acme: {hosts: acme.test}}\nworkers: 3\n", 1, 3);
	root_has("{listeners: {http: {address: \"127.0.0.1:8080\"}},\ntenants:\n {acme: {hosts: acme.test}}, "
		 "workers: 3}\n",
		1, 3);
	/* Breaks of lines that are none to C: carriage return, NEL, LS. */
	root_has(LISTEN "tenants:\n" TENANT "  \rworkers: 3\n", 1, 3);
	root_has(LISTEN "tenants:\n" TENANT "  \xc2\x85workers: 3\n", 1, 3);
	root_has(LISTEN "tenants:\n" TENANT "  \xe2\x80\xa8workers: 3\n", 1, 3);
	/* The line stands in a text. */
	root_has("zone: 'a\ntenants:\n b'\n" LISTEN "workers: 3\n", 0, 3);
	root_has("zone: 'a\ntenants:\n b'\nworkers: 3\n" LISTEN "tenants:\n" TENANT, 1, 3);
}

static void errors_of_the_root_are_told_with_all_others(void **state)
{
	struct conf_report report;
	char *said;

	(void)state;
	put("root.yaml", LISTEN "worker: 3\ntenants:\n  acme: {hots: acme.test}\n");
	assert_null(conf_load_root("root.yaml", &report));
	said = conf_report_text(&report);
	assert_int_equal(report.errors, 2);
	assert_non_null(strstr(said, "root.yaml:2:1: "));
	assert_non_null(strstr(said, "root.yaml:4:10: "));
	free(said);
	conf_report_free(&report);
}

/* Told by what says that nobody else has read something different. */
static void fingerprint_is_that_of_the_whole(const char *path, uint32_t tenants)
{
	struct loaded whole = load(path), texts;

	texts.conf = conf_load_texts(path, &texts.report);
	texts.said = conf_report_text(&texts.report);
	assert_string_equal(texts.said, "");
	assert_non_null(texts.conf);
	assert_true(whole.conf->fingerprint == texts.conf->fingerprint);
	assert_int_equal(whole.conf->file_n, texts.conf->file_n);
	for (uint32_t i = 0; i < whole.conf->file_n; i++) {
		assert_true(str_eq(whole.conf->names[i], texts.conf->names[i]));
		assert_true(str_eq(whole.conf->texts[i], texts.conf->texts[i]));
	}
	assert_int_equal(texts.conf->tenant_n, tenants);
	loaded_free(&whole);
	loaded_free(&texts);
}

static void all_texts_are_had_without_reading_tenants(void **state)
{
	struct conf_report report;
	struct conf *conf;

	(void)state;
	mkdir("some", 0755);
	put("some/a.yaml", "tenants: {a: {hosts: a.test}}\n");
	put("some/b.yaml", "tenants: {b: {hosts: b.test}}\n");
	put("texts.yaml", LISTEN "include: [some/*.yaml]\n");
	fingerprint_is_that_of_the_whole("texts.yaml", 0);
	put("texts.yaml", LISTEN "include: some/a.yaml\ntenants:\n" TENANT);
	fingerprint_is_that_of_the_whole("texts.yaml", 0);
	put("texts.yaml", "tenants:\n" TENANT LISTEN "include: [some/*.yaml]\n");
	fingerprint_is_that_of_the_whole("texts.yaml", 1);
	put("texts.yaml", LISTEN "include: none.yaml\ntenants:\n" TENANT);
	conf = conf_load_texts("texts.yaml", &report);
	assert_null(conf);
	conf_report_free(&report);
	conf = conf_load_texts("no-texts.yaml", &report);
	assert_null(conf);
	conf_report_free(&report);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tenants_come_from_every_file_that_matches),
		cmocka_unit_test(mistakes_are_told_with_the_file_that_they_are_in),
		cmocka_unit_test(a_plain_path_must_be_there),
		cmocka_unit_test(a_file_that_cannot_be_read_is_an_error_without_a_line),
		cmocka_unit_test(includes_are_relative_to_the_main_file),
		cmocka_unit_test(paths_are_relative_to_the_file_that_they_are_written_in),
		cmocka_unit_test(later_checks_report_at_a_place_too),
		cmocka_unit_test(the_root_alone_is_read_where_tenants_come_last),
		cmocka_unit_test(the_whole_is_read_where_the_root_may_go_on),
		cmocka_unit_test(all_texts_are_had_without_reading_tenants),
		cmocka_unit_test(errors_of_the_root_are_told_with_all_others),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
