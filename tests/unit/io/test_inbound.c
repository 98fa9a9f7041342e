/* From the accepted descriptor to the open transport: PROXY header, TLS, deadline. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "io/inbound.h"
#include "tls_pair.h"

struct bench {
	struct tls_pair p; /* contexts, and the client's end */
	struct inbounds in;
	struct inbound_conf conf;
	struct cidr trusted;
	struct end s; /* the opened one */
	enum reason why;
	uint32_t opened, failed;
	char text[200];
	int fd; /* the test's end, if it is not TLS */
	struct addr peer, local;
};

static void on_open(struct inbounds *in, struct transport **t, void *ctx)
{
	struct bench *b = in->user;

	assert_ptr_equal(ctx, b);
	b->opened++;
	end_set(&b->s, TAKE(t));
	end_on_event(b->s.t);
}

static void on_failed(
	struct inbounds *in, enum reason why, const struct addr *peer, const char *text, void *ctx)
{
	struct bench *b = in->user;

	assert_ptr_equal(ctx, b);
	assert_true(addr_eq_ip(peer, &b->peer));
	b->failed++;
	b->why = why;
	snprintf(b->text, sizeof(b->text), "%s", text);
}

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	pair_init(&b->p);
	pair_open_contexts(&b->p);
	b->in = (struct inbounds){.loop = &b->p.loop, .on_open = on_open, .on_failed = on_failed, .user = b};
	inbounds_init(&b->in);
	assert_true(addr_parse(&b->peer, STR("10.1.2.3:999")) && addr_parse(&b->local, STR("10.0.0.1:443")));
	assert_true(cidr_parse(&b->trusted, STR("10.0.0.0/8")));
	b->conf = (struct inbound_conf){.trusted = &b->trusted, .trusted_n = 1, .deadline_ms = 60000};
	b->fd = -1;
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	inbounds_close(&b->in, REASON_SHUTDOWN, NULL);
	end_close(&b->s);
	if (b->fd >= 0)
		close(b->fd);
	pair_free(&b->p);
	free(b);
	return 0;
}

static void start(struct bench *b)
{
	int fds[2];

	nonblock_pair(fds);
	b->fd = fds[0];
	inbound_start(&b->in, fds[1], &b->peer, &b->local, &b->conf, b);
}

/* The client's end speaks TLS, once `first` has gone. */
static void start_tls(struct bench *b, struct str first)
{
	enum reason why;

	b->conf.tls = b->p.server;
	start(b);
	if (first.n)
		assert_int_equal(send(b->fd, first.p, first.n, 0), first.n);
	end_set(&b->p.c, tls_connect_fd(&b->p.loop, b->fd, &b->local, b->p.client, STR("shop.test"), &why));
	b->fd = -1;
}

static void send_str(struct bench *b, struct str s)
{
	assert_int_equal(send(b->fd, s.p, s.n, MSG_NOSIGNAL), s.n);
}

static void a_plain_connection_opens_at_once(void **state)
{
	struct bench *b = *state;

	start(b);
	assert_int_equal(b->opened, 1);
	assert_int_equal(b->in.pending_n, 0);
	send_str(b, STR("hello"));
	assert_true(PAIR_UNTIL(&b->p, b->s.got_n == 5));
}

static void a_tls_connection_opens_after_its_handshake(void **state)
{
	struct bench *b = *state;

	start_tls(b, STR_NONE);
	assert_int_equal(b->in.pending_n, 1);
	assert_true(PAIR_UNTIL(&b->p, b->opened));
	assert_string_equal(transport_tls(b->s.t)->version, "TLSv1.3");
	assert_int_equal(b->in.pending_n, 0);
	pair_write(&b->p.c, "hello", 5);
	assert_true(PAIR_UNTIL(&b->p, b->s.got_n == 5));
}

static void the_proxy_header_may_come_byte_by_byte(void **state)
{
	struct bench *b = *state;
	static const char header[] = "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\nGET";
	char buf[ADDR_TEXT_MAX];

	b->conf.proxy_protocol = true;
	start(b);
	for (size_t i = 0; i < sizeof(header) - 1; i++) {
		send_str(b, (struct str){header + i, 1});
		loop_once(&b->p.loop, 0);
	}
	assert_true(PAIR_UNTIL(&b->p, b->opened && b->s.got_n == 3));
	assert_memory_equal(b->s.got, "GET", 3);
	assert_string_equal(addr_text(&b->s.t->peer, buf).p, "192.0.2.1:56324");
	assert_string_equal(addr_text(&b->s.t->local, buf).p, "198.51.100.7:443");
}

