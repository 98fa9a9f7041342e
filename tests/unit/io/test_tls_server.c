/* The accepting side: which certificate a name gets, whose tickets are good, who must show a certificate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <openssl/ocsp.h>
#include "tls_pair.h"

static int setup(void **state)
{
	struct tls_pair *p = malloc(sizeof(*p));

	pair_init(p);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	pair_free(*state);
	free(*state);
	return 0;
}

static void exchange(struct tls_pair *p)
{
	pair_write(&p->c, "ping", 4);
	assert_true(PAIR_UNTIL(p, p->s.got_n == 4));
	pair_write(&p->s, "pong", 4);
	assert_true(PAIR_UNTIL(p, p->c.got_n == 4));
}

/* A copy: OpenSSL calls a session unfit once a newer ticket has come on a connection that used it. */
static void go_on_with(struct end *e, SSL_SESSION *session)
{
	SSL_SESSION *copy = SSL_SESSION_dup(session);

	assert_int_equal(SSL_set_session(ssl_of(e), copy), 1);
	SSL_SESSION_free(copy);
}

/* One connection that asks for name; true if it went on with a session. */
static bool connect_once(struct tls_pair *p, const char *name, SSL_SESSION *with, SSL_SESSION **keep)
{
	bool resumed;

	pair_connect(p, name);
	if (with)
		go_on_with(&p->c, with);
	assert_true(PAIR_UNTIL(p, end_open(&p->s) && end_open(&p->c)));
	exchange(p);
	resumed = transport_tls(p->s.t)->resumed;
	assert_int_equal(resumed, transport_tls(p->c.t)->resumed);
	if (keep)
		*keep = SSL_SESSION_dup(SSL_get_session(ssl_of(&p->c)));
	pair_disconnect(p);
	return resumed;
}

/* The common name of the certificate that the client is shown for name; valid until the next call. */
static const char *shown_for(struct tls_pair *p, const char *name)
{
	static char cn[64];
	X509 *x;

	pair_connect(p, name);
	assert_true(PAIR_UNTIL(p, end_open(&p->c) && end_open(&p->s)));
	x = SSL_get0_peer_certificate(ssl_of(&p->c));
	X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, cn, sizeof(cn));
	pair_disconnect(p);
	return cn;
}

static void serve_certs(struct tls_pair *p, struct conf_cert *v, const struct made_cert *made, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		v[i] = (struct conf_cert){.cert = zstr(made[i].cert), .key = zstr(made[i].key_path)};
	p->conf.certs = v;
	p->conf.cert_n = n;
}

static void each_name_gets_its_certificate_and_strangers_the_default(void **state)
{
	struct tls_pair *p = *state;
	struct conf_cert v[3];
	struct made_cert made[3] = {
		make_cert(p->dir, (struct cert_wish){.file = "a", .cn = "default", .sans = "DNS:a.test"}),
		make_cert(p->dir, (struct cert_wish){.file = "b", .cn = "wild", .sans = "DNS:*.b.test"}),
		make_cert(p->dir,
			(struct cert_wish){
				.file = "c", .cn = "exact", .sans = "DNS:shop.b.test", .kind = "ED25519"}),
	};

	serve_certs(p, v, made, 3);
	p->upstream.verify = false;
	pair_open_contexts(p);
	assert_string_equal(shown_for(p, "a.test"), "default");
	assert_string_equal(shown_for(p, "x.b.test"), "wild");
	assert_string_equal(shown_for(p, "SHOP.b.test"), "exact");
	assert_string_equal(shown_for(p, "a.shop.b.test"), "default");
	assert_string_equal(shown_for(p, "b.test"), "default");
	assert_string_equal(shown_for(p, ""), "default");
	for (int i = 0; i < 3; i++)
		made_cert_free(&made[i]);
}

