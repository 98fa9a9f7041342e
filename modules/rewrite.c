/* modules/rewrite.c - another path, query or host for the backend than the client asked for. Routing, logs and other modules see what
 * the client asked for. */
#include <stdio.h>
#include <stdlib.h>

#include "modules.h"

struct rule {
	struct str prefix, regex;
	struct template to;
};

struct rewrite {
	struct rule *rules;
	uint32_t rule_n;
	struct template host;
	struct { /* parameters of the query */
		struct conf_header *set;
		uint32_t set_n;
		struct conf_strs remove;
	} query;
};

/* -- configuration -- */

/* The literal bytes of what becomes part of a URL; those of variables are encoded. */
static bool is_url_text(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] >= 0x7f || s.p[i] == '#')
			return false;
	return true;
}

static bool is_url_template(const struct template *t)
{
	if (t->n == 0)
		return is_url_text(t->literal);
	for (uint32_t i = 0; i < t->n; i++)
		if (!is_url_text(t->v[i].text))
			return false;
	return true;
}

static void check_rule(struct parse *p, const struct node *v, void *obj)
{
	const struct rule *r = obj;
	char why[256];
	struct regex *re = r->regex.n ? regex_compile(r->regex, why, sizeof(why)) : NULL;

	if (r->regex.n && !re)
		parse_error(p, v, "the regular expression %s is %s", parse_quote(p, r->regex), why);
	regex_free(re);
	if (r->prefix.n && r->regex.n)
		parse_error(p, v, "a rule has a \"prefix\" or a \"regex\", not both");
	if (!is_url_template(&r->to) ||
		(r->to.literal.n && r->to.literal.p[0] != '/' && r->to.literal.p[0] != '$'))
		parse_error(p, v,
			"\"to\" must begin with / and have no space, no # and nothing that is to be "
			"%%-encoded, "
			"not %s",
			parse_quote(p, r->to.literal));
	if (!r->regex.n && template_has_captures(&r->to))
		parse_error(p, v, "$(0) to $(9) are what \"regex\" captures, and this rule has none");
}

static bool is_prefix(struct str s)
{
	return s.n > 0 && s.p[0] == '/' && is_url_text(s) && str_find(s, '?') == s.n;
}

static const struct config_type type_prefix = {
	.name = "path of a URL",
	.expects = "the path of a URL: it begins with /, has no ? or #, and other characters are %-encoded",
	.schema = "{\"type\": \"string\", \"pattern\": \"^/[^?#]*$\"}",
	.valid = is_prefix,
	.parse = type_text_parse,
	.init = type_text_init,
};

static const struct config_field rule_fields[] = {
	CUSTOM("prefix", type_prefix, struct rule, prefix,
		"of the path, on segment borders: it is replaced, the rest stays"),
	STRING("regex", struct rule, regex,
		"PCRE2, matched against the whole path; with neither, the rule holds for all paths"),
	TEMPLATE("to", struct rule, to, TEMPLATE_REQUEST | TEMPLATE_CAPTURES,
		"the new prefix, or the new path; `$(1)` is what `regex` captured first. What stands behind "
		"a "
		"`?` "
		"replaces the query, which stays otherwise",
		REQUIRED),
	END,
};

static const struct config_object rule_object = {
	.id = OBJECT_MODULE,
	.path = "modules.rewrite.rules[]",
	.what = "rule",
	.doc = "One way in which a path becomes another.",
	.size = sizeof(struct rule),
	.fields = rule_fields,
	.check = check_rule,
};

static void parse_parameters(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	struct conf_header *all;
	uint32_t n = 0;

	if (v->kind != NODE_MAP) {
		parse_bad(p, f, v, f->type->expects);
		return;
	}
	all = arena_array(&p->conf->arena, struct conf_header, v->n);
	for (const struct node *k = v->first; k; k = k->next->next) {
		struct config_field named = {.key = arena_str(&p->conf->arena, node_str(k)).p,
			.type = &type_template,
			.choice = TEMPLATE_REQUEST,
			.offset = offsetof(struct conf_header, value)};

		if (!is_url_text(node_str(k)) || memchr(node_str(k).p, '&', node_str(k).n) ||
			memchr(node_str(k).p, '=', node_str(k).n)) {
			parse_error(
				p, k, "%s in \"%s\" must be %%-encoded", parse_quote(p, node_str(k)), f->key);
			continue;
		}
		all[n].name = str_of(named.key);
		type_template.parse(p, &named, k->next, &all[n]);
		if (!is_url_template(&all[n].value))
			parse_error(p, k->next, "%s in \"%s\" must be %%-encoded",
				parse_quote(p, node_str(k->next)), f->key);
		n++;
	}
	*(struct conf_header **)field_member(f, obj) = all;
	*field_count(f, obj) = n;
}

