/* fuzz_h2.h - what the two HTTP/2 fuzzers share: a connection over a scripted transport, and an owner that does with its
 * streams whatever the input says: takes or leaves bodies, answers early or late or not at all, resets, releases. */
#ifndef WEIR_FUZZ_H2_H
#define WEIR_FUZZ_H2_H

#include "fake_transport.h"
#include "http/conn.h"
#include "http/h2/frame.h"

#define FUZZ_STREAMS 512

struct fuzz {
	struct loop loop;
	struct fake_transport ft;
	struct http_conn *conn;
	struct stream *s[FUZZ_STREAMS];
	bool sends[FUZZ_STREAMS]; /* the final head is out, the end is not */
	unsigned n;
	uint32_t choices; /* shifted out bit by bit, from the input */
	bool closed;
};

static struct fuzz fuzz;
static const struct stream_owner_ops fuzz_owner;
static const struct http_limits fuzz_limits = {.header_ms = 1000,
	.body_ms = 1000,
	.idle_ms = 1000,
	.header_bytes = 2048,
	.header_count = 20,
	.max_streams = 20};

static unsigned choose(unsigned n)
{
	fuzz.choices = fuzz.choices * 1664525u + 1013904223u;
	return (fuzz.choices >> 16) % n;
}

static void fuzz_release(unsigned i)
{
	fuzz.sends[i] = false;
	stream_release(&fuzz.s[i]);
}

static void fuzz_body(unsigned i, bool last)
{
	static const char bytes[40000];
	struct chain c = {0};

	chain_add_static(
		&fuzz.loop.mem, &c, (struct str){bytes, choose(2) ? choose(sizeof(bytes)) : choose(20)});
	stream_send_body(fuzz.s[i], &c, last);
	MUST(chain_empty(&c));
	fuzz.sends[i] = !last;
}

static void fuzz_answer(unsigned i)
{
	struct head h = {.status = 200, .body = BODY_STREAM};
	struct field f = {.name = "X-T", .name_len = 3, .value = "v", .value_len = 1};
	bool last = choose(4) == 0;

	if (choose(4) == 0)
		stream_send_head(fuzz.s[i], &(struct head){.status = 103}, false);
	stream_send_head(fuzz.s[i], &h, last);
	fuzz.sends[i] = !last;
	if (!last && choose(2))
		fuzz_body(i, choose(2));
	if (fuzz.sends[i] && choose(3) == 0) {
		stream_send_trailers(fuzz.s[i], &(struct fields){&f, 1, 1});
		fuzz.sends[i] = false;
	}
}

static void fuzz_whim(unsigned i)
{
	switch (choose(6)) {
	case 0:
		stream_credit(fuzz.s[i], choose(70000));
		break;
	case 1:
		stream_reset(fuzz.s[i], REASON_CANCELLED);
		fuzz.sends[i] = false;
		break;
	case 2:
		fuzz_release(i);
		break;
	case 3:
		if (fuzz.sends[i])
			fuzz_body(i, choose(2));
		break;
	default:
		break;
	}
}

static unsigned fuzz_index(const struct stream *s)
{
	return (unsigned)(uintptr_t)s->owner;
}

static void fuzz_on_head(struct stream *s, const struct head *h, bool last)
{
	unsigned i = fuzz_index(s);

	(void)last;
	MUST(h->reject || h->status || (h->method.n && h->authority.n && h->path.n && h->scheme.n));
	MUST(h->fields.n <= fuzz_limits.header_count);
	for (unsigned k = 0; k < h->fields.n; k++)
		MUST(h->fields.v[k].name_len &&
			!memchr(h->fields.v[k].value, '\n', h->fields.v[k].value_len));
	if (!h->status && choose(4))
		fuzz_answer(i);
	if (fuzz.s[i])
		fuzz_whim(i);
}

static void fuzz_on_body(struct stream *s, struct chain *c, bool last)
{
	(void)last;
	stream_credit(s, c->n);
	fuzz_whim(fuzz_index(s));
}

static void fuzz_on_trailers(struct stream *s, const struct fields *fs)
{
	(void)fs;
	fuzz_whim(fuzz_index(s));
}

static void fuzz_on_sent(struct stream *s, size_t n)
{
	(void)n;
	fuzz_whim(fuzz_index(s));
}

static void fuzz_on_reset(struct stream *s, enum reason why)
{
	MUST(why != REASON_NONE);
	fuzz_release(fuzz_index(s));
}

static const struct stream_owner_ops fuzz_owner = {
	fuzz_on_head, fuzz_on_body, fuzz_on_trailers, fuzz_on_sent, fuzz_on_reset};

static void fuzz_on_stream(struct http_conn *c, struct stream *s)
{
	(void)c;
	MUST(fuzz.n < FUZZ_STREAMS);
	fuzz.s[fuzz.n] = s;
	s->owner = (void *)(uintptr_t)fuzz.n++;
	s->owner_ops = &fuzz_owner;
}

static void fuzz_on_change(struct http_conn *c)
{
	(void)c;
}

static void fuzz_on_closed(struct http_conn *c, enum reason why)
{
	(void)c;
	(void)why;
	fuzz.closed = true;
}

static const struct http_conn_owner_ops fuzz_conn_owner = {
	fuzz_on_stream, NULL, fuzz_on_change, fuzz_on_closed};

static void fuzz_start(uint32_t seed)
{
	if (!fuzz.loop.base)
		MUST(loop_init(&fuzz.loop));
	fake_transport_init(&fuzz.ft, &fuzz.loop);
	fuzz.conn = NULL;
	fuzz.n = 0;
	fuzz.closed = false;
	fuzz.choices = seed;
}

/* Feeds all of it in pieces whose sizes the input chooses, the peer reading or not as it likes. */
static void fuzz_play(const uint8_t *p, size_t n)
{
	while (n && !fuzz.closed && fuzz.n < FUZZ_STREAMS / 2) {
		size_t part = choose(3) ? n : choose(40) + 1;
		unsigned i;

		part = MIN(part, MIN(n, (size_t)1500));
		if (choose(8) == 0)
			fuzz.ft.write_room = choose(3000);
		fake_feed(&fuzz.ft, p, part);
		p += part;
		n -= part;
		if (fuzz.ft.write_room < 3000 && choose(2))
			fake_unblock(&fuzz.ft, SIZE_MAX);
		if (fuzz.n && (i = choose(fuzz.n), fuzz.s[i]))
			fuzz_whim(i);
	}
}

static void fuzz_end(void)
{
	switch (choose(3)) {
	case 0:
		if (!fuzz.closed)
			http_conn_drain(fuzz.conn);
		break;
	case 1:
		fake_feed_eof(&fuzz.ft);
		break;
	default:
		break;
	}
	loop_run_tasks(&fuzz.loop);
	if (!fuzz.closed)
		http_conn_close(fuzz.conn, REASON_SHUTDOWN);
	loop_run_tasks(&fuzz.loop);
	for (unsigned i = 0; i < fuzz.n; i++)
		if (fuzz.s[i])
			fuzz_release(i);
	loop_run_tasks(&fuzz.loop);
	MUST(fuzz.closed && fuzz.ft.closed);
	MUST(fuzz.loop.mem.in_use == 0 || (fuzz.loop.mem.read_block && fuzz.loop.mem.in_use == 65536));
	MUST(fuzz.loop.armed == 0);
	fake_transport_free(&fuzz.ft);
}

#endif
