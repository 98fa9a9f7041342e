#include "base/obj.h"
#include "base/regex.h"
#include "config/fields.h"
#include "config/module.h"

/* -- paths and methods -- */

/* Routing sees the path's bytes as the client sent them: what no client can send is a mistake. */
static bool is_route_path(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] <= 0x20 || (unsigned char)s.p[i] >= 0x7f || strchr("?#\\", s.p[i]))
			return false;
	return s.n > 0 && s.p[0] == '/';
}

static bool is_method(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((s.p[i] < 'A' || s.p[i] > 'Z') && s.p[i] != '-' && s.p[i] != '_')
			return false;
	return s.n > 0 && !str_eq(s, STR("CONNECT")) && !str_eq(s, STR("TRACE"));
}

const struct config_type type_route_path = {
	.name = "path of a URL",
	.expects = "the path of a URL: it begins with /, has no ? or #, and other characters are %-encoded",
	.schema = "{\"type\": \"string\", \"pattern\": \"^/[^?#]*$\"}",
	.valid = is_route_path,
	.parse = type_text_parse,
	.init = type_text_init,
};

const struct config_type type_method = {
	.name = "method",
	.expects = "an HTTP method in capital letters, and neither CONNECT nor TRACE",
	.schema = "{\"type\": \"string\", \"pattern\": \"^[A-Z_-]+$\"}",
	.valid = is_method,
	.parse = type_text_parse,
	.init = type_text_init,
};

static bool regex_compiles(struct parse *p, const struct node *v)
{
	char why[256];
	struct regex *re = regex_compile(node_str(v), why, sizeof(why));

	if (!re)
		parse_error(p, v, "the regular expression %s is %s", parse_quote(p, node_str(v)), why);
	regex_free(re);
	return re != NULL;
}

/* path, exact, regex: the row's `choice` says which; all fill the same member. */
static void parse_route_path(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	struct conf_route *r = obj;

	r->path_kind = (uint8_t)f->choice;
	if (f->choice != CONF_PATH_REGEX)
		type_text_parse(p, f, v, obj);
	else if (v->kind != NODE_SCALAR || v->n == 0)
		parse_bad(p, f, v, "a regular expression");
	else if (regex_compiles(p, v))
		r->path = arena_str(&p->conf->arena, node_str(v));
}

static const struct config_type type_path_match = {
	.name = "path of a URL",
	.expects = "the path of a URL: it begins with /, has no ? or #, and other characters are %-encoded",
	.schema = "{\"type\": \"string\", \"pattern\": \"^/[^?#]*$\"}",
	.valid = is_route_path,
	.parse = parse_route_path,
};

static const struct config_type type_path_regex = {
	.name = "regular expression",
	.schema = "{\"type\": \"string\", \"minLength\": 1}",
	.parse = parse_route_path,
};

/* -- conditions on headers and query parameters -- */

static bool parse_match(
	struct parse *p, const struct config_field *f, const struct node *key, struct conf_match *m)
{
	const struct node *v = key->next, *how;

	m->name = arena_str(&p->conf->arena, node_str(key));
	if (v->kind == NODE_MAP && v->n == 1) {
		how = v->first;
		v = how->next;
		m->regex = str_eq(node_str(how), STR("regex"));
		m->any = str_eq(node_str(how), STR("present"));
		if ((m->any && v->kind == NODE_SCALAR && str_eq(node_str(v), STR("true"))))
			return true;
		if (m->any || (!m->regex && !str_eq(node_str(how), STR("exact"))))
			v = key->next;
	}
	if (v->kind != NODE_SCALAR || node_is_null(v)) {
		parse_error(p, v,
			"%s in \"%s\" must be a text, {exact: TEXT}, {regex: PATTERN} or {present: true}",
			parse_quote(p, node_str(key)), f->key);
		return false;
	}
	m->value = arena_str(&p->conf->arena, node_str(v));
	return !m->regex || regex_compiles(p, v);
}

static void parse_matches(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	struct conf_match *all;
	uint32_t n = 0;

	if (v->kind != NODE_MAP) {
		parse_bad(p, f, v, f->type->expects);
		return;
	}
	all = arena_array(&p->conf->arena, struct conf_match, v->n);
	for (const struct node *k = v->first; k; k = k->next->next) {
		if (f->element->valid(node_str(k)))
			n += parse_match(p, f, k, &all[n]);
		else
			parse_error(p, k, "a name in \"%s\" must be %s, not %s", f->key, f->element->expects,
				parse_quote(p, node_str(k)));
	}
	*(struct conf_match **)field_member(f, obj) = all;
	*field_count(f, obj) = n;
}

