/* control/metrics_tell.h - who tells which metric: each writes the samples of the family that is at hand (t->metric), of the thing that it is
 * given, into t->out. metrics_text.c has the table. */
#ifndef WEIR_CONTROL_METRICS_TELL_H
#define WEIR_CONTROL_METRICS_TELL_H

#include "control/metrics_text.h"

struct pool;
struct tenant;

/* metrics_process.c */
void tell_build(struct metrics_text *t);
void tell_cpu(struct metrics_text *t);
void tell_self(struct metrics_text *t);
void tell_start(struct metrics_text *t);
void tell_generation(struct metrics_text *t);
void tell_alive(struct metrics_text *t);
void tell_reloads(struct metrics_text *t);
void tell_reload_success(struct metrics_text *t);
void tell_reload_good(struct metrics_text *t);
void tell_cert_expiry(struct metrics_text *t);
void tell_shifts(struct metrics_text *t);
void tell_worker(struct metrics_text *t);
void tell_headers_dropped(struct metrics_text *t);
void tell_mirrors(struct metrics_text *t);
void tell_listeners(struct metrics_text *t);
void tell_upgrades(struct metrics_text *t);
void tell_older(struct metrics_text *t);
void tell_closed(struct metrics_text *t);
void tell_handshakes(struct metrics_text *t);
void tell_protocols(struct metrics_text *t);
void tell_log_lost(struct metrics_text *t);
void tell_errors(struct metrics_text *t);

/* metrics_traffic.c */
void tell_pool_requests(struct metrics_text *t, const struct pool *pool);
void tell_tenant_requests(struct metrics_text *t, const struct tenant *tenant);
void tell_unrouted(struct metrics_text *t);
void tell_modules(struct metrics_text *t);
void tell_dependencies(struct metrics_text *t);
void tell_quota(struct metrics_text *t, const struct tenant *tenant);
void tell_shift(struct metrics_text *t, const struct pool *pool);
void tell_pool(struct metrics_text *t, const struct pool *pool);
void tell_tenant_shares(struct metrics_text *t, const struct tenant *tenant);
void tell_backends(struct metrics_text *t, const struct pool *pool);

#endif
