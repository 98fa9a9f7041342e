/* modules/geo.c, modules/geo/database.c: what a database says, what backends are told, and who is let in. Databases are written by
 * tests/support/mmdb.py; whoever asks is 192.0.2.7. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "exchange/suite.h"
#include "../../../modules/geo/database.h"

#define RECORD \
	"{\"192.0.2.0/24\": {\"country\": {\"iso_code\": \"DE\"}, \"city\": {\"names\": {\"en\": " \
	"\"Berlin\"}}, " \
	"\"autonomous_system_number\": 64496}, \"2001:db8::/32\": {\"country_code\": \"SE\"}}"

static char dir[] = "/tmp/weir-geo-XXXXXX";
static char file[64], modules[2048];

static void write_database(const char *records, unsigned record_size)
{
	char command[1024];

	snprintf(command, sizeof(command), "/usr/bin/python3 tests/support/mmdb.py %s '%s' %u", file, records,
		record_size);
	assert_int_equal(system(command), 0);
}

static struct geo_place find(const struct geo_database *db, const char *address)
{
	struct geo_place place = {.asn = 0};
	struct addr a;

	assert_true(addr_parse_ip(&a, str_of(address)));
	geo_database_find(db, &a, "en", &place);
	return place;
}

static bool is(struct str s, const char *wanted)
{
	return str_eq(s, str_of(wanted));
}

static void a_database_of_every_record_size_is_read(void **state)
{
	(void)state;
	for (unsigned size = 24; size <= 32; size += 4) {
		struct geo_database *db;
		struct geo_place place;
		char err[256];

		write_database(RECORD, size);
		db = geo_database_open(file, err, sizeof(err));
		assert_non_null(db);
		place = find(db, "192.0.2.9");
		assert_true(is(place.country, "DE") && is(place.city, "Berlin") && place.asn == 64496);
		assert_true(is(find(db, "2001:db8::1").country, "SE"));
		place = find(db, "203.0.113.1");
		assert_true(place.country.n == 0 && place.city.n == 0 && place.asn == 0);
		assert_true(geo_database_is_current(db, file));
		geo_database_unref(db);
	}
}

static void nothing_that_happens_to_the_file_reaches_an_open_database(void **state)
{
	char err[256];
	struct geo_database *db;

	(void)state;
	write_database(RECORD, 28);
	db = geo_database_open(file, err, sizeof(err));
	assert_int_equal(truncate(file, 10), 0);
	assert_true(is(find(db, "192.0.2.9").country, "DE"));
	assert_false(geo_database_is_current(db, file));
	geo_database_unref(db);
}

static void no_part_of_a_database_is_taken_for_one_and_no_damage_is_followed_out_of_it(void **state)
{
	static char bytes[65536];
	char err[256];
	ssize_t n;
	int fd;

	(void)state;
	write_database(RECORD, 28);
	fd = open(file, O_RDWR | O_CLOEXEC);
	n = read(fd, bytes, sizeof(bytes));
	assert_in_range(n, 500, sizeof(bytes) - 1);
	for (ssize_t at = 0; at < n; at += 7) {
		struct geo_database *db;
		char was = bytes[at];

		bytes[at] = (char)~was;
		assert_int_equal(pwrite(fd, bytes, (size_t)n, 0), n);
		bytes[at] = was;
		db = geo_database_open(file, err, sizeof(err));
		if (!db)
			continue;
		find(db, "192.0.2.9");
		find(db, "2001:db8::1");
		find(db, "0.0.0.0");
		geo_database_unref(db);
	}
	for (ssize_t size = n - 1; size >= 0; size -= 13) {
		assert_int_equal(ftruncate(fd, size), 0);
		assert_null(geo_database_open(file, err, sizeof(err)));
	}
	close(fd);
	assert_null(geo_database_open(dir, err, sizeof(err)));
	assert_null(geo_database_open("/nowhere/x", err, sizeof(err)));
}

#define SHOW ",x-geo-country,x_geo_country,x-geo-city,x-geo-asn,x-geo-org,"

static const struct test_case cases[] = {
	{.name = "a backend is told, and what the client says of it is taken out",
		.top = "modules: {geo: %s}\n",
		.listener = ", underscore_headers: pass",
		.client = "GET / [x-geo-country: US] [x_geo_country: US] [x-geo-org: mine] end",
		.origin = "200 end",
		.answer = "200\nend\n",
		.asked = "GET / [x-geo-country: DE] [x-geo-city: Berlin] [x-geo-asn: 64496]\nend\n"},
	{.name = "a route that has it off undoes no removal",
		.top = "modules: {geo: %s}\n",
		.route = ", modules: {geo: off}",
		.client = "GET / [x-geo-country: US] end",
		.origin = "200 end",
		.answer = "200\nend\n",
		.asked = "GET / [x-geo-country: DE] [x-geo-city: Berlin] [x-geo-asn: 64496]\nend\n"},
	{.name = "who is denied is turned away",
		.top = "modules: {geo: {database: %s, deny: [FR, DE]}}\n",
		.client = "GET / [accept: text/plain] end",
		.origin = "200 end",
		.answer = "403 geo_denied\nend\n",
		.asked = ""},
	{.name = "who is not allowed is turned away",
		.top = "modules: {geo: {database: %s, allow: [FR, ZZ]}}\n",
		.client = "GET / [accept: text/plain] end",
		.origin = "200 end",
		.answer = "403 geo_denied\nend\n",
		.asked = ""},
};

static void every_case_in_every_pairing(void **state)
{
	(void)state;
	write_database(RECORD, 28);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		for (unsigned p = 0; p < 4; p++) {
			struct test_case c = cases[i];
			struct stage *st;

			snprintf(modules, sizeof(modules), c.top, file);
			c.top = modules;
			c.show = SHOW;
			st = stage_new(&c, (struct pairing){.client_h2 = p & 1, .origin_h2 = p & 2});
			stage_run(st, SIZE_MAX, SIZE_MAX, false, NULL);
			stage_free(&st);
		}
	}
}

static struct module_set *set_of(
	const char *tenant, const struct module_set *running, char **said, struct conf **conf)
{
	struct conf_report report;
	struct module_set *set;
	char text[1024];

	snprintf(text, sizeof(text),
		"listeners: {in: {address: '127.0.0.1:1'}}\n"
		"modules: {geo: %s}\n"
		"tenants: {acme: {hosts: [a.test], modules: {geo: %s}, routes: [{redirect: {to: /x}}]}}\n",
		file, tenant);
	*conf = conf_load_text("m.yaml", str_of(text), &report);
	set = *conf ? module_set_build(*conf, running, NULL, &report) : NULL;
	*said = conf_report_text(&report);
	conf_report_free(&report);
	return set;
}

static void tenants_share_a_database_and_a_refresh_builds_only_what_changed(void **state)
{
	struct conf_report report = {0};
	struct module_set *set, *same, *other;
	struct conf *conf;
	char *said, tenant[256];

	(void)state;
	write_database(RECORD, 28);
	snprintf(tenant, sizeof(tenant), "{database: %s, deny: [US]}", file);
	set = set_of(tenant, NULL, &said, &conf);
	assert_string_equal(said, "");
	assert_int_equal(set->n, 2);
	assert_ptr_equal(set->places[0]->built, set->places[1]->built);
	same = module_set_refresh(conf, set, NULL, &report);
	assert_true(module_set_same(same, set));
	write_database(RECORD, 32);
	other = module_set_refresh(conf, set, NULL, &report);
	assert_int_equal(report.errors, 0);
	assert_false(module_set_same(other, set));
	assert_ptr_equal(other->places[0]->built, other->places[1]->built);
	module_set_unref(set);
	module_set_unref(same);
	assert_int_equal(truncate(file, 10), 0);
	same = module_set_refresh(conf, other, NULL, &report);
	assert_int_equal(report.errors, 2);
	assert_true(module_set_same(same, other));
	module_set_unref(same);
	module_set_unref(other);
	conf_report_free(&report);
	conf_free(conf);
	free(said);
}

static void mistakes_are_explained(void **state)
{
	struct conf *conf;
	char *said;

	(void)state;
	write_database(RECORD, 28);
	assert_null(
		set_of("{database: /nowhere, deny: [de], pools: {Germany: x, FR: ' '}}", NULL, &said, &conf));
	assert_non_null(strstr(said, "/nowhere"));
	assert_non_null(strstr(said, "\"deny\" must be a country's two capital letters"));
	assert_non_null(strstr(said, "not \"Germany\""));
	assert_non_null(strstr(said, "\"FR\" must be up to 63 letters"));
	free(said);
}

static int set_up(void **state)
{
	MUST(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/geo.mmdb", dir);
	return set_up_suite(state);
}

static int tear_down(void **state)
{
	unlink(file);
	rmdir(dir);
	return tear_down_suite(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_database_of_every_record_size_is_read),
		cmocka_unit_test(nothing_that_happens_to_the_file_reaches_an_open_database),
		cmocka_unit_test(no_part_of_a_database_is_taken_for_one_and_no_damage_is_followed_out_of_it),
		cmocka_unit_test(every_case_in_every_pairing),
		cmocka_unit_test(tenants_share_a_database_and_a_refresh_builds_only_what_changed),
		cmocka_unit_test(mistakes_are_explained),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
