/* modules/verified.c: it knows what it was told, whole, until the keys change; and does not grow. */
#include "unit.h"

#include "../../../modules/jws.h"
#include "../../../modules/verified.h"

static bool has(const struct verified *v, const char *token, size_t n)
{
	uint8_t digest[VERIFIED_DIGEST];

	verified_digest(v, (struct str){token, n}, digest);
	return verified_has(v, digest);
}

static void add(struct verified *v, const char *token, size_t n)
{
	uint8_t digest[VERIFIED_DIGEST];

	verified_digest(v, (struct str){token, n}, digest);
	verified_add(v, digest);
}

static void every_byte_of_the_token_counts(void **state)
{
	char token[JWS_MAX];
	struct verified v;

	(void)state;
	verified_init(&v);
	memset(token, 'a', sizeof(token));
	assert_false(has(&v, token, sizeof(token)));
	add(&v, token, sizeof(token));
	assert_true(has(&v, token, sizeof(token)));
	assert_false(has(&v, token, sizeof(token) - 1));
	assert_false(has(&v, token, 0));
	for (size_t i = 0; i < sizeof(token); i += 61) {
		token[i] = 'b';
		assert_false(has(&v, token, sizeof(token)));
		token[i] = 'a';
	}
	assert_true(has(&v, token, sizeof(token)));
	verified_free(&v);
}

static void it_forgets_and_learns_anew(void **state)
{
	struct verified v;

	(void)state;
	verified_init(&v);
	verified_forget(&v);
	add(&v, "a.b.c", 5);
	verified_forget(&v);
	assert_false(has(&v, "a.b.c", 5));
	add(&v, "a.b.c", 5);
	assert_true(has(&v, "a.b.c", 5));
	verified_free(&v);
}

static void so_many_are_kept_and_the_last_one_always(void **state)
{
	struct verified v;
	char token[16];
	uint32_t kept = 0;

	(void)state;
	verified_init(&v);
	for (int i = 0; i < 20 * VERIFIED_MAX; i++) {
		int n = snprintf(token, sizeof(token), "%d", i);

		add(&v, token, (size_t)n);
		assert_true(has(&v, token, (size_t)n));
	}
	for (int i = 0; i < 20 * VERIFIED_MAX; i++)
		kept += has(&v, token, (size_t)snprintf(token, sizeof(token), "%d", i));
	assert_in_range(kept, 1, VERIFIED_MAX);
	verified_free(&v);
}

static void each_has_a_key_of_its_own(void **state)
{
	struct verified one, other;
	uint8_t a[VERIFIED_DIGEST], b[VERIFIED_DIGEST], zero[VERIFIED_DIGEST] = {0};

	(void)state;
	verified_init(&one);
	verified_init(&other);
	verified_digest(&one, STR("a.b.c"), a);
	verified_digest(&other, STR("a.b.c"), b);
	assert_memory_not_equal(a, b, sizeof(a));
	assert_memory_not_equal(a, zero, sizeof(a));
	verified_free(&one);
	verified_free(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_of_the_token_counts),
		cmocka_unit_test(it_forgets_and_learns_anew),
		cmocka_unit_test(so_many_are_kept_and_the_last_one_always),
		cmocka_unit_test(each_has_a_key_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
