/* fake.h - a client or an origin for the case table: does what its script says, and writes down what it hears, in words that are the
 * same for HTTP/1 and HTTP/2.
 *
 * Script: steps with "; " between them; an origin has a part for each request that reaches it, with " || " between them.
 *   GET /x ATTRIBUTES   a request's head          200 ATTRIBUTES   an answer's head, final or interim
 *       end: nothing follows · length=N · stream: no length · tunnel: a WebSocket · expect: 100-continue · te: trailers
 *       many=N: that many fields · [name: value]
 *   say TEXT            body                      fill N           N bytes of body
 *   end                 of the body               trailers [name: value]...
 *   wait TEXT           until it was heard of the message at hand
 *   hold, go            stops reading, reads on   pause            until nothing moves any more
 *   raw TEXT            bytes as they are         refuse, goaway   HTTP/2: REFUSED_STREAM; GOAWAY without the request
 *   reset               RST, RST_STREAM           abort            the connection: RST
 *   close               the connection, in order
 * Heard: "POST /x length=5 [a: b]\nbody hello\nend\n". Body of over 64 bytes: "body (1000)". A message that did not come to its end,
 * or whose answer was not wanted any more: "cut". An answer of weir's own to a failure: "502 upstream_closed\nend\n".
 *
 * The codecs here are the tests' own, so that weir's cannot agree with each other on something wrong. They believe their peer. */
#ifndef WEIR_TESTS_EXCHANGE_FAKE_H
#define WEIR_TESTS_EXCHANGE_FAKE_H

#include <nghttp2/nghttp2.h>
#include "house.h"
#include "spec.h"
#include "http/h2/frame.h"

#define FAKE_CONNS 8
#define FAKE_HEARD 16384
#define FAKE_SHOWN 64 /* bytes of a body that are written down */
#define FAKE_OUT   65536 /* is made in advance of what the transport takes */

struct bytes {
	char *p;
	size_t n, cap;
};

static inline void bytes_add(struct bytes *b, const void *p, size_t n)
{
	if (b->cap - b->n < n) {
		b->cap = (b->cap + n) * 2;
		b->p = realloc(b->p, b->cap);
		MUST(b->p);
	}
	if (n)
		memcpy(b->p + b->n, p, n);
	b->n += n;
}

static inline void bytes_drop(struct bytes *b, size_t n)
{
	memmove(b->p, b->p + n, b->n - n);
	b->n -= n;
}

__attribute__((format(printf, 2, 3))) static inline void bytes_fmt(struct bytes *b, const char *fmt, ...)
{
	char text[4096];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	MUST(n >= 0 && (size_t)n < sizeof(text));
	bytes_add(b, text, (size_t)n);
}

enum progress { AT_HEAD, AT_BODY, AT_END };

struct fake;

struct fake_wire {
	void (*begin)(struct fake *f);
	void (*end)(struct fake *f);
	void (*head)(struct fake *f, const struct spec *s);
	/* Puts up to n bytes into f->out; returns how many were taken. */
	size_t (*body)(struct fake *f, const char *p, size_t n);
	void (*finish)(struct fake *f);
	void (*trailers)(struct fake *f, const struct spec *s);
	void (*reset)(struct fake *f, enum h2_error code);
	/* Takes from f->in what is whole. */
	void (*receive)(struct fake *f);
};

/* One of the two ends of a case. */
struct side {
	struct house *house;
	const struct fake_wire *wire;
	bool client;
	const char *script;
	size_t window; /* HTTP/2: what streams may send; 0: 65535 */
	const char *
		show; /* names of fields that are written down although weir adds them itself: ",date,via," */
	size_t passed, limit; /* bytes that have left, and that may leave: where the message is split */
	uint64_t activity;
	unsigned requests; /* an origin's: that have come */
	bool pausing;
	char heard_buf[FAKE_HEARD];
	struct text heard;
	size_t message; /* where in it the message at hand begins */
	struct fake *conns[FAKE_CONNS];
	unsigned n;
};

/* A connection of a side. */
struct fake {
	struct side *side;
	struct transport *t; /* NULL: closed */
	struct bytes in, out;
	const char *at; /* the next step; NULL: none */
	const char *give; /* of a step "say" or "fill": what is left of it; NULL: the pattern */
	size_t give_n, filled;
	bool hold, eof;
	uint8_t in_at, out_at; /* enum progress */
	bool cut, stopped; /* the peer wants no more of the message that goes out */
	size_t body_n;
	char body[FAKE_SHOWN];
	bool body_good;
	bool error; /* weir's own answer: its text is not written down */
	bool head_request, tunnel_request, out_tunnel;
	/* HTTP/1 */
	bool out_chunked, in_chunked, in_tunnel, in_close;
	size_t in_left; /* of the body, or of the chunk */
	char key[32]; /* Sec-WebSocket-Key */
	/* HTTP/2 */
	nghttp2_hd_deflater *deflater;
	nghttp2_hd_inflater *inflater;
	uint32_t stream;
	bool greeted;
	int64_t conn_window, stream_window, initial_window;
	struct bytes block;
	uint8_t block_flags;
};

