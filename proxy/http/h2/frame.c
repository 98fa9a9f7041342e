#include "http/h2/frame.h"

enum on_stream { ON_ZERO, ON_STREAM, ON_ANY };

/* RFC 9113 6.1 to 6.10, the rules that need nothing but the header. */
static const struct frame_rule {
	uint8_t min; /* shortest payload without flags */
	bool exact; /* min is the only length */
	bool stream_error; /* a wrong length is the stream's trouble only */
	uint8_t on; /* enum on_stream */
} rules[H2_FRAME_TYPES] = {
	[H2_FRAME_DATA] = {0, false, false, ON_STREAM},
	[H2_FRAME_HEADERS] = {0, false, false, ON_STREAM},
	[H2_FRAME_PRIORITY] = {5, true, true, ON_STREAM},
	[H2_FRAME_RST_STREAM] = {4, true, false, ON_STREAM},
	[H2_FRAME_SETTINGS] = {0, false, false, ON_ZERO},
	[H2_FRAME_PUSH_PROMISE] = {4, false, false, ON_STREAM},
	[H2_FRAME_PING] = {8, true, false, ON_ZERO},
	[H2_FRAME_GOAWAY] = {8, false, false, ON_ZERO},
	[H2_FRAME_WINDOW_UPDATE] = {4, true, false, ON_ANY},
	[H2_FRAME_CONTINUATION] = {0, false, false, ON_STREAM},
};

void h2_frame_parse(struct h2_frame *f, const uint8_t p[H2_FRAME_HEADER])
{
	f->length = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
	f->type = p[3];
	f->flags = p[4];
	f->stream = h2_get32(p + 5) & H2_STREAM_ID_MAX;
}

void h2_frame_pack(uint8_t p[H2_FRAME_HEADER], const struct h2_frame *f)
{
	p[0] = (uint8_t)(f->length >> 16);
	p[1] = (uint8_t)(f->length >> 8);
	p[2] = (uint8_t)f->length;
	p[3] = f->type;
	p[4] = f->flags;
	h2_put32(p + 5, f->stream);
}

/* How many bytes the flags say are there at least. */
static uint32_t flagged(const struct h2_frame *f)
{
	uint32_t n = 0;

	if (f->type != H2_FRAME_DATA && f->type != H2_FRAME_HEADERS)
		return 0;
	if (f->flags & H2_FLAG_PADDED)
		n += 1;
	if (f->type == H2_FRAME_HEADERS && (f->flags & H2_FLAG_PRIORITY))
		n += 5;
	return n;
}

struct h2_fault h2_frame_check(const struct h2_frame *f)
{
	const struct frame_rule *r;

	if (f->length > H2_FRAME_MAX)
		return (struct h2_fault){H2_FRAME_SIZE_ERROR, false};
	if (f->type >= H2_FRAME_TYPES)
		return (struct h2_fault){H2_NO_ERROR, false};
	r = &rules[f->type];
	if ((r->on == ON_STREAM && f->stream == 0) || (r->on == ON_ZERO && f->stream != 0))
		return (struct h2_fault){H2_PROTOCOL_ERROR, false};
	if (f->length < r->min + flagged(f) || (r->exact && f->length != r->min))
		return (struct h2_fault){H2_FRAME_SIZE_ERROR, r->stream_error};
	/* An acknowledgement says nothing else; settings come six bytes each. */
	if (f->type == H2_FRAME_SETTINGS && ((f->flags & H2_FLAG_ACK) ? f->length != 0 : f->length % 6 != 0))
		return (struct h2_fault){H2_FRAME_SIZE_ERROR, false};
	return (struct h2_fault){H2_NO_ERROR, false};
}

bool h2_frame_strip(const struct h2_frame *f, struct str *payload, uint32_t *depends)
{
	size_t pad = 0;

	if (depends)
		*depends = 0;
	if (f->flags & H2_FLAG_PADDED) {
		pad = (uint8_t)payload->p[0];
		*payload = str_skip(*payload, 1);
	}
	if (f->type == H2_FRAME_HEADERS && (f->flags & H2_FLAG_PRIORITY)) {
		if (depends)
			*depends = h2_get32((const uint8_t *)payload->p) & H2_STREAM_ID_MAX;
		*payload = str_skip(*payload, 5);
	}
	if (pad > payload->n)
		return false;
	payload->n -= pad;
	return true;
}
