/* What is generated from the tables: the JSON Schema and the reference. */
#include "conf_text.h"

#include <jansson.h>
#include "base/obj.h"
#include "config/describe.h"
#include "config/fields.h"

static json_t *schema(void)
{
	char *text = conf_schema_json();
	json_t *j = json_loads(text, 0, NULL);

	assert_non_null(j);
	free(text);
	return j;
}

/* Every "$ref" below j has to be in defs. */
static void check_references(const json_t *j, const json_t *defs)
{
	const char *key;
	json_t *value;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)j, i, value) check_references(value, defs);
	json_object_foreach((json_t *)(uintptr_t)j, key, value)
	{
		if (strcmp(key, "$ref") == 0) {
			const char *to = json_string_value(value);

			assert_int_equal(strncmp(to, "#/$defs/", 8), 0);
			assert_non_null(json_object_get(defs, to + 8));
		}
		check_references(value, defs);
	}
}

static void every_reference_in_the_schema_leads_somewhere(void **state)
{
	json_t *j = schema();

	(void)state;
	assert_string_equal(json_string_value(json_object_get(j, "$schema")),
		"https://json-schema.org/draft/2020-12/schema");
	check_references(j, json_object_get(j, "$defs"));
	json_decref(j);
}

static void the_schema_has_types_ranges_defaults_and_words(void **state)
{
	json_t *j = schema(), *defs = json_object_get(j, "$defs"), *row, *count;

	(void)state;
	assert_true(json_is_false(json_object_get(j, "additionalProperties")));
	assert_string_equal(
		json_string_value(json_array_get(json_object_get(j, "required"), 0)), "listeners");
	row = json_object_get(json_object_get(json_object_get(defs, "timeouts"), "properties"), "connect");
	assert_string_equal(json_string_value(json_object_get(row, "$ref")), "#/$defs/duration");
	assert_string_equal(json_string_value(json_object_get(row, "default")), "3s");
	assert_non_null(json_object_get(row, "description"));
	row = json_object_get(json_object_get(json_object_get(defs, "retries"), "properties"), "attempts");
	count = json_array_get(json_object_get(row, "anyOf"), 0);
	assert_int_equal(json_integer_value(json_object_get(count, "minimum")), 0);
	assert_int_equal(json_integer_value(json_object_get(count, "maximum")), 10);
	assert_int_equal(json_integer_value(json_object_get(row, "default")), 2);
	row = json_object_get(json_object_get(json_object_get(defs, "log.access"), "properties"), "format");
	row = json_object_get(json_array_get(json_object_get(row, "anyOf"), 0), "enum");
	assert_string_equal(json_string_value(json_array_get(row, 1)), "json");
	json_decref(j);
}

static void every_key_stands_in_the_schema_and_the_reference(void **state)
{
	const struct config_object *all[OBJECTS] = {NULL};
	json_t *j = schema(), *defs = json_object_get(j, "$defs");
	char *md = conf_reference_md();

	(void)state;
	describe_objects(&root_object, all);
	all[OBJECT_POLICY] = NULL;
	for (size_t i = 0; i < OBJECTS; i++) {
		json_t *properties;

		if (!all[i])
			continue;
		properties = json_object_get(
			*all[i]->path ? json_object_get(defs, all[i]->path) : j, "properties");
		assert_non_null(properties);
		for (const struct config_field *f = all[i]->fields; f->key; f++) {
			char cell[80];

			if (f->type == &type_embed)
				continue;
			assert_non_null(json_object_get(properties, f->key));
			snprintf(cell, sizeof(cell), "| `%s` |", f->key);
			assert_non_null(strstr(md, cell));
		}
	}
	free(md);
	json_decref(j);
}

static void every_key_says_what_it_means(void **state)
{
	const struct config_object *all[OBJECTS] = {NULL};

	(void)state;
	describe_objects(&root_object, all);
	for (size_t i = 0; i < OBJECTS; i++) {
		/* An included file is reached through a value, not through a row. */
		if (i == OBJECT_INCLUDED)
			continue;
		if (i == OBJECT_MEMBERS)
			continue; /* not of the file: backends that come at run time, or in a list */
		assert_non_null(all[i]);
		assert_int_equal(all[i]->id, i);
		assert_true(strlen(all[i]->doc) > 10);
		for (const struct config_field *f = all[i]->fields; f->key; f++)
			assert_true(f->type == &type_embed || strlen(f->doc) > 3);
	}
}

static void the_reference_tells_ranges_and_defaults(void **state)
{
	char *md = conf_reference_md();

	(void)state;
	assert_non_null(strstr(md,
		"| `attempts` | count, 0 to 10 | `2` | in all, the first included; 0 and 1: no retry |\n"));
	assert_non_null(strstr(md,
		"| `interval` | duration, at least 100ms | `2s` | between two probes of one backend |\n"));
	assert_non_null(strstr(md, "\n## listeners.NAME.tls\n"));
	assert_non_null(strstr(md, "(#listenersnametls)"));
	assert_null(strstr(md, "(null)"));
	free(md);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_reference_in_the_schema_leads_somewhere),
		cmocka_unit_test(the_schema_has_types_ranges_defaults_and_words),
		cmocka_unit_test(every_key_stands_in_the_schema_and_the_reference),
		cmocka_unit_test(every_key_says_what_it_means),
		cmocka_unit_test(the_reference_tells_ranges_and_defaults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
