#include "base/mem.h"

#include <stdlib.h>
#include "base/obj.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RECYCLE 0 /* every block and object is a malloc of its own, so that a use after free is seen */
#else
#define RECYCLE 1
#endif

/* The largest holds 64 KiB of body and the head before it: an answer of that size is received in one call, not two. */
static const uint32_t class_size[BLOCK_CLASSES] = {1024, 4096, 16384, 65536 + 4096};
/* Free blocks kept for the next burst when a thread is idle. */
static const uint32_t class_keep[BLOCK_CLASSES] = {64, 64, 16, 8};

#define READ_ROOM_MIN (16u * 1024)

void mem_init(struct mem *m)
{
	*m = (struct mem){0};
}

static void free_list_trim(struct mem *m, enum block_class class, uint32_t keep)
{
	while (m->free_count[class] > keep) {
		struct block *b = m->free_blocks[class];

		m->free_blocks[class] = b->next_free;
		m->free_count[class]--;
		m->held -= class_size[class];
		free(b);
	}
}

void mem_trim(struct mem *m)
{
	for (int class = 0; class < BLOCK_CLASSES; class ++)
		free_list_trim(m, (enum block_class) class, class_keep[class]);
}

void mem_free(struct mem *m)
{
	if (m->read_block) {
		block_unref(m->read_block);
		m->read_block = NULL;
	}
	MUST(m->in_use == 0);
	for (int class = 0; class < BLOCK_CLASSES; class ++)
		free_list_trim(m, (enum block_class) class, 0);
	while (m->free_slices) {
		struct slice *s = m->free_slices;

		m->free_slices = s->next;
		free(s);
	}
	for (size_t i = 0; i < COUNT_OF(m->free_objs); i++) {
		while (m->free_objs[i]) {
			void *p = m->free_objs[i];

			m->free_objs[i] = *(void **)p;
			free(p);
		}
	}
}

size_t mem_block_max(void)
{
	return class_size[BLOCK_CLASSES - 1] - sizeof(struct block);
}

struct block *block_new(struct mem *m, size_t want)
{
	enum block_class class = BLOCK_1K;
	struct block *b;

	while (class < BLOCK_64K && class_size[class] - sizeof(struct block) < want)
		class ++;
	MUST(want <= class_size[class] - sizeof(struct block));
	b = m->free_blocks[class];
	if (b) {
		m->free_blocks[class] = b->next_free;
		m->free_count[class]--;
	} else {
		b = malloc(class_size[class]);
		MUST(b);
		m->held += class_size[class];
	}
	m->in_use += class_size[class];
	b->mem = m;
	b->refs = 1;
	b->class = class;
	b->size = class_size[class] - (uint32_t)sizeof(struct block);
	b->used = 0;
	return b;
}

void block_unref(struct block *b)
{
	struct mem *m;

	if (!b || --b->refs > 0)
		return;
	m = b->mem;
	m->in_use -= class_size[b->class];
	if (!RECYCLE) {
		m->held -= class_size[b->class];
		free(b);
		return;
	}
	b->next_free = m->free_blocks[b->class];
	m->free_blocks[b->class] = b;
	m->free_count[b->class]++;
}

char *mem_read_room(struct mem *m, size_t *room)
{
	struct block *b = m->read_block;

	/* Nobody refers to what was read before: start over, the first bytes are warm. */
	if (b && b->refs == 1 && (RECYCLE || b->used == 0))
		b->used = 0;
	if (!b || b->size - b->used < READ_ROOM_MIN || (!RECYCLE && b->used)) {
		block_unref(b);
		b = m->read_block = block_new(m, mem_block_max());
	}
	*room = b->size - b->used;
	return b->data + b->used;
}

struct block *mem_read_take(struct mem *m, size_t n)
{
	struct block *b = m->read_block;

	MUST(n <= b->size - b->used);
	b->used += (uint32_t)n;
	return b;
}

static struct slice *slice_new(struct mem *m)
{
	struct slice *s = m->free_slices;

	if (s) {
		m->free_slices = s->next;
		return s;
	}
	s = malloc(sizeof(*s));
	MUST(s);
	return s;
}

static void slice_free(struct mem *m, struct slice *s)
{
	block_unref(s->block);
	if (!RECYCLE) {
		free(s);
		return;
	}
	s->next = m->free_slices;
	m->free_slices = s;
}

static void chain_push(struct chain *c, struct slice *s)
{
	s->next = NULL;
	if (c->last)
		c->last->next = s;
	else
		c->first = s;
	c->last = s;
	c->n += s->n;
}

void chain_add_ref(struct mem *m, struct chain *c, struct block *b, const char *p, size_t n)
{
	struct slice *s = c->last;

	if (n == 0)
		return;
	if (s && s->block == b && s->p + s->n == p) {
		s->n += n;
		c->n += n;
		return;
	}
	s = slice_new(m);
	block_ref(b);
	s->block = b;
	s->p = p;
	s->n = n;
	chain_push(c, s);
}

void chain_add_static(struct mem *m, struct chain *c, struct str str)
{
	struct slice *s;

	if (str.n == 0)
		return;
	s = slice_new(m);
	s->block = NULL;
	s->p = str.p;
	s->n = str.n;
	chain_push(c, s);
}

/* Room behind the last slice that nobody else has appended to: the block is filled up to where the slice ends, and
 * it is not the one that sockets are read into. */
