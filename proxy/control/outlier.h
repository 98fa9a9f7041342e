/* control/outlier.h - which backends are ejected: taken out of their pool for a while because requests went badly at them, whatever
 * their checks say. After Envoy's outlier detection.
 *
 * Out goes who
 *   - failed `consecutive_errors` requests in a row, answers with an error and answers that did not come counted apart: at once,
 *     when a worker tells of it;
 *   - stands out in its pool: a share of good answers that is more than 1.9 standard deviations and OUTLIER_MARGIN points below the mean of
 *     the pool, over one `interval`, among at least OUTLIER_HOSTS_MIN backends with OUTLIER_REQUESTS_MIN requests each.
 * Never more at once than `max_ejected` of the pool (but one may always be, unless that is 0), and never the last one that serves.
 * An ejection lasts `ejection` times the number of ejections in a row, OUTLIER_TIMES_MAX at most; each interval outside takes one
 * from that number. Ejection belongs to the identity of a backend: a reload keeps it. Control decides alone; workers read
 * backend_standing(). */
#ifndef WEIR_CONTROL_OUTLIER_H
#define WEIR_CONTROL_OUTLIER_H

#include <jansson.h>
#include "exchange/snapshot.h"
#include "worker/worker.h"

struct io_thread;
struct capacity_engine;

#define OUTLIER_TIMES_MAX    10
#define OUTLIER_HOSTS_MIN    5
#define OUTLIER_REQUESTS_MIN 100
#define OUTLIER_MARGIN       500 /* in 1/10000: among five that never fail, one that fails once would stand out */

/* Control's record of one backend: backend->outlier. */
struct outlier {
	struct list link; /* in watch->outliers */
	struct backend *backend;
	struct outlier_watch *watch;
	struct deadline back; /* armed while it is ejected */
	uint32_t times; /* ejections in a row */
	bool spared; /* should have been ejected, but others were already; told once an interval */
	uint32_t requests, failures; /* totals at the end of the last interval */
};

/* One pool whose backends are watched. */
struct outlier_watch {
	struct outlier_engine *engine;
	const struct pool *pool; /* the current snapshot's */
	uint64_t serial; /* of the snapshot that last named it */
	struct list outliers;
	struct deadline interval;
};

struct outlier_engine {
	struct loop *loop;
	struct io_thread *io;
	struct worker *workers;
	uint32_t worker_n;
	struct capacity_engine *capacity; /* is told of every change; NULL: nobody is */
	void (*changed)(
		void *ctx); /* likewise, for whoever keeps what outlier_save() says; NULL: nobody does */
	void *ctx;
	struct map watches; /* by the key of the pool -> struct outlier_watch */
};

void outlier_init(struct outlier_engine *e, struct loop *l, struct io_thread *io, struct worker *workers,
	uint32_t worker_n);
/* Watches exactly what this snapshot says. Before the snapshot goes to the workers: they count from then on. */
void outlier_follow(struct outlier_engine *e, struct snapshot *s);
/* A worker says that so many requests in a row have failed. */
void outlier_suspect(const struct backend *b, enum outcome_kind kind);
void outlier_free(struct outlier_engine *e);
/* Ejections, for a successor, and as its starting point: {"acme/shop/blue/10.0.0.1:80": {times, until_ms}}; until_ms 0: not out now. Those
 * that nothing is known of are left out. */
json_t *outlier_save(const struct outlier_engine *e);
void outlier_load(struct outlier_engine *e, const json_t *saved);

/* -- the decisions, as functions of what is known -- */
/* How many of n backends may be out at once. share: in 1/10000. */
uint32_t outlier_most(uint32_t n, uint32_t share);
/* How long the ejection number `times` (from 1) lasts. */
uint32_t outlier_length_ms(uint32_t ejection_ms, uint32_t times);
/* What a backend's requests of one interval came to. */
struct outlier_sample {
	uint32_t requests, failures;
};
/* The good shares of a pool, in 1/10000. */
struct outlier_pool {
	uint32_t hosts; /* with enough requests to tell */
	double mean, variance;
};
struct outlier_pool outlier_pool_of(const struct outlier_sample *samples, uint32_t n);
/* Is this one of them so much worse? */
bool outlier_stands_out(const struct outlier_pool *pool, const struct outlier_sample *s);

#endif
