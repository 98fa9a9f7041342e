/* http/h1/client.c: WebSocket handshakes with backends. */
#include "http/h1/fake_backend.h"

static const struct head tunnel = {
	.method = STR("CONNECT"),
	.method_id = METHOD_CONNECT,
	.protocol = STR("websocket"),
	.authority = STR("a.test"),
	.path = STR("/chat"),
	.body = BODY_TUNNEL,
};

/* The Sec-WebSocket-Accept that fits the key on the wire. */
static const char *accept_for(struct owner *o, char buf[WEBSOCKET_ACCEPT_LEN + 1])
{
	const char *key = strstr(o->ft.out, "Sec-WebSocket-Key: ");

	assert_non_null(key);
	websocket_accept((struct str){key + 19, WEBSOCKET_KEY_LEN}, buf);
	return buf;
}

static void agree(struct owner *o, const char *accept)
{
	char in[512];

	snprintf(in, sizeof(in),
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
		"Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\nhi",
		accept);
	feed(o, in);
}

static void a_tunnel_is_asked_for_with_a_handshake_and_bytes_wait_for_consent(void **state)
{
	struct owner *o = *state;
	char buf[WEBSOCKET_ACCEPT_LEN + 1];

	ask(o, &tunnel, false);
	assert_true(str_starts(
		str_of(o->ft.out), STR("GET /chat HTTP/1.1\r\nHost: a.test\r\nSec-WebSocket-Key: ")));
	assert_non_null(strstr(o->ft.out,
		"==\r\nSec-WebSocket-Version: 13\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"));
	accept_for(o, buf);
	fake_out_clear(&o->ft);
	send_text(o, "early", false);
	assert_out(o, "");
	agree(o, buf);
	assert_heard(o, "200 tunnel\nhi");
	assert_out(o, "early");
	assert_int_equal(o->sent, 5);
	send_text(o, "", true);
	assert_true(o->ft.shut);
	feed(o, "bye");
	fake_feed_eof(&o->ft);
	assert_heard(o, "bye<end>\n");
	assert_true(o->closed);
	assert_false(o->ft.aborted);
}

static void a_reset_behind_the_last_bytes_is_told_a_moment_later(void **state)
{
	struct owner *o = *state;
	char buf[WEBSOCKET_ACCEPT_LEN + 1];

	ask(o, &tunnel, false);
	agree(o, accept_for(o, buf));
	assert_heard(o, "200 tunnel\nhi");
	fake_put(&o->ft, "last", 4);
	fake_feed_reset(&o->ft);
	assert_heard(o, "last");
	pass(o, LOOP_TICK_MS);
	assert_heard(o, "reset upstream_cut_body\n");
	assert_true(o->closed);
}

static void a_wrong_accept_is_refused(void **state)
{
	struct owner *o = *state;

	ask(o, &tunnel, false);
	agree(o, ACCEPT);
	assert_heard(o, "reset upstream_bad_upgrade\n");
}

static void a_handshake_answered_200_is_no_tunnel(void **state)
{
	struct owner *o = *state;

	ask(o, &tunnel, false);
	fake_out_clear(&o->ft);
	send_text(o, "raw bytes", false);
	feed(o, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno");
	assert_heard(o, "200 length=2\nno<end>\n");
	assert_out(o, "");
	assert_int_equal(o->sent, 9);
	release(o);
	run(o);
	assert_int_equal(o->conn->capacity, 1);
}

static void only_websocket_can_be_asked_for(void **state)
{
	struct owner *o = *state;
	struct head h = tunnel;

	h.protocol = STR("connect-udp");
	ask(o, &h, false);
	assert_heard(o, "reset upstream_bad_upgrade\n");
	assert_out(o, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_tunnel_is_asked_for_with_a_handshake_and_bytes_wait_for_consent),
		TEST(a_reset_behind_the_last_bytes_is_told_a_moment_later),
		TEST(a_wrong_accept_is_refused),
		TEST(a_handshake_answered_200_is_no_tunnel),
		TEST(only_websocket_can_be_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
