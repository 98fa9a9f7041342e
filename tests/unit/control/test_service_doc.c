/* What is changed at run time and how it fares against the file, case by case. */
#include "unit.h"
#include "base/obj.h"
#include "control/service_change.h"

#define NOW 1790000000000ll

/* One load of a file: pools "a:100 b:0!" have weights; '!' is draining, '*' another list of backends. */
static struct conf *load(const char *pools)
{
	char text[2048];
	struct text t = text_in(text, sizeof(text) - 1);
	struct conf_report report;
	struct conf *c;

	text_fmt(&t, "{listeners: {l: {address: \"127.0.0.1:80\"}}, tenants: {t: {hosts: [t.test], services: "
		     "{s: {pools: {");
	for (const char *p = pools; *p;) {
		char name = *p;
		unsigned weight = (unsigned)strtoul(p + 2, (char **)&p, 10);
		bool draining = false, other = false;

		for (; *p == '!' || *p == '*' || *p == ' '; p++) {
			draining |= *p == '!';
			other |= *p == '*';
		}

		text_fmt(&t, "%c: {weight: %u, state: %s, backends: [\"10.0.0.%d:80\"]}, ", name, weight,
			draining ? "draining" : "open", other ? 99 : name);
	}
	text_fmt(&t, "}}}}}}");
	text[t.n] = '\0';
	c = conf_load_text("test", text_str(&t), &report);
	MUST(c);
	conf_report_free(&report);
	return c;
}

struct fixture {
	struct conf *conf;
	json_t *doc, *lost;
	enum change_outcome outcome;
	char text[CHANGE_TEXT];
};

static const struct conf_service *service(const struct fixture *f)
{
	return &f->conf->tenants[0].services[0];
}

static void begin(struct fixture *f, const char *pools)
{
	*f = (struct fixture){.conf = load(pools), .lost = json_array()};
	f->doc = service_doc_new(service(f));
}

static void end(struct fixture *f)
{
	json_decref(f->doc);
	json_decref(f->lost);
	conf_free(f->conf);
}

static void apply_at(struct fixture *f, const struct service_change *c, int64_t now_ms)
{
	json_t *next = service_change_apply(f->doc, service(f), c, now_ms, &f->outcome, f->text);

	if (!next)
		return;
	json_decref(f->doc);
	f->doc = next;
}

static void apply(struct fixture *f, struct service_change c)
{
	apply_at(f, &c, NOW);
	json_decref(c.weights);
	json_decref(c.states);
	json_decref(c.backends);
}

static void weigh(struct fixture *f, const char *pool, int weight, uint32_t lease_ms)
{
	apply(f, (struct service_change){.weights = json_pack("{s:i}", pool, weight), .lease_ms = lease_ms});
}

/* The file is loaded again. Was there anything new for the document? */
static bool reload(struct fixture *f, const char *pools)
{
	json_t *next;

	conf_free(f->conf);
	f->conf = load(pools);
	json_array_clear(f->lost);
	next = service_doc_follow(f->doc, service(f), f->lost);
	if (!next)
		return false;
	json_decref(f->doc);
	f->doc = next;
	return true;
}

static uint32_t weight(const struct fixture *f, uint32_t i)
{
	return service_doc_weight(f->doc, &service(f)->pools[i]);
}

static const char *lost(const struct fixture *f, size_t i, const char *member)
{
	return json_string_value(json_object_get(json_array_get(f->lost, i), member));
}

static size_t lost_n(const struct fixture *f)
{
	return json_array_size(f->lost);
}

/* -- changes -- */

static void a_change_is_one_version_more(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "a:100 b:0");
	weigh(&f, "b", 10, 0);
	assert_int_equal(f.outcome, CHANGE_DONE);
	assert_int_equal(service_doc_version(f.doc), 2);
	assert_int_equal(weight(&f, 1), 10);
	weigh(&f, "b", 10, 0);
	assert_int_equal(f.outcome, CHANGE_SAME);
	assert_int_equal(service_doc_version(f.doc), 2);
	end(&f);
}

static void a_version_that_is_over_is_refused(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "a:100 b:0");
	weigh(&f, "b", 10, 0);
	apply(&f, (struct service_change){.if_version = 1, .weights = json_pack("{s:i}", "b", 11)});
	assert_int_equal(f.outcome, CHANGE_CONFLICT);
	apply(&f, (struct service_change){.if_version = 2, .weights = json_pack("{s:i}", "b", 11)});
	assert_int_equal(f.outcome, CHANGE_DONE);
	end(&f);
}

