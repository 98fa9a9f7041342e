/* cli/cli.h - the command line: one binary, a table of commands. */
#ifndef WEIR_CLI_CLI_H
#define WEIR_CLI_CLI_H

/* Runs what argv asks for and returns the exit status: 0 done, 1 refused or failed, 2 wrong usage. */
int cli_main(int argc, char **argv);

#endif
