/* The TLS transports against each other: handshakes, data, ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tls_pair.h"

static char big[3 * 1024 * 1024];

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

static void both_open(struct tls_pair *p, const char *name)
{
	pair_connect(p, name);
	assert_true(PAIR_UNTIL(p, end_open(&p->s) && end_open(&p->c)));
}

static void exchange(struct tls_pair *p)
{
	pair_write(&p->c, "hello server", 12);
	assert_true(PAIR_UNTIL(p, p->s.got_n == 12));
	assert_memory_equal(p->s.got, "hello server", 12);
	pair_write(&p->s, "hello client", 12);
	assert_true(PAIR_UNTIL(p, p->c.got_n == 12));
	assert_memory_equal(p->c.got, "hello client", 12);
}

static void assert_str(struct str got, const char *want)
{
	char text[512];

	snprintf(text, sizeof(text), STR_FMT, STR_ARG(got));
	assert_string_equal(text, want);
}

static void a_handshake_leads_to_an_open_transport_that_knows_the_session(void **state)
{
	struct tls_pair *p = *state;
	const struct tls_info *info;

	pair_open_contexts(p);
	pair_connect(p, "SHOP.test");
	assert_null(transport_tls(p->s.t));
	assert_true(PAIR_UNTIL(p, end_open(&p->s) && end_open(&p->c)));
	info = transport_tls(p->s.t);
	assert_string_equal(info->version, "TLSv1.3");
	assert_string_equal(info->cipher, "TLS_AES_128_GCM_SHA256");
	assert_str(info->sni, "shop.test");
	assert_str(info->alpn, "http/1.1");
	assert_int_equal(info->peer_subject.n, 0);
	assert_false(info->resumed);
	exchange(p);
	/* An idle connection holds no block. */
	assert_int_equal(p->loop.mem.in_use, 0);
}

static void every_byte_may_come_alone(void **state)
{
	struct tls_pair *p = *state;

	p->drip = true;
	pair_open_contexts(p);
	both_open(p, "shop.test");
	exchange(p);
	transport_shutdown(p->c.t);
	assert_true(PAIR_UNTIL(p, p->s.eof));
}

