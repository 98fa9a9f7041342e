#include "base/obj.h"
#include "http/h2/conn.h"

#define READS_AT_ONCE 4 /* then what was read is answered before more is read */
#define LINGER_READS  16 /* 1 MiB thrown away at most per event */

/* What the header shows, in its place among the others. False: the connection is failing. */
static bool frame_fits(struct h2_conn *c, const struct h2_frame *f)
{
	struct h2_fault fault = h2_frame_check(f);

	/* RFC 9113 3.4: SETTINGS come first. 6.10: nothing comes between the frames of a header block. */
	if (c->state == H2_CONN_PREFACE && (f->type != H2_FRAME_SETTINGS || (f->flags & H2_FLAG_ACK)))
		fault = (struct h2_fault){H2_PROTOCOL_ERROR, false};
	else if (c->block ? f->type != H2_FRAME_CONTINUATION || f->stream != c->block->stream
			  : f->type == H2_FRAME_CONTINUATION)
		fault = (struct h2_fault){H2_PROTOCOL_ERROR, false};
	if (fault.code && !fault.stream) {
		h2_conn_fault(c, fault.code);
		return false;
	}
	return true;
}

/* Header bytes of the frame that is coming in, from p; how many were taken. input.frame is valid when the header is whole. */
static size_t header_bytes(struct h2_conn *c, const char *p, size_t n)
{
	struct h2_input *in = &c->input;
	size_t part = MIN(n, (size_t)H2_FRAME_HEADER - MIN(in->have, H2_FRAME_HEADER));

	memcpy(in->header + in->have, p, part);
	in->have += (uint8_t)part;
	if (part && in->have == H2_FRAME_HEADER) {
		h2_frame_parse(&in->frame, in->header);
		if (!frame_fits(c, &in->frame))
			return part;
	}
	/* The pad length of DATA belongs to what must be known first. */
	if (in->have == H2_FRAME_HEADER && in->frame.type == H2_FRAME_DATA &&
		(in->frame.flags & H2_FLAG_PADDED) && part < n) {
		in->header[in->have++] = (uint8_t)p[part++];
	}
	return part;
}

static bool header_whole(const struct h2_input *in)
{
	bool padded = in->frame.type == H2_FRAME_DATA && (in->frame.flags & H2_FLAG_PADDED);

	return in->have == H2_FRAME_HEADER + (padded ? 1 : 0);
}

/* The payload of a frame other than DATA: in place if all of it is there, otherwise gathered in a block. How many bytes
 * were taken. */
static size_t payload_bytes(struct h2_conn *c, const char *p, size_t n)
{
	struct h2_input *in = &c->input;
	struct h2_frame f = in->frame;
	size_t part;

	if (!in->payload && n >= f.length) {
		in->have = 0;
		h2_frame_in(c, &f, (struct str){p, f.length});
		return f.length;
	}
	if (!in->payload)
		in->payload = block_new(h2_mem(c), f.length);
	part = MIN(n, f.length - in->payload->used);
	memcpy(in->payload->data + in->payload->used, p, part);
	in->payload->used += (uint32_t)part;
	if (in->payload->used == f.length) {
		struct block *whole = TAKE(&in->payload);

		in->have = 0;
		h2_frame_in(c, &f, (struct str){whole->data, f.length});
		block_unref(whole);
	}
	return part;
}

static size_t preface_bytes(struct h2_conn *c, const char *p, size_t n)
{
	size_t part = MIN(n, (size_t)H2_PREFACE_LEN - c->input.preface);

	if (memcmp(p, &H2_PREFACE[c->input.preface], part) != 0)
		h2_conn_fault(c, H2_PROTOCOL_ERROR);
	c->input.preface += (uint8_t)part;
	return part;
}

