/* Changes to headers, and texts with variables in them (config/template.h). */
#include "base/obj.h"
#include "config/fields.h"

/* -- templates -- */

static bool parse_value(struct parse *p, const struct config_field *f, const struct config_type *t,
	const struct node *v, struct template *out)
{
	const char *why;
	struct str text;

	if (!parse_text(p, f, t, v, &text))
		return false;
	if (template_parse(&p->conf->arena, text, f->choice, out, &why))
		return true;
	parse_error(p, v, "%s in \"%s\": %s", parse_quote(p, text), f->key, why);
	return false;
}

static void parse_template(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	parse_value(p, f, &type_header_value, v, field_member(f, obj));
}

const struct config_type type_template = {
	.name = "text with $(variables)",
	.expects = "a text on one line, without space at either end; it may hold $(variables)",
	.schema = "{\"type\": [\"string\", \"number\", \"boolean\"]}",
	.parse = parse_template,
};

/* -- names -- */

/* These belong to one connection, or say where a message ends: weir writes them itself (RFC 9110 7.6.1). */
static const struct str own_headers[] = {
	STR("connection"),
	STR("content-length"),
	STR("host"),
	STR("http2-settings"),
	STR("keep-alive"),
	STR("proxy-connection"),
	STR("te"),
	STR("trailer"),
	STR("transfer-encoding"),
	STR("upgrade"),
};

static bool is_changeable(struct str name)
{
	for (size_t i = 0; i < COUNT_OF(own_headers); i++)
		if (str_case_eq(name, own_headers[i]))
			return false;
	return type_token.valid(name);
}

const struct config_type type_header_name = {
	.name = "header name",
	.expects = "a header name, and none that weir writes itself (Host, Content-Length, Connection and "
		   "the like)",
	.schema = "{\"type\": \"string\", \"pattern\": \"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$\"}",
	.valid = is_changeable,
	.parse = type_text_parse,
	.init = type_text_init,
};

/* False: it is none, or is there twice among the n before it, which lie `size` bytes apart and begin with their names. */
static bool parse_name(struct parse *p, const struct config_field *f, const struct node *k, const void *all,
	size_t size, uint32_t n, struct str *out)
{
	if (!type_header_name.valid(node_str(k))) {
		bool host = str_case_eq(node_str(k), STR("host")) && f->choice == TEMPLATE_REQUEST;

		parse_error(p, k, "a name in \"%s\" must be %s, not %s%s", f->key, type_header_name.expects,
			parse_quote(p, node_str(k)),
			host ? "; module rewrite changes what backends get: rewrite: {host: ...}" : "");
		return false;
	}
	for (uint32_t i = 0; i < n; i++)
		if (str_case_eq(
			    *(const struct str *)(const void *)((const char *)all + i * size), node_str(k)))
			parse_error(
				p, k, "%s is written twice in \"%s\"", parse_quote(p, node_str(k)), f->key);
	*out = arena_str(&p->conf->arena, node_str(k));
	return true;
}

/* -- maps of them -- */

/* The elements are `size` bytes each and begin with their names; value() reads what is said of one, and tells what is wrong with it. */
static void parse_map(struct parse *p, const struct config_field *f, const struct node *v, void *obj,
	size_t size,
	bool (*value)(struct parse *p, const struct config_field *named, const struct node *v, void *element))
{
	char *all;
	uint32_t n = 0;

	if (v->kind != NODE_MAP) {
		parse_bad(p, f, v, f->type->expects);
		return;
	}
	all = arena_alloc(&p->conf->arena, size * v->n);
	for (const struct node *k = v->first; k; k = k->next->next) {
		struct str *name = (struct str *)(void *)(all + n * size);
		struct config_field named = {.choice = f->choice, .element = f->element};

		if (!parse_name(p, f, k, all, size, n, name))
			continue;
		named.key = name->p;
		n += value(p, &named, k->next, name);
	}
	*(void **)field_member(f, obj) = all;
	*field_count(f, obj) = n;
}

static bool header_value(struct parse *p, const struct config_field *f, const struct node *v, void *element)
{
	return parse_value(p, f, &type_header_value, v, &((struct conf_header *)element)->value);
}

static void parse_header_map(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	parse_map(p, f, v, obj, sizeof(struct conf_header), header_value);
}

static const struct config_type type_header_map = {
	.name = "mapping of header names to values",
	.expects = "a mapping of header names to values",
	.schema = "{\"type\": \"object\", \"additionalProperties\": {\"type\": [\"string\", \"number\", "
		  "\"boolean\"]}}",
	.parse = parse_header_map,
};

static bool pair_value(struct parse *p, const struct config_field *f, const struct node *v, void *element)
{
	return parse_text(p, f, f->element, v, &((struct conf_pair *)element)->value);
}

static void parse_pairs(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	parse_map(p, f, v, obj, sizeof(struct conf_pair), pair_value);
}

const struct config_type type_pairs = {
	.name = "mapping of header names to texts",
	.expects = "a mapping of header names to texts",
	.schema = "{\"type\": \"object\", \"additionalProperties\": {\"type\": [\"string\", \"number\", "
		  "\"boolean\"]}}",
	.parse = parse_pairs,
};

#define HEADERS_FIELDS(when) \
	STRINGS("remove", struct conf_headers, remove, type_header_name, "names that are taken out"), \
		PAIRS("rename", struct conf_headers, rename, rename_n, type_header_name, \
			"names that become others; what stood under those before goes"), \
		CUSTOM("set", type_header_map, struct conf_headers, set, \
			"in place of what is there; with [$(variables)](#variables)", \
			.count_offset = offsetof(struct conf_headers, set_n), .choice = (when)), \
		CUSTOM("add", type_header_map, struct conf_headers, add, "beside what is there; likewise", \
			.count_offset = offsetof(struct conf_headers, add_n), .choice = (when)), \
		END

static const struct config_field request_fields[] = {HEADERS_FIELDS(TEMPLATE_REQUEST)};
static const struct config_field response_fields[] = {HEADERS_FIELDS(TEMPLATE_REQUEST | TEMPLATE_ANSWER)};

const struct config_object request_headers_object = {
	.id = OBJECT_REQUEST_HEADERS,
	.path = "request_headers",
	.what = "request_headers",
	.doc = "Changes to the headers of a request: `remove`, then `rename`, then `set`, then `add`. What "
	       "variables "
	       "make empty is not set.",
	.size = sizeof(struct conf_headers),
	.fields = request_fields,
};

const struct config_object response_headers_object = {
	.id = OBJECT_RESPONSE_HEADERS,
	.path = "response_headers",
	.what = "response_headers",
	.doc = "The same for the headers of an answer.",
	.size = sizeof(struct conf_headers),
	.fields = response_fields,
};
