/* cli/outcome.h - the outcome of a reload in words. */
#ifndef WEIR_CLI_OUTCOME_H
#define WEIR_CLI_OUTCOME_H

#include <jansson.h>

/* One that was not refused, and what has changed with it, on standard output; what is odd in it, on standard error. */
void outcome_print(const json_t *outcome);
/* The errors of a refused one, as "weir check" prints them, on standard error. */
void outcome_print_errors(const json_t *outcome);

#endif
