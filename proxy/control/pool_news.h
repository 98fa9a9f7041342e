/* control/pool_news.h - what becomes of a pool, beyond one backend more or less, when a backend comes or goes: the events `panic`,
 * `pool_empty` and `pool_up`. Whether its checks or its requests have put the backend there makes no difference. */
#ifndef WEIR_CONTROL_POOL_NEWS_H
#define WEIR_CONTROL_POOL_NEWS_H

#include "upstream/pool.h"

struct io_thread;

/* A backend of the pool has another standing than when this census was taken: tells what is news. */
void pool_news(struct io_thread *io, const struct pool *p, struct pool_census before);

#endif
