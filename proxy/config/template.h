/* config/template.h - texts with variables in them: "$(request.host)", as headers, paths and error pages have.
 *
 * ${NAME} is the environment's, and gone when the file is loaded; $(name) is filled in for each request (exchange/render.h).
 *
 *   $(name)           the variable's value, empty if it has none
 *   $(name:-default)  ... or the default, if it is empty
 *   $(1) ... $(9)     what the regular expression beside the template has captured; $(0) all that it matched
 *   $$(               the two characters "$(" */
#ifndef WEIR_CONFIG_TEMPLATE_H
#define WEIR_CONFIG_TEMPLATE_H

#include "base/arena.h"

struct config_module;

enum variable {
	VARIABLE_TEXT, /* none: the piece is literal */
	VARIABLE_CAPTURE,
	VARIABLE_MODULE, /* one that a module has */
#define VARIABLE(id, name, when, url, doc) VARIABLE_##id,
#include "config/variable.def"
	VARIABLES
};

/* What is known where the template is used: bits. */
enum template_when { TEMPLATE_REQUEST = 1, TEMPLATE_ANSWER = 2, TEMPLATE_CAPTURES = 4 };

struct variable_row {
	const char *name; /* NULL: it has no row */
	uint8_t when;
	bool url; /* its bytes are as they stood in a URL */
	const char *doc;
};
extern const struct variable_row variable_rows[VARIABLES];

struct template_piece {
	uint8_t variable; /* enum variable */
	uint8_t capture; /* which one */
	struct str text; /* literal, or the default */
	struct str name; /* the chosen one behind the dot: of a header, a cookie, a claim; as written */
	const struct config_module *module; /* whose variable it is */
};

#define TEMPLATE_PIECES_MAX 64 /* of one text: more is a mistake, and they stand on a stack */

struct template
{
	uint32_t n;
	struct template_piece *v;
	struct str literal; /* as written; n 0: all there is */
};

/* when: what is known where it is used. False, and why not in *why (in a), if it is none: variables that do not exist, or not there, a "$("
 * without its end. Texts are copied to a. */
bool template_parse(struct arena *a, struct str in, unsigned when, struct template *out, const char **why);
bool template_has_captures(const struct template *t);

#endif