static void data_goes_both_ways_at_once_through_tiny_socket_buffers(void **state)
{
	struct tls_pair *p = *state;
	int size = 4096;

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 7 + i / 251);
	pair_open_contexts(p);
	both_open(p, "shop.test");
	setsockopt(p->s.t->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(p->c.t->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	p->s.read_limit = 777;
	pair_write(&p->c, big, sizeof(big));
	assert_true(p->c.t->unsent);
	assert_false(p->c.t->writable);
	pair_write(&p->s, big, sizeof(big));
	assert_true(PAIR_UNTIL(p, p->s.got_n == sizeof(big) && p->c.got_n == sizeof(big)));
	assert_memory_equal(p->s.got, big, sizeof(big));
	assert_memory_equal(p->c.got, big, sizeof(big));
	assert_false(p->c.t->unsent);
	assert_int_equal(p->loop.mem.in_use, 0);
}

static void the_pieces_of_one_write_leave_in_one_record(void **state)
{
	struct tls_pair *p = *state;
	struct iovec iov[4] = {{(void *)(uintptr_t) "one ", 4}, {NULL, 0}, {(void *)(uintptr_t) "two ", 4},
		{(void *)(uintptr_t) "three", 5}};
	char room[100];

	pair_open_contexts(p);
	both_open(p, "shop.test");
	p->c.paused = true;
	assert_int_equal(transport_writev(p->s.t, iov, 4), 13);
	assert_true(PAIR_UNTIL(p, p->c.t->readable));
	/* SSL_read() gives one record at a time, so with room for more it would take two calls. */
	assert_int_equal(transport_read(p->c.t, room, sizeof(room)), 13);
	assert_memory_equal(room, "one two three", 13);
}

static void many_small_pieces_longer_than_a_record_arrive_in_order(void **state)
{
	struct tls_pair *p = *state;
	struct iovec iov[50];
	ssize_t n;

	for (int i = 0; i < 50; i++)
		iov[i] = (struct iovec){big + i * 1000, 1000};
	pair_open_contexts(p);
	both_open(p, "shop.test");
	n = transport_writev(p->s.t, iov, 50);
	assert_int_equal(n, 50000);
	assert_true(PAIR_UNTIL(p, p->c.got_n == 50000));
	assert_memory_equal(p->c.got, big, 50000);
}

static void an_answer_of_64_kib_is_encrypted_at_once_and_leaves_in_one_send(void **state)
{
	struct tls_pair *p = *state;
	struct iovec iov[4] = {{big, 300}, {big + 300, 40000}, {NULL, 0}, {big + 40300, 25536}};
	int size = 4096;

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 7 + i / 251);
	pair_open_contexts(p);
	both_open(p, "shop.test");
	setsockopt(p->s.t->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	p->c.paused = true;
	/* The socket is full after the first send, so no more than it held is taken. */
	assert_int_equal(transport_writev(p->s.t, iov, 4), 65836);
	assert_true(p->s.t->unsent);
	assert_false(p->s.t->writable);
	p->c.paused = false;
	end_on_event(p->c.t);
	assert_true(PAIR_UNTIL(p, p->c.got_n == 65836));
	assert_memory_equal(p->c.got, big, 65836);
	assert_int_equal(p->loop.mem.in_use, 0);
}

static void a_peer_that_wants_short_records_gets_them(void **state)
{
	struct tls_pair *p = *state;

	pair_open_contexts(p);
	pair_connect(p, "shop.test");
	assert_true(SSL_set_tlsext_max_fragment_length(ssl_of(&p->c), TLSEXT_max_fragment_length_512));
	assert_true(PAIR_UNTIL(p, end_open(&p->s) && end_open(&p->c)));
	assert_int_equal(SSL_SESSION_get_max_fragment_length(SSL_get_session(ssl_of(&p->s))),
		TLSEXT_max_fragment_length_512);
	pair_write(&p->s, big, sizeof(big));
	assert_true(PAIR_UNTIL(p, p->c.got_n == sizeof(big)));
	assert_memory_equal(p->c.got, big, sizeof(big));
	assert_int_equal(p->loop.mem.in_use, 0);
}

static void a_slow_reader_bounds_what_is_held(void **state)
{
	struct tls_pair *p = *state;

	pair_open_contexts(p);
	both_open(p, "shop.test");
	p->s.paused = true;
	pair_write(&p->c, big, sizeof(big));
	for (int i = 0; i < 20; i++)
		pair_turn(p);
	assert_true(p->c.out_n > 0);
	/* One block of ciphertext at the writer; at the reader, who never asked, the ticket that waits for his answer. */
	assert_true(p->loop.mem.in_use <= mem_block_max() + sizeof(struct block) + 1024);
	p->s.paused = false;
	end_on_event(p->s.t);
	assert_true(PAIR_UNTIL(p, p->s.got_n == sizeof(big)));
}

static void close_notify_ends_one_direction_and_leaves_the_other_open(void **state)
{
	struct tls_pair *p = *state;

	pair_open_contexts(p);
	both_open(p, "shop.test");
	pair_write(&p->c, "last words", 10);
	transport_shutdown(p->c.t);
	assert_false(p->c.t->writable);
	assert_true(PAIR_UNTIL(p, p->s.eof));
	assert_int_equal(p->s.got_n, 10);
	pair_write(&p->s, "an answer", 9);
	assert_true(PAIR_UNTIL(p, p->c.got_n == 9));
	assert_false(p->c.dead);
}

static void an_end_without_close_notify_is_an_error(void **state)
{
	struct tls_pair *p = *state;

	pair_open_contexts(p);
	both_open(p, "shop.test");
	pair_write(&p->c, "half of it", 10);
	shutdown(p->c.t->fd, SHUT_WR);
	assert_true(PAIR_UNTIL(p, p->s.dead));
	assert_int_equal(p->s.got_n, 10);
	assert_false(p->s.eof);
}

static void an_aborted_connection_never_looks_complete(void **state)
{
	struct tls_pair *p = *state;

	pair_open_contexts(p);
	both_open(p, "shop.test");
	pair_write(&p->s, "half of it", 10);
	transport_abort(&p->s.t);
	assert_true(PAIR_UNTIL(p, p->c.dead));
	assert_false(p->c.eof);
}

static void what_came_before_a_failed_write_can_still_be_read(void **state)
{
	struct tls_pair *p = *state;
	struct iovec iov = {(void *)(uintptr_t) "more", 4};
	char got[16];

	pair_open_contexts(p);
	both_open(p, "shop.test");
	p->c.paused = true;
	pair_write(&p->s, "an answer", 9);
	transport_abort(&p->s.t);
	assert_int_equal(transport_writev(p->c.t, &iov, 1), TRANSPORT_ERROR);
	assert_int_equal(transport_writev(p->c.t, &iov, 1), TRANSPORT_ERROR);
	assert_true(p->c.t->readable);
	assert_int_equal(transport_read(p->c.t, got, sizeof(got)), 9);
	assert_memory_equal(got, "an answer", 9);
	assert_int_equal(transport_read(p->c.t, got, sizeof(got)), TRANSPORT_ERROR);
	assert_false(p->c.t->readable);
}

static void closing_says_goodbye(void **state)
{
	struct tls_pair *p = *state;

	pair_open_contexts(p);
	both_open(p, "shop.test");
	transport_close(&p->s.t);
	assert_true(PAIR_UNTIL(p, p->c.eof));
	assert_false(p->c.dead);
}

static void the_ticket_goes_with_what_is_written_first(void **state)
{
	struct tls_pair *p = *state;
	const struct tls_transport *server;

	pair_open_contexts(p);
	both_open(p, "shop.test");
	server = (struct tls_transport *)p->s.t;
	assert_true(server->ticket_waits);
	assert_false(p->s.t->unsent);
	assert_true(p->s.t->writable);
	assert_false(SSL_SESSION_has_ticket(SSL_get_session(ssl_of(&p->c))));
	pair_write(&p->c, "a question", 10);
	assert_true(PAIR_UNTIL(p, p->s.got_n == 10));
	assert_true(server->ticket_waits);
	pair_write(&p->s, big, sizeof(big));
	assert_false(server->ticket_waits);
	assert_true(PAIR_UNTIL(p, p->c.got_n == sizeof(big)));
	assert_memory_equal(p->c.got, big, sizeof(big));
	assert_true(SSL_SESSION_has_ticket(SSL_get_session(ssl_of(&p->c))));
}

static void a_connection_of_tls_1_2_waits_for_no_answer_to_be_complete(void **state)
{
	struct tls_pair *p = *state;

	p->max_version = TLS1_2_VERSION;
	pair_open_contexts(p);
	both_open(p, "shop.test");
	assert_false(((struct tls_transport *)p->s.t)->ticket_waits);
	assert_true(SSL_SESSION_has_ticket(SSL_get_session(ssl_of(&p->c))));
}

static void who_took_leave_and_went_hears_no_goodbye(void **state)
{
	struct tls_pair *p = *state;
	char left;

	pair_open_contexts(p);
	both_open(p, "shop.test");
	exchange(p);
	transport_shutdown(p->c.t); /* with FIN */
	assert_true(PAIR_UNTIL(p, p->s.eof && p->s.t->peer_closed));
	transport_close(&p->s.t);
	assert_int_equal(recv(p->c.t->fd, &left, 1, MSG_PEEK), 0);
}

static void who_took_leave_but_was_answered_since_hears_a_goodbye(void **state)
{
	struct tls_pair *p = *state;

	pair_open_contexts(p);
	both_open(p, "shop.test");
	transport_shutdown(p->c.t);
	assert_true(PAIR_UNTIL(p, p->s.eof && p->s.t->peer_closed));
	pair_write(&p->s, "an answer", 9);
	transport_close(&p->s.t);
	assert_true(PAIR_UNTIL(p, p->c.eof));
	assert_int_equal(p->c.got_n, 9);
	assert_false(p->c.dead);
}

static void alpn_picks_h2_where_both_have_it(void **state)
{
	struct tls_pair *p = *state;

	p->http2 = true;
	p->protocol = CONF_AUTO;
	pair_open_contexts(p);
	both_open(p, "shop.test");
	assert_str(transport_tls(p->s.t)->alpn, "h2");
	assert_str(transport_tls(p->c.t)->alpn, "h2");
}

static void alpn_falls_back_to_http1_where_the_client_may(void **state)
{
	struct tls_pair *p = *state;

	p->protocol = CONF_AUTO;
	pair_open_contexts(p);
	both_open(p, "shop.test");
	assert_str(transport_tls(p->c.t)->alpn, "http/1.1");
}

static void alpn_without_overlap_is_an_alert(void **state)
{
	struct tls_pair *p = *state;

	p->protocol = CONF_H2;
	pair_open_contexts(p);
	pair_connect(p, "shop.test");
	assert_true(PAIR_UNTIL(p, p->s.dead && p->c.dead));
	assert_int_equal(p->s.t->why, REASON_CLIENT_TLS);
	assert_int_equal(p->c.t->why, REASON_UPSTREAM_TLS);
	assert_non_null(strstr(tls_error_text(p->c.t), "no application protocol"));
}

static void a_backend_that_ignores_alpn_is_not_spoken_h2_with(void **state)
{
	struct tls_pair *p = *state;

	p->protocol = CONF_H2;
	pair_open_contexts(p);
	pair_connect(p, "shop.test");
	SSL_CTX_set_alpn_select_cb(SSL_get_SSL_CTX(ssl_of(&p->s)), NULL, NULL);
	assert_true(PAIR_UNTIL(p, p->c.dead));
	assert_int_equal(p->c.t->why, REASON_UPSTREAM_ALPN);
}

static void a_certificate_of_another_name_is_not_accepted(void **state)
{
	struct tls_pair *p = *state;

	pair_open_contexts(p);
	pair_connect(p, "other.test");
	assert_true(PAIR_UNTIL(p, p->c.dead && p->s.dead));
	assert_int_equal(p->c.t->why, REASON_UPSTREAM_TLS_VERIFY);
	assert_string_equal(tls_error_text(p->c.t), "hostname mismatch");
	/* What is written now is refused: not one byte of a request has left. */
	assert_int_equal(
		transport_writev(p->c.t, &(struct iovec){(void *)(uintptr_t) "GET", 3}, 1), TRANSPORT_ERROR);
	assert_int_equal(p->s.got_n, 0);
}

static void a_certificate_of_an_unknown_authority_is_not_accepted(void **state)
{
	struct tls_pair *p = *state;
	struct made_cert other = make_cert(p->dir, (struct cert_wish){.file = "other", .cn = "Other CA"});

	p->upstream.ca = zstr(other.cert);
	pair_open_contexts(p);
	pair_connect(p, "shop.test");
	assert_true(PAIR_UNTIL(p, p->c.dead));
	assert_int_equal(p->c.t->why, REASON_UPSTREAM_TLS_VERIFY);
	made_cert_free(&other);
}

static void an_address_without_a_name_must_stand_in_the_certificate(void **state)
{
	struct tls_pair *p = *state;

	pair_open_contexts(p);
	pair_connect(p, "");
	assert_true(PAIR_UNTIL(p, p->c.dead));
	assert_string_equal(tls_error_text(p->c.t), "IP address mismatch");
	pair_disconnect(p);
	made_cert_free(&p->cert);
	p->cert = make_cert(p->dir,
		(struct cert_wish){.file = "shop", .cn = "x", .sans = "IP:127.0.0.1", .issuer = &p->ca});
	tls_server_release(p->server);
	tls_client_release(p->client);
	cert_store_unref(p->store);
	pair_open_contexts(p);
	both_open(p, "");
}

static void verification_can_be_turned_off(void **state)
{
	struct tls_pair *p = *state;

	p->upstream.verify = false;
	pair_open_contexts(p);
	both_open(p, "other.test");
	exchange(p);
}

static void plain_http_is_answered_in_the_clear(void **state)
{
	struct tls_pair *p = *state;
	struct addr a = {.family = ADDR_UNIX};
	char answer[400] = "";
	int fds[2];

	pair_open_contexts(p);
	nonblock_pair(fds);
	end_set(&p->s, tls_accept(&p->loop, fds[1], &a, &a, p->server));
	assert_int_equal(send(fds[0], "GET / HTTP/1.1\r\n\r\n", 18, 0), 18);
	assert_true(PAIR_UNTIL(p, p->s.dead));
	assert_int_equal(p->s.t->why, REASON_CLIENT_PLAIN_ON_TLS);
	assert_true(recv(fds[0], answer, sizeof(answer) - 1, 0) > 0);
	assert_memory_equal(answer, "HTTP/1.1 400 ", 13);
	assert_non_null(strstr(answer, "\r\n\r\nPlain HTTP"));
	assert_int_equal(recv(fds[0], answer, sizeof(answer), 0), 0);
	close(fds[0]);
}

static void a_malformed_hello_gets_an_alert(void **state)
{
	struct tls_pair *p = *state;
	struct addr a = {.family = ADDR_UNIX};
	char answer[400];
	int fds[2];

	pair_open_contexts(p);
	nonblock_pair(fds);
	end_set(&p->s, tls_accept(&p->loop, fds[1], &a, &a, p->server));
	assert_int_equal(send(fds[0], "\x16\3\1\0\6\1\0\0\2\3\3", 11, 0), 11);
	assert_true(PAIR_UNTIL(p, p->s.dead));
	assert_int_equal(p->s.t->why, REASON_CLIENT_TLS);
	assert_true(recv(fds[0], answer, sizeof(answer), 0) > 0);
	assert_int_equal(answer[0], 21);
	close(fds[0]);
}

static void plaintext_from_a_backend_before_the_handshake_is_refused(void **state)
{
	struct tls_pair *p = *state;
	struct addr a;
	enum reason why;
	int fds[2];

	assert_true(addr_parse(&a, STR("127.0.0.1:443")));
	pair_open_contexts(p);
	nonblock_pair(fds);
	end_set(&p->c, tls_connect_fd(&p->loop, fds[0], &a, p->client, STR("shop.test"), &why));
	assert_int_equal(send(fds[1], "HTTP/1.1 200 OK\r\n\r\n", 19, 0), 19);
	assert_true(PAIR_UNTIL(p, p->c.dead));
	assert_int_equal(p->c.t->why, REASON_UPSTREAM_TLS);
	close(fds[1]);
}

static void the_preamble_leaves_in_the_clear_before_the_handshake(void **state)
{
	struct tls_pair *p = *state;
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM, 0), accepted;
	struct addr to;
	enum reason why;
	char got[10];

	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)) | listen(fd, 1), 0);
	getsockname(fd, (struct sockaddr *)&sin, &n);
	addr_from_sockaddr(&to, (struct sockaddr *)&sin, n);
	pair_open_contexts(p);
	end_set(&p->c,
		tls_connect(&p->loop, &to, NULL, p->client, STR("shop.test"), STR("PROXY 1\r\n"), &why));
	assert_int_equal(p->c.t->state, TRANSPORT_CONNECTING);
	assert_true(PAIR_UNTIL(p, p->c.t->state == TRANSPORT_HANDSHAKE));
	accepted = accept4(fd, NULL, NULL, SOCK_NONBLOCK);
	assert_int_equal(recv(accepted, got, 9, MSG_WAITALL), 9);
	assert_memory_equal(got, "PROXY 1\r\n", 9);
	end_set(&p->s, tls_accept(&p->loop, accepted, &to, &to, p->server));
	assert_true(PAIR_UNTIL(p, end_open(&p->c) && end_open(&p->s)));
	exchange(p);
	close(fd);
}

