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
		"127.0.0.1:2\"],\"values\":{\"acme/shop/green/"
		"127.0.0.1:2\":[{\"after\":\"5\",\"before\":\"1\","
		"\"key\":\"weight\"}]}},\"pool\":{\"changed\":[\"acme/shop/blue\"],\"values\":{\"acme/shop/"
		"blue\":[{\"after\":\"2\",\"before\":\"1\",\"key\":\"weight\"}]}}}");
	differs(HTTP "tenants: {acme: " SHOP "}\n",
		HTTP "tenants: {acme: {hosts: [a.test], services: {shop: {balance: random, pools: {blue: "
		     "{weight: 1, "
		     "backends: [127.0.0.1:1]}}}}}}\n",
		"{\"pool\":{\"removed\":[\"acme/shop/green\"]},\"service\":{\"changed\":[\"acme/"
		"shop\"],\"values\":"
		"{\"acme/"
		"shop\":[{\"after\":\"random\",\"before\":\"least_request\",\"key\":\"balance\"}]}}}");
}

static void parts_of_what_comes_or_goes_are_not_told(void **state)
{
	(void)state;
	differs(HTTP, HTTP "tenants: {acme: " SHOP "}\n", "{\"tenant\":{\"added\":[\"acme\"]}}");
	differs(HTTP "tenants: {acme: " SHOP "}\n", HTTP, "{\"tenant\":{\"removed\":[\"acme\"]}}");
}

#define SMALL(host, address) \
	"{hosts: [" host "], services: {web: {pools: {blue: {backends: [" address "]}}}}}"

static void tenants_are_known_by_name_wherever_they_stand(void **state)
{
	(void)state;
	differs(HTTP "tenants: {a: " SMALL("a.test", "127.0.0.1:1") ", b: " SMALL(
			"b.test", "127.0.0.1:2") ", c: " SMALL("c.test",
			"127.0.0.1:3") ", d: " SMALL("d.test", "127.0.0.1:4") "}\n",
		HTTP "tenants: {d: " SMALL("d.test", "127.0.0.1:4") ", e: " SMALL(
			"e.test", "127.0.0.1:5") ", c: " SMALL("x.test",
			"127.0.0.1:3") ", a: " SMALL("a.test", "127.0.0.1:6") "}\n",
		"{\"backend\":{\"added\":[\"a/web/blue/127.0.0.1:6\"],\"removed\":[\"a/web/blue/"
		"127.0.0.1:1\"]},"
		"\"tenant\":{\"added\":[\"e\"],\"changed\":[\"c\"],\"removed\":[\"b\"],"
		"\"values\":{\"c\":[{\"after\":\"[x.test]\",\"before\":\"[c.test]\",\"key\":\"hosts\"}]}}}");
	differs(HTTP
		"tenants: {a: " SMALL("a.test", "127.0.0.1:1") ", b: " SMALL("b.test", "127.0.0.1:2") "}\n",
		HTTP
		"tenants: {b: " SMALL("b.test", "127.0.0.1:2") ", a: " SMALL("a.test", "127.0.0.1:1") "}\n",
		"{}");
}

static void listeners_and_settings_count(void **state)
{
	(void)state;
	differs(HTTP "timeouts: {connect: 1s}\n",
		"listeners: {http: {address: \"127.0.0.1:81\"}, more: {address: \"127.0.0.1:82\"}}\n"
		"log: {events: {level: debug}}\n"
		"admin: {hosts: [weir.test]}\n",
		"{\"listener\":{\"added\":[\"more\"],\"changed\":[\"http\"],\"values\":{\"http\":[{\"after\":"
		"\"127.0.0.1:81\",\"before\":\"127.0.0.1:80\",\"key\":\"address\"}]}},\"setting\":{"
		"\"changed\":["
		"\"log\",\"admin\",\"timeouts\"],\"values\":{\"admin\":[{\"after\":\"[weir.test]\","
		"\"before\":\"[]\","
		"\"key\":\"hosts\"}],\"log\":[{\"after\":\"debug\",\"before\":\"info\",\"key\":\"events."
		"level\"}],"
		"\"timeouts\":[{\"after\":\"3s\",\"before\":\"1s\",\"key\":\"connect\"}]}}}");
	differs(HTTP, HTTP "workers: 2\nzone: a\nresolver: {attempts: 7}\ncookie_secret: 0123456789abcdef\n",
		"{\"setting\":{\"changed\":[\"workers\",\"zone\",\"cookie_secret\",\"resolver\"],\"values\":{"
		"\"resolver\":[{\"after\":\"7\",\"before\":\"3\",\"key\":\"attempts\"}],\"workers\":[{"
		"\"after\":\"2\","
		"\"before\":\"auto\",\"key\":\"workers\"}],\"zone\":[{\"after\":\"a\",\"before\":\"null\","
		"\"key\":"
		"\"zone\"}]}}}");
}

static void every_key_of_a_backend_counts(void **state)
{
	(void)state;
	differs(HTTP
		"tenants: {a: {hosts: [a.test], services: {s: {pools: {p: {backends: [127.0.0.1:1]}}}}}}\n",
		HTTP
		"tenants: {a: {hosts: [a.test], services: {s: {pools: {p: {backends: [{address: 127.0.0.1:1, "
		"requests: 9, zone: b}]}}}}}}\n",
		"{\"backend\":{\"changed\":[\"a/s/p/127.0.0.1:1\"],\"values\":{\"a/s/p/"
		"127.0.0.1:1\":[{\"after\":"
		"\"9\",\"before\":\"0\",\"key\":\"requests\"},{\"after\":\"b\",\"before\":\"null\",\"key\":"
		"\"zone\"}]}"
		"}}");
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
		cmocka_unit_test(tenants_are_known_by_name_wherever_they_stand),
		cmocka_unit_test(listeners_and_settings_count),
		cmocka_unit_test(every_key_of_a_backend_counts),
		cmocka_unit_test(of_very_many_only_the_number_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
