/* modules/access.c: who is known by a certificate, what a pattern says of its subject and its names, and what "any" comes to. */
#include "exchange/suite.h"

#define PASSED "200\nend\n"
#define DENIED "403 access_denied\nend\n"
#define HERE   "192.0.2.7" /* where all come from */
#define ORG    "O=Acme\\\\, Inc" /* of every certificate; as YAML's double quotes have it */

static struct made_cert certs[8];

static const struct {
	const char *cn, *sans;
} made[COUNT_OF(certs)] = {
	{"shop-1", "DNS:a.jobs.test,URI:spiffe://acme/shop,email:shop@acme.test"},
	{"shop-evil", "DNS:a.jobs.test"},
	{"other", NULL},
	{"shop-2,O=Acme", NULL}, /* one name with a comma, not two */
	{"names", NULL}, /* likewise: name_with_a_comma() */
	{"*", "DNS:*"},
	{"ip", "IP:192.0.2.7,RID:1.2.3.4"},
	{"UPPER", "DNS:Upper.Test"},
};

/* One that only looks like two. */
static void name_with_a_comma(struct made_cert *m)
{
	GENERAL_NAMES *all = sk_GENERAL_NAME_new_null();
	GENERAL_NAME *one = GENERAL_NAME_new();
	ASN1_IA5STRING *text = ASN1_IA5STRING_new();

	MUST(all && one && text && ASN1_STRING_set(text, "spiffe://acme/x,DNS:admin.test", -1));
	GENERAL_NAME_set0_value(one, GEN_URI, text);
	MUST(sk_GENERAL_NAME_push(all, one) &&
		X509_add1_ext_i2d(m->x509, NID_subject_alt_name, all, 0, X509V3_ADD_APPEND) == 1 &&
		X509_sign(m->x509, tls.ca.key, EVP_sha256()));
	write_pem(m->cert, m->x509, NULL, NULL);
	GENERAL_NAMES_free(all);
}

static int set_up(void **state)
{
	int failed = set_up_suite(state);

	for (size_t i = 0; i < COUNT_OF(certs); i++) {
		char file[16];

		snprintf(file, sizeof(file), "client%zu", i);
		certs[i] = make_cert(tls.dir,
			(struct cert_wish){
				.file = file, .cn = made[i].cn, .sans = made[i].sans, .issuer = &tls.ca});
		if (strcmp(made[i].cn, "names") == 0)
			name_with_a_comma(&certs[i]);
	}
	return failed;
}

static int tear_down(void **state)
{
	for (size_t i = 0; i < COUNT_OF(certs); i++)
		made_cert_free(&certs[i]);
	return tear_down_suite(state);
}

/* The case, with the certificate of that name; NULL: none. */
static void come_as(struct test_case *c, const char *cn, bool client_h2)
{
	struct conf_upstream_tls up = {.on = true, .verify = true, .ca = str_of(tls.ca.cert)};
	char listener[1024], err[256];
	struct stage *st;

	snprintf(listener, sizeof(listener),
		", tls: {certificates: [{cert: '%s', key: '%s'}], client_ca: '%s', client_auth: optional}",
		tls.cert.cert, tls.cert.key_path, tls.ca.cert);
	c->listener = listener;
	for (size_t i = 0; cn && i < COUNT_OF(certs); i++) {
		if (strcmp(made[i].cn, cn) != 0)
			continue;
		up.cert = str_of(certs[i].cert);
		up.key = str_of(certs[i].key_path);
	}
	assert_true(!cn || up.cert.n);
	st = stage_new(c, (struct pairing){.client_h2 = client_h2});
	st->how.client_tls = true;
	st->client_tls = tls_client_new(&up, client_h2 ? CONF_H2 : CONF_HTTP1, err, sizeof(err));
	assert_non_null(st->client_tls);
	stage_run(st, SIZE_MAX, SIZE_MAX, false, NULL);
	stage_free(&st);
}

