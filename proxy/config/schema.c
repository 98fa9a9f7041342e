#include <jansson.h>
#include <stdlib.h>
#include "base/obj.h"
#include "config/describe.h"
#include "config/fields.h"
#include "config/module.h"

/* ${NAME} may stand for any plain value; texts take it anyway. */
#define ENV "{\"type\": \"string\", \"pattern\": \"\\\\$\\\\{[A-Za-z_]\"}"

static const struct {
	const char *name, *schema;
} units[] = {
	{"env", ENV},
	{"duration", "{\"anyOf\": [{\"type\": \"string\", \"pattern\": \"^([0-9]+(ms|s|m|h)|0)$\"}, "
		     "{\"const\": 0}, {\"$ref\":"
		     "\"#/$defs/env\"}]}"},
	{"size", "{\"anyOf\": [{\"type\": \"string\", \"pattern\": \"^[0-9]+(B|kB|KiB|MB|MiB|GB|GiB)?$\"}, "
		 "{\"type\":"
		 "\"integer\", \"minimum\": 0}, {\"$ref\": \"#/$defs/env\"}]}"},
	{"share", "{\"anyOf\": [{\"type\": \"string\", \"pattern\": \"^[0-9]{1,3}([.][0-9]{1,2})?%$\"}, "
		  "{\"$ref\":"
		  "\"#/$defs/env\"}]}"},
};

/* Of our own constants: a mistake in them is found by the first test. */
static json_t *from_text(const char *text)
{
	json_t *j = json_loads(text, JSON_DECODE_ANY, NULL);

	MUST(j);
	return j;
}

static json_t *either(json_t *a, json_t *b)
{
	return json_pack("{s: [o, o]}", "anyOf", a, b);
}

static json_t *or_env(json_t *a)
{
	return either(a, json_pack("{s: s}", "$ref", "#/$defs/env"));
}

static json_t *reference(const struct config_object *o)
{
	json_t *ref = json_pack("{s: o}", "$ref", json_sprintf("#/$defs/%s", o->path));

	return o->short_key ? either(json_pack("{s: s}", "type", "string"), ref) : ref;
}

static json_t *element_schema(const struct config_type *t)
{
	return t->schema ? from_text(t->schema) : json_pack("{s: s}", "type", "string");
}

static json_t *names_schema(const struct config_field *f)
{
	json_t *names = json_array();

	for (uint32_t i = 0; f->names[i]; i++)
		json_array_append_new(names, json_string(f->names[i]));
	return or_env(json_pack("{s: o}", "enum", names));
}

static json_t *map_schema(const struct config_field *f)
{
	return json_pack("{s: s, s: o, s: o}", "type", "object", "additionalProperties", reference(f->object),
		"propertyNames", element_schema(f->element));
}

/* The program's modules by name, each a mapping, on or off; at the top level also one's own, with their paths. */
static json_t *modules_schema(const struct config_field *f)
{
	json_t *properties = json_object();

	for (uint32_t i = 0; config_modules && config_modules[i]; i++)
		if (config_modules[i]->levels & f->choice)
			json_object_set_new(properties, config_modules[i]->name,
				either(reference(config_modules[i]->object),
					json_pack("{s: [s, s, b, b]}", "enum", "on", "off", 1, 0)));
	return json_pack("{s: s, s: o}", "type", "object", "properties", properties);
}

static json_t *value_schema(const struct config_field *f)
{
	if (f->type == &type_count)
		return or_env(
			json_pack("{s: s, s: I, s: I}", "type", "integer", "minimum", (json_int_t)f->min,
				"maximum", (json_int_t)MIN(describe_max(f), (uint64_t)INT64_MAX)));
	if (f->type == &type_bool)
		return or_env(json_pack("{s: s}", "type", "boolean"));
	if (f->type == &type_enum)
		return names_schema(f);
	if (f->type == &type_strings)
		return either(json_pack("{s: s, s: o}", "type", "array", "items", element_schema(f->element)),
			element_schema(f->element));
	if (f->type == &type_list)
		return json_pack("{s: s, s: o}", "type", "array", "items", reference(f->object));
	if (f->type == &type_map || f->type == &type_tenants)
		return map_schema(f);
	if (f->type == &type_modules)
		return modules_schema(f);
	if (f->type->schema)
		return from_text(f->type->schema);
	if (f->type == &type_choice)
		return either(reference(f->object), json_pack("{s: s}", "type", "null"));
	return reference(f->object);
}

