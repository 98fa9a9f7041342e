#include "config/tree.h"

#include <stdlib.h>
#include <yaml.h>
#include "base/obj.h"
#include "config/env.h"

/* Aliases may repeat what stands in the file, but not without bound: the tree is walked as if each were a copy. */
#define ALIASED_NODES_MAX 1000000
#define FORGET_ABOVE      (32u * 1024)

struct anchor {
	struct anchor *older;
	struct str name;
	struct node *node; /* NULL while it is being read */
	size_t nodes; /* in it, aliases followed */
};

struct tree {
	yaml_parser_t yaml;
	yaml_event_t event; /* the one that is looked at */
	bool have_event;
	bool broken;
	const struct conf *conf;
	struct conf_report *report;
	uint16_t file;
	struct str text;
	struct arena arena, *keep;
	struct arena *into; /* where nodes go now: arena, or keep inside an anchored node */
	struct anchor *anchors;
	size_t nodes; /* built, aliases followed */
	unsigned depth;
	unsigned anchored; /* anchored nodes that are being read around this one */
};

bool node_is_null(const struct node *n)
{
	if (n->kind != NODE_SCALAR || !n->plain)
		return false;
	switch (n->n) {
	case 0:
		return true;
	case 1:
		return n->text[0] == '~';
	case 4:
		return memcmp(n->text, "null", 4) == 0 || memcmp(n->text, "Null", 4) == 0 ||
		       memcmp(n->text, "NULL", 4) == 0;
	default:
		return false;
	}
}

const struct node *node_get(const struct node *map, struct str key)
{
	if (!map || map->kind != NODE_MAP)
		return NULL;
	for (const struct node *k = map->first; k; k = k->next->next)
		if (str_eq(node_str(k), key))
			return k->next;
	return NULL;
}

static uint64_t digest_more(const struct node *n, uint64_t seed)
{
	uint64_t h = hash_bytes(&n->kind, sizeof(n->kind), seed + n->n);

	if (n->kind == NODE_SCALAR)
		return hash_bytes(n->text, n->n, h + n->plain);
	for (const struct node *e = n->first; e; e = e->next)
		h = digest_more(e, h);
	return h;
}

uint64_t node_digest(const struct node *n, const char *without)
{
	uint64_t h = 1;

	if (n->kind != NODE_MAP || !without)
		return digest_more(n, h);
	for (const struct node *k = n->first; k; k = k->next->next)
		if (!str_eq(node_str(k), str_of(without)))
			h = digest_more(k->next, digest_more(k, h));
	return h;
}

static struct conf_place place(const struct tree *t, yaml_mark_t mark)
{
	return (struct conf_place){t->file, (uint16_t)MIN(mark.column + 1, UINT16_MAX),
		(uint32_t)MIN(mark.line + 1, UINT32_MAX)};
}

#define problem(t, mark, ...) conf_report_add((t)->report, (t)->conf, place(t, mark), false, __VA_ARGS__)

/* Bytes that are no text are found before there is a line or column. */
static yaml_mark_t reader_mark(const struct tree *t)
{
	yaml_mark_t m = {0};
	size_t end = MIN(t->yaml.problem_offset, t->text.n);

	for (size_t i = 0; i < end; i++) {
		m.column++;
		if (t->text.p[i] == '\n') {
			m.line++;
			m.column = 0;
		}
	}
	return m;
}

/* The text from there on; line is from 0. */
static struct str from_line(const struct tree *t, size_t line)
{
	struct str rest = t->text;

	for (; line > 0 && rest.n; line--)
		rest = str_skip(rest, str_find(rest, '\n') + 1);
	return rest;
}

/* Is it the "{" of a "${"? Within [ ] and { } that ends a scalar, and begins a mapping. */
static bool is_bare_reference(const struct tree *t, yaml_mark_t at)
{
	struct str rest = from_line(t, at.line);

	return at.column > 0 && str_starts(str_skip(rest, at.column - 1), STR("${"));
}

/* Is there a tab among what the line (from 0) is indented with? libyaml says of one only that no token can start with it. */
static bool is_indented_by_tab(const struct tree *t, size_t line)
{
	struct str rest = from_line(t, line);

	while (rest.n && rest.p[0] == ' ')
		rest = str_skip(rest, 1);
	return rest.n && rest.p[0] == '\t';
}

static void broken(struct tree *t)
{
	const yaml_parser_t *y = &t->yaml;

	t->broken = true;
	if (y->error == YAML_READER_ERROR)
		problem(t, reader_mark(t), "not valid YAML: %s", y->problem);
	else if (y->error == YAML_MEMORY_ERROR)
		problem(t, y->mark, "not enough memory to read this");
	else if (y->error == YAML_SCANNER_ERROR && is_indented_by_tab(t, y->problem_mark.line))
		problem(t, y->problem_mark,
			"not valid YAML: a line is indented with spaces, and here is a tab");
	else if (y->error == YAML_PARSER_ERROR && is_bare_reference(t, y->problem_mark))
		problem(t, y->problem_mark,
			"not valid YAML: within [ ] and { }, \"${NAME}\" stands in quotes");
	else if (y->context && y->context_mark.line != y->problem_mark.line)
		problem(t, y->problem_mark, "not valid YAML: %s, %s that began on line %zu", y->problem,
			y->context, y->context_mark.line + 1);
	else if (y->context)
		problem(t, y->problem_mark, "not valid YAML: %s, %s", y->problem, y->context);
	else
		problem(t, y->problem_mark, "not valid YAML: %s", y->problem);
}

