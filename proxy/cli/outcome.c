#include "cli/outcome.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const char *text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "";
}

static json_int_t number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* "  + service acme/shop" */
static void print_changes(const json_t *changes)
{
	static const struct {
		const char *key, *sign;
	} ways[] = {{"added", "+"}, {"changed", "~"}, {"removed", "-"}};
	const char *kind;
	json_t *by_way, *name;
	size_t n;

	json_object_foreach((json_t *)(uintptr_t)changes, kind, by_way) for (size_t i = 0; i < 3; i++)
		json_array_foreach(json_object_get(by_way, ways[i].key), n, name)
			printf("  %s %s %s\n", ways[i].sign, kind, json_string_value(name));
}

void outcome_print(const json_t *outcome)
{
	if (strcmp(text(outcome, "outcome"), "unchanged") == 0) {
		printf("nothing changed; generation %lld goes on\n",
			(long long)number(outcome, "generation"));
		return;
	}
	printf("generation %lld is served\n", (long long)number(outcome, "generation"));
	print_changes(json_object_get(outcome, "changes"));
}

void outcome_print_errors(const json_t *outcome)
{
	json_t *e;
	size_t i;

	json_array_foreach(json_object_get(outcome, "errors"), i, e)
		fprintf(stderr, "%s:%lld:%lld: %s\n", text(e, "file"), (long long)number(e, "line"),
			(long long)number(e, "column"), text(e, "message"));
}
