/* Certificates from files: what is accepted, what is refused and in which words, what a reload takes over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/stat.h>
#include "certs.h"
#include "io/cert_store.h"

struct bench {
	char *dir;
	struct made_cert a, b;
	struct conf_cert certs[4];
	struct conf_listener_tls conf;
	char said[1024]; /* the last, errors before warnings */
	uint32_t errors, warnings;
	uint32_t line; /* of the last */
};

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	b->dir = certs_dir();
	b->a = make_cert(b->dir,
		(struct cert_wish){.file = "a", .cn = "a", .sans = "DNS:A.test,DNS:*.a.test,IP:1.2.3.4"});
	b->b = make_cert(b->dir, (struct cert_wish){.file = "b", .cn = "b.test"});
	b->conf.certs = b->certs;
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	made_cert_free(&b->a);
	made_cert_free(&b->b);
	certs_dir_remove(b->dir);
	free(b);
	return 0;
}

static void say(void *ctx, struct conf_place place, bool warning, const char *text)
{
	struct bench *b = ctx;

	if (!warning || b->errors == 0)
		snprintf(b->said, sizeof(b->said), "%s", text);
	b->errors += !warning;
	b->warnings += warning;
	b->line = place.line;
}

static void add(struct bench *b, const char *cert, const char *key)
{
	b->certs[b->conf.cert_n] = (struct conf_cert){
		.cert = str_of(cert), .key = str_of(key), .place = {.line = 10 + b->conf.cert_n}};
	b->conf.cert_n++;
}

static struct cert_store *build(struct bench *b, const struct cert_store *previous)
{
	b->errors = b->warnings = 0;
	b->said[0] = 0;
	return cert_store_new(&b->conf, previous, say, b);
}

/* The file is refused with these words, in which %s stands for the directory. */
static void refused(struct bench *b, const char *cert, const char *key, const char *words)
{
	char want[1024];

	b->conf.cert_n = 0;
	add(b, cert, key);
	assert_null(build(b, NULL));
	snprintf(want, sizeof(want), words, b->dir, b->dir);
	assert_string_equal(b->said, want);
	assert_int_equal(b->line, 10);
}

static void names_are_lower_case_and_dns_only(void **state)
{
	struct bench *b = *state;
	struct cert_store *s;

	add(b, b->a.cert, b->a.key_path);
	add(b, b->b.cert, b->b.key_path);
	s = build(b, NULL);
	assert_non_null(s);
	assert_int_equal(s->certs[0]->name_n, 2);
	assert_string_equal(s->certs[0]->names[0].p, "a.test");
	assert_string_equal(s->certs[0]->names[1].p, "*.a.test");
	/* without a subjectAltName the common name counts */
	assert_ptr_equal(cert_store_find(s, STR("b.test"))->v[0], s->certs[1]);
	assert_ptr_equal(cert_store_find(s, STR("x.a.test"))->v[0], s->certs[0]);
	cert_store_unref(s);
}

static void lookups_prefer_exact_then_wildcard_then_the_first(void **state)
{
	struct bench *b = *state;
	struct made_cert exact =
		make_cert(b->dir, (struct cert_wish){.file = "x", .cn = "x", .sans = "DNS:x.a.test"});
	struct cert_store *s;

	add(b, b->b.cert, b->b.key_path);
	add(b, b->a.cert, b->a.key_path);
	add(b, exact.cert, exact.key_path);
	s = build(b, NULL);
	assert_ptr_equal(cert_store_find(s, STR("x.a.test"))->v[0], s->certs[2]);
	assert_ptr_equal(cert_store_find(s, STR("y.a.test"))->v[0], s->certs[1]);
	assert_ptr_equal(cert_store_find(s, STR("y.x.a.test"))->v[0], s->certs[0]);
	assert_ptr_equal(cert_store_find(s, STR(".a.test"))->v[0], s->certs[0]);
	assert_ptr_equal(cert_store_find(s, STR("*.a.test"))->v[0], s->certs[1]);
	assert_ptr_equal(cert_store_find(s, STR_NONE)->v[0], s->certs[0]);
	cert_store_unref(s);
	made_cert_free(&exact);
}

