/* The types of plain values; types with a meaning of their own stand beside the tables that use them. */
#include <ctype.h>
#include <errno.h>
#include <unistd.h>
#include "base/obj.h"
#include "config/field.h"
#include "config/suggest.h"
#include "config/unit.h"

/* -- numbers -- */

static void number_store(const struct config_field *f, void *obj, uint64_t v)
{
	void *member = field_member(f, obj);

	switch (f->size) {
	case 1:
		*(uint8_t *)member = (uint8_t)v;
		break;
	case 2:
		*(uint16_t *)member = (uint16_t)v;
		break;
	case 4:
		*(uint32_t *)member = (uint32_t)v;
		break;
	default:
		*(uint64_t *)member = v;
		break;
	}
}

void type_number_init(struct parse *p, const struct config_field *f, void *obj)
{
	(void)p;
	number_store(f, obj, f->dflt);
}

static uint64_t number_load(const struct config_field *f, const void *obj)
{
	const void *member = field_member_const(f, obj);

	switch (f->size) {
	case 1:
		return *(const uint8_t *)member;
	case 2:
		return *(const uint16_t *)member;
	case 4:
		return *(const uint32_t *)member;
	default:
		return *(const uint64_t *)member;
	}
}

void type_number_say(const struct config_field *f, const void *obj, struct text *out)
{
	f->type->write(number_load(f, obj), out);
}

static void out_of_range(struct parse *p, const struct config_field *f, const struct node *v)
{
	char low_buf[32], high_buf[32];
	struct text low = text_in(low_buf, sizeof(low_buf)), high = text_in(high_buf, sizeof(high_buf));

	f->type->write(f->min, &low);
	f->type->write(f->max, &high);
	if (f->max)
		parse_error(p, v, "\"%s\" must be between " STR_FMT " and " STR_FMT ", not %s", f->key,
			STR_ARG(text_str(&low)), STR_ARG(text_str(&high)), parse_quote(p, node_str(v)));
	else
		parse_error(p, v, "\"%s\" must be at least " STR_FMT " and less than 2^%u, not %s", f->key,
			STR_ARG(text_str(&low)), f->size * 8, parse_quote(p, node_str(v)));
}

static void parse_number(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	uint64_t max = f->max ? f->max : UINT64_MAX >> (64 - f->size * 8);
	uint64_t n;

	if (f->nullable && node_is_null(v))
		number_store(f, obj, 0);
	else if (v->kind != NODE_SCALAR || !f->type->read(node_str(v), &n))
		parse_bad(p, f, v, f->type->expects);
	else if (n < f->min || n > max)
		out_of_range(p, f, v);
	else
		number_store(f, obj, n);
}

static void write_count(uint64_t v, struct text *out)
{
	text_u64(out, v);
}

const struct config_type type_count = {
	.name = "count",
	.expects = "a whole number",
	.read = str_to_u64,
	.write = write_count,
	.parse = parse_number,
	.init = type_number_init,
	.say = type_number_say,
};

const struct config_type type_duration = {
	.name = "duration",
	.expects = "a duration such as 250ms, 5s, 2m or 1h",
	.schema = "{\"$ref\": \"#/$defs/duration\"}",
	.read = unit_duration,
	.write = unit_duration_text,
	.parse = parse_number,
	.init = type_number_init,
	.say = type_number_say,
};

const struct config_type type_size = {
	.name = "size",
	.expects = "a size such as 512, 64KiB, 10MiB or 1MB",
	.schema = "{\"$ref\": \"#/$defs/size\"}",
	.read = unit_size,
	.write = unit_size_text,
	.parse = parse_number,
	.init = type_number_init,
	.say = type_number_say,
};

const struct config_type type_share = {
	.name = "share",
	.expects = "a share from 0% to 100% such as 20%",
	.schema = "{\"$ref\": \"#/$defs/share\"}",
	.read = unit_share,
	.write = unit_share_text,
	.parse = parse_number,
	.init = type_number_init,
	.say = type_number_say,
};

/* -- choices -- */

static void parse_bool(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	struct str s = v->kind == NODE_SCALAR ? node_str(v) : STR_NONE;

	if (str_eq(s, STR("true")))
		*(bool *)field_member(f, obj) = true;
	else if (str_eq(s, STR("false")))
		*(bool *)field_member(f, obj) = false;
	else
		parse_bad(p, f, v, f->type->expects);
}

static void say_bool(const struct config_field *f, const void *obj, struct text *out)
{
	text_put(out, *(const bool *)field_member_const(f, obj) ? STR("true") : STR("false"));
}

const struct config_type type_bool = {
	.name = "true or false",
	.expects = "true or false",
	.parse = parse_bool,
	.init = type_number_init,
	.say = say_bool,
};

