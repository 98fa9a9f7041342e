/* base/mem.h - a thread's memory for bytes in motion: refcounted blocks in four size classes, slices of them,
 * chains of slices, and the block that sockets are read into.
 *
 * One `struct mem` belongs to one thread; blocks, slices and chains never cross threads, so counts are plain
 * integers. Freed blocks and links go to free lists and are found again warm (LIFO). An idle connection holds
 * none of this. */
#ifndef WEIR_BASE_MEM_H
#define WEIR_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>
#include "base/str.h"

enum block_class { BLOCK_1K, BLOCK_4K, BLOCK_16K, BLOCK_64K, BLOCK_CLASSES };

struct block {
	union {
		struct block *next_free;
		struct mem *mem; /* where it goes back to */
	};
	uint32_t refs;
	uint32_t class;
	uint32_t size; /* usable bytes of data[] */
	uint32_t used; /* appended so far, by whoever fills it */
	char data[];
};

/* One run of bytes in a chain. block NULL: the bytes are static (string literals). */
struct slice {
	struct slice *next;
	struct block *block;
	const char *p;
	size_t n;
};

/* Bytes in order, owned. A zeroed chain is an empty one. */
struct chain {
	struct slice *first, *last;
	size_t n; /* bytes in all slices */
};

#define MEM_OBJ_MAX 2048

struct mem {
	struct block *free_blocks[BLOCK_CLASSES];
	uint32_t free_count[BLOCK_CLASSES];
	struct slice *free_slices;
	struct block *read_block; /* sockets are read into its unused tail */
	size_t held; /* bytes of blocks now in use or on free lists: what memory limits look at */
	size_t in_use; /* bytes of blocks in use */
	void *free_objs[MEM_OBJ_MAX / 64 + 1]; /* by size / 64 */
};

void mem_init(struct mem *m);
/* Every block and slice must have come back. */
void mem_free(struct mem *m);
/* Gives free blocks beyond a small reserve back to malloc; called when idle. */
void mem_trim(struct mem *m);

/* refs == 1. want: usable bytes, at most mem_block_max(). */
struct block *block_new(struct mem *m, size_t want);
size_t mem_block_max(void);
static inline void block_ref(struct block *b)
{
	b->refs++;
}
/* Drops one reference; NULL is fine. */
void block_unref(struct block *b);

/* Room to read into: at least 16 KiB less block headers. Valid until the next call on this thread that reads. The bytes
 * become owned with mem_read_take(); what is not taken is simply read over. */
char *mem_read_room(struct mem *m, size_t *room);
/* Says that n bytes were received at the start of the room, and are kept as long as chains refer to them. Returns
 * the block they lie in (borrowed: chain_add_ref() takes a reference). Must be called once after a read of n > 0 whose bytes
 * anything may refer to. */
struct block *mem_read_take(struct mem *m, size_t n);

/* -- chains: `c` is always owned by the caller; moving leaves the source empty -- */
static inline bool chain_empty(const struct chain *c)
{
	return c->n == 0;
}
/* [p, p+n) lies in b; takes a reference of its own. n == 0 is a no-op. Joins with the last slice if adjacent. */
void chain_add_ref(struct mem *m, struct chain *c, struct block *b, const char *p, size_t n);
/* p outlives everything. */
void chain_add_static(struct mem *m, struct chain *c, struct str s);
/* Copies, into the tail of the last block where it has room. */
void chain_add_copy(struct mem *m, struct chain *c, const char *p, size_t n);
/* n contiguous writable bytes at the end of the chain (n <= mem_block_max()); chain_commit() says how many
 * were used, and must follow before anything else touches the chain. */
char *chain_reserve(struct mem *m, struct chain *c, size_t n);
void chain_commit(struct mem *m, struct chain *c, size_t used);
/* Appends all of src, or its first n bytes (n <= src->n), to dst. */
void chain_move(struct chain *dst, struct chain *src);
void chain_move_n(struct mem *m, struct chain *dst, struct chain *src, size_t n);
/* Appends to dst references to the same bytes; src keeps them too. */
void chain_share(struct mem *m, struct chain *dst, const struct chain *src);
/* Forgets the first n bytes (n <= c->n). */
void chain_drain(struct mem *m, struct chain *c, size_t n);
/* Lets go of everything. Inline as far as it is: most that are cleared are empty, ten for each request. */
void chain_free(struct mem *m, struct chain *c);
static inline void chain_clear(struct mem *m, struct chain *c)
{
	if (c->first)
		chain_free(m, c);
}
/* Fills at most max entries; returns how many. */
int chain_iov(const struct chain *c, struct iovec *iov, int max);
/* Copies up to n bytes out, from the start; returns how many. The chain is unchanged. */
size_t chain_peek(const struct chain *c, char *out, size_t n);
/* What must outlive the tick is copied out of the shared read block into blocks of its own size, so that 200 blocked
 * bytes do not hold 64 KiB. Call it when a peer blocks. */
void chain_settle(struct mem *m, struct chain *c);

/* -- fixed-size objects of a thread: connections, exchanges. Free-listed per size (rounded up to
 * 64 bytes; above MEM_OBJ_MAX plain malloc), zeroed. Under ASan every one is a malloc of its own. -- */
void *mem_obj(struct mem *m, size_t n);
void mem_obj_free(struct mem *m, void *p, size_t n);

#endif
