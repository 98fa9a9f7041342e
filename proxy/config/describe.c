#include "config/describe.h"

#include "base/obj.h"
#include "config/module.h"

void describe_objects(const struct config_object *o, const struct config_object *all[OBJECTS])
{
	if (all[o->id])
		return;
	all[o->id] = o;
	for (const struct config_field *f = o->fields; f->key; f++)
		if (f->object)
			describe_objects(f->object, all);
}

static void describe_module(struct described_modules *all, const struct config_object *o)
{
	if (o->id != OBJECT_MODULE)
		return;
	for (uint32_t i = 0; i < all->n; i++)
		if (all->v[i] == o)
			return;
	MUST(all->n < COUNT_OF(all->v));
	all->v[all->n++] = o;
	for (const struct config_field *f = o->fields; f->key; f++)
		if (f->object)
			describe_module(all, f->object);
}

void describe_modules(struct described_modules *all)
{
	all->n = 0;
	for (uint32_t i = 0; config_modules && config_modules[i]; i++)
		describe_module(all, config_modules[i]->object);
}

struct str describe_default(const struct config_field *f, char buf[DEFAULT_TEXT_MAX])
{
	struct text t = text_in(buf, DEFAULT_TEXT_MAX);

	if (f->required)
		return STR_NONE;
	if (f->text)
		text_put(&t, str_of(f->text));
	else if (f->nullable)
		text_put(&t, STR("null"));
	else if (f->type->write)
		f->type->write(f->dflt, &t);
	else if (f->type == &type_bool)
		text_put(&t, f->dflt ? STR("true") : STR("false"));
	else if (f->names)
		text_put(&t, str_of(f->names[f->dflt]));
	return text_str(&t);
}

uint64_t describe_max(const struct config_field *f)
{
	return f->max ? f->max : UINT64_MAX >> (64 - f->size * 8);
}

static void describe_module_variables(FILE *f, const struct config_module *m,
	void (*each)(FILE *f, struct str name, const char *where, struct str doc))
{
	char name[128], doc[128];

	for (uint32_t i = 0; m->variables && m->variables[i]; i++) {
		struct text n = text_in(name, sizeof(name)), d = text_in(doc, sizeof(doc));

		text_fmt(&n, "%s.%s", m->name, strcmp(m->variables[i], "*") == 0 ? "NAME" : m->variables[i]);
		text_fmt(&d, "of module [%s](modules/%s.md)", m->name, m->name);
		each(f, text_str(&n), "", text_str(&d));
	}
}

void describe_variables(FILE *f, void (*each)(FILE *f, struct str name, const char *where, struct str doc))
{
	char name[128];

	for (uint32_t i = 0; i < VARIABLES; i++) {
		const struct variable_row *v = &variable_rows[i];
		struct text n = text_in(name, sizeof(name));

		if (!v->name)
			continue;
		text_fmt(&n, "%s%s", v->name, str_ends(str_of(v->name), STR(".")) ? "NAME" : "");
		each(f, text_str(&n), v->when == TEMPLATE_ANSWER ? "headers of answers, error pages" : "",
			str_of(v->doc));
	}
	for (uint32_t m = 0; config_modules && config_modules[m]; m++)
		describe_module_variables(f, config_modules[m], each);
}
