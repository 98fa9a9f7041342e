#include "cli/command.h"

#include <fcntl.h>
#include "control/control.h"
#include "io/tls_kdf.h"

struct worker_process_options {
	const char *config;
	bool watch;
};

static const struct cli_option options[] = {
	TEXT("config", 'c', "FILE", struct worker_process_options, config, "the configuration to serve"),
	SWITCH("watch", 0, struct worker_process_options, watch, "reload when it changes"),
	OPTIONS_END,
};

static int run(const void *parsed, const struct cli_list *arguments)
{
	const struct worker_process_options *o = parsed;
	const struct control_options control = {.config = o->config, .watch = o->watch};

	(void)arguments;
	if (!o->config || fcntl(CHANNEL_FD, F_SETFD, FD_CLOEXEC) < 0 ||
		fcntl(CHANNEL_CRASH_FD, F_SETFD, FD_CLOEXEC) < 0)
		return cli_usage(&worker_process_command, "this is for weir itself: use \"weir run\"");
	tls_kdf_install();
	return control_run(&control);
}

const struct cli_command worker_process_command = {
	.name = "worker-process",
	.synopsis = "-c FILE",
	.summary = "what \"weir run\" starts",
	.help = "The process that serves, started and restarted by \"weir run\".",
	.options = options,
	.options_size = sizeof(struct worker_process_options),
	.hidden = true,
	.run = run,
};
