/* cli/why.c - `weir why`: what happened to a request that failed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/obj.h"
#include "cli/client.h"
#include "cli/paint.h"

struct why_options {
	struct client_options client;
	const char *tenant, *reason, *limit;
	bool clients;
};

static const struct cli_option options[] = {
	TEXT("tenant", 't', "TENANT", struct why_options, tenant,
		"without an id: only requests to this tenant"),
	TEXT("reason", 'r', "REASON", struct why_options, reason,
		"... only those that failed for this reason"),
	TEXT("limit", 'n', "N", struct why_options, limit, "... at most so many; 20"),
	SWITCH("clients", 0, struct why_options, clients, "... also what was the client's doing"),
	CLIENT_OPTIONS(struct why_options),
	OPTIONS_END,
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

static double ms(const json_t *j, const char *key)
{
	return json_number_value(json_object_get(j, key));
}

/* What strangers sent must not move the cursor. */
static void put(const char *s)
{
	for (; *s; s++)
		putchar((unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s);
}

static void put_row(const char *name, const char *value)
{
	if (!*value)
		return;
	printf("  %s%-11s%s", paint(PAINT_DIM), name, paint_end());
	put(value);
	putchar('\n');
}

/* Of one that was not given a reason the backend itself answered with an error. */
static const char *what_happened(const json_t *r)
{
	const char *said = text(r, "text");

	return *said ? said : "the backend answered with an error";
}

/* "acme/shop/blue", as far as it came. */
static void put_place(const json_t *r)
{
	const char *parts[] = {text(r, "tenant"), text(r, "service"), text(r, "pool")};

	if (!*parts[0])
		return;
	printf("  %s%-11s%s", paint(PAINT_DIM), "for", paint_end());
	for (size_t i = 0; i < COUNT_OF(parts) && *parts[i]; i++)
		printf("%s%s", i ? "/" : "", parts[i]);
	if (*text(r, "backend"))
		printf(", last at %s", text(r, "backend"));
	printf(", generation %lld\n", number(r, "generation"));
}

static void put_attempt(const json_t *a, size_t n)
{
	printf("  %s%-11s%s", paint(PAINT_DIM), n ? "" : "attempts", paint_end());
	printf("%zu. after %.1f ms at %s: %s%s%s after %.1f ms", n + 1, ms(a, "at_ms"), text(a, "backend"),
		paint(PAINT_BAD), text(a, "reason"), paint_end(), ms(a, "duration_ms"));
	if (ms(a, "queue_ms") > 0)
		printf(", %.1f of them waiting for a connection", ms(a, "queue_ms"));
	if (ms(a, "connect_ms") > 0)
		printf(", %.1f making one", ms(a, "connect_ms"));
	if (json_is_true(json_object_get(a, "reused_connection")))
		printf(", over a kept-alive connection");
	putchar('\n');
	if (*text(a, "error")) {
		printf("  %-11s   ", "");
		put(text(a, "error"));
		putchar('\n');
	}
}

/* What modules have noted: "trace_id=..., ratelimit=...". */
static void put_modules(const json_t *modules)
{
	const char *name;
	json_t *value;
	bool first = true;

	json_object_foreach((json_t *)(uintptr_t)modules, name, value)
	{
		if (first)
			printf("  %s%-11s%s", paint(PAINT_DIM), "modules", paint_end());
		else
			printf(", ");
		first = false;
		put(name);
		putchar('=');
		put(json_string_value(value));
	}
	if (!first)
		putchar('\n');
}

static void print_request(const json_t *r)
{
	const json_t *attempts = json_object_get(r, "failed_attempts");
	const char *reason = text(r, "reason");

	printf("%s%s%s", paint(PAINT_BOLD), text(r, "id"), paint_end());
	if (number(r, "status"))
		printf(": %lld", number(r, "status"));
	printf(" %s%s%s: %s\n", paint(PAINT_BAD), *reason ? reason : "answered", paint_end(),
		what_happened(r));
	put_row("look at", text(r, "advice"));
	put_place(r);
	printf("  %s%-11s%s%s ", paint(PAINT_DIM), "request", paint_end(), text(r, "time"));
	put(text(r, "method"));
	putchar(' ');
	put(text(r, "host"));
	put(text(r, "path"));
	printf(" from %s over %s\n", text(r, "client"), text(r, "protocol"));
	printf("  %s%-11s%s%s, after %.1f ms", paint(PAINT_DIM), "ended", paint_end(), text(r, "phase"),
		ms(r, "duration_ms"));
	if (json_object_get(r, "first_byte_ms"))
		printf(", the answer had begun after %.1f", ms(r, "first_byte_ms"));
	printf("; %lld attempt%s\n", number(r, "attempts"), number(r, "attempts") == 1 ? "" : "s");
	for (size_t i = 0; i < json_array_size(attempts); i++)
		put_attempt(json_array_get(attempts, i), i);
	put_modules(json_object_get(r, "modules"));
}

static void print_line(const json_t *r)
{
	const char *reason = text(r, "reason");

	printf("%s %s%-24s%s %3lld %8.1f ms  %s  ", text(r, "time"), paint(PAINT_BAD),
		*reason ? reason : "answered", paint_end(), number(r, "status"), ms(r, "duration_ms"),
		text(r, "id"));
	put(text(r, "method"));
	putchar(' ');
	put(text(r, "host"));
	put(text(r, "path"));
	putchar('\n');
}

static int ask(const struct why_options *o, const char *path, void (*print)(const json_t *body))
{
	struct client_answer a;
	int status = client_call(&o->client, "GET", path, NULL, &a);

	if (status == CLI_DONE && o->client.json)
		client_print_json(&a);
	else if (status == CLI_DONE)
		print(a.body);
	client_answer_free(&a);
	return status;
}

static void print_list(const json_t *body)
{
	const json_t *list = json_object_get(body, "requests");

	for (size_t i = 0; i < json_array_size(list); i++)
		print_line(json_array_get(list, i));
	if (json_array_size(list) == 0)
		puts("no such request has failed lately");
}

static int run(const void *parsed, const struct cli_list *arguments)
{
	const struct why_options *o = parsed;
	const struct {
		const char *key, *value;
	} query[] = {{"tenant", o->tenant}, {"reason", o->reason}, {"limit", o->limit},
		{"clients", o->clients ? "true" : NULL}};
	char path[1024], separator = '?';
	struct text t = text_in(path, sizeof(path) - 1);
	char *value;

	text_put(&t, STR("/v1/requests"));
	if (arguments->n) {
		value = client_encode(arguments->v[0]);
		text_fmt(&t, "/%s", value);
		free(value);
	}
	for (size_t i = 0; i < COUNT_OF(query) && !arguments->n; i++) {
		if (!query[i].value)
			continue;
		value = client_encode(query[i].value);
		text_fmt(&t, "%c%s=%s", separator, query[i].key, value);
		separator = '&';
		free(value);
	}
	if (t.cut)
		return cli_usage(&why_command, "that is too long for an id or a name");
	path[t.n] = '\0';
	return ask(o, path, arguments->n ? print_request : print_list);
}

const struct cli_command why_command = {
	.name = "why",
	.synopsis = "[REQUEST_ID] [--tenant TENANT] [--reason REASON] [--json]",
	.summary = "what happened to a request that failed",
	.examples = "  weir why 3f0c52a9e1b74d08\n"
		    "  weir why --tenant acme --reason upstream_timeout -n 5",
	.help = "Tells of a request that failed: the reason and whose doing it was, what to look at, each "
		"attempt with its backend\n"
		"and its times. The id stands in the error answer (x-request-id) and in the access log. "
		"Without an id the last\n"
		"failures are listed, the newest first. docs/reasons.md explains the reasons.",
	.options = options,
	.options_size = sizeof(struct why_options),
	.arguments = 1,
	.run = run,
};
