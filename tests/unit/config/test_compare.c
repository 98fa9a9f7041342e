/* What two configurations say differently, key by key. */
#include "config/compare.h"
#include "conf_text.h"
#include "base/obj.h"
#include "config/fields.h"

struct told {
	char buf[1024];
	struct text t;
};

static void tell(const struct config_change *change, void *arg)
{
	struct told *told = arg;

	if (change->secret)
		text_fmt(&told->t, STR_FMT "\n", STR_ARG(change->key));
	else
		text_fmt(&told->t, STR_FMT " " STR_FMT " -> " STR_FMT "\n", STR_ARG(change->key),
			STR_ARG(change->before), STR_ARG(change->after));
}

/* Of two texts: what the objects that `part` finds in them say differently. */
static void differs(const struct config_object *o, const void *(*part)(const struct conf *c),
	const char *before, const char *after, const char *want)
{
	struct loaded old = load_text(before), new = load_text(after);
	struct told told;

	assert_string_equal(old.said, "");
	assert_string_equal(new.said, "");
	told.t = text_in(told.buf, sizeof(told.buf) - 1);
	config_compare(o, part(old.conf), part(new.conf), tell, &told);
	told.buf[told.t.n] = '\0';
	assert_string_equal(told.buf, want);
	loaded_free(&old);
	loaded_free(&new);
}

static const void *service(const struct conf *c)
{
	return c->tenants[0].services;
}

static const void *pool(const struct conf *c)
{
	return c->tenants[0].services[0].pools;
}

static const void *listener(const struct conf *c)
{
	return c->listeners;
}

static const void *whole(const struct conf *c)
{
	return c;
}

static void values_are_told_as_a_file_has_them(void **state)
{
	(void)state;
	differs(&root_object, whole, LISTEN,
		LISTEN "workers: 3\ntimeouts: {connect: 250ms, drain: 2m}\nlimits: {body: 1MiB}\nlog: "
		       "{access: {format: "
		       "combined}}\n",
		"workers auto -> 3\nlog.access.format json -> combined\ntimeouts.connect 3s -> "
		"250ms\ntimeouts.drain "
		"1m -> 2m\nlimits.body 100MiB -> 1MiB\n");
	differs(&service_object, service, SERVICE(POOLS),
		SERVICE("split: {sticky: \"header:X-User\"}, panic_threshold: 20%, retries: {on: [connect, "
			"503]}, " POOLS),
		"split.sticky none -> header:X-User\npanic_threshold 50% -> 20%\nretries.on [connect, reset, "
		"refused_stream, 503] -> [connect, 503]\n");
}

static void what_may_be_missing_is_on_or_off(void **state)
{
	(void)state;
	differs(&service_object, service, SERVICE("health: {tcp: {}}, " POOLS),
		SERVICE("health: {http: {path: /ok}, rise: 5}, outlier: {}, " POOLS),
		"health.http off -> on\nhealth.tcp on -> off\nhealth.rise 2 -> 5\noutlier off -> on\n");
	differs(&listener_object, listener, "listeners: {a: {address: \"127.0.0.1:1\"}}\n",
		"listeners: {a: {address: \"127.0.0.1:1\", http2: false, trusted_proxies: [10.0.0.0/8]}}\n",
		"http2 on -> off\n");
}

static void balancing_is_told_with_what_it_goes_by(void **state)
{
	(void)state;
	differs(&service_object, service, SERVICE("balance: {hash: {header: X-User}}, " POOLS),
		SERVICE("balance: {hash: {path: true}}, " POOLS),
		"balance {hash: {header: X-User}} -> {hash: {path: true}}\n");
	differs(&service_object, service, SERVICE("balance: {hash: {cookie: c}}, " POOLS),
		SERVICE("balance: ewma, " POOLS), "balance {hash: {cookie: c}} -> ewma\n");
}

static void what_a_pool_has_from_its_service_counts(void **state)
{
	(void)state;
	differs(&pool_object, pool, SERVICE(POOLS), SERVICE("protocol: h2c, " POOLS),
		"protocol http1 -> h2c\n");
}

static void a_secret_is_not_told(void **state)
{
	(void)state;
	differs(&service_object, service, SERVICE("stick: {cookie: c, secret: old}, " POOLS),
		SERVICE("stick: {cookie: c, secret: new}, " POOLS), "stick.secret\n");
}

static void a_value_that_is_too_long_is_cut(void **state)
{
	char is[512];
	struct text t = text_in(is, sizeof(is) - 1);

	(void)state;
	text_put(&t, STR(LISTEN "zone: "));
	for (int i = 0; i < COMPARE_TEXT_MAX + 1; i++)
		text_char(&t, 'z');
	text_char(&t, '\n');
	is[t.n] = '\0';
	differs(&root_object, whole, LISTEN "zone: a\n", is, "zone a -> ...\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_told_as_a_file_has_them),
		cmocka_unit_test(what_may_be_missing_is_on_or_off),
		cmocka_unit_test(balancing_is_told_with_what_it_goes_by),
		cmocka_unit_test(what_a_pool_has_from_its_service_counts),
		cmocka_unit_test(a_secret_is_not_told),
		cmocka_unit_test(a_value_that_is_too_long_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
