/* cli/print.c - the commands that print what is generated from tables. */
#include "cli/command.h"

#include <stdio.h>
#include <stdlib.h>
#include "base/metric.h"
#include "base/reason.h"
#include "config/conf.h"

static int print_text(char *text)
{
	fputs(text, stdout);
	free(text);
	return CLI_DONE;
}

static int run_schema(const void *parsed, const struct cli_list *arguments)
{
	(void)parsed;
	(void)arguments;
	print_text(conf_schema_json());
	putchar('\n');
	return CLI_DONE;
}

const struct cli_command schema_command = {
	.name = "schema",
	.synopsis = "> FILE",
	.summary = "print the JSON Schema of the configuration",
	.help = "Prints a JSON Schema of the configuration file, made from the same tables that parse it. "
		"Editors with a YAML\n"
		"language server complete keys and show their meaning with it:\n\n"
		"  weir schema > weir.schema.json\n"
		"  and as the first line of the configuration:\n"
		"  # yaml-language-server: $schema=weir.schema.json",
	.run = run_schema,
};

static int run_reference(const void *parsed, const struct cli_list *arguments)
{
	(void)parsed;
	(void)arguments;
	return print_text(conf_reference_md());
}

const struct cli_command reference_command = {
	.name = "reference",
	.synopsis = "> docs/configuration.md",
	.summary = "print the reference of the configuration",
	.help = "Prints docs/configuration.md; \"make docs\" calls it.",
	.hidden = true,
	.run = run_reference,
};

/* -- docs/reasons.md -- */

static const char *retry_text(uint8_t retry)
{
	switch ((enum retry_rule)retry) {
	case RETRY_ALWAYS:
		return "always";
	case RETRY_SAFE:
		return "if idempotent";
	case RETRY_NEVER:
		break;
	}
	return "no";
}

/* The word of retries.on that a reason stands under. */
static const char *retry_word(uint8_t on)
{
	switch ((enum retry_on)on) {
	case RETRY_ON_CONNECT:
		return "`connect`";
	case RETRY_ON_RESET:
		return "`reset`";
	case RETRY_ON_REFUSED_STREAM:
		return "`refused_stream`";
	case RETRY_ON_TIMEOUT:
		return "`timeout`";
	case RETRY_ON_STATUS:
		return "the status";
	case RETRY_ON_NOTHING:
	case RETRY_ONS:
		break;
	}
	return "";
}

static int run_reasons(const void *parsed, const struct cli_list *arguments)
{
	(void)parsed;
	(void)arguments;
	puts("# Reasons\n\n"
	     "Every way in which a request or a connection can fail has a name. It stands as `reason` in the "
	     "access log and in\n"
	     "error answers. *Status* is what the client is answered, if it can still be answered: \"cut\" "
	     "means that it\n"
	     "cannot, and that the connection or stream is closed so that nothing incomplete looks complete. "
	     "*Tried again* says\n"
	     "whether another backend may have the request: \"always\" when it was certainly not processed, "
	     "\"if idempotent\" when\n"
	     "it may have been (RFC 9110 9.2.2), as far as `retries` of the service allows: *on* is\n"
	     "the word of `retries.on` that it stands under. *Blamed* are those that speak against the "
	     "backend: "
	     "`outlier` counts them.\n\n"
	     "This page is made by `make docs` from `proxy/base/reason.def`.\n\n"
	     "| reason | status | tried again | on | blamed | what happened |\n"
	     "|---|---|---|---|---|---|");
	for (int r = REASON_NONE + 1; r < REASONS; r++) {
		const struct reason_row *row = reason_row((enum reason)r);
		char name[REASON_NAME_MAX], status[8] = "cut";

		if (row->status)
			snprintf(status, sizeof(status), "%u", row->status);
		printf("| `" STR_FMT "` | %s | %s | %s | %s | " STR_FMT " |\n",
			STR_ARG(reason_name((enum reason)r, name)), status, retry_text(row->retry),
			retry_word(row->retry_on), row->blamed ? "yes" : "", STR_ARG(row->text));
	}
	return CLI_DONE;
}

const struct cli_command reasons_command = {
	.name = "reasons",
	.synopsis = "> docs/reasons.md",
	.summary = "print the table of reasons",
	.help = "Prints docs/reasons.md; \"make docs\" calls it.",
	.hidden = true,
	.run = run_reasons,
};

/* -- docs/metrics.md -- */

static void print_labels(struct str labels)
{
	bool first = true;
	struct str name;

	while (str_next_element(&labels, &name)) {
		printf("%s`" STR_FMT "`", first ? "" : " ", STR_ARG(name));
		first = false;
	}
}

static int run_metrics_reference(const void *parsed, const struct cli_list *arguments)
{
	(void)parsed;
	(void)arguments;
	puts("# Metrics\n\n"
	     "What `GET /metrics` of the admin server tells, as OpenMetrics or in Prometheus' older text "
	     "format. "
	     "What to do with it\n"
	     "stands in [monitoring.md](monitoring.md). Labels take their values from the configuration and "
	     "from "
	     "weir's own tables,\n"
	     "never from clients, so their number is bounded. What belongs to a tenant, a pool or a backend "
	     "belongs to its name: a\n"
	     "reload does not reset it. A counter of a pool that nobody has used yet is left out.\n\n"
	     "This page is made by `make docs` from `proxy/base/metrics.def`.\n\n"
	     "| metric | type | labels | |\n"
	     "|---|---|---|---|");
	for (int m = 0; m < METRICS; m++) {
		const struct metric_row *row = &metric_rows[m];

		printf("| `" STR_FMT "` | " STR_FMT " | ", STR_ARG(row->name),
			STR_ARG(metric_type_name((enum metric_type)row->type)));
		print_labels(row->labels);
		printf(" | " STR_FMT " |\n", STR_ARG(row->help));
	}
	return CLI_DONE;
}

const struct cli_command metrics_reference_command = {
	.name = "metrics-reference",
	.synopsis = "> docs/metrics.md",
	.summary = "print the table of metrics",
	.help = "Prints docs/metrics.md; \"make docs\" calls it.",
	.hidden = true,
	.run = run_metrics_reference,
};