static const struct config_type type_parameters = {
	.name = "mapping of parameters to values",
	.expects = "a mapping of parameters to values",
	.schema = "{\"type\": \"object\", \"additionalProperties\": {\"type\": [\"string\", \"number\", "
		  "\"boolean\"]}}",
	.parse = parse_parameters,
};

static bool is_parameter(struct str s)
{
	return s.n > 0 && is_url_text(s) && str_find(s, '&') == s.n && str_find(s, '=') == s.n;
}

static const struct config_type type_parameter = {
	.name = "name of a parameter",
	.plural = "names of parameters",
	.expects =
		"the name of a parameter, %-encoded as clients send it; a * at its end stands for any more",
	.schema = "{\"type\": \"string\", \"minLength\": 1}",
	.valid = is_parameter,
	.parse = type_text_parse,
	.init = type_text_init,
};

static const struct config_field query_fields[] = {
	STRINGS("remove", struct rewrite, query.remove, type_parameter, "parameters that are taken out"),
	CUSTOM("set", type_parameters, struct rewrite, query.set,
		"in place of what is there; with [$(variables)](#variables); what they make empty is not set",
		.count_offset = offsetof(struct rewrite, query.set_n)),
	END,
};

static const struct config_object query_object = {
	.id = OBJECT_MODULE,
	.path = "modules.rewrite.query",
	.what = "query",
	.doc = "Changes to the query: `remove`, then `set`.",
	.size = sizeof(struct rewrite),
	.fields = query_fields,
};

static const struct config_field fields[] = {
	LIST_OF("rules", struct rewrite, rules, rule_n, rule_object,
		"how paths become others; the first that fits counts"),
	WITHIN("query", query_object, "changes to the query, after those to the path"),
	TEMPLATE("host", struct rewrite, host, TEMPLATE_REQUEST, "the Host that the backend gets"),
	END,
};

static const struct config_object object = {
	.id = OBJECT_MODULE,
	.path = "modules.rewrite",
	.what = "rewrite",
	.doc = "Another path, query or host for the backend. See [rewrite](modules/rewrite.md).",
	.size = sizeof(struct rewrite),
	.fields = fields,
};

/* -- expressions, compiled -- */

struct compiled {
	uint32_t n;
	struct expression { /* one for each rule */
		char *text; /* empty: it has none */
		struct regex *code; /* NULL: likewise */
	} v[];
};

static void release(void *data)
{
	struct compiled *all = data;

	for (uint32_t i = 0; i < all->n; i++) {
		regex_free(all->v[i].code);
		free(all->v[i].text);
	}
	free(all);
}

static bool is_current(const struct compiled *all, const struct rewrite *w)
{
	for (uint32_t i = 0; i < w->rule_n; i++)
		if (i >= all->n || !str_eq(str_of(all->v[i].text), w->rules[i].regex))
			return false;
	return all->n == w->rule_n;
}

static void *build(struct module_build *b, const void *values)
{
	const struct rewrite *w = values;
	struct compiled *all;

	if (b->previous && is_current(b->previous, w))
		return b->previous;
	all = calloc(1, sizeof(*all) + w->rule_n * sizeof(*all->v));
	MUST(all);
	all->n = w->rule_n;
	for (uint32_t i = 0; i < w->rule_n; i++) {
		struct str regex = w->rules[i].regex;
		struct expression *e = &all->v[i];

		e->text = strndup(regex.n ? regex.p : "", regex.n);
		MUST(e->text);
		if (!regex.n)
			continue;
		e->code = regex_compile(regex, b->err, sizeof(b->err));
		if (!e->code) {
			release(all);
			return NULL;
		}
	}
	return all;
}

/* Where matches are written: made once, so that a request allocates nothing. */
static void *worker_init(struct loop *l, void *data, uint32_t worker, uint32_t workers)
{
	(void)l;
	(void)data;
	(void)worker;
	(void)workers;
	return regex_room_new(RENDER_CAPTURES);
}

static void worker_free(void *state, void *data)
{
	(void)data;
	regex_room_free(state);
}

/* -- one request -- */

static struct str path_of(struct str path_and_query)
{
	return str_head(path_and_query, str_find(path_and_query, '?'));
}

static bool has_prefix(struct str path, struct str prefix)
{
	if (prefix.n && prefix.p[prefix.n - 1] == '/')
		prefix.n--;
	return str_starts(path, prefix) && (path.n == prefix.n || path.p[prefix.n] == '/');
}

/* Does it hold for the path? Then r has its captures. */
static bool rule_fits(const struct rule *rule, const struct regex *re, struct regex_room *room,
	struct str path, struct render *r)
{
	if (rule->prefix.n)
		return has_prefix(path, rule->prefix);
	return !re || regex_capture(re, room, path, r->captures);
}

