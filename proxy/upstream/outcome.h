/* upstream/outcome.h - what requests have met with at one backend: counted by workers, judged by control (control/outlier.h).
 *
 * Failures come in two kinds, counted apart: the backend answered with a server error, or it did not answer: the connection could not
 * be made, broke, or nothing came in time. One that answers errors and one that cannot be reached are different troubles, and the end
 * of one says nothing of the other. */
#ifndef WEIR_UPSTREAM_OUTCOME_H
#define WEIR_UPSTREAM_OUTCOME_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum outcome_kind {
	OUTCOME_ANSWER, /* a 5xx that speaks against the backend */
	OUTCOME_LOCAL, /* no answer, or not the whole of one */
	OUTCOME_KINDS
};

/* One worker's totals since the record was made; they wrap. On a cache line of its own: nobody else writes there. */
struct outcome_tally {
	_Alignas(64) _Atomic uint32_t requests;
	_Atomic uint32_t failures; /* of them */
};

struct outcomes {
	/* Failures in a row, by all workers. Written only when something fails, or works again. */
	_Atomic uint32_t streak[OUTCOME_KINDS];
	uint32_t worker_n;
	struct outcome_tally tallies[]; /* by worker */
};

/* To be freed with free(). */
struct outcomes *outcomes_new(uint32_t worker_n);
/* Of all workers together. */
void outcomes_sum(const struct outcomes *o, uint32_t *requests, uint32_t *failures);

/* By worker number `worker`. True once in `threshold` failures in a row: control should hear of it. The row then begins anew, so that
 * one that could not be ejected is considered again after as many more. */
bool outcome_failed(struct outcomes *o, uint32_t worker, enum outcome_kind kind, uint32_t threshold);
/* An answer without a server error has begun: ends the row of errors. */
void outcome_answered(struct outcomes *o);
/* An answer is whole, whatever it says: ends the row of those that failed to come. failed: counted as a failure already. */
void outcome_completed(struct outcomes *o, uint32_t worker, bool failed);

#endif