static void a_name_with_two_kinds_of_key_serves_old_clients_too(void **state)
{
	struct tls_pair *p = *state;
	struct conf_cert v[2];
	struct made_cert made[2] = {
		make_cert(p->dir, (struct cert_wish){.file = "e", .cn = "ec", .sans = "DNS:a.test"}),
		make_cert(p->dir,
			(struct cert_wish){.file = "r", .cn = "rsa", .sans = "DNS:a.test", .kind = "RSA"}),
	};
	X509 *x;

	serve_certs(p, v, made, 2);
	p->upstream.verify = false;
	pair_open_contexts(p);
	assert_string_equal(shown_for(p, "a.test"), "ec");
	p->max_version = TLS1_2_VERSION;
	pair_connect(p, "a.test");
	SSL_set_cipher_list(ssl_of(&p->c), "ECDHE-RSA-AES128-GCM-SHA256");
	assert_true(PAIR_UNTIL(p, end_open(&p->c) && end_open(&p->s)));
	x = SSL_get0_peer_certificate(ssl_of(&p->c));
	assert_int_equal(EVP_PKEY_get_base_id(X509_get0_pubkey(x)), EVP_PKEY_RSA);
	for (int i = 0; i < 2; i++)
		made_cert_free(&made[i]);
}

static void a_new_store_serves_the_next_handshake(void **state)
{
	struct tls_pair *p = *state;
	struct made_cert next =
		make_cert(p->dir, (struct cert_wish){.file = "next", .cn = "next", .sans = "DNS:shop.test"});
	struct conf_cert v;
	struct cert_store *store;

	p->upstream.verify = false;
	pair_open_contexts(p);
	assert_string_equal(shown_for(p, "shop.test"), "shop.test");
	serve_certs(p, &v, &next, 1);
	assert_true(tls_server_fits(p->server, &p->conf, false));
	store = cert_store_new(&p->conf, p->store, say_nothing, NULL);
	assert_non_null(store);
	tls_server_set_store(p->server, store);
	cert_store_unref(p->store);
	p->store = store;
	assert_string_equal(shown_for(p, "shop.test"), "next");
	made_cert_free(&next);
}

static void a_changed_policy_asks_for_a_new_context(void **state)
{
	struct tls_pair *p = *state;

	pair_open_contexts(p);
	assert_true(tls_server_fits(p->server, &p->conf, false));
	assert_false(tls_server_fits(p->server, &p->conf, true));
	p->conf.min_version = CONF_TLS_1_3;
	assert_false(tls_server_fits(p->server, &p->conf, false));
	p->conf.min_version = CONF_TLS_1_2;
	p->conf.client_ca = zstr(p->ca.cert);
	assert_false(tls_server_fits(p->server, &p->conf, false));
}

static void settings_that_openssl_refuses_are_told_in_words(void **state)
{
	struct tls_pair *p = *state;
	struct conf_listener_tls bad;
	char err[256] = "";

	pair_open_contexts(p);
	bad = p->conf;
	bad.ciphers = STR("NO-SUCH-CIPHER");
	assert_null(tls_server_new(&bad, p->store, p->keys, false, err, sizeof(err)));
	assert_string_equal(err, "these TLS settings are not usable: no cipher match");
	bad = p->conf;
	bad.client_ca = STR("/does/not/exist");
	assert_null(tls_server_new(&bad, p->store, p->keys, false, err, sizeof(err)));
	assert_non_null(strstr(err, "client_ca /does/not/exist cannot be read"));
}

/* -- OCSP -- */
static void write_staple(const struct tls_pair *p, const char *path)
{
	OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
	OCSP_CERTID *id = OCSP_cert_to_id(NULL, p->cert.x509, p->ca.x509);
	ASN1_TIME *now = X509_gmtime_adj(NULL, 0), *later = X509_gmtime_adj(NULL, 3600);
	OCSP_RESPONSE *r;
	FILE *f = fopen(path, "w");
	unsigned char *der = NULL;
	int n;

	OCSP_basic_add1_status(basic, id, V_OCSP_CERTSTATUS_GOOD, 0, NULL, now, later);
	OCSP_basic_sign(basic, p->ca.x509, p->ca.key, EVP_sha256(), NULL, 0);
	r = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
	n = i2d_OCSP_RESPONSE(r, &der);
	assert_int_equal(fwrite(der, 1, (size_t)n, f), n);
	fclose(f);
	OPENSSL_free(der);
	OCSP_RESPONSE_free(r);
	OCSP_BASICRESP_free(basic);
	OCSP_CERTID_free(id);
	ASN1_TIME_free(now);
	ASN1_TIME_free(later);
}