static void what_the_file_says_is_no_change_of_it(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "a:100 b:0");
	weigh(&f, "b", 10, 0);
	weigh(&f, "b", 0, 0);
	assert_int_equal(f.outcome, CHANGE_DONE);
	assert_null(service_doc_set(f.doc, STR("b"), "weight"));
	end(&f);
}

static void several_pools_change_together_or_none(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "a:100 b:0");
	apply(&f, (struct service_change){.weights = json_pack("{s:i, s:i}", "a", 1, "c", 2)});
	assert_int_equal(f.outcome, CHANGE_UNKNOWN);
	assert_int_equal(weight(&f, 0), 100);
	end(&f);
}

static void nobody_left_needs_force(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "a:100 b:0");
	weigh(&f, "a", 0, 0);
	assert_int_equal(f.outcome, CHANGE_UNSAFE);
	apply(&f, (struct service_change){.states = json_pack("{s:s}", "a", "closed")});
	assert_int_equal(f.outcome, CHANGE_UNSAFE);
	apply(&f, (struct service_change){.backends = json_array(), .backends_pool = "a"});
	assert_int_equal(f.outcome, CHANGE_UNSAFE);
	apply(&f, (struct service_change){.weights = json_pack("{s:i}", "a", 0), .force = true});
	assert_int_equal(f.outcome, CHANGE_DONE);
	/* Whoever finds it so may change other things. */
	apply(&f, (struct service_change){.states = json_pack("{s:s}", "a", "pinned")});
	assert_int_equal(f.outcome, CHANGE_DONE);
	end(&f);
}

static void backends_are_added_changed_and_removed(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "a:100");
	apply(&f, (struct service_change){.backends = json_pack("[s]", "10.1.1.1:80"),
			  .backends_pool = "a",
			  .backends_how = BACKENDS_ADD});
	assert_int_equal(json_array_size(service_doc_backends(f.doc, STR("a"))), 2);
	apply(&f, (struct service_change){
			  .backends = json_pack("[{s:s, s:i}]", "address", "10.1.1.1:80", "weight", 5),
			  .backends_pool = "a",
			  .backends_how = BACKENDS_ADD});
	assert_int_equal(json_array_size(service_doc_backends(f.doc, STR("a"))), 2);
	apply(&f, (struct service_change){.backends = json_pack("[s]", "10.9.9.9:80"),
			  .backends_pool = "a",
			  .backends_how = BACKENDS_REMOVE});
	assert_int_equal(f.outcome, CHANGE_UNKNOWN);
	apply(&f, (struct service_change){.backends = json_pack("[s]", "10.1.1.1:80"),
			  .backends_pool = "a",
			  .backends_how = BACKENDS_REMOVE});
	assert_null(service_doc_backends(f.doc, STR("a"))); /* the file's again */
	end(&f);
}

/* -- against the file -- */

static void a_file_that_says_the_same_is_no_news(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "a:100 b:0");
	weigh(&f, "b", 10, 0);
	assert_false(reload(&f, "a:100 b:0"));
	assert_int_equal(weight(&f, 1), 10);
	end(&f);
}

static void another_value_of_the_file_leaves_this_one_alone(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "a:100 b:0");
	weigh(&f, "b", 10, 0);
	assert_true(reload(&f, "a:90 b:0"));
	assert_int_equal(lost_n(&f), 0);
	assert_int_equal(weight(&f, 0), 90);
	assert_int_equal(weight(&f, 1), 10);
	assert_int_equal(service_doc_version(f.doc), 3);
	end(&f);
}

static void a_value_that_changed_in_the_file_wins(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "a:100 b:0");
	weigh(&f, "b", 10, 0);
	assert_true(reload(&f, "a:100 b:20"));
	assert_int_equal(weight(&f, 1), 20);
	assert_int_equal(lost_n(&f), 1);
	assert_string_equal(lost(&f, 0, "pool"), "b");
	assert_string_equal(lost(&f, 0, "what"), "weight");
	end(&f);
}

