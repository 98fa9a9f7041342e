/* Those whom modules ask: when one counts as lost, and when he is back. */
#include "unit.h"
#include "base/obj.h"
#include "control/dependencies.h"

#define PLACES 2

/* What the module of this program has at one place. */
struct asked {
	const char *address; /* NULL: it asks nobody */
	struct dependency state;
};

static bool depends(const void *values, void *data, struct module_dependency *out)
{
	struct asked *a = data;

	(void)values;
	if (!a->address)
		return false;
	*out = (struct module_dependency){STR("server"), str_of(a->address), "nobody minds", &a->state};
	return true;
}

static const struct module asking = {.config = {.name = "asking"}, .depends = depends};
static const struct module silent = {.config = {.name = "silent"}};

struct bench {
	struct loop loop;
	struct io_thread io;
	struct asked asked[PLACES];
	struct module_data built[PLACES];
	struct module_place place[PLACES], *places[PLACES + 1], other;
	struct module_set set;
	struct dependencies d;
};

static int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	MUST(b && loop_init(&b->loop) && mailbox_init(&b->io.box) >= 0);
	dependencies_init(&b->d, &b->loop, &b->io);
	b->other = (struct module_place){.module = &silent};
	b->places[0] = &b->other;
	for (int i = 0; i < PLACES; i++) {
		b->asked[i].address = "127.0.0.1:6379";
		b->built[i] = (struct module_data){.module = &asking, .data = &b->asked[i]};
		b->place[i] = (struct module_place){.module = &asking, .built = &b->built[i]};
		b->places[i + 1] = &b->place[i];
	}
	b->set = (struct module_set){.places = b->places, .n = PLACES + 1};
	dependencies_follow(&b->d, &b->set);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	dependencies_follow(&b->d, NULL);
	for (int i = 0; i < PLACES; i++)
		dependency_clear(&b->asked[i].state);
	mailbox_deliver(&b->io.box, &b->io); /* events that nobody has taken */
	mailbox_free(&b->io.box);
	loop_free(&b->loop);
	free(b);
	return 0;
}

static struct watched_dependency *only(struct bench *b)
{
	assert_int_equal(b->d.by_key.n, 1);
	return map_next(&b->d.by_key, NULL)->value;
}

/* A second has passed. */
static bool is_lost(struct bench *b)
{
	b->loop.now_ms += DEPENDENCY_LOOK_MS;
	b->d.look.fire(&b->d.look);
	return only(b)->lost_ms != 0;
}

static void who_answers_nobody_is_lost_until_he_answers_everybody(void **state)
{
	struct bench *b = *state;
	struct dependency *state_of = &b->asked[0].state;
	uint64_t since;

	assert_false(is_lost(b));
	dependency_good(state_of);
	assert_false(is_lost(b));
	dependency_bad(state_of, "refused");
	dependency_bad(state_of, "later words");
	assert_true(is_lost(b));
	assert_string_equal(only(b)->problem, "refused");
	assert_string_equal(only(b)->meanwhile, "nobody minds");
	assert_true(str_eq(only(b)->address, STR("127.0.0.1:6379")));
	since = only(b)->lost_ms;
	dependency_bad(state_of, "still refused");
	assert_true(is_lost(b));
	assert_int_equal(only(b)->lost_ms, since);
	dependency_good(state_of);
	assert_false(is_lost(b));
}

static void who_answers_now_and_then_stays_what_he_was(void **state)
{
	struct bench *b = *state;
	struct dependency *state_of = &b->asked[0].state;

	for (int i = 0; i < 3; i++) {
		dependency_good(state_of);
		dependency_bad(state_of, "timeout");
		assert_false(is_lost(b));
	}
	dependency_bad(state_of, "timeout");
	for (int i = 0; i < 3; i++) {
		assert_true(is_lost(b)); /* also a second in which nobody asks */
		dependency_good(state_of);
		dependency_bad(state_of, "timeout");
		assert_true(is_lost(b));
	}
}