static void parse_enum(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	struct suggestion s = {.word = v->kind == NODE_SCALAR ? node_str(v) : STR_NONE};
	char buf[400];
	struct text t = text_in(buf, sizeof(buf) - 1);

	for (uint32_t i = 0; f->names[i]; i++) {
		if (v->kind == NODE_SCALAR && str_eq(node_str(v), str_of(f->names[i]))) {
			number_store(f, obj, i);
			return;
		}
		text_fmt(&t, "%s%s", i ? ", " : "one of ", f->names[i]);
		suggest_try_short(&s, str_of(f->names[i]));
	}
	buf[t.n] = '\0';
	if (s.best.n)
		parse_error(p, v, "\"%s\" must be %s, not %s; did you mean \"" STR_FMT "\"?", f->key, buf,
			parse_quote(p, node_str(v)), STR_ARG(s.best));
	else
		parse_bad(p, f, v, buf);
}

static void say_enum(const struct config_field *f, const void *obj, struct text *out)
{
	text_put(out, str_of(f->names[number_load(f, obj)]));
}

const struct config_type type_enum = {
	.name = "one of",
	.parse = parse_enum,
	.init = type_number_init,
	.say = say_enum,
};

/* -- texts -- */

bool parse_text(struct parse *p, const struct config_field *f, const struct config_type *t,
	const struct node *v, struct str *out)
{
	if (v->kind != NODE_SCALAR || node_is_null(v) || (t->valid && !t->valid(node_str(v)))) {
		parse_bad(p, f, v, t->expects);
		return false;
	}
	*out = arena_str(&p->conf->arena, node_str(v));
	return true;
}

void type_text_parse(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	struct str *member = field_member(f, obj);

	if (f->nullable && node_is_null(v))
		*member = STR_NONE;
	else
		parse_text(p, f, f->type, v, member);
}

void type_text_init(struct parse *p, const struct config_field *f, void *obj)
{
	(void)p;
	*(struct str *)field_member(f, obj) = str_of(f->text);
}

void type_text_say(const struct config_field *f, const void *obj, struct text *out)
{
	text_put(out, *(const struct str *)field_member_const(f, obj));
}

static bool no_control(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return false;
	return true;
}

static bool is_name(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!isalnum((unsigned char)s.p[i]) && (i == 0 || !strchr("._-", s.p[i])))
			return false;
	return s.n > 0 && s.n <= 63;
}

static bool is_token(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!isalnum((unsigned char)s.p[i]) && (!s.p[i] || !strchr("!#$%&'*+-.^_`|~", s.p[i])))
			return false;
	return s.n > 0;
}

/* RFC 9110 5.5: no control but the tab, no space at either end. */
static bool is_header_value(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (((unsigned char)s.p[i] < 0x20 && s.p[i] != '\t') || s.p[i] == 0x7f)
			return false;
	return str_eq(str_trim(s), s);
}

static bool is_text(struct str s)
{
	(void)s;
	return true;
}

const struct config_type type_text = {
	.name = "text of any lines",
	.plural = "texts of any lines",
	.expects = "a text",
	.schema = "{\"type\": [\"string\", \"number\", \"boolean\"]}",
	.valid = is_text,
	.parse = type_text_parse,
	.init = type_text_init,
};

const struct config_type type_string = {
	.name = "text",
	.expects = "a text on one line",
	.schema = "{\"type\": [\"string\", \"number\", \"boolean\"]}",
	.valid = no_control,
	.parse = type_text_parse,
	.init = type_text_init,
	.say = type_text_say,
};

const struct config_type type_name = {
	.name = "name",
	.expects = "up to 63 letters, digits, '.', '_' and '-', beginning with a letter or digit",
	.schema = "{\"type\": [\"string\", \"number\"], \"pattern\": \"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$\"}",
	.valid = is_name,
	.parse = type_text_parse,
	.init = type_text_init,
	.say = type_text_say,
};

const struct config_type type_token = {
	.name = "token",
	.expects = "an HTTP token: letters, digits and !#$%&'*+-.^_`|~",
	.schema = "{\"type\": [\"string\", \"number\"], \"pattern\": \"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$\"}",
	.valid = is_token,
	.parse = type_text_parse,
	.init = type_text_init,
	.say = type_text_say,
};

const struct config_type type_header_value = {
	.name = "header value",
	.expects = "a header value: one line, without space at either end",
	.schema = "{\"type\": [\"string\", \"number\", \"boolean\"]}",
	.valid = is_header_value,
	.parse = type_text_parse,
	.init = type_text_init,
	.say = type_text_say,
};

/* -- paths -- */

