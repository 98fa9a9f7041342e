#include "base/ring.h"

#include <stdlib.h>
#include "base/obj.h"

void ring_init(struct ring *r, uint64_t size)
{
	memset(r, 0, sizeof(*r));
	r->bytes = malloc(size);
	MUST(r->bytes && (size & (size - 1)) == 0);
	r->size = size;
}

void ring_free(struct ring *r)
{
	free(r->bytes);
	r->bytes = NULL;
}

bool ring_put(struct ring *r, struct str line)
{
	uint64_t written = atomic_load_explicit(&r->written, memory_order_relaxed);
	uint64_t at = written & (r->size - 1), first;

	if (written + line.n - r->seen_read > r->size) {
		r->seen_read = atomic_load_explicit(&r->read, memory_order_acquire);
		if (written + line.n - r->seen_read > r->size) {
			atomic_fetch_add_explicit(&r->dropped, 1, memory_order_relaxed);
			return false;
		}
	}
	first = MIN(line.n, r->size - at);
	memcpy(r->bytes + at, line.p, first);
	memcpy(r->bytes, line.p + first, line.n - first);
	atomic_store_explicit(&r->written, written + line.n, memory_order_release);
	return true;
}

bool ring_urgent(struct ring *r)
{
	uint64_t written = atomic_load_explicit(&r->written, memory_order_relaxed);

	if (written - r->seen_read <= r->size / 2)
		return false;
	r->seen_read = atomic_load_explicit(&r->read, memory_order_acquire);
	return written - r->seen_read > r->size / 2;
}

int ring_peek(struct ring *r, struct iovec part[2])
{
	uint64_t read = atomic_load_explicit(&r->read, memory_order_relaxed);
	uint64_t n = atomic_load_explicit(&r->written, memory_order_acquire) - read,
		 at = read & (r->size - 1);
	uint64_t first = MIN(n, r->size - at);

	part[0] = (struct iovec){r->bytes + at, first};
	part[1] = (struct iovec){r->bytes, n - first};
	return (n > 0) + (n > first);
}

void ring_drain(struct ring *r, uint64_t n)
{
	uint64_t read = atomic_load_explicit(&r->read, memory_order_relaxed);

	atomic_store_explicit(&r->read, read + n, memory_order_release);
}
