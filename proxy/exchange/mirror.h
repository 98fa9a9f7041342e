/* exchange/mirror.h - a copy of some requests of a service goes to another pool of it, and what becomes of it is nobody's concern: its answer
 * is dropped, it is never tried again, and the request that it is a copy of does not wait for it.
 *
 * It is sent once the whole request has come. Above `mirror.body` bytes, above `mirror.requests` copies at once (each worker's part), or when
 * the worker is at half of its limit of memory or of lateness, there is none. */
#ifndef WEIR_EXCHANGE_MIRROR_H
#define WEIR_EXCHANGE_MIRROR_H

#include "base/mem.h"

struct edge;
struct exchange;

/* The request is about to be sent for the first time: is it one of those to copy? */
void mirror_begin(struct exchange *x);
/* More of its body has come; its bytes are shared. last: that was all, and the copy goes. */
void mirror_body(struct exchange *x, const struct chain *c, bool last);
/* The request has ended; a copy that is not complete is dropped. */
void mirror_abandon(struct exchange *x);
/* At the end of the thread. */
void mirrors_end_all(struct edge *e);

#endif
