/* control/metrics_text.h - what weir tells of itself: sums over its workers, put together when somebody asks.
 *
 * With 10,000 tenants that is a text of many megabytes, and control has other things to do: it is made in slices, of METRICS_SLICE
 * things (pools, the services of a tenant) each. The snapshot that it is about is held until it is done. */
#ifndef WEIR_CONTROL_METRICS_TEXT_H
#define WEIR_CONTROL_METRICS_TEXT_H

#include "control/exposition.h"

struct control;
struct snapshot;

#define METRICS_SLICE 500

struct metrics_text {
	struct control *control;
	struct snapshot *snapshot; /* held */
	struct exposition out;
	uint32_t metric, item; /* how far it has come */
};

/* Begins. Workers are asked for what only they can tell: it is in the next text. */
void metrics_text_begin(struct metrics_text *t, struct control *c, bool openmetrics);
/* One slice; true when the text is complete. */
bool metrics_text_step(struct metrics_text *t);
/* Also when it was given up. */
void metrics_text_end(struct metrics_text *t);

#endif
