/* cli/hold.c - hold a service and release it. */
#include <stdio.h>
#include <stdlib.h>
#include "base/obj.h"
#include "cli/change.h"

#define LOOK_MS  10000 /* the longest that weir is asked to wait with its answer */
#define PATIENCE "60s" /* with one answer */

struct hold_options {
	struct change_options change;
	const char *length, *queue, *patience, *spread, *rate, *path, *status;
};

static const struct cli_option hold_options[] = {
	TEXT("for", 0, "TIME", struct hold_options, length, "it is released by itself after that"),
	TEXT("queue", 0, "N", struct hold_options, queue,
		"requests that may wait, divided among workers; 1000"),
	TEXT("max-wait", 0, "TIME", struct hold_options, patience,
		"that one request waits; then it is answered 503"),
	TEXT("spread", 0, "TIME", struct hold_options, spread,
		"over which those who wait go on in the end; 1s"),
	TEXT("rate", 0, "N", struct hold_options, rate, "or so many of them a second"),
	TEXT("health-path", 0, "PATH", struct hold_options, path,
		"which weir answers itself meanwhile, for checks of whoever is in front"),
	TEXT("health-status", 0, "CODE", struct hold_options, status, "with this; 200"),
	CHANGE_OPTIONS(struct hold_options),
	OPTIONS_END,
};

static const struct cli_option release_options[] = {
	TEXT("spread", 0, "TIME", struct hold_options, spread,
		"over which those who wait go on; what the hold says"),
	TEXT("rate", 0, "N", struct hold_options, rate, "or so many of them a second"),
	CHANGE_OPTIONS(struct hold_options),
	OPTIONS_END,
};

static void put_text(json_t *body, const char *name, const char *text)
{
	if (text)
		json_object_set_new(body, name, json_string(text));
}

/* False: it is no number, which was told. */
static bool put_number(const struct cli_command *c, json_t *body, const char *name, const char *text)
{
	uint64_t n;

	if (!text)
		return true;
	if (!str_to_u64(str_of(text), &n) || n > INT32_MAX) {
		cli_usage(c, "\"%s\" is not a number", text);
		return false;
	}
	json_object_set_new(body, name, json_integer((json_int_t)n));
	return true;
}

static void print(const struct cli_command *c, const json_t *a)
{
	long long waiting = (long long)json_integer_value(json_object_get(a, "waiting"));

	if (json_is_true(json_object_get(a, "held")))
		printf("held for %.1f s more, %lld wait\n",
			(double)json_integer_value(json_object_get(a, "left_ms")) / 1000, waiting);
	else if (waiting)
		printf("released, %lld still wait\n", waiting);
	else
		puts(c == &release_command ? "released, nobody waits" : "not held");
}

/* After a release: until nobody waits. */
static int wait_until_over(const struct hold_options *o, const char *path)
{
	struct client_options client = o->change.client;
	uint64_t ms = CLIENT_TIMEOUT_MS, end_ms;
	int status = CLI_DONE;

	if (client.timeout && !client_timeout(&client, &ms))
		return CLI_USAGE;
	end_ms = client_now_ms() + ms;
	client.timeout = PATIENCE;
	for (bool over = false; status == CLI_DONE && !over;) {
		uint64_t now_ms = client_now_ms();
		struct client_answer a;
		char *question;

		MUST(asprintf(&question, "%s?wait=%llums", path,
			     (unsigned long long)MIN(end_ms - MIN(end_ms, now_ms), (uint64_t)LOOK_MS)) > 0);
		status = client_call(&client, "GET", question, NULL, &a);
		over = json_integer_value(json_object_get(a.body, "waiting")) == 0;
		if (status == CLI_DONE && !over && client_now_ms() >= end_ms)
			status = CLI_TIMED_OUT;
		if (status != CLI_FAILED && !client.json && (over || status == CLI_TIMED_OUT))
			print(&release_command, a.body);
		client_answer_free(&a);
		free(question);
	}
	return status;
}