static void what_is_wrong_is_said_in_words(void **state)
{
	struct bench *b = *state;
	struct made_cert weak =
		make_cert(b->dir, (struct cert_wish){.file = "weak", .cn = "weak", .kind = "RSA1024"});
	struct made_cert rsa =
		make_cert(b->dir, (struct cert_wish){.file = "rsa", .cn = "rsa", .kind = "RSA"});
	char path[300];
	FILE *f;

	refused(b, b->a.cert, b->b.key_path, "certificate %s/a.pem and key %s/b.key do not belong together");
	refused(b, b->a.cert, rsa.key_path, "certificate %s/a.pem and key %s/rsa.key do not belong together");
	refused(b, weak.cert, weak.key_path,
		"%s/weak.pem: the RSA key has 1024 bits, which is weak; clients want at least 2048");
	refused(b, b->a.key_path, b->a.key_path, "%s/a.key: there is no PEM certificate in it");
	refused(b, b->a.cert, b->a.cert, "%s/a.pem: there is no PEM private key in it");
	snprintf(path, sizeof(path), "%s/none.pem", b->dir);
	refused(b, path, b->a.key_path, "cannot read %s/none.pem: No such file or directory");
	snprintf(path, sizeof(path), "%s/locked.key", b->dir);
	f = fopen(path, "w");
	PEM_write_PKCS8PrivateKey(f, b->a.key, EVP_aes_128_cbc(), "secret", 6, NULL, NULL);
	fclose(f);
	refused(b, b->a.cert, path,
		"%s/locked.key: the key is encrypted; weir has nobody to ask for its password");
	snprintf(path, sizeof(path), "%s/cut.pem", b->dir);
	f = fopen(path, "w");
	fputs("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", f);
	fclose(f);
	b->conf.cert_n = 0;
	add(b, path, b->a.key_path);
	assert_null(build(b, NULL));
	assert_non_null(strstr(b->said, "certificate 1 cannot be parsed: "));
	made_cert_free(&weak);
	made_cert_free(&rsa);
}

static void write_traditional(FILE *f, EVP_PKEY *key)
{
	BIO *bio = BIO_new_fp(f, BIO_NOCLOSE);

	/* Ed25519 has no older form: its PKCS 8 comes. */
	if (EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519)
		PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
	else
		PEM_write_bio_PrivateKey_traditional(bio, key, NULL, NULL, 0, NULL, NULL);
	BIO_free(bio);
}

static void every_form_of_key_is_read(void **state)
{
	struct bench *b = *state;
	static const char *const kinds[] = {"EC", "RSA", "ED25519"};
	struct cert_store *s;

	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		struct made_cert m =
			make_cert(b->dir, (struct cert_wish){.file = "k", .cn = "k", .kind = kinds[i]});
		FILE *f;

		b->conf.cert_n = 0;
		add(b, m.cert, m.key_path);
		s = build(b, NULL);
		assert_non_null(s);
		assert_non_null(cert_live(s->certs[0]));
		cert_store_unref(s);
		/* The older form, with the parameters before it as openssl ecparam writes them. */
		f = fopen(m.key_path, "w");
		fputs("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n", f);
		write_traditional(f, m.key);
		fclose(f);
		s = build(b, NULL);
		assert_non_null(s);
		assert_int_equal(EVP_PKEY_eq(cert_live(s->certs[0])->key, m.key), 1);
		cert_store_unref(s);
		made_cert_free(&m);
	}
}

static void all_errors_are_said(void **state)
{
	struct bench *b = *state;

	add(b, "/none/1.pem", "/none/1.key");
	add(b, b->a.cert, b->b.key_path);
	assert_null(build(b, NULL));
	assert_int_equal(b->errors, 3);
	assert_int_equal(b->line, 11);
	b->conf.cert_n = 0;
	assert_null(build(b, NULL));
	assert_non_null(strstr(b->said, "there is no certificate"));
}

static void an_expired_certificate_is_served_with_a_warning(void **state)
{
	struct bench *b = *state;
	struct made_cert old = make_cert(
		b->dir, (struct cert_wish){.file = "old", .cn = "old", .from_s = -7200, .to_s = -3600});
	struct cert_store *s;

	add(b, old.cert, old.key_path);
	s = build(b, NULL);
	assert_non_null(s);
	assert_int_equal(b->warnings, 1);
	assert_non_null(strstr(b->said, "old.pem: the certificate has expired"));
	cert_store_unref(s);
	made_cert_free(&old);
}

static void a_staple_that_is_none_is_left_out_with_a_warning(void **state)
{
	struct bench *b = *state;
	struct cert_store *s;

	add(b, b->a.cert, b->a.key_path);
	b->certs[0].ocsp = str_of(b->a.cert);
	s = build(b, NULL);
	assert_non_null(s);
	assert_int_equal(b->warnings, 1);
	assert_int_equal(s->certs[0]->staple.n, 0);
	cert_store_unref(s);
}

