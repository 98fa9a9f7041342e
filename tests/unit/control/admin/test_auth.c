/* Who is let in: tokens, certificates, hosts, origins, rates. */
#include "unit.h"
#include "base/obj.h"
#include "control/admin/auth.h"

/* sha256("secret"), sha256("other") */
static const uint8_t secret[32] = {0x2b, 0xb8, 0x0d, 0x53, 0x7b, 0x1d, 0xa3, 0xe3, 0x8b, 0xd3, 0x03, 0x61,
	0xaa, 0x85, 0x56, 0x86, 0xbd, 0xe0, 0xea, 0xcd, 0x71, 0x62, 0xfe, 0xf6, 0xa2, 0x5f, 0xe9, 0x7b, 0xf5,
	0x27, 0xa2, 0x5b};

static struct conf_token tokens[3] = {
	{.name = STR("nobody"), .has_sha256 = true},
	{.name = STR("deploy"), .role = 1, .has_sha256 = true},
	{.name = STR("robot"), .subject = STR("CN=robot")},
};
static struct str host_names[] = {STR("weir.test"), STR("*.inside.test")};
static const struct conf_admin conf = {
	.tokens = tokens, .token_n = 3, .hosts = {.v = host_names, .n = COUNT_OF(host_names)}};

static const char *who(const char *token, const char *subject)
{
	const struct conf_token *t;

	memcpy(tokens[1].sha256, secret, sizeof(secret));
	t = auth_find(&conf, str_of(token), str_of(subject));
	return t ? t->name.p : "?";
}

static void a_token_is_known_by_its_hash_and_a_certificate_by_its_subject(void **state)
{
	(void)state;
	assert_string_equal(who("secret", ""), "deploy");
	assert_string_equal(who("Secret", ""), "?");
	assert_string_equal(who("secret ", ""), "?");
	assert_string_equal(who("", ""), "?");
	assert_string_equal(who("", "CN=robot"), "robot");
	assert_string_equal(who("", "CN=robot2"), "?");
	/* Who shows a token is judged by it. */
	assert_string_equal(who("wrong", "CN=robot"), "?");
}

static struct head head_with(struct arena *a, const char *name, const char *value)
{
	struct head h = {.authority = STR("localhost:9900")};

	if (value)
		fields_add(a, &h.fields, field_id_of(str_of(name)), str_of(name), str_of(value));
	return h;
}

static void bearer_tokens_are_read(void **state)
{
	static const struct {
		const char *value, *want;
	} cases[] = {
		{NULL, ""},
		{"Bearer abc", "abc"},
		{"bearer  abc ", "abc"},
		{"Basic abc", ""},
		{"Bearer", ""},
		{"Bearer ", ""},
		{"Bearerabc", ""},
	};
	struct arena a;

	(void)state;
	arena_init(&a, NULL);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct head h = head_with(&a, "authorization", cases[i].value);

		assert_str(auth_bearer(&h), cases[i].want);
	}
	arena_free(&a);
}

static void a_name_that_is_not_ours_is_foreign(void **state)
{
	static const struct {
		const char *authority;
		bool ours;
	} cases[] = {
		{"localhost", true},
		{"localhost:9900", true},
		{"127.0.0.1:9900", true},
		{"[::1]:9900", true},
		{"192.0.2.1", true},
		{"weir.test:9900", true},
		{"a.inside.test", true},
		{"a.b.inside.test", true},
		{"inside.test", false},
		{"evil.test", false},
		{"localhost.evil.test", false},
		{"127.0.0.1.evil.test:9900", false},
		{"weir.test.evil.test", false},
		{"evilinside.test", false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		assert_int_equal(auth_host_is_ours(&conf, NULL, str_of(cases[i].authority)), cases[i].ours);
}

static void a_page_of_another_site_is_foreign(void **state)
{
	static const struct {
		const char *name, *value;
		bool tls, ours;
	} cases[] = {
		{"origin", NULL, false, true},
		{"origin", "http://localhost:9900", false, true},
		{"origin", "https://localhost:9900", true, true},
		{"origin", "https://localhost:9900", false, false},
		{"origin", "http://localhost:9900", true, false},
		{"origin", "http://localhost:9901", false, false},
		{"origin", "http://localhost:9900.evil.test", false, false},
		{"origin", "http://evil.test", false, false},
		{"origin", "null", false, false},
		{"origin", "", false, false},
		{"sec-fetch-site", "same-origin", false, true},
		{"sec-fetch-site", "none", false, true},
		{"sec-fetch-site", "same-site", false, false},
		{"sec-fetch-site", "cross-site", false, false},
	};
	struct arena a;

	(void)state;
	arena_init(&a, NULL);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct head h = head_with(&a, cases[i].name, cases[i].value);

		assert_int_equal(auth_origin_is_ours(&h, cases[i].tls), cases[i].ours);
	}
	arena_free(&a);
}

static void a_link_on_another_page_leads_here_but_a_form_or_a_frame_does_not(void **state)
{
	static const struct {
		enum method method;
		const char *mode, *dest;
		bool ours;
	} cases[] = {
		{METHOD_GET, "navigate", "document", true},
		{METHOD_POST, "navigate", "document", false},
		{METHOD_GET, "navigate", "iframe", false},
		{METHOD_GET, "no-cors", "script", false},
		{METHOD_GET, "cors", "empty", false},
		{METHOD_GET, "navigate", "", false},
	};
	struct arena a;

	(void)state;
	arena_init(&a, NULL);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct head h = head_with(&a, "sec-fetch-site", "cross-site");

		h.method_id = (uint8_t)cases[i].method;
		fields_add(&a, &h.fields, FIELD_OTHER, STR("sec-fetch-mode"), str_of(cases[i].mode));
		fields_add(&a, &h.fields, FIELD_OTHER, STR("sec-fetch-dest"), str_of(cases[i].dest));
		assert_int_equal(auth_origin_is_ours(&h, false), cases[i].ours);
	}
	arena_free(&a);
}

static void a_rate_gives_its_burst_then_its_pace(void **state)
{
	struct auth_rate r = {0};
	uint64_t now = 1000000000;
	unsigned taken = 0;

	(void)state;
	while (auth_rate_take(&r, now, 10, 50))
		taken++;
	assert_int_equal(taken, 50);
	assert_false(auth_rate_take(&r, now + 99999, 10, 50));
	assert_true(auth_rate_take(&r, now + 100000, 10, 50));
	assert_false(auth_rate_take(&r, now + 100000, 10, 50));
	for (taken = 0; auth_rate_take(&r, now + 3600000000u, 10, 50);)
		taken++;
	assert_int_equal(taken, 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_token_is_known_by_its_hash_and_a_certificate_by_its_subject),
		cmocka_unit_test(bearer_tokens_are_read),
		cmocka_unit_test(a_name_that_is_not_ours_is_foreign),
		cmocka_unit_test(a_page_of_another_site_is_foreign),
		cmocka_unit_test(a_link_on_another_page_leads_here_but_a_form_or_a_frame_does_not),
		cmocka_unit_test(a_rate_gives_its_burst_then_its_pace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
