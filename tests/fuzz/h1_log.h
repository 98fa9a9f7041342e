/* h1_log.h - an owner of HTTP/1 streams for fuzzers: writes down every message that came completely, so that two ways of
 * feeding the same bytes can be compared. */
#ifndef WEIR_TESTS_H1_LOG_H
#define WEIR_TESTS_H1_LOG_H

#include "../unit/fake_transport.h"
#include "base/map.h"
#include "http/conn.h"

struct h1_log {
	struct stream *s;
	struct http_conn *conn;
	bool closed;
	bool server;
	uint64_t message, body; /* hashes of what has come of the message under way */
	uint64_t log[4096]; /* complete messages, in order */
	unsigned n;
};

static inline uint64_t h1_log_str(uint64_t hash, struct str s)
{
	return hash_bytes(s.p ? s.p : "", s.n, hash + s.n + 1);
}

static inline void h1_log_fields(uint64_t *hash, const struct fields *fs)
{
	for (unsigned i = 0; i < fs->n; i++)
		*hash = h1_log_str(h1_log_str(*hash, field_name(&fs->v[i])), field_value(&fs->v[i]));
}

static inline void h1_log_end(struct h1_log *l, struct stream *s)
{
	struct head ok = {.status = 200};

	if (l->n < COUNT_OF(l->log))
		l->log[l->n++] = l->message ^ (l->body * 31);
	if (l->server)
		stream_send_head(s, &ok, true);
	else
		stream_release(&l->s);
}

static inline void h1_log_head(struct stream *s, const struct head *h, bool last)
{
	struct h1_log *l = s->owner;
	struct head refusal = {.status = 400};

	if (h->reject) {
		stream_send_head(s, &refusal, true);
		return;
	}
	MUST(h->status || (h->authority.n && h->path.n && (h->path.p[0] == '/' || h->path.p[0] == '*')));
	l->message = h1_log_str(h1_log_str(h->status + h->length, h->method), h->path);
	l->message = h1_log_str(h1_log_str(l->message, h->authority), h->protocol);
	h1_log_fields(&l->message, &h->fields);
	l->body = 0;
	stream_credit(s, SIZE_MAX / 2);
	if (last)
		h1_log_end(l, s);
	else if (h->body == BODY_TUNNEL)
		stream_reset(s, REASON_CANCELLED);
}

static inline void h1_log_body(struct stream *s, struct chain *c, bool last)
{
	struct h1_log *l = s->owner;

	for (const struct slice *part = c->first; part; part = part->next)
		for (size_t i = 0; i < part->n; i++)
			l->body = l->body * 1099511628211u + (uint8_t)part->p[i] + 1;
	if (last)
		h1_log_end(l, s);
}

static inline void h1_log_trailers(struct stream *s, const struct fields *fs)
{
	struct h1_log *l = s->owner;

	h1_log_fields(&l->message, fs);
	h1_log_end(l, s);
}

static inline void h1_log_sent(struct stream *s, size_t n)
{
	struct h1_log *l = s->owner;

	(void)n;
	if (l->server && s->sent_all)
		stream_release(&l->s);
}

static inline void h1_log_reset(struct stream *s, enum reason why)
{
	struct h1_log *l = s->owner;

	MUST(why != REASON_INTERNAL);
	stream_release(&l->s);
}

static const struct stream_owner_ops h1_log_ops = {
	h1_log_head, h1_log_body, h1_log_trailers, h1_log_sent, h1_log_reset};

static inline void h1_log_stream(struct http_conn *c, struct stream *s)
{
	struct h1_log *l = c->owner;

	MUST(!l->s);
	l->s = s;
	s->owner_ops = &h1_log_ops;
	s->owner = l;
}

static inline void h1_log_closed(struct http_conn *c, enum reason why)
{
	struct h1_log *l = c->owner;

	(void)why;
	l->closed = true;
}

static const struct http_conn_owner_ops h1_log_conn_ops = {h1_log_stream, NULL, NULL, h1_log_closed};

/* Feeds data to a connection of that role, in pieces whose lengths come from the data too (whole: at once), and closes it. */
static inline void h1_log_run(
	struct h1_log *l, struct loop *loop, bool server, const uint8_t *data, size_t n, bool whole)
{
	static const struct http_limits lim = {.header_bytes = 4096, .header_count = 20, .body_ms = 1000};
	static const struct head get = {
		.method = STR("GET"), .method_id = METHOD_GET, .authority = STR("a"), .path = STR("/")};
	struct fake_transport ft;
	struct transport *t = &ft.t;
	uint32_t random = (uint32_t)n * 2654435761u + (n ? data[n / 2] : 0);

	*l = (struct h1_log){.server = server};
	fake_transport_init(&ft, loop);
	if (server) {
		l->conn = h1_server(&t, &lim, &h1_log_conn_ops, l);
	} else {
		l->conn = h1_client(&t, &lim, &h1_log_conn_ops, l);
		l->s = http_conn_open(l->conn, &h1_log_ops, l);
		stream_send_head(l->s, &get, true);
	}
	loop_run_tasks(loop);
	for (size_t at = 0; at < n && !ft.closed;) {
		size_t piece = whole ? n : 1 + random % 7;

		random = random * 1664525 + 1013904223;
		piece = MIN(piece, n - at);
		if (!whole)
			ft.write_room = random % 50; /* the peer reads slowly too */
		fake_feed(&ft, data + at, piece);
		if (!ft.closed && random % 3 == 0)
			fake_unblock(&ft, 100);
		at += piece;
	}
	if (!ft.closed)
		fake_unblock(&ft, SIZE_MAX);
	if (!ft.closed)
		fake_feed_eof(&ft);
	if (l->s)
		stream_release(&l->s);
	loop_run_tasks(loop);
	if (!l->closed)
		http_conn_close(l->conn, REASON_SHUTDOWN);
	loop_run_tasks(loop);
	MUST(l->closed && ft.closed);
	fake_transport_free(&ft);
}

/* Whole and in pieces: the same complete messages. */
static inline void h1_log_compare(bool server, const uint8_t *data, size_t n)
{
	static struct loop loop;
	static struct h1_log whole, pieces;

	if (!loop.base)
		MUST(loop_init(&loop));
	h1_log_run(&whole, &loop, server, data, n, true);
	h1_log_run(&pieces, &loop, server, data, n, false);
	MUST(whole.n == pieces.n);
	MUST(memcmp(whole.log, pieces.log, whole.n * sizeof(whole.log[0])) == 0);
}

#endif
