/* cli/backends.c - the backends of a pool: shown, set, added, removed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/obj.h"
#include "cli/change.h"
#include "cli/progress.h"

#define LOOK_MS 100

struct backends_options {
	struct change_options change;
};

static const struct cli_option options[] = {
	CHANGE_OPTIONS(struct backends_options),
	OPTIONS_END,
};

/* What is done, by which method. */
static const struct verb {
	const char *name, *method;
} verbs[] = {{"set", "PUT"}, {"add", "POST"}, {"remove", "DELETE"}, {"reset", "PUT"}};

static void print_backends(const json_t *pool)
{
	json_t *b;
	size_t i;

	json_array_foreach(json_object_get(pool, "backends"), i, b)
	{
		const json_t *health = json_object_get(b, "health");
		const char *why = json_string_value(json_object_get(health, "text"));

		printf("%-24s weight %-4lld %s%s%s\n", json_string_value(json_object_get(b, "address")),
			(long long)json_integer_value(json_object_get(b, "weight")),
			json_string_value(json_object_get(health, "state")), why ? ": " : "", why ? why : "");
	}
}

static bool all_up(const json_t *pool)
{
	return json_integer_value(json_object_get(pool, "up")) ==
	       (json_int_t)json_array_size(json_object_get(pool, "backends"));
}

/* Looks at the pool until all its backends are up; *a is the last look. */
static int wait_until_up(const struct change_options *o, const char *path, struct client_answer *a)
{
	const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000};
	uint64_t limit_ms = CLIENT_TIMEOUT_MS, end;
	int status = CLI_DONE;

	if (!client_timeout(&o->client, &limit_ms))
		return CLI_USAGE;
	end = client_now_ms() + limit_ms;
	while (status == CLI_DONE && !all_up(a->body)) {
		unsigned long long up =
			(unsigned long long)json_integer_value(json_object_get(a->body, "up"));
		size_t all = json_array_size(json_object_get(a->body, "backends"));

		if (client_now_ms() >= end) {
			progress_end();
			fprintf(stderr,
				"weir backends: not all of them are up yet, %llu of %zu; --timeout waits "
				"longer\n",
				up, all);
			return CLI_TIMED_OUT;
		}
		progress(up, all, "%llu of %zu up", up, all);
		nanosleep(&pause, NULL);
		client_answer_free(a);
		status = client_call(&o->client, "GET", path, NULL, a);
	}
	progress_end();
	return status;
}

static int change(const struct change_options *o, const char *path, const struct verb *verb,
	const struct cli_list *arguments)
{
	bool reset = strcmp(verb->name, "reset") == 0;
	json_t *body = change_body(o), *list = reset ? json_null() : json_array();
	struct client_answer a;
	int status;

	for (uint32_t i = 2; !reset && i < arguments->n; i++)
		json_array_append_new(list, json_string(arguments->v[i]));
	json_object_set_new(body, "backends", list);
	status = change_send(&backends_command, o, verb->method, path, body, &a);
	if (status == CLI_DONE && !(o->wait && o->client.json))
		change_print_outcome(o, &a);
	if (status == CLI_DONE && o->wait) {
		status = wait_until_up(o, path, &a);
		if (o->client.json && a.status < 400)
			client_print_json(&a);
	}
	if (a.body && a.status < 400 && !o->client.json)
		print_backends(a.body);
	client_answer_free(&a);
	return status;
}

static int show(const struct change_options *o, const char *path)
{
	struct client_answer a;
	int status = client_call(&o->client, "GET", path, NULL, &a);

	if (status == CLI_DONE && o->client.json)
		client_print_json(&a);
	else if (status == CLI_DONE)
		print_backends(a.body);
	client_answer_free(&a);
	return status;
}

static int run(const void *parsed, const struct cli_list *arguments)
{
	const struct backends_options *o = parsed;
	const struct verb *verb = NULL;
	char *path;
	int status;

	if (arguments->n == 0)
		return cli_usage(&backends_command, "of which pool? weir backends TENANT/SERVICE/POOL");
	for (size_t i = 0; arguments->n > 1 && i < COUNT_OF(verbs); i++)
		if (strcmp(arguments->v[1], verbs[i].name) == 0)
			verb = &verbs[i];
	if (arguments->n > 1 && !verb)
		return cli_usage(
			&backends_command, "\"%s\" is none of set, add, remove, reset", arguments->v[1]);
	if (verb && (strcmp(verb->name, "reset") == 0) != (arguments->n == 2))
		return cli_usage(&backends_command,
			arguments->n == 2 ? "which backends? ADDRESS:PORT..." : "reset takes no backends");
	path = change_path(&backends_command, arguments->v[0], 3, "/v1/pools", "backends");
	if (!path)
		return CLI_USAGE;
	status = verb ? change(&o->change, path, verb, arguments) : show(&o->change, path);
	free(path);
	return status;
}

const struct cli_command backends_command = {
	.name = "backends",
	.synopsis = "TENANT/SERVICE/POOL [set|add|remove|reset [ADDRESS:PORT...]] [--wait] [--timeout TIME] "
		    "[--reason TEXT] [--json]",
	.summary = "show or change the backends of a pool",
	.examples = "  weir backends acme/shop/green set 10.0.0.7:8080 10.0.0.8:8080 --wait --timeout 2m\n"
		    "  weir backends acme/shop/green add 10.0.0.9:8080\n"
		    "  weir backends acme/shop/green reset",
	.help = "The list that is set at run time stands instead of the file's, is checked like it, and "
		"outlives reload, restart and crash; when the\n"
		"pool's backends change in the file, those win. \"reset\" goes back to them. Nothing is cut: "
		"requests that are open at a backend\n"
		"which goes end there. With --wait, returns when all of them are up.\n"
		"\n"
		"exit status: 0 done, 1 refused, 2 wrong usage, 3 timed out, 4 the version is another one",
	.options = options,
	.options_size = sizeof(struct backends_options),
	.arguments = 10002,
	.run = run,
};