#define MATCH_SCHEMA \
	"{\"type\": \"object\", \"additionalProperties\": {\"anyOf\": [{\"type\": [\"string\", \"number\"," \
	"\"boolean\"]}, {\"type\": \"object\", \"additionalProperties\": false, \"minProperties\": 1," \
	"\"maxProperties\": 1, \"properties\": {\"exact\": {\"type\": \"string\"}, \"regex\": {\"type\":" \
	"\"string\"}, \"present\": {\"const\": true}}}]}}"

static const struct config_type type_matches = {
	.name = "mapping of names to a text, {regex: PATTERN} or {present: true}",
	.expects = "a mapping of names to what they must be",
	.schema = MATCH_SCHEMA,
	.parse = parse_matches,
};

/* -- redirect -- */

/* What leads away from here says so itself: no variable decides whether it is a path or a URL. */
static bool is_target(struct str s)
{
	static const struct str begins[] = {
		STR("/"), STR("http://"), STR("https://"), STR("$(request.scheme)://")};

	for (size_t i = 0; i < COUNT_OF(begins); i++)
		if (str_starts(s, begins[i]))
			return str_find(s, ' ') == s.n;
	return false;
}

static void parse_target(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	const struct template *to = field_member(f, obj);
	uint32_t before = p->report->errors;

	type_template.parse(p, f, v, obj);
	if (p->report->errors == before && !is_target(to->literal))
		parse_bad(p, f, v, f->type->expects);
}

static const struct config_type type_target = {
	.name = "path or URL, with $(variables)",
	.expects = "a path that begins with /, or an http:// or https:// URL",
	.schema = "{\"type\": \"string\", \"pattern\": \"^(/|https?://|[$][(]request[.]scheme[)]://)\"}",
	.parse = parse_target,
};

static void parse_redirect_status(
	struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	struct str s = v->kind == NODE_SCALAR ? node_str(v) : STR_NONE;
	uint64_t n = 0;

	str_to_u64(s, &n);
	if (n == 301 || n == 302 || n == 303 || n == 307 || n == 308)
		*(uint16_t *)field_member(f, obj) = (uint16_t)n;
	else
		parse_bad(p, f, v, f->type->expects);
}

static const struct config_type type_redirect_status = {
	.name = "301, 302, 303, 307 or 308",
	.expects = "301, 302, 303, 307 or 308",
	.schema = "{\"enum\": [301, 302, 303, 307, 308]}",
	.parse = parse_redirect_status,
	.init = type_number_init,
};

static const struct config_field redirect_fields[] = {
	CUSTOM("to", type_target, struct conf_route, redirect.to,
		"where to; a prefix route appends the rest of the path, unless `$(request.path)` is in it "
		"already, and every route the query unless this has one. `$(1)` is what the route's `regex` "
		"has "
		"captured first; directly behind a host it begins the path",
		REQUIRED, .choice = TEMPLATE_REQUEST | TEMPLATE_CAPTURES),
	CUSTOM("status", type_redirect_status, struct conf_route, redirect.status, "of the answer",
		.dflt = 308, .text = "308"),
	END,
};

static const struct config_object redirect_object = {
	.id = OBJECT_REDIRECT,
	.path = "routes.redirect",
	.what = "redirect",
	.doc = "An answer that sends the client elsewhere.",
	.size = sizeof(struct conf_route),
	.fields = redirect_fields,
};

static void parse_redirect(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	((struct conf_route *)obj)->redirect.on = true;
	type_within.parse(p, f, v, obj);
}

static const struct config_type type_redirect = {
	.name = "mapping",
	.parse = parse_redirect,
	.init = object_init_within,
};

/* -- routes -- */

