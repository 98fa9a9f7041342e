/* cli/command.h - a command is a row: its name, its options, what the help says, and the function behind it.
 *
 * Options are rows as well, beside the struct that they fill; parsing, `--help` and suggestions read the same rows. A command
 * is called only once all of its command line was understood. */
#ifndef WEIR_CLI_COMMAND_H
#define WEIR_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The same for all commands; exit.def says what each means. */
enum cli_exit {
#define EXIT(name, text) CLI_##name,
#include "cli/exit.def"
#undef EXIT
	CLI_EXITS,
};

/* The texts of an option that may be given many times, or of arguments; the array is malloc'ed, the texts are argv's. */
struct cli_list {
	const char **v;
	uint32_t n;
};

enum cli_option_kind { CLI_SWITCH, CLI_TEXT, CLI_LIST };

struct cli_option {
	const char *name; /* without the dashes; NULL: the end of the table */
	char letter; /* 0: there is only the long form */
	uint8_t kind; /* enum cli_option_kind */
	const char *argument; /* "FILE"; NULL for a switch */
	size_t offset; /* of the bool, const char * or struct cli_list in the command's struct */
	const char *doc;
};

#define SWITCH(n, l, s, m, d) \
	{ \
		.name = n, .letter = l, .kind = CLI_SWITCH, .offset = offsetof(s, m), .doc = d \
	}
#define TEXT(n, l, a, s, m, d) \
	{ \
		.name = n, .letter = l, .kind = CLI_TEXT, .argument = a, .offset = offsetof(s, m), .doc = d \
	}
#define LIST(n, l, a, s, m, d) \
	{ \
		.name = n, .letter = l, .kind = CLI_LIST, .argument = a, .offset = offsetof(s, m), .doc = d \
	}
#define OPTIONS_END \
	{ \
		.name = NULL \
	}

struct cli_command {
	const char *name;
	/* Behind the name. Completion reads it too: TENANT/SERVICE/POOL, POOL, FILE ... and a|b|c say what may stand there. */
	const char *synopsis;
	const char *summary; /* one line of `weir help` */
	const char *examples; /* command lines, two spaces before each; `weir help NAME` begins with them */
	const char *help; /* what `weir help NAME` teaches; lines that begin with a space keep their shape */
	const struct cli_option *options;
	size_t options_size; /* of the struct that they fill: zeroed, then filled */
	uint32_t arguments; /* how many there may be beside options */
	bool hidden; /* for the build, not for users */
	/* options: the struct. Returns the exit status. */
	int (*run)(const void *options, const struct cli_list *arguments);
};

/* One each, in a file of its own. */
extern const struct cli_command drain_command, enable_command, hold_command, release_command;
extern const struct cli_command backends_command, pool_command, weights_command;
extern const struct cli_command complete_command, completion_command, manual_command;
extern const struct cli_command run_command, check_command, explain_command, schema_command,
	demo_backend_command, reference_command, reasons_command, metrics_reference_command, status_command,
	reload_command, upgrade_command, stop_command, events_command, top_command, why_command,
	worker_process_command;

/* All of them, in the order in which a newcomer needs them. */
const struct cli_command *const *cli_commands(size_t *n);
/* What an exit status means. */
const char *cli_exit_text(enum cli_exit status);

/* "weir NAME: text" and where to read more, on stderr; returns CLI_USAGE. */
__attribute__((format(printf, 2, 3))) int cli_usage(const struct cli_command *c, const char *fmt, ...);
/* "weir NAME: text" on stderr; returns CLI_FAILED. */
__attribute__((format(printf, 2, 3))) int cli_failed(const struct cli_command *c, const char *fmt, ...);

#endif
