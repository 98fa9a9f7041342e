/* cli/term.h - text as wide as who reads it has room for. */
#ifndef WEIR_CLI_TERM_H
#define WEIR_CLI_TERM_H

#include <stdio.h>

/* Columns of the terminal that standard output is; where it is none those of COLUMNS, else 0: as wide as it gets. */
unsigned term_width(void);
/* For running text: term_width(), between 40 and 100 columns. */
unsigned term_text_width(void);
/* Prints text with lines of at most width columns; the lines that it has are joined, but for those that begin with a space or
 * are empty. From the second line on each begins with so many spaces; the caller has written so many columns of the first. */
void term_wrap(FILE *f, const char *text, unsigned indent, unsigned width);

#endif
