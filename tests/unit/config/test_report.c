#include "conf_text.h"

#include <jansson.h>

static void json_has_every_problem_with_its_place(void **state)
{
	struct loaded l = load_text("tenants: {a: {hosts: a, services: {s: {pools: {p: {}}}}}}\nlisteners: "
				    "{a: {address: \"x\xc3\xa9\\\"y\"}}\n");
	char *text = conf_report_json(&l.report);
	json_t *all = json_loads(text, 0, NULL);
	json_t *warning = json_array_get(all, 0), *error = json_array_get(all, 1);

	(void)state;
	assert_int_equal(json_array_size(all), 2);
	assert_string_equal(json_string_value(json_object_get(warning, "severity")), "warning");
	assert_string_equal(json_string_value(json_object_get(error, "severity")), "error");
	assert_string_equal(json_string_value(json_object_get(error, "file")), "c.yaml");
	assert_int_equal(json_integer_value(json_object_get(error, "line")), 2);
	assert_int_equal(json_integer_value(json_object_get(error, "column")), 26);
	assert_non_null(strstr(json_string_value(json_object_get(error, "message")), "\"address\" must be"));
	json_decref(all);
	free(text);
	loaded_free(&l);
}

static void no_problem_is_an_empty_text_and_an_empty_list(void **state)
{
	struct loaded l = load_text(LISTEN);
	char *text = conf_report_json(&l.report);

	(void)state;
	assert_string_equal(l.said, "");
	assert_string_equal(text, "[]");
	free(text);
	loaded_free(&l);
}

static void a_report_outlives_its_conf(void **state)
{
	struct loaded l = load_text("a: 1\nb: 2\n" LISTEN);

	(void)state;
	assert_null(l.conf);
	assert_int_equal(l.report.errors, 2);
	assert_string_equal(l.report.v[1].file.p, "c.yaml");
	assert_int_equal(l.report.v[1].place.line, 2);
	loaded_free(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_has_every_problem_with_its_place),
		cmocka_unit_test(no_problem_is_an_empty_text_and_an_empty_list),
		cmocka_unit_test(a_report_outlives_its_conf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
