/* cli/upgrade.c - has another program take over, and says how it went. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "cli/client.h"

#define LOOK_MS         50
#define LOOKS           200
#define LOOK_LONGEST_MS 5000
#define TIMEOUT_DEFAULT "90s" /* more than the supervisor gives the new process */

struct upgrade_options {
	struct client_options client;
};

static const struct cli_option options[] = {
	CLIENT_OPTIONS(struct upgrade_options),
	OPTIONS_END,
};

static long long number(const struct client_answer *a, const char *key)
{
	return json_integer_value(json_object_get(a->body, key));
}

static const char *text(const struct client_answer *a, const char *key)
{
	const char *value = json_string_value(json_object_get(a->body, key));

	return value ? value : "?";
}

/* The old process does not listen any more, but may still have taken a connection: until the new one answers. */
static bool answers(const struct client_options *o, long long pid)
{
	const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000};
	bool there = false;

	for (int i = 0; i < LOOKS && !there; i++) {
		struct client_answer a;

		if (i)
			nanosleep(&pause, NULL);
		there = client_try(o, "/v1/status", LOOK_LONGEST_MS, &a) && number(&a, "pid") == pid;
		client_answer_free(&a);
	}
	return there;
}

static int print(const struct client_options *o, const struct client_answer *a)
{
	long long pid = number(a, "pid");

	if (!answers(o, pid)) {
		fprintf(stderr, "weir: process %lld has taken over, but does not answer here\n", pid);
		return CLI_FAILED;
	}
	if (o->json)
		client_print_json(a);
	else
		printf("weir %s serves (PID %lld); %s (PID %lld) finishes what it has\n", text(a, "version"),
			pid, text(a, "from"), number(a, "old_pid"));
	return CLI_DONE;
}

static int run(const void *parsed, const struct cli_list *arguments)
{
	struct client_options o = ((const struct upgrade_options *)parsed)->client;
	struct client_answer a;
	int status;

	(void)arguments;
	if (!o.timeout)
		o.timeout = TIMEOUT_DEFAULT;
	status = client_ask(&o, "POST", "/v1/upgrade", NULL, &a);
	if (status == CLI_DONE && a.status < 400) {
		status = print(&o, &a);
	} else if (status == CLI_DONE) {
		if (o.json)
			client_print_json(&a);
		status = client_problem(&a);
	}
	client_answer_free(&a);
	return status;
}

const struct cli_command upgrade_command = {
	.name = "upgrade",
	.synopsis = "[--timeout TIME] [--json]",
	.summary = "have the program that lies at weir's path now take over",
	.examples = "  mv weir.new /usr/bin/weir && weir upgrade",
	.help = "Put the new program in the place of the old one (mv, or a package), then call this. The new "
		"program is started beside the\n"
		"old one, with the same sockets and with what that one knows. When it serves, the old one "
		"finishes what it has, and no connection\n"
		"is lost; the PID of weir stays. If it cannot serve, nothing has happened: the old one goes "
		"on, and the cause is printed.\n\n"
		"exit status: 0 the new program serves, 1 the old one goes on, 3 no answer in time",
	.options = options,
	.options_size = sizeof(struct upgrade_options),
	.run = run,
};
