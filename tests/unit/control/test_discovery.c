/* control/discovery.h: what entries become, whatever their sources have said, have not said yet, or cannot say. What sources say is
 * said here by the test itself; asking is source_dns.c's and its kin's. */
#include "unit.h"
#include <unistd.h>
#include "base/obj.h"
#include "config/backend_address.h"
#include "control/io_thread.h"
#include "control/source.h"

#define ENTRIES 4

struct bench {
	struct loop loop;
	struct io_thread io; /* it never runs */
	struct discovery d;
	struct arena texts;
	struct conf_backend v[ENTRIES];
	uint32_t n, changes;
};

static void on_changed(void *ctx)
{
	((struct bench *)ctx)->changes++;
}

static int set_up(void **state)
{
	static const struct addr nobody = {.family = ADDR_IP4, .ip = {127, 0, 0, 1}, .port = 1};
	struct conf_resolver resolver = {
		.servers = (struct addr *)(uintptr_t)&nobody, .server_n = 1, .timeout = 60000, .attempts = 1};
	struct bench *b = calloc(1, sizeof(*b));

	MUST(b && loop_init(&b->loop) && mailbox_init(&b->io.box) == 0);
	list_init(&b->io.files);
	atomic_store(&b->io.level, 255); /* events are for others to test */
	arena_init(&b->texts, NULL);
	MUST(discovery_init(&b->d, &b->loop, &b->io, on_changed, b));
	/* The loop is never turned: a question stays open until the test answers it. */
	discovery_configure(&b->d, &resolver);
	discovery_begin(&b->d);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	discovery_free(&b->d);
	mailbox_deliver(&b->io.box, &b->io);
	discovery_close(&b->d);
	mailbox_free(&b->io.box);
	arena_free(&b->texts);
	loop_free(&b->loop);
	free(b);
	return 0;
}

static struct conf_backend entry_of(struct arena *a, const char *text)
{
	struct conf_backend e = {.weight = 1};
	const char *why;

	MUST(backend_address_parse(a, str_of(text), &e, &why));
	return e;
}

/* One more entry of the pool. */
static struct conf_backend *entry(struct bench *b, const char *text)
{
	MUST(b->n < ENTRIES);
	b->v[b->n] = entry_of(&b->texts, text);
	return &b->v[b->n++];
}

static struct roster expand(struct bench *b)
{
	return discovery_expand(&b->d, b->v, b->n);
}

/* The pool is exactly these addresses, in this order: "10.0.0.1:80*2" has weight 2. */
static void becomes(struct bench *b, uint8_t lookup, const char *want)
{
	struct roster r = expand(b);
	char got[512] = "";

	for (uint32_t i = 0; i < r.n; i++) {
		size_t n = strlen(got);

		snprintf(got + n, sizeof(got) - n, "%s" STR_FMT "*%u", i ? " " : "", STR_ARG(r.v[i].address),
			r.v[i].weight);
	}
	assert_string_equal(got, want);
	assert_int_equal(r.lookup, lookup);
}

static struct source *source(struct bench *b, const char *key)
{
	struct source *s = map_get(&b->d.sources, str_of(key));

	assert_non_null(s);
	return s;
}

/* The source says: these, each with this weight. */
static void say(struct bench *b, const char *key, uint32_t weight, const char *first, const char *second)
{
	struct source_list list = source_list_new(second ? 2 : 1);

	list.v[0] = entry_of(&list.texts, first);
	if (second)
		list.v[1] = entry_of(&list.texts, second);
	for (uint32_t i = 0; i < list.n; i++)
		list.v[i].weight = weight;
	source_heard(source(b, key), &list);
}

static void addresses_stand_as_they_are(void **state)
{
	struct bench *b = *state;
	struct roster r;

	entry(b, "10.0.0.1:80");
	entry(b, "[fd00::1]:80");
	r = expand(b);
	assert_ptr_equal(r.v, b->v);
	assert_int_equal(r.n, 2);
	assert_int_equal(r.lookup, POOL_KNOWN);
	assert_false(discovery_is_asking(&b->d));
}

