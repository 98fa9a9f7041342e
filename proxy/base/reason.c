#include "base/reason.h"

enum { BLAMED_NO = false, BLAMED_YES = true };

#define BACKEND_REASON(name, status, h2, retry, on, blamed, text) \
	[REASON_##name] = { \
		STR(#name), status, H2_##h2, RETRY_##retry, RETRY_ON_##on, BLAMED_##blamed, STR(text)},
#define REASON(name, status, h2, retry, text) BACKEND_REASON(name, status, h2, retry, NOTHING, NO, text)
/* clang-format off */
const struct reason_row reason_rows[REASONS] = {
	[REASON_NONE] = {.name = STR(""), .text = STR("")},
#include "base/reason.def"
};
/* clang-format on */

struct str reason_name(enum reason r, char buf[REASON_NAME_MAX])
{
	struct str name = reason_rows[r].name;

	for (size_t i = 0; i < name.n; i++)
		buf[i] = str_lower_char(name.p[i]);
	return (struct str){buf, name.n};
}

struct str reason_side(enum reason r)
{
	struct str name = reason_rows[r].name;

	if (r == REASON_NONE)
		return STR_NONE;
	if (str_starts(name, STR("CLIENT_")))
		return STR("client");
	return str_starts(name, STR("UPSTREAM_")) ? STR("upstream") : STR("weir");
}

enum reason reason_from_name(struct str name)
{
	for (int r = REASON_NONE + 1; r < REASONS; r++)
		if (str_case_eq(reason_rows[r].name, name))
			return (enum reason)r;
	return REASON_NONE;
}
