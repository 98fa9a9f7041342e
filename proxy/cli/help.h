/* cli/help.h - what `weir help` says, from the rows of commands and options. */
#ifndef WEIR_CLI_HELP_H
#define WEIR_CLI_HELP_H

#include <stdio.h>
#include "cli/command.h"

void help_overview(FILE *f);
/* On standard output: how it is written, examples, what it does, its options. */
void help_command(const struct cli_command *c);
/* "-c, --config FILE", NUL-terminated. */
void help_option_name(const struct cli_option *o, char buf[64]);

#endif
