#include "exchange/edge.h"

#include <time.h>

/* The wall clock is read once a second: it may jump, durations never do, for they are taken from the loop's clock. */
static void look_at_clock(struct edge *e)
{
	struct timespec ts;
	struct tm tm;
	uint64_t now = e->loop->now_us;

	if (e->second == now / 1000000 + 1)
		return;
	e->second = now / 1000000 + 1;
	clock_gettime(CLOCK_REALTIME, &ts);
	e->wall_us = (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000 - now;
	gmtime_r(&ts.tv_sec, &tm);
	strftime(e->date, sizeof(e->date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
}

struct str edge_date(struct edge *e)
{
	look_at_clock(e);
	return str_of(e->date);
}

uint64_t edge_wall_us(struct edge *e, uint64_t loop_us)
{
	look_at_clock(e);
	return loop_us + e->wall_us;
}

struct conn_pool *edge_backend(struct edge *e, const struct backend *b)
{
	return e->backends[b->slot->number];
}
