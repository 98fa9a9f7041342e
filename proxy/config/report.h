/* config/report.h - collecting problems; the public part is in conf.h. */
#ifndef WEIR_CONFIG_REPORT_H
#define WEIR_CONFIG_REPORT_H

#include <stdarg.h>
#include "config/conf.h"

void report_init(struct conf_report *r);
/* The one way in: `file` is the name that is shown. Texts are copied. */
void report_add_in(struct conf_report *r, struct str file, struct conf_place at, bool warning,
	const char *fmt, va_list ap);
/* By place: files in the order in which they were read, then lines; what has no place comes first. */
void report_sort(struct conf_report *r);

#endif
