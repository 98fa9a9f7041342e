#include <stdio.h>
#include <stdlib.h>
#include "base/obj.h"
#include "config/describe.h"
#include "config/fields.h"

static const char intro[] =
	"# Configuration\n"
	"\n"
	"<!-- Made by `make docs` from the tables that parse the file (proxy/config/fields_*.c). -->\n"
	"\n"
	"One YAML file (JSON is YAML too), given with `weir run -c FILE`; `weir check -c FILE` tries it, and "
	"`weir schema` prints a\n"
	"JSON Schema for editors. A mistake is an error, never a guess: unknown keys, wrong types, names "
	"that lead nowhere, files\n"
	"that cannot be read. All errors are listed at once, as `FILE:LINE:COLUMN: what is wrong`. A reload "
	"with an error\n"
	"changes nothing.\n"
	"\n"
	"- **Durations** are written `250ms`, `5s`, `2m`, `1h`; a bare `0` is allowed.\n"
	"- **Sizes** are bytes, or `64KiB`, `10MiB`, `1GiB` (powers of 1024), `64kB`, `10MB`, `1GB` (of "
	"1000).\n"
	"- **Shares** are percentages, `20%` or `0.5%`.\n"
	"- **Environment**: `${NAME}` in a value is the variable's value, and an error if it is not set; "
	"`${NAME:-default}` stands for\n"
	"  the default if it is unset or empty. `$${` is a literal `${`. Keys are taken as they are.\n"
	"- **Paths** are relative to the file that they are written in.\n"
	"- **Aliases**: `&name` marks a value and `*name` repeats it further down in the same file. Merge "
	"keys (`<<`) and tags are errors.\n"
	"- **`include`** lists more files, or patterns such as `tenants.d/*.yaml`, each with a `tenants` "
	"mapping. A pattern may match\n"
	"  nothing; a plain path must be there.\n"
	"\n"
	"What this version accepts and checks but does not act on yet is marked *not in effect*; using it is "
	"a warning.\n";

/* A bar would end the cell. */
static void put_cell(FILE *f, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '|')
			fputc('\\', f);
		fputc(s.p[i], f);
	}
}

static void put_title(FILE *f, const struct config_object *o)
{
	fputs(*o->path ? o->path : "The file", f);
}

/* As Markdown renderers make them from headings: lower case, without punctuation. */
static void put_link(FILE *f, const struct config_object *o)
{
	fputs("[", f);
	put_title(f, o);
	fputs("](#", f);
	for (const char *p = o->path; *p; p++)
		if (!strchr(".*[]", *p))
			fputc(str_lower_char(*p), f);
	fputs(")", f);
}

static void put_range(FILE *f, const struct config_field *field)
{
	char low_buf[32], high_buf[32];
	struct text low = text_in(low_buf, sizeof(low_buf)), high = text_in(high_buf, sizeof(high_buf));

	field->type->write(field->min, &low);
	field->type->write(field->max, &high);
	if (field->max && field->type != &type_share)
		fprintf(f, ", " STR_FMT " to " STR_FMT, STR_ARG(text_str(&low)), STR_ARG(text_str(&high)));
	else if (field->min)
		fprintf(f, ", at least " STR_FMT, STR_ARG(text_str(&low)));
}

static void put_type(FILE *f, const struct config_field *field)
{
	const struct config_type *t = field->type;

	if (t == &type_enum) {
		for (uint32_t i = 0; field->names[i]; i++)
			fprintf(f, "%s`%s`", i ? ", " : "", field->names[i]);
		return;
	}
	put_cell(f, str_of(t->name));
	if (t == &type_strings)
		fprintf(f, " %s%s", field->element->plural ? field->element->plural : field->element->name,
			field->element->plural ? "" : "s");
	if (field->object) {
		fputs(": ", f);
		put_link(f, field->object);
	}
	if (t->read)
		put_range(f, field);
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
		fprintf(f, "| `%s` | ", field->key);
		put_type(f, field);
		fputs(" | ", f);
		if (field->required)
			fputs("required", f);
		else if (inherited)
			fputs(inherited, f);
		else if (dflt.n)
			fprintf(f, "`" STR_FMT "`", STR_ARG(dflt));
		fputs(" | ", f);
		put_cell(f, str_of(field->doc));
		fputs(field->inert ? " *(not in effect)* |\n" : " |\n", f);
	}
}

static void put_object(FILE *f, const struct config_object *o)
{
	fputs("\n## ", f);
	put_title(f, o);
	fprintf(f, "\n\n%s\n", o->doc);
	if (!o->fields->key)
		return;
	fputs("\n| key | type | default | meaning |\n|---|---|---|---|\n", f);
	put_rows(f, o, NULL);
}

static const char about_variables[] =
	"\n## Variables\n"
	"\n"
	"Values of headers (`set`, `add`), what module rewrite writes, and error pages may hold `$(name)`: "
	"it "
	"is filled in for each\n"
	"request. `$(name:-default)` stands for the default if the value is empty; `$(1)` to `$(9)` are what "
	"a "
	"regular expression\n"
	"beside it has captured; `$$(` is a literal `$(`. One that does not exist is an error when the file "
	"is "
	"loaded.\n"
	"\n"
	"Whatever a client has sent, a value stays in its place: in a header control bytes become spaces; in "
	"a "
	"URL all that would end\n"
	"a segment, a parameter or the query is %-encoded; in a page it is escaped as the form (HTML, JSON) "
	"wants it.\n"
	"\n"
	"| name | where | value |\n|---|---|---|\n";

static void put_variable(FILE *f, struct str name, const char *where, struct str doc)
{
	fprintf(f, "| `" STR_FMT "` | %s | ", STR_ARG(name), where);
	put_cell(f, doc);
	fputs(" |\n", f);
}

char *conf_reference_md(void)
{
	const struct config_object *all[OBJECTS] = {NULL};
	struct described_modules modules;
	char *out = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&out, &n);

	MUST(f);
	describe_objects(&root_object, all);
	all[OBJECT_POLICY] = NULL; /* its rows stand in the objects that embed it */
	fputs(intro, f);
	for (size_t i = 0; i < OBJECTS; i++)
		if (all[i])
			put_object(f, all[i]);
	describe_modules(&modules);
	for (uint32_t i = 0; i < modules.n; i++)
		put_object(f, modules.v[i]);
	fputs(about_variables, f);
	describe_variables(f, put_variable);
	fclose(f);
	return out;
}
