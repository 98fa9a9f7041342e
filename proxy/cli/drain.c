/* cli/drain.c - drain and enable: a pool, a backend, a listener, the whole process. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/obj.h"
#include "cli/change.h"

#define LOOK_MS      200
#define PATIENCE     "10s" /* of one question how far it has come */
#define TARGET_PARTS 3

struct drain_options {
	struct change_options change;
	const char *listener;
	bool node;
};

static const struct cli_option drain_options[] = {
	TEXT("listener", 0, "LISTENER", struct drain_options, listener, "a listener: it lets nobody in"),
	SWITCH("node", 0, struct drain_options, node, "the whole process: it stops when nothing is open"),
	CHANGE_OPTIONS(struct drain_options),
	OPTIONS_END,
};

static const struct cli_option enable_options[] = {
	TEXT("listener", 0, "LISTENER", struct drain_options, listener, "a listener that was drained"),
	CHANGE_OPTIONS(struct drain_options),
	OPTIONS_END,
};

/* "acme/shop/green/10.0.0.1:80" becomes the path of the pool's drain, malloc'ed, and the address; NULL if there is none. */
static char *path_of(const struct cli_command *c, const char *target, const char **backend)
{
	const char *end = target;
	char *pool, *path;

	for (int i = 0; end && i < TARGET_PARTS; i++)
		end = strchr(end + (i > 0), '/');
	*backend = end && end[1] ? end + 1 : NULL;
	pool = end ? strndup(target, (size_t)(end - target)) : strdup(target);
	MUST(pool);
	path = change_path(c, pool, TARGET_PARTS, "/v1/pools", "drain");
	free(pool);
	return path;
}

/* When to give up; 0: never. False: usage, which was told. */
static bool deadline_of(const struct change_options *o, uint64_t *end_ms)
{
	uint64_t ms = 0;

	if (o->client.timeout && !client_timeout(&o->client, &ms))
		return false;
	*end_ms = ms ? client_now_ms() + ms : 0;
	return true;
}

static int still_busy(const char *what, uint64_t requests)
{
	fprintf(stderr, "weir: %s still has %llu requests in flight; --timeout waits longer\n", what,
		(unsigned long long)requests);
	return CLI_TIMED_OUT;
}

/* Until nothing is in flight there. */
static int wait_until_idle(
	const struct drain_options *o, const char *target, const char *path, const char *backend)
{
	struct client_options client = o->change.client;
	char *encoded = backend ? client_encode(backend) : NULL, *question;
	uint64_t end_ms, requests, told = UINT64_MAX;
	int status = CLI_DONE;

	if (!deadline_of(&o->change, &end_ms))
		return CLI_USAGE;
	MUST(asprintf(&question, "%s?wait=1s%s%s", path, encoded ? "&backend=" : "", encoded ? encoded : "") >
		0);
	client.timeout = PATIENCE;
	for (bool done = false; status == CLI_DONE && !done;) {
		struct client_answer a;

		status = client_call(&client, "GET", question, NULL, &a);
		done = json_is_true(json_object_get(a.body, "done"));
		requests = (uint64_t)json_integer_value(json_object_get(a.body, "requests"));
		if (status == CLI_DONE && !client.json && requests != told && !done)
			printf("%llu requests in flight\n", (unsigned long long)requests);
		fflush(stdout);
		told = requests;
		client_answer_free(&a);
		if (status == CLI_DONE && !done && end_ms && client_now_ms() >= end_ms)
			status = still_busy(target, requests);
	}
	if (status == CLI_DONE && !client.json)
		puts("drained");
	free(encoded);
	free(question);
	return status;
}

static int set(const struct cli_command *c, const struct drain_options *o, const char *target, bool on)
{
	const char *backend;
	char *path = path_of(c, target, &backend);
	json_t *body = change_body(&o->change);
	struct client_answer a;
	int status;

	if (!path) {
		json_decref(body);
		return CLI_USAGE;
	}
	if (backend)
		json_object_set_new(body, "backend", json_string(backend));
	status = change_send(c, &o->change, on ? "POST" : "DELETE", path, body, &a);
	if (status == CLI_DONE && o->change.client.json)
		client_print_json(&a);
	else if (status == CLI_DONE)
		printf("%s %s\n", target, on ? "drains" : "takes requests");
	client_answer_free(&a);
	if (status == CLI_DONE && on && o->change.wait)
		status = wait_until_idle(o, target, path, backend);
	free(path);
	return status;
}

