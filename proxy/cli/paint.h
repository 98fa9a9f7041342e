/* cli/paint.h - colour for people: only on a terminal, and not when NO_COLOR (no-color.org) says otherwise. */
#ifndef WEIR_CLI_PAINT_H
#define WEIR_CLI_PAINT_H

enum paint { PAINT_GOOD, PAINT_WARN, PAINT_BAD, PAINT_DIM, PAINT_BOLD };

/* What goes before and behind a text on standard output; empty where there is no colour. */
const char *paint(enum paint p);
const char *paint_end(void);

#endif
