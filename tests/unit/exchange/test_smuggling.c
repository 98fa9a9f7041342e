/* Nothing is smuggled past weir: whatever clients send, origins that read in different ways find the same requests in what weir passes
 * on, as many as weir knows of; whatever origins answer, a client gets one answer for a request; and nobody gets another's.
 *
 * WEIR_MUTATIONS: how many messages are made wrong, of each kind (4,000); WEIR_SEED: from where the changes are drawn (1). */
#include "house.h"
#include "http/h2/frame.h"
#include "mutation.h"
#include "readers.h"
#include <nghttp2/nghttp2.h>
#include <sys/un.h>

#define CONNS 8 /* of weir's, to the origin */
#define ROOM  (64u * 1024)
#define QUIET 4 /* turns in which nobody reads or writes: nothing moves any more */

struct origin_conn {
	int fd; /* -1: none */
	bool wrong; /* what it answered was no good answer: it may be under way still */
	size_t n;
	char p[ROOM]; /* what no answer was given to yet */
};

struct alley {
	struct house house;
	char *dir;
	struct sockaddr_un at;
	int listener;
	struct origin_conn conns[CONNS];
	uint64_t whole; /* requests that have come to the origin */
	uint64_t moved;
	struct mutant mutant; /* the one at hand */
	bool answers; /* it is what the origin answers, once */
	bool breaks_off; /* ... and then closes */
};

/* -- the origin: answers with the target that it has read -- */

static void show(const struct alley *a, const char *what, const char *p, size_t n)
{
	print_error("%s; sent by the client:\n", what);
	fwrite(a->mutant.p, 1, a->mutant.n, stderr);
	print_error("\n-- sent by weir:\n");
	fwrite(p, 1, n, stderr);
	fail_msg("%s", what);
}

/* The length of the first request, in which all readers agree. */
static size_t read_one(const struct alley *a, const struct origin_conn *c)
{
	size_t want = readers[0].read(c->p, c->n);
	char what[128];

	if (want == READER_BAD)
		show(a, "no request", c->p, c->n);
	for (unsigned i = 1; i < COUNT_OF(readers); i++) {
		size_t n = readers[i].read(c->p, c->n);

		snprintf(what, sizeof(what), "\"%s\" reads %zu bytes, \"%s\" %zu", readers[0].name, want,
			readers[i].name, n);
		if (n != want)
			show(a, what, c->p, c->n);
	}
	return want;
}

static void answer(struct alley *a, struct origin_conn *c)
{
	struct str line = {c->p, str_find((struct str){c->p, c->n}, '\r')}, target;
	bool head = str_starts(line, STR("HEAD "));
	char text[MUTANT_MAX * 2];
	int n;

	if (a->answers) {
		a->answers = false;
		c->wrong = true;
		MUST(write(c->fd, a->mutant.p, a->mutant.n) == (ssize_t)a->mutant.n);
		if (a->breaks_off || mutant_random(&a->mutant, 4) == 0)
			shutdown(c->fd, SHUT_WR);
		return;
	}
	target = str_skip(line, str_find(line, ' ') + 1);
	target = str_head(target, str_find(target, ' '));
	n = snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n" STR_FMT, target.n,
		STR_ARG((head ? STR_NONE : target)));
	if (write(c->fd, text, (size_t)n) != n)
		show(a, strerror(errno), c->p, c->n);
}

static void origin_read(struct alley *a, struct origin_conn *c)
{
	ssize_t got = read(c->fd, c->p + c->n, ROOM - c->n);
	size_t one;

	if (got < 0)
		return;
	a->moved++;
	c->n += (size_t)got;
	while (c->n && (one = read_one(a, c)) > 0) {
		answer(a, c);
		a->whole++;
		c->n -= one;
		memmove(c->p, c->p + one, c->n);
	}
	assert_true(c->n < ROOM);
	if (got == 0) {
		close(c->fd);
		c->fd = -1;
		c->n = 0;
		c->wrong = false;
	}
}

static void origin_turn(struct alley *a)
{
	int fd = house_accept(a->listener);

	for (unsigned i = 0; i < CONNS; i++) {
		struct origin_conn *c = &a->conns[i];

		if (c->fd < 0 && fd >= 0) {
			c->fd = fd;
			fd = -1;
			a->moved++;
		}
		if (c->fd >= 0)
			origin_read(a, c);
	}
	assert_int_equal(fd, -1);
}

