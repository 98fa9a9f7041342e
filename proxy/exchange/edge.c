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
	strftime(e->date, sizeof(e->date), "date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
}

void edge_new_id(struct edge *e, char id[EDGE_ID_CHARS])
{
	if (e->ids == 0) {
		e->ids = loop_random(e->loop);
		text_hex_16(e->id_tail, loop_random(e->loop));
	}
	/* An odd factor: different counts stay different, and who takes some of the digits gets them spread evenly. */
	text_hex_16(id, e->ids++ * 0x9e3779b97f4a7c15);
	memcpy(id + EDGE_ID_CHARS / 2, e->id_tail, sizeof(e->id_tail));
}

struct str edge_date_line(struct edge *e)
{
	look_at_clock(e);
	return (struct str){e->date, sizeof("date: Sun, 06 Nov 1994 08:49:37 GMT\r\n") - 1};
}

uint64_t edge_wall_us(struct edge *e, uint64_t loop_us)
{
	look_at_clock(e);
	return loop_us + e->wall_us;
}

const struct moment *edge_moment(struct edge *e)
{
	uint64_t wall = edge_wall_us(e, e->loop->now_us);
	unsigned ms = (unsigned)(wall / 1000 % 1000);
	struct moment *m = &e->moment;

	/* Only the milliseconds are new in most lines; the rest takes 3,000 instructions. */
	if (m->second != wall / 1000000) {
		time_t second = (time_t)(m->second = wall / 1000000);
		struct tm tm;

		gmtime_r(&second, &tm);
		strftime(m->iso, sizeof(m->iso), "%Y-%m-%dT%H:%M:%S.000Z", &tm);
		strftime(m->common, sizeof(m->common), "%d/%b/%Y:%H:%M:%S +0000", &tm);
	}
	m->iso[20] = (char)('0' + ms / 100);
	m->iso[21] = (char)('0' + ms / 10 % 10);
	m->iso[22] = (char)('0' + ms % 10);
	return m;
}
