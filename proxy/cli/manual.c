/* cli/manual.c - `weir manual`: weir(1) and weir.yaml(5), from the tables of commands and of the configuration. */
#include <stdio.h>
#include <string.h>
#include "base/roff.h"
#include "cli/client.h"
#include "cli/help.h"
#include "config/manual.h"

#define RELEASED "2026-11-23" /* of the version that stands in the Makefile */

static void put(const char *text)
{
	roff_text(stdout, str_of(text));
}

static void put_title(const char *name, const char *section)
{
	printf(".TH %s %s %s \"weir " WEIR_VERSION "\" \"weir\"\n.SH NAME\n", name, section, RELEASED);
}

/* -- weir(1) -- */

static void put_tagged(const char *tag, const char *text)
{
	fputs(".TP\n\\fB", stdout);
	roff_words(stdout, str_of(tag));
	fputs("\\fR\n", stdout);
	put(text);
}

static void put_command(const struct cli_command *c)
{
	char name[64];

	printf(".SS weir %s\n\\fBweir %s\\fR ", c->name, c->name);
	roff_words(stdout, str_of(c->synopsis));
	fputs("\n.PP\n", stdout);
	put(c->help);
	for (const struct cli_option *o = c->options; o && o->name; o++) {
		help_option_name(o, name);
		put_tagged(name, o->doc);
	}
	if (c->examples) {
		fputs(".PP\nExamples:\n.PP\n", stdout);
		put(c->examples);
	}
}

static void put_exit_statuses(void)
{
	char number[12];

	fputs(".SH EXIT STATUS\nThe same for all commands; a pipeline may rely on them.\n", stdout);
	for (int i = 0; i < CLI_EXITS; i++) {
		snprintf(number, sizeof(number), "%d", i);
		put_tagged(number, cli_exit_text((enum cli_exit)i));
	}
}

static void put_environment(void)
{
	static const struct {
		const char *name, *doc;
	} variables[] = {
		{"WEIR_SOCKET", "the admin socket of the weir that is meant, as --socket; " CLIENT_SOCKET},
		{"WEIR_ADMIN", "the URL of its admin listener, as --admin"},
		{"WEIR_TOKEN", "the token for it"},
		{"WEIR_CA", "a file with the authorities that it is trusted by; the system's"},
		{"WEIR_CERT, WEIR_KEY", "a client certificate and its key"},
		{"NO_COLOR", "if it is not empty, nothing is coloured; else what goes to a terminal is"},
		{"COLUMNS", "how wide lines may be where standard output is no terminal"},
	};

	fputs(".SH ENVIRONMENT\n", stdout);
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
		put_tagged(variables[i].name, variables[i].doc);
}

static void print_weir_1(void)
{
	const struct cli_command *const *commands;
	size_t n;

	commands = cli_commands(&n);
	put_title("WEIR", "1");
	fputs("weir \\- edge reverse proxy: everything behind it can be updated with no user noticing\n"
	      ".SH SYNOPSIS\n\\fBweir\\fR \\fIcommand\\fR [\\fIoptions\\fR]\n.br\n"
	      "\\fBweir help\\fR [\\fIcommand\\fR]\n.br\n\\fBweir version\\fR\n.SH DESCRIPTION\n",
		stdout);
	put("`weir run` serves a configuration, which weir.yaml(5) explains. The commands that talk to a "
	    "running weir find it by `--socket`, else by `WEIR_SOCKET`, else at `" CLIENT_SOCKET
	    "`; over TCP by `--admin` or `WEIR_ADMIN`, with a token in `WEIR_TOKEN`. What programs read goes "
	    "to standard output, with `--json` as JSON; what people read about problems to standard error.");
	fputs(".SH COMMANDS\n", stdout);
	for (size_t i = 0; i < n; i++)
		if (!commands[i]->hidden)
			put_command(commands[i]);
	put_exit_statuses();
	put_environment();
	fputs(".SH SEE ALSO\n\\fBweir.yaml\\fR(5)\n", stdout);
}

/* -- weir.yaml(5) -- */

static void print_weir_yaml_5(void)
{
	put_title("WEIR.YAML", "5");
	fputs("weir.yaml \\- configuration of weir\n.SH DESCRIPTION\n", stdout);
	put("One YAML file (JSON is YAML too), given with `weir run -c FILE`; `weir check -c FILE` lists all "
	    "that is wrong with it, `weir schema` prints a JSON Schema for editors. A mistake is an error, "
	    "never a guess; a reload with an error changes nothing.\n\n"
	    "Durations are written `250ms`, `5s`, `2m`, `1h`; sizes are bytes or `64KiB`, `10MiB`; shares "
	    "are percentages, `20%`. `${NAME}` in a value is taken from the environment, "
	    "`${NAME:-default}` if it is set. Paths are relative to the file that they are written in. "
	    "`include` lists more files, or patterns such as `tenants.d/*.yaml`.");
	fputs(".SH KEYS\nBehind each key stands its type and, if there is one, its default.\n", stdout);
	conf_manual(stdout);
	fputs(".SH FILES\n.TP\n\\fI/etc/weir/weir.yaml\\fR\nwhere the service reads it.\n.SH SEE "
	      "ALSO\n\\fBweir\\fR(1)\n",
		stdout);
}

static int run(const void *parsed, const struct cli_list *arguments)
{
	(void)parsed;
	if (arguments->n && strcmp(arguments->v[0], "weir.1") == 0)
		print_weir_1();
	else if (arguments->n && strcmp(arguments->v[0], "weir.yaml.5") == 0)
		print_weir_yaml_5();
	else
		return cli_usage(&manual_command, "which page? weir.1 or weir.yaml.5");
	return CLI_DONE;
}

const struct cli_command manual_command = {
	.name = "manual",
	.synopsis = "weir.1|weir.yaml.5",
	.summary = "print a manual page",
	.help = "Prints a page for man(1); \"make install\" calls it.",
	.arguments = 1,
	.hidden = true,
	.run = run,
};
