#include "http/ws_frames.h"

#include "base/obj.h"

#define OPCODE     0x0f
#define OPCODE_END 8
#define FINAL      0x80
#define MASKED     0x80

/* Bytes of a head up to the masking key, once its first two are there. */
static uint8_t head_size(uint8_t second)
{
	uint8_t n = second & ~MASKED;

	return n == 126 ? 4 : n == 127 ? 10 : 2;
}

static uint64_t number(const uint8_t *p, uint8_t n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | *p++;
	return v;
}

/* The head is complete: so long is what follows it, the masking key included. */
static void begin_payload(struct ws_frames *f)
{
	uint8_t n = f->head[1] & ~MASKED, size = head_size(f->head[1]);

	f->left = size > 2 ? number(f->head + 2, size - 2) : n;
	if (f->head[1] & MASKED)
		f->left += 4;
	f->closed |= (f->head[0] & OPCODE) == OPCODE_END;
	f->head_n = 0;
}

static size_t pass_slice(struct ws_frames *f, const char *p, size_t n, bool to_end)
{
	size_t i = 0;

	while (i < n && !(to_end && ws_frames_between(f))) {
		if (f->left) {
			size_t step = MIN(f->left, n - i);

			f->left -= step;
			i += step;
			continue;
		}
		f->head[f->head_n++] = (uint8_t)p[i++];
		if (f->head_n >= 2 && f->head_n == head_size(f->head[1]))
			begin_payload(f);
	}
	return i;
}

size_t ws_frames_pass(struct ws_frames *f, const struct chain *c, bool to_end)
{
	size_t passed = 0;

	for (const struct slice *s = c->first; s; s = s->next) {
		size_t n = pass_slice(f, s->p, s->n, to_end);

		passed += n;
		if (n < s->n)
			break;
	}
	return passed;
}

void ws_close_frame(struct mem *m, struct chain *c, bool masked, uint32_t key)
{
	const uint8_t code[2] = {WS_GOING_AWAY >> 8, WS_GOING_AWAY & 0xff};
	uint8_t frame[8] = {FINAL | OPCODE_END, sizeof(code)};
	size_t n = 2;

	if (masked) {
		frame[1] |= MASKED;
		memcpy(frame + n, &key, sizeof(key));
		n += sizeof(key);
	}
	for (size_t i = 0; i < sizeof(code); i++)
		frame[n + i] = code[i] ^ (masked ? frame[2 + i] : 0);
	chain_add_copy(m, c, (const char *)frame, n + sizeof(code));
}
