/* modules/cors.c - cross-origin requests of browsers (Fetch standard, "CORS protocol"): preflights are answered here, answers get the
 * headers, also those that weir gives itself. */
#include "modules.h"
#include "pattern.h"

struct cors {
	struct conf_strs origins, methods, headers, expose;
	bool credentials;
	uint32_t max_age; /* ms */
};

/* The host of an origin's pattern: what stands between "://", where that is, and a port. */
static struct str host_of(struct str pattern)
{
	size_t colon;

	for (size_t i = 0; i + 3 < pattern.n; i++)
		if (str_starts(str_skip(pattern, i), STR("://"))) {
			pattern = str_skip(pattern, i + 3);
			break;
		}
	colon = pattern.n;
	for (size_t i = 0; i < pattern.n; i++)
		if (pattern.p[i] == ':')
			colon = i;
	return str_head(pattern, colon);
}

/* Does it leave the end of a host's name to whoever registers one? What follows the last star must have a dot in it. And "null" is what
 * any page can have a frame of its own say. */
static bool is_anybodys(struct str pattern)
{
	struct str rest = host_of(pattern);
	bool star = false;

	for (size_t at = str_find(rest, '*'); at < rest.n; at = str_find(rest, '*')) {
		rest = str_skip(rest, at + 1);
		star = true;
	}
	return pattern_has(pattern, STR("null")) || (star && str_find(rest, '.') == rest.n);
}

static void check(struct parse *p, const struct node *v, void *obj)
{
	const struct cors *cors = obj;

	for (uint32_t i = 0; i < cors->origins.n; i++)
		if (cors->credentials && is_anybodys(cors->origins.v[i]))
			parse_error(p, v,
				"\"origins\" cannot have %s with \"credentials\": pages of anybody could "
				"then "
				"act as the user; name the origins, patterns such as \"https://*.acme.test\" "
				"are "
				"allowed",
				parse_quote(p, cors->origins.v[i]));
}

static const struct config_field fields[] = {
	STRINGS("origins", struct cors, origins, type_text,
		"pages that may ask: \"https://app.acme.test\", a pattern such as \"https://\\*.acme.test\", "
		"or "
		"\"*\" for all",
		REQUIRED),
	STRINGS("methods", struct cors, methods, type_token,
		"that they may use; empty: GET, HEAD, POST, PUT, PATCH, DELETE"),
	STRINGS("headers", struct cors, headers, type_token,
		"that they may send beyond the simple ones; empty: those that the preflight asks for"),
	STRINGS("expose", struct cors, expose, type_token, "headers of answers that scripts may read"),
	BOOL("credentials", struct cors, credentials, "cookies and passwords may be sent along",
		.dflt = false),
	DURATION("max_age", struct cors, max_age, "how long a browser may remember the answer to a preflight",
		.dflt = 600000),
	END,
};

static const struct config_object object = {
	.id = OBJECT_MODULE,
	.path = "modules.cors",
	.what = "cors",
	.doc = "Cross-origin requests of browsers. See [cors](modules/cors.md).",
	.size = sizeof(struct cors),
	.fields = fields,
	.check = check,
};

/* The module's word in a request: its answer is complete. */
enum { PREFLIGHT = 1 };

static struct str value_of(const struct head *head, struct str name)
{
	const struct field *f = fields_find_name(&head->fields, name);

	return f ? field_value(f) : STR_NONE;
}

static struct str joined(struct arena *a, const struct conf_strs *list)
{
	struct text t;
	size_t n = 0;

	for (uint32_t i = 0; i < list->n; i++)
		n += list->v[i].n + 2;
	t = text_in(arena_bytes(a, n), n);
	for (uint32_t i = 0; i < list->n; i++) {
		if (i)
			text_put(&t, STR(", "));
		text_put(&t, list->v[i]);
	}
	return text_str(&t);
}

static bool is_open_to_all(const struct cors *cors)
{
	return cors->origins.n == 1 && str_eq(cors->origins.v[0], STR("*"));
}

