/* The HTTP/2 client role: no bytes of a backend's make it crash, leak, or pass a broken answer for a whole one. */
#include "fuzz/fuzz_h2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void ask(void)
{
	struct head h = {
		.method_id = METHOD_POST,
		.method = STR("POST"),
		.scheme = STR("http"),
		.authority = STR("a"),
		.path = STR("/"),
		.body = BODY_STREAM,
	};
	bool last = choose(2);
	struct stream *s = http_conn_open(fuzz.conn, &fuzz_owner, (void *)(uintptr_t)fuzz.n);

	if (!s)
		return;
	fuzz.s[fuzz.n] = s;
	if (choose(6) == 0) {
		h.method_id = METHOD_CONNECT;
		h.method = STR("CONNECT");
		h.protocol = STR("websocket");
		h.body = BODY_TUNNEL;
		last = false;
	} else if (choose(6) == 0) {
		h.method_id = METHOD_HEAD;
		h.method = STR("HEAD");
	}
	stream_send_head(s, &h, last);
	fuzz.sends[fuzz.n] = !last;
	stream_credit(s, choose(100000));
	if (!last)
		fuzz_body(fuzz.n, choose(2));
	fuzz.n++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const uint8_t settings[H2_FRAME_HEADER + 6] = {
		0, 0, 6, H2_FRAME_SETTINGS, 0, 0, 0, 0, 0, 0, H2_SET_ENABLE_CONNECT_PROTOCOL, 0, 0, 0, 1};
	struct transport *t = &fuzz.ft.t;

	if (n < 4)
		return 0;
	fuzz_start(h2_get32(data));
	fuzz.conn = h2_client(&t, &fuzz_limits, &fuzz_conn_owner, NULL);
	for (unsigned i = choose(6); i > 0; i--)
		ask();
	loop_run_tasks(&fuzz.loop);
	if (data[0] & 15)
		fake_feed(&fuzz.ft, settings, sizeof(settings));
	if (!fuzz.closed && choose(2))
		ask();
	fuzz_play(data + 4, n - 4);
	fuzz_end();
	return 0;
}
