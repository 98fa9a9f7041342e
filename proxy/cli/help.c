#include "cli/help.h"

#include "base/str.h"
#include "cli/paint.h"
#include "cli/term.h"

#define NAME_WIDTH   14
#define OPTION_WIDTH 28

static const char *const exit_texts[CLI_EXITS] = {
#define EXIT(name, text) text,
#include "cli/exit.def"
#undef EXIT
};

const char *cli_exit_text(enum cli_exit status)
{
	return exit_texts[status];
}

static void heading(const char *text)
{
	printf("\n\n%s%s%s\n", paint(PAINT_BOLD), text, paint_end());
}

void help_overview(FILE *f)
{
	const struct cli_command *const *commands;
	unsigned width = term_text_width();
	size_t n;

	commands = cli_commands(&n);
	fputs("weir " WEIR_VERSION ", ", f);
	term_wrap(f, "an edge reverse proxy: everything behind it can be updated with no user noticing", 0,
		width - (unsigned)sizeof("weir " WEIR_VERSION ","));
	fputs("\n\nusage: weir COMMAND [OPTIONS]\n\n", f);
	for (size_t i = 0; i < n; i++)
		if (!commands[i]->hidden)
			fprintf(f, "  %-*s %s\n", NAME_WIDTH, commands[i]->name, commands[i]->summary);
	fprintf(f, "  %-*s %s\n  %-*s %s\n", NAME_WIDTH, "help", "explain a command", NAME_WIDTH, "version",
		"say which weir this is");
	fputs("\n\"weir help COMMAND\" tells more, and begins with examples.\n\nexit status:\n", f);
	for (int i = 0; i < CLI_EXITS; i++)
		fprintf(f, "  %d  %s\n", i, cli_exit_text((enum cli_exit)i));
}

void help_option_name(const struct cli_option *o, char buf[64])
{
	struct text t = text_in(buf, 63);

	if (o->letter)
		text_fmt(&t, "-%c, ", o->letter);
	text_fmt(&t, "--%s%s%s", o->name, o->argument ? " " : "", o->argument ? o->argument : "");
	buf[t.n] = '\0';
}

static void print_option(const struct cli_option *o, unsigned width)
{
	char name[64];

	help_option_name(o, name);
	printf("  %-*s", OPTION_WIDTH - 2, name);
	if (strlen(name) >= OPTION_WIDTH - 2)
		printf("\n%*s", OPTION_WIDTH, "");
	term_wrap(stdout, o->doc, OPTION_WIDTH, width);
	putchar('\n');
}

void help_command(const struct cli_command *c)
{
	unsigned width = term_text_width();
	unsigned indent = (unsigned)(sizeof("usage: weir ") + strlen(c->name));

	printf("usage: weir %s ", c->name);
	term_wrap(stdout, c->synopsis, indent, width);
	if (c->examples) {
		heading("examples:");
		fputs(c->examples, stdout);
	}
	fputs("\n\n", stdout);
	term_wrap(stdout, c->help, 0, width);
	heading("options:");
	for (const struct cli_option *o = c->options; o && o->name; o++)
		print_option(o, width);
	print_option(&(struct cli_option){.name = "help", .letter = 'h', .doc = "this text"}, width);
}
