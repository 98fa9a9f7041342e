/* modules/jwk.c, modules/jws.c: keys and signatures, with the examples of the standards themselves. */
#include "unit.h"

#include "base/obj.h"
#include "../../../modules/jws.h"

/* RFC 7515 A.2, A.3; RFC 8037 A */
#define RS256_KEY \
	"{\"kty\":\"RSA\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-" \
	"4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-" \
	"bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_" \
	"I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ\",\"e\":\"AQAB\"%" \
	"s}"
#define ES256_KEY \
	"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"," \
	"\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"%s}"
#define EDDSA_KEY \
	"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"%s}"
#define EDDSA_ALONE \
	"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}"
#define JOE ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
#define RS256_TOKEN \
	"eyJhbGciOiJSUzI1NiJ9" JOE "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7" \
	"AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_" \
	"nZLgrnbyTyWzO75vRK5h6xBArLI" \
	"ARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-" \
	"eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9" \
	"QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
#define ES256_TOKEN \
	"eyJhbGciOiJFUzI1NiJ9" JOE \
	"DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
/* Its payload is no object: a good signature makes it malformed and nothing worse. */
#define EDDSA_TOKEN \
	"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc." \
	"hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"

static char err[256];

/* more: further members of the key. */
static struct jwks keys_of(const char *format, const char *more)
{
	struct jwks all = {.n = 0};
	char text[2048];

	snprintf(text, sizeof(text), format, more);
	if (!jwks_parse(&all, str_of(text), err, sizeof(err)))
		fail_msg("%s: %s", text, err);
	return all;
}

static enum jws_error verified(struct jwks all, const char *token)
{
	const struct jwks *sets[] = {&all};
	json_t *claims = NULL;
	enum jws_error e = jws_verify(str_of(token), sets, 1, &claims);

	assert_int_equal(claims != NULL, e == JWS_GOOD);
	if (claims)
		assert_string_equal(json_string_value(json_object_get(claims, "iss")), "joe");
	json_decref(claims);
	jwks_free(&all);
	return e;
}

static void the_examples_of_the_standards_are_good(void **state)
{
	(void)state;
	assert_int_equal(verified(keys_of(RS256_KEY, ""), RS256_TOKEN), JWS_GOOD);
	assert_int_equal(verified(keys_of(ES256_KEY, ""), ES256_TOKEN), JWS_GOOD);
	assert_int_equal(verified(keys_of(EDDSA_KEY, ""), EDDSA_TOKEN), JWS_MALFORMED);
	assert_int_equal(
		verified(keys_of("{\"keys\":[" EDDSA_ALONE "," ES256_KEY "]}", ""), ES256_TOKEN), JWS_GOOD);
}

static void every_byte_of_a_token_counts(void **state)
{
	char token[] = ES256_TOKEN;

	(void)state;
	for (size_t i = 0; i < sizeof(token) - 1; i++) {
		char was = token[i];

		token[i] = was == 'A' ? 'B' : 'A';
		assert_int_not_equal(verified(keys_of(ES256_KEY, ""), token), JWS_GOOD);
		token[i] = was;
	}
	for (size_t n = 0; n < sizeof(token) - 1; n++) {
		struct jwks all = keys_of(ES256_KEY, "");
		const struct jwks *sets[] = {&all};
		json_t *claims = NULL;

		assert_int_not_equal(jws_verify((struct str){token, n}, sets, 1, &claims), JWS_GOOD);
		jwks_free(&all);
	}
}

static void the_key_decides_which_algorithm_there_is(void **state)
{
	static const char *const hmac = "eyJhbGciOiJIUzI1NiJ9" JOE "AAAA", *const none =
										   "eyJhbGciOiJub25lIn0" JOE;

	(void)state;
	assert_int_equal(verified(keys_of(RS256_KEY, ""), hmac), JWS_ALGORITHM);
	assert_int_equal(verified(keys_of(RS256_KEY, ""), none), JWS_ALGORITHM);
	assert_int_equal(verified(keys_of(ES256_KEY, ""), RS256_TOKEN), JWS_UNKNOWN_KEY);
	assert_int_equal(verified(keys_of(RS256_KEY, ",\"alg\":\"RS512\""), RS256_TOKEN), JWS_UNKNOWN_KEY);
	assert_int_equal(
		verified(keys_of(RS256_KEY, ",\"alg\":\"RS256\",\"kid\":\"a\""), RS256_TOKEN), JWS_GOOD);
}

