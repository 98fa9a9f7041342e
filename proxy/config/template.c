#include "config/template.h"

#include "base/obj.h"
#include "config/module.h"
#include "config/suggest.h"

#define REQUEST TEMPLATE_REQUEST
#define ANSWER  TEMPLATE_ANSWER
const struct variable_row variable_rows[VARIABLES] = {
#define VARIABLE(id, name, when, url, doc) [VARIABLE_##id] = {name, when, url, doc},
#include "config/variable.def"
};
#undef REQUEST
#undef ANSWER

/* -- finding variables -- */

static bool takes_name(struct str row)
{
	return row.n && row.p[row.n - 1] == '.';
}

/* Is `name` what the row means? Then what stands behind the dot is in *rest. */
static bool row_has(struct str row, struct str name, struct str *rest)
{
	if (!takes_name(row)) {
		*rest = STR_NONE;
		return str_eq(row, name);
	}
	*rest = str_skip(name, row.n);
	return str_starts(name, row) && rest->n > 0;
}

static const struct config_module *module_of(struct str name, struct str *rest)
{
	size_t dot = str_find(name, '.');
	const struct config_module *m = dot < name.n ? config_module_find(str_head(name, dot)) : NULL;

	for (uint32_t i = 0; m && m->variables && m->variables[i]; i++)
		if (str_eq(str_of(m->variables[i]), STR("*")) ||
			str_eq(str_of(m->variables[i]), str_skip(name, dot + 1))) {
			*rest = str_skip(name, dot + 1);
			return rest->n ? m : NULL;
		}
	return NULL;
}

/* The nearest name that there is, in a; empty: none is near. */
static struct str nearest(struct arena *a, struct str name)
{
	size_t dot = MIN(str_find(name, '.') + 1, name.n);
	struct suggestion s = {.word = name}, group = {.word = str_head(name, dot)};

	for (uint32_t i = 0; i < VARIABLES; i++)
		if (variable_rows[i].name && takes_name(str_of(variable_rows[i].name)))
			suggest_try(&group, str_of(variable_rows[i].name));
		else if (variable_rows[i].name)
			suggest_try(&s, str_of(variable_rows[i].name));
	for (uint32_t m = 0; config_modules && config_modules[m]; m++)
		for (uint32_t i = 0; config_modules[m]->variables && config_modules[m]->variables[i]; i++)
			suggest_try(&s, arena_fmt(a, "%s.%s", config_modules[m]->name,
						config_modules[m]->variables[i]));
	if (s.best.n == 0 && group.best.n && dot < name.n)
		return arena_fmt(a, STR_FMT STR_FMT, STR_ARG(group.best), STR_ARG(str_skip(name, dot)));
	return s.best;
}

static const char *unknown(struct arena *a, struct str name)
{
	struct str near = nearest(a, name);

	if (near.n == 0)
		return arena_fmt(a,
			"there is no variable $(" STR_FMT "); write $$( for the characters themselves",
			STR_ARG(name))
			.p;
	return arena_fmt(a, "there is no variable $(" STR_FMT "); did you mean $(" STR_FMT ")?",
		STR_ARG(name), STR_ARG(near))
		.p;
}

/* -- pieces -- */

static bool name_piece(
	struct arena *a, struct str name, unsigned when, struct template_piece *p, const char **why)
{
	struct str rest;

	if (name.n == 1 && name.p[0] >= '0' && name.p[0] <= '9') {
		p->variable = VARIABLE_CAPTURE;
		p->capture = (uint8_t)(name.p[0] - '0');
		if (!(when & TEMPLATE_CAPTURES))
			*why = "$(0) to $(9) are what a regular expression captures, and there is none here";
		return !*why;
	}
	for (uint8_t i = 0; i < VARIABLES; i++) {
		const struct variable_row *row = &variable_rows[i];

		if (!row->name || !row_has(str_of(row->name), name, &rest))
			continue;
		p->variable = i;
		p->name = rest.n ? arena_str(a, rest) : STR_NONE;
		if (!(when & row->when))
			*why = arena_fmt(a,
				"$(" STR_FMT
				") is known only once there is an answer: in headers of answers and "
				"in error pages",
				STR_ARG(name))
				       .p;
		return !*why;
	}
	p->module = module_of(name, &rest);
	if (p->module) {
		p->variable = VARIABLE_MODULE;
		p->name = arena_str(a, rest);
		return true;
	}
	*why = unknown(a, name);
	return false;
}

/* `in` begins with "$("; *used says how much of it the piece is. */
static bool variable_piece(struct arena *a, struct str in, unsigned when, struct template_piece *p,
	size_t *used, const char **why)
{
	struct str body = str_skip(in, 2);
	size_t end = str_find(body, ')'), colon;

	if (end == body.n) {
		*why = "\"$(\" begins a variable, $(name) or $(name:-default); write $$( for the characters "
		       "themselves";
		return false;
	}
	body = str_head(body, end);
	*used = end + 3;
	colon = str_find(body, ':');
	if (colon < body.n && str_starts(str_skip(body, colon), STR(":-"))) {
		p->text = arena_str(a, str_skip(body, colon + 2));
		body = str_head(body, colon);
	}
	return name_piece(a, body, when, p, why);
}

static size_t next_mark(struct str in)
{
	for (size_t i = 0; i + 1 < in.n; i++)
		if (in.p[i] == '$' && (in.p[i + 1] == '(' || str_starts(str_skip(in, i), STR("$$("))))
			return i;
	return in.n;
}

bool template_parse(struct arena *a, struct str in, unsigned when, struct template *out, const char **why)
{
	struct template_piece v[TEMPLATE_PIECES_MAX];
	uint32_t n = 0;

	*why = NULL;
	*out = (struct template){.literal = arena_str(a, in)};
	if (next_mark(in) == in.n)
		return true;
	while (in.n) {
		size_t used = next_mark(in);

		if (n == TEMPLATE_PIECES_MAX) {
			*why = arena_fmt(a, "it has more than %d pieces", TEMPLATE_PIECES_MAX).p;
			return false;
		}
		v[n] = (struct template_piece){.variable = VARIABLE_TEXT};
		if (used > 0) {
			v[n].text = arena_str(a, str_head(in, used));
		} else if (str_starts(in, STR("$$("))) {
			v[n].text = STR("$(");
			used = 3;
		} else if (!variable_piece(a, in, when, &v[n], &used, why)) {
			return false;
		}
		in = str_skip(in, used);
		n++;
	}
	out->n = n;
	out->v = arena_array(a, struct template_piece, n);
	memcpy(out->v, v, n * sizeof(*v));
	return true;
}

bool template_has_captures(const struct template *t)
{
	for (uint32_t i = 0; i < t->n; i++)
		if (t->v[i].variable == VARIABLE_CAPTURE)
			return true;
	return false;
}
