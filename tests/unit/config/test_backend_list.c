/* config/backend_list.h: whichever form a list has, its mistakes are told where they stand. */
#include "config/backend_list.h"
#include "unit.h"

static struct conf *load(const char *text, struct conf_report *report)
{
	return backend_list_load("/etc/weir/app.backends", str_of(text), report);
}

/* The list holds these addresses, each with its weight. */
static void holds(const char *text, const char *want)
{
	struct conf_report report;
	struct conf *c = load(text, &report);
	char got[256] = "";

	if (!c)
		fail_msg("%s", conf_report_text(&report));
	for (uint32_t i = 0; i < c->listed_n; i++) {
		size_t n = strlen(got);

		snprintf(got + n, sizeof(got) - n, "%s %u;", c->listed[i].address.p, c->listed[i].weight);
	}
	assert_string_equal(got, want);
	conf_report_free(&report);
	conf_free(c);
}

static void says(const char *text, const char *want)
{
	struct conf_report report;
	char *said;

	assert_null(load(text, &report));
	said = conf_report_text(&report);
	if (!strstr(said, want))
		fail_msg("got \"%s\", want \"%s\"", said, want);
	free(said);
	conf_report_free(&report);
}

static void lines_hold_an_address_and_its_keys(void **state)
{
	(void)state;
	holds("10.0.0.1:80\n", "10.0.0.1:80 1;");
	holds("# who\n\n  10.0.0.1:80 weight=2 priority=1 # the first\r\n[::1]:80\n",
		"10.0.0.1:80 2;[::1]:80 1;");
	holds("dns:app.internal:80\nsrv:_http._tcp.app.internal weight=7",
		"dns:app.internal:80 1;srv:_http._tcp.app.internal 7;");
}

static void yaml_and_json_are_read_like_the_configuration(void **state)
{
	(void)state;
	holds("- 10.0.0.1:80\n- {address: '10.0.0.2:80', weight: 3}\n", "10.0.0.1:80 1;10.0.0.2:80 3;");
	holds("[\"10.0.0.1:80\",\n {\"address\": \"10.0.0.2:80\", \"weight\": 3}]\n",
		"10.0.0.1:80 1;10.0.0.2:80 3;");
	holds("{\"backends\": [\"10.0.0.1:80\"]}", "10.0.0.1:80 1;");
	holds("backends:\n  - 10.0.0.1:80\n", "10.0.0.1:80 1;");
	holds("[]", "");
}

static void mistakes_are_told_in_the_line_where_they_stand(void **state)
{
	(void)state;
	says("10.0.0.1:80\n\n10.0.0.2\n", "app.backends:3:");
	says("10.0.0.1:80\n10.0.0.2:80 wieght=2\n", "did you mean \"weight\"");
	says("10.0.0.1:80 weight\n", "app.backends:1:1: not a backend");
	says("10.0.0.1:80 weight={}\n", "app.backends:1:1: not a backend");
	says("- 10.0.0.1:80\n- {address: 10.0.0.2:80, weight: 5000}\n", "app.backends:2:");
	says("10.0.0.1:80'\n", "not a backend");
	says("file:other\n", "cannot name another file");
	says("${HOME}:80\n", "not a backend");
}

static void what_may_be_half_written_is_refused(void **state)
{
	(void)state;
	says("", "a list of nobody is written []");
	says("# soon\n\n", "a list of nobody is written []");
	says("[\"10.0.0.1:80\",", "app.backends");
	says("{}", "backends");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_hold_an_address_and_its_keys),
		cmocka_unit_test(yaml_and_json_are_read_like_the_configuration),
		cmocka_unit_test(mistakes_are_told_in_the_line_where_they_stand),
		cmocka_unit_test(what_may_be_half_written_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
