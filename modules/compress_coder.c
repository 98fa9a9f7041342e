#include "compress_coder.h"

#include <brotli/encode.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#define IDLE_MAX  16
#define IDLE_MS   10000
#define SPARE_MAX 64

#define BROTLI_WINDOW 17 /* bits */
#define BROTLI_BLOCK  16
#define ZSTD_WINDOW   17
#define ZSTD_TABLES   16

#define ROOM_MIN 512
#define ROOM_MAX (16u * 1024)

const struct coding_row coding_rows[CODINGS] = {
	[CODING_GZIP] = {STR("gzip"), STR("x-gzip"), 5, 1, 9},
	[CODING_BR] = {STR("br"), STR(""), 4, 0, 11},
	[CODING_ZSTD] = {STR("zstd"), STR(""), 3, 1, 19},
};

/* -- memory for Brotli -- */

struct spare {
	struct spare *next;
	size_t size;
	max_align_t bytes[];
};

static void *spare_alloc(void *opaque, size_t size)
{
	struct coders *all = opaque;
	struct spare *s;

	for (struct spare **at = &all->spares; *at; at = &(*at)->next) {
		if ((*at)->size != size)
			continue;
		s = *at;
		*at = s->next;
		all->spare_n--;
		return s->bytes;
	}
	s = malloc(sizeof(*s) + size);
	if (!s)
		return NULL;
	s->size = size;
	return s->bytes;
}

static void spare_free(void *opaque, void *p)
{
	struct coders *all = opaque;
	struct spare *s;

	if (!p)
		return;
	s = CONTAINER(p, struct spare, bytes);
	if (all->spare_n == SPARE_MAX) {
		free(s);
		return;
	}
	s->next = all->spares;
	all->spares = s;
	all->spare_n++;
}

/* -- a library's coder -- */

static void *state_new(struct coders *all, enum coding coding, uint8_t level)
{
	BrotliEncoderState *br;
	ZSTD_CCtx *zstd;
	z_stream *z;

	switch (coding) {
	case CODING_GZIP:
		z = calloc(1, sizeof(*z));
		if (z && deflateInit2(z, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK)
			return z;
		free(z);
		return NULL;
	case CODING_BR:
		br = BrotliEncoderCreateInstance(spare_alloc, spare_free, all);
		if (br) {
			BrotliEncoderSetParameter(br, BROTLI_PARAM_QUALITY, level);
			BrotliEncoderSetParameter(br, BROTLI_PARAM_LGWIN, BROTLI_WINDOW);
			BrotliEncoderSetParameter(br, BROTLI_PARAM_LGBLOCK, BROTLI_BLOCK);
		}
		return br;
	default:
		zstd = ZSTD_createCCtx();
		if (zstd) {
			ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, level);
			ZSTD_CCtx_setParameter(zstd, ZSTD_c_windowLog, ZSTD_WINDOW);
			ZSTD_CCtx_setParameter(zstd, ZSTD_c_hashLog, ZSTD_TABLES);
			ZSTD_CCtx_setParameter(zstd, ZSTD_c_chainLog, ZSTD_TABLES);
		}
		return zstd;
	}
}

static void state_free(enum coding coding, void *state)
{
	switch (coding) {
	case CODING_GZIP:
		deflateEnd(state);
		free(state);
		break;
	case CODING_BR:
		BrotliEncoderDestroyInstance(state);
		break;
	default:
		ZSTD_freeCCtx(state);
		break;
	}
}

/* Ready for another body? */
static bool state_reset(enum coding coding, void *state)
{
	if (coding == CODING_GZIP)
		return deflateReset(state) == Z_OK;
	return coding == CODING_ZSTD && !ZSTD_isError(ZSTD_CCtx_reset(state, ZSTD_reset_session_only));
}

/* What is left to be done with: what came in, and room for what comes out. */
struct portion {
	const uint8_t *in;
	size_t in_n;
	uint8_t *out;
	size_t out_n;
	bool done; /* the step is: all was taken and, if it is to be flushed or ended, put out */
};

static bool run_gzip(z_stream *z, struct portion *p, enum coder_step step)
{
	static const int flush[] = {Z_NO_FLUSH, Z_SYNC_FLUSH, Z_FINISH};
	int rc;

	z->next_in = (Bytef *)(uintptr_t)p->in;
	z->avail_in = (uInt)p->in_n;
	z->next_out = p->out;
	z->avail_out = (uInt)p->out_n;
	rc = deflate(z, flush[step]);
	p->in = z->next_in;
	p->in_n = z->avail_in;
	p->out_n = z->avail_out;
	p->done = step == CODER_END ? rc == Z_STREAM_END : p->in_n == 0 && p->out_n > 0;
	/* Nothing to do is no error: there may have been just as much room as was needed. */
	return rc == Z_OK || rc == Z_STREAM_END || rc == Z_BUF_ERROR;
}