static void the_proxy_header_comes_before_the_handshake(void **state)
{
	struct bench *b = *state;
	char buf[ADDR_TEXT_MAX];

	b->conf.proxy_protocol = true;
	start_tls(b, STR("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\1\xc0\0\2\x09\x30\x39\x01\xbb"));
	assert_true(PAIR_UNTIL(&b->p, b->opened));
	assert_string_equal(addr_text(&b->s.t->peer, buf).p, "127.0.0.1:12345");
}

static void a_proxy_header_from_a_stranger_is_refused(void **state)
{
	struct bench *b = *state;

	b->conf.proxy_protocol = true;
	assert_true(addr_parse(&b->peer, STR("11.1.2.3:999")));
	start(b);
	assert_int_equal(b->failed, 1);
	assert_int_equal(b->why, REASON_CLIENT_PROXY_PROTOCOL);
}

static void a_missing_proxy_header_is_refused(void **state)
{
	struct bench *b = *state;

	b->conf.proxy_protocol = true;
	start(b);
	send_str(b, STR("GET / HTTP/1.1\r\n"));
	assert_true(PAIR_UNTIL(&b->p, b->failed));
	assert_int_equal(b->why, REASON_CLIENT_PROXY_PROTOCOL);
}

static void half_a_proxy_header_and_the_end_is_refused(void **state)
{
	struct bench *b = *state;

	b->conf.proxy_protocol = true;
	start(b);
	send_str(b, STR("PROXY TCP4"));
	loop_once(&b->p.loop, 0);
	shutdown(b->fd, SHUT_WR);
	assert_true(PAIR_UNTIL(&b->p, b->failed));
	assert_int_equal(b->why, REASON_CLIENT_PROXY_PROTOCOL);
}

static void a_handshake_that_drips_ends_at_the_deadline(void **state)
{
	struct bench *b = *state;
	static const char hello[100] = "\x16\3\1\1\0\1\0\0\xfc\3\3";
	uint64_t begun = test_ms();
	size_t sent = 0;

	b->conf.tls = b->p.server;
	b->conf.deadline_ms = 300;
	start(b);
	while (!b->failed) {
		/* Never the end of it, but each byte in time for an idle timeout. */
		if (sent < sizeof(hello))
			send(b->fd, hello + sent++, 1, MSG_NOSIGNAL);
		loop_once(&b->p.loop, 20);
		assert_true(test_ms() - begun < PATIENCE_MS);
	}
	assert_int_equal(b->why, REASON_CLIENT_SLOW_HEADER);
	assert_int_equal(b->in.pending_n, 0);
}

static void a_silent_connection_ends_at_the_deadline(void **state)
{
	struct bench *b = *state;

	b->conf.proxy_protocol = true;
	b->conf.deadline_ms = 150;
	start(b);
	assert_true(PAIR_UNTIL(&b->p, b->failed));
	assert_int_equal(b->why, REASON_CLIENT_SLOW_HEADER);
}

static void a_failed_handshake_says_why(void **state)
{
	struct bench *b = *state;

	b->conf.tls = b->p.server;
	start(b);
	loop_once(&b->p.loop, 0);
	send_str(b, STR("GET / HTTP/1.1\r\n\r\n"));
	assert_true(PAIR_UNTIL(&b->p, b->failed));
	assert_int_equal(b->why, REASON_CLIENT_PLAIN_ON_TLS);
}

static void a_connection_that_leaves_without_a_word_is_not_an_attack(void **state)
{
	struct bench *b = *state;

	b->conf.tls = b->p.server;
	start(b);
	loop_once(&b->p.loop, 0);
	close(b->fd);
	b->fd = -1;
	assert_true(PAIR_UNTIL(&b->p, b->failed));
	assert_int_equal(b->why, REASON_CLIENT_GONE);
}

static void shutting_down_closes_what_is_pending(void **state)
{
	struct bench *b = *state;
	char c;

	b->conf.tls = b->p.server;
	start(b);
	loop_once(&b->p.loop, 0);
	inbounds_close(&b->in, REASON_SHUTDOWN, b);
	assert_int_equal(b->failed, 1);
	assert_int_equal(b->why, REASON_SHUTDOWN);
	assert_int_equal(recv(b->fd, &c, 1, 0), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_plain_connection_opens_at_once),
		T(a_tls_connection_opens_after_its_handshake),
		T(the_proxy_header_may_come_byte_by_byte),
		T(the_proxy_header_comes_before_the_handshake),
		T(a_proxy_header_from_a_stranger_is_refused),
		T(a_missing_proxy_header_is_refused),
		T(half_a_proxy_header_and_the_end_is_refused),
		T(a_handshake_that_drips_ends_at_the_deadline),
		T(a_silent_connection_ends_at_the_deadline),
		T(a_failed_handshake_says_why),
		T(a_connection_that_leaves_without_a_word_is_not_an_attack),
		T(shutting_down_closes_what_is_pending),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
