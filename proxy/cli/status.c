#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/obj.h"
#include "cli/client.h"
#include "cli/outcome.h"
#include "cli/paint.h"

#define MANY 40 /* pools: more than that are not read at three in the morning */

struct status_options {
	struct client_options client;
	bool all;
};

static const struct cli_option options[] = {
	SWITCH("all", 'a', struct status_options, all,
		"every pool; else, where there are many, those that are not well"),
	CLIENT_OPTIONS(struct status_options),
	OPTIONS_END,
};

/* What is asked about: "acme/shop/blue"; parts that were not given are empty. */
struct subject {
	struct str tenant, service, pool;
	bool troubled; /* only pools that are not well */
	int name_width; /* of the widest name */
	uint32_t left_out;
};

static const char *text(const json_t *j, const char *key)
{
	const char *value = json_string_value(json_object_get(j, key));

	return value ? value : "";
}

static long long number(const json_t *j, const char *key)
{
	return json_integer_value(json_object_get(j, key));
}

/* "3d 4h", "2m 5s": the two largest units. */
static const char *ago(double seconds, char buf[32])
{
	unsigned long s = (unsigned long)seconds;

	if (s >= 86400)
		snprintf(buf, 32, "%lud %luh", s / 86400, s % 86400 / 3600);
	else if (s >= 3600)
		snprintf(buf, 32, "%luh %lum", s / 3600, s % 3600 / 60);
	else if (s >= 60)
		snprintf(buf, 32, "%lum %lus", s / 60, s % 60);
	else
		snprintf(buf, 32, "%lus", s);
	return buf;
}

/* -- the process -- */

static void print_reload(const json_t *status)
{
	const json_t *last = json_object_get(status, "last_reload"),
		     *refused = json_object_get(status, "refused_reload");
	double since =
		(double)time(NULL) - (double)number(json_is_object(refused) ? refused : last, "unix_time");
	char buf[32];

	if (json_is_object(refused)) {
		printf("%sthe last reload was refused%s %s ago; generation %lld goes on:\n", paint(PAINT_BAD),
			paint_end(), ago(MAX(since, 0), buf), number(status, "generation"));
		fflush(stdout);
		outcome_print_errors(refused);
	} else if (json_is_object(last)) {
		printf("last reload %s ago: %s\n", ago(MAX(since, 0), buf), text(last, "outcome"));
	}
}

static void print_failed_upgrade(const json_t *failed)
{
	char buf[32];

	if (!failed)
		return;
	printf("%sthe last upgrade %s%s %s ago, this program goes on: %s\n", paint(PAINT_BAD),
		strcmp(text(failed, "outcome"), "refused") == 0 ? "was refused" : "failed", paint_end(),
		ago(MAX((double)time(NULL) - (double)number(failed, "unix_time"), 0), buf),
		text(failed, "error"));
}

static void print_storage(const json_t *storage)
{
	if (!storage || json_is_true(json_object_get(storage, "writable")))
		return;
	printf("%schanges cannot be stored%s (%s), so they are refused: look at the disk and the rights of "
	       "state_dir\n",
		paint(PAINT_BAD), paint_end(), text(storage, "fault"));
}

static void print_drained(const json_t *listener)
{
	const char *author = text(listener, "author"), *reason = text(listener, "reason");

	printf("%slistener %s is drained%s", paint(PAINT_WARN), text(listener, "listener"), paint_end());
	if (*author)
		printf(" by %s", author);
	if (*reason)
		printf(" (%s)", reason);
	if (json_object_get(listener, "connections"))
		printf(": %lld connections, %lld requests, %lld websockets, %lld streams are left",
			number(listener, "connections"), number(listener, "requests"),
			number(listener, "websockets"), number(listener, "streams"));
	putchar('\n');
}

/* A process that an upgrade has replaced. */
static void print_older(const json_t *p)
{
	const json_t *ends = json_object_get(p, "ends_in_s");
	char buf[32];

	printf("%san older process still finishes%s (pid %lld, %s): %lld connections, %lld requests, %lld "
	       "websockets, %lld streams are left",
		paint(PAINT_WARN), paint_end(), number(p, "pid"), text(p, "version"),
		number(p, "connections"), number(p, "requests"), number(p, "websockets"),
		number(p, "streams"));
	if (ends)
		printf("; what is left in %s is cut", ago(json_number_value(ends), buf));
	putchar('\n');
}

/* Those whom modules ask, and who do not answer. */
static void print_dependencies(const json_t *all)
{
	for (size_t i = 0; i < json_array_size(all); i++) {
		const json_t *d = json_array_get(all, i);
		char buf[32];

		if (json_is_true(json_object_get(d, "answers")))
			continue;
		printf("%s%s %s does not answer%s module %s, for %s (%s): %s\n", paint(PAINT_BAD),
			text(d, "what"), text(d, "address"), paint_end(), text(d, "module"),
			ago(json_number_value(json_object_get(d, "lost_s")), buf), text(d, "error"),
			text(d, "meanwhile"));
	}
}

