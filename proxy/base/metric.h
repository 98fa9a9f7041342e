/* base/metric.h - what weir tells of itself: the enum and the facts of metrics.def. */
#ifndef WEIR_BASE_METRIC_H
#define WEIR_BASE_METRIC_H

#include <stdint.h>
#include "base/str.h"

enum metric {
#define METRIC(id, name, type, unit, labels, help) METRIC_##id,
#include "base/metrics.def"
#undef METRIC
	METRICS
};

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

#define METRIC_LABELS_MAX 6

struct metric_row {
	struct str name;
	struct str unit;
	struct str labels; /* comma separated */
	struct str help;
	uint8_t type; /* enum metric_type */
};

extern const struct metric_row metric_rows[METRICS];

/* "counter", "gauge", "histogram" */
struct str metric_type_name(enum metric_type type);

#endif
