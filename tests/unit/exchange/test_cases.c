/* The proof of the seam: one table of cases, in every pairing of HTTP/1 and HTTP/2, plain and TLS; messages come whole, byte by
 * byte, and cut in two at every byte, and it makes no difference.
 *
 * Scripts and what is heard: fake.h. What a row leaves out is of no interest to it. */
#include "suite.h"

static const struct test_case table[] = {
	/* -- one message each way -- */
	{.name = "GET",
		.split = true,
		.client = "GET /a?b=c [accept: */*] end",
		.origin = "200 length=5 [x-a: b]; say hello; end",
		.answer = "200 length=5 [x-a: b]\nbody hello\nend\n",
		.asked = "GET /a?b=c [accept: */*]\nend\n"},
	{.name = "HEAD",
		.split = true,
		.client = "HEAD /a end",
		.origin = "200 length=5 end",
		.answer = "200 length=5\nend\n",
		.asked = "HEAD /a\nend\n"},
	{.name = "POST with a length",
		.split = true,
		.client = "POST /a length=5; say hello; end",
		.origin = "wait end; 201 length=2; say ok; end",
		.answer = "201 length=2\nbody ok\nend\n",
		.asked = "POST /a length=5\nbody hello\nend\n"},
	{.name = "POST without a length",
		.split = true,
		.client = "POST /a stream; say hello; say again; end",
		.origin = "wait end; 200 stream; say one; say two; end",
		.answer = "200\nbody onetwo\nend\n",
		.asked = "POST /a\nbody helloagain\nend\n"},
	{.name = "POST of nothing",
		.split = true,
		.client = "POST /a length=0 end",
		.origin = "200 end",
		.answer = "200\nend\n",
		.asked = "POST /a\nend\n"},
	{.name = "stream that turns out empty",
		.split = true,
		.client = "POST /a stream; end",
		.origin = "wait end; 200 stream; end",
		.answer = "200\nend\n",
		.asked = "POST /a\nend\n"},
	{.name = "trailers both ways",
		.split = true,
		.client = "POST /a stream; say up; trailers [x-sum: 1] [x-more: two]",
		.origin = "wait end; 200 stream; say down; trailers [x-sum: 3]",
		.answer = "200\nbody down\ntrailers [x-sum: 3]\nend\n",
		.asked = "POST /a\nbody up\ntrailers [x-sum: 1] [x-more: two]\nend\n"},
	{.name = "204",
		.split = true,
		.client = "DELETE /a end",
		.origin = "204 end",
		.answer = "204\nend\n",
		.asked = "DELETE /a\nend\n"},
	{.name = "304 with the length that 200 would have",
		.split = true,
		.client = "GET /a end",
		.origin = "304 length=100 [etag: x] end",
		.answer = "304 length=100 [etag: x]\nend\n",
		.asked = "GET /a\nend\n"},
	{.name = "two requests on a connection",
		.split = true,
		.client = "GET /a end; wait end; GET /b end",
		.origin = "200 length=1; say a; end || 200 length=1; say b; end",
		.answer = "200 length=1\nbody a\nend\n200 length=1\nbody b\nend\n",
		.asked = "GET /a\nend\nGET /b\nend\n"},
	{.name = "pipelined requests",
		.only = ON_H1_CLIENT,
		.split = true,
		.client = "GET /a end; GET /b end; GET /c end",
		.origin = "200 length=1; say a; end || 200 stream; say b; end || 200 length=1; say c; end",
		.answer = "200 length=1\nbody a\nend\n200\nbody b\nend\n200 length=1\nbody c\nend\n",
		.asked = "GET /a\nend\nGET /b\nend\nGET /c\nend\n"},
	{.name = "HTTP/1.0 client",
		.only = ON_H1_CLIENT,
		.split = true,
		.client = "raw GET /a HTTP/1.0\r\nHost: shop.test\r\n\r\n",
		.origin = "200 stream; say hello; end",
		.answer = "200\nbody hello\nend\n",
		.asked = "GET /a\nend\n"},
	{.name = "answer that ends with its connection",
		.only = ON_H1_ORIGIN,
		.split = true,
		.client = "GET /a end",
		.origin = "raw HTTP/1.0 200 OK\r\n\r\nall of it; close",
		.answer = "200\nbody all of it\nend\n",
		.asked = "GET /a\nend\n"},

	/* -- interim answers -- */
	{.name = "103 before the answer",
		.split = true,
		.client = "GET /a end",
		.origin = "103 [link: </a.css>]; 200 length=2; say ok; end",
		.answer = "103 [link: </a.css>]\n200 length=2\nbody ok\nend\n",
		.asked = "GET /a\nend\n"},
	{.name = "100-continue",
		.split = true,
		.client = "POST /a length=5 expect; wait 100; say hello; end",
		.origin = "100; wait end; 200 end",
		.answer = "100\n200\nend\n",
		.asked = "POST /a length=5 expect\nbody hello\nend\n"},
	{.name = "100-continue, but the answer is no",
		.split = true,
		.client = "POST /a length=5 expect; wait end",
		.origin = "417 length=2; say no; end",
		.answer = "417 length=2\nbody no\nend\n",
		.asked = "POST /a length=5 expect\ncut\n"},
	{.name = "final answer before the request is complete",
		.client = "POST /a stream; say part; wait end; say rest; end",
		.origin = "wait part; 413 length=3; say big; end",
		.answer = "413 length=3\nbody big\nend\n",
		.asked = "POST /a\nbody part\ncut\n"},

	/* -- heads -- */
	{.name = "many fields",
		.client = "GET /a many=80 end",
		.origin = "200 many=80 end",
		.answer = "200 many=80\nend\n",
		.asked = "GET /a many=80\nend\n"},
	{.name = "cookie in crumbs",
		.split = true,
		.client = "GET /a [cookie: a=1; b=2; c=3] end",
		.origin = "200 [set-cookie: a=1] [set-cookie: b=2; path=/] end",
		.answer = "200 [set-cookie: a=1] [set-cookie: b=2; path=/]\nend\n",
		.asked = "GET /a [cookie: a=1; b=2; c=3]\nend\n"},
	{.name = "fields that Connection names, asked",
		.only = ON_H1_CLIENT,
		.split = true,
		.client = "GET /a [connection: x-hop, keep-alive] [x-hop: 1] [keep-alive: 5] "
			  "[proxy-connection: x] [x-stay: 2] end",
		.origin = "200 end",
		.answer = "200\nend\n",
		.asked = "GET /a [x-stay: 2]\nend\n"},
	{.name = "fields that Connection names, answered",
		.only = ON_H1_ORIGIN,
		.split = true,
		.client = "GET /a end",
		.origin = "200 [connection: x-hop] [x-hop: 1] [keep-alive: 5] [x-stay: 2] end",
		.answer = "200 [x-stay: 2]\nend\n",
		.asked = "GET /a\nend\n"},

	/* -- bodies larger than what may be on its way -- */
	{.name = "large upload to an origin that reads late",
		.client = "POST /a stream; fill 6000000; end",
		.origin = "hold; pause; go; wait end; 200 end",
		.answer = "200\nend\n",
		.asked = "POST /a\nbody (6000000)\nend\n"},
	{.name = "large answer to a client that reads late",
		.client = "GET /a end; hold; pause; go",
		.origin = "200 length=6000000; fill 6000000; end",
		.answer = "200 length=6000000\nbody (6000000)\nend\n",
		.asked = "GET /a\nend\n"},
	{.name = "small windows",
		.window = 1000,
		.client = "POST /a length=50000; fill 50000; end",
		.origin = "wait end; 200 stream; fill 70000; trailers [x-t: 1]",
		.answer = "200\nbody (70000)\ntrailers [x-t: 1]\nend\n",
		.asked = "POST /a length=50000\nbody (50000)\nend\n"},
	{.name = "both ways at once",
		.client = "POST /a stream; fill 500000; end",
		.origin = "200 stream; fill 500000; wait end; end",
		.answer = "200\nbody (500000)\nend\n",
		.asked = "POST /a\nbody (500000)\nend\n"},

	/* -- gRPC -- */
	{.name = "gRPC, in turns",
		.split = true,
		.client = "POST /g.S/M te stream [content-type: application/grpc]; say a; wait body one; say "
			  "b; end",
		.origin = "200 stream [content-type: application/grpc]; wait body a; say one; wait body ab; "
			  "say two; wait end; trailers [grpc-status: 0]",
		.answer =
			"200 [content-type: application/grpc]\nbody onetwo\ntrailers [grpc-status: 0]\nend\n",
		.asked = "POST /g.S/M te [content-type: application/grpc]\nbody ab\nend\n"},
	{.name = "gRPC, trailers only",
		.split = true,
		.client = "POST /g.S/M te stream [content-type: application/grpc]; say a; end",
		.origin = "wait end; 200 end [content-type: application/grpc] [grpc-status: 7]",
		.answer = "200 [content-type: application/grpc] [grpc-status: 7]\nend\n",
		.asked = "POST /g.S/M te [content-type: application/grpc]\nbody a\nend\n"},

	/* -- tunnels -- */
	{.name = "WebSocket, half-closed by the client",
		.split = true,
		.client = "GET /ws tunnel; wait 200; say hi; wait body ho; end",
		.origin = "200 tunnel; wait body hi; say ho; wait end; say bye; end",
		.answer = "200 tunnel\nbody hobye\nend\n",
		.asked = "GET /ws tunnel\nbody hi\nend\n"},
	{.name = "WebSocket, half-closed by the origin",
		.split = true,
		.client = "GET /ws tunnel; wait end; say late; end",
		.origin = "200 tunnel; say bye; end",
		.answer = "200 tunnel\nbody bye\nend\n",
		.asked = "GET /ws tunnel\nbody late\nend\n"},
	{.name = "WebSocket, declined",
		.split = true,
		.client = "GET /ws tunnel; wait end",
		.origin = "403 length=2; say no; end",
		.answer = "403 length=2\nbody no\nend\n",
		.asked = "GET /ws tunnel\n"},
	{.name = "WebSocket where the route forbids it",
		.route = ", websocket: false",
		.client = "GET /ws tunnel; wait end",
		.origin = "200 tunnel",
		.answer = "403 websocket_off\nend\n",
		.asked = ""},
	{.name = "WebSocket that the origin cuts",
		.client = "GET /ws tunnel; wait 200; say hi",
		.origin = "200 tunnel; wait body hi; say ho; pause; reset",
		.answer = "200 tunnel\nbody ho\ncut\n",
		.asked = "GET /ws tunnel\nbody hi\n"},
	{.name = "WebSocket that the client cuts",
		.client = "GET /ws tunnel; wait 200; say hi; wait body ho; reset",
		.origin = "200 tunnel; wait body hi; say ho",
		.answer = "200 tunnel\nbody ho\n",
		.asked = "GET /ws tunnel\nbody hi\ncut\n"},

	/* -- bodies that are not as long as was said -- */
	{.name = "request that ends early",
		.only = ON_H2_CLIENT,
		.client = "POST /a length=10; say short; pause; end",
		.origin = "wait end; 200 end",
		.answer = "cut\n",
		.asked = "POST /a length=10\nbody short\ncut\n"},
	{.name = "request that goes on too long",
		.only = ON_H2_CLIENT,
		.client = "POST /a length=5; say short; pause; say er; end",
		.origin = "wait never",
		.answer = "cut\n",
		.asked = "POST /a length=5\nbody short\nend\ncut\n", /* HTTP/1 counts, and it was all there */
		.asked_h2 = "POST /a length=5\nbody short\ncut\n"},
	{.name = "request whose client leaves in the middle",
		.client = "POST /a length=10; say short; pause; close",
		.origin = "wait end; 200 end",
		.answer = "",
		.asked = "POST /a length=10\nbody short\ncut\n"},
	{.name = "answer that ends early",
		.only = ON_H2_ORIGIN,
		.client = "GET /a end",
		.origin = "200 length=10; say short; pause; end",
		.answer = "200 length=10\nbody short\ncut\n",
		.asked = "GET /a\nend\n"},
	{.name = "answer whose origin leaves in the middle",
		.client = "GET /a end",
		.origin = "200 length=10; say short; pause; close",
		.answer = "200 length=10\nbody short\ncut\n",
		.asked = "GET /a\nend\n"},
	{.name = "answer without length whose origin leaves in the middle",
		.client = "GET /a end",
		.origin = "200 stream; say short; pause; close",
		.answer = "200\nbody short\ncut\n",
		.asked = "GET /a\nend\n"},
	{.name = "request over limits.body, by its length",
		.top = "limits: {body: 1KiB}\n",
		.client = "POST /a length=2000; wait end",
		.origin = "200 end",
		.answer = "413 client_body_too_large\nend\n",
		.asked = ""},
	{.name = "request over limits.body, as it comes",
		.top = "limits: {body: 1KiB}\n",
		.client = "POST /a stream; fill 1000; pause; fill 1000; end",
		.origin = "wait end; 200 end",
		.answer = "413 client_body_too_large\nend\n",
		.asked = "POST /a\nbody (1000)\ncut\n"},

	/* -- an origin that fails -- */
	{.name = "origin resets before its answer",
		.split = true,
		.client = "POST /a length=2; say hi; end",
		.origin = "wait end; reset",
		.answer = "502 upstream_reset\nend\n",
		.answer_h2 = "502 upstream_reset_stream\nend\n",
		.asked = "POST /a length=2\nbody hi\nend\n"},
	{.name = "origin's connection is reset before its answer",
		.split = true,
		.client = "POST /a length=2; say hi; end",
		.origin = "wait end; abort",
		.answer = "502 upstream_reset\nend\n",
		.asked = "POST /a length=2\nbody hi\nend\n"},
	{.name = "origin resets in its head",
		.only = ON_H1_ORIGIN,
		.split = true,
		.client = "POST /a length=2; say hi; end",
		.origin = "wait end; raw HTTP/1.1 200 OK\r\nX-A:; reset",
		.answer = "502 upstream_reset\nend\n",
		.asked = "POST /a length=2\nbody hi\nend\n"},
	{.name = "origin resets in its body",
		.client = "GET /a end",
		.origin = "200 length=10; say hello; pause; reset",
		.answer = "200 length=10\nbody hello\ncut\n",
		.asked = "GET /a\nend\n"},
	{.name = "origin closes before its answer",
		.split = true,
		.client = "POST /a length=2; say hi; end",
		.origin = "wait end; pause; close",
		.answer = "502 upstream_closed\nend\n",
		.asked = "POST /a length=2\nbody hi\nend\n"},
	{.name = "origin that talks nonsense",
		.only = ON_H1_ORIGIN,
		.split = true,
		.client = "GET /a end",
		.origin = "raw SSH-2.0-OpenSSH_9.2\r\n\r\n",
		.answer = "502 upstream_bad_response\nend\n",
		.asked = "GET /a\nend\ncut\n"},
	{.name = "origin that says nothing",
		.top = "timeouts: {response: 300ms}\n",
		.client = "POST /a length=2; say hi; end",
		.origin = "wait never",
		.answer = "504 upstream_timeout\nend\n",
		.asked = "POST /a length=2\nbody hi\nend\ncut\n"},
	{.name = "origin that falls silent",
		.top = "timeouts: {response: 300ms}\n",
		.client = "GET /a end",
		.origin = "200 length=10; say hello; wait never",
		.answer = "200 length=10\nbody hello\ncut\n",
		.asked = "GET /a\nend\ncut\n"},

	/* -- a client that leaves -- */
	{.name = "client resets in its body",
		.client = "POST /a stream; say part; pause; reset",
		.origin = "wait end; 200 end",
		.answer = "",
		.asked = "POST /a\nbody part\ncut\n"},
	{.name = "client resets while it waits",
		.client = "GET /a end; pause; reset",
		.origin = "wait never",
		.answer = "",
		.asked = "GET /a\nend\ncut\n"},
	{.name = "client closes while it waits",
		.client = "GET /a end; pause; close",
		.origin = "wait never",
		.answer = "",
		.asked = "GET /a\nend\ncut\n"},
	{.name = "client resets in the answer",
		.client = "GET /a end; wait body some; reset",
		.origin = "200 stream; say some; wait never",
		.answer = "200\nbody some\n",
		.asked = "GET /a\nend\ncut\n"},

	/* -- once more -- */
	{.name = "connection refused, another backend takes it",
		.split = true,
		.dead = true,
		.client = "POST /a length=1; say x; end; wait end; POST /b length=1; say y; end",
		.origin = "wait end; 200 end",
		.answer = "200\nend\n200\nend\n",
		.asked = "POST /a length=1\nbody x\nend\nPOST /b length=1\nbody y\nend\n"},
	{.name = "GET is tried again when the connection closes",
		.split = true,
		.client = "GET /a end",
		.origin = "pause; close || 200 length=2; say ok; end",
		.answer = "200 length=2\nbody ok\nend\n",
		.asked = "GET /a\nend\nGET /a\nend\n"},
	{.name = "stale connection, replayed",
		.split = true,
		.client = "GET /a end; wait end; GET /b end",
		.origin = "200 end || pause; close || 200 length=1; say b; end",
		.answer = "200\nend\n200 length=1\nbody b\nend\n",
		.asked = "GET /a\nend\nGET /b\nend\nGET /b\nend\n"},
	{.name = "stale connection, but a POST is never run twice",
		.split = true,
		.client = "GET /a end; wait end; POST /b length=1; say b; end",
		.origin = "200 end || wait end; pause; close || 200 end",
		.answer = "200\nend\n502 upstream_stale\nend\n",
		.answer_h2 = "200\nend\n502 upstream_closed\nend\n",
		.asked = "GET /a\nend\nPOST /b length=1\nbody b\nend\n"},
	{.name = "stream refused, even a POST is tried again",
		.only = ON_H2_ORIGIN,
		.split = true,
		.client = "POST /a stream; say x; trailers [x-t: 1]",
		.origin = "wait end; refuse || wait end; 200 end",
		.answer = "200\nend\n",
		.asked =
			"POST /a\nbody x\ntrailers [x-t: 1]\nend\nPOST /a\nbody x\ntrailers [x-t: 1]\nend\n"},
	{.name = "GOAWAY before the request, even a POST is tried again",
		.only = ON_H2_ORIGIN,
		.split = true,
		.client = "POST /a length=1; say x; end",
		.origin = "wait end; goaway || wait end; 200 end",
		.answer = "200\nend\n",
		.asked = "POST /a length=1\nbody x\nend\nPOST /a length=1\nbody x\nend\n"},
	{.name = "503 when nobody else can be asked",
		.split = true,
		.client = "GET /a end",
		.origin = "503 length=4; say busy; end",
		.answer = "503 length=4\nbody busy\nend\n",
		.asked = "GET /a\nend\n"},
};

