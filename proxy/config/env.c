#include "config/env.h"

#include <stdlib.h>
#include "base/obj.h"

struct reference {
	struct str name, dflt;
	bool has_default;
};

static bool name_char(char c, bool first)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
	       (!first && c >= '0' && c <= '9');
}

/* `body` is what stands between the braces. */
static bool reference_parse(struct reference *r, struct str body)
{
	size_t n = 0;

	while (n < body.n && name_char(body.p[n], n == 0))
		n++;
	r->name = str_head(body, n);
	body = str_skip(body, n);
	r->has_default = str_starts(body, STR(":-"));
	r->dflt = str_skip(body, 2);
	return n > 0 && (body.n == 0 || r->has_default);
}

/* The variable's value, its default, or NULL and a problem. */
static struct str reference_value(struct arena *a, const struct reference *r, const char **problem)
{
	const char *value = getenv(arena_str(a, r->name).p);

	if (value && (*value || !r->has_default))
		return str_of(value);
	if (r->has_default)
		return r->dflt;
	*problem =
		arena_fmt(a, "the environment has no " STR_FMT "; ${" STR_FMT ":-...} would give a default",
			STR_ARG(r->name), STR_ARG(r->name))
			.p;
	return STR_NONE;
}

/* The text has to be measured before it is written, so this runs twice: out NULL only adds up. */
static size_t expand(struct arena *a, struct str in, char *out, const char **problem)
{
	size_t n = 0;

	while (in.n && !*problem) {
		struct str value = str_head(in, 1);
		size_t used = 1;

		if (str_starts(in, STR("$${"))) {
			value = STR("${");
			used = 3;
		} else if (str_starts(in, STR("${"))) {
			struct reference r;
			size_t end = str_find(in, '}');

			if (end == in.n || !reference_parse(&r, str_head(str_skip(in, 2), end - 2))) {
				*problem = "\"${\" begins a reference to the environment, ${NAME} or "
					   "${NAME:-default}; "
					   "write $${ for the characters themselves";
				break;
			}
			value = reference_value(a, &r, problem);
			used = end + 1;
		}
		if (out && value.n)
			memcpy(out + n, value.p, value.n);
		n += value.n;
		in = str_skip(in, used);
	}
	return n;
}

struct str env_expand(struct arena *a, struct str in, const char **problem)
{
	size_t n;
	char *out;

	*problem = NULL;
	n = expand(a, in, NULL, problem);
	if (*problem)
		return in;
	out = arena_bytes(a, n + 1);
	expand(a, in, out, problem);
	out[n] = '\0';
	return (struct str){out, n};
}