static void print_process(const json_t *status)
{
	const json_t *drained = json_object_get(status, "drained_listeners"),
		     *older = json_object_get(status, "older_processes");
	const char *state = text(status, "state");
	char buf[32];

	printf("weir %s, %s%s%s, generation %lld, up %s, pid %lld, %lld worker%s\n", text(status, "version"),
		paint(strcmp(state, "serving") == 0 ? PAINT_GOOD : PAINT_WARN), state, paint_end(),
		number(status, "generation"),
		ago(json_number_value(json_object_get(status, "uptime_s")), buf), number(status, "pid"),
		number(status, "workers"), number(status, "workers") == 1 ? "" : "s");
	print_reload(status);
	print_failed_upgrade(json_object_get(status, "failed_upgrade"));
	print_storage(json_object_get(status, "storage"));
	for (size_t i = 0; i < json_array_size(drained); i++)
		print_drained(json_array_get(drained, i));
	for (size_t i = 0; i < json_array_size(older); i++)
		print_older(json_array_get(older, i));
	print_dependencies(json_object_get(status, "dependencies"));
}

/* -- services -- */

static enum paint health_paint(const json_t *backend)
{
	const char *state = text(json_object_get(backend, "health"), "state");

	if (json_is_true(json_object_get(backend, "ejected")) || strcmp(state, "down") == 0)
		return PAINT_BAD;
	return strcmp(state, "up") == 0 ? PAINT_GOOD : PAINT_WARN;
}

static void print_backend(const json_t *backend)
{
	const json_t *health = json_object_get(backend, "health");
	const char *why = text(health, "text");
	char buf[32];

	printf("    %-30s weight %-4lld %s%s%s", text(backend, "address"), number(backend, "weight"),
		paint(health_paint(backend)), text(health, "state"), paint_end());
	if (json_is_true(json_object_get(backend, "ejected")))
		printf(", %sejected%s", paint(PAINT_BAD), paint_end());
	if (json_is_true(json_object_get(health, "checked")))
		printf(" for %s", ago(json_number_value(json_object_get(health, "since_s")), buf));
	if (*why)
		printf(": %s", why);
	if (number(health, "status"))
		printf(" (%lld)", number(health, "status"));
	putchar('\n');
}

static void name_of(char name[600], const json_t *service, const json_t *pool)
{
	snprintf(
		name, 600, "%s/%s/%s", text(service, "tenant"), text(service, "service"), text(pool, "name"));
}

static bool is_well(const json_t *pool)
{
	const json_t *all = json_object_get(pool, "backends");

	if (number(pool, "down") || json_is_true(json_object_get(pool, "panic")))
		return false;
	for (size_t i = 0; i < json_array_size(all); i++)
		if (json_is_true(json_object_get(json_array_get(all, i), "ejected")))
			return false;
	return true;
}

/* What the file does not say. */
static void print_set(const json_t *pool)
{
	const json_t *weight = json_object_get(pool, "runtime_weight");
	const char *sign = ", set at run time:";

	if (json_is_integer(weight)) {
		printf("%s weight %lld", sign, (long long)json_integer_value(weight));
		sign = ",";
	}
	if (*text(pool, "runtime_state")) {
		printf("%s %s", sign, text(pool, "runtime_state"));
		sign = ",";
	}
	if (json_is_true(json_object_get(pool, "runtime_backends")))
		printf("%s backends", sign);
}

static void print_pool(const json_t *service, const json_t *pool, const struct subject *s)
{
	char name[600];
	long long down = number(pool, "down"), checking = number(pool, "checking"), up = number(pool, "up");
	const json_t *all = json_object_get(pool, "backends");

	name_of(name, service, pool);
	printf("%-*s weight %-8.6g %-8s %s%lld of %lld up%s", s->name_width, name,
		json_number_value(json_object_get(pool, "effective_weight")), text(pool, "state"),
		paint(down + checking == 0 ? PAINT_GOOD
			: up               ? PAINT_WARN
					   : PAINT_BAD),
		up, up + down + checking, paint_end());
	if (checking)
		printf(", %lld not checked yet", checking);
	if (json_is_true(json_object_get(pool, "panic")))
		printf(", %spanic%s: so few are up that all are tried", paint(PAINT_BAD), paint_end());
	print_set(pool);
	putchar('\n');
	for (size_t i = 0; s->service.n && i < json_array_size(all); i++)
		print_backend(json_array_get(all, i));
}

/* False: there is no such pool. */
static bool print_service(const json_t *service, struct subject *s)
{
	const json_t *pools = json_object_get(service, "pools");
	bool found = false;

	for (size_t i = 0; i < json_array_size(pools); i++) {
		const json_t *pool = json_array_get(pools, i);

		if (s->pool.n && !str_eq(s->pool, str_of(text(pool, "name"))))
			continue;
		found = true;
		if (s->troubled && is_well(pool))
			s->left_out++;
		else
			print_pool(service, pool, s);
	}
	return found || !s->pool.n;
}

