#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>
#include "base/obj.h"
#include "http/head.h"

static void every_field_is_found_in_any_case(void **state)
{
	char upper[64];

	(void)state;
	for (enum field_id id = FIELD_OTHER + 1; id < FIELDS; id++) {
		struct str name = field_std_name(id);

		assert_int_equal(field_id_of(name), id);
		for (size_t i = 0; i < name.n; i++)
			upper[i] =
				name.p[i] >= 'a' && name.p[i] <= 'z' ? (char)(name.p[i] - 0x20) : name.p[i];
		assert_int_equal(field_id_of((struct str){upper, name.n}), id);
	}
}

static void a_name_that_differs_in_one_byte_is_another(void **state)
{
	char near[64];

	(void)state;
	for (enum field_id id = FIELD_OTHER + 1; id < FIELDS; id++) {
		struct str name = field_std_name(id);

		for (size_t i = 0; i < name.n; i++) {
			for (int c = 0; c < 256; c++) {
				memcpy(near, name.p, name.n);
				near[i] = (char)c;
				if (str_lower_char((char)c) != name.p[i])
					assert_int_not_equal(field_id_of((struct str){near, name.n}), id);
			}
		}
		assert_int_not_equal(field_id_of((struct str){name.p, name.n - 1}), id);
	}
	assert_int_equal(field_id_of(STR("")), FIELD_OTHER);
	assert_int_equal(field_id_of(STR("x")), FIELD_OTHER);
}

static void methods_are_case_sensitive(void **state)
{
	(void)state;
	for (enum method m = METHOD_GET; m < METHODS; m++)
		assert_int_equal(method_of(method_name(m)), m);
	assert_int_equal(method_of(STR("get")), METHOD_OTHER);
	assert_int_equal(method_of(STR("GETS")), METHOD_OTHER);
}

static void only_methods_that_change_nothing_twice_are_idempotent(void **state)
{
	(void)state;
	assert_true(method_is_idempotent(METHOD_GET));
	assert_true(method_is_idempotent(METHOD_PUT));
	assert_true(method_is_idempotent(METHOD_DELETE));
	assert_false(method_is_idempotent(METHOD_POST));
	assert_false(method_is_idempotent(METHOD_PATCH));
	assert_false(method_is_idempotent(METHOD_CONNECT));
	assert_false(method_is_idempotent(METHOD_OTHER));
}

static void fields_are_added_found_and_removed_in_order(void **state)
{
	struct arena a;
	struct fields fs = {0};

	(void)state;
	arena_init(&a, NULL);
	for (int i = 0; i < 40; i++)
		fields_add(&a, &fs, i % 2 ? FIELD_COOKIE : FIELD_OTHER,
			i % 2 ? STR("Cookie") : STR("X-Other"), STR("v"));
	fields_add(&a, &fs, FIELD_OTHER, STR("Last"), STR("v"));
	assert_int_equal(fs.n, 41);
	assert_ptr_equal(fields_find(&fs, FIELD_COOKIE), &fs.v[1]);
	assert_null(fields_find(&fs, FIELD_HOST));
	fields_remove(&fs, FIELD_COOKIE);
	assert_int_equal(fs.n, 21);
	fields_remove_name(&fs, STR("x-other"));
	assert_int_equal(fs.n, 1);
	assert_ptr_equal(fields_find_name(&fs, STR("lAST")), &fs.v[0]);
	arena_free(&a);
}

static void what_is_spelled_alike_goes_with_it(void **state)
{
	static const struct str names[] = {STR("x-geo-city"), STR("X_Geo-City"), STR("x-geo"), STR("x-geo-"),
		STR("x-geo-city-x"), STR("x.geo-city")};
	struct fields fs = {0};
	struct arena a;

	(void)state;
	arena_init(&a, NULL);
	for (size_t i = 0; i < COUNT_OF(names); i++)
		fields_add(&a, &fs, FIELD_OTHER, names[i], STR("v"));
	fields_remove_alike(&fs, STR("X-Geo_City"));
	assert_int_equal(fs.n, 4);
	fields_remove_alike(&fs, STR("x-geo-"));
	assert_int_equal(fs.n, 2);
	assert_true(str_eq(field_name(&fs.v[0]), STR("x-geo")));
	assert_true(str_eq(field_name(&fs.v[1]), STR("x.geo-city")));
	arena_free(&a);
}

