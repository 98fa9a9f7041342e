#include "conf_text.h"
#include "config/suggest.h"

static const char *best(const char *word, const char *const *candidates)
{
	struct suggestion s = {.word = str_of(word)};

	for (; *candidates; candidates++)
		suggest_try(&s, str_of(*candidates));
	return s.best.n ? s.best.p : "";
}

static void swapped_neighbours_are_one_edit(void **state)
{
	(void)state;
	assert_int_equal(suggest_distance(STR("wieght"), STR("weight")), 1);
	assert_int_equal(suggest_distance(STR("weight"), STR("weight")), 0);
	assert_int_equal(suggest_distance(STR("Weight"), STR("weight")), 0);
	assert_int_equal(suggest_distance(STR("wght"), STR("weight")), 2);
	assert_int_equal(suggest_distance(STR(""), STR("abc")), 3);
	assert_int_equal(suggest_distance(STR("abc"), STR("")), 3);
}

static void the_nearest_wins_and_the_far_are_not_named(void **state)
{
	static const char *const keys[] = {"pools", "protocol", "proxy_protocol", "path", "tls", NULL};

	(void)state;
	assert_string_equal(best("pool", keys), "pools");
	assert_string_equal(best("protcol", keys), "protocol");
	assert_string_equal(best("paht", keys), "path");
	assert_string_equal(best("database", keys), "");
	assert_string_equal(best("x", keys), "");
}

static const char *best_value(const char *word)
{
	static const char *const values[] = {"http1", "h2", "h2c", "auto", NULL};
	struct suggestion s = {.word = str_of(word)};

	for (unsigned i = 0; values[i]; i++)
		suggest_try_short(&s, str_of(values[i]));
	return s.best.n ? s.best.p : "";
}

static void the_short_form_of_a_word_is_nearer_than_what_is_spelt_alike(void **state)
{
	(void)state;
	assert_string_equal(best_value("http2"), "h2");
	assert_string_equal(best_value("HTTP/2"), "h2");
	assert_string_equal(best_value("http2c"), "h2c");
	assert_string_equal(best_value("http/1.1"), "http1");
	assert_string_equal(best_value("http"), "http1");
	assert_string_equal(best_value("automatic"), "");
	assert_string_equal(best_value(""), "");
}

static void a_very_long_word_is_near_to_nothing(void **state)
{
	static const char *const keys[] = {"weight", NULL};
	char word[5000];

	(void)state;
	memset(word, 'w', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	assert_string_equal(best(word, keys), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(swapped_neighbours_are_one_edit),
		cmocka_unit_test(the_nearest_wins_and_the_far_are_not_named),
		cmocka_unit_test(the_short_form_of_a_word_is_nearer_than_what_is_spelt_alike),
		cmocka_unit_test(a_very_long_word_is_near_to_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
