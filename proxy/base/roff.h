/* base/roff.h - text for man(7) pages. */
#ifndef WEIR_BASE_ROFF_H
#define WEIR_BASE_ROFF_H

#include <stdio.h>
#include "base/str.h"

/* Text as it stands: nothing in it is taken for a request or an escape. `code` is bold, *words* are italic, as in Markdown. Lines that
 * begin with a space are kept as they are (.nf), and an empty line begins a paragraph. Ends with a line break. */
void roff_text(FILE *f, struct str text);
/* The same within a line: no line breaks in, none out. */
void roff_words(FILE *f, struct str text);

#endif
