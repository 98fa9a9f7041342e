#include "cli/command.h"

#include <stdio.h>
#include <stdlib.h>
#include "control/verify.h"

struct check_options {
	const char *config;
	bool json;
};

static const struct cli_option options[] = {
	TEXT("config", 'c', "FILE", struct check_options, config, "the configuration to check"),
	SWITCH("json", 0, struct check_options, json,
		"print the problems as a JSON array on standard output"),
	OPTIONS_END,
};

static const char *plural(uint32_t n)
{
	return n == 1 ? "" : "s";
}

static void print_counts(const char *file, const struct conf *c)
{
	uint32_t services = 0;

	for (uint32_t i = 0; i < c->tenant_n; i++)
		services += c->tenants[i].service_n;
	fprintf(stderr, "%s: good, %u tenant%s, %u service%s, %u listener%s\n", file, c->tenant_n,
		plural(c->tenant_n), services, plural(services), c->listener_n, plural(c->listener_n));
}

static int run(const void *parsed, const struct cli_list *arguments)
{
	const struct check_options *o = parsed;
	struct conf_report report;
	struct conf *c;
	char *text;
	int status;

	(void)arguments;
	if (!o->config)
		return cli_usage(&check_command, "which configuration? Give it with -c FILE");
	c = conf_load(o->config, &report);
	status = c && conf_verify(c, NULL, NULL, NULL, NULL, &report) ? CLI_DONE : CLI_FAILED;
	text = o->json ? conf_report_json(&report) : conf_report_text(&report);
	fputs(text, o->json ? stdout : stderr);
	if (o->json)
		putchar('\n');
	else if (status == CLI_DONE)
		print_counts(o->config, c);
	else
		fprintf(stderr, "%s: %u error%s\n", o->config, report.errors, plural(report.errors));
	free(text);
	if (c)
		conf_free(c);
	conf_report_free(&report);
	return status;
}

const struct cli_command check_command = {
	.name = "check",
	.synopsis = "-c FILE [--json]",
	.summary = "say what is wrong with a configuration",
	.examples =
		"  weir check -c weir.yaml && kill -HUP $(pidof weir)\n"
		"  weir check -c weir.yaml --json | jq -r '.[] | select(.severity == \"error\") | .message'",
	.help = "Reads FILE and all that it includes, as \"weir run\" would, and lists every problem that it "
		"finds, not only the\n"
		"first:\n"
		"\n"
		"  acme.yaml:14:9: unknown key \"wieght\" in pool \"green\"; did you mean \"weight\"?\n"
		"\n"
		"Certificates, keys and authorities are read as well. Nothing is bound and nothing is "
		"started, so it is safe beside\n"
		"a weir that serves: check, then reload.\n"
		"\n"
		"exit status: 0 good (there may be warnings), 1 bad",
	.options = options,
	.options_size = sizeof(struct check_options),
	.run = run,
};