static void run_case(void **state)
{
	struct stage *st;
	const struct pairing *how = ((void **)*state)[1];
	const struct test_case *c = ((void **)*state)[0];
	size_t sent[2];

	st = stage_new(c, *how);
	stage_run(st, SIZE_MAX, SIZE_MAX, false, sent);
	if (c->split) {
		stage_run(st, 1, 1, true, NULL);
		/* TLS cuts where it likes: that bytes come in other pieces than were written is io/test_tls.c's. */
		for (size_t at = 1; !how->client_tls && at < sent[0]; at++)
			stage_run(st, at, SIZE_MAX, false, NULL);
		for (size_t at = 1; !how->client_tls && at < sent[1]; at++)
			stage_run(st, SIZE_MAX, at, false, NULL);
	}
	stage_free(&st);
}

static bool happens(const struct test_case *c, const struct pairing *p)
{
	unsigned client = p->client_h2 ? ON_H2_CLIENT : ON_H1_CLIENT,
		 origin = p->origin_h2 ? ON_H2_ORIGIN : ON_H1_ORIGIN;

	return !((c->only & (ON_H1_CLIENT | ON_H2_CLIENT)) && !(c->only & client)) &&
	       !((c->only & (ON_H1_ORIGIN | ON_H2_ORIGIN)) && !(c->only & origin));
}