static void the_ocsp_response_is_stapled_when_asked_for(void **state)
{
	struct tls_pair *p = *state;
	const unsigned char *response;
	char path[300];

	snprintf(path, sizeof(path), "%s/shop.ocsp", p->dir);
	write_staple(p, path);
	p->conf_cert.ocsp = zstr(path);
	pair_open_contexts(p);
	pair_connect(p, "shop.test");
	SSL_set_tlsext_status_type(ssl_of(&p->c), TLSEXT_STATUSTYPE_ocsp);
	assert_true(PAIR_UNTIL(p, end_open(&p->c)));
	assert_true(SSL_get_tlsext_status_ocsp_resp(ssl_of(&p->c), &response) > 100);
}

/* -- tickets -- */
static const void *owner_by_first_letter(void *ctx, struct str sni, uint8_t digest[TLS_DIGEST])
{
	digest[0] = sni.n ? (uint8_t)sni.p[0] : 0;
	return ctx;
}

static void serve_two_tenants(struct tls_pair *p, struct made_cert *made, struct conf_cert *v)
{
	*made = make_cert(p->dir, (struct cert_wish){.file = "two",
					  .cn = "two",
					  .sans = "DNS:a.test,DNS:b.test,DNS:a2.test",
					  .issuer = &p->ca});
	serve_certs(p, v, made, 1);
	pair_open_contexts(p);
	tls_server_set_binding(p->server, (struct tls_binding){owner_by_first_letter, p});
}

static void a_ticket_resumes_under_the_same_owner(void **state)
{
	struct tls_pair *p = *state;
	struct made_cert made;
	struct conf_cert v;
	SSL_SESSION *session;

	serve_two_tenants(p, &made, &v);
	assert_false(connect_once(p, "a.test", NULL, &session));
	/* The client keeps the last session of a name by itself. */
	assert_true(connect_once(p, "a.test", NULL, NULL));
	assert_false(connect_once(p, "a2.test", NULL, NULL));
	assert_true(connect_once(p, "a2.test", session, NULL));
	SSL_SESSION_free(session);
	made_cert_free(&made);
}

static void a_ticket_of_one_tenant_never_resumes_under_another(void **state)
{
	struct tls_pair *p = *state;
	struct made_cert made;
	struct conf_cert v;
	SSL_SESSION *session;

	serve_two_tenants(p, &made, &v);
	for (p->max_version = TLS1_2_VERSION; p->max_version <= TLS1_3_VERSION; p->max_version++) {
		pair_connect(p, "a.test");
		assert_true(PAIR_UNTIL(p, end_open(&p->s) && end_open(&p->c)));
		exchange(p);
		assert_ptr_equal(transport_tls(p->s.t)->binding, p);
		session = SSL_SESSION_dup(SSL_get_session(ssl_of(&p->c)));
		pair_disconnect(p);
		assert_true(connect_once(p, "a.test", session, NULL));
		assert_false(connect_once(p, "b.test", session, NULL));
		SSL_SESSION_free(session);
	}
	made_cert_free(&made);
}

static void rotated_keys_open_old_tickets_until_they_have_gone(void **state)
{
	struct tls_pair *p = *state;
	SSL_SESSION *session;

	pair_open_contexts(p);
	connect_once(p, "shop.test", NULL, &session);
	for (int i = 1; i <= TICKET_KEYS; i++) {
		struct ticket_keys *next = ticket_keys_rotate(p->keys);

		ticket_keys_unref(p->keys);
		p->keys = next;
		tls_server_set_keys(p->server, next);
		assert_int_equal(connect_once(p, "shop.test", session, NULL), i < TICKET_KEYS);
	}
	SSL_SESSION_free(session);
}