static void a_copy_owns_its_bytes_and_neighbours_stay_neighbours(void **state)
{
	char lines[] = "A: 1\r\nB: 22\r\n";
	struct field v[3] = {
		{.name = lines, .name_len = 1, .value = lines + 3, .value_len = 1, .raw = true},
		{.name = lines + 6, .name_len = 1, .value = lines + 9, .value_len = 2, .raw = true},
		{.name = "c", .name_len = 1, .value = "", .value_len = 0},
	};
	struct head from = {.method = STR("GET"),
			    .authority = STR("a"),
			    .path = STR("/x"),
			    .fields = {v, 3, 3}},
		    to;
	struct arena a;

	(void)state;
	arena_init(&a, NULL);
	head_copy(&a, &to, &from);
	memset(lines, '?', sizeof(lines));
	assert_true(str_eq(to.path, STR("/x")) && to.path.p != from.path.p);
	assert_int_equal(to.fields.n, 3);
	assert_true(to.fields.v[0].raw && to.fields.v[1].raw && !to.fields.v[2].raw);
	assert_memory_equal(to.fields.v[0].name, "A: 1\r\nB: 22\r\n", 13);
	assert_ptr_equal(to.fields.v[1].name, to.fields.v[0].name + 6);
	fields_add(&a, &to.fields, FIELD_OTHER, STR("d"), STR("e"));
	assert_int_equal(to.fields.n, 4);
	arena_free(&a);
}

static void a_copy_of_one_run_of_bytes_owns_what_lies_outside_it_too(void **state)
{
	char run[] = "GET /x HTTP/1.1\r\nHost: a\r\nA: 1\r\nB:22\r\n\r\n", outside[] = "C: 3\r\n",
	     host[] = "b";
	struct field v[3] = {
		{.name = run + 26, .name_len = 1, .value = run + 29, .value_len = 1, .raw = true},
		{.name = run + 32, .name_len = 1, .value = run + 34, .value_len = 2},
		{.name = outside, .name_len = 1, .value = outside + 3, .value_len = 1, .raw = true},
	};
	struct head from = {.method = {run, 3},
			    .authority = {host, 1},
			    .path = {run + 4, 2},
			    .fields = {v, 3, 3},
			    .span = {run, sizeof(run) - 1}},
		    to;
	struct arena a;

	(void)state;
	arena_init(&a, NULL);
	head_copy(&a, &to, &from);
	memset(run, '?', sizeof(run));
	memset(outside, '?', sizeof(outside));
	host[0] = '?';
	assert_int_equal(to.span.n, 0);
	assert_true(str_eq(to.method, STR("GET")) && str_eq(to.path, STR("/x")));
	assert_true(str_eq(to.authority, STR("b")) && to.scheme.n == 0);
	assert_memory_equal(to.fields.v[0].name, "A: 1\r\n", 6);
	assert_true(str_eq(field_name(&to.fields.v[1]), STR("B")));
	assert_true(str_eq(field_value(&to.fields.v[1]), STR("22")));
	assert_memory_equal(to.fields.v[2].name, "C: 3\r\n", 6);
	assert_true(str_eq(field_value(&to.fields.v[2]), STR("3")));
	fields_add(&a, &to.fields, FIELD_OTHER, STR("d"), STR("e"));
	assert_int_equal(to.fields.n, 4);
	arena_free(&a);
}

static void authorities_are_a_host_and_a_port(void **state)
{
	(void)state;
	assert_true(authority_is_valid(STR("a")));
	assert_true(authority_is_valid(STR("a-b.C_d:1")));
	assert_true(authority_is_valid(STR("127.0.0.1:65535")));
	assert_true(authority_is_valid(STR("[::1]")));
	assert_true(authority_is_valid(STR("[::ffff:1.2.3.4]:80")));
	assert_false(authority_is_valid(STR("")));
	assert_false(authority_is_valid(STR(":80")));
	assert_false(authority_is_valid(STR("a:+1")));
	assert_false(authority_is_valid(STR("a:000080")));
	assert_false(authority_is_valid(STR("[::1]a")));
}

static void known_codes_have_a_phrase(void **state)
{
	(void)state;
	assert_true(str_eq(status_phrase(502), STR("Bad Gateway")));
	assert_true(str_eq(status_phrase(418), STR("I'm a teapot")));
	assert_int_equal(status_phrase(299).n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field_is_found_in_any_case),
		cmocka_unit_test(a_name_that_differs_in_one_byte_is_another),
		cmocka_unit_test(methods_are_case_sensitive),
		cmocka_unit_test(only_methods_that_change_nothing_twice_are_idempotent),
		cmocka_unit_test(fields_are_added_found_and_removed_in_order),
		cmocka_unit_test(what_is_spelled_alike_goes_with_it),
		cmocka_unit_test(a_copy_owns_its_bytes_and_neighbours_stay_neighbours),
		cmocka_unit_test(a_copy_of_one_run_of_bytes_owns_what_lies_outside_it_too),
		cmocka_unit_test(authorities_are_a_host_and_a_port),
		cmocka_unit_test(known_codes_have_a_phrase),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
