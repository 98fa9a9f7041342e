#include "control/admin/match.h"

#include "base/obj.h"

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = str_lower_char(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct str admin_decode(struct arena *a, struct str s, bool in_query)
{
	char *p = arena_bytes(a, s.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == '%') {
			int high = i + 2 < s.n ? hex(s.p[i + 1]) : -1, low = high >= 0 ? hex(s.p[i + 2]) : -1;

			if (low < 0)
				return STR_NONE;
			c = (char)(high << 4 | low);
			i += 2;
		} else if (c == '+' && in_query) {
			c = ' ';
		}
		if (c == '\0')
			return STR_NONE;
		p[n++] = c;
	}
	p[n] = '\0';
	return (struct str){p, n};
}

/* -- paths -- */

static struct str next_segment(struct str *rest)
{
	struct str segment = str_head(*rest, str_find(*rest, '/'));

	*rest = str_skip(*rest, segment.n + 1);
	return segment;
}

static bool is_name(struct str segment)
{
	return segment.n > 2 && segment.p[0] == '{' && segment.p[segment.n - 1] == '}';
}

bool admin_match_path(
	struct arena *a, const char *pattern, struct str path, struct str params[ADMIN_PARAMS_MAX])
{
	struct str want = str_skip(str_of(pattern), 1), have = str_skip(path, 1);
	uint32_t n = 0;

	if (path.n == 0 || path.p[0] != '/')
		return false;
	/* A path that ends with '/' has an empty segment more. */
	if (path.n > 1 && path.p[path.n - 1] == '/')
		return false;
	while (want.n && have.n) {
		struct str w = next_segment(&want), h = next_segment(&have);

		if (!is_name(w)) {
			if (!str_eq(w, h))
				return false;
			continue;
		}
		MUST(n < ADMIN_PARAMS_MAX);
		params[n] = admin_decode(a, h, false);
		if (params[n++].n == 0)
			return false;
	}
	return want.n == 0 && have.n == 0;
}

int admin_match_param(const char *pattern, const char *name)
{
	struct str rest = str_skip(str_of(pattern), 1);
	int number = 0;

	while (rest.n) {
		struct str s = next_segment(&rest);

		if (!is_name(s))
			continue;
		if (str_eq((struct str){s.p + 1, s.n - 2}, str_of(name)))
			return number;
		number++;
	}
	return -1;
}

static void allow(struct admin_match *m, enum method method)
{
	text_fmt(&m->allow, "%s" STR_FMT, m->allow.n ? ", " : "", STR_ARG(method_name(method)));
	if (method == METHOD_GET)
		text_put(&m->allow, STR(", HEAD"));
}

void admin_match_route(struct admin_match *m, struct arena *a, const struct admin_route *const *tables,
	enum method method, struct str path, struct str params[ADMIN_PARAMS_MAX])
{
	const char *pattern = NULL;
	struct str found[ADMIN_PARAMS_MAX];

	m->route = NULL;
	m->found = false;
	m->allow = text_in(m->allow_bytes, sizeof(m->allow_bytes));
	for (; *tables; tables++) {
		for (const struct admin_route *r = *tables; r->path; r++) {
			memset(found, 0, sizeof(found));
			/* Rows of one path stand for its methods; a path that another row fits more loosely is not looked at. */
			if ((pattern && strcmp(pattern, r->path) != 0) ||
				!admin_match_path(a, r->path, path, found))
				continue;
			pattern = r->path;
			m->found = true;
			allow(m, r->method);
			if (r->method != method && !(method == METHOD_HEAD && r->method == METHOD_GET))
				continue;
			m->route = r;
			memcpy(params, found, sizeof(found));
		}
	}
}

/* -- queries -- */

const char *admin_match_query(
	struct arena *a, struct str query, struct admin_pair pairs[ADMIN_QUERY_MAX], uint32_t *n)
{
	*n = 0;
	while (query.n) {
		struct str pair = str_head(query, str_find(query, '&'));
		struct str name = str_head(pair, str_find(pair, '='));
		struct admin_pair *p = &pairs[*n];

		query = str_skip(query, pair.n + 1);
		if (pair.n == 0)
			continue;
		if (*n == ADMIN_QUERY_MAX)
			return "the query has too many parameters";
		p->name = admin_decode(a, name, true);
		p->value = admin_decode(a, str_skip(pair, name.n + 1), true);
		if (!p->name.p || !p->value.p)
			return "the query has a malformed percent-encoding";
		(*n)++;
	}
	return NULL;
}

/* -- media types -- */

/* A range's type alone; empty when its weight is 0: "not this one". */
static struct str range_type(struct str range)
{
	struct str type = str_trim(str_head(range, str_find(range, ';')));
	struct str rest = str_skip(range, str_find(range, ';') + 1);

	while (rest.n) {
		struct str one = str_trim(str_head(rest, str_find(rest, ';')));
		size_t i;

		rest = str_skip(rest, str_find(rest, ';') + 1);
		if (one.n < 3 || str_lower_char(one.p[0]) != 'q' || one.p[1] != '=')
			continue;
		for (i = 2; i < one.n && (one.p[i] == '0' || one.p[i] == '.'); i++)
			;
		if (i == one.n)
			return STR_NONE;
	}
	return type;
}

bool admin_accept_names(struct str accept, struct str type)
{
	struct str range;

	while (str_next_element(&accept, &range))
		if (str_case_eq(range_type(range), type))
			return true;
	return false;
}

bool admin_accepts(struct str accept, struct str type)
{
	struct str main = str_head(type, str_find(type, '/') + 1), rest = accept, range;

	type = str_trim(str_head(type, str_find(type, ';')));
	if (str_trim(accept).n == 0)
		return true;
	while (str_next_element(&rest, &range)) {
		struct str t = range_type(range);

		if (str_eq(t, STR("*/*")) || str_case_eq(t, type))
			return true;
		if (t.n == main.n + 1 && t.p[t.n - 1] == '*' && str_case_eq(str_head(t, main.n), main))
			return true;
	}
	return false;
}

/* -- JSON -- */

uint32_t admin_json_depth(struct str text)
{
	uint32_t depth = 0, deepest = 0;
	bool in_string = false;

	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];

		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '[' || c == '{') {
			depth++;
			deepest = MAX(deepest, depth);
		} else if ((c == ']' || c == '}') && depth > 0) {
			depth--;
		}
	}
	return deepest;
}