static json_t *default_json(struct str s)
{
	uint64_t n;
	json_t *list;

	if (str_eq(s, STR("true")) || str_eq(s, STR("false")))
		return json_boolean(s.n == 4);
	if (str_eq(s, STR("null")))
		return json_null();
	if (str_to_u64(s, &n))
		return json_integer((json_int_t)n);
	if (!str_starts(s, STR("[")))
		return json_stringn(s.p, s.n);
	list = json_array();
	for (struct str rest = str_head(str_skip(s, 1), s.n - 2), e; str_next_element(&rest, &e);)
		json_array_append_new(
			list, str_to_u64(e, &n) ? json_integer((json_int_t)n) : json_stringn(e.p, e.n));
	return list;
}

static json_t *row_schema(const struct config_field *f, bool with_default)
{
	char buf[DEFAULT_TEXT_MAX];
	struct str dflt = with_default ? describe_default(f, buf) : STR_NONE;
	json_t *j = value_schema(f);

	if (f->nullable)
		j = either(j, json_pack("{s: s}", "type", "null"));
	json_object_set_new(j, "description",
		json_sprintf("%s%s", f->doc, f->inert ? " (not in effect in this version)" : ""));
	if (dflt.n)
		json_object_set_new(j, "default", default_json(dflt));
	return j;
}

static void add_rows(const struct config_object *o, bool with_defaults, json_t *properties, json_t *required)
{
	for (const struct config_field *f = o->fields; f->key; f++) {
		if (f->type == &type_embed) {
			add_rows(f->object, !f->text, properties, required);
			continue;
		}
		json_object_set_new(properties, f->key, row_schema(f, with_defaults));
		if (f->required)
			json_array_append_new(required, json_string(f->key));
	}
}

static json_t *object_schema(const struct config_object *o)
{
	json_t *properties = json_object(), *required = json_array();
	json_t *j = json_pack("{s: s, s: s, s: b, s: o}", "description", o->doc, "type", "object",
		"additionalProperties", 0, "properties", properties);

	add_rows(o, true, properties, required);
	if (json_array_size(required))
		json_object_set_new(j, "required", required);
	else
		json_decref(required);
	return j;
}

char *conf_schema_json(void)
{
	const struct config_object *all[OBJECTS] = {NULL};
	struct described_modules modules;
	json_t *root = json_pack("{s: s, s: s}", "$schema", "https://json-schema.org/draft/2020-12/schema",
		"title", "weir's configuration");
	json_t *defs = json_object(), *top = object_schema(&root_object);
	char *out;

	describe_objects(&root_object, all);
	all[OBJECT_ROOT] = NULL;
	all[OBJECT_POLICY] = NULL; /* its rows stand in the objects that embed it */
	for (size_t i = 0; i < COUNT_OF(units); i++)
		json_object_set_new(defs, units[i].name, from_text(units[i].schema));
	for (size_t i = 0; i < OBJECTS; i++)
		if (all[i])
			json_object_set_new(defs, all[i]->path, object_schema(all[i]));
	describe_modules(&modules);
	for (uint32_t i = 0; i < modules.n; i++)
		json_object_set_new(defs, modules.v[i]->path, object_schema(modules.v[i]));
	json_object_update(root, top);
	json_decref(top);
	json_object_set_new(root, "$defs", defs);
	out = json_dumps(root, JSON_INDENT(2));
	json_decref(root);
	MUST(out);
	return out;
}