static void keys_may_change_in_the_middle_of_handshakes(void **state)
{
	struct tls_pair *p = *state;

	p->drip = true;
	pair_open_contexts(p);
	pair_connect(p, "shop.test");
	for (int turn = 0; turn < 100000 && !(end_open(&p->s) && end_open(&p->c)); turn++) {
		struct ticket_keys *next = ticket_keys_rotate(p->keys);

		ticket_keys_unref(p->keys);
		p->keys = next;
		tls_server_set_keys(p->server, next);
		pair_turn(p);
	}
	assert_true(end_open(&p->s) && end_open(&p->c));
}

/* -- client certificates -- */
static void ask_for_client_certs(struct tls_pair *p, uint8_t auth, struct made_cert *mine)
{
	*mine = make_cert(p->dir, (struct cert_wish){.file = "mine", .cn = "alice", .issuer = &p->ca});
	p->conf.client_ca = zstr(p->ca.cert);
	p->conf.client_auth = auth;
}

static void a_client_certificate_is_verified_and_described(void **state)
{
	struct tls_pair *p = *state;
	const struct tls_info *info;
	struct made_cert mine;

	ask_for_client_certs(p, CONF_CLIENT_REQUIRED, &mine);
	p->upstream.cert = zstr(mine.cert);
	p->upstream.key = zstr(mine.key_path);
	pair_open_contexts(p);
	for (int round = 0; round < 2; round++) { /* the second resumes, and knows it still */
		pair_connect(p, "shop.test");
		assert_true(PAIR_UNTIL(p, end_open(&p->s) && end_open(&p->c)));
		exchange(p);
		info = transport_tls(p->s.t);
		assert_int_equal(info->resumed, round);
		assert_string_equal(info->peer_subject.p, "O=Acme\\, Inc,CN=alice");
		assert_int_equal(info->peer_fingerprint.n, 64);
		pair_disconnect(p);
	}
	made_cert_free(&mine);
}

static void a_required_client_certificate_that_is_missing_ends_it(void **state)
{
	struct tls_pair *p = *state;
	struct made_cert mine;

	ask_for_client_certs(p, CONF_CLIENT_REQUIRED, &mine);
	pair_open_contexts(p);
	pair_connect(p, "shop.test");
	assert_true(PAIR_UNTIL(p, p->s.dead && p->c.dead));
	assert_int_equal(p->s.t->why, REASON_CERT_REQUIRED);
	made_cert_free(&mine);
}

static void an_optional_client_certificate_may_be_missing(void **state)
{
	struct tls_pair *p = *state;
	struct made_cert mine;

	ask_for_client_certs(p, CONF_CLIENT_OPTIONAL, &mine);
	pair_open_contexts(p);
	connect_once(p, "shop.test", NULL, NULL);
	made_cert_free(&mine);
}

static void a_client_certificate_of_an_unknown_authority_is_refused_even_if_optional(void **state)
{
	struct tls_pair *p = *state;
	struct made_cert mine, own = make_cert(p->dir, (struct cert_wish){.file = "own", .cn = "mallory"});

	ask_for_client_certs(p, CONF_CLIENT_OPTIONAL, &mine);
	p->upstream.cert = zstr(own.cert);
	p->upstream.key = zstr(own.key_path);
	pair_open_contexts(p);
	pair_connect(p, "shop.test");
	assert_true(PAIR_UNTIL(p, p->s.dead));
	assert_int_equal(p->s.t->why, REASON_CLIENT_TLS);
	assert_string_equal(tls_error_text(p->s.t), "self-signed certificate");
	made_cert_free(&mine);
	made_cert_free(&own);
}