#define PATTERN(i) ((char)('a' + (i) % 23))

/* -- what is heard -- */

static inline const char *side_heard(struct side *s)
{
	s->heard_buf[s->heard.n] = '\0';
	return s->heard_buf;
}

static inline void hear_body_line(struct fake *f)
{
	struct text *t = &f->side->heard;

	if (f->body_n && !f->error) {
		if (f->body_n > FAKE_SHOWN)
			text_fmt(t, "body (%zu%s)\n", f->body_n, f->body_good ? "" : " garbled");
		else
			text_fmt(t, "body %.*s\n", (int)f->body_n, f->body);
	}
	f->body_n = 0;
	f->body_good = true;
}

/* What weir or a codec adds to each message, and what the attributes say already. */
static inline bool is_usual(struct str name)
{
	return listed(",host,connection,content-length,transfer-encoding,te,expect,upgrade,date,via,"
		      "forwarded,x-forwarded-for,"
		      "x-forwarded-proto,x-forwarded-host,x-forwarded-port,x-real-ip,x-request-id,sec-"
		      "websocket-key,"
		      "sec-websocket-version,sec-websocket-accept,keep-alive,trailer,",
		name);
}

static inline void hear_fields(struct fake *f, const struct spec *s)
{
	struct text *t = &f->side->heard;
	unsigned many = 0;

	for (unsigned i = 0; i < s->n; i++) {
		struct str name = s->fields[i].name;

		if (str_starts(name, STR("x-many-")))
			many++;
		else if (!is_usual(name) || listed(f->side->show, name))
			text_fmt(
				t, " [" STR_FMT ": " STR_FMT "]", STR_ARG(name), STR_ARG(s->fields[i].value));
	}
	if (many)
		text_fmt(t, " many=%u", many);
}

static inline void hear_head(struct fake *f, const struct spec *s)
{
	struct side *side = f->side;
	struct text *t = &side->heard;
	struct str reason = spec_value(s, "x-weir-reason");

	if (!side->client)
		side->message = t->n;
	f->tunnel_request = !side->client && s->tunnel;
	f->error = reason.n > 0 && !listed(side->show, STR("x-weir-reason"));
	f->body_n = 0;
	f->body_good = true;
	if (f->error) {
		text_fmt(t, "%u " STR_FMT "\n", s->status, STR_ARG(reason));
		return;
	}
	if (s->status)
		text_u64(t, s->status);
	else
		text_fmt(t, STR_FMT " " STR_FMT, STR_ARG(s->method), STR_ARG(s->path));
	if (s->tunnel)
		text_put(t, STR(" tunnel"));
	if (s->length)
		text_fmt(t, " length=%zu", s->length);
	if (s->expect)
		text_put(t, STR(" expect"));
	if (s->te)
		text_put(t, STR(" te"));
	hear_fields(f, s);
	text_char(t, '\n');
}

static inline void hear_body(struct fake *f, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (f->body_n < FAKE_SHOWN)
			f->body[f->body_n] = p[i];
		f->body_good &= p[i] == PATTERN(f->body_n);
		f->body_n++;
	}
}

static inline void hear_end(struct fake *f, const struct spec *trailers)
{
	hear_body_line(f);
	if (trailers) {
		text_put(&f->side->heard, STR("trailers"));
		hear_fields(f, trailers);
		text_char(&f->side->heard, '\n');
	}
	text_put(&f->side->heard, STR("end\n"));
	f->in_at = AT_END;
}

/* The peer wants no more, or has no more. */
static inline void hear_cut(struct fake *f)
{
	bool open = f->in_at != AT_END;

	if (f->side->client)
		open = open && f->out_at != AT_HEAD;
	else
		open = f->in_at == AT_BODY || (f->in_at == AT_END && f->out_at != AT_END);
	f->stopped = true;
	f->give_n = 0;
	if (!open || f->cut)
		return;
	f->at = NULL;
	f->cut = true;
	hear_body_line(f);
	text_put(&f->side->heard, STR("cut\n"));
}

