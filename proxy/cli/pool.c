/* cli/pool.c - the state of a pool: shown, set, given back to the file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cli/change.h"

struct pool_options {
	struct change_options change;
	const char *state;
};

static const struct cli_option options[] = {
	TEXT("state", 0, "STATE", struct pool_options, state,
		"open, pinned, draining or closed; file: the file's"),
	CHANGE_OPTIONS(struct pool_options),
	OPTIONS_END,
};

static void print_pool(const json_t *pool)
{
	const char *set = json_string_value(json_object_get(pool, "runtime_state"));

	printf("%s  %s%s, %lld of %lld up\n", json_string_value(json_object_get(pool, "pool")),
		json_string_value(json_object_get(pool, "state")), set ? " (set at run time)" : "",
		(long long)json_integer_value(json_object_get(pool, "up")),
		(long long)json_array_size(json_object_get(pool, "backends")));
}

static int run_at(const struct pool_options *o, const char *path)
{
	bool file = o->state && strcmp(o->state, "file") == 0;
	struct client_answer a;
	json_t *body;
	int status;

	if (!o->state) {
		status = client_call(&o->change.client, "GET", path, NULL, &a);
		if (status == CLI_DONE && o->change.client.json)
			client_print_json(&a);
	} else {
		body = change_body(&o->change);
		json_object_set_new(body, "state", file ? json_null() : json_string(o->state));
		status = change_send(&pool_command, &o->change, "PUT", path, body, &a);
		if (status == CLI_DONE)
			change_print_outcome(&o->change, &a);
	}
	if (status == CLI_DONE && !o->change.client.json)
		print_pool(a.body);
	client_answer_free(&a);
	return status;
}

static int run(const void *parsed, const struct cli_list *arguments)
{
	const struct pool_options *o = parsed;
	char *path;
	int status;

	if (arguments->n == 0)
		return cli_usage(&pool_command, "which pool? weir pool TENANT/SERVICE/POOL");
	path = change_path(&pool_command, arguments->v[0], 3, "/v1/pools", o->state ? "state" : "backends");
	if (!path)
		return CLI_USAGE;
	status = run_at(o, path);
	free(path);
	return status;
}

const struct cli_command pool_command = {
	.name = "pool",
	.synopsis = "TENANT/SERVICE/POOL [--state open|pinned|draining|closed|file] [--reason TEXT] "
		    "[--if-version N] "
		    "[--json]",
	.summary = "show or set the state of a pool",
	.examples = "  weir pool acme/shop/green --state draining --reason 'bad release'",
	.help = "  open      takes new users by its weight\n"
		"  pinned    nobody new; who is pinned to it stays\n"
		"  draining  nobody; who was pinned moves on\n"
		"  closed    the same, for good\n"
		"  file      as the file says\n"
		"\n"
		"exit status: 0 done, 1 refused, 2 wrong usage, 3 timed out, 4 the version is another one",
	.options = options,
	.options_size = sizeof(struct pool_options),
	.arguments = 1,
	.run = run,
};