static void come(const char *modules, const char *cn, const char *with, const char *answer)
{
	bool passes = strncmp(answer, "200", 3) == 0;
	char top[1024], client[256], name[512], room[128], asked[256];
	struct text subject = text_in(room, sizeof(room));
	struct test_case c = {.name = name,
		.top = top,
		.client = client,
		.origin = "200 end",
		.answer = answer,
		.asked = passes ? asked : ""};

	snprintf(name, sizeof(name), "%s, as %s", modules, cn ? cn : "nobody");
	snprintf(top, sizeof(top), "modules: {%s}\n", modules);
	snprintf(client, sizeof(client), "GET / %s end", with);
	if (cn)
		text_put(&subject, STR(" [x-client-cert-subject: O=Acme\\, Inc,CN="));
	for (const char *p = cn; p && *p; p++)
		text_fmt(&subject, "%s%c", *p == ',' ? "\\" : "", *p);
	text_put(&subject, cn ? STR("]") : STR_NONE);
	snprintf(asked, sizeof(asked), "GET /" STR_FMT "\nend\n", STR_ARG(text_str(&subject)));
	come_as(&c, cn, false);
	come_as(&c, cn, true);
}

static void a_pattern_says_who_comes_by_subject_or_by_another_name(void **state)
{
	static const struct {
		const char *allow, *cn;
		bool good;
	} rows[] = {
		{"\"" ORG ",CN=shop-1\"", "shop-1", true},
		{"\"" ORG ",CN=shop-1\"", "shop-evil", false},
		{"\"" ORG ",CN=shop-1\"", NULL, false},
		{"\"*,CN=shop-*\"", "shop-1", true},
		{"\"*,CN=shop-*\"", "other", false},
		{"\"CN=shop-1\"", "shop-1", false}, /* the whole, not a part of it */
		{"\"*CN=upper\"", "UPPER", false}, /* the bytes, as they are */
		{"\"DNS:a.jobs.test\"", "shop-1", true},
		{"\"DNS:*.jobs.test\"", "shop-1", true},
		{"\"a.jobs.test\"", "shop-1", false},
		{"\"DNS:a.jobs\"", "shop-1", false},
		{"\"URI:spiffe://acme/*\"", "shop-1", true},
		{"\"URI:spiffe://acme/*\"", "other", false},
		{"\"email:*@acme.test\"", "shop-1", true},
		{"\"email:*@acme.test\"", "shop-evil", false},
		/* What the certificate says is no pattern, and one name is not two. */
		{"\"DNS:shop.test\"", "*", false},
		{"\"DNS:admin.test\"", "names", false},
		{"\"*DNS:admin.test\"", "names", false},
		{"\"*,O=Acme\"", "shop-1", false},
		{"\"*,O=Acme\"", "shop-2,O=Acme", false},
		{"\"*CN=shop-2,*\"", "shop-2,O=Acme", false},
		{"\"*,CN=shop-2\\\\,O=*\"", "shop-2,O=Acme", true},
		{"\"*,CN=shop-*\"", "shop-2,O=Acme", true},
		{"\"IP:192.0.2.7\"", "ip", false}, /* of other kinds nothing is known */
		{"\"" HERE "\"", "ip", false},
		/* Who has no certificate is nobody, not even for a pattern that fits all. */
		{"\"*\"", "other", true},
		{"\"*\"", NULL, false},
		{"\"\"", NULL, false},
		{"\"\"", "other", false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char modules[256];

		snprintf(modules, sizeof(modules), "access: {subjects: {allow: [\"nobody\", %s]}}",
			rows[i].allow);
		come(modules, rows[i].cn, "", rows[i].good ? PASSED : DENIED);
	}
}

static void a_subject_that_is_denied_is_whatever_else_allows_it(void **state)
{
	static const struct {
		const char *keys, *cn, *answer;
	} rows[] = {
		{"subjects: {deny: ['*CN=shop-evil']}", "shop-evil", DENIED},
		{"subjects: {deny: ['*CN=shop-evil']}", "shop-1", PASSED},
		{"subjects: {deny: ['*CN=shop-evil']}", NULL, PASSED},
		{"subjects: {deny: ['DNS:a.jobs.test']}", "shop-1", DENIED},
		{"subjects: {deny: ['*']}", NULL, PASSED},
		{"subjects: {allow: ['*'], deny: ['*CN=shop-evil']}", "shop-evil", DENIED},
		{"subjects: {allow: ['*'], deny: ['*CN=shop-evil']}", "other", PASSED},
		{"subjects: {allow: ['DNS:a.jobs.test'], deny: ['*CN=shop-evil']}", "shop-evil", DENIED},
		{"subjects: {allow: ['*CN=shop-1'], deny: ['URI:*']}", "shop-1", DENIED},
		/* Both the address and the certificate must be allowed. */
		{"allow: [" HERE "], subjects: {allow: ['*CN=other']}", "other", PASSED},
		{"allow: [" HERE "], subjects: {allow: ['*CN=other']}", "shop-1", DENIED},
		{"allow: [" HERE "], subjects: {allow: ['*CN=other']}", NULL, DENIED},
		{"deny: [" HERE "], subjects: {allow: ['*CN=other']}", "other", DENIED},
		{"allow: [198.51.100.0/24], subjects: {allow: ['*CN=other']}", "other", DENIED},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char modules[256];

		snprintf(modules, sizeof(modules), "access: {%s}", rows[i].keys);
		come(modules, rows[i].cn, "", rows[i].answer);
	}
}

static void the_narrowest_network_counts_whatever_the_order(void **state)
{
	static const struct {
		const char *keys;
		bool good;
	} rows[] = {
		{"", true},
		{"allow: [], deny: []", true},
		{"deny: [192.0.2.0/24], allow: [" HERE "]", true},
		{"allow: [192.0.2.0/24], deny: [" HERE "]", false},
		{"allow: [" HERE "], deny: [" HERE "/32]", false}, /* the same one */
		{"allow: [0.0.0.0/0], deny: [192.0.2.0/29, 192.0.2.0/24]", false},
		{"allow: [0.0.0.0/0], deny: [192.0.2.8/29]", true},
		{"deny: [0.0.0.0/0]", false},
		{"deny: ['::/0']", true}, /* of the other kind */
		{"allow: ['::/0']", false},
		{"deny: [198.51.100.0/24]", true},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char top[256];
		struct test_case c = {.name = rows[i].keys,
			.top = top,
			.client = "GET / end",
			.origin = "200 end",
			.answer = rows[i].good ? PASSED : DENIED,
			.asked = rows[i].good ? "GET /\nend\n" : ""};

		snprintf(top, sizeof(top), "modules: {access: {%s}}\n", rows[i].keys);
		case_once(&c, h1, &tls);
	}
}

/* Her password is "eins". */
#define ANNA \
	"basic_auth: {users: ['anna:$5$weirtest$YlHhPvv17QqKoPyONW/Wq1sE94x0dG/Q/O3oVO6BxtC'], header: " \
	"X-User}"
#define EINS "[authorization: Basic YW5uYTplaW5z]"

static void where_any_is_enough_nothing_is_not(void **state)
{
	static const char unknown[] = "401 auth_required\nend\n";
	static const struct {
		const char *keys;
		bool password; /* there is also one */
		const char *cn, *with, *answer;
	} rows[] = {
		{"satisfy: any", false, NULL, "", DENIED}, /* nobody else is there to be satisfied */
		{"satisfy: any, allow: [" HERE "]", false, NULL, "", PASSED},
		{"satisfy: any, allow: [198.51.100.1]", false, NULL, "", DENIED},
		{"satisfy: any, subjects: {allow: ['*CN=other']}", false, "other", "", PASSED},
		{"satisfy: any, subjects: {allow: ['*CN=other']}", false, "shop-1", "", DENIED},
		{"satisfy: any, subjects: {deny: ['*CN=other']}", false, NULL, "", PASSED},
		/* With a password beside it. */
		{"satisfy: any", true, NULL, "", unknown},
		{"satisfy: any, subjects: {allow: ['*CN=other']}", true, "other", "", PASSED},
		{"satisfy: any, subjects: {allow: ['*CN=other']}", true, "shop-1", "", unknown},
		{"satisfy: any, subjects: {allow: ['*CN=other']}", true, NULL, "", unknown},
		{"satisfy: any, deny: [" HERE "], subjects: {allow: ['*CN=other']}", true, "other", "",
			unknown},
		{"satisfy: all, subjects: {allow: ['*CN=other']}", true, "other", "", unknown},
		{"satisfy: all, subjects: {allow: ['*CN=other']}", true, "shop-1", EINS, DENIED},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char modules[512];

		snprintf(modules, sizeof(modules), "access: {%s}%s", rows[i].keys,
			rows[i].password ? ", " ANNA : "");
		come(modules, rows[i].cn, rows[i].with, rows[i].answer);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pattern_says_who_comes_by_subject_or_by_another_name),
		cmocka_unit_test(a_subject_that_is_denied_is_whatever_else_allows_it),
		cmocka_unit_test(the_narrowest_network_counts_whatever_the_order),
		cmocka_unit_test(where_any_is_enough_nothing_is_not),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
