/* base/ring.h - bytes from one thread to another without a lock: one writer, one reader, whole lines.
 *
 * The two positions are the ring's only shared words: each has a single writer. What does not fit is dropped and counted: a log
 * that cannot be written must not stop the traffic that it tells of. */
#ifndef WEIR_BASE_RING_H
#define WEIR_BASE_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>
#include "base/str.h"

struct ring {
	char *bytes;
	uint64_t size; /* a power of two */
	_Alignas(64) _Atomic uint64_t written; /* writer's */
	_Atomic uint64_t dropped; /* lines; writer's */
	uint64_t seen_read; /* writer's last look at `read` */
	_Alignas(64) _Atomic uint64_t read; /* reader's */
};

void ring_init(struct ring *r, uint64_t size);
void ring_free(struct ring *r);
/* False, and counted, when there is no room. */
bool ring_put(struct ring *r, struct str line);
/* More than half full: the reader should be woken. Writer's side. */
bool ring_urgent(struct ring *r);
/* What can be read, in at most two parts; returns how many. */
int ring_peek(struct ring *r, struct iovec part[2]);
/* The first n of it have been read. */
void ring_drain(struct ring *r, uint64_t n);

#endif