/* Widens names to the widest of the service's; returns how many pools it has. */
static size_t measure(const json_t *service, struct subject *s)
{
	const json_t *pools = json_object_get(service, "pools");
	char name[600];

	for (size_t i = 0; i < json_array_size(pools); i++) {
		name_of(name, service, json_array_get(pools, i));
		s->name_width = MAX(s->name_width, (int)strlen(name));
	}
	return json_array_size(pools);
}

static int show_service(const struct status_options *o, struct subject *s)
{
	char path[600];
	struct client_answer a;
	int status;

	snprintf(path, sizeof(path), "/v1/services/" STR_FMT "/" STR_FMT, STR_ARG(s->tenant),
		STR_ARG(s->service));
	status = client_call(&o->client, "GET", path, NULL, &a);
	measure(a.body, s);
	if (status == CLI_DONE && o->client.json)
		client_print_json(&a);
	else if (status == CLI_DONE && !print_service(a.body, s))
		status = cli_failed(&status_command, "there is no pool " STR_FMT " in " STR_FMT "/" STR_FMT,
			STR_ARG(s->pool), STR_ARG(s->tenant), STR_ARG(s->service));
	client_answer_free(&a);
	return status;
}

static void print_services(const json_t *services, struct subject *s, bool all)
{
	size_t pools = 0;

	for (size_t i = 0; i < json_array_size(services); i++)
		pools += measure(json_array_get(services, i), s);
	s->troubled = pools > MANY && !all;
	for (size_t i = 0; i < json_array_size(services); i++)
		print_service(json_array_get(services, i), s);
	if (s->left_out)
		printf("%s%u of %zu pools are well; --all shows them%s\n", paint(PAINT_GOOD), s->left_out,
			pools, paint_end());
}

static int show_services(const struct status_options *o, struct subject *s)
{
	char path[300];
	struct client_answer a;
	const json_t *services;
	int status;

	snprintf(path, sizeof(path), "/v1/services%s" STR_FMT, s->tenant.n ? "?tenant=" : "",
		STR_ARG(s->tenant));
	status = client_call(&o->client, "GET", path, NULL, &a);
	services = json_object_get(a.body, "services");
	if (status == CLI_DONE && o->client.json)
		client_print_json(&a);
	else if (status == CLI_DONE)
		print_services(services, s, o->all);
	if (status == CLI_DONE && s->tenant.n && json_array_size(services) == 0)
		status = cli_failed(&status_command,
			"tenant " STR_FMT " has no services, or there is none of that name",
			STR_ARG(s->tenant));
	client_answer_free(&a);
	return status;
}

static int show_process(const struct status_options *o)
{
	struct client_answer a;
	int status = client_call(&o->client, "GET", "/v1/status", NULL, &a);

	if (status == CLI_DONE && o->client.json)
		client_print_json(&a);
	else if (status == CLI_DONE)
		print_process(a.body);
	client_answer_free(&a);
	if (status == CLI_DONE && !o->client.json)
		status = show_services(o, &(struct subject){0});
	return status;
}

/* Names hold nothing that a path would have to encode. */
static bool is_name(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!strchr("-._", s.p[i]) &&
			(str_lower_char(s.p[i]) < 'a' || str_lower_char(s.p[i]) > 'z') &&
			(s.p[i] < '0' || s.p[i] > '9'))
			return false;
	return s.n > 0 && s.n < 200;
}

static bool parse_subject(struct subject *s, const char *written)
{
	struct str *parts[] = {&s->tenant, &s->service, &s->pool};
	struct str rest = str_of(written);

	*s = (struct subject){0};
	for (size_t i = 0; i < COUNT_OF(parts); i++) {
		*parts[i] = str_head(rest, str_find(rest, '/'));
		if (!is_name(*parts[i]))
			return false;
		if (parts[i]->n == rest.n)
			return true;
		rest = str_skip(rest, parts[i]->n + 1);
	}
	return false;
}

static int run(const void *parsed, const struct cli_list *arguments)
{
	const struct status_options *o = parsed;
	struct subject s;

	if (arguments->n == 0)
		return show_process(o);
	if (!parse_subject(&s, arguments->v[0]))
		return cli_usage(&status_command,
			"\"%s\": write TENANT, TENANT/SERVICE or TENANT/SERVICE/POOL", arguments->v[0]);
	return s.service.n ? show_service(o, &s) : show_services(o, &s);
}

const struct cli_command status_command = {
	.name = "status",
	.synopsis = "[TENANT[/SERVICE[/POOL]]] [--all] [--json]",
	.summary = "how the running weir is, and what it fronts",
	.examples = "  weir status\n"
		    "  weir status acme/shop\n"
		    "  weir status acme/shop/green --json",
	.help = "Prints the state of the process, the errors of a reload that was refused, listeners that "
		"are "
		"drained, older processes that still finish after an upgrade, and a line for "
		"each pool: its weight, its state, and\n"
		"how many of its backends are up. Of a service or a pool the backends are shown too, each "
		"with the cause of its health. Where there are more than 40 pools, those that are well are "
		"counted only: --all shows them.",
	.options = options,
	.options_size = sizeof(struct status_options),
	.arguments = 1,
	.run = run,
};