/* Takes body; NULL only asks. */
static int call(const struct cli_command *c, const struct hold_options *o, const char *method,
	const char *target, json_t *body)
{
	char *path = change_path(c, target, 2, "/v1/services", "hold");
	bool waits = body && o->change.wait && c == &release_command;
	struct client_answer a;
	int status;

	if (!path) {
		json_decref(body);
		return CLI_USAGE;
	}
	if (body)
		status = change_send(c, &o->change, method, path, body, &a);
	else
		status = client_call(&o->change.client, method, path, NULL, &a);
	if (status == CLI_DONE && o->change.client.json)
		client_print_json(&a);
	else if (status == CLI_DONE && !waits)
		print(c, a.body);
	client_answer_free(&a);
	if (status == CLI_DONE && waits)
		status = wait_until_over(o, path);
	free(path);
	return status;
}

static int run_hold(const void *parsed, const struct cli_list *arguments)
{
	const struct hold_options *o = parsed;
	json_t *body;

	if (arguments->n == 0)
		return cli_usage(&hold_command, "which service? weir hold TENANT/SERVICE --for 30s");
	if (!o->length)
		return call(&hold_command, o, "GET", arguments->v[0], NULL);
	body = change_body(&o->change);
	put_text(body, "for", o->length);
	put_text(body, "wait", o->patience);
	put_text(body, "spread", o->spread);
	put_text(body, "path", o->path);
	if (!put_number(&hold_command, body, "queue", o->queue) ||
		!put_number(&hold_command, body, "rate", o->rate) ||
		!put_number(&hold_command, body, "status", o->status)) {
		json_decref(body);
		return CLI_USAGE;
	}
	return call(&hold_command, o, "POST", arguments->v[0], body);
}

static int run_release(const void *parsed, const struct cli_list *arguments)
{
	const struct hold_options *o = parsed;
	json_t *body;

	if (arguments->n == 0)
		return cli_usage(&release_command, "which service? weir release TENANT/SERVICE");
	body = change_body(&o->change);
	put_text(body, "spread", o->spread);
	if (!put_number(&release_command, body, "rate", o->rate)) {
		json_decref(body);
		return CLI_USAGE;
	}
	return call(&release_command, o, "DELETE", arguments->v[0], body);
}

const struct cli_command hold_command = {
	.name = "hold",
	.synopsis = "TENANT/SERVICE [--for TIME] [--queue N] [--max-wait TIME] [--spread TIME | --rate N] "
		    "[--health-path PATH] "
		    "[--json]",
	.summary = "have the requests of a service wait while what is behind it is swapped",
	.help = "Requests wait in weir, first come, first served, until \"weir release\" or the time is "
		"over; then they "
		"go on over\n"
		"--spread, or at --rate, to what is behind the service then. Beyond --queue they are "
		"answered 503. It "
		"survives "
		"crashes and restarts,\n"
		"and ends when it was to end. Without --for it is shown.\n\n"
		"exit status: 0 done, 1 refused, 2 wrong usage, 3 timed out\n\n"
		"  weir hold acme/shop --for 30s --health-path /healthz\n"
		"  ... swap it ...\n"
		"  weir release acme/shop --spread 5s --wait",
	.options = hold_options,
	.options_size = sizeof(struct hold_options),
	.arguments = 1,
	.run = run_hold,
};

const struct cli_command release_command = {
	.name = "release",
	.synopsis = "TENANT/SERVICE [--spread TIME | --rate N] [--wait] [--json]",
	.summary = "let the requests of a held service go on",
	.help = "With --wait it returns when nobody waits any more.\n\n"
		"exit status: 0 done, 1 refused, 2 wrong usage, 3 some still wait\n\n"
		"  weir release acme/shop --spread 5s",
	.options = release_options,
	.options_size = sizeof(struct hold_options),
	.arguments = 1,
	.run = run_release,
};
