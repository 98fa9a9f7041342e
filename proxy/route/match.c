#include "route/match.h"

#include "base/obj.h"

struct regex *pattern_compile(struct str pattern)
{
	char why[256];
	struct regex *re = regex_compile(pattern, why, sizeof(why));

	MUST(re);
	return re;
}

struct match *match_build(struct arena *a, const struct conf_match *conf, uint32_t n)
{
	struct match *m = arena_array(a, struct match, n);

	for (uint32_t i = 0; i < n; i++) {
		m[i].conf = &conf[i];
		m[i].field = (uint8_t)field_id_of(conf[i].name);
		m[i].regex = conf[i].regex && !conf[i].any ? pattern_compile(conf[i].value) : NULL;
	}
	return m;
}

void match_free(struct match *m, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		regex_free(m[i].regex);
}

bool match_method(const struct conf_strs *methods, const struct head *head)
{
	/* A WebSocket handshake is a GET to whoever wrote the route, whatever its canonical form is. */
	struct str method = head->body == BODY_TUNNEL ? STR("GET") : head->method;

	for (uint32_t i = 0; i < methods->n; i++)
		if (str_eq(methods->v[i], method))
			return true;
	return methods->n == 0;
}

static bool value_matches(const struct match *m, struct str value)
{
	if (m->conf->any)
		return true;
	return m->regex ? regex_matches(m->regex, value) : str_eq(m->conf->value, value);
}

static bool one_header(const struct match *m, const struct head *head)
{
	for (uint32_t i = 0; i < head->fields.n; i++) {
		const struct field *f = &head->fields.v[i];

		if (f->id != m->field || (f->id == FIELD_OTHER && !str_case_eq(field_name(f), m->conf->name)))
			continue;
		if (value_matches(m, field_value(f)))
			return true;
	}
	return m->field == FIELD_HOST && value_matches(m, head->authority);
}

bool match_headers(const struct match *m, uint32_t n, const struct head *head)
{
	for (uint32_t i = 0; i < n; i++)
		if (!one_header(&m[i], head))
			return false;
	return true;
}

static bool one_parameter(const struct match *m, struct str query)
{
	while (query.n) {
		struct str pair = str_head(query, str_find(query, '&'));
		size_t equals = str_find(pair, '=');

		query = str_skip(query, pair.n + 1);
		if (str_eq(str_head(pair, equals), m->conf->name) &&
			value_matches(m, str_skip(pair, equals + 1)))
			return true;
	}
	return false;
}

bool match_query(const struct match *m, uint32_t n, struct str query)
{
	for (uint32_t i = 0; i < n; i++)
		if (!one_parameter(&m[i], query))
			return false;
	return true;
}