struct str parse_path(struct parse *p, const struct node *n)
{
	struct str s = node_str(n), dir = p->conf->files[n->file];

	if (str_starts(s, STR("/")))
		return arena_str(&p->conf->arena, s);
	while (dir.n && dir.p[dir.n - 1] != '/')
		dir.n--;
	return arena_fmt(&p->conf->arena, STR_FMT STR_FMT, STR_ARG(dir), STR_ARG(s));
}

static bool is_path(struct str s)
{
	return s.n > 0 && no_control(s);
}

static void parse_file(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	struct str *member = field_member(f, obj);

	if (f->nullable && node_is_null(v)) {
		*member = STR_NONE;
		return;
	}
	if (v->kind != NODE_SCALAR || node_is_null(v) || !is_path(node_str(v))) {
		parse_bad(p, f, v, f->type->expects);
		return;
	}
	*member = parse_path(p, v);
	if (f->type == &type_input && access(member->p, R_OK) != 0)
		parse_error(p, v, "cannot read " STR_FMT ": %s", STR_ARG(*member), strerror(errno));
}

const struct config_type type_path = {
	.name = "path",
	.expects = "a path",
	.schema = "{\"type\": \"string\", \"minLength\": 1}",
	.parse = parse_file,
	.init = type_text_init,
	.say = type_text_say,
};

const struct config_type type_input = {
	.name = "path",
	.expects = "the path of a file",
	.schema = "{\"type\": \"string\", \"minLength\": 1}",
	.parse = parse_file,
	.init = type_text_init,
	.say = type_text_say,
};

/* -- lists of plain values -- */

void parse_list(struct parse *p, const struct config_field *f, const struct node *v,
	void (*each)(struct parse *p, const struct config_field *f, const struct node *e, void *obj),
	void *obj)
{
	if (v->kind == NODE_LIST) {
		for (const struct node *e = v->first; e; e = e->next)
			each(p, f, e, obj);
	} else if (v->kind == NODE_SCALAR && !node_is_null(v)) {
		each(p, f, v, obj);
	} else if (!node_is_null(v) || !f->nullable) {
		parse_bad(p, f, v, f->type->expects);
	}
}

static uint32_t list_room(const struct node *v)
{
	return v->kind == NODE_LIST ? v->n : 1;
}

static void bad_element(
	struct parse *p, const struct config_field *f, const struct node *e, const char *expects)
{
	parse_error(p, e, "an element of \"%s\" must be %s, not %s", f->key, expects,
		e->kind == NODE_SCALAR ? parse_quote(p, node_str(e))
		: e->kind == NODE_MAP  ? "a mapping"
				       : "a list");
}

static void each_string(struct parse *p, const struct config_field *f, const struct node *e, void *obj)
{
	struct conf_strs *s = field_member(f, obj);

	if (e->kind != NODE_SCALAR || node_is_null(e) || !f->element->valid(node_str(e)))
		bad_element(p, f, e, f->element->expects);
	else
		s->v[s->n++] = arena_str(&p->conf->arena, node_str(e));
}

static void parse_strings(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	struct conf_strs *s = field_member(f, obj);

	s->v = arena_array(&p->conf->arena, struct str, list_room(v));
	s->n = 0;
	parse_list(p, f, v, each_string, obj);
}

void type_strings_say(const struct config_field *f, const void *obj, struct text *out)
{
	const struct conf_strs *s = field_member_const(f, obj);

	text_char(out, '[');
	for (uint32_t i = 0; i < s->n; i++)
		text_fmt(out, "%s" STR_FMT, i ? ", " : "", STR_ARG(s->v[i]));
	text_char(out, ']');
}

const struct config_type type_strings = {
	.name = "list of",
	.expects = "a list of texts",
	.parse = parse_strings,
	.say = type_strings_say,
};

static void each_network(struct parse *p, const struct config_field *f, const struct node *e, void *obj)
{
	struct cidr *v = *(struct cidr **)field_member(f, obj), c;

	if (e->kind == NODE_SCALAR && cidr_parse(&c, node_str(e)))
		v[(*field_count(f, obj))++] = c;
	else
		bad_element(p, f, e, "an address or a network such as 10.0.0.0/8");
}

static void parse_networks(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	*(struct cidr **)field_member(f, obj) = arena_array(&p->conf->arena, struct cidr, list_room(v));
	*field_count(f, obj) = 0;
	parse_list(p, f, v, each_network, obj);
}

const struct config_type type_networks = {
	.name = "list of networks",
	.expects = "a list of networks such as 10.0.0.0/8",
	.schema = "{\"type\": \"array\", \"items\": {\"type\": \"string\"}}",
	.parse = parse_networks,
};
