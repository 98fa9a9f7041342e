/* cli/follow.h - watches a shift or a deploy until its end: a bar on a terminal, a line for each thing that happens elsewhere. */
#ifndef WEIR_CLI_FOLLOW_H
#define WEIR_CLI_FOLLOW_H

#include "cli/client.h"

#define FOLLOW_ABSENCE_S 60 /* weir may be away for so long: it restarts, or is upgraded */

/* path: of the document. limit_ms: then CLI_TIMED_OUT, and what goes on goes on; 0: none. Otherwise by how it ended: CLI_DONE, CLI_ROLLED_BACK,
 * CLI_TIMED_OUT (it was not healthy in time), CLI_FAILED. With --json prints the last document, and nothing else. */
int follow(const struct cli_command *c, const struct client_options *o, const char *path, uint64_t limit_ms);
/* The same, for as long as --timeout says. */
int follow_within_timeout(const struct cli_command *c, const struct client_options *o, const char *path);
/* Asks for the document once, and prints it. */
int follow_show(const struct client_options *o, const char *path);
/* What it is now, for people, or with --json. */
void follow_print(const struct client_options *o, const struct client_answer *a);

#endif