/* -- a listener -- */

static char *listener_path(const char *listener)
{
	char *encoded = client_encode(listener), *path;

	MUST(asprintf(&path, "/v1/listeners/%s/drain", encoded) > 0);
	free(encoded);
	return path;
}

/* "12 connections, 3 requests, 1 websockets, 0 streams"; malloc'ed. */
static char *open_there(const json_t *progress)
{
	char *text;

	MUST(asprintf(&text, "%lld connections, %lld requests, %lld websockets, %lld streams",
		     (long long)json_integer_value(json_object_get(progress, "connections")),
		     (long long)json_integer_value(json_object_get(progress, "requests")),
		     (long long)json_integer_value(json_object_get(progress, "websockets")),
		     (long long)json_integer_value(json_object_get(progress, "streams"))) > 0);
	return text;
}

/* Until nobody is connected there. */
static int wait_until_left(const struct drain_options *o, const char *path)
{
	struct client_options client = o->change.client;
	char *question, *told = strdup("");
	uint64_t end_ms;
	int status = CLI_DONE;

	MUST(told && asprintf(&question, "%s?wait=1s", path) > 0);
	if (!deadline_of(&o->change, &end_ms))
		status = CLI_USAGE;
	client.timeout = PATIENCE;
	for (bool done = false; status == CLI_DONE && !done;) {
		struct client_answer a;
		char *now;

		status = client_call(&client, "GET", question, NULL, &a);
		done = json_is_true(json_object_get(a.body, "done"));
		now = open_there(a.body);
		if (status == CLI_DONE && !client.json && !done && strcmp(now, told) != 0)
			puts(now);
		fflush(stdout);
		if (status == CLI_DONE && !done && !json_is_true(json_object_get(a.body, "draining"))) {
			fprintf(stderr, "weir: listener %s was enabled meanwhile\n", o->listener);
			status = CLI_FAILED;
		} else if (status == CLI_DONE && !done && end_ms && client_now_ms() >= end_ms) {
			fprintf(stderr, "weir: listener %s still has %s; --timeout waits longer\n",
				o->listener, now);
			status = CLI_TIMED_OUT;
		}
		client_answer_free(&a);
		free(told);
		told = now;
	}
	if (status == CLI_DONE && !client.json)
		puts("drained");
	free(told);
	free(question);
	return status;
}

static int set_listener(const struct cli_command *c, const struct drain_options *o, bool on)
{
	char *path = listener_path(o->listener);
	struct client_answer a;
	int status = change_send(c, &o->change, on ? "POST" : "DELETE", path, change_body(&o->change), &a);

	if (status == CLI_DONE && o->change.client.json)
		client_print_json(&a);
	else if (status == CLI_DONE)
		printf("listener %s %s\n", o->listener, on ? "drains" : "lets clients in");
	client_answer_free(&a);
	if (status == CLI_DONE && on && o->change.wait)
		status = wait_until_left(o, path);
	free(path);
	return status;
}

/* -- the process -- */

/* Tells what is open until nobody answers any more: it has stopped. */
static int wait_until_gone(const struct drain_options *o)
{
	const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000};
	struct client_options client = o->change.client;
	uint64_t end_ms, told = UINT64_MAX;

	if (!deadline_of(&o->change, &end_ms))
		return CLI_USAGE;
	client.timeout = PATIENCE;
	while (client_reaches(&client)) {
		struct client_answer a = {0};
		uint64_t requests = told;

		/* It may end between the two. */
		if (client_reaches(&client) && client_ask(&client, "GET", "/v1/drain", NULL, &a) == CLI_DONE)
			requests = (uint64_t)json_integer_value(json_object_get(a.body, "requests"));
		if (requests != told && !client.json)
			printf("%s, %llu requests in flight\n",
				json_string_value(json_object_get(a.body, "state")),
				(unsigned long long)requests);
		fflush(stdout);
		client_answer_free(&a);
		if (end_ms && client_now_ms() >= end_ms)
			return still_busy("it", requests);
		told = requests;
		nanosleep(&pause, NULL);
	}
	if (!client.json)
		puts("stopped");
	return CLI_DONE;
}