static void a_value_that_became_what_was_set_wins_as_well(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "a:100 b:0");
	weigh(&f, "b", 10, 0);
	assert_true(reload(&f, "a:100 b:10"));
	assert_null(service_doc_set(f.doc, STR("b"), "weight"));
	assert_int_equal(weight(&f, 1), 10);
	end(&f);
}

static void a_value_that_was_set_after_the_file_changed_stays(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "a:100 b:0");
	assert_true(reload(&f, "a:100 b:20"));
	weigh(&f, "b", 10, 0);
	assert_false(reload(&f, "a:100 b:20"));
	assert_int_equal(weight(&f, 1), 10);
	end(&f);
}

static void states_and_backends_fare_the_same(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "a:100 b:0 c:0");
	apply(&f, (struct service_change){.states = json_pack("{s:s, s:s}", "b", "closed", "c", "pinned")});
	apply(&f, (struct service_change){.backends = json_pack("[s]", "10.1.1.1:80"), .backends_pool = "b"});
	assert_true(reload(&f, "a:100 b:0! c:0"));
	assert_int_equal(service_doc_state(f.doc, &service(&f)->pools[1]), POOL_DRAINING);
	assert_int_equal(service_doc_state(f.doc, &service(&f)->pools[2]), POOL_PINNED);
	assert_int_equal(lost_n(&f), 1);
	assert_non_null(service_doc_backends(f.doc, STR("b")));
	assert_true(reload(&f, "a:100 b:0!* c:0"));
	assert_null(service_doc_backends(f.doc, STR("b")));
	assert_string_equal(lost(&f, 0, "what"), "backends");
	end(&f);
}

static void a_pool_that_is_gone_takes_what_was_set_with_it(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "a:100 b:0");
	weigh(&f, "b", 10, 60000);
	assert_true(reload(&f, "a:100"));
	assert_int_equal(lost_n(&f), 1);
	assert_null(json_object_get(f.doc, "lease"));
	assert_true(reload(&f, "a:100 b:0"));
	assert_int_equal(weight(&f, 1), 0);
	end(&f);
}

static void a_new_pool_is_as_the_file_says(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "a:100 b:0");
	weigh(&f, "b", 10, 0);
	assert_true(reload(&f, "a:100 b:0 c:5"));
	assert_int_equal(lost_n(&f), 0);
	assert_int_equal(weight(&f, 1), 10);
	assert_int_equal(weight(&f, 2), 5);
	end(&f);
}

static void when_nobody_would_be_left_the_file_holds(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "a:100 b:0");
	apply(&f, (struct service_change){.weights = json_pack("{s:i, s:i}", "a", 0, "b", 100)});
	assert_true(reload(&f, "a:100"));
	assert_int_equal(weight(&f, 0), 100);
	assert_int_equal(lost_n(&f), 2);
	end(&f);
}

static void a_service_that_is_gone_leaves_its_version(void **state)
{
	struct fixture f;
	json_t *rest;

	(void)state;
	begin(&f, "a:100 b:0");
	weigh(&f, "b", 10, 0);
	rest = service_doc_without_service(f.doc, f.lost);
	assert_int_equal(lost_n(&f), 1);
	json_decref(f.doc);
	f.doc = rest;
	assert_true(reload(&f, "a:100 b:0"));
	assert_int_equal(weight(&f, 1), 0);
	assert_int_equal(service_doc_version(f.doc), 4);
	end(&f);
}

/* -- leases -- */

static void a_lease_gives_back_what_was_before_it(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "a:100 b:0");
	weigh(&f, "b", 5, 0);
	weigh(&f, "b", 50, 60000);
	weigh(&f, "b", 60, 60000);
	weigh(&f, "a", 40, 60000);
	apply(&f, (struct service_change){.lease_is_over = true, .must = true});
	assert_int_equal(f.outcome, CHANGE_DONE);
	assert_int_equal(weight(&f, 0), 100);
	assert_int_equal(weight(&f, 1), 5);
	assert_null(json_object_get(f.doc, "lease"));
	end(&f);
}

static void a_renewal_is_no_new_version(void **state)
{
	struct fixture f;
	uint32_t left;

	(void)state;
	begin(&f, "a:100 b:0");
	weigh(&f, "b", 5, 60000);
	assert_int_equal(service_doc_version(f.doc), 2);
	weigh(&f, "b", 5, 90000);
	assert_int_equal(f.outcome, CHANGE_RENEWED);
	assert_int_equal(service_doc_version(f.doc), 2);
	assert_true(service_doc_lease(f.doc, NOW, &left));
	assert_int_equal(left, 90000);
	end(&f);
}

