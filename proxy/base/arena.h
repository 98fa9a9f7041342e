/* base/arena.h - memory that is freed all at once: a configuration, or one exchange.
 *
 * With a `mem` (base/mem.h) chunks come from that thread's free lists: the arena of an exchange costs no malloc
 * once warm, and belongs to that thread. With NULL they come from malloc, growing, for a configuration.
 * Allocation never fails: out of memory ends the process through obj_panic (the supervisor restarts it), and the
 * memory limit is enforced long before, at the admission of new work. */
#ifndef WEIR_BASE_ARENA_H
#define WEIR_BASE_ARENA_H

#include <stddef.h>
#include "base/str.h"

struct mem;
struct arena_chunk;

struct arena {
	struct mem *mem; /* NULL: malloc */
	struct arena_chunk *chunks; /* newest first */
	char *at, *end; /* room left in the newest */
	size_t total; /* bytes taken from mem or malloc */
};

void arena_init(struct arena *a, struct mem *mem);
/* Frees every chunk; the arena can be used again. */
void arena_free(struct arena *a);
/* 8-byte aligned, zeroed. */
void *arena_alloc(struct arena *a, size_t n);
/* The same but not zeroed: for what is filled at once. */
void *arena_room(struct arena *a, size_t n);
/* Unaligned, not zeroed: for bytes of text. */
char *arena_bytes(struct arena *a, size_t n);
/* A copy with a NUL behind it that n does not count. */
struct str arena_str(struct arena *a, struct str s);
/* `first/second`, a NUL behind it as well: how identities are written. */
struct str arena_join(struct arena *a, struct str first, struct str second);
__attribute__((format(printf, 2, 3))) struct str arena_fmt(struct arena *a, const char *fmt, ...);

#define arena_new(a, type)        ((type *)arena_alloc(a, sizeof(type)))
#define arena_array(a, type, cnt) ((type *)arena_alloc(a, sizeof(type) * (cnt)))

#endif