static int drain_node(const struct drain_options *o)
{
	struct client_answer a;
	int status = client_call(&o->change.client, "POST", "/v1/drain", NULL, &a);

	if (status == CLI_DONE && o->change.client.json)
		client_print_json(&a);
	else if (status == CLI_DONE && !o->change.wait)
		puts(json_string_value(json_object_get(a.body, "state")));
	client_answer_free(&a);
	return status == CLI_DONE && o->change.wait ? wait_until_gone(o) : status;
}

static int run_drain(const void *parsed, const struct cli_list *arguments)
{
	const struct drain_options *o = parsed;

	if (o->node && (arguments->n || o->listener))
		return cli_usage(&drain_command, "--node is about the whole process: it takes no target");
	if (o->listener && arguments->n)
		return cli_usage(&drain_command, "either --listener or TENANT/SERVICE/POOL: one at a time");
	if (o->node)
		return drain_node(o);
	if (o->listener)
		return set_listener(&drain_command, o, true);
	if (arguments->n == 0)
		return cli_usage(&drain_command,
			"what? weir drain TENANT/SERVICE/POOL, --listener LISTENER, or --node");
	return set(&drain_command, o, arguments->v[0], true);
}

static int run_enable(const void *parsed, const struct cli_list *arguments)
{
	const struct drain_options *o = parsed;

	if (o->listener && arguments->n)
		return cli_usage(&enable_command, "either --listener or TENANT/SERVICE/POOL: one at a time");
	if (o->listener)
		return set_listener(&enable_command, o, false);
	if (arguments->n == 0)
		return cli_usage(&enable_command,
			"what? weir enable TENANT/SERVICE/POOL[/ADDRESS], or --listener LISTENER");
	return set(&enable_command, parsed, arguments->v[0], false);
}

const struct cli_command drain_command = {
	.name = "drain",
	.synopsis = "TENANT/SERVICE/POOL[/ADDRESS]|--listener LISTENER|--node [--wait] [--timeout TIME] "
		    "[--reason TEXT] "
		    "[--json]",
	.summary =
		"give a pool, a backend, a listener or this weir no new work, and wait for what is in flight",
	.help = "Nothing new goes to the pool or the backend; requests in flight end, WebSockets are closed "
		"after\n"
		"timeouts.tunnel_drain, event streams and gRPC calls after timeouts.stream_drain. It stays "
		"so, whatever happens to weir, until \"weir enable\". With "
		"--wait "
		"the command returns\n"
		"when nothing is in flight there any more.\n\n"
		"--listener: whoever connects there is closed at once, and clients that keep a connection "
		"are told "
		"to go,\n"
		"spread over timeouts.drain_spread. It stays so until \"weir enable --listener\". With "
		"--wait the "
		"command returns\n"
		"when nobody is connected there any more.\n\n"
		"--node: /readyz fails at once, clients are told to go after timeouts.readiness, and weir "
		"stops when "
		"nothing is open.\n\n"
		"exit status: 0 done, 1 refused, 2 wrong usage, 3 it still has work after --timeout, 4 the "
		"version is "
		"another one\n\n"
		"  weir drain acme/shop/green/10.0.2.1:8080 --wait --timeout 5m\n"
		"  weir drain --listener https --wait",
	.options = drain_options,
	.options_size = sizeof(struct drain_options),
	.arguments = 1,
	.run = run_drain,
};

const struct cli_command enable_command = {
	.name = "enable",
	.synopsis = "TENANT/SERVICE/POOL[/ADDRESS]|--listener LISTENER [--reason TEXT] [--json]",
	.summary = "have a pool or a backend that was drained take requests again, a listener let clients in",
	.help = "exit status: 0 done, 1 refused, 2 wrong usage, 4 the version is another one\n\n"
		"  weir enable acme/shop/green/10.0.2.1:8080\n"
		"  weir enable --listener https",
	.options = enable_options,
	.options_size = sizeof(struct drain_options),
	.arguments = 1,
	.run = run_enable,
};
