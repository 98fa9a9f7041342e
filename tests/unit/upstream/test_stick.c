/* upstream/stick.h: cookies that name backends, and what clients make of them. */
#include "base/map.h"
#include "base/obj.h"
#include "unit.h"
#include "upstream/stick.h"

#define BACKENDS 50

static struct slot slots[BACKENDS];
static char names[BACKENDS][64];
static struct backend backends[BACKENDS];
static struct backend *pointers[BACKENDS];
static struct conf_policy policy;
static struct conf_pool conf = {.policy = &policy};
static struct stick_token tokens[BACKENDS], others[BACKENDS];
static struct pool pool = {.conf = &conf, .n = BACKENDS, .backends = pointers, .tokens = tokens};
static const uint8_t key[STICK_KEY_BYTES] = "a key of thirty-two bytes, more";
static const uint8_t other_key[STICK_KEY_BYTES] = "another key";

static int set_up(void **state)
{
	(void)state;
	policy.stick = (struct conf_stick){.on = true, .cookie = STR("at")};
	for (int i = 0; i < BACKENDS; i++) {
		snprintf(names[i], sizeof(names[i]), "acme/shop/blue/10.0.0.%d:8080", i);
		slots[i].key = str_of(names[i]);
		backends[i].slot = &slots[i];
		pointers[i] = &backends[i];
	}
	stick_tokens(&pool, key, tokens);
	return 0;
}

static struct str text(const struct stick_token *t)
{
	return (struct str){t->text, STICK_CHARS};
}

static void each_backend_has_a_token_of_its_own_that_a_cookie_can_hold(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < BACKENDS; i++) {
		assert_int_equal(stick_find(&pool, text(&tokens[i])), i);
		for (int c = 0; c < STICK_CHARS; c++)
			assert_true(strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
				tokens[i].text[c]));
	}
}

static void a_token_tells_nothing_without_its_key(void **state)
{
	(void)state;
	stick_tokens(&pool, other_key, others);
	for (int i = 0; i < BACKENDS; i++)
		assert_memory_not_equal(tokens[i].text, others[i].text, STICK_CHARS);
}

static void a_secret_makes_the_same_tokens_on_every_node(void **state)
{
	(void)state;
	policy.stick.secret = STR("correct horse");
	stick_tokens(&pool, key, tokens);
	stick_tokens(&pool, other_key, others);
	assert_memory_equal(tokens, others, sizeof(tokens));
	policy.stick.secret = STR("battery staple");
	stick_tokens(&pool, key, others);
	assert_memory_not_equal(tokens[0].text, others[0].text, STICK_CHARS);
}

static void a_token_is_of_the_identity_not_of_the_place(void **state)
{
	struct backend *last = pointers[BACKENDS - 1];

	(void)state;
	for (int i = BACKENDS - 1; i > 0; i--)
		pointers[i] = pointers[i - 1];
	pointers[0] = last;
	stick_tokens(&pool, key, others);
	assert_memory_equal(others[0].text, tokens[BACKENDS - 1].text, STICK_CHARS);
	assert_memory_equal(others[1].text, tokens[0].text, STICK_CHARS);
}

static void garbage_names_nobody(void **state)
{
	static const struct str bad[] = {STR(""), STR("0"), STR("10.0.0.1:8080"), STR("AAAAAAAAAAAAAAAA"),
		STR("AAAAAAAAAAAAAAAAA"), STR("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), STR("../../../etc/pas")};
	struct str longer = text(&tokens[0]), shorter = text(&tokens[0]);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		assert_int_equal(stick_find(&pool, bad[i]), STICK_NOBODY);
	shorter.n--;
	longer.n++; /* the first byte of the next token */
	assert_int_equal(stick_find(&pool, shorter), STICK_NOBODY);
	assert_int_equal(stick_find(&pool, longer), STICK_NOBODY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(each_backend_has_a_token_of_its_own_that_a_cookie_can_hold, set_up),
		cmocka_unit_test_setup(a_token_tells_nothing_without_its_key, set_up),
		cmocka_unit_test_setup(a_secret_makes_the_same_tokens_on_every_node, set_up),
		cmocka_unit_test_setup(a_token_is_of_the_identity_not_of_the_place, set_up),
		cmocka_unit_test_setup(garbage_names_nobody, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