static bool run_br(BrotliEncoderState *br, struct portion *p, enum coder_step step)
{
	static const BrotliEncoderOperation operations[] = {
		BROTLI_OPERATION_PROCESS, BROTLI_OPERATION_FLUSH, BROTLI_OPERATION_FINISH};

	if (!BrotliEncoderCompressStream(br, operations[step], &p->in_n, &p->in, &p->out_n, &p->out, NULL))
		return false;
	p->done = p->in_n == 0 && !BrotliEncoderHasMoreOutput(br) &&
		  (step != CODER_END || BrotliEncoderIsFinished(br));
	return true;
}

static bool run_zstd(ZSTD_CCtx *zstd, struct portion *p, enum coder_step step)
{
	static const ZSTD_EndDirective directives[] = {ZSTD_e_continue, ZSTD_e_flush, ZSTD_e_end};
	ZSTD_inBuffer in = {p->in, p->in_n, 0};
	ZSTD_outBuffer out = {p->out, p->out_n, 0};
	size_t left = ZSTD_compressStream2(zstd, &out, &in, directives[step]);

	if (ZSTD_isError(left))
		return false;
	p->in += in.pos;
	p->in_n -= in.pos;
	p->out_n -= out.pos;
	p->done = p->in_n == 0 && (step == CODER_GO_ON || left == 0);
	return true;
}

static bool run_portion(struct coder *c, struct portion *p, enum coder_step step)
{
	switch (c->coding) {
	case CODING_GZIP:
		return run_gzip(c->state, p, step);
	case CODING_BR:
		return run_br(c->state, p, step);
	default:
		return run_zstd(c->state, p, step);
	}
}

/* Room in the size of what is to be expected: an event of a stream must not hold a block for a file's part. */
static size_t room_for(size_t in_n)
{
	return MIN(MAX(in_n, (size_t)ROOM_MIN), (size_t)ROOM_MAX);
}

static bool run_slice(
	struct coder *c, struct mem *mem, const void *in, size_t n, struct chain *out, enum coder_step step)
{
	struct portion p = {.in = in, .in_n = n};

	while (!p.done) {
		size_t room = room_for(p.in_n);
		char *start = chain_reserve(mem, out, room);
		bool ok;

		p.out = (uint8_t *)start;
		p.out_n = room;
		ok = run_portion(c, &p, step);
		chain_commit(mem, out, room - p.out_n);
		if (!ok)
			return false;
	}
	return true;
}

bool coder_run(
	struct coder *c, struct mem *mem, const struct chain *in, struct chain *out, enum coder_step step)
{
	for (const struct slice *s = in->first; s; s = s->next)
		if (!run_slice(c, mem, s->p, s->n, out, CODER_GO_ON))
			return false;
	return step == CODER_GO_ON || run_slice(c, mem, NULL, 0, out, step);
}

/* -- those that are not in use -- */

static void drop_idle(struct coders *all)
{
	for (int coding = 0; coding < CODINGS; coding++) {
		while (all->idle[coding]) {
			struct coder *c = all->idle[coding];

			all->idle[coding] = c->next;
			state_free((enum coding)coding, c->state);
			free(c);
		}
		all->idle_n[coding] = 0;
	}
	while (all->spares) {
		struct spare *s = all->spares;

		all->spares = s->next;
		free(s);
	}
	all->spare_n = 0;
}

static void on_trim(struct deadline *d)
{
	drop_idle(CONTAINER(d, struct coders, trim));
}

void coders_init(struct coders *all, struct loop *l)
{
	*all = (struct coders){.loop = l};
	all->trim.fire = on_trim;
}

void coders_free(struct coders *all)
{
	MUST(all->in_use == 0);
	deadline_disarm(all->loop, &all->trim);
	drop_idle(all);
}

/* One of that level, left over from another body; NULL: there is none. */
static struct coder *take_idle(struct coders *all, enum coding coding, uint8_t level)
{
	struct coder *c = all->idle[coding];

	if (!c || c->level != level)
		return NULL;
	all->idle[coding] = c->next;
	all->idle_n[coding]--;
	return c;
}

struct coder *coder_take(struct coders *all, enum coding coding, uint8_t level)
{
	struct coder *c = take_idle(all, coding, level);

	if (!c) {
		c = calloc(1, sizeof(*c));
		MUST(c);
		*c = (struct coder){.home = all, .coding = (uint8_t)coding, .level = level};
		c->state = state_new(all, coding, level);
		if (!c->state) {
			free(c);
			return NULL;
		}
	}
	all->in_use++;
	return c;
}

void coder_give_back(struct coder *c)
{
	struct coders *all = c->home;
	enum coding coding = (enum coding)c->coding;

	all->in_use--;
	deadline_arm(all->loop, &all->trim, IDLE_MS);
	if (all->idle_n[coding] < IDLE_MAX && state_reset(coding, c->state)) {
		c->next = all->idle[coding];
		all->idle[coding] = c;
		all->idle_n[coding]++;
		return;
	}
	state_free(coding, c->state);
	free(c);
}