/* The current event; NULL once the text has turned out broken. */
static yaml_event_t *peek(struct tree *t)
{
	if (!t->have_event && !t->broken) {
		if (yaml_parser_parse(&t->yaml, &t->event))
			t->have_event = true;
		else
			broken(t);
	}
	return t->have_event ? &t->event : NULL;
}

static void next(struct tree *t)
{
	yaml_event_delete(&t->event);
	t->have_event = false;
}

static struct node *new_node(struct tree *t, enum node_kind kind, yaml_mark_t mark)
{
	struct node *n = arena_new(t->into, struct node);
	struct conf_place at = place(t, mark);

	n->kind = (uint8_t)kind;
	n->file = at.file;
	n->col = at.col;
	n->line = at.line;
	t->nodes++;
	return n;
}

static struct node *scalar(struct tree *t, yaml_event_t *e, bool key)
{
	struct node *n = new_node(t, NODE_SCALAR, e->start_mark);
	struct str s = {(const char *)e->data.scalar.value, e->data.scalar.length};
	const char *wrong = NULL;
	bool expand = !key && s.n > 2 && memchr(s.p, '$', s.n);

	if (e->data.scalar.tag)
		problem(t, e->start_mark, "tags such as \"%s\" are not supported", e->data.scalar.tag);
	if (memchr(s.p, '\0', s.n)) {
		problem(t, e->start_mark, "a NUL byte in a text");
		s.n = strlen(s.p);
	}
	n->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && !expand;
	s = expand ? env_expand(t->into, s, &wrong) : arena_str(t->into, s);
	if (wrong)
		problem(t, e->start_mark, "%s", wrong);
	n->text = wrong ? arena_str(t->into, s).p : s.p;
	n->n = (uint32_t)s.n;
	return n;
}

static struct anchor *anchor_begin(struct tree *t, const yaml_char_t *name)
{
	struct anchor *a = arena_new(t->keep, struct anchor);

	a->name = arena_str(t->keep, str_of((const char *)name));
	a->older = t->anchors;
	a->nodes = t->nodes;
	t->anchors = a;
	t->anchored++;
	t->into = t->keep;
	return a;
}

static void anchor_end(struct tree *t, struct anchor *a, struct node *n)
{
	a->node = n;
	a->nodes = t->nodes - a->nodes;
	if (--t->anchored == 0)
		t->into = &t->arena;
}

/* A copy of the node itself, for its `next` and its place; what is below is shared. */
static struct node *alias(struct tree *t, const yaml_event_t *e)
{
	struct str name = str_of((const char *)e->data.alias.anchor);
	const struct anchor *a = t->anchors;
	struct node *n = new_node(t, NODE_SCALAR, e->start_mark);
	struct node here = *n;

	while (a && !str_eq(a->name, name))
		a = a->older;
	n->text = "";
	n->plain = true;
	if (!a) {
		problem(t, e->start_mark, "no anchor \"&" STR_FMT "\" stands above this alias",
			STR_ARG(name));
		return n;
	}
	if (!a->node) {
		problem(t, e->start_mark, "the alias \"*" STR_FMT "\" stands inside its own anchor",
			STR_ARG(name));
		return n;
	}
	if (t->nodes + a->nodes > ALIASED_NODES_MAX + t->text.n) {
		problem(t, e->start_mark, "the aliases of this file repeat too much");
		t->broken = true;
		return n;
	}
	t->nodes += a->nodes;
	*n = *a->node;
	n->line = here.line;
	n->col = here.col;
	n->next = NULL;
	return n;
}

static struct node *build(struct tree *t, bool key);

static const yaml_char_t *event_anchor(const yaml_event_t *e)
{
	switch (e->type) {
	case YAML_SCALAR_EVENT:
		return e->data.scalar.anchor;
	case YAML_SEQUENCE_START_EVENT:
		return e->data.sequence_start.anchor;
	case YAML_MAPPING_START_EVENT:
		return e->data.mapping_start.anchor;
	default:
		return NULL;
	}
}

/* Up to the end event. A mapping ends after a value: a key without one is not possible in YAML. */
static struct node *collection(struct tree *t, yaml_event_t *e)
{
	bool map = e->type == YAML_MAPPING_START_EVENT;
	yaml_event_type_t end = map ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;
	const yaml_char_t *tag = map ? e->data.mapping_start.tag : e->data.sequence_start.tag;
	struct node *n = new_node(t, map ? NODE_MAP : NODE_LIST, e->start_mark), **tail = &n->first;
	uint32_t count = 0;

