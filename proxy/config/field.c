#include "config/field.h"

#include "base/obj.h"
#include "config/report.h"
#include "config/suggest.h"

/* -- messages -- */

void parse_error(struct parse *p, const struct node *n, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report_add_in(p->report, p->conf->names[n->file], node_place(n), false, fmt, ap);
	va_end(ap);
}

#define QUOTE_MAX 60

const char *parse_quote(struct parse *p, struct str s)
{
	bool cut = s.n > QUOTE_MAX;
	size_t n = cut ? QUOTE_MAX : s.n;
	char *out;

	/* Not in the middle of a character. */
	while (cut && n > 0 && ((unsigned char)s.p[n] & 0xc0) == 0x80)
		n--;
	out = arena_bytes(&p->scratch, n + sizeof("\"...\""));
	out[0] = '"';
	for (size_t i = 0; i < n; i++)
		out[i + 1] = (unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f ? '?' : s.p[i];
	memcpy(out + n + 1, cut ? "...\"" : "\"", cut ? 5 : 2);
	return out;
}

static const char *node_describe(struct parse *p, const struct node *n)
{
	if (n->kind == NODE_MAP)
		return "a mapping";
	if (n->kind == NODE_LIST)
		return "a list";
	return node_is_null(n) ? "null" : parse_quote(p, node_str(n));
}

void parse_bad(struct parse *p, const struct config_field *f, const struct node *v, const char *expects)
{
	parse_error(p, v, "\"%s\" must be %s, not %s", f->key, expects, node_describe(p, v));
}

/* `in pool "green"`, `in health of service "shop"`, `at the top level` */
#define SCOPE_TEXT_MAX 256

static const char *scope_text(struct parse *p, char buf[SCOPE_TEXT_MAX])
{
	struct text t = text_in(buf, SCOPE_TEXT_MAX - 1);
	const struct scope *s = p->scope;

	if (!s->up)
		return "at the top level";
	for (text_put(&t, STR("in ")); s->up; s = s->up) {
		text_put(&t, str_of(s->object->what));
		if (s->name.n) {
			text_fmt(&t, " %s", parse_quote(p, s->name));
			break;
		}
		if (s->up->up)
			text_put(&t, STR(" of "));
	}
	buf[t.n] = '\0';
	return buf;
}

void parse_inert(struct parse *p, const void *id, const char *what, const struct node *at)
{
	uint32_t i = 0;

	while (i < p->note_n && p->notes[i].id != id)
		i++;
	if (i == p->note_n) {
		MUST(i < INERT_NOTES);
		p->notes[p->note_n++] = (struct inert_note){id, what, node_place(at), 0};
	}
	p->notes[i].times++;
}

void parse_inert_report(struct parse *p)
{
	for (uint32_t i = 0; i < p->note_n; i++) {
		const struct inert_note *n = &p->notes[i];

		if (n->times == 1)
			conf_report_add(p->report, p->conf, n->first, true,
				"\"%s\" is accepted, but not in effect in this version", n->what);
		else
			conf_report_add(p->report, p->conf, n->first, true,
				"\"%s\" is accepted, but not in effect in this version (the first of %u "
				"places)",
				n->what, n->times);
	}
}

/* -- the index of an object -- */

static uint32_t key_slot(struct str key)
{
	return (uint32_t)hash_bytes(key.p, key.n, 0) & (INDEX_SLOTS - 1);
}

/* The one that has these bytes. */
static const void *share(struct parse *p, const void *v, uint32_t size)
{
	void *known = map_get(&p->shared, (struct str){v, size});

	if (!known) {
		known = memcpy(arena_room(&p->conf->arena, size), v, size);
		map_put(&p->shared, (struct str){known, size}, known);
	}
	return known;
}

static void index_rows(struct parse *p, struct config_index *ix, const struct config_object *o,
	void *defaults, uint32_t base);

static void index_shared(struct parse *p, struct config_index *ix, const struct config_field *f)
{
	uint32_t first = ix->n;

	ix->draft = arena_alloc(&p->scratch, f->object->size);
	index_rows(p, ix, f->object, ix->draft, 0);
	for (uint32_t i = first; i < ix->n; i++)
		ix->rows[i].shared = true;
	*(const void **)field_member(f, ix->defaults) = share(p, ix->draft, f->object->size);
	ix->shared = f;
}

static void index_rows(struct parse *p, struct config_index *ix, const struct config_object *o,
	void *defaults, uint32_t base)
{
	for (const struct config_field *f = o->fields; f->key; f++) {
		struct str key = str_of(f->key);
		uint32_t slot = key_slot(key);

		if (f->type == &type_embed) {
			if (f->shared)
				index_shared(p, ix, f);
			else
				index_rows(p, ix, f->object, defaults, base + f->offset);
			continue;
		}
		MUST(ix->n < INDEX_ROWS);
		ix->rows[ix->n].key = key;
		ix->rows[ix->n].field = f;
		ix->rows[ix->n].base = base;
		if (f->required)
			ix->required |= 1ull << ix->n;
		ix->n++;
		while (ix->slots[slot])
			slot = (slot + 1) % INDEX_SLOTS;
		ix->slots[slot] = (uint8_t)ix->n;
		if (f->type->init)
			f->type->init(p, f, (char *)defaults + base);
	}
}

static const struct config_index *index_of(struct parse *p, const struct config_object *o)
{
	struct config_index *ix;

	if (o->id == OBJECT_MODULE && (ix = map_get(&p->module_index, str_of(o->path))))
		return ix;
	if (o->id != OBJECT_MODULE && p->index[o->id])
		return p->index[o->id];
	ix = arena_new(&p->scratch, struct config_index);
	ix->defaults = arena_alloc(&p->scratch, o->size);
	if (o->id == OBJECT_MODULE)
		map_put(&p->module_index, str_of(o->path), ix);
	else
		p->index[o->id] = ix;
	index_rows(p, ix, o, ix->defaults, 0);
	return ix;
}

/* The row, or -1. */
static int index_find(const struct config_index *ix, struct str key)
{
	for (uint32_t slot = key_slot(key); ix->slots[slot]; slot = (slot + 1) % INDEX_SLOTS)
		if (str_eq(ix->rows[ix->slots[slot] - 1].key, key))
			return ix->slots[slot] - 1;
	return -1;
}

void object_init(struct parse *p, const struct config_object *o, void *obj)
{
	memcpy(obj, index_of(p, o)->defaults, o->size);
}

/* -- objects -- */

void object_begin(
	struct parse *p, struct object_pass *pass, const struct config_object *o, struct str name, void *obj)
{
	pass->object = o;
	pass->index = index_of(p, o);
	pass->obj = obj;
	pass->seen = pass->meant = 0;
	pass->late_n = 0;
	pass->draft = NULL;
	pass->scope = (struct scope){o, name, p->scope};
	p->scope = &pass->scope;
}

/* The row whose key is nearest to the word; -1: none is near. */
static int index_nearest(const struct config_index *ix, struct str word)
{
	struct suggestion s = {.word = word};
	int row = -1;

	for (uint32_t i = 0; i < ix->n; i++) {
		suggest_try(&s, ix->rows[i].key);
		if (s.best.p == ix->rows[i].key.p)
			row = (int)i;
	}
	return row;
}

bool object_misspells(struct parse *p, const struct config_object *o, const struct node *v, struct str key)
{
	const struct config_index *ix = index_of(p, o);
	int row = index_find(ix, key);

	for (const struct node *k = v->first; k; k = k->next->next)
		if (index_find(ix, node_str(k)) < 0 && index_nearest(ix, node_str(k)) == row)
			return true;
	return false;
}

/* "; known here: allow, deny", where they are so few that they help whoever has guessed. In scratch. */
#define KEYS_TOLD 16

static const char *keys_text(struct parse *p, const struct config_index *ix)
{
	size_t room = sizeof("; known here: ");
	struct text t;

	if (ix->n == 0 || ix->n > KEYS_TOLD)
		return "";
	for (uint32_t i = 0; i < ix->n; i++)
		room += ix->rows[i].key.n + sizeof(", ");
	t = text_in(arena_bytes(&p->scratch, room), room);
	text_put(&t, STR("; known here: "));
	for (uint32_t i = 0; i < ix->n; i++)
		text_fmt(&t, "%s" STR_FMT, i ? ", " : "", STR_ARG(ix->rows[i].key));
	text_char(&t, '\0');
	return text_str(&t).p;
}

static void unknown_key(struct parse *p, struct object_pass *pass, const struct node *key)
{
	int row = index_nearest(pass->index, node_str(key));
	char where[SCOPE_TEXT_MAX];

	if (key->plain && str_eq(node_str(key), STR("<<"))) {
		parse_error(p, key,
			"merge keys (\"<<\") are not supported; an alias can stand for a whole value");
		return;
	}
	if (row < 0) {
		parse_error(p, key, "unknown key %s %s%s", parse_quote(p, node_str(key)),
			scope_text(p, where), keys_text(p, pass->index));
		return;
	}
	pass->meant |= 1ull << row;
	parse_error(p, key, "unknown key %s %s; did you mean \"" STR_FMT "\"?", parse_quote(p, node_str(key)),
		scope_text(p, where), STR_ARG(pass->index->rows[row].key));
}

/* Begins as what the object had so far: the defaults, or what it inherited. */
static void *draft_of(struct object_pass *pass)
{
	const struct config_field *f = pass->index->shared;

	if (!pass->draft)
		pass->draft = memcpy(pass->index->draft, *field_shared(f, pass->obj), f->object->size);
	return pass->draft;
}

static void draft_end(struct parse *p, struct object_pass *pass)
{
	const struct config_field *f = pass->index->shared;

	if (pass->draft)
		*(const void **)field_member(f, pass->obj) = share(p, pass->draft, f->object->size);
}

static void row_parse(struct parse *p, struct object_pass *pass, uint32_t row, const struct node *v)
{
	const struct config_field *f = pass->index->rows[row].field;
	char *obj = pass->index->rows[row].shared ? draft_of(pass) : pass->obj;

	f->type->parse(p, f, v, obj + pass->index->rows[row].base);
}

const struct config_field *object_key(struct parse *p, struct object_pass *pass, const struct node *key)
{
	int row = index_find(pass->index, node_str(key));
	const struct config_field *f;

	if (row < 0) {
		unknown_key(p, pass, key);
		return NULL;
	}
	if (pass->seen & 1ull << row) {
		char where[SCOPE_TEXT_MAX];

		parse_error(p, key, "\"" STR_FMT "\" is written twice %s", STR_ARG(node_str(key)),
			scope_text(p, where));
		return NULL;
	}
	pass->seen |= 1ull << row;
	pass->row = (uint32_t)row;
	f = pass->index->rows[row].field;
	if (f->inert)
		parse_inert(p, f, f->key, key);
	return f;
}

void object_value(struct parse *p, struct object_pass *pass, const struct node *value)
{
	if (!pass->index->rows[pass->row].field->late) {
		row_parse(p, pass, pass->row, value);
		return;
	}
	MUST(pass->late_n < COUNT_OF(pass->late));
	pass->late[pass->late_n].value = value;
	pass->late[pass->late_n++].row = pass->row;
}

void object_end(struct parse *p, struct object_pass *pass, const struct node *v, struct conf_place at)
{
	/* What is there with a slip in its key was told where it stands. */
	uint64_t missing = pass->index->required & ~pass->seen & ~pass->meant;

	draft_end(p, pass); /* what comes late inherits it */
	for (uint32_t i = 0; i < pass->late_n; i++)
		row_parse(p, pass, pass->late[i].row, pass->late[i].value);
	for (; missing; missing &= missing - 1) {
		char where[SCOPE_TEXT_MAX];

		conf_report_add(p->report, p->conf, at, false, "\"%s\" is missing %s",
			pass->index->rows[__builtin_ctzll(missing)].field->key, scope_text(p, where));
	}
	if (pass->object->check)
		pass->object->check(p, v, pass->obj);
	p->scope = pass->scope.up;
}

void object_parse(
	struct parse *p, const struct config_object *o, struct str name, const struct node *v, void *obj)
{
	struct object_pass pass;

	if (o->place_offset)
		*(struct conf_place *)(void *)((char *)obj + o->place_offset) = node_place(v);
	if (o->digest_offset)
		*(uint64_t *)(void *)((char *)obj + o->digest_offset) = node_digest(v, o->digest_without);
	object_begin(p, &pass, o, name, obj);
	for (const struct node *k = v->first; k; k = k->next->next)
		if (object_key(p, &pass, k))
			object_value(p, &pass, k->next);
	object_end(p, &pass, v, node_place(v));
}

/* A mapping, or the object's short form. The short form's key stands where its value does. */
static const struct node *as_map(struct parse *p, const struct config_object *o, const struct node *v)
{
	struct node *map, *key, *value;

	if (v->kind != NODE_SCALAR || !o->short_key || node_is_null(v))
		return v;
	map = arena_array(&p->scratch, struct node, 3);
	key = map + 1;
	value = map + 2;
	*map = *key = *value = *v;
	map->kind = NODE_MAP;
	map->n = 1;
	map->first = key;
	key->text = o->short_key;
	key->n = (uint32_t)strlen(o->short_key);
	key->next = value;
	value->next = NULL;
	return map;
}

static void bad_object(struct parse *p, const struct config_field *f, const struct node *v)
{
	parse_bad(p, f, v, f->object->short_key ? "a text or a mapping" : "a mapping");
}

static void parse_object(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	bool *present = f->present ? (bool *)obj + f->present : NULL;

	if (f->nullable && node_is_null(v)) {
		if (present)
			*present = false;
		return;
	}
	v = as_map(p, f->object, v);
	if (v->kind != NODE_MAP) {
		bad_object(p, f, v);
		return;
	}
	if (present)
		*present = true;
	object_parse(p, f->object, STR_NONE, v, field_member(f, obj));
}

static void init_object(struct parse *p, const struct config_field *f, void *obj)
{
	object_init(p, f->object, field_member(f, obj));
}

const struct config_type type_object = {.name = "mapping", .parse = parse_object, .init = init_object};

static void parse_within(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	if (v->kind == NODE_MAP)
		object_parse(p, f->object, STR_NONE, v, obj);
	else if (!f->nullable || !node_is_null(v))
		bad_object(p, f, v);
}

const struct config_type type_within = {.name = "mapping", .parse = parse_within, .init = object_init_within};

/* `tcp:` alone chooses as well as `tcp: {}`. */
static void parse_choice(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	*(uint8_t *)field_member(f, obj) = (uint8_t)f->choice;
	if (!node_is_null(v))
		parse_within(p, f, v, obj);
}

void object_init_within(struct parse *p, const struct config_field *f, void *obj)
{
	for (const struct config_field *inner = f->object->fields; inner->key; inner++)
		if (inner->type->init)
			inner->type->init(p, inner, obj);
}

const struct config_type type_choice = {.name = "mapping", .parse = parse_choice, .init = object_init_within};

/* Stands in tables only; the index takes its rows for their own. */
const struct config_type type_embed = {.name = "mapping"};

/* -- lists and maps of objects -- */

static void parse_object_list(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	const struct config_object *o = f->object;
	char *elements;
	uint32_t n = 0;

	if (f->nullable && node_is_null(v)) {
		*field_count(f, obj) = 0;
		return;
	}
	if (v->kind != NODE_LIST) {
		parse_bad(p, f, v, "a list");
		return;
	}
	elements = arena_alloc(&p->conf->arena, (size_t)o->size * v->n);
	for (const struct node *e = v->first; e; e = e->next) {
		const struct node *m = as_map(p, o, e);
		char *element = elements + (size_t)o->size * n;

		if (m->kind != NODE_MAP) {
			parse_error(p, e, "an element of \"%s\" must be %s, not %s", f->key,
				o->short_key ? "a text or a mapping" : "a mapping", node_describe(p, e));
			continue;
		}
		object_init(p, o, element);
		object_parse(p, o, STR_NONE, m, element);
		n++;
	}
	*(void **)field_member(f, obj) = elements;
	*field_count(f, obj) = n;
}

const struct config_type type_list = {.name = "list", .parse = parse_object_list};

void element_parse(struct parse *p, const struct config_field *f, const struct node *key,
	const struct node *v, void *element, const void *parent)
{
	const struct config_object *o = f->object;
	struct str *name = element; /* by convention the first member of what lies in a map */

	object_init(p, o, element);
	if (f->inherit)
		f->inherit(element, parent);
	if (!f->element->valid(node_str(key)))
		parse_error(p, key, "the name of a %s must be %s, not %s", o->what, f->element->expects,
			parse_quote(p, node_str(key)));
	*name = arena_str(&p->conf->arena, node_str(key));
	if (v->kind != NODE_MAP) {
		parse_error(p, v, "%s %s must be a mapping, not %s", o->what, parse_quote(p, *name),
			node_describe(p, v));
		return;
	}
	object_parse(p, o, *name, v, element);
	if (o->place_offset)
		*(struct conf_place *)(void *)((char *)element + o->place_offset) = node_place(key);
}

/* Few keys are compared with one another; many go through a map. */
#define FEW_KEYS 12

static void report_twice(
	struct parse *p, const struct config_field *f, const struct node *key, const struct node *first)
{
	parse_error(p, key, "%s is written twice in \"%s\"; the first is on line %u",
		parse_quote(p, node_str(key)), f->key, first->line);
}

static void check_unique(struct parse *p, const struct config_field *f, const struct node *v)
{
	struct map seen = {0};

	for (const struct node *k = v->first; k; k = k->next->next) {
		if (v->n > FEW_KEYS) {
			const struct node *first = map_put(&seen, node_str(k), (void *)(uintptr_t)k);

			if (first)
				report_twice(p, f, k, first);
			continue;
		}
		for (const struct node *other = v->first; other != k; other = other->next->next) {
			if (str_eq(node_str(other), node_str(k))) {
				report_twice(p, f, k, other);
				break;
			}
		}
	}
	map_free(&seen);
}

static void parse_map(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	const struct config_object *o = f->object;
	char *elements;
	uint32_t n = 0;

	if (v->kind != NODE_MAP) {
		parse_bad(p, f, v, "a mapping of names");
		return;
	}
	check_unique(p, f, v);
	elements = arena_alloc(&p->conf->arena, (size_t)o->size * v->n);
	for (const struct node *k = v->first; k; k = k->next->next)
		element_parse(p, f, k, k->next, elements + (size_t)o->size * n++, obj);
	*(void **)field_member(f, obj) = elements;
	*field_count(f, obj) = n;
}

const struct config_type type_map = {.name = "mapping of names", .parse = parse_map};