static void a_ticket_made_without_a_certificate_does_not_replace_one(void **state)
{
	struct tls_pair *p = *state;
	struct made_cert mine;
	SSL_SESSION *session;

	pair_open_contexts(p);
	connect_once(p, "shop.test", NULL, &session);
	ask_for_client_certs(p, CONF_CLIENT_REQUIRED, &mine);
	tls_server_release(p->server);
	p->server = tls_server_new(&p->conf, p->store, p->keys, false, p->err, sizeof(p->err));
	assert_non_null(p->server);
	pair_connect(p, "shop.test");
	go_on_with(&p->c, session);
	assert_true(PAIR_UNTIL(p, p->s.dead));
	assert_int_equal(p->s.t->why, REASON_CERT_REQUIRED);
	SSL_SESSION_free(session);
	made_cert_free(&mine);
}

/* -- floods -- */
static void a_flood_of_key_updates_ends_the_connection(void **state)
{
	struct tls_pair *p = *state;

	pair_open_contexts(p);
	pair_connect(p, "shop.test");
	assert_true(PAIR_UNTIL(p, end_open(&p->s) && end_open(&p->c)));
	for (int i = 0; i < 1000 && !p->s.dead; i++) {
		SSL_key_update(ssl_of(&p->c), SSL_KEY_UPDATE_REQUESTED);
		SSL_do_handshake(ssl_of(&p->c));
		pair_write(&p->c, "x", 1);
		pair_turn(p);
	}
	assert_true(p->s.dead);
	assert_int_equal(p->s.t->why, REASON_CLIENT_TLS);
	assert_true(p->s.got_n < 100);
}

static void renegotiation_is_refused(void **state)
{
	struct tls_pair *p = *state;

	p->max_version = TLS1_2_VERSION;
	pair_open_contexts(p);
	pair_connect(p, "shop.test");
	assert_true(PAIR_UNTIL(p, end_open(&p->s) && end_open(&p->c)));
	SSL_clear_options(ssl_of(&p->c), SSL_OP_NO_RENEGOTIATION);
	assert_int_equal(SSL_renegotiate(ssl_of(&p->c)), 1);
	SSL_do_handshake(ssl_of(&p->c));
	wires_flush((struct tls_transport *)p->c.t);
	assert_true(PAIR_UNTIL(p, p->c.dead));
	assert_string_equal(tls_error_text(p->c.t), "no renegotiation");
	assert_int_equal(((struct tls_transport *)p->s.t)->control, 1);
}

static void honest_key_updates_pass(void **state)
{
	struct tls_pair *p = *state;
	static char data[600000];

	pair_open_contexts(p);
	pair_connect(p, "shop.test");
	assert_true(PAIR_UNTIL(p, end_open(&p->s) && end_open(&p->c)));
	for (size_t i = 1; i <= 60; i++) {
		SSL_key_update(ssl_of(&p->c), SSL_KEY_UPDATE_REQUESTED);
		pair_write(&p->c, data, sizeof(data));
		assert_true(PAIR_UNTIL(p, p->s.got_n == sizeof(data)));
		p->s.got_n = 0;
	}
	assert_false(p->s.dead);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(each_name_gets_its_certificate_and_strangers_the_default),
		T(a_name_with_two_kinds_of_key_serves_old_clients_too),
		T(a_new_store_serves_the_next_handshake),
		T(a_changed_policy_asks_for_a_new_context),
		T(settings_that_openssl_refuses_are_told_in_words),
		T(the_ocsp_response_is_stapled_when_asked_for),
		T(a_ticket_resumes_under_the_same_owner),
		T(a_ticket_of_one_tenant_never_resumes_under_another),
		T(rotated_keys_open_old_tickets_until_they_have_gone),
		T(keys_may_change_in_the_middle_of_handshakes),
		T(a_client_certificate_is_verified_and_described),
		T(a_required_client_certificate_that_is_missing_ends_it),
		T(an_optional_client_certificate_may_be_missing),
		T(a_client_certificate_of_an_unknown_authority_is_refused_even_if_optional),
		T(a_ticket_made_without_a_certificate_does_not_replace_one),
		T(a_flood_of_key_updates_ends_the_connection),
		T(renegotiation_is_refused),
		T(honest_key_updates_pass),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