static void a_name_is_asked_for_then_it_is_what_was_heard(void **state)
{
	struct bench *b = *state;

	entry(b, "10.0.0.1:80");
	entry(b, "dns:app.test:80")->weight = 3;
	becomes(b, POOL_ASKED, "10.0.0.1:80*1");
	assert_true(discovery_is_asking(&b->d));
	assert_int_equal(b->changes, 0);
	say(b, "dns:app.test:80", 1, "10.0.0.2:80", "10.0.0.3:80");
	assert_int_equal(b->changes, 1);
	assert_false(discovery_is_asking(&b->d));
	becomes(b, POOL_KNOWN, "10.0.0.1:80*1 10.0.0.2:80*3 10.0.0.3:80*3");
}

static void the_same_again_is_no_news(void **state)
{
	struct bench *b = *state;

	entry(b, "dns:app.test:80");
	expand(b);
	say(b, "dns:app.test:80", 1, "10.0.0.2:80", "10.0.0.3:80");
	say(b, "dns:app.test:80", 1, "10.0.0.2:80", "10.0.0.3:80");
	assert_int_equal(b->changes, 1);
	say(b, "dns:app.test:80", 1, "10.0.0.2:80", NULL);
	assert_int_equal(b->changes, 2);
	becomes(b, POOL_KNOWN, "10.0.0.2:80*1");
}

static void one_that_was_never_heard_of_is_unknown_until_it_is(void **state)
{
	struct bench *b = *state;

	entry(b, "dns:app.test:80");
	expand(b);
	source_failed(source(b, "dns:app.test:80"), "nobody answers");
	assert_int_equal(b->changes, 1);
	becomes(b, POOL_UNKNOWN, "");
	source_failed(source(b, "dns:app.test:80"), "nobody answers");
	assert_int_equal(b->changes, 1);
	say(b, "dns:app.test:80", 1, "10.0.0.2:80", NULL);
	becomes(b, POOL_KNOWN, "10.0.0.2:80*1");
}

static void what_was_heard_last_stays_when_nobody_answers(void **state)
{
	struct bench *b = *state;

	entry(b, "dns:app.test:80");
	expand(b);
	say(b, "dns:app.test:80", 1, "10.0.0.2:80", NULL);
	source_failed(source(b, "dns:app.test:80"), "nobody answers");
	assert_int_equal(b->changes, 1);
	becomes(b, POOL_KNOWN, "10.0.0.2:80*1");
}

static void an_address_that_comes_twice_counts_once(void **state)
{
	struct bench *b = *state;

	entry(b, "dns:app.test:80")->weight = 2;
	entry(b, "10.0.0.2:80")->weight = 7;
	expand(b);
	say(b, "dns:app.test:80", 1, "10.0.0.2:80", "10.0.0.3:80");
	becomes(b, POOL_KNOWN, "10.0.0.2:80*2 10.0.0.3:80*2");
}

static void pools_that_name_the_same_share_a_source(void **state)
{
	struct bench *b = *state;
	struct conf_backend other = entry_of(&b->texts, "dns:app.test:80");
	struct roster r;

	entry(b, "dns:app.test:80");
	expand(b);
	r = discovery_expand(&b->d, &other, 1);
	assert_int_equal(r.lookup, POOL_ASKED);
	assert_int_equal(b->d.sources.n, 1);
}

