/* exchange/access_log.h - the facts of an ended exchange, and the forms in which they are written: a table of fields, once. */
#ifndef WEIR_EXCHANGE_ACCESS_LOG_H
#define WEIR_EXCHANGE_ACCESS_LOG_H

#include "exchange/exchange.h"

#define ACCESS_LINE_MAX 8192

/* Writes the line, newline included, in one of enum conf_log_format. */
void access_log_format(struct exchange *x, uint8_t format, struct text *t);

#endif
