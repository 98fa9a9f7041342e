/* fake_owner.h - one HTTP/1 connection over a scripted transport, and an owner of its streams that writes down what it is
 * told. Tests read what it heard, and what left on the wire. */
#ifndef WEIR_TESTS_FAKE_OWNER_H
#define WEIR_TESTS_FAKE_OWNER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "fake_transport.h"
#include "http/conn.h"
#include "http/h1/websocket.h"

#define KEY    "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

/* An owner of streams: logs, and grants credit as it is told to. */
struct owner {
	struct loop loop;
	struct fake_transport ft;
	struct http_conn *conn;
	struct stream *s;
	struct http_limits lim;
	char log[65536];
	struct text text;
	size_t grant; /* credit given with each head */
	size_t sent;
	bool auto_answer; /* a complete request with 200 and its path as body, released when sent */
	bool auto_release; /* at on_reset, and when both ends are complete */
	bool in_done;
	struct head last_head; /* copied: no fields */
	struct arena arena;
	struct chain preface;
	struct transport *taken;
	bool closed;
	enum reason closed_why;
	unsigned changes;
};

static const struct stream_owner_ops owner_ops;

static inline void say(struct owner *o, const char *fmt, ...)
{
	char line[4096];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	text_put(&o->text, str_of(line));
}

static inline void say_fields(struct owner *o, const struct fields *fs)
{
	for (unsigned i = 0; i < fs->n; i++)
		say(o, " [" STR_FMT "=" STR_FMT "]", STR_ARG(field_name(&fs->v[i])),
			STR_ARG(field_value(&fs->v[i])));
}

static inline void answer(struct owner *o, unsigned status, const char *body, bool last)
{
	struct head h = {
		.status = (uint16_t)status, .body = BODY_LENGTH, .has_length = true, .length = strlen(body)};
	struct chain c = {0};

	chain_add_copy(&o->loop.mem, &c, body, strlen(body));
	stream_send_head(o->s, &h, false);
	stream_send_body(o->s, &c, last);
}

static inline void answer_path(struct owner *o)
{
	const struct head *h = &o->last_head;
	char path[256];

	snprintf(path, sizeof(path), STR_FMT, STR_ARG(h->path));
	answer(o, h->reject ? reason_row((enum reason)h->reject)->status : 200, path, true);
}

static inline void release(struct owner *o)
{
	stream_release(&o->s);
}

static inline void on_stream(struct http_conn *c, struct stream *s)
{
	struct owner *o = c->owner;

	assert_null(o->s);
	o->s = s;
	o->in_done = false;
	s->owner_ops = &owner_ops;
	s->owner = o;
}

static inline void on_head(struct stream *s, const struct head *h, bool last)
{
	struct owner *o = s->owner;
	char name[REASON_NAME_MAX];

	if (h->status)
		say(o, "%u", h->status);
	else
		say(o, STR_FMT " " STR_FMT " " STR_FMT, STR_ARG(h->method), STR_ARG(h->authority),
			STR_ARG(h->path));
	if (h->reject)
		say(o, " REJECT " STR_FMT, STR_ARG(reason_name((enum reason)h->reject, name)));
	if (h->protocol.n)
		say(o, " protocol=" STR_FMT, STR_ARG(h->protocol));
	if (h->has_length)
		say(o, " length=%llu", (unsigned long long)h->length);
	else if (h->body)
		say(o, " %s", h->body == BODY_TUNNEL ? "tunnel" : "stream");
	say_fields(o, &h->fields);
	say(o, last ? " last\n" : "\n");
	o->in_done = last;
	head_copy(&o->arena, &o->last_head, h);
	if (o->grant)
		stream_credit(s, o->grant);
	if (o->auto_answer && last)
		answer_path(o);
}

static inline void on_body(struct stream *s, struct chain *c, bool last)
{
	struct owner *o = s->owner;
	static char bytes[65536];
	size_t n = chain_peek(c, bytes, sizeof(bytes) - 1);

	bytes[n] = '\0';
	say(o, "%s%s", bytes, last ? "<end>\n" : "");
	o->in_done |= last;
	if (last && o->auto_answer)
		answer_path(o);
	else if (last && o->auto_release && s->sent_all)
		release(o);
}

static inline void on_trailers(struct stream *s, const struct fields *fs)
{
	struct owner *o = s->owner;

	say(o, "<trailers");
	say_fields(o, fs);
	say(o, ">\n");
	o->in_done = true;
	if (o->auto_answer)
		answer_path(o);
}

