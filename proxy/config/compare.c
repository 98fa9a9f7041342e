#include "config/compare.h"

struct comparison {
	void (*each)(const struct config_change *change, void *arg);
	void *arg;
	struct text
		key; /* of the object that is being compared, with a point behind it; empty: the outermost */
};

static void compare_rows(
	struct comparison *c, const struct config_object *o, const void *before, const void *after);

static void differs(struct comparison *c, const struct config_field *f, struct str before, struct str after)
{
	struct text key = c->key;

	text_put(&key, str_of(f->key));
	c->each(&(struct config_change){text_str(&key), before, after, f->secret}, c->arg);
}

static void end_value(struct text *t)
{
	if (t->n == 0)
		text_put(t, t->cut ? STR("...") : STR("null"));
}

static void compare_values(
	struct comparison *c, const struct config_field *f, const void *before, const void *after)
{
	char buf[2][COMPARE_TEXT_MAX];
	struct text was = text_in(buf[0], COMPARE_TEXT_MAX), is = text_in(buf[1], COMPARE_TEXT_MAX);

	f->type->say(f, before, &was);
	f->type->say(f, after, &is);
	if (str_eq(text_str(&was), text_str(&is)))
		return;
	end_value(&was);
	end_value(&is);
	differs(c, f, text_str(&was), text_str(&is));
}

/* Of a mapping that may be there or not, or of which one is chosen. */
static bool is_on(const struct config_field *f, const void *obj)
{
	if (f->type == &type_choice)
		return *(const uint8_t *)field_member_const(f, obj) == f->choice;
	return !f->present || *((const bool *)obj + f->present);
}

/* True if the members of the row's object lie in the struct of the row itself. */
static bool lies_within(const struct config_field *f)
{
	return f->type == &type_within || f->type == &type_choice;
}

static void compare_objects(
	struct comparison *c, const struct config_field *f, const void *before, const void *after)
{
	bool was = is_on(f, before), is = is_on(f, after);
	const struct text outer = c->key;

	if (was != is)
		differs(c, f, was ? STR("on") : STR("off"), is ? STR("on") : STR("off"));
	if (!was || !is)
		return;
	if (f->type != &type_embed) {
		text_put(&c->key, str_of(f->key));
		text_char(&c->key, '.');
	}
	if (f->shared)
		compare_rows(c, f->object, *field_shared(f, before), *field_shared(f, after));
	else if (lies_within(f))
		compare_rows(c, f->object, before, after);
	else
		compare_rows(c, f->object, field_member_const(f, before), field_member_const(f, after));
	c->key = outer;
}

static void compare_rows(
	struct comparison *c, const struct config_object *o, const void *before, const void *after)
{
	for (const struct config_field *f = o->fields; f->key; f++) {
		if (f->type->say)
			compare_values(c, f, before, after);
		else if (f->object && !f->element && f->type != &type_list)
			compare_objects(c, f, before, after);
	}
}

void config_compare(const struct config_object *o, const void *before, const void *after,
	void (*each)(const struct config_change *change, void *arg), void *arg)
{
	char key[COMPARE_KEY_MAX];
	struct comparison c = {each, arg, text_in(key, sizeof(key))};

	compare_rows(&c, o, before, after);
}
