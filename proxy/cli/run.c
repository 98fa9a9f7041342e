#include "cli/command.h"

#include <errno.h>
#include "supervisor/supervisor.h"

struct run_options {
	const char *config;
	bool watch;
};

static const struct cli_option options[] = {
	TEXT("config", 'c', "FILE", struct run_options, config, "the configuration to serve"),
	SWITCH("watch", 0, struct run_options, watch, "reload when FILE, or what it includes, is changed"),
	OPTIONS_END,
};

static int run(const void *parsed, const struct cli_list *arguments)
{
	const struct run_options *o = parsed;
	const struct supervisor_options supervisor = {
		.config = o->config, .watch = o->watch, .program = program_invocation_name};

	(void)arguments;
	if (!o->config)
		return cli_usage(&run_command, "which configuration? Give it with -c FILE; "
					       "docs/getting-started.md has one to begin with");
	return supervisor_run(&supervisor);
}

const struct cli_command run_command = {
	.name = "run",
	.synopsis = "-c FILE [--watch]",
	.summary = "serve a configuration",
	.examples = "  weir run -c /etc/weir/weir.yaml",
	.help = "Serves FILE in the foreground until it is told to stop. A configuration with errors is not "
		"served: they are\n"
		"printed as \"weir check\" prints them, and the exit status is 1.\n"
		"\n"
		"signals:\n"
		"  HUP        read FILE again; if it has errors, what is being served goes on\n"
		"  USR1       reopen the log files\n"
		"  TERM, QUIT stop: accept nothing new, let what is in flight end; a second one stops at "
		"once\n"
		"  INT        stop at once",
	.options = options,
	.options_size = sizeof(struct run_options),
	.run = run,
};