	if (tag)
		problem(t, e->start_mark, "tags such as \"%s\" are not supported", tag);
	if (t->depth == NODE_DEPTH_MAX) {
		problem(t, e->start_mark, "nested more than %d deep", NODE_DEPTH_MAX);
		t->broken = true;
		return NULL;
	}
	t->depth++;
	next(t);
	while ((e = peek(t)) && e->type != end) {
		struct node *child = build(t, map && count % 2 == 0);

		if (!child)
			break;
		*tail = child;
		tail = &child->next;
		count++;
	}
	t->depth--;
	if (!e || e->type != end || t->broken)
		return NULL;
	next(t);
	n->n = map ? count / 2 : count;
	return n;
}

/* One whole node. NULL when broken. Keys are scalars: anything else as a key is reported and stands as an empty one. */
static struct node *build(struct tree *t, bool key)
{
	yaml_event_t *e = peek(t);
	struct anchor *a = NULL;
	struct node *n = NULL;

	if (!e)
		return NULL;
	if (event_anchor(e))
		a = anchor_begin(t, event_anchor(e));
	switch (e->type) {
	case YAML_SCALAR_EVENT:
		n = scalar(t, e, key);
		next(t);
		break;
	case YAML_ALIAS_EVENT:
		n = alias(t, e);
		next(t);
		break;
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		n = collection(t, e);
		break;
	default:
		break;
	}
	if (a)
		anchor_end(t, a, n);
	if (n && key && n->kind != NODE_SCALAR) {
		conf_report_add(t->report, t->conf, node_place(n), false, "a key must be a plain text");
		n->kind = NODE_SCALAR;
		n->text = "";
		n->n = 0;
	}
	return t->broken ? NULL : n;
}

struct tree *tree_open(
	const struct conf *c, struct conf_report *r, struct arena *keep, uint16_t file, struct str text)
{
	struct tree *t = calloc(1, sizeof(*t));

	MUST(t);
	MUST(yaml_parser_initialize(&t->yaml));
	/* libyaml would guess UTF-16 from a byte order mark; configurations are UTF-8. */
	yaml_parser_set_encoding(&t->yaml, YAML_UTF8_ENCODING);
	if (str_starts(text, STR("\xef\xbb\xbf")))
		text = str_skip(text, 3);
	yaml_parser_set_input_string(&t->yaml, (const unsigned char *)(text.p ? text.p : ""), text.n);
	t->conf = c;
	t->report = r;
	t->file = file;
	t->text = text;
	t->keep = keep;
	t->into = &t->arena;
	arena_init(&t->arena, NULL);
	return t;
}

void tree_close(struct tree **tp)
{
	struct tree *t = TAKE(tp);

	if (t->have_event)
		yaml_event_delete(&t->event);
	yaml_parser_delete(&t->yaml);
	arena_free(&t->arena);
	free(t);
}

bool tree_enter(struct tree *t)
{
	yaml_event_t *e;
	struct node *root;

	while ((e = peek(t)) && (e->type == YAML_STREAM_START_EVENT || e->type == YAML_DOCUMENT_START_EVENT))
		next(t);
	if (!e)
		return false;
	if (e->type == YAML_STREAM_END_EVENT || e->type == YAML_MAPPING_START_EVENT) {
		if (e->type == YAML_MAPPING_START_EVENT)
			next(t);
		t->depth++;
		return true;
	}
	root = build(t, false);
	if (root && node_is_null(root)) {
		t->depth++;
		return true;
	}
	if (root)
		conf_report_add(t->report, t->conf, node_place(root), false,
			"a configuration is a mapping of keys to values, not a %s",
			root->kind == NODE_LIST ? "list" : "text");
	return false;
}

/* Nothing may follow the root: a second document would be silently ignored otherwise. */
static void end_of_root(struct tree *t)
{
	yaml_event_t *e;

	while ((e = peek(t)) && e->type == YAML_DOCUMENT_END_EVENT)
		next(t);
	if (e && e->type == YAML_DOCUMENT_START_EVENT)
		problem(t, e->start_mark, "a second document begins here; a file holds one");
}

struct node *tree_key(struct tree *t)
{
	yaml_event_t *e = peek(t);

	if (!e || t->broken || t->depth == 0)
		return NULL;
	switch (e->type) {
	case YAML_MAPPING_END_EVENT:
		next(t);
		break;
	case YAML_STREAM_END_EVENT:
	case YAML_DOCUMENT_END_EVENT:
		break;
	default:
		return build(t, true);
	}
	if (--t->depth == 0)
		end_of_root(t);
	return NULL;
}

struct node *tree_value(struct tree *t)
{
	return build(t, false);
}

bool tree_enter_value(struct tree *t, struct node **value)
{
	yaml_event_t *e = peek(t);

	*value = NULL;
	if (e && e->type == YAML_MAPPING_START_EVENT && !e->data.mapping_start.tag) {
		next(t);
		t->depth++;
		return true;
	}
	*value = build(t, false);
	return false;
}

void tree_forget(struct tree *t)
{
	if (t->arena.total > FORGET_ABOVE)
		arena_free(&t->arena);
}

bool tree_broken(const struct tree *t)
{
	return t->broken;
}
