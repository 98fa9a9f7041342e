#include "cli/outcome.h"

#include <stdio.h>
#include <string.h>

static const char *text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "";
}

static long long number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* "  + service acme/shop" */
static void print_names(const char *sign, const char *kind, const json_t *names)
{
	for (size_t i = 0; i < json_array_size(names); i++)
		printf("  %s %s %s\n", sign, kind, json_string_value(json_array_get(names, i)));
}

/* ": weight 90 -> 50, state open -> draining" */
static void print_values(const json_t *values)
{
	for (size_t i = 0; i < json_array_size(values); i++) {
		const json_t *v = json_array_get(values, i);

		printf("%s %s", i ? "," : ":", text(v, "key"));
		if (json_object_get(v, "after"))
			printf(" %s -> %s", text(v, "before"), text(v, "after"));
	}
}

/* "  ~ pool acme/shop/blue: weight 90 -> 50" */
static void print_changed(const char *kind, const json_t *ways)
{
	const json_t *names = json_object_get(ways, "changed"), *values = json_object_get(ways, "values");

	for (size_t i = 0; i < json_array_size(names); i++) {
		const char *name = json_string_value(json_array_get(names, i));

		printf("  ~ %s %s", kind, name);
		print_values(json_object_get(values, name));
		putchar('\n');
	}
}

static void print_changes(json_t *changes)
{
	const char *kind;
	json_t *ways;

	if (json_object_size(changes) == 0)
		puts("  nothing that it says has changed");
	json_object_foreach(changes, kind, ways)
	{
		print_names("+", kind, json_object_get(ways, "added"));
		print_changed(kind, ways);
		print_names("-", kind, json_object_get(ways, "removed"));
		if (number(ways, "more"))
			printf("    and %lld more\n", number(ways, "more"));
	}
}

/* On stderr, as `weir check` does. */
static void print_places(const json_t *places, const char *what)
{
	for (size_t i = 0; i < json_array_size(places); i++) {
		const json_t *e = json_array_get(places, i);

		fprintf(stderr, "%s:%lld:%lld: %s%s\n", text(e, "file"), number(e, "line"),
			number(e, "column"), what, text(e, "message"));
	}
}

void outcome_print(const json_t *outcome)
{
	if (strcmp(text(outcome, "outcome"), "unchanged") == 0) {
		printf("nothing changed; generation %lld goes on\n", number(outcome, "generation"));
		return;
	}
	printf("generation %lld is served\n", number(outcome, "generation"));
	print_changes(json_object_get(outcome, "changes"));
	print_places(json_object_get(outcome, "warnings"), "warning: ");
}

void outcome_print_errors(const json_t *outcome)
{
	print_places(json_object_get(outcome, "errors"), "");
}
