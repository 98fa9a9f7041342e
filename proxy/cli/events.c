#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cli/client.h"
#include "cli/paint.h"

#define SINCE_DEFAULT "24h"
#define LIMIT         "25000" /* more than are kept */

struct events_options {
	struct client_options client;
	const char *since, *name, *tenant;
	bool follow;
};

static const struct cli_option options[] = {
	SWITCH("follow", 'f', struct events_options, follow, "go on with what happens from now on"),
	TEXT("since", 0, "TIME", struct events_options, since,
		"only what happened within that time: 1h, 24h if not told; or after the event of that "
		"number"),
	TEXT("name", 0, "NAME", struct events_options, name, "only events of that name"),
	TEXT("tenant", 0, "TENANT", struct events_options, tenant, "only events about that tenant"),
	CLIENT_OPTIONS(struct events_options),
	OPTIONS_END,
};

/* -- an event in words -- */

static void print_value(const json_t *value)
{
	char *text;

	if (json_is_string(value)) {
		const char *s = json_string_value(value);

		/* Events are weir's, but what they tell of may be a stranger's: nothing may move the terminal's cursor. */
		for (; *s; s++)
			putchar((unsigned char)*s < ' ' || *s == 127 ? '?' : *s);
		return;
	}
	text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
	if (text)
		fputs(text, stdout);
	free(text);
}

static enum paint paint_of(const char *level)
{
	return strcmp(level, "error") == 0     ? PAINT_BAD
	       : strcmp(level, "warning") == 0 ? PAINT_WARN
					       : PAINT_DIM;
}

static void print_event(json_t *event)
{
	static const char *const known[] = {"number", "time", "level", "event"};
	const char *time = json_string_value(json_object_get(event, "time"));
	const char *level = json_string_value(json_object_get(event, "level"));
	const char *name = json_string_value(json_object_get(event, "event")), *key;
	json_t *value;

	printf("%s %s%-7s%s %s%s%s", time ? time : "", paint(paint_of(level ? level : "")),
		level ? level : "", paint_end(), paint(PAINT_BOLD), name ? name : "", paint_end());
	json_object_foreach(event, key, value)
	{
		bool told = false;

		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
			told |= strcmp(key, known[i]) == 0;
		if (told)
			continue;
		printf(" %s%s=%s", paint(PAINT_DIM), key, paint_end());
		print_value(value);
	}
	putchar('\n');
}

/* -- asking -- */

static bool on_event(void *ctx, struct str name, struct str data)
{
	const struct events_options *o = ctx;
	json_t *event;

	if (str_eq(name, STR("cut"))) {
		fputs("weir: too slow for what happens; some events were missed\n", stderr);
		return false;
	}
	if (o->client.json) {
		printf(STR_FMT "\n", STR_ARG(data));
	} else {
		event = json_loadb(data.p, data.n, 0, NULL);
		print_event(event);
		json_decref(event);
	}
	/* Nobody may read any more. */
	return fflush(stdout) == 0;
}

static int list(const struct events_options *o, const char *path)
{
	struct client_answer a;
	int status = client_call(&o->client, "GET", path, NULL, &a);
	const json_t *events = json_object_get(a.body, "events");

	if (status == CLI_DONE && o->client.json)
		client_print_json(&a);
	else if (status == CLI_DONE)
		for (size_t i = 0; i < json_array_size(events); i++)
			print_event(json_array_get(events, i));
	client_answer_free(&a);
	return status;
}

static int run(const void *parsed, const struct cli_list *arguments)
{
	const struct events_options *o = parsed;
	const struct {
		const char *key, *value;
	} query[] = {{"since", o->since    ? o->since
			       : o->follow ? NULL
					   : SINCE_DEFAULT},
		{"name", o->name}, {"tenant", o->tenant}, {"limit", o->follow ? NULL : LIMIT}};
	char path[1024];
	struct text t = text_in(path, sizeof(path) - 1);
	char separator = '?';

	(void)arguments;
	text_put(&t, STR("/v1/events"));
	for (size_t i = 0; i < sizeof(query) / sizeof(query[0]); i++) {
		char *value = query[i].value ? client_encode(query[i].value) : NULL;

		if (value)
			text_fmt(&t, "%c%s=%s", separator, query[i].key, value);
		if (value)
			separator = '&';
		free(value);
	}
	if (t.cut)
		return cli_usage(&events_command, "--since, --name and --tenant are too long");
	path[t.n] = '\0';
	return o->follow ? client_follow(&o->client, path, on_event, (void *)(uintptr_t)o) : list(o, path);
}

const struct cli_command events_command = {
	.name = "events",
	.synopsis = "[-f] [--since TIME] [--name NAME] [--tenant TENANT] [--json]",
	.summary = "what has happened: reloads, health, drains",
	.examples = "  weir events --since 1h\n"
		    "  weir events -f --name health\n"
		    "  weir events -f --json | jq -r 'select(.level == \"error\")'",
	.help = "Prints the events of the last 24 hours, oldest first, those before a restart or an upgrade "
		"too; "
		"with -f what happens from then on.\n"
		"docs/operating.md explains each of them.",
	.options = options,
	.options_size = sizeof(struct events_options),
	.run = run,
};
