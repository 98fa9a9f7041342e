#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/mem.h"
#include "base/obj.h"

/* Lies at the start of its own memory: of a block of mem, or of a malloc. */
struct arena_chunk {
	struct arena_chunk *older;
	struct block *block; /* NULL: malloc */
};

#define FIRST_CHUNK 4096u
#define LAST_CHUNK  (256u * 1024)

void arena_init(struct arena *a, struct mem *mem)
{
	*a = (struct arena){.mem = mem};
}

void arena_free(struct arena *a)
{
	struct arena_chunk *chunk = a->chunks;

	while (chunk) {
		struct arena_chunk *older = chunk->older;

		if (chunk->block)
			block_unref(chunk->block);
		else
			free(chunk);
		chunk = older;
	}
	*a = (struct arena){.mem = a->mem};
}

static void grow(struct arena *a, size_t need)
{
	size_t size = MAX(FIRST_CHUNK, MIN(a->total, LAST_CHUNK));
	struct arena_chunk *chunk;
	struct block *block = NULL;

	need += sizeof(struct arena_chunk);
	if (a->mem && need <= mem_block_max()) {
		/* An exchange takes small steps: most never need a second. */
		block = block_new(a->mem, need > FIRST_CHUNK / 2 ? need : FIRST_CHUNK / 2);
		chunk = (struct arena_chunk *)(void *)block->data;
		size = block->size;
	} else {
		size = MAX(size, need);
		chunk = malloc(size);
		MUST(chunk);
	}
	chunk->older = a->chunks;
	chunk->block = block;
	a->chunks = chunk;
	a->at = (char *)(chunk + 1);
	a->end = (char *)chunk + size;
	a->total += size;
}

void *arena_room(struct arena *a, size_t n)
{
	char *p = (char *)(((uintptr_t)a->at + 7) & ~(uintptr_t)7);

	if (!a->at || n > (size_t)(a->end - a->at) || p + n > a->end) {
		grow(a, n + 8);
		p = (char *)(((uintptr_t)a->at + 7) & ~(uintptr_t)7);
	}
	a->at = p + n;
	return p;
}

void *arena_alloc(struct arena *a, size_t n)
{
	void *p = arena_room(a, n);

	return n ? memset(p, 0, n) : p;
}

char *arena_bytes(struct arena *a, size_t n)
{
	char *p;

	if (!a->at || n > (size_t)(a->end - a->at))
		grow(a, n);
	p = a->at;
	a->at += n;
	return p;
}

struct str arena_str(struct arena *a, struct str s)
{
	char *p = arena_bytes(a, s.n + 1);

	if (s.n)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return (struct str){p, s.n};
}

struct str arena_join(struct arena *a, struct str first, struct str second)
{
	size_t n = first.n + 1 + second.n;
	char *p = arena_bytes(a, n + 1);
	struct text t = text_in(p, n);

	text_put(&t, first);
	text_char(&t, '/');
	text_put(&t, second);
	p[n] = '\0';
	return (struct str){p, n};
}

struct str arena_fmt(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	MUST(n >= 0);
	p = arena_bytes(a, (size_t)n + 1);
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return (struct str){p, (size_t)n};
}
