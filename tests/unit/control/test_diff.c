/* What a new configuration changes, by identity. */
#include "config/conf_text.h"
#include <string.h>
#include "base/obj.h"
#include "control/diff.h"

#define HTTP "listeners: {http: {address: \"127.0.0.1:80\"}}\n"
#define SHOP \
	"{hosts: [a.test], services: {shop: {pools: {blue: {weight: 1, backends: [127.0.0.1:1]}, green: " \
	"{weight: 1, backends: [127.0.0.1:2]}}}}}"

/* The difference as compact JSON, kinds in order of name. */
static void differs(const char *before, const char *after, const char *want)
{
	struct loaded old = load_text(before), new = load_text(after);
	struct cert_stores none = {0};
	const struct verified a = {.conf = old.conf, .stores = &none},
			      b = {.conf = new.conf, .stores = &none};
	json_t *diff;
	char *text;

	assert_string_equal(old.said, "");
	assert_string_equal(new.said, "");
	diff = conf_diff(&a, &b);
	text = json_dumps(diff, JSON_COMPACT | JSON_SORT_KEYS);
	assert_string_equal(text, want);
	free(text);
	json_decref(diff);
	loaded_free(&old);
	loaded_free(&new);
}

static void what_is_the_same_is_not_told(void **state)
{
	(void)state;
	differs(HTTP "tenants: {acme: " SHOP "}\n", HTTP "\n# a comment\ntenants:\n  acme: " SHOP "\n", "{}");
}

static void a_change_is_told_where_it_is(void **state)
{
	(void)state;
	differs(HTTP "tenants: {acme: " SHOP "}\n",
		HTTP
		"tenants: {acme: {hosts: [a.test], services: {shop: {pools: {blue: {weight: 2, backends: "
		"[127.0.0.1:1]}, green: {weight: 1, backends: [127.0.0.1:3, {address: 127.0.0.1:2, weight: "
		"5}]}}}}}}\n",
		"{\"backend\":{\"added\":[\"acme/shop/green/127.0.0.1:3\"],\"changed\":[\"acme/shop/green/"
		"127.0.0.1:2\"]},\"pool\":{\"changed\":[\"acme/shop/blue\"]}}");
	differs(HTTP "tenants: {acme: " SHOP "}\n",
		HTTP "tenants: {acme: {hosts: [a.test], services: {shop: {balance: random, pools: {blue: "
		     "{weight: 1, "
		     "backends: [127.0.0.1:1]}}}}}}\n",
		"{\"pool\":{\"removed\":[\"acme/shop/green\"]},\"service\":{\"changed\":[\"acme/shop\"]}}");
}

static void parts_of_what_comes_or_goes_are_not_told(void **state)
{
	(void)state;
	differs(HTTP, HTTP "tenants: {acme: " SHOP "}\n", "{\"tenant\":{\"added\":[\"acme\"]}}");
	differs(HTTP "tenants: {acme: " SHOP "}\n", HTTP, "{\"tenant\":{\"removed\":[\"acme\"]}}");
}

static void listeners_and_settings_count(void **state)
{
	(void)state;
	differs(HTTP "timeouts: {connect: 1s}\n",
		"listeners: {http: {address: \"127.0.0.1:81\"}, more: {address: \"127.0.0.1:82\"}}\n"
		"log: {events: {level: debug}}\n"
		"admin: {hosts: [weir.test]}\n",
		"{\"listener\":{\"added\":[\"more\"],\"changed\":[\"http\"]},\"setting\":{\"changed\":["
		"\"log\",\"admin\","
		"\"timeouts\"]}}");
}

static void of_very_many_only_the_number_is_told(void **state)
{
	size_t n;
	char *many = NULL;
	FILE *f = open_memstream(&many, &n);

	(void)state;
	fputs(HTTP "tenants:\n", f);
	for (int i = 0; i < DIFF_NAMES_MAX + 20; i++)
		fprintf(f, "  t%d: {hosts: [t%d.test]}\n", i, i);
	fclose(f);
	{
		struct loaded old = load_text(HTTP), new = load_text(many);
		struct cert_stores none = {0};
		const struct verified a = {.conf = old.conf, .stores = &none},
				      b = {.conf = new.conf, .stores = &none};
		json_t *diff = conf_diff(&a, &b), *tenants = json_object_get(diff, "tenant");

		assert_int_equal(json_array_size(json_object_get(tenants, "added")), DIFF_NAMES_MAX);
		assert_int_equal(json_integer_value(json_object_get(tenants, "more")), 20);
		json_decref(diff);
		loaded_free(&old);
		loaded_free(&new);
	}
	free(many);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_the_same_is_not_told),
		cmocka_unit_test(a_change_is_told_where_it_is),
		cmocka_unit_test(parts_of_what_comes_or_goes_are_not_told),
		cmocka_unit_test(listeners_and_settings_count),
		cmocka_unit_test(of_very_many_only_the_number_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