/* What the rule makes of path and query. */
static struct str rule_apply(
	const struct module_call *c, const struct rule *rule, const struct render *r, struct str target)
{
	struct str path = path_of(target), query = str_skip(target, path.n);
	struct str to = module_render(c, r, &rule->to), rest = STR_NONE;
	struct str to_path = path_of(to), to_query = str_skip(to, to_path.n);

	if (rule->prefix.n) {
		bool slash = rule->prefix.p[rule->prefix.n - 1] == '/';

		rest = str_skip(path, rule->prefix.n - slash);
		if (to_path.n && to_path.p[to_path.n - 1] == '/' && rest.n)
			rest = str_skip(rest, 1);
	}
	return arena_fmt(c->arena, STR_FMT STR_FMT STR_FMT, STR_ARG(to_path), STR_ARG(rest),
		STR_ARG(to_query.n ? to_query : query));
}

static bool is_removed(const struct rewrite *w, struct str name)
{
	for (uint32_t i = 0; i < w->query.remove.n; i++) {
		struct str one = w->query.remove.v[i];
		bool open = one.p[one.n - 1] == '*';

		if (open ? str_starts(name, str_head(one, one.n - 1)) : str_eq(name, one))
			return true;
	}
	for (uint32_t i = 0; i < w->query.set_n; i++)
		if (str_eq(name, w->query.set[i].name))
			return true;
	return false;
}

static void put_pair(struct text *t, size_t path_n, struct str pair)
{
	text_char(t, t->n == path_n ? '?' : '&');
	text_put(t, pair);
}

static struct str edit_query(const struct module_call *c, const struct rewrite *w, struct str target)
{
	struct render r = {.into = RENDER_URL};
	struct str path = path_of(target), query = str_skip(target, path.n + 1);
	struct str *set = arena_array(c->arena, struct str, w->query.set_n + 1);
	size_t room = target.n + 1;
	struct text t;

	for (uint32_t i = 0; i < w->query.set_n; i++) {
		const struct conf_header *h = &w->query.set[i];
		struct str value = module_render(c, &r, &h->value);

		if (value.n || h->value.n == 0)
			set[i] = arena_fmt(c->arena, STR_FMT "=" STR_FMT, STR_ARG(h->name), STR_ARG(value));
		room += set[i].n + 1;
	}
	t = text_in(arena_bytes(c->arena, room), room);
	text_put(&t, path);
	while (query.n) {
		struct str pair = str_head(query, str_find(query, '&'));

		query = str_skip(query, pair.n + 1);
		if (!is_removed(w, str_head(pair, str_find(pair, '='))))
			put_pair(&t, path.n, pair);
	}
	for (uint32_t i = 0; i < w->query.set_n; i++)
		if (set[i].n)
			put_pair(&t, path.n, set[i]);
	return text_str(&t);
}

static int forward(struct module_call *c)
{
	const struct rewrite *w = c->values;
	const struct compiled *all = c->data;
	struct str before = module_request(c)->path, target = before, host;

	/* "*" of OPTIONS is no path, and has nothing to be rewritten. */
	for (uint32_t i = 0; i < w->rule_n && before.p[0] == '/'; i++) {
		struct render r = {.into = RENDER_URL};

		if (!rule_fits(&w->rules[i], all->v[i].code, c->worker, path_of(before), &r))
			continue;
		target = rule_apply(c, &w->rules[i], &r, before);
		break;
	}
	if ((w->query.set_n || w->query.remove.n) && before.p[0] == '/')
		target = edit_query(c, w, target);
	if (target.p != before.p && !module_set_path(c, target))
		return REASON_REWRITE_INVALID;
	if (!w->host.literal.n)
		return MODULE_PASS;
	host = module_render(c, &(struct render){.into = RENDER_HEADER}, &w->host);
	return module_set_host(c, host) ? MODULE_PASS : REASON_REWRITE_INVALID;
}

static void explain(const void *values, void *data, const struct head *request, const struct addr *client,
	struct text *out)
{
	const struct rewrite *w = values;
	const struct compiled *all = data;
	struct regex_room *room = worker_init(NULL, NULL, 0, 0);
	struct render ignored = {0};

	(void)client;
	for (uint32_t i = 0; i < w->rule_n; i++) {
		if (!rule_fits(&w->rules[i], all->v[i].code, room, path_of(request->path), &ignored))
			continue;
		text_fmt(out, "rule %u fits: the path becomes " STR_FMT, i + 1,
			STR_ARG(w->rules[i].to.literal));
		break;
	}
	if (out->n == 0)
		text_put(out, STR("no rule fits: the path stays"));
	worker_free(room, NULL);
}

const struct module rewrite_module = {
	.config = {.abi = MODULE_ABI, .name = "rewrite", .levels = MODULE_ANYWHERE, .object = &object},
	.build = build,
	.release = release,
	.worker_init = worker_init,
	.worker_free = worker_free,
	.forward = forward,
	.explain = explain,
};