static inline bool has_heard(struct fake *f, struct str text)
{
	struct side *s = f->side;
	char line[FAKE_SHOWN + 32];
	int n;

	if (memmem(side_heard(s) + s->message, s->heard.n - s->message, text.p, text.n))
		return true;
	if (f->body_n > FAKE_SHOWN)
		n = snprintf(line, sizeof(line), "body (%zu", f->body_n);
	else
		n = snprintf(line, sizeof(line), "body %.*s", (int)f->body_n, f->body);
	return memmem(line, (size_t)n, text.p, text.n) != NULL;
}

/* -- scripts -- */

static inline void fake_flush(struct fake *f);

/* Closes the connection; what is on its way is lost if rst. */
static inline void fake_hang_up(struct fake *f, bool rst)
{
	f->at = NULL;
	f->give_n = 0;
	f->out.n = 0;
	if (f->t && rst)
		transport_abort(&f->t);
	else if (f->t)
		transport_close(&f->t);
}

static inline void fake_send_head(struct fake *f, struct str step)
{
	struct spec s = {0};
	struct str first = word(&step);

	if (first.p[0] >= '1' && first.p[0] <= '9') {
		s.status = number(first);
	} else {
		s.method = first;
		s.path = word(&step);
		f->side->message = f->side->heard.n;
		f->in_at = AT_HEAD;
		f->cut = false;
		f->head_request = str_eq(first, STR("HEAD"));
	}
	spec_attributes(&s, step);
	if (s.status && s.status < 200) {
		f->side->wire->head(f, &s);
		return;
	}
	f->stopped = false;
	f->out_tunnel = s.tunnel;
	if (s.status && f->tunnel_request && !s.tunnel)
		f->in_at = AT_END; /* declined: nothing more is asked */
	f->side->wire->head(f, &s);
	f->out_at = s.end ? AT_END : AT_BODY;
}

/* The message at hand is over for this side: nothing more is heard of it. */
static inline void fake_give_up(struct fake *f)
{
	if (f->in_at == AT_BODY)
		hear_body_line(f);
	f->in_at = f->out_at = AT_END;
}

/* One step; false when it has to wait. */
static inline bool fake_step(struct fake *f, struct str step)
{
	const struct fake_wire *wire = f->side->wire;
	struct str all = step, verb = word(&step);
	bool drained = f->out.n == 0 && f->t && !f->t->unsent;

	step = str_trim(step);
	if (str_eq(verb, STR("say"))) {
		f->give = step.p;
		f->give_n = step.n;
	} else if (str_eq(verb, STR("fill"))) {
		f->give = NULL;
		f->give_n = number(step);
	} else if (str_eq(verb, STR("end"))) {
		wire->finish(f);
		f->out_at = AT_END;
	} else if (str_eq(verb, STR("trailers"))) {
		struct spec s = {0};

		spec_attributes(&s, step);
		wire->trailers(f, &s);
		f->out_at = AT_END;
	} else if (str_eq(verb, STR("wait"))) {
		return has_heard(f, step);
	} else if (str_eq(verb, STR("pause"))) {
		if (!f->side->pausing)
			return false;
		f->side->pausing = false;
	} else if (str_eq(verb, STR("hold"))) {
		f->hold = true;
	} else if (str_eq(verb, STR("go"))) {
		f->hold = false;
		if (f->t)
			f->t->on_event(f->t);
	} else if (str_eq(verb, STR("raw"))) {
		bytes_add(&f->out, step.p, step.n);
	} else if (str_eq(verb, STR("refuse")) || str_eq(verb, STR("reset"))) {
		if (!drained)
			return false;
		fake_give_up(f);
		wire->reset(f, str_eq(verb, STR("refuse")) ? H2_REFUSED_STREAM
			       : f->side->client           ? H2_CANCEL
							   : H2_INTERNAL_ERROR);
	} else if (str_eq(verb, STR("goaway"))) {
		static const char payload[H2_FRAME_HEADER + 8] = {
			0, 0, 8, H2_FRAME_GOAWAY}; /* of stream 0, NO_ERROR */

		fake_give_up(f);
		bytes_add(&f->out, payload, sizeof(payload));
	} else if (str_eq(verb, STR("close")) || str_eq(verb, STR("abort"))) {
		if (!drained)
			return false;
		fake_give_up(f);
		fake_hang_up(f, str_eq(verb, STR("abort")));
	} else {
		fake_send_head(f, all);
	}
	return true;
}

