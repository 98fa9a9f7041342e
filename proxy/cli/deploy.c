/* cli/deploy.c - a new version comes into service: the one verb of a pipeline. */
#include <stdio.h>
#include <stdlib.h>
#include "cli/change.h"
#include "cli/follow.h"
#include "cli/plan.h"
#include "base/str.h"

struct deploy_options {
	struct change_options change;
	struct plan_options plan;
	const char *pool, *backends, *id, *healthy_within, *warm_up, *warm_up_requests;
	bool status, abort, no_wait;
};

static const struct cli_option options[] = {
	TEXT("pool", 0, "POOL", struct deploy_options, pool, "that gets the new version: one without users"),
	TEXT("backends", 0, "LIST", struct deploy_options, backends,
		"where it runs: 10.0.0.1:8080,10.0.0.2:8080; without it, the backends that the pool has"),
	TEXT("shift", 0, "LIST", struct deploy_options, plan.steps,
		"by steps, in percent: 1,5,25,50,100; without it or --ramp, "
		"at once"),
	TEXT("healthy-within", 0, "TIME", struct deploy_options, healthy_within,
		"all backends, or it fails: exit status 3; 60s"),
	TEXT("warm-up", 0, "PATH", struct deploy_options, warm_up,
		"each backend is asked for it before any user comes"),
	TEXT("warm-up-requests", 0, "N", struct deploy_options, warm_up_requests, "how often; 1"),
	TEXT("id", 0, "TEXT", struct deploy_options, id,
		"what you call this deploy: asked for again it is joined, or reported if it is over"),
	PLAN_OPTIONS(struct deploy_options),
	SWITCH("status", 0, struct deploy_options, status, "show the one that is under way, or the last one"),
	SWITCH("abort", 0, struct deploy_options, abort, "the old pool serves as before"),
	SWITCH("no-wait", 0, struct deploy_options, no_wait, "return when it has begun"),
	CHANGE_OPTIONS(struct deploy_options),
	OPTIONS_END,
};

static json_t *list_of(const char *text)
{
	struct str list = str_of(text), one;
	json_t *all = json_array();

	while (str_next_element(&list, &one))
		if (one.n)
			json_array_append_new(all, json_stringn(one.p, one.n));
	return all;
}

/* NULL: something is wrong, which was said. */
static json_t *body_of(const struct deploy_options *o)
{
	json_t *body = change_body(&o->change), *plan = plan_json(&deploy_command, &o->plan);
	uint64_t requests = 1;

	if (!plan || (o->warm_up_requests && !str_to_u64(str_of(o->warm_up_requests), &requests))) {
		if (plan)
			cli_usage(&deploy_command, "--warm-up-requests takes a number, not \"%s\"",
				o->warm_up_requests);
		json_decref(plan);
		json_decref(body);
		return NULL;
	}
	if (!o->plan.steps && !o->plan.ramp)
		json_object_set_new(plan, "steps", json_pack("[i]", 100));
	json_object_set_new(body, "shift", plan);
	json_object_set_new(body, "pool", json_string(o->pool));
	if (o->backends)
		json_object_set_new(body, "backends", list_of(o->backends));
	if (o->id)
		json_object_set_new(body, "id", json_string(o->id));
	if (o->healthy_within)
		json_object_set_new(body, "healthy_within", json_string(o->healthy_within));
	if (o->warm_up)
		json_object_set_new(body, "warm_up",
			json_pack("{s:s, s:I}", "path", o->warm_up, "requests", (json_int_t)requests));
	plan_drain(&o->plan, body);
	return body;
}

static int begin(const struct deploy_options *o, const char *path)
{
	json_t *body = body_of(o);
	struct client_answer a;
	uint64_t limit_ms = 0;
	int status;

	if (!body)
		return CLI_USAGE;
	if (o->change.client.timeout && !client_timeout(&o->change.client, &limit_ms)) {
		json_decref(body);
		return CLI_USAGE;
	}
	status = change_send(&deploy_command, &o->change, "POST", path, body, &a);
	if (status == CLI_DONE && o->no_wait)
		follow_print(&o->change.client, &a);
	else if (status == CLI_DONE && !o->change.client.json &&
		 json_is_true(json_object_get(a.body, "joined")))
		puts("the same deploy has begun already");
	client_answer_free(&a);
	return status == CLI_DONE && !o->no_wait ? follow(&deploy_command, &o->change.client, path, limit_ms)
						 : status;
}

static int abort_it(const struct deploy_options *o, const char *path)
{
	struct client_answer a;
	int status = change_send(&deploy_command, &o->change, "DELETE", path, change_body(&o->change), &a);

	if (status == CLI_DONE && !o->change.wait)
		follow_print(&o->change.client, &a);
	client_answer_free(&a);
	return status == CLI_DONE && o->change.wait
		       ? follow_within_timeout(&deploy_command, &o->change.client, path)
		       : status;
}

static int run(const void *parsed, const struct cli_list *arguments)
{
	const struct deploy_options *o = parsed;
	char *path;
	int status;

	if (arguments->n == 0)
		return cli_usage(&deploy_command, "of which service? weir deploy TENANT/SERVICE --pool POOL");
	if (!o->pool && !o->status && !o->abort)
		return cli_usage(
			&deploy_command, "to which pool? weir deploy %s --pool POOL", arguments->v[0]);
	path = change_path(&deploy_command, arguments->v[0], 2, "/v1/services", "deploy");
	if (!path)
		return CLI_USAGE;
	if (o->status && o->change.wait)
		status = follow_within_timeout(&deploy_command, &o->change.client, path);
	else
		status = o->status  ? follow_show(&o->change.client, path)
			 : o->abort ? abort_it(o, path)
				    : begin(o, path);
	free(path);
	return status;
}

const struct cli_command deploy_command = {
	.name = "deploy",
	.synopsis = "TENANT/SERVICE --pool POOL [--backends LIST] [--shift LIST] [--every TIME] "
		    "[--max-error-rate LIMIT] "
		    "[--warm-up PATH] [--drain]",
	.summary = "bring a new version into service: backends, health, warm-up, shift, drain",
	.help = "Gives the pool its backends, waits until all of them are healthy, warms them up, moves the "
		"users there by steps "
		"or at once, and drains\n"
		"the old pool if asked. Waits for the end. Whatever fails leaves the old pool serving; a "
		"guard that fails in the "
		"shift puts the weights\n"
		"back. The same command again, after a lost connection, joins the deploy that is under way; "
		"done already, it "
		"changes nothing.\n\n"
		"exit status: 0 done, 1 refused, aborted or failed, 2 wrong usage, 3 not healthy or not over "
		"in time, 4 the version "
		"is another one, 5 rolled back\n\n"
		"  weir deploy acme/shop --pool green --backends 10.0.2.1:8080,10.0.2.2:8080\n"
		"  weir deploy acme/shop --pool green --backends 10.0.2.1:8080 --shift 1,5,25,50,100 --every "
		"60s \\\n"
		"       --max-error-rate 1% --max-p99 1.5x --warm-up / --drain --id \"$CI_PIPELINE_ID\"\n"
		"  weir deploy acme/shop --status",
	.options = options,
	.options_size = sizeof(struct deploy_options),
	.arguments = 1,
	.run = run,
};