/* For weir, a client that has asked for more and closed may only have finished asking: it waits on. */
static void origin_ends_what_is_wrong(struct alley *a)
{
	for (unsigned i = 0; i < CONNS; i++)
		if (a->conns[i].wrong)
			shutdown(a->conns[i].fd, SHUT_RDWR);
	for (unsigned i = 0; i < QUIET; i++) {
		house_turn(&a->house, 0);
		origin_turn(a);
	}
}

/* -- a client -- */

struct client {
	int fd;
	size_t n;
	char p[ROOM]; /* what it was answered */
};

static void settle(struct alley *a, struct client *c)
{
	for (unsigned quiet = 0; quiet < QUIET; quiet++) {
		uint64_t before = a->moved;
		ssize_t got;

		house_turn(&a->house, 0);
		origin_turn(a);
		got = read(c->fd, c->p + c->n, ROOM - 1 - c->n);
		if (got > 0) {
			c->n += (size_t)got;
			a->moved++;
		}
		if (a->moved != before)
			quiet = 0;
	}
}

static void say(struct alley *a, struct client *c, const char *p, size_t n)
{
	/* A connection that weir has closed takes no more. */
	a->moved += send(c->fd, p, n, MSG_NOSIGNAL) >= 0;
	settle(a, c);
}

static void leave(struct alley *a, struct client *c)
{
	struct iovec log[2];

	close(c->fd);
	c->fd = -1;
	c->n = 0;
	for (unsigned i = 0; i < QUIET; i++) {
		house_turn(&a->house, 0);
		origin_turn(a);
	}
	while (ring_peek(&a->house.worker.access, log) > 0)
		ring_drain(&a->house.worker.access, log[0].iov_len);
}

/* Somebody else's request over the connections that are there gets its own answer. */
static void probe(struct alley *a, struct client *c, uint64_t number)
{
	char text[128], want[64];
	int n = snprintf(text, sizeof(text),
		"GET /of-another/%llu HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n",
		(unsigned long long)number);

	snprintf(want, sizeof(want), "\r\n\r\n/of-another/%llu", (unsigned long long)number);
	c->fd = house_client_fd(&a->house, false);
	say(a, c, text, (size_t)n);
	c->p[c->n] = '\0';
	if (c->n < strlen(want) || strcmp(c->p + c->n - strlen(want), want) != 0)
		show(a, "another got a wrong answer", c->p, c->n);
	leave(a, c);
}

static uint64_t weir_knows(const struct alley *a)
{
	struct backend_sums sums;

	backend_tallies_sum(a->house.snapshot->pools[0]->backends[0]->tallies, &sums);
	return sums.requests;
}

/* -- kinds of requests -- */

