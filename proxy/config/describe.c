#include "config/describe.h"

#include "base/obj.h"

void describe_objects(const struct config_object *o, const struct config_object *all[OBJECTS])
{
	if (all[o->id])
		return;
	all[o->id] = o;
	for (const struct config_field *f = o->fields; f->key; f++)
		if (f->object)
			describe_objects(f->object, all);
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
