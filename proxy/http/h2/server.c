#include "base/obj.h"
#include "http/h2/conn.h"

/* http/h2/server.c - the server role: requests in, responses out. */

static bool is_idle(const struct h2_conn *c, uint32_t id)
{
	return id > c->last_id || id % 2 == 0; /* we push nothing, so even ids are never used */
}

static enum reason fault(enum h2_error code)
{
	switch (code) {
	case H2_ENHANCE_YOUR_CALM:
		return REASON_CLIENT_H2_FLOOD;
	case H2_COMPRESSION_ERROR:
		return REASON_CLIENT_H2_COMPRESSION;
	case H2_FLOW_CONTROL_ERROR:
		return REASON_CLIENT_H2_FLOW_CONTROL;
	default:
		return REASON_CLIENT_H2_PROTOCOL;
	}
}

static enum reason reset_in(struct h2_conn *c, struct h2_stream *s, enum h2_error code)
{
	(void)c;
	(void)s;
	(void)code;
	return REASON_CLIENT_RESET;
}

static enum reason lost(const struct h2_stream *s, bool reset)
{
	(void)reset;
	return s && s->in < H2_HALF_ENDING && s->out == H2_HALF_HEAD ? REASON_CLIENT_CUT_BODY
								     : REASON_CLIENT_GONE;
}

/* A stream error on a request that nobody has heard of yet. */
static void refuse(struct h2_conn *c, uint32_t id, enum h2_error code)
{
	h2_send_rst(c, id, code);
	c->closed[c->closed_at++ % H2_CLOSED_KEPT] = id | H2_BY_OUR_RESET;
	h2_conn_charge(c, H2_COST_RESET);
}

static bool is_grpc(const struct head *h)
{
	const struct field *type = fields_find(&h->fields, FIELD_CONTENT_TYPE);

	return type && str_starts(field_value(type), STR("application/grpc"));
}

static void head_in(struct h2_conn *c, struct h2_stream *s, struct h2_block *b)
{
	const struct http_limits *lim = c->base.limits;

	if (c->goaway == H2_GOAWAY_FINAL && b->stream > c->goaway_id)
		return; /* it was told, and will send it elsewhere */
	if (b->self_depends || b->wrong) {
		refuse(c, b->stream, H2_PROTOCOL_ERROR);
		return;
	}
	if (lim->max_streams && c->base.streams >= lim->max_streams) {
		refuse(c, b->stream, H2_REFUSED_STREAM);
		return;
	}
	s = h2_stream_new(c);
	h2_stream_set_id(s, b->stream);
	s->tunnel = b->head.body == BODY_TUNNEL;
	s->has_length = b->head.has_length && !b->end_stream;
	s->length_left = b->head.length;
	s->unhurried = !b->end_stream && is_grpc(&b->head);
	h2_stream_set_in(s, b->end_stream ? H2_HALF_DONE : H2_HALF_BODY);
	c->base.owner_ops->on_stream(&c->base, &s->base);
	s->base.owner_ops->on_head(&s->base, &b->head, b->end_stream);
	h2_stream_expect(s);
	if (lim->requests && ++c->requests >= lim->requests && c->goaway == H2_GOAWAY_NONE)
		h2_conn_drain(c);
}

static void nothing(struct h2_conn *c)
{
	(void)c;
}

/* The client leaves: what it has asked for is still answered. */
static void goaway_in(struct h2_conn *c, uint32_t last_id)
{
	(void)last_id;
	if (c->goaway == H2_GOAWAY_NONE)
		c->goaway = H2_GOAWAY_NOTICE;
	h2_conn_drain(c);
}

const struct h2_role h2_server_role = {
	.head_in = head_in,
	.settings_in = nothing,
	.goaway_in = goaway_in,
	.is_idle = is_idle,
	.fault = fault,
	.reset_in = reset_in,
	.lost = lost,
	.body_short = REASON_CLIENT_LENGTH_MISMATCH,
	.body_long = REASON_CLIENT_LENGTH_MISMATCH,
	.body_stalled = REASON_CLIENT_SLOW_BODY,
	.read_stalled = REASON_CLIENT_SLOW_READ,
	.slow_head = REASON_CLIENT_SLOW_HEADER,
	.changed = nothing,
};

static void drain_down(struct http_conn *base)
{
	struct h2_conn *c = (struct h2_conn *)base;

	OBJ_CHECK(base, HTTP_CONN_MAGIC);
	if (c->goaway == H2_GOAWAY_NONE)
		h2_conn_drain(c);
}

static const struct http_conn_ops server_ops = {.drain = drain_down, .close = h2_conn_close_down};

struct http_conn *h2_server(struct transport **t, struct chain *received, const struct http_limits *lim,
	const struct http_conn_owner_ops *ops, void *owner)
{
	struct h2_conn *c = h2_conn_new(t, &h2_server_role, lim, ops, owner);

	c->base.server = true;
	c->base.ops = &server_ops;
	if (received)
		chain_move(&c->received, received);
	h2_send_hello(c, true);
	return &c->base;
}