/* Gives what a step has of body, as far as the wire and the room allow. */
static inline void fake_give(struct fake *f)
{
	char pattern[4096];

	while (f->give_n && f->out.n < FAKE_OUT) {
		size_t n = MIN(f->give_n, sizeof(pattern));

		for (size_t i = 0; !f->give && i < n; i++)
			pattern[i] = PATTERN(f->filled + i);
		n = f->side->wire->body(f, f->give ? f->give : pattern, n);
		if (n == 0)
			break;
		f->give_n -= n;
		if (f->give)
			f->give += n;
		else
			f->filled += n;
	}
}

/* Goes on with the script, as far as it can. */
static inline void fake_advance(struct fake *f)
{
	size_t unsent;

	do {
		while (f->t && f->t->state == TRANSPORT_OPEN) {
			const char *here = f->at;

			fake_give(f);
			if (f->give_n || !here)
				break;
			if (!fake_step(f, next_step(&f->at))) {
				f->at = here;
				break;
			}
			f->side->activity++;
		}
		unsent = f->out.n;
		fake_flush(f);
	} while (f->out.n < unsent);
}

/* -- bytes -- */

static inline void fake_flush(struct fake *f)
{
	struct side *s = f->side;

	while (f->t && f->t->state == TRANSPORT_OPEN && f->out.n && f->t->writable && s->passed < s->limit) {
		struct iovec iov = {f->out.p, MIN(f->out.n, s->limit - s->passed)};
		ssize_t n = transport_writev(f->t, &iov, 1);

		if (n <= 0)
			break;
		s->passed += (size_t)n;
		s->activity++;
		bytes_drop(&f->out, (size_t)n);
	}
}

/* The peer sends no more; orderly: it said so itself. */
static inline void fake_lost(struct fake *f, bool orderly)
{
	f->eof = true;
	f->side->activity++;
	if (orderly && f->in_close && f->in_at == AT_BODY) {
		hear_end(f, NULL);
		return;
	}
	if (orderly && f->in_tunnel && f->in_at == AT_BODY) { /* half-close */
		hear_end(f, NULL);
		if (f->out_at != AT_END)
			return;
	}
	hear_cut(f);
	fake_hang_up(f, false);
}

static inline void fake_on_event(struct transport *t)
{
	struct fake *f = t->user;
	char room[16384];

	while (f->t && f->t->state == TRANSPORT_OPEN && !f->hold && !f->eof && f->t->readable) {
		ssize_t n = transport_read(f->t, room, sizeof(room));

		if (n == TRANSPORT_AGAIN)
			break;
		if (n <= 0) {
			fake_lost(f, n == TRANSPORT_EOF);
			break;
		}
		f->side->activity++;
		bytes_add(&f->in, room, (size_t)n);
		f->side->wire->receive(f);
		if (f->t)
			fake_advance(f);
	}
	if (f->t && f->t->state == TRANSPORT_DEAD) {
		hear_cut(f);
		fake_hang_up(f, false);
	}
	if (f->t)
		fake_advance(f);
}

static inline struct fake *fake_new(struct side *s, struct transport *t)
{
	struct fake *f = calloc(1, sizeof(*f));

	MUST(f && t && s->n < FAKE_CONNS);
	f->side = s;
	f->t = t;
	f->body_good = true;
	t->user = f;
	t->on_event = fake_on_event;
	s->conns[s->n++] = f;
	s->activity++;
	s->wire->begin(f);
	return f;
}

/* A whole request head has come to an origin: what does the script want of it? */
static inline void fake_asked(struct fake *f)
{
	f->at = part_of(f->side->script, f->side->requests++);
	f->out_at = AT_HEAD;
	f->cut = false;
	f->filled = 0;
}

static inline void side_hang_up(struct side *s)
{
	for (unsigned i = 0; i < s->n; i++)
		fake_hang_up(s->conns[i], false);
}

/* Forgets the connections, and what was heard. */
static inline void side_reset(struct side *s)
{
	side_hang_up(s);
	for (unsigned i = 0; i < s->n; i++) {
		struct fake *f = s->conns[i];

		s->wire->end(f);
		free(f->in.p);
		free(f->out.p);
		free(f->block.p);
		free(f);
	}
	s->n = s->requests = 0;
	s->passed = 0;
	s->limit = SIZE_MAX;
	s->pausing = false;
	s->heard = text_in(s->heard_buf, sizeof(s->heard_buf) - 1);
	s->message = 0;
}

static inline bool side_paused(const struct side *s)
{
	for (unsigned i = 0; i < s->n; i++)
		if (s->conns[i]->at && !s->conns[i]->give_n && strncmp(s->conns[i]->at, "pause", 5) == 0)
			return true;
	return false;
}

static inline void side_advance(struct side *s)
{
	for (unsigned i = 0; i < s->n; i++)
		if (s->conns[i]->t)
			fake_advance(s->conns[i]);
}

#endif
