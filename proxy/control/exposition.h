/* control/exposition.h - metrics as text: OpenMetrics 1.0.0, or Prometheus' older format 0.0.4 for those who ask for it.
 *
 * Samples are written family by family, in the order of metrics.def. Those of one thing (a pool, a backend) share their leading labels:
 * these are put together once, with exposition_of(), and only the last label differs. */
#ifndef WEIR_CONTROL_EXPOSITION_H
#define WEIR_CONTROL_EXPOSITION_H

#include "base/histogram.h"
#include "base/metric.h"

/* Beyond that nothing more is written: cut is set. 10,000 busy pools take 50 MiB. */
#define EXPOSITION_MAX ((size_t)512 * 1024 * 1024)

#define EXPOSITION_LABELS_MAX 8192

struct exposition {
	char *p; /* owned */
	size_t n, cap;
	bool openmetrics;
	bool cut; /* there would have been more than EXPOSITION_MAX */
	bool headed; /* the family's head is written */
	enum metric metric; /* the family */
	struct str names; /* of labels that are still without value */
	char labels[EXPOSITION_LABELS_MAX]; /* the leading ones, as they stand between the braces */
	size_t labels_n;
};

void exposition_init(struct exposition *e, bool openmetrics);
void exposition_free(struct exposition *e);
/* What the media type of it is. */
const char *exposition_type(bool openmetrics);

/* Samples that follow are of that metric. A family without samples is left out. */
void exposition_family(struct exposition *e, enum metric metric);
/* ... and have these values for their first n labels. Any bytes may be in them. */
void exposition_of(struct exposition *e, const struct str *values, uint32_t n);
/* A sample; last: the value of the one label that is left, STR_NONE if none is. */
void exposition_count(struct exposition *e, struct str last, uint64_t value);
/* The same for a fraction, given in millionths: seconds in microseconds. */
void exposition_millionths(struct exposition *e, struct str last, uint64_t n);
/* All samples of a histogram; all labels have values. */
void exposition_histogram(struct exposition *e, const uint64_t counts[HISTOGRAM_BUCKETS], uint64_t sum_us);
/* Nothing follows. */
void exposition_end(struct exposition *e);

#endif
