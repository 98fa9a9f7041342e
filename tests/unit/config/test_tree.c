#include "conf_text.h"
#include "config/report.h"
#include "config/tree.h"

/* A tree over a text, with the conf and the report that it needs. */
struct reading {
	struct conf conf;
	struct str name;
	struct conf_report report;
	struct arena keep;
	struct tree *tree;
};

static void open_text(struct reading *r, const char *text)
{
	*r = (struct reading){.name = STR("t.yaml")};
	r->conf.names = r->conf.files = &r->name;
	r->conf.file_n = 1;
	report_init(&r->report);
	arena_init(&r->keep, NULL);
	r->tree = tree_open(&r->conf, &r->report, &r->keep, 0, str_of(text));
}

static void close_text(struct reading *r)
{
	tree_close(&r->tree);
	arena_free(&r->keep);
	conf_report_free(&r->report);
}

static void complains(const char *text, const char *expected)
{
	struct reading r;
	char *said;

	open_text(&r, text);
	if (tree_enter(r.tree))
		while (tree_key(r.tree))
			tree_value(r.tree);
	said = conf_report_text(&r.report);
	assert_string_equal(said, expected);
	free(said);
	close_text(&r);
}

static void nodes_know_where_they_stood(void **state)
{
	struct reading r;
	struct node *k, *v;

	(void)state;
	open_text(&r, "# a comment\nfirst: [a,\n  \"b c\"]\nsecond:\n    third: x\n");
	assert_true(tree_enter(r.tree));
	k = tree_key(r.tree);
	assert_true(str_eq(node_str(k), STR("first")));
	assert_int_equal(k->line, 2);
	assert_int_equal(k->col, 1);
	v = tree_value(r.tree);
	assert_int_equal(v->kind, NODE_LIST);
	assert_int_equal(v->n, 2);
	assert_int_equal(v->col, 8);
	assert_true(v->first->plain);
	assert_false(v->first->next->plain);
	assert_int_equal(v->first->next->line, 3);
	assert_int_equal(v->first->next->col, 3);
	k = tree_key(r.tree);
	v = tree_value(r.tree);
	assert_int_equal(v->kind, NODE_MAP);
	assert_int_equal(v->n, 1);
	assert_true(str_eq(node_str(node_get(v, STR("third"))), STR("x")));
	assert_null(node_get(v, STR("fourth")));
	assert_null(tree_key(r.tree));
	assert_false(tree_broken(r.tree));
	close_text(&r);
}

static void a_mapping_can_be_read_entry_by_entry(void **state)
{
	struct reading r;
	struct node *v;
	int n = 0;

	(void)state;
	open_text(&r, "a: {x: 1, y: 2, z: 3}\nb: 2\n");
	assert_true(tree_enter(r.tree));
	assert_true(str_eq(node_str(tree_key(r.tree)), STR("a")));
	assert_true(tree_enter_value(r.tree, &v));
	while (tree_key(r.tree)) {
		v = tree_value(r.tree);
		assert_int_equal(v->text[0], '1' + n++);
		tree_forget(r.tree);
	}
	assert_int_equal(n, 3);
	assert_true(str_eq(node_str(tree_key(r.tree)), STR("b")));
	assert_false(tree_enter_value(r.tree, &v));
	assert_true(str_eq(node_str(v), STR("2")));
	assert_null(tree_key(r.tree));
	close_text(&r);
}

static void null_is_plain_and_never_quoted(void **state)
{
	struct reading r;
	const struct node *v;
	int nulls = 0;

	(void)state;
	open_text(&r, "a: [~, null, Null, NULL, '', \"null\", nil, 0, '~', ]\nb:\n");
	assert_true(tree_enter(r.tree));
	tree_key(r.tree);
	v = tree_value(r.tree);
	for (const struct node *e = v->first; e; e = e->next)
		nulls += node_is_null(e);
	assert_int_equal(nulls, 4);
	tree_key(r.tree);
	assert_true(node_is_null(tree_value(r.tree)));
	close_text(&r);
}

static void json_is_yaml(void **state)
{
	struct reading r;
	struct node *v;

	(void)state;
	open_text(&r, "{\"a\": {\"b\": [1, true, null, \"x\\u00e9\"]}}");
	assert_true(tree_enter(r.tree));
	tree_key(r.tree);
	v = tree_value(r.tree);
	assert_int_equal(node_get(v, STR("b"))->n, 4);
	assert_null(tree_key(r.tree));
	assert_int_equal(r.report.n, 0);
	close_text(&r);
}

