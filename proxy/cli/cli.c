#include "cli/cli.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/obj.h"
#include "cli/command.h"
#include "cli/help.h"
#include "config/suggest.h"

static const struct cli_command *const commands[] = {
	&run_command,
	&check_command,
	&explain_command,
	&status_command,
	&deploy_command,
	&shift_command,
	&weights_command,
	&pool_command,
	&drain_command,
	&enable_command,
	&hold_command,
	&release_command,
	&backends_command,
	&events_command,
	&top_command,
	&why_command,
	&reload_command,
	&upgrade_command,
	&stop_command,
	&schema_command,
	&completion_command,
	&demo_backend_command,
	&reference_command,
	&reasons_command,
	&metrics_reference_command,
	&manual_command,
	&complete_command,
	&worker_process_command,
};

#define OPTIONS_MAX 64
#define LONG_ONLY   256 /* getopt_long()'s value of row i is LONG_ONLY + i, whether it has a letter or not */
#define HELP_VALUE  (LONG_ONLY + OPTIONS_MAX)

static const struct cli_command *find_command(const char *name)
{
	for (size_t i = 0; i < COUNT_OF(commands); i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

static void complain(const struct cli_command *c, const char *fmt, va_list ap)
{
	fprintf(stderr, "weir %s: ", c->name);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

int cli_usage(const struct cli_command *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain(c, fmt, ap);
	va_end(ap);
	fprintf(stderr, "usage: weir %s %s\n\"weir help %s\" tells more\n", c->name, c->synopsis, c->name);
	return CLI_USAGE;
}

int cli_failed(const struct cli_command *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain(c, fmt, ap);
	va_end(ap);
	return CLI_FAILED;
}

const struct cli_command *const *cli_commands(size_t *n)
{
	*n = COUNT_OF(commands);
	return commands;
}

/* -- parsing -- */

/* What getopt_long() wants, made of a command's rows. */
struct parser {
	const struct cli_command *command;
	char letters[2 * OPTIONS_MAX + 4];
	struct option longs[OPTIONS_MAX + 2];
	uint32_t n;
};

static void parser_init(struct parser *p, const struct cli_command *c)
{
	/* ':' first: a missing argument is told apart from an unknown option. */
	struct text letters = text_in(p->letters, sizeof(p->letters) - 1);

	*p = (struct parser){.command = c};
	text_put(&letters, STR(":h"));
	for (const struct cli_option *o = c->options; o && o->name; o++, p->n++) {
		MUST(p->n < OPTIONS_MAX);
		p->longs[p->n] = (struct option){
			o->name, o->argument ? required_argument : no_argument, NULL, LONG_ONLY + (int)p->n};
		if (o->letter) {
			text_char(&letters, o->letter);
			if (o->argument)
				text_char(&letters, ':');
		}
	}
	p->longs[p->n] = (struct option){"help", no_argument, NULL, HELP_VALUE};
}

static const struct cli_option *option_of(const struct parser *p, int value)
{
	if (value >= LONG_ONLY)
		return &p->command->options[value - LONG_ONLY];
	for (uint32_t i = 0; i < p->n; i++)
		if (p->command->options[i].letter == value)
			return &p->command->options[i];
	return NULL;
}

static void list_add(struct cli_list *list, const char *text)
{
	list->v = realloc(list->v, (list->n + 1) * sizeof(*list->v));
	MUST(list->v);
	list->v[list->n++] = text;
}

static void option_set(const struct cli_option *o, void *options, const char *text)
{
	void *member = (char *)options + o->offset;

	switch ((enum cli_option_kind)o->kind) {
	case CLI_SWITCH:
		*(bool *)member = true;
		break;
	case CLI_TEXT:
		*(const char **)member = text;
		break;
	case CLI_LIST:
		list_add(member, text);
		break;
	}
}

static int unknown_option(const struct parser *p, const char *written)
{
	struct suggestion s = {.word = str_of(written)};

	if (optopt && optopt < LONG_ONLY)
		return cli_usage(p->command, "unknown option -%c", optopt);
	s.word = str_skip(s.word, 2);
	s.word = str_head(s.word, str_find(s.word, '='));
	if (optopt)
		return cli_usage(p->command, "option --" STR_FMT " takes no value", STR_ARG(s.word));
	for (uint32_t i = 0; i < p->n; i++)
		suggest_try(&s, str_of(p->command->options[i].name));
	if (s.best.n)
		return cli_usage(p->command, "unknown option --" STR_FMT "; did you mean --" STR_FMT "?",
			STR_ARG(s.word), STR_ARG(s.best));
	return cli_usage(p->command, "unknown option --" STR_FMT, STR_ARG(s.word));
}

static int missing_value(const struct parser *p)
{
	const struct cli_option *o = option_of(p, optopt);

	return cli_usage(p->command, "option --%s needs a value: --%s %s", o->name, o->name, o->argument);
}

/* Names of files are bytes; whatever else is typed ends up in JSON, which would be without it. */
static bool takes_bytes(const struct cli_option *o)
{
	return o->kind == CLI_LIST || strcmp(o->argument, "FILE") == 0 || strcmp(o->argument, "PATH") == 0;
}

/* -1: all of them are text; otherwise the exit status, and what is wrong was said. */
static int refuse_bytes(const struct cli_command *c, const struct cli_list *arguments)
{
	for (uint32_t i = 0; i < arguments->n && !c->hidden; i++)
		if (!str_is_utf8(str_of(arguments->v[i])))
			return cli_usage(c, "argument %u is not text in UTF-8", i + 1);
	return -1;
}

static int run_parsed(
	const struct parser *p, int argc, char **argv, void *options, struct cli_list *arguments)
{
	const struct cli_command *c = p->command;
	const struct cli_option *o;
	int value;

	opterr = 0;
	optind = 0; /* glibc: begin anew */
	while ((value = getopt_long(argc, argv, p->letters, p->longs, NULL)) != -1) {
		if (value == 'h' || value == HELP_VALUE) {
			help_command(c);
			return CLI_DONE;
		}
		if (value == '?')
			return unknown_option(p, argv[optind - 1]);
		if (value == ':')
			return missing_value(p);
		o = option_of(p, value);
		if (o->kind != CLI_SWITCH && !takes_bytes(o) && !str_is_utf8(str_of(optarg)))
			return cli_usage(c, "the value of --%s is not text in UTF-8", o->name);
		option_set(o, options, optarg);
	}
	for (; optind < argc; optind++)
		list_add(arguments, argv[optind]);
	if (arguments->n > c->arguments)
		return cli_usage(c, "unexpected argument \"%s\"", arguments->v[c->arguments]);
	value = refuse_bytes(c, arguments);
	return value < 0 ? c->run(options, arguments) : value;
}

static int run_command_line(const struct cli_command *c, int argc, char **argv)
{
	struct cli_list arguments = {0};
	struct parser p;
	void *options = calloc(1, c->options_size + 1);
	int status;

	MUST(options);
	parser_init(&p, c);
	status = run_parsed(&p, argc, argv, options, &arguments);
	for (const struct cli_option *o = c->options; o && o->name; o++)
		if (o->kind == CLI_LIST)
			free(((struct cli_list *)(void *)((char *)options + o->offset))->v);
	free(options);
	free(arguments.v);
	return status;
}

static int unknown_command(const char *name)
{
	struct suggestion s = {.word = str_of(name)};

	for (size_t i = 0; i < COUNT_OF(commands); i++)
		if (!commands[i]->hidden)
			suggest_try(&s, str_of(commands[i]->name));
	suggest_try(&s, STR("help"));
	suggest_try(&s, STR("version"));
	fprintf(stderr, "weir: unknown command \"%s\"", name);
	if (s.best.n)
		fprintf(stderr, "; did you mean \"" STR_FMT "\"?", STR_ARG(s.best));
	fputs("\n\"weir help\" lists the commands\n", stderr);
	return CLI_USAGE;
}

static int dispatch(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : NULL;
	const struct cli_command *c;

	if (!name) {
		help_overview(stderr);
		return CLI_USAGE;
	}
	if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0 || strcmp(name, "version") == 0) {
		puts("weir " WEIR_VERSION);
		return CLI_DONE;
	}
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
		if (argc < 3 || strcmp(argv[2], "help") == 0 || strcmp(argv[2], "version") == 0) {
			help_overview(stdout);
			return CLI_DONE;
		}
		c = find_command(argv[2]);
		if (!c)
			return unknown_command(argv[2]);
		help_command(c);
		return CLI_DONE;
	}
	c = find_command(name);
	return c ? run_command_line(c, argc - 1, argv + 1) : unknown_command(name);
}

int cli_main(int argc, char **argv)
{
	int status = dispatch(argc, argv);

	/* An answer that did not arrive (a full disk, a closed pipe) must not look like success. */
	if ((fflush(stdout) != 0 || ferror(stdout)) && status == CLI_DONE) {
		fprintf(stderr, "weir: standard output: %s\n", strerror(errno));
		status = CLI_FAILED;
	}
	return status;
}