static void who_answered_last_is_back_though_nobody_asks_any_more(void **state)
{
	struct bench *b = *state;
	struct dependency *state_of = &b->asked[0].state, *other = &b->asked[1].state;

	dependency_bad(state_of, "timeout");
	dependency_bad(other, "timeout");
	assert_true(is_lost(b));
	dependency_bad(state_of, "timeout");
	dependency_good(state_of);
	assert_true(is_lost(b));
	assert_true(is_lost(b)); /* not for the other place, as far as anybody knows */
	dependency_bad(other, "timeout");
	dependency_good(other);
	assert_true(is_lost(b));
	assert_false(is_lost(b));
	/* A place that was built anew and has asked nothing does not speak against it, nor for it. */
	dependency_bad(state_of, "timeout");
	assert_true(is_lost(b));
	dependency_clear(other);
	*other = (struct dependency){.good = 0};
	dependency_bad(state_of, "timeout");
	dependency_good(state_of);
	assert_false(is_lost(b));
	dependency_bad(state_of, "timeout");
	assert_true(is_lost(b));
	dependency_clear(state_of);
	*state_of = (struct dependency){.good = 0};
	assert_true(is_lost(b));
	assert_true(is_lost(b));
}

static void all_places_that_ask_one_address_are_one(void **state)
{
	struct bench *b = *state;

	dependency_good(&b->asked[0].state);
	dependency_bad(&b->asked[1].state, "timeout");
	assert_false(is_lost(b));
	dependency_bad(&b->asked[1].state, "timeout");
	assert_true(is_lost(b));
	b->asked[1].address = "127.0.0.1:6380";
	dependencies_follow(&b->d, &b->set);
	assert_int_equal(b->d.by_key.n, 2);
}

static void a_remark_is_kept_until_there_is_another_or_none(void **state)
{
	struct bench *b = *state;

	dependency_remark(&b->asked[0].state, "overtaken");
	dependency_remark(&b->asked[0].state, "6 are left out");
	dependency_good(&b->asked[0].state);
	assert_false(is_lost(b));
	assert_string_equal(only(b)->remark, "6 are left out");
	dependency_remark(&b->asked[1].state, "6 are left out");
	assert_false(is_lost(b));
	assert_string_equal(only(b)->remark, "6 are left out");
	dependency_remark(&b->asked[1].state, "");
	assert_false(is_lost(b));
	assert_string_equal(only(b)->remark, "");
	assert_null(dependency_take_remark(&b->asked[0].state));
}

static void what_is_built_anew_is_not_judged_by_what_was(void **state)
{
	struct bench *b = *state;
	struct dependency *state_of = &b->asked[0].state;

	for (int i = 0; i < 5; i++)
		dependency_bad(state_of, "timeout");
	assert_true(is_lost(b));
	dependency_clear(state_of);
	*state_of = (struct dependency){.good = 1};
	dependencies_follow(&b->d, &b->set);
	assert_true(is_lost(b));
	dependency_good(state_of);
	assert_false(is_lost(b));
}

static void who_is_asked_no_more_is_forgotten(void **state)
{
	struct bench *b = *state;

	dependency_bad(&b->asked[0].state, "timeout");
	assert_true(is_lost(b));
	assert_true(deadline_armed(&b->d.look));
	b->asked[0].address = b->asked[1].address = NULL;
	dependencies_follow(&b->d, &b->set);
	assert_int_equal(b->d.by_key.n, 0);
	assert_false(deadline_armed(&b->d.look)); /* where nobody is asked, nobody looks */
}

static void what_servers_say_is_made_fit_to_be_told(void **state)
{
	struct bench *b = *state;

	dependency_bad(&b->asked[0].state, "ERR \xff\xfe bytes");
	assert_true(is_lost(b));
	assert_non_null(strstr(only(b)->problem, " bytes"));
	assert_null(strchr(only(b)->problem, '\xff'));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			who_answers_nobody_is_lost_until_he_answers_everybody, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			who_answers_now_and_then_stays_what_he_was, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			who_answered_last_is_back_though_nobody_asks_any_more, set_up, tear_down),
		cmocka_unit_test_setup_teardown(all_places_that_ask_one_address_are_one, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_remark_is_kept_until_there_is_another_or_none, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_is_built_anew_is_not_judged_by_what_was, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_is_asked_no_more_is_forgotten, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_servers_say_is_made_fit_to_be_told, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
