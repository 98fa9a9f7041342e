/* fake_backend.h - what tests of the client role share: the test's owner asks, what it feeds is the backend's answer. */
#ifndef WEIR_TESTS_FAKE_BACKEND_H
#define WEIR_TESTS_FAKE_BACKEND_H

#include "http/h1/fake_owner.h"

static const struct head get = {
	.method = STR("GET"),
	.method_id = METHOD_GET,
	.scheme = STR("http"),
	.authority = STR("a.test"),
	.path = STR("/x"),
};

static inline void open_stream(struct owner *o)
{
	o->in_done = false;
	o->s = http_conn_open(o->conn, &owner_ops, o);
	assert_non_null(o->s);
}

static inline void ask(struct owner *o, const struct head *h, bool last)
{
	if (!o->conn)
		connect_client(o);
	open_stream(o);
	stream_send_head(o->s, h, last);
	run(o);
}

static inline void send_text(struct owner *o, const char *text, bool last)
{
	struct chain c = {0};

	chain_add_static(&o->loop.mem, &c, str_of(text));
	stream_send_body(o->s, &c, last);
	run(o);
}

#endif