static void a_refused_connection_says_so(void **state)
{
	struct tls_pair *p = *state;
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct addr to;
	enum reason why = REASON_NONE;
	struct transport *t;

	/* Bound, but nobody listens. */
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	getsockname(fd, (struct sockaddr *)&sin, &n);
	addr_from_sockaddr(&to, (struct sockaddr *)&sin, n);
	pair_open_contexts(p);
	t = tls_connect(&p->loop, &to, NULL, p->client, STR("shop.test"), STR_NONE, &why);
	if (t) {
		end_set(&p->c, t);
		assert_true(PAIR_UNTIL(p, p->c.dead));
		why = (enum reason)t->why;
	}
	assert_int_equal(why, REASON_UPSTREAM_REFUSED);
	close(fd);
}

static void a_version_below_the_minimum_is_refused(void **state)
{
	struct tls_pair *p = *state;

	p->conf.min_version = CONF_TLS_1_3;
	pair_open_contexts(p);
	both_open(p, "shop.test");
	assert_string_equal(transport_tls(p->c.t)->version, "TLSv1.3");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_handshake_leads_to_an_open_transport_that_knows_the_session),
		T(every_byte_may_come_alone),
		T(data_goes_both_ways_at_once_through_tiny_socket_buffers),
		T(the_pieces_of_one_write_leave_in_one_record),
		T(many_small_pieces_longer_than_a_record_arrive_in_order),
		T(an_answer_of_64_kib_is_encrypted_at_once_and_leaves_in_one_send),
		T(a_peer_that_wants_short_records_gets_them),
		T(a_slow_reader_bounds_what_is_held),
		T(close_notify_ends_one_direction_and_leaves_the_other_open),
		T(an_end_without_close_notify_is_an_error),
		T(an_aborted_connection_never_looks_complete),
		T(what_came_before_a_failed_write_can_still_be_read),
		T(closing_says_goodbye),
		T(the_ticket_goes_with_what_is_written_first),
		T(a_connection_of_tls_1_2_waits_for_no_answer_to_be_complete),
		T(who_took_leave_and_went_hears_no_goodbye),
		T(who_took_leave_but_was_answered_since_hears_a_goodbye),
		T(alpn_picks_h2_where_both_have_it),
		T(alpn_falls_back_to_http1_where_the_client_may),
		T(alpn_without_overlap_is_an_alert),
		T(a_backend_that_ignores_alpn_is_not_spoken_h2_with),
		T(a_certificate_of_another_name_is_not_accepted),
		T(a_certificate_of_an_unknown_authority_is_not_accepted),
		T(an_address_without_a_name_must_stand_in_the_certificate),
		T(verification_can_be_turned_off),
		T(plain_http_is_answered_in_the_clear),
		T(a_malformed_hello_gets_an_alert),
		T(plaintext_from_a_backend_before_the_handshake_is_refused),
		T(the_preamble_leaves_in_the_clear_before_the_handshake),
		T(a_refused_connection_says_so),
		T(a_version_below_the_minimum_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