static inline void on_sent(struct stream *s, size_t n)
{
	struct owner *o = s->owner;

	o->sent += n;
	if (s->sent_all && (o->auto_answer || (o->auto_release && o->in_done)))
		release(o);
}

static inline void on_reset(struct stream *s, enum reason why)
{
	struct owner *o = s->owner;
	char name[REASON_NAME_MAX];

	say(o, "reset " STR_FMT "\n", STR_ARG(reason_name(why, name)));
	if (o->auto_release)
		release(o);
}

static inline void on_preface(struct http_conn *c, struct transport **t, struct chain *received)
{
	struct owner *o = c->owner;

	o->taken = TAKE(t);
	chain_move(&o->preface, received);
}

static inline void on_change(struct http_conn *c)
{
	((struct owner *)c->owner)->changes++;
}

static inline void on_closed(struct http_conn *c, enum reason why)
{
	struct owner *o = c->owner;

	o->closed = true;
	o->closed_why = why;
}

static const struct stream_owner_ops owner_ops = {on_head, on_body, on_trailers, on_sent, on_reset};
static const struct http_conn_owner_ops conn_ops = {on_stream, on_preface, on_change, on_closed};

static inline int setup(void **state)
{
	struct owner *o = calloc(1, sizeof(*o));

	assert_true(loop_init(&o->loop));
	fake_transport_init(&o->ft, &o->loop);
	arena_init(&o->arena, NULL);
	o->lim = (struct http_limits){.header_ms = 1000,
		.body_ms = 3000,
		.idle_ms = 5000,
		.header_bytes = 4096,
		.header_count = 20};
	o->text = text_in(o->log, sizeof(o->log) - 1);
	o->auto_release = true;
	o->grant = 1 << 20;
	*state = o;
	return 0;
}

static inline int teardown(void **state)
{
	struct owner *o = *state;

	if (o->conn && !o->closed)
		http_conn_close(o->conn, REASON_SHUTDOWN);
	loop_run_tasks(&o->loop);
	if (o->s)
		release(o);
	loop_run_tasks(&o->loop);
	if (o->conn)
		assert_true(o->closed);
	chain_clear(&o->loop.mem, &o->preface);
	fake_transport_free(&o->ft);
	arena_free(&o->arena);
	loop_free(&o->loop); /* fails if a block did not come back */
	free(o);
	return 0;
}

static inline void serve(struct owner *o)
{
	struct transport *t = &o->ft.t;

	o->conn = h1_server(&t, &o->lim, &conn_ops, o);
	assert_null(t);
	loop_run_tasks(&o->loop);
}

static inline void connect_client(struct owner *o)
{
	struct transport *t = &o->ft.t;

	o->conn = h1_client(&t, &o->lim, &conn_ops, o);
	loop_run_tasks(&o->loop);
}

static inline void feed(struct owner *o, const char *text)
{
	fake_feed(&o->ft, text, strlen(text));
}

static inline void run(struct owner *o)
{
	loop_run_tasks(&o->loop);
}

/* Lets ms pass: deadlines that are due fire. */
static inline void pass(struct owner *o, unsigned ms)
{
	for (uint32_t i = 0; i < o->loop.queue_count; i++) {
		struct deadline_queue *q = &o->loop.queues[i];

		list_each (link, &q->entries)
			CONTAINER(link, struct deadline, link)->at_ms -=
				MIN(ms, CONTAINER(link, struct deadline, link)->at_ms);
	}
	for (uint32_t i = 0; i < o->loop.queue_count; i++) {
		struct list *link;

		while ((link = list_first(&o->loop.queues[i].entries))) {
			struct deadline *d = CONTAINER(link, struct deadline, link);

			if (d->at_ms > o->loop.now_ms)
				break;
			deadline_disarm(&o->loop, d);
			d->fire(d);
		}
	}
	run(o);
}

static const char *heard(struct owner *o)
{
	o->log[o->text.n] = '\0';
	o->text.n = 0;
	return o->log;
}

/* Newlines as spaces, in place: for what may be told in one part or in two. */
static inline const char *flat(const char *heard_text)
{
	for (char *p = (char *)(uintptr_t)heard_text; *p; p++)
		if (*p == '\n')
			*p = ' ';
	return heard_text;
}

#define assert_heard(o, expected) assert_string_equal(heard(o), expected)
#define assert_out(o, expected)   assert_string_equal((o)->ft.out, expected)

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