static void aliases_repeat_what_an_anchor_marked(void **state)
{
	struct reading r;
	struct node *first, *again;

	(void)state;
	open_text(&r, "a: &mark {x: [1, &inner 2]}\nb: *mark\nc: *inner\n");
	assert_true(tree_enter(r.tree));
	tree_key(r.tree);
	first = tree_value(r.tree);
	tree_forget(r.tree);
	tree_key(r.tree);
	again = tree_value(r.tree);
	assert_ptr_equal(first->first, again->first);
	assert_int_equal(again->line, 2);
	tree_key(r.tree);
	assert_true(str_eq(node_str(tree_value(r.tree)), STR("2")));
	assert_int_equal(r.report.n, 0);
	close_text(&r);
}

static void aliases_without_an_anchor_are_errors(void **state)
{
	(void)state;
	complains("a: *x\n", "t.yaml:1:4: no anchor \"&x\" stands above this alias\n");
	complains("a: &x [*x]\n", "t.yaml:1:8: the alias \"*x\" stands inside its own anchor\n");
}

static void aliases_of_aliases_do_not_explode(void **state)
{
	(void)state;
	complains("a: &a [x, x, x, x, x, x, x, x, x, x]\n"
		  "b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\n"
		  "c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]\n"
		  "d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]\n"
		  "e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]\n"
		  "f: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e, *e]\n"
		  "g: &g [*f, *f, *f, *f, *f, *f, *f, *f, *f, *f]\n",
		"t.yaml:6:36: the aliases of this file repeat too much\n");
}

static void broken_syntax_says_where_and_what(void **state)
{
	(void)state;
	complains("a: [1, 2\nb: 3\n", "t.yaml:2:2: not valid YAML: did not find expected ',' or ']', while "
				      "parsing a flow sequence that began on "
				      "line 1\n");
	complains("a: \"x\n",
		"t.yaml:2:1: not valid YAML: found unexpected end of stream, while scanning a quoted scalar "
		"that began on line 1\n");
	complains(
		"a: b: c\n", "t.yaml:1:5: not valid YAML: mapping values are not allowed in this context\n");
	complains("a:\n\t- b\n",
		"t.yaml:2:1: not valid YAML: a line is indented with spaces, and here is a tab\n");
	complains("b: 1\na: [${X}]\n",
		"t.yaml:2:6: not valid YAML: within [ ] and { }, \"${NAME}\" stands in quotes\n");
	complains("a: {b: ${X:-y}}\n",
		"t.yaml:1:9: not valid YAML: within [ ] and { }, \"${NAME}\" stands in quotes\n");
	complains("a: b\nc: \xff\n", "t.yaml:2:4: not valid YAML: invalid leading UTF-8 octet\n");
	complains("a: \x01\n", "t.yaml:1:4: not valid YAML: control characters are not allowed\n");
}

static void one_file_is_one_mapping(void **state)
{
	(void)state;
	complains("", "");
	complains("# nothing\n", "");
	complains("---\n...\n", "");
	complains("- a\n", "t.yaml:1:1: a configuration is a mapping of keys to values, not a list\n");
	complains("hello\n", "t.yaml:1:1: a configuration is a mapping of keys to values, not a text\n");
	complains("a: 1\n---\nb: 2\n", "t.yaml:2:1: a second document begins here; a file holds one\n");
}

static void what_yaml_offers_and_configurations_do_not_need(void **state)
{
	(void)state;
	complains("a: !!binary x\n",
		"t.yaml:1:4: tags such as \"tag:yaml.org,2002:binary\" are not supported\n");
	complains("a: !own {}\n", "t.yaml:1:4: tags such as \"!own\" are not supported\n");
	complains("? [a, b]\n: 1\n", "t.yaml:1:3: a key must be a plain text\n");
	complains("a: \"b\\0c\"\n", "t.yaml:1:4: a NUL byte in a text\n");
	complains("a: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
		"t.yaml:1:67: nested more than 64 deep\n");
}

static void a_byte_order_mark_is_passed_over(void **state)
{
	(void)state;
	complains("\xef\xbb\xbf"
		  "a: *x\n",
		"t.yaml:1:4: no anchor \"&x\" stands above this alias\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nodes_know_where_they_stood),
		cmocka_unit_test(a_mapping_can_be_read_entry_by_entry),
		cmocka_unit_test(null_is_plain_and_never_quoted),
		cmocka_unit_test(json_is_yaml),
		cmocka_unit_test(aliases_repeat_what_an_anchor_marked),
		cmocka_unit_test(aliases_without_an_anchor_are_errors),
		cmocka_unit_test(aliases_of_aliases_do_not_explode),
		cmocka_unit_test(broken_syntax_says_where_and_what),
		cmocka_unit_test(one_file_is_one_mapping),
		cmocka_unit_test(what_yaml_offers_and_configurations_do_not_need),
		cmocka_unit_test(a_byte_order_mark_is_passed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
