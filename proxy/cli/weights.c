/* cli/weights.c - the weights of a service's pools: shown, set, given back to the file. */
#include <stdio.h>
#include <stdlib.h>
#include "base/obj.h"
#include "cli/change.h"

struct weights_options {
	struct change_options change;
	const char *lease;
	bool reset;
};

static const struct cli_option options[] = {
	TEXT("lease", 0, "TIME", struct weights_options, lease,
		"they go back after this time, unless the same is sent again before"),
	SWITCH("reset", 0, struct weights_options, reset, "back to the file's weights"),
	CHANGE_OPTIONS(struct weights_options),
	OPTIONS_END,
};

static void print_weights(const json_t *answer)
{
	const json_t *lease = json_object_get(answer, "lease");
	const char *name;
	json_t *pool;

	json_object_foreach(json_object_get(answer, "pools"), name, pool)
	{
		const json_t *set = json_object_get(pool, "runtime_weight");
		json_int_t file = json_integer_value(json_object_get(pool, "weight"));

		printf("%-20s %7lld  %5.1f%%  %-8s", name,
			(long long)(json_is_integer(set) ? json_integer_value(set) : file),
			100 * json_number_value(json_object_get(pool, "share")),
			json_string_value(json_object_get(pool, "state")));
		if (json_is_integer(set))
			printf("  set at run time; the file says %lld", (long long)file);
		putchar('\n');
	}
	if (json_is_object(lease))
		printf("lease: the weights go back in %.1fs\n",
			json_number_value(json_object_get(lease, "left_ms")) / 1000);
}

/* "blue=90" */
static bool add_weight(json_t *weights, const char *text)
{
	struct str s = str_of(text), name = str_head(s, str_find(s, '='));
	uint64_t weight;
	char *key;

	if (name.n == 0 || !str_to_u64(str_skip(s, name.n + 1), &weight))
		return false;
	key = strndup(name.p, name.n);
	MUST(key);
	json_object_set_new(weights, key, json_integer((json_int_t)MIN(weight, (uint64_t)INT32_MAX)));
	free(key);
	return true;
}

static int show(const struct weights_options *o, const char *path)
{
	struct client_answer a;
	int status = client_call(&o->change.client, "GET", path, NULL, &a);

	if (status == CLI_DONE && o->change.client.json) {
		client_print_json(&a);
	} else if (status == CLI_DONE) {
		printf("version %lld\n", (long long)json_integer_value(json_object_get(a.body, "version")));
		print_weights(a.body);
	}
	client_answer_free(&a);
	return status;
}

static int change(const struct weights_options *o, const char *path, json_t *body)
{
	struct client_answer a;
	int status = change_send(&weights_command, &o->change, o->reset ? "DELETE" : "PUT", path, body, &a);

	if (status == CLI_DONE) {
		change_print_outcome(&o->change, &a);
		if (!o->change.client.json)
			print_weights(a.body);
	}
	client_answer_free(&a);
	return status;
}

static int run_at(const struct weights_options *o, const char *path, const struct cli_list *arguments)
{
	json_t *body, *weights;

	if (arguments->n == 1 && !o->reset)
		return show(o, path);
	body = change_body(&o->change);
	if (o->reset)
		return change(o, path, body);
	weights = json_object();
	json_object_set_new(body, "weights", weights);
	if (o->lease)
		json_object_set_new(body, "lease", json_string(o->lease));
	for (uint32_t i = 1; i < arguments->n; i++) {
		if (add_weight(weights, arguments->v[i]))
			continue;
		json_decref(body);
		return cli_usage(&weights_command, "\"%s\" is not a weight: POOL=NUMBER, such as green=10",
			arguments->v[i]);
	}
	return change(o, path, body);
}

static int run(const void *parsed, const struct cli_list *arguments)
{
	const struct weights_options *o = parsed;
	char *path;
	int status;

	if (arguments->n == 0)
		return cli_usage(&weights_command, "of which service? weir weights TENANT/SERVICE");
	if (o->reset && arguments->n > 1)
		return cli_usage(&weights_command, "--reset takes no weights");
	path = change_path(&weights_command, arguments->v[0], 2, "/v1/services", "weights");
	if (!path)
		return CLI_USAGE;
	status = run_at(o, path, arguments);
	free(path);
	return status;
}

const struct cli_command weights_command = {
	.name = "weights",
	.synopsis =
		"TENANT/SERVICE [POOL=WEIGHT...] [--lease TIME] [--reset] [--reason TEXT] [--if-version N] "
		"[--json]",
	.summary = "show or set the weights of a service's pools",
	.examples = "  weir weights acme/shop\n"
		    "  weir weights acme/shop blue=90 green=10 --reason 'canary of 1.4'\n"
		    "  weir weights acme/shop green=10 --lease 60s      # send it again within 60s, or it "
		    "goes back\n"
		    "  weir weights acme/shop --reset                   # as the file says",
	.help = "Without weights, shows them: what is in effect, each pool's share of new users, and where "
		"it comes from. With weights, sets those\n"
		"that are named. They are stored before they are acknowledged, hold for all workers when the "
		"command returns, and outlive reload,\n"
		"restart and crash; a weight that changes in the file later wins over one that was set.\n"
		"\n"
		"exit status: 0 done, 1 refused, 2 wrong usage, 3 timed out, 4 the version is another one",
	.options = options,
	.options_size = sizeof(struct weights_options),
	.arguments = 65,
	.run = run,
};