static void a_directory_gives_every_pair_in_it(void **state)
{
	struct bench *b = *state;
	struct cert_store *s;
	char from[300], to[300];

	snprintf(from, sizeof(from), "%s/b.pem", b->dir);
	snprintf(to, sizeof(to), "%s/b.crt", b->dir);
	assert_int_equal(rename(from, to), 0);
	snprintf(to, sizeof(to), "%s/lonely.pem", b->dir);
	write_pem(to, b->a.x509, NULL, NULL);
	b->conf.directory = str_of(b->dir);
	s = build(b, NULL);
	assert_non_null(s);
	assert_int_equal(s->cert_n, 2);
	assert_ptr_equal(cert_store_find(s, STR_NONE)->v[0], cert_store_find(s, STR("a.test"))->v[0]);
	assert_int_equal(b->warnings, 1);
	assert_non_null(strstr(b->said, "lonely.pem is left out: there is no lonely.key beside it"));
	cert_store_unref(s);
	b->conf.directory = STR("/does/not/exist");
	assert_null(build(b, NULL));
	assert_string_equal(b->said, "cannot read the directory /does/not/exist: No such file or directory");
}

static void the_chain_goes_along(void **state)
{
	struct bench *b = *state;
	struct made_cert leaf =
		make_cert(b->dir, (struct cert_wish){.file = "leaf", .cn = "leaf", .issuer = &b->a});
	struct cert_store *s;
	const struct cert_live *live;

	write_pem(leaf.cert, leaf.x509, b->a.x509, NULL);
	add(b, leaf.cert, leaf.key_path);
	s = build(b, NULL);
	live = cert_live(s->certs[0]);
	assert_int_equal(X509_cmp(live->x509, leaf.x509), 0);
	assert_int_equal(sk_X509_num(live->chain), 1);
	assert_int_equal(X509_cmp(sk_X509_value(live->chain, 0), b->a.x509), 0);
	cert_store_unref(s);
	made_cert_free(&leaf);
}

static void a_reload_takes_over_what_has_not_changed(void **state)
{
	struct bench *b = *state;
	struct cert_store *first, *second;
	struct timespec soon[2] = {{.tv_sec = time(NULL) + 5}, {.tv_sec = time(NULL) + 5}};

	add(b, b->a.cert, b->a.key_path);
	add(b, b->b.cert, b->b.key_path);
	first = build(b, NULL);
	assert_int_equal(utimensat(AT_FDCWD, b->b.cert, soon, 0), 0);
	second = build(b, first);
	assert_ptr_equal(first->certs[0], second->certs[0]);
	assert_ptr_not_equal(first->certs[1], second->certs[1]);
	/* The certificate outlives the store that read it. */
	cert_store_unref(first);
	assert_string_equal(second->certs[0]->names[0].p, "a.test");
	assert_non_null(cert_live(second->certs[0]));
	cert_store_unref(second);
}

static void *race(void *arg)
{
	return (void *)(uintptr_t)cert_live(arg);
}

static void threads_that_need_a_certificate_at_once_get_the_same(void **state)
{
	struct bench *b = *state;
	struct cert_log log = {NULL, NULL};
	struct cert *c = cert_load(b->a.cert, b->a.key_path, NULL, &log);
	pthread_t threads[4];
	void *got[4];

	assert_non_null(c);
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, race, c);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], &got[i]);
	for (int i = 1; i < 4; i++)
		assert_ptr_equal(got[i], got[0]);
	cert_unref(c);
}

/* The figure that a directory of 10,000 stands on. */
static void an_unused_certificate_takes_little_memory(void **state)
{
	struct bench *b = *state;
	struct cert_log log = {NULL, NULL};
	struct cert *many[200];
	size_t before, after;

	many[0] = cert_load(b->a.cert, b->a.key_path, NULL, &log);
	before = mallinfo2().uordblks;
	for (int i = 1; i < 200; i++)
		many[i] = cert_load(b->a.cert, b->a.key_path, NULL, &log);
	after = mallinfo2().uordblks;
	assert_true((after - before) / 199 < 2500);
	for (int i = 0; i < 200; i++)
		cert_unref(many[i]);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(names_are_lower_case_and_dns_only),
		T(lookups_prefer_exact_then_wildcard_then_the_first),
		T(what_is_wrong_is_said_in_words),
		T(every_form_of_key_is_read),
		T(all_errors_are_said),
		T(an_expired_certificate_is_served_with_a_warning),
		T(a_staple_that_is_none_is_left_out_with_a_warning),
		T(a_directory_gives_every_pair_in_it),
		T(the_chain_goes_along),
		T(a_reload_takes_over_what_has_not_changed),
		T(threads_that_need_a_certificate_at_once_get_the_same),
		T(an_unused_certificate_takes_little_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