static void a_weight_without_a_lease_is_for_good(void **state)
{
	struct fixture f;
	uint32_t left;

	(void)state;
	begin(&f, "a:100 b:0");
	apply(&f, (struct service_change){
			  .weights = json_pack("{s:i, s:i}", "a", 50, "b", 50), .lease_ms = 60000});
	weigh(&f, "b", 50, 0);
	assert_int_equal(f.outcome, CHANGE_RENEWED);
	assert_true(service_doc_lease(f.doc, NOW, &left));
	weigh(&f, "a", 60, 0);
	assert_false(service_doc_lease(f.doc, NOW, &left));
	end(&f);
}

static void a_clock_that_jumps_does_not_make_a_lease_longer(void **state)
{
	struct fixture f;
	uint32_t left;

	(void)state;
	begin(&f, "a:100 b:0");
	weigh(&f, "b", 5, 60000);
	assert_true(service_doc_lease(f.doc, NOW + 20000, &left));
	assert_int_equal(left, 40000);
	assert_true(service_doc_lease(f.doc, NOW - 86400000, &left));
	assert_int_equal(left, 60000);
	assert_true(service_doc_lease(f.doc, NOW + 86400000, &left));
	assert_int_equal(left, 0);
	end(&f);
}

static void a_weight_that_changed_in_the_file_leaves_the_lease(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "a:100 b:0");
	apply(&f, (struct service_change){
			  .weights = json_pack("{s:i, s:i}", "a", 50, "b", 50), .lease_ms = 60000});
	assert_true(reload(&f, "a:100 b:20"));
	apply(&f, (struct service_change){.lease_is_over = true, .must = true});
	assert_int_equal(weight(&f, 0), 100);
	assert_int_equal(weight(&f, 1), 20);
	end(&f);
}

static void the_difference_names_what_was_and_what_is(void **state)
{
	struct fixture f;
	json_t *before, *difference,
		*want = json_pack("{s:{s:[i, i]}, s:{s:[s, s]}}", "a", "weight", 100, 40, "b", "state",
			"open", "pinned");

	(void)state;
	begin(&f, "a:100 b:0");
	before = json_deep_copy(f.doc);
	apply(&f, (struct service_change){.weights = json_pack("{s:i}", "a", 40),
			  .states = json_pack("{s:s}", "b", "pinned")});
	difference = service_doc_difference(before, f.doc, service(&f));
	assert_true(json_equal(difference, want));
	json_decref(difference);
	json_decref(before);
	json_decref(want);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_change_is_one_version_more),
		cmocka_unit_test(a_version_that_is_over_is_refused),
		cmocka_unit_test(what_the_file_says_is_no_change_of_it),
		cmocka_unit_test(several_pools_change_together_or_none),
		cmocka_unit_test(nobody_left_needs_force),
		cmocka_unit_test(backends_are_added_changed_and_removed),
		cmocka_unit_test(a_file_that_says_the_same_is_no_news),
		cmocka_unit_test(another_value_of_the_file_leaves_this_one_alone),
		cmocka_unit_test(a_value_that_changed_in_the_file_wins),
		cmocka_unit_test(a_value_that_became_what_was_set_wins_as_well),
		cmocka_unit_test(a_value_that_was_set_after_the_file_changed_stays),
		cmocka_unit_test(states_and_backends_fare_the_same),
		cmocka_unit_test(a_pool_that_is_gone_takes_what_was_set_with_it),
		cmocka_unit_test(a_new_pool_is_as_the_file_says),
		cmocka_unit_test(when_nobody_would_be_left_the_file_holds),
		cmocka_unit_test(a_service_that_is_gone_leaves_its_version),
		cmocka_unit_test(a_lease_gives_back_what_was_before_it),
		cmocka_unit_test(a_renewal_is_no_new_version),
		cmocka_unit_test(a_weight_without_a_lease_is_for_good),
		cmocka_unit_test(a_clock_that_jumps_does_not_make_a_lease_longer),
		cmocka_unit_test(a_weight_that_changed_in_the_file_leaves_the_lease),
		cmocka_unit_test(the_difference_names_what_was_and_what_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