static void add(struct module_call *c, struct fields *to, struct str name, struct str value)
{
	fields_remove_name(to, name);
	fields_add(c->arena, to, field_id_of(name), name, value);
}

/* Caches must know that the answer to another origin is another one, also where this one got nothing. */
static void add_vary(struct module_call *c, struct fields *to)
{
	fields_add(c->arena, to, FIELD_VARY, STR("vary"), STR("origin"));
}

static void add_allow(struct module_call *c, struct fields *to, struct str origin)
{
	const struct cors *cors = c->values;

	add(c, to, STR("access-control-allow-origin"), is_open_to_all(cors) ? STR("*") : origin);
	if (cors->credentials)
		add(c, to, STR("access-control-allow-credentials"), STR("true"));
}

/* Of an origin that may not ask, the answer says nothing: the browser refuses for itself. */
static int answer_preflight(struct module_call *c, struct str origin)
{
	const struct cors *cors = c->values;
	const struct head *request = module_request(c);
	struct str asked = value_of(request, STR("access-control-request-headers"));
	struct fields head = {0};

	if (!is_open_to_all(cors))
		add_vary(c, &head);
	if (patterns_have(&cors->origins, origin)) {
		add_allow(c, &head, origin);
		add(c, &head, STR("access-control-allow-methods"),
			cors->methods.n ? joined(c->arena, &cors->methods)
					: STR("GET, HEAD, POST, PUT, PATCH, DELETE"));
		if (cors->headers.n)
			asked = joined(c->arena, &cors->headers);
		if (asked.n)
			add(c, &head, STR("access-control-allow-headers"), asked);
		add(c, &head, STR("access-control-max-age"), arena_fmt(c->arena, "%u", cors->max_age / 1000));
	}
	module_log_field(c, STR("cors"), STR("preflight"));
	*c->slot = (void *)(uintptr_t)PREFLIGHT;
	return module_answer(c, 204, &head, STR_NONE);
}

static int routed(struct module_call *c)
{
	const struct head *request = module_request(c);
	const struct field *origin = fields_find(&request->fields, FIELD_ORIGIN);

	if (origin && request->method_id == METHOD_OPTIONS &&
		fields_find_name(&request->fields, STR("access-control-request-method")))
		return answer_preflight(c, field_value(origin));
	return MODULE_PASS;
}

/* What the backend says about it is replaced: two modules' opinions in one answer are refused by browsers. */
static int response(struct module_call *c, struct head *head, bool own)
{
	static const struct str names[] = {
		STR("access-control-allow-origin"),
		STR("access-control-allow-credentials"),
		STR("access-control-expose-headers"),
	};
	const struct cors *cors = c->values;
	const struct head *request = module_request(c);
	const struct field *origin = fields_find(&request->fields, FIELD_ORIGIN);

	if ((uintptr_t)*c->slot == PREFLIGHT)
		return MODULE_PASS;
	for (size_t i = 0; i < COUNT_OF(names) && !own; i++)
		fields_remove_name(&head->fields, names[i]);
	if (!is_open_to_all(cors))
		add_vary(c, &head->fields);
	if (!origin || !patterns_have(&cors->origins, field_value(origin)))
		return MODULE_PASS;
	add_allow(c, &head->fields, field_value(origin));
	if (cors->expose.n)
		add(c, &head->fields, STR("access-control-expose-headers"), joined(c->arena, &cors->expose));
	return MODULE_PASS;
}

static void explain(const void *values, void *data, const struct head *request, const struct addr *client,
	struct text *out)
{
	const struct cors *cors = values;
	const struct field *origin = fields_find(&request->fields, FIELD_ORIGIN);

	(void)data;
	(void)client;
	text_put(out, !origin ? STR("the request names no origin")
		      : patterns_have(&cors->origins, field_value(origin))
			      ? STR("the origin may read the answer")
			      : STR("the origin may not read the answer"));
}

const struct module cors_module = {
	.config = {.abi = MODULE_ABI, .name = "cors", .levels = MODULE_ANYWHERE, .object = &object},
	.routed = routed,
	.response = response,
	.explain = explain,
};