/* Handles what was received: n bytes at p, in b (NULL: they are gone after the call). */
static void consume(struct h2_conn *c, struct block *b, const char *p, size_t n)
{
	struct h2_input *in = &c->input;

	while (n && h2_conn_reads(c)) {
		size_t used;

		if (in->preface < H2_PREFACE_LEN) {
			used = preface_bytes(c, p, n);
		} else if (in->data_left + in->pad_left) {
			used = MIN(n, (size_t)in->data_left + in->pad_left);
			h2_data_piece(c, b, p, used);
		} else {
			used = 0;
			if (in->have < H2_FRAME_HEADER || !header_whole(in))
				used = header_bytes(c, p, n);
			if (h2_conn_reads(c) && in->have >= H2_FRAME_HEADER && header_whole(in)) {
				if (in->frame.type == H2_FRAME_DATA) {
					in->have = 0;
					h2_data_begins(c, &in->frame);
				} else if (n > used || in->frame.length == 0) {
					used += payload_bytes(c, p + used, n - used);
				}
			}
		}
		p += used;
		n -= used;
	}
}

static void consume_received(struct h2_conn *c)
{
	struct chain received = c->received;

	c->received = (struct chain){0};
	for (struct slice *s = received.first; s && h2_conn_reads(c); s = s->next)
		consume(c, s->block, s->p, s->n);
	chain_clear(h2_mem(c), &received);
}

/* A closed connection: what the peer had under way is thrown away until it closes, too. */
static void linger(struct h2_conn *c)
{
	for (int i = 0; i < LINGER_READS; i++) {
		size_t room;
		char *p = mem_read_room(h2_mem(c), &room);
		ssize_t n = transport_read(c->base.transport, p, room);

		if (n == TRANSPORT_AGAIN)
			return;
		if (n <= 0) {
			h2_conn_cut(c, c->why);
			return;
		}
	}
}

/* Preface, SETTINGS and header blocks have to come to their end in an absolute time, however the bytes are dealt out. */
static void watch_head(struct h2_conn *c)
{
	bool under_way = c->state == H2_CONN_PREFACE || c->block || c->input.have;

	if (!under_way)
		deadline_disarm(h2_loop(c), &c->head);
	else if (!deadline_armed(&c->head))
		deadline_arm(h2_loop(c), &c->head, c->base.limits->header_ms);
}

/* A reset that came together with the last bytes has no event of its own. A client that waits for answers needs to know, and so does a
 * server that owes none; one that does learns it from its next write, or, if that is long in coming, from a look. */
static bool was_reset(struct h2_conn *c)
{
	if (c->base.server == (c->base.streams == 0))
		return transport_was_reset(c->base.transport);
	if (c->base.server && c->base.transport->suspect && !deadline_armed(&c->look))
		deadline_arm(h2_loop(c), &c->look, H2_LOOK_MS);
	return false;
}

void h2_conn_read(struct h2_conn *c)
{
	c->more = false;
	if (c->state == H2_CONN_LINGER) {
		linger(c);
		return;
	}
	consume_received(c);
	for (int i = 0; h2_conn_reads(c) && c->base.transport->readable; i++) {
		size_t room;
		char *p;
		struct block *b;
		ssize_t n;

		if (i == READS_AT_ONCE || c->control.n > H2_OUT_MAX) {
			c->more = true;
			loop_defer(h2_loop(c), &c->flush_task, LOOP_FLUSH);
			break;
		}
		p = mem_read_room(h2_mem(c), &room);
		n = transport_read(c->base.transport, p, room);
		if (n == TRANSPORT_AGAIN)
			break;
		if (n <= 0) {
			h2_conn_lost(c, n == TRANSPORT_ERROR);
			return;
		}
		b = mem_read_take(h2_mem(c), (size_t)n);
		block_ref(b);
		consume(c, b, p, (size_t)n);
		block_unref(b);
	}
	if (!h2_conn_reads(c))
		return;
	if (!c->base.transport->readable && was_reset(c))
		h2_conn_lost(c, true);
	else
		watch_head(c);
}