static const struct str h1_seeds[] = {
	STR("POST /a HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 5\r\n\r\nhello"),
	STR("POST /b HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: "
	    "chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
	STR("POST /c HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n"
	    "3;ext=\"a;b\"\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n"),
	STR("GET /d HTTP/1.1\r\nHost: shop.test\r\nAccept: */*\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n"),
	STR("GET http://shop.test/e?q HTTP/1.1\r\nHost: shop.test\r\nConnection: keep-alive, x-y\r\nX-Y: "
	    "z\r\n\r\n"),
	STR("HEAD /f HTTP/1.1\r\nHost: shop.test\r\n\r\n"),
	STR("PUT /g HTTP/1.1\r\nHost: shop.test\r\nExpect: 100-continue\r\nContent-Length: 48\r\n\r\n"
	    "GET /inner HTTP/1.1\r\nHost: shop.test\r\nX: 123\r\n\r\n"),
	STR("POST /h HTTP/1.0\r\nHost: shop.test\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc"),
	STR("OPTIONS * HTTP/1.1\r\nHost: shop.test\r\n\r\n"),
	STR("POST /i HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "30\r\nGET /inner HTTP/1.1\r\nHost: shop.test\r\nX: 123\r\n\r\n\r\n0\r\n\r\n"),
};

/* One or two requests, changed in a few places, and in two parts now and then. */
static void send_h1(struct alley *a, struct client *c)
{
	struct mutant *m = &a->mutant;
	size_t first;

	m->n = 0;
	for (unsigned i = 0; i < 1 + mutant_random(m, 2); i++) {
		struct str seed = h1_seeds[mutant_random(m, COUNT_OF(h1_seeds))];

		mutant_put(m, m->n, seed.p, seed.n);
	}
	for (unsigned i = 0; i < 1 + mutant_random(m, 4); i++)
		mutate(m);
	first = mutant_random(m, 2) ? m->n : mutant_random(m, m->n + 1);
	say(a, c, m->p, first);
	if (first < m->n)
		say(a, c, m->p + first, m->n - first);
}

static const struct str h2_names[] = {STR("content-length"), STR("transfer-encoding"), STR("x-a"),
	STR("host"), STR("connection"), STR("te"), STR("expect"), STR("cookie"), STR("content-length "),
	STR("upgrade"), STR("x-b: c\r\ntransfer-encoding"), STR("keep-alive"), STR("trailer"),
	STR("proxy-connection"), STR(":path"), STR(":method"), STR("http2-settings")};
static const struct str h2_values[] = {STR("5"), STR("0"), STR("chunked"), STR("shop.test"), STR("trailers"),
	STR("100-continue"), STR("a=b"), STR("close"), STR("/x HTTP/1.1\r\nX: y"),
	STR("1\r\nTransfer-Encoding: chunked"), STR("x\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"),
	STR("websocket"), STR("content-length"), STR("+5"), STR("5,5")};

static void add_frame(struct mutant *m, uint8_t type, uint8_t flags, const void *p, size_t n)
{
	struct h2_frame frame = {(uint32_t)n, type == H2_FRAME_SETTINGS ? 0 : 1, type, flags};
	uint8_t header[H2_FRAME_HEADER];

	h2_frame_pack(header, &frame);
	mutant_put(m, m->n, (char *)header, sizeof(header));
	mutant_put(m, m->n, p, n);
}

/* A text with a change now and then. Lives in `room`. */
static struct str maybe_changed(struct mutant *m, struct mutant *room, struct str s)
{
	room->n = 0;
	room->random = m->random;
	mutant_put(room, 0, s.p, s.n);
	if (mutant_random(room, 4) == 0)
		mutate(room);
	m->random = room->random;
	return (struct str){room->p, MIN(room->n, 512u)};
}

static void add_field(nghttp2_nv *nv, struct str name, struct str value)
{
	*nv = (nghttp2_nv){(uint8_t *)(uintptr_t)name.p, (uint8_t *)(uintptr_t)value.p, name.n, value.n,
		NGHTTP2_NV_FLAG_NONE};
}

static void add_head(struct mutant *m, bool last)
{
	static const struct str methods[] = {STR("POST"), STR("GET"), STR("HEAD"), STR("PUT")};
	static const struct str pseudo[][2] = {{STR(":scheme"), STR("http")},
		{STR(":authority"), STR("shop.test")}, {STR(":path"), STR("/h2")}};
	static struct mutant room[16];
	nghttp2_hd_deflater *deflater;
	unsigned n = 0, texts = 0, more = mutant_random(m, 4);
	uint8_t block[8192];
	nghttp2_nv nv[8];
	ssize_t size;

	add_field(&nv[n++], STR(":method"),
		maybe_changed(m, &room[texts++], methods[mutant_random(m, COUNT_OF(methods))]));
	for (unsigned i = 0; i < COUNT_OF(pseudo); i++)
		add_field(&nv[n++], pseudo[i][0], maybe_changed(m, &room[texts++], pseudo[i][1]));
	for (unsigned i = 0; i < more; i++) {
		struct str name =
			maybe_changed(m, &room[texts++], h2_names[mutant_random(m, COUNT_OF(h2_names))]);

		add_field(&nv[n++], name,
			maybe_changed(m, &room[texts++], h2_values[mutant_random(m, COUNT_OF(h2_values))]));
	}
	MUST(nghttp2_hd_deflate_new(&deflater, 4096) == 0);
	size = nghttp2_hd_deflate_hd(deflater, block, sizeof(block), nv, n);
	nghttp2_hd_deflate_del(deflater);
	MUST(size > 0 && size < MUTANT_MAX / 2);
	add_frame(m, H2_FRAME_HEADERS, H2_FLAG_END_HEADERS | (last ? H2_FLAG_END_STREAM : 0), block,
		(size_t)size);
}

/* One request of HTTP/2 that HTTP/1 must not be made of as it is. */
static void send_h2(struct alley *a, struct client *c)
{
	static const struct str bodies[] = {STR("hello"), STR("0\r\n\r\n"),
		STR("GET /smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n"), STR("")};
	struct mutant *m = &a->mutant;
	bool body = mutant_random(m, 3) > 0;

	m->n = 0;
	mutant_put(m, 0, H2_PREFACE, H2_PREFACE_LEN);
	add_frame(m, H2_FRAME_SETTINGS, 0, NULL, 0);
	add_head(m, !body);
	if (body) {
		struct str data = bodies[mutant_random(m, COUNT_OF(bodies))];

		add_frame(m, H2_FRAME_DATA, mutant_random(m, 4) ? H2_FLAG_END_STREAM : 0, data.p, data.n);
	}
	say(a, c, m->p, m->n);
}

/* -- kinds of answers -- */

static const struct str answer_seeds[] = {
	STR("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
	STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
	STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: "
	    "y\r\n\r\n"),
	STR("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
	STR("HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n"),
	STR("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
	STR("HTTP/1.0 200 OK\r\nX-A: b\r\n\r\nuntil the end"),
	STR("HTTP/1.1 200 OK\r\nContent-Length: 41\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno"),
	STR("HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
};

static int count_one(http_parser *hp)
{
	++*(unsigned *)hp->data;
	return 0;
}

/* Has it no body, whatever its length says? RFC 9110 15.4.5: that is what 200 would have. The parser asks. */
static int is_bodyless(http_parser *hp)
{
	return hp->status_code == 304;
}

/* How many answers the client has got in full; fails at what is no answer at all. */
static unsigned count_answers(struct alley *a, const struct client *c)
{
	static const http_parser_settings settings = {
		.on_headers_complete = is_bodyless, .on_message_complete = count_one};
	http_parser hp;
	unsigned n = 0;

	http_parser_init(&hp, HTTP_RESPONSE);
	hp.data = &n;
	if (http_parser_execute(&hp, &settings, c->p, c->n) != c->n && HTTP_PARSER_ERRNO(&hp) != HPE_OK)
		show(a, "no answer", c->p, c->n);
	return n;
}

static bool said_interim(const struct client *c)
{
	return c->n > 9 && c->p[9] == '1';
}

/* One good request gets a changed answer, another one on the same connection a good one. */
static void receive(struct alley *a, struct client *c)
{
	static const char ask[] = "GET /wrong HTTP/1.1\r\nHost: shop.test\r\n\r\n",
			  again[] = "GET /right HTTP/1.1\r\nHost: shop.test\r\n\r\n";
	struct mutant *m = &a->mutant;
	struct str seed = answer_seeds[mutant_random(m, COUNT_OF(answer_seeds))];
	unsigned first, both;

	m->n = 0;
	mutant_put(m, 0, seed.p, seed.n);
	for (unsigned i = 0; i < 1 + mutant_random(m, 4); i++)
		mutate(m);
	a->answers = true;
	say(a, c, ask, sizeof(ask) - 1);
	a->answers = false;
	first = count_answers(a, c);
	if (first > 1 && !said_interim(c))
		show(a, "two answers to one request", c->p, c->n);
	say(a, c, again, sizeof(again) - 1);
	both = count_answers(a, c);
	if (both > first && !memmem(c->p, c->n, "\r\n\r\n/right", 10))
		show(a, "the wrong answer to a second request", c->p, c->n);
}

/* A good answer that breaks off somewhere: what the client gets is cut too, weir's own, or that of a second attempt. */
static void receive_part(struct alley *a, struct client *c)
{
	static const char ask[] = "GET /cut HTTP/1.1\r\nHost: shop.test\r\n\r\n";
	struct mutant *m = &a->mutant;
	size_t body = mutant_random(m, MUTANT_MAX - 256);
	bool chunked = mutant_random(m, 2);
	int head = snprintf(m->p, sizeof(m->p),
		chunked ? "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n"
			: "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
		body + 1);

	m->n = (size_t)head + body + 1;
	memset(m->p + head, 'x', body + 1);
	if (chunked)
		mutant_put(m, m->n, "\r\n0\r\n\r\n", 7);
	m->n = mutant_random(m, m->n);
	a->answers = a->breaks_off = true;
	say(a, c, ask, sizeof(ask) - 1);
	a->answers = a->breaks_off = false;
	c->p[c->n] = '\0';
	if (count_answers(a, c) > 0 && !strstr(c->p, "x-weir-reason: ") && !strstr(c->p, "\r\n\r\n/cut"))
		show(a, "a whole answer out of a part", c->p, c->n);
}

/* -- the house, and the table -- */

static void alley_open(struct alley *a)
{
	char conf[1024];

	a->dir = certs_dir();
	a->at.sun_family = AF_UNIX;
	snprintf(a->at.sun_path, sizeof(a->at.sun_path), "%s/origin.sock", a->dir);
	a->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	MUST(bind(a->listener, (struct sockaddr *)&a->at, sizeof(a->at)) == 0 &&
		listen(a->listener, CONNS) == 0);
	for (unsigned i = 0; i < CONNS; i++)
		a->conns[i].fd = -1;
	snprintf(conf, sizeof(conf),
		"log: {access: {path: stdout, format: json}}\n"
		"listeners: {in: {address: '127.0.0.1:8080'}}\n"
		"tenants: {acme: {hosts: ['*'], services: {shop: {retries: {budget: 100%%}, pools: {blue: "
		"{backends: ['unix:%s']}}}}}}\n",
		a->at.sun_path);
	house_init(&a->house, conf, NULL);
}

static void alley_close(struct alley *a)
{
	house_free(&a->house);
	for (unsigned i = 0; i < CONNS; i++)
		if (a->conns[i].fd >= 0)
			close(a->conns[i].fd);
	close(a->listener);
	unlink(a->at.sun_path);
	certs_dir_remove(a->dir);
}

static unsigned long from_environment(const char *name, unsigned long otherwise)
{
	const char *text = getenv(name);

	return text ? strtoul(text, NULL, 10) : otherwise;
}

static void nothing_is_smuggled(void (*try)(struct alley *a, struct client *c))
{
	unsigned long n = from_environment("WEIR_MUTATIONS", 4000);
	struct alley *a = calloc(1, sizeof(*a));
	struct client *c = calloc(1, sizeof(*c));

	MUST(a && c);
	alley_open(a);
	a->mutant.random = from_environment("WEIR_SEED", 1) * 0x9e3779b97f4a7c15;
	for (unsigned long i = 0; i < n; i++) {
		c->fd = house_client_fd(&a->house, false);
		try(a, c);
		leave(a, c);
		probe(a, c, i);
		origin_ends_what_is_wrong(a);
		if (a->whole > weir_knows(a))
			show(a, "more requests than weir knows of", "", 0);
	}
	print_message("%lu mutations, %llu requests at the origin\n", n, (unsigned long long)a->whole);
	assert_true(a->whole > n + n / 50); /* and not only those of the others */
	alley_close(a);
	free(a);
	free(c);
}

static void http1_requests_that_are_nearly_right_smuggle_nothing(void **state)
{
	(void)state;
	nothing_is_smuggled(send_h1);
}

static void http2_requests_that_are_nearly_right_smuggle_nothing(void **state)
{
	(void)state;
	nothing_is_smuggled(send_h2);
}

static void answers_that_are_nearly_right_smuggle_nothing(void **state)
{
	(void)state;
	nothing_is_smuggled(receive);
}

static void a_part_of_an_answer_is_never_a_whole_one(void **state)
{
	(void)state;
	nothing_is_smuggled(receive_part);
}

/* A test of the test: what is known to be ambiguous is noticed. */
static void the_readers_differ_where_origins_have_differed(void **state)
{
	static const struct str ambiguous[] = {
		STR("POST / HTTP/1.1\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG"),
		STR("POST / HTTP/1.1\r\nContent-Length: 010\r\n\r\n0123456789"),
		STR("POST / HTTP/1.1\r\nX: y\rContent-Length: 1\r\n\r\nx"),
		STR("POST / HTTP/1.1\r\nX: y\nContent-Length: 5\r\nContent_Length: 6\r\n\r\nhello"),
	};

	(void)state;
	for (unsigned i = 0; i < COUNT_OF(ambiguous); i++) {
		size_t n = readers[0].read(ambiguous[i].p, ambiguous[i].n);
		bool differ = n == READER_BAD;

		for (unsigned r = 1; r < COUNT_OF(readers); r++)
			differ |= readers[r].read(ambiguous[i].p, ambiguous[i].n) != n;
		assert_true(differ);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_readers_differ_where_origins_have_differed),
		cmocka_unit_test(http1_requests_that_are_nearly_right_smuggle_nothing),
		cmocka_unit_test(http2_requests_that_are_nearly_right_smuggle_nothing),
		cmocka_unit_test(answers_that_are_nearly_right_smuggle_nothing),
		cmocka_unit_test(a_part_of_an_answer_is_never_a_whole_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
