#include "base/metric.h"

#define METRIC(id, name, type, unit, labels, help) \
	[METRIC_##id] = {STR(name), STR(unit), STR(labels), STR(help), METRIC_##type},
/* clang-format off */
const struct metric_row metric_rows[METRICS] = {
#include "base/metrics.def"
};
/* clang-format on */
#undef METRIC

struct str metric_type_name(enum metric_type type)
{
	switch (type) {
	case METRIC_COUNTER:
		return STR("counter");
	case METRIC_GAUGE:
		return STR("gauge");
	case METRIC_HISTOGRAM:
		break;
	}
	return STR("histogram");
}