#define PAIRINGS 12

int main(int argc, char **argv)
{
	static struct pairing pairings[PAIRINGS];
	static struct CMUnitTest tests[COUNT_OF(table) * PAIRINGS];
	static void *rows[COUNT_OF(tests)][2];
	size_t n = 0;

	/* An argument: the rows that have it in their names. */
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	for (unsigned i = 0; i < PAIRINGS; i++)
		pairings[i] = (struct pairing){i & 1, i & 2, i >= 4, i >= 8};
	for (size_t r = 0; r < COUNT_OF(table); r++) {
		for (unsigned i = 0; i < PAIRINGS; i++) {
			const struct pairing *p = &pairings[i];
			char *name;

			if (!happens(&table[r], p))
				continue;
			MUST(asprintf(&name, "%s: %s%s to %s%s", table[r].name, p->client_h2 ? "h2" : "h1",
				     p->client_tls ? " over TLS" : "", p->origin_h2 ? "h2" : "h1",
				     p->origin_tls ? " over TLS" : "") > 0);
			rows[n][0] = (void *)(uintptr_t)&table[r];
			rows[n][1] = &pairings[i];
			tests[n] = (struct CMUnitTest){name, run_case, NULL, NULL, rows[n]};
			n++;
		}
	}
	return _cmocka_run_group_tests("the case table", tests, n, set_up_suite, tear_down_suite);
}
