#include "auth.h"

#include "modules.h"

/* In the order in which they are met. */
static const struct module *const asking[] = {
	&access_module,
	&jwt_module,
	&basic_auth_module,
	&forward_auth_module,
};

/* NULL: there is no access here, and everyone must be content. */
static void **mark_of(const struct module_call *c)
{
	return module_slot(c, &access_module);
}

bool auth_is_granted(const struct module_call *c)
{
	void **mark = mark_of(c);

	return mark && (uintptr_t)*mark == AUTH_GRANTED;
}

int auth_grant(const struct module_call *c)
{
	void **mark = mark_of(c);

	if (mark && (uintptr_t)*mark == AUTH_ANY)
		*mark = (void *)(uintptr_t)AUTH_GRANTED;
	return MODULE_PASS;
}

static bool is_last(const struct module_call *c)
{
	size_t i = 0;

	while (asking[i] != c->module)
		i++;
	while (++i < COUNT_OF(asking))
		if (module_slot(c, asking[i]))
			return false;
	return true;
}

int auth_refuse(const struct module_call *c, enum reason why, struct str challenge)
{
	void **mark = mark_of(c);

	if (challenge.n)
		module_reply_header(c, STR("www-authenticate"), challenge);
	if (mark && (uintptr_t)*mark == AUTH_ANY && !is_last(c))
		return MODULE_PASS;
	return (int)why;
}

bool auth_has_several(const struct head *request, struct str name)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < request->fields.n; i++)
		n += str_case_eq(field_name(&request->fields.v[i]), name);
	return n > 1;
}
