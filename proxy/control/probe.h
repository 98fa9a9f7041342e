/* control/probe.h - asks one address once how it is, the way requests would reach it: the same codecs, the same TLS settings.
 *
 * A probe is an owner of a stream like any other. It belongs to the control thread. */
#ifndef WEIR_CONTROL_PROBE_H
#define WEIR_CONTROL_PROBE_H

#include "config/conf.h"
#include "http/conn.h"

struct tls_client;

/* How and whom to ask. The texts are copied. */
struct probe_target {
	struct conf_health health;
	uint8_t protocol; /* enum conf_protocol */
	struct tls_client *tls; /* NULL: plain; outlives the probe */
	struct addr addr;
	struct str unix_path; /* empty: none */
	struct str name; /* SNI and verified name; empty: the address */
	struct str authority; /* Host, when health.http.host is empty */
};

struct probe_outcome {
	enum reason why; /* NONE: healthy */
	uint16_t status; /* of the answer; 0: none */
	uint32_t duration_us;
	char detail[96]; /* what TLS or gRPC said; may be empty */
};

struct probe;

/* Asks. done comes once, from the loop, within health.timeout; the outcome is valid during the call. */
struct probe *probe_start(struct loop *l, const struct probe_target *target,
	void (*done)(const struct probe_outcome *outcome, void *ctx), void *ctx);
/* NULLs *pp; done will not be called. NULL is fine. */
void probe_cancel(struct probe **pp);

#endif
