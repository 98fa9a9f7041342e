#include "base/obj.h"
#include "http/h2/conn.h"

/* http/h2/client.c - the client role: requests out, responses in. */

static bool is_idle(const struct h2_conn *c, uint32_t id)
{
	return id > c->last_id || id % 2 == 0; /* pushes are forbidden, so even ids are never used */
}

static enum reason fault(enum h2_error code)
{
	(void)code;
	return REASON_UPSTREAM_H2_PROTOCOL;
}

/* Bytes of an answer were passed on: it cannot be had again. */
static bool begun(const struct h2_stream *s)
{
	return s->in != H2_HALF_HEAD;
}

static enum reason reset_in(struct h2_conn *c, struct h2_stream *s, enum h2_error code)
{
	(void)c;
	if (code == H2_REFUSED_STREAM && !begun(s))
		return REASON_UPSTREAM_REFUSED_STREAM;
	/* RFC 9113 8.1: the answer is complete, the rest of the request is not wanted. */
	if (code == H2_NO_ERROR && s->in >= H2_HALF_ENDING)
		return REASON_NONE;
	return begun(s) ? REASON_UPSTREAM_CUT_BODY : REASON_UPSTREAM_RESET_STREAM;
}

static enum reason lost(const struct h2_stream *s, bool reset)
{
	if (s && begun(s))
		return REASON_UPSTREAM_CUT_BODY;
	return reset ? REASON_UPSTREAM_RESET : REASON_UPSTREAM_CLOSED;
}

static uint32_t capacity(const struct h2_conn *c)
{
	uint32_t limit = c->base.limits->max_streams ? c->base.limits->max_streams : UINT32_MAX;

	limit = MIN(limit, c->peer_streams);
	return c->base.draining || !h2_conn_reads(c) || c->base.streams >= limit ? 0
										 : limit - c->base.streams;
}

static void owe_change(struct h2_conn *c)
{
	if (!c->base.owner_ops->on_change)
		return;
	c->changed = true;
	loop_defer(h2_loop(c), &c->ready_task, LOOP_READY);
}

void h2_conn_changed(struct h2_conn *c)
{
	uint32_t was = c->base.capacity;

	c->base.capacity = capacity(c);
	if (!was != !c->base.capacity || c->base.streams == 0)
		owe_change(c);
}

/* RFC 9113 8.1: what a malformed head, or one too large, means here. */
static enum reason wrong_head(const struct h2_block *b)
{
	if (b->too_large)
		return REASON_UPSTREAM_HEADERS_TOO_LARGE;
	return b->wrong == REASON_CLIENT_LENGTH_MISMATCH ? REASON_UPSTREAM_CUT_BODY
	       : b->wrong == REASON_CLIENT_BAD_FRAMING   ? REASON_UPSTREAM_BAD_FRAMING
							 : REASON_UPSTREAM_BAD_RESPONSE;
}

static void head_in(struct h2_conn *c, struct h2_stream *s, struct h2_block *b)
{
	struct head *h = &b->head;
	bool last = h->body == BODY_NONE && h->status >= 200;

	if (b->self_depends || b->wrong || b->too_large) {
		h2_stream_fault(s, H2_PROTOCOL_ERROR, wrong_head(b));
		return;
	}
	(void)c;
	if (h->status < 200) {
		if (++s->interim > H2_INTERIM_MAX)
			h2_stream_fault(s, H2_ENHANCE_YOUR_CALM, REASON_UPSTREAM_TOO_MANY_1XX);
		else if (!s->released)
			s->base.owner_ops->on_head(&s->base, h, false);
		return;
	}
	s->tunnel = h->body == BODY_TUNNEL;
	s->has_length = h->body == BODY_LENGTH;
	s->length_left = h->length;
	/* An answer to HEAD has its end here, even if END_STREAM comes with an empty DATA frame after it. */
	h2_stream_set_in(s, last ? H2_HALF_DONE : b->end_stream ? H2_HALF_ENDING : H2_HALF_BODY);
	if (!s->released)
		s->base.owner_ops->on_head(&s->base, h, last);
	h2_stream_expect(s);
	h2_stream_wake(s);
	h2_stream_settle(s);
}

