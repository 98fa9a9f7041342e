/* io/srv_reply.h: the records of a whole answer, or nothing of a malformed one. */
#include "io/srv_reply.h"
#include "unit.h"

#define QUESTION \
	"\x01" \
	"s" \
	"\x04" \
	"test" \
	"\0" \
	"\0\x21" \
	"\0\x01" /* s.test SRV IN, from byte 12 */
#define HEAD(records) \
	"\x12\x34\x81\x80" \
	"\0\x01" \
	"\0" records "\0\0" \
	"\0\0"
#define NAME "\xc0\x0c" /* s.test */
/* ttl, priority 1, weight 2, port 80, target a.test */
#define RECORD(ttl, target) \
	NAME "\0\x21" \
	     "\0\x01" \
	     "\0\0\0" ttl "\0\x0a" \
	     "\0\x01" \
	     "\0\x02" \
	     "\0\x50" target
#define A_TEST \
	"\x01" \
	"a" \
	"\xc0\x0e"

static bool parse(struct srv_answer *a, const char *message, size_t n)
{
	unsigned char *exact = malloc(n ? n : 1); /* so that a byte too far is noticed */
	bool good;

	memcpy(exact, message, n);
	memset(a, 0, sizeof(*a));
	good = srv_reply_parse(a, exact, n);
	free(exact);
	return good;
}

static const char two[] = HEAD("\x02") QUESTION RECORD("\x3c", A_TEST) RECORD("\x05", A_TEST);

static void records_come_with_the_shortest_ttl(void **state)
{
	struct srv_answer a;

	(void)state;
	assert_true(parse(&a, two, sizeof(two) - 1));
	assert_int_equal(a.n, 2);
	assert_int_equal(a.ttl_s, 5);
	assert_string_equal(a.v[0].target, "a.test");
	assert_int_equal(a.v[0].priority, 1);
	assert_int_equal(a.v[0].weight, 2);
	assert_int_equal(a.v[0].port, 80);
}

static void an_answer_that_is_cut_anywhere_says_nothing(void **state)
{
	struct srv_answer a;

	(void)state;
	for (size_t n = 0; n < sizeof(two) - 1; n++) {
		assert_false(parse(&a, two, n));
		assert_int_equal(a.n, 0);
	}
}

static void other_kinds_are_passed_over(void **state)
{
	static const char alias[] = HEAD("\x02") QUESTION NAME "\0\x05"
							       "\0\x01"
							       "\0\0\0\x01"
							       "\0\x02" NAME RECORD("\x3c", A_TEST);
	struct srv_answer a;

	(void)state;
	assert_true(parse(&a, alias, sizeof(alias) - 1));
	assert_int_equal(a.n, 1);
	assert_int_equal(a.ttl_s, 60);
}

/* RFC 2782: "." is a service that is decidedly not available. */
static void a_target_of_the_root_is_nobody(void **state)
{
	static const char root[] = HEAD("\x01") QUESTION NAME "\0\x21"
							      "\0\x01"
							      "\0\0\0\x01"
							      "\0\x07"
							      "\0\0"
							      "\0\0"
							      "\0\x50"
							      "\0";
	struct srv_answer a;

	(void)state;
	assert_true(parse(&a, root, sizeof(root) - 1));
	assert_int_equal(a.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_come_with_the_shortest_ttl),
		cmocka_unit_test(an_answer_that_is_cut_anywhere_says_nothing),
		cmocka_unit_test(other_kinds_are_passed_over),
		cmocka_unit_test(a_target_of_the_root_is_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