static const struct config_field route_fields[] = {
	CUSTOM("path", type_path_match, struct conf_route, path,
		"prefix, on segment borders: /a is /a and /a/b, not /ab; the default, as `/`",
		.choice = CONF_PATH_PREFIX),
	CUSTOM("exact", type_path_match, struct conf_route, path, "the whole path",
		.choice = CONF_PATH_EXACT),
	CUSTOM("regex", type_path_regex, struct conf_route, path,
		"PCRE2, matched against the whole path; what takes more than 100,000 steps, or those of a "
		"`(*LIMIT_MATCH=N)` that it begins with, does not match",
		.choice = CONF_PATH_REGEX),
	STRINGS("hosts", struct conf_route, hosts, type_host, "some of the tenant's; empty: all of them"),
	STRINGS("methods", struct conf_route, methods, type_method, "empty: any"),
	CUSTOM("headers", type_matches, struct conf_route, headers, "all of them must match",
		.count_offset = offsetof(struct conf_route, header_n), .element = &type_token),
	CUSTOM("query", type_matches, struct conf_route, query, "all of these parameters must match",
		.count_offset = offsetof(struct conf_route, query_n), .element = &type_string),
	CUSTOM("service", type_name, struct conf_route, service, "who answers: a service of this tenant"),
	{.key = "redirect",
		.type = &type_redirect,
		.object = &redirect_object,
		.doc = "instead of a service: send the client elsewhere"},
	BOOL("strip_prefix", struct conf_route, strip_prefix,
		"take the prefix off the path before it is sent on", .dflt = false),
	OBJECT("request_headers", struct conf_route, request_headers, request_headers_object,
		"changes on the way to the backend"),
	OBJECT("response_headers", struct conf_route, response_headers, response_headers_object,
		"changes on the way to the client, of answers that come from a backend, and of the route's "
		"own: "
		"its redirect, or what module respond says; not of errors"),
	DURATION("timeout", struct conf_route, timeout,
		"for the whole request, retries included, and for the handshake of a WebSocket; 0: none",
		.dflt = 0),
	DURATION("response_timeout", struct conf_route, response_timeout,
		"for an answer to begin, in place of `timeouts.response`; 0: that one", .dflt = 0),
	BOOL("websocket", struct conf_route, websocket, "allow WebSocket", .dflt = true),
	MODULES(struct conf_route, modules, MODULE_ROUTE),
	END,
};

static const struct node *second_path(const struct node *v, const struct node **first)
{
	*first = NULL;
	for (const struct node *k = v->first; k; k = k->next->next) {
		struct str s = node_str(k);

		if (!str_eq(s, STR("path")) && !str_eq(s, STR("exact")) && !str_eq(s, STR("regex")))
			continue;
		if (*first)
			return k;
		*first = k;
	}
	return NULL;
}

static bool module_answers(const struct conf_modules *all)
{
	for (uint32_t i = 0; i < all->n; i++)
		if (all->v[i].values && all->v[i].module->answers)
			return true;
	return false;
}

static void route_check(struct parse *p, const struct node *v, void *obj)
{
	struct conf_route *r = obj;
	const struct node *first, *second = second_path(v, &first);
	const struct node *service = node_get(v, STR("service"));

	if (second)
		parse_error(p, second,
			"a route has one of path, exact and regex; \"%s\" stands on line %u already",
			first->text, first->line);
	if (!first)
		r->path = STR("/");
	if (service && r->redirect.on)
		parse_error(p, service, "a route has a \"service\" or a \"redirect\", not both");
	if (r->path_kind != CONF_PATH_REGEX && template_has_captures(&r->redirect.to))
		parse_error(p, v,
			"$(0) to $(9) in a redirect are what the route's \"regex\" captures, and it has "
			"none");
	if (!service && !r->redirect.on && !module_answers(&r->modules))
		parse_error(p, v,
			"a route needs a \"service\", a \"redirect\", or a module that answers, such as "
			"respond");
	if (r->strip_prefix && r->path_kind != CONF_PATH_PREFIX)
		parse_error(p, node_get(v, STR("strip_prefix")),
			"\"strip_prefix\" is for routes with a \"path\"");
	for (uint32_t i = 0; i < r->hosts.n; i++) {
		const char *why;

		host_parse(&p->conf->arena, r->hosts.v[i], &r->hosts.v[i], &why);
	}
}

const struct config_object route_object = {
	.id = OBJECT_ROUTE,
	.path = "routes",
	.what = "route",
	.doc = "Where requests go. The most specific route wins, as in the Gateway API: exact, then the "
	       "longest prefix; a regex must match the whole path, and counts as a prefix as long as the "
	       "literal text that it begins with; then method, headers, query. The order in the file does "
	       "not matter; two routes for the same requests are an error.",
	.size = sizeof(struct conf_route),
	.place_offset = offsetof(struct conf_route, place),
	.fields = route_fields,
	.check = route_check,
};
