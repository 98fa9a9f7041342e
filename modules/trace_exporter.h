/* modules/trace_exporter.h - spans on their way from workers to a collector: OTLP over HTTP, in JSON.
 *
 * A worker writes the spans of a request as one line into a ring of its own; what does not fit is dropped, and counted. Control's thread
 * gathers lines into a batch, sends one batch at a time, and tries again what the collector could not take (OTLP/HTTP: 429, 502, 503, 504, no
 * answer), for a minute at most. While it waits it gathers one more batch and then no more: the rings fill, and what is new is
 * dropped first. So the memory is bounded, and nobody waits for a collector. */
#ifndef WEIR_MODULES_TRACE_EXPORTER_H
#define WEIR_MODULES_TRACE_EXPORTER_H

#include "exchange/module.h"

/* What of the module's keys makes an exporter: places that agree in them share one. */
struct trace_export {
	struct str endpoint;
	struct str service;
	struct conf_pair *headers, *resource;
	uint32_t header_n, resource_n;
	uint32_t interval_ms, timeout_ms;
	uint64_t buffer; /* bytes for each worker; rounded up to a power of two */
	struct conf_upstream_tls tls;
};

struct trace_exporter;
struct trace_home; /* all exporters: control's */
struct ring;

struct trace_home *trace_home_new(struct loop *l);
/* The end of the process: sends what there is at once, and says whether there is more. */
bool trace_home_busy(struct trace_home *h);
void trace_home_free(struct trace_home *h);

/* home NULL: it never sends. */
struct trace_exporter *trace_exporter_new(struct trace_home *home, const struct trace_export *conf);
bool trace_exporter_is(const struct trace_exporter *e, const struct trace_export *conf);
/* No worker writes any more: it sends what is left, and then goes. */
void trace_exporter_release(struct trace_exporter *e);
/* A worker's ring; made when it first asks. On the worker's thread. */
struct ring *trace_exporter_ring(struct trace_exporter *e, uint32_t worker);
/* spans: a byte of any kind, then n JSON objects with commas between; at most LOOP_SCRATCH bytes in all. */
#define TRACE_LINE_SPANS 32
void trace_line_put(struct ring *r, struct text *spans, unsigned n);
void trace_exporter_depends(struct trace_exporter *e, struct module_dependency *out);
void trace_exporter_counts(const struct trace_exporter *e, struct module_counts *out);

#endif
