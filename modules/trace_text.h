/* modules/trace_text.h - spans as OTLP's JSON has them (opentelemetry-proto 1.x, trace.proto; "JSON Protobuf Encoding": ids in hex,
 * enums as numbers, 64-bit numbers as texts). Names of attributes follow the semantic conventions for HTTP. */
#ifndef WEIR_MODULES_TRACE_TEXT_H
#define WEIR_MODULES_TRACE_TEXT_H

#include "trace_context.h"

enum span_kind { SPAN_INTERNAL = 1, SPAN_SERVER = 2, SPAN_CLIENT = 3 };

struct span {
	const uint8_t *trace, *id;
	const uint8_t *parent; /* NULL: it has none */
	struct str state; /* tracestate; may be empty */
	struct str name, suffix; /* the name is both, with a space between; suffix may be empty */
	uint8_t kind; /* enum span_kind */
	uint64_t begun_us, ended_us; /* since 1970 */
};

/* A span is written in three steps; in between, attributes. */
void span_begin(struct text *t, const struct span *s);
/* Each behind those before it, in whatever list of attributes has been begun with `[`. */
/* Left out when empty. What is longer than a few hundred bytes is cut. */
void attribute_text(struct text *t, struct str name, struct str value);
void attribute_number(struct text *t, struct str name, uint64_t value);
/* error: it failed, and why; empty: it did not. */
void span_end(struct text *t, struct str error);
#endif