/* Each target of an SRV record is a name of its own, which has to be heard first. */
static void an_srv_record_counts_once_all_its_targets_are_known(void **state)
{
	struct bench *b = *state;

	entry(b, "srv:_http._tcp.app.test")->weight = 2;
	expand(b);
	say(b, "srv:_http._tcp.app.test", 5, "dns:one.test:81", "dns:two.test:82");
	becomes(b, POOL_ASKED, "");
	say(b, "dns:one.test:81", 1, "10.0.0.1:81", NULL);
	becomes(b, POOL_ASKED, "");
	say(b, "dns:two.test:82", 1, "10.0.0.2:82", "10.0.0.3:82");
	becomes(b, POOL_KNOWN, "10.0.0.1:81*10 10.0.0.2:82*10 10.0.0.3:82*10");
	/* A new one: those before it serve until it is known, or known to be nobody. */
	say(b, "srv:_http._tcp.app.test", 1, "dns:two.test:82", "dns:three.test:83");
	becomes(b, POOL_KNOWN, "10.0.0.1:81*10 10.0.0.2:82*10 10.0.0.3:82*10");
	source_failed(source(b, "dns:three.test:83"), "no such name");
	becomes(b, POOL_UNKNOWN, "10.0.0.2:82*2 10.0.0.3:82*2");
}

static void what_nobody_names_any_more_is_forgotten(void **state)
{
	struct bench *b = *state;

	entry(b, "srv:_http._tcp.app.test");
	entry(b, "dns:app.test:80");
	expand(b);
	say(b, "srv:_http._tcp.app.test", 1, "dns:one.test:81", NULL);
	assert_int_equal(b->d.sources.n, 3);
	discovery_begin(&b->d);
	expand(b);
	discovery_sweep(&b->d);
	assert_int_equal(b->d.sources.n, 3); /* the target too: the record names it */
	discovery_begin(&b->d);
	b->v[0] = b->v[1];
	b->n = 1;
	expand(b);
	discovery_sweep(&b->d);
	assert_int_equal(b->d.sources.n, 1);
	source(b, "dns:app.test:80");
}

/* -- what an entry says of those who are found by it -- */

static void keys_of_an_entry_hold_where_what_is_found_does_not_say_more(void **state)
{
	struct bench *b = *state;
	struct conf_backend *e = entry(b, "file:/etc/weir/app.backends");
	struct source_list list = source_list_new(2);
	struct roster r;

	e->weight = 3;
	e->priority = 1;
	e->requests = 10;
	e->zone = STR("here");
	expand(b);
	list.v[0] = entry_of(&list.texts, "10.0.0.1:80");
	list.v[1] = entry_of(&list.texts, "10.0.0.2:80");
	list.v[1].weight = 4;
	list.v[1].priority = 2;
	list.v[1].requests = 20;
	list.v[1].zone = STR("there");
	source_heard(source(b, "file:/etc/weir/app.backends"), &list);
	r = expand(b);
	assert_int_equal(r.n, 2);
	assert_int_equal(r.v[0].weight, 3);
	assert_int_equal(r.v[0].priority, 1);
	assert_int_equal(r.v[0].requests, 10);
	assert_str(r.v[0].zone, "here");
	assert_int_equal(r.v[1].weight, 12);
	assert_int_equal(r.v[1].priority, 3);
	assert_int_equal(r.v[1].requests, 20);
	assert_str(r.v[1].zone, "there");
}

static void weights_and_priorities_stay_within_their_bounds(void **state)
{
	struct bench *b = *state;
	struct conf_backend e = {.weight = 1000, .priority = CONF_PRIORITIES - 1}, found = e;

	(void)b;
	found.weight = 1000 * 1000;
	found = backend_inherit(found, &e);
	assert_int_equal(found.weight, BACKEND_WEIGHT_MAX);
	assert_int_equal(found.priority, CONF_PRIORITIES - 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(addresses_stand_as_they_are),
		CASE(a_name_is_asked_for_then_it_is_what_was_heard),
		CASE(the_same_again_is_no_news),
		CASE(one_that_was_never_heard_of_is_unknown_until_it_is),
		CASE(what_was_heard_last_stays_when_nobody_answers),
		CASE(an_address_that_comes_twice_counts_once),
		CASE(pools_that_name_the_same_share_a_source),
		CASE(an_srv_record_counts_once_all_its_targets_are_known),
		CASE(what_nobody_names_any_more_is_forgotten),
		CASE(keys_of_an_entry_hold_where_what_is_found_does_not_say_more),
		CASE(weights_and_priorities_stay_within_their_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