static size_t tail_room(const struct mem *m, const struct chain *c)
{
	const struct slice *s = c->last;

	if (!s || !s->block || s->block == m->read_block || s->p + s->n != s->block->data + s->block->used)
		return 0;
	return s->block->size - s->block->used;
}

void chain_add_copy(struct mem *m, struct chain *c, const char *p, size_t n)
{
	while (n) {
		size_t room = tail_room(m, c);
		size_t part;

		if (room == 0) {
			part = MIN(n, mem_block_max());
			memcpy(chain_reserve(m, c, part), p, part);
			chain_commit(m, c, part);
		} else {
			part = MIN(n, room);
			memcpy(c->last->block->data + c->last->block->used, p, part);
			c->last->block->used += (uint32_t)part;
			c->last->n += part;
			c->n += part;
		}
		p += part;
		n -= part;
	}
}

char *chain_reserve(struct mem *m, struct chain *c, size_t n)
{
	struct slice *s;

	if (tail_room(m, c) >= n)
		return c->last->block->data + c->last->block->used;
	s = slice_new(m);
	s->block = block_new(m, n);
	s->p = s->block->data;
	s->n = 0;
	chain_push(c, s);
	return s->block->data;
}

void chain_commit(struct mem *m, struct chain *c, size_t used)
{
	struct slice *s = c->last;

	(void)m;
	MUST(used <= s->block->size - s->block->used);
	s->block->used += (uint32_t)used;
	s->n += used;
	c->n += used;
}

void chain_move(struct chain *dst, struct chain *src)
{
	if (!src->first)
		return;
	if (dst->last)
		dst->last->next = src->first;
	else
		dst->first = src->first;
	dst->last = src->last;
	dst->n += src->n;
	*src = (struct chain){0};
}

void chain_move_n(struct mem *m, struct chain *dst, struct chain *src, size_t n)
{
	MUST(n <= src->n);
	while (n) {
		struct slice *s = src->first;

		if (s->n <= n) {
			n -= s->n;
			src->first = s->next;
			src->n -= s->n;
			if (!src->first)
				src->last = NULL;
			chain_push(dst, s);
		} else {
			struct slice *part = slice_new(m);

			*part = (struct slice){NULL, s->block, s->p, n};
			if (part->block)
				block_ref(part->block);
			chain_push(dst, part);
			s->p += n;
			s->n -= n;
			src->n -= n;
			n = 0;
		}
	}
}

void chain_share(struct mem *m, struct chain *dst, const struct chain *src)
{
	for (const struct slice *s = src->first; s; s = s->next) {
		if (s->block)
			chain_add_ref(m, dst, s->block, s->p, s->n);
		else
			chain_add_static(m, dst, (struct str){s->p, s->n});
	}
}

void chain_drain(struct mem *m, struct chain *c, size_t n)
{
	MUST(n <= c->n);
	c->n -= n;
	while (c->first) {
		struct slice *s = c->first;

		if (s->n > n) {
			s->p += n;
			s->n -= n;
			return;
		}
		n -= s->n;
		c->first = s->next;
		if (!c->first)
			c->last = NULL;
		slice_free(m, s);
		if (n == 0 && c->first && c->first->n)
			return;
	}
}

void chain_free(struct mem *m, struct chain *c)
{
	while (c->first) {
		struct slice *s = c->first;

		c->first = s->next;
		slice_free(m, s);
	}
	*c = (struct chain){0};
}

int chain_iov(const struct chain *c, struct iovec *iov, int max)
{
	int n = 0;

	for (const struct slice *s = c->first; s && n < max; s = s->next)
		if (s->n)
			iov[n++] = (struct iovec){(void *)(uintptr_t)s->p, s->n};
	return n;
}

size_t chain_peek(const struct chain *c, char *out, size_t n)
{
	size_t done = 0;

	for (const struct slice *s = c->first; s && done < n; s = s->next) {
		size_t part = MIN(s->n, n - done);

		memcpy(out + done, s->p, part);
		done += part;
	}
	return done;
}

void chain_settle(struct mem *m, struct chain *c)
{
	struct chain settled = {0};

	/* Whole blocks that the chain fills well may stay as they are: copying a 60 KiB slice would gain nothing. */
	while (c->first) {
		struct slice *s = c->first;

		if (!s->block || s->n >= s->block->size / 2) {
			chain_move_n(m, &settled, c, s->n);
			continue;
		}
		chain_add_copy(m, &settled, s->p, s->n);
		chain_drain(m, c, s->n);
	}
	*c = settled;
}

void *mem_obj(struct mem *m, size_t n)
{
	size_t slot = (n + 63) / 64;
	void *p;

	if (RECYCLE && n <= MEM_OBJ_MAX && m->free_objs[slot]) {
		p = m->free_objs[slot];
		m->free_objs[slot] = *(void **)p;
		return memset(p, 0, n);
	}
	p = calloc(1, n <= MEM_OBJ_MAX ? slot * 64 : n);
	MUST(p);
	return p;
}

void mem_obj_free(struct mem *m, void *p, size_t n)
{
	size_t slot = (n + 63) / 64;

	if (!p)
		return;
	if (!RECYCLE || n > MEM_OBJ_MAX) {
		free(p);
		return;
	}
	*(void **)p = m->free_objs[slot];
	m->free_objs[slot] = p;
}
