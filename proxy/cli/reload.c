/* cli/reload.c - the commands that tell the process something: reload and stop. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "cli/client.h"
#include "cli/outcome.h"
#include "config/unit.h"

#define LOOK_MS      100
#define AFTERWARDS_S 5 /* between the end of the drain and the end of the process */

struct reload_options {
	struct client_options client;
};

static const struct cli_option reload_options[] = {
	CLIENT_OPTIONS(struct reload_options),
	OPTIONS_END,
};

static int run_reload(const void *parsed, const struct cli_list *arguments)
{
	const struct reload_options *o = parsed;
	struct client_answer a;
	int status = client_ask(&o->client, "POST", "/v1/reload", NULL, &a);

	(void)arguments;
	if (status == CLI_DONE) {
		if (o->client.json)
			client_print_json(&a);
		else if (a.status < 400)
			outcome_print(a.body);
		else
			outcome_print_errors(a.body);
		status = client_problem(&a);
	}
	client_answer_free(&a);
	return status;
}

const struct cli_command reload_command = {
	.name = "reload",
	.synopsis = "[--timeout TIME] [--json]",
	.summary = "have the configuration read again, and say how it went",
	.examples = "  weir check -c /etc/weir/weir.yaml && weir reload",
	.help = "Has the running weir read its configuration again and waits until all of its workers serve "
		"it. Prints what has changed,\n"
		"from which value to which, or that nothing has. A configuration with errors is refused: "
		"they are printed, and what was "
		"served before goes on;\n"
		"\"weir status\" shows them until a good one is loaded.\n"
		"\n"
		"exit status: 0 it is served, 1 it was refused, 3 no answer in time",
	.options = reload_options,
	.options_size = sizeof(struct reload_options),
	.run = run_reload,
};

/* -- stop -- */

struct stop_options {
	struct client_options client;
	const char *drain;
	bool no_wait;
};

static const struct cli_option stop_options[] = {
	TEXT("drain", 0, "TIME", struct stop_options, drain,
		"cut what is still open after that; timeouts.shutdown, 0s stops at once"),
	SWITCH("no-wait", 0, struct stop_options, no_wait, "return at once"),
	CLIENT_OPTIONS(struct stop_options),
	OPTIONS_END,
};

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Until nobody listens any more; at most so long, 0 for ever. */
static int wait_until_gone(const struct stop_options *o, uint64_t limit_ms)
{
	const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000};
	uint64_t end = now_ms() + limit_ms;

	while (client_reaches(&o->client)) {
		if (limit_ms && now_ms() >= end) {
			fputs("weir: it still runs; --timeout waits longer, --drain 0s stops it at once\n",
				stderr);
			return CLI_TIMED_OUT;
		}
		nanosleep(&pause, NULL);
	}
	if (!o->client.json)
		puts("stopped");
	return CLI_DONE;
}

static int run_stop(const void *parsed, const struct cli_list *arguments)
{
	const struct stop_options *o = parsed;
	json_t *body = o->drain ? json_pack("{s:s}", "drain", o->drain) : NULL;
	struct client_answer a;
	uint64_t limit_ms = 0;
	int status;

	(void)arguments;
	if (o->drain && !unit_duration(str_of(o->drain), &limit_ms)) {
		json_decref(body);
		return cli_usage(&stop_command, "--drain takes a duration such as 60s, not \"%s\"", o->drain);
	}
	if (o->client.timeout && !client_timeout(&o->client, &limit_ms)) {
		json_decref(body);
		return CLI_USAGE;
	}
	status = client_call(&o->client, "POST", "/v1/stop", body, &a);
	if (status == CLI_DONE && o->client.json)
		client_print_json(&a);
	else if (status == CLI_DONE && o->no_wait)
		puts(json_string_value(json_object_get(a.body, "state")));
	if (status == CLI_DONE && !o->no_wait)
		status = wait_until_gone(
			o, o->drain && !o->client.timeout ? limit_ms + AFTERWARDS_S * 1000 : limit_ms);
	json_decref(body);
	client_answer_free(&a);
	return status;
}

const struct cli_command stop_command = {
	.name = "stop",
	.synopsis = "[--drain TIME] [--no-wait] [--timeout TIME] [--json]",
	.summary = "have weir stop, when open requests have ended",
	.examples = "  weir stop --drain 60s",
	.help = "Has the running weir accept nothing new and let what is in flight end, then stop; returns "
		"when it has. Meanwhile /readyz\n"
		"fails, so that a balancer in front looks elsewhere.\n"
		"\n"
		"exit status: 0 it has stopped, 1 it could not be told, 3 it still runs",
	.options = stop_options,
	.options_size = sizeof(struct stop_options),
	.run = run_stop,
};