static void what_is_no_key_that_is_of_use_is_refused(void **state)
{
	static const char *const texts[] = {"", "{}", "[]", "nonsense", "{\"keys\":[]}",
		"{\"kty\":\"oct\",\"k\":\"AAAA\"}", "{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}",
		"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAA\",\"y\":\"AAAA\"}",
		"{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
		"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		struct jwks all = {.n = 0};

		err[0] = '\0';
		assert_false(jwks_parse(&all, str_of(texts[i]), err, sizeof(err)));
		assert_true(err[0]);
		jwks_free(&all);
	}
	/* One that is for something else is passed over. */
	assert_int_equal(verified(keys_of("{\"keys\":[" EDDSA_ALONE
					  ",{\"kty\":\"oct\",\"k\":\"AAAA\"}," ES256_KEY "]}",
					  ""),
				 ES256_TOKEN),
		JWS_GOOD);
}

/* The same key with another exponent, or another last byte of the modulus. */
static void rsa_that_anybody_could_sign_for_is_no_key(void **state)
{
	static const struct {
		const char *e;
		bool even, good;
	} rows[] = {
		{"AQAB", false, true},
		{"Aw", false, true}, /* 3 */
		{"AQ", false, false}, /* 1: a text is its own signature */
		{"AA", false, false},
		{"Ag", false, false},
		{"AQAA", false, false},
		{"AQAAAAAAAAAB", false, false}, /* 65 bits: only takes time */
		{"", false, false},
		{"AQAB", true, false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct jwks all = {.n = 0};
		char text[2048], *end;

		snprintf(text, sizeof(text), RS256_KEY, "");
		end = strstr(text, "oQ\",\"e\"");
		assert_non_null(end);
		sprintf(end, "o%c\",\"e\":\"%s\"}", rows[i].even ? 'A' : 'Q', rows[i].e);
		if (jwks_parse(&all, str_of(text), err, sizeof(err)) != rows[i].good)
			fail_msg("row %zu", i);
		jwks_free(&all);
	}
}

/* A set of so many keys, the last of which is another one; malloc'ed. */
static char *set_of(unsigned n, const char *key, const char *last)
{
	char *text = malloc((strlen(key) + 1) * n + strlen(last) + 32), *at = text;

	assert_non_null(text);
	at += sprintf(at, "{\"keys\":[");
	for (unsigned i = 1; i < n; i++)
		at += sprintf(at, "%s,", key);
	sprintf(at, "%s]}", last);
	return text;
}

static void keys_that_there_is_no_place_for_are_counted(void **state)
{
	static const char weak[] = "{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}";
	static const struct {
		unsigned n;
		const char *key;
		uint32_t kept, left_out;
	} rows[] = {
		{JWKS_MAX, EDDSA_ALONE, JWKS_MAX, 0}, {JWKS_MAX + 1, EDDSA_ALONE, JWKS_MAX, 1},
		{5000, EDDSA_ALONE, JWKS_MAX, 5000 - JWKS_MAX},
		{JWKS_TRIED, weak, 1, 0}, /* the last one is of use, and was looked at */
		{JWKS_TRIED + 1, weak, 0, 1},
		{5000, "{\"kty\":\"oct\",\"k\":\"AAAA\"}", 1, 0}, /* of another kind: no key is made of it */
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct jwks all = {.n = 0};
		char *text = set_of(rows[i].n, rows[i].key, EDDSA_ALONE), said[JWKS_LEFT_OUT_MAX], number[16];
		bool good = jwks_parse(&all, str_of(text), err, sizeof(err));

		assert_int_equal(good, rows[i].kept > 0);
		assert_int_equal(all.n, rows[i].kept);
		assert_int_equal(all.left_out, rows[i].left_out);
		snprintf(number, sizeof(number), "%u keys", rows[i].left_out);
		jwks_left_out(&all, said);
		assert_true(rows[i].left_out ? strstr(said, number) == said && strstr(said, "take out")
					     : said[0] == '\0');
		jwks_free(&all);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_examples_of_the_standards_are_good),
		cmocka_unit_test(every_byte_of_a_token_counts),
		cmocka_unit_test(the_key_decides_which_algorithm_there_is),
		cmocka_unit_test(what_is_no_key_that_is_of_use_is_refused),
		cmocka_unit_test(rsa_that_anybody_could_sign_for_is_no_key),
		cmocka_unit_test(keys_that_there_is_no_place_for_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
