/* cli/shift.c - users move from one pool to another, step by step. */
#include <stdio.h>
#include <stdlib.h>
#include "cli/change.h"
#include "cli/follow.h"
#include "cli/plan.h"

struct shift_options {
	struct change_options change;
	struct plan_options plan;
	bool status, pause, resume, promote, abort;
};

static const struct cli_option options[] = {
	TEXT("steps", 0, "LIST", struct shift_options, plan.steps, "percentages, rising; 1,5,25,50,100"),
	PLAN_OPTIONS(struct shift_options),
	SWITCH("status", 0, struct shift_options, status, "show the one that is under way, or the last one"),
	SWITCH("pause", 0, struct shift_options, pause, "stay at this step; guards still judge"),
	SWITCH("resume", 0, struct shift_options, resume, "go on, with a new window"),
	SWITCH("promote", 0, struct shift_options, promote,
		"take the next step now, whatever the window says"),
	SWITCH("abort", 0, struct shift_options, abort, "put the weights back as they were"),
	CHANGE_OPTIONS(struct shift_options),
	OPTIONS_END,
};

/* Sends it, and follows if that is wanted. Takes body. */
static int send_and_follow(const struct shift_options *o, const char *method, const char *path, json_t *body)
{
	struct client_answer a;
	uint64_t limit_ms = 0;
	int status;

	if (o->change.client.timeout && !client_timeout(&o->change.client, &limit_ms)) {
		json_decref(body);
		return CLI_USAGE;
	}
	status = change_send(&shift_command, &o->change, method, path, body, &a);
	if (status == CLI_DONE && !o->change.wait)
		follow_print(&o->change.client, &a);
	client_answer_free(&a);
	return status == CLI_DONE && o->change.wait
		       ? follow(&shift_command, &o->change.client, path, limit_ms)
		       : status;
}

static int act(const struct shift_options *o, const char *path)
{
	json_t *body = change_body(&o->change);

	json_object_set_new(body, "action",
		json_string(o->pause     ? "pause"
			    : o->resume  ? "resume"
			    : o->promote ? "promote"
					 : "abort"));
	return send_and_follow(o, "PATCH", path, body);
}

static int begin(const struct shift_options *o, const char *path, const char *pool)
{
	json_t *body = change_body(&o->change), *plan = plan_json(&shift_command, &o->plan);

	if (!plan) {
		json_decref(body);
		return CLI_USAGE;
	}
	json_object_update(body, plan);
	json_decref(plan);
	json_object_set_new(body, "pool", json_string(pool));
	plan_drain(&o->plan, body);
	return send_and_follow(o, "POST", path, body);
}

static int run(const void *parsed, const struct cli_list *arguments)
{
	const struct shift_options *o = parsed;
	int wishes = o->status + o->pause + o->resume + o->promote + o->abort, status;
	char *path;

	if (arguments->n == 0)
		return cli_usage(&shift_command, "of which service? weir shift TENANT/SERVICE POOL");
	if (wishes > 1)
		return cli_usage(&shift_command,
			"--status, --pause, --resume, --promote and --abort: one of them at a time");
	if (wishes && arguments->n > 1)
		return cli_usage(&shift_command,
			"the shift of a service is one: no pool with --status, --pause, --resume, "
			"--promote and --abort");
	if (!wishes && arguments->n < 2)
		return cli_usage(&shift_command,
			"to which pool? weir shift %s POOL; --status shows how it goes", arguments->v[0]);
	path = change_path(&shift_command, arguments->v[0], 2, "/v1/services", "shift");
	if (!path)
		return CLI_USAGE;
	if (o->status && o->change.wait)
		status = follow_within_timeout(&shift_command, &o->change.client, path);
	else if (o->status)
		status = follow_show(&o->change.client, path);
	else
		status = wishes ? act(o, path) : begin(o, path, arguments->v[1]);
	free(path);
	return status;
}

const struct cli_command shift_command = {
	.name = "shift",
	.synopsis = "TENANT/SERVICE POOL [--steps LIST] [--every TIME] [--max-error-rate LIMIT] [--max-p99 "
		    "LIMIT] [--wait] | "
		    "TENANT/SERVICE --status|--pause|--resume|--promote|--abort",
	.summary = "move users to another pool step by step, and back when it fails",
	.help = "Gives the pool a growing share of new users. At each step its requests are compared with "
		"those of the old "
		"pool over the same time;\n"
		"with too few of them it is held, and when a limit is broken the weights go back at once. "
		"weir does it by "
		"itself: it goes on when the\n"
		"command ends, and after a crash, a reload or an upgrade. With --wait the command stays "
		"until the end.\n\n"
		"exit status: 0 done (or begun), 1 refused, aborted or failed, 2 wrong usage, 3 not over in "
		"time, 4 the version is "
		"another one, 5 rolled back\n\n"
		"  weir shift acme/shop green --steps 1,5,25,50,100 --every 60s --max-error-rate 1% "
		"--max-p99 1.5x --wait\n"
		"  weir shift acme/shop green --ramp 10m --max-error-rate 1.5x --drain\n"
		"  weir shift acme/shop --status\n"
		"  weir shift acme/shop --abort --reason 'complaints'",
	.options = options,
	.options_size = sizeof(struct shift_options),
	.arguments = 2,
	.run = run,
};
