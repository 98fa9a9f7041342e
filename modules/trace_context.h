/* modules/trace_context.h - who a request is in a trace: W3C Trace Context (REC-trace-context-1), its two headers. */
#ifndef WEIR_MODULES_TRACE_CONTEXT_H
#define WEIR_MODULES_TRACE_CONTEXT_H

#include "exchange/module.h"

#define TRACE_ID   16
#define SPAN_ID    8
#define TRACE_TEXT 55 /* "00-" 32 "-" 16 "-" 2 */
#define STATE_MAX  512 /* of tracestate; what is longer is left out as a whole (3.3.1.5) */

struct trace_context {
	uint8_t trace[TRACE_ID];
	uint8_t span[SPAN_ID]; /* of whoever sends it */
	bool sampled;
};

/* "00-...-...-01"; false: it is no context, and what belongs to it is not believed either (2.2.2, 3.2). */
bool trace_context_parse(struct trace_context *c, struct str text);
/* TRACE_TEXT bytes, not terminated. */
void trace_context_write(const struct trace_context *c, char text[TRACE_TEXT]);
/* A new trace's. Never all zeros. */
void trace_context_new_trace(struct trace_context *c, struct loop *l);
void trace_context_new_span(uint8_t span[SPAN_ID], struct loop *l);
/* Is the trace among this share (in 1/10000) of all? The same on every node. */
bool trace_context_is_among(const struct trace_context *c, uint32_t share);
/* n bytes as 2 * n digits. */
void trace_hex(char *to, const uint8_t *from, size_t n);

#endif
