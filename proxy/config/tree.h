/* config/tree.h - YAML as a light tree with places, read piecewise.
 *
 * libyaml scans and parses; this builds nodes of 32 bytes in an arena. The mapping at the root, and those below it that the
 * caller enters, are handed out entry by entry, so that a file of ten thousand tenants never stands in memory as a whole.
 * Problems (syntax, tags, environment, nesting, aliases) go to the report with their place. A syntax error ends the
 * file; everything else leaves a usable tree, so that later errors are found in the same run. */
#ifndef WEIR_CONFIG_TREE_H
#define WEIR_CONFIG_TREE_H

#include "config/conf.h"

enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAP };

#define NODE_DEPTH_MAX 64

struct node {
	uint8_t kind; /* enum node_kind */
	bool plain; /* a scalar without quotes that did not come from the environment: may be null */
	uint16_t file; /* index into conf.files */
	uint16_t col; /* from 1 */
	uint32_t line; /* from 1 */
	uint32_t n; /* bytes of text, elements, or entries */
	union {
		const char *text; /* NUL-terminated as well */
		struct node *first; /* element; or key, whose next is its value, whose next is the next key */
	};
	struct node *next;
};

static inline struct str node_str(const struct node *n)
{
	return (struct str){n->text, n->n};
}

static inline struct conf_place node_place(const struct node *n)
{
	return (struct conf_place){n->file, n->col, n->line};
}

/* ~, null or nothing at all (YAML 1.2 10.3.2). */
bool node_is_null(const struct node *n);
/* The value under the key. NULL when there is none, and when the node is no mapping, or NULL itself: that was said elsewhere. */
const struct node *node_get(const struct node *map, struct str key);

/* Of all that is written below it; places do not count. without: a key of the mapping that is passed over, or NULL. */
uint64_t node_digest(const struct node *n, const char *without);

struct tree;

/* text must outlive the tree. `keep` receives the nodes that anchors name; it must outlive every node. */
struct tree *tree_open(
	const struct conf *c, struct conf_report *r, struct arena *keep, uint16_t file, struct str text);
void tree_close(struct tree **t);
/* Enters the root. False with a problem unless it is a mapping; an empty file is an empty mapping. */
bool tree_enter(struct tree *t);
/* The next key of the mapping that was entered last. NULL at its end, where the mapping around it is current again, and
 * after a syntax error. After a key, exactly one of the next two. */
struct node *tree_key(struct tree *t);
/* The key's value. NULL after a syntax error. */
struct node *tree_value(struct tree *t);
/* Enters the key's value if it is a mapping, returning true; otherwise *value is what it is (NULL after a syntax error). */
bool tree_enter_value(struct tree *t, struct node **value);
/* The nodes handed out so far are not needed any more. */
void tree_forget(struct tree *t);
/* True when syntax ended the reading early: what is missing then is not an error of its own. */
bool tree_broken(const struct tree *t);

#endif