bool h2_client_begin(struct h2_stream *s, const struct head *head, bool last)
{
	struct h2_conn *c = s->c;

	s->method = head->method_id;
	if (head->body == BODY_TUNNEL && !c->peer_settings) {
		s->head_out = h2_keep(c, head, last);
		return false;
	}
	if (head->body == BODY_TUNNEL && !c->peer_connect) {
		h2_stream_kill(s, REASON_UPSTREAM_NO_WEBSOCKET); /* RFC 8441 3: only after it was offered */
		return false;
	}
	c->last_id = c->last_id ? c->last_id + 2 : 1;
	h2_stream_set_id(s, c->last_id);
	if (c->last_id >= H2_STREAM_ID_MAX - 1)
		h2_client_drain(&c->base);
	return true;
}

/* Heads that waited for the peer's word on extended CONNECT. */
static void begin_kept(struct h2_conn *c)
{
	list_each_safe (link, &c->all) {
		struct h2_stream *s = CONTAINER(link, struct h2_stream, link);
		struct h2_kept *k = TAKE(&s->head_out);

		if (!k)
			continue;
		if (c->goaway_id < H2_STREAM_ID_MAX) {
			h2_stream_kill(s, REASON_UPSTREAM_GOAWAY);
		} else if (h2_client_begin(s, &k->head, k->last)) {
			h2_stream_write_head(s, &k->head, k->last);
			if (k->ended)
				h2_stream_set_out(s, H2_HALF_ENDING);
			h2_send_wake(s);
		}
		h2_unkeep(c, &k);
	}
}

static void settings_in(struct h2_conn *c)
{
	/* When all is read that has come: some peers offer it in SETTINGS right behind the first. */
	c->kept_due = true;
	loop_defer(h2_loop(c), &c->ready_task, LOOP_READY);
	if (!c->base.settled) {
		c->base.settled = true;
		owe_change(c);
	}
	h2_conn_changed(c);
}

static void goaway_in(struct h2_conn *c, uint32_t last_id)
{
	if (last_id > c->goaway_id) { /* RFC 9113 6.8: it may only sink */
		h2_conn_fault(c, H2_PROTOCOL_ERROR);
		return;
	}
	c->goaway_id = last_id;
	c->base.draining = true;
	list_each_safe (link, &c->all) {
		struct h2_stream *s = CONTAINER(link, struct h2_stream, link);

		if (s->open && s->id > last_id && !begun(s))
			h2_stream_kill(s, REASON_UPSTREAM_GOAWAY);
	}
	h2_conn_changed(c);
	h2_conn_rests(c);
}

const struct h2_role h2_client_role = {
	.head_in = head_in,
	.settings_in = settings_in,
	.begin_kept = begin_kept,
	.goaway_in = goaway_in,
	.is_idle = is_idle,
	.fault = fault,
	.reset_in = reset_in,
	.lost = lost,
	.body_short = REASON_UPSTREAM_CUT_BODY,
	.body_long = REASON_UPSTREAM_BAD_FRAMING,
	.body_stalled = REASON_UPSTREAM_BODY_TIMEOUT,
	.read_stalled = REASON_UPSTREAM_TIMEOUT,
	.slow_head = REASON_UPSTREAM_TIMEOUT,
	.changed = h2_conn_changed,
};

static struct stream *open_down(struct http_conn *base, const struct stream_owner_ops *ops, void *owner)
{
	struct h2_conn *c = (struct h2_conn *)base;
	struct h2_stream *s;

	OBJ_CHECK(base, HTTP_CONN_MAGIC);
	if (base->capacity == 0)
		return NULL;
	s = h2_stream_new(c);
	s->base.owner_ops = ops;
	s->base.owner = owner;
	base->unused = false;
	h2_conn_changed(c);
	return &s->base;
}

void h2_client_drain(struct http_conn *base)
{
	struct h2_conn *c = (struct h2_conn *)base;

	OBJ_CHECK(base, HTTP_CONN_MAGIC);
	base->draining = true;
	h2_conn_changed(c);
	h2_conn_rests(c);
}

static const struct http_conn_ops client_ops = {
	.open = open_down, .drain = h2_client_drain, .close = h2_conn_close_down};

struct http_conn *h2_client(struct transport **t, const struct http_limits *lim,
	const struct http_conn_owner_ops *ops, void *owner)
{
	struct h2_conn *c = h2_conn_new(t, &h2_client_role, lim, ops, owner);

	c->base.ops = &client_ops;
	c->base.unused = true;
	c->input.preface = H2_PREFACE_LEN; /* servers have none but their SETTINGS */
	c->base.capacity = capacity(c);
	h2_send_hello(c, false);
	return &c->base;
}
