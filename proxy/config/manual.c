/* config/manual.c - weir.yaml(5): the reference (reference.c) as a manual page. */
#include "config/manual.h"
#include "base/obj.h"
#include "base/roff.h"
#include "config/describe.h"
#include "config/fields.h"

static void put_type(FILE *f, const struct config_field *field)
{
	if (field->type == &type_enum) {
		for (uint32_t i = 0; field->names[i]; i++)
			fprintf(f, "%s\\fB%s\\fR", i ? " | " : "", field->names[i]);
		return;
	}
	roff_words(f, str_of(field->type->name));
	if (field->object && *field->object->path) {
		fputs(": ", f);
		roff_words(f, str_of(field->object->path));
	}
}

/* inherited: said in place of every default; NULL: nothing is. */
static void put_rows(FILE *f, const struct config_object *o, const char *inherited)
{
	char buf[DEFAULT_TEXT_MAX];

	for (const struct config_field *field = o->fields; field->key; field++) {
		struct str dflt = describe_default(field, buf);

		if (field->type == &type_embed) {
			put_rows(f, field->object, field->text);
			continue;
		}
		fputs(".TP\n\\fB", f);
		roff_words(f, str_of(field->key));
		fputs("\\fR (", f);
		put_type(f, field);
		if (field->required) {
			fputs(", required", f);
		} else if (inherited) {
			fputs(", ", f);
			roff_words(f, str_of(inherited));
		} else if (dflt.n) {
			fputs(", ", f);
			roff_words(f, dflt);
		}
		fputs(")\n", f);
		roff_text(f, str_of(field->doc));
		if (field->inert)
			fputs("Not in effect in this version.\n", f);
	}
}

static void put_object(FILE *f, const struct config_object *o)
{
	fputs(".SS ", f);
	roff_words(f, str_of(*o->path ? o->path : "The file"));
	fputc('\n', f);
	roff_text(f, str_of(o->doc));
	if (o->fields->key)
		put_rows(f, o, NULL);
}

static void put_variable(FILE *f, struct str name, const char *where, struct str doc)
{
	fputs(".TP\n\\fB", f);
	roff_words(f, name);
	fprintf(f, "\\fR (%s)\n", *where ? where : "anywhere");
	roff_text(f, doc);
}

void conf_manual(FILE *f)
{
	const struct config_object *all[OBJECTS] = {NULL};
	struct described_modules modules;

	describe_objects(&root_object, all);
	all[OBJECT_POLICY] = NULL; /* its rows stand in the objects that embed it */
	for (size_t i = 0; i < OBJECTS; i++)
		if (all[i])
			put_object(f, all[i]);
	describe_modules(&modules);
	for (uint32_t i = 0; i < modules.n; i++)
		put_object(f, modules.v[i]);
	fputs(".SS Variables\nAs \\fB$(name)\\fR in values of headers, in redirects, in what module rewrite "
	      "writes, and in "
	      "error pages.\n",
		f);
	describe_variables(f, put_variable);
}
