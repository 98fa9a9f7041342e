/* control/probe.h - asks one address how it is, the way requests would reach it: the same codecs, the same TLS settings.
 *
 * A probe is an owner of a stream like any other. It belongs to the control thread. Where the backend allows it, the connection is
 * kept for the next question: making a new one costs five times as much. Every so often, and after whatever was not a pass, a
 * new connection is made all the same, because that is what requests may need too. */
#ifndef WEIR_CONTROL_PROBE_H
#define WEIR_CONTROL_PROBE_H

#include "config/conf.h"
#include "http/conn.h"

struct tls_client;

/* How and whom to ask. The texts are borrowed: aim again before they go. */
struct probe_target {
	struct conf_health health;
	uint8_t protocol; /* enum conf_protocol */
	uint8_t proxy_protocol; /* version of the header that the backend expects first; 0: none */
	struct tls_client *tls; /* NULL: plain; outlives the probe */
	bool keep; /* the connection, for the next question */
	enum reason lost; /* NONE, or why nothing can be asked: it is the outcome */
	struct addr addr;
	struct str unix_path; /* empty: none */
	struct str name; /* SNI and verified name; empty: the address */
	struct str authority; /* Host, when health.http.host is empty */
};

struct probe_outcome {
	enum reason why; /* NONE: healthy */
	bool not_asked; /* for want of descriptors or memory here: says nothing of the backend */
	uint16_t status; /* of the answer; 0: none */
	uint32_t duration_us;
	char detail[96]; /* what TLS or gRPC said; may be empty */
};

struct probe;

/* done comes once for each probe_ask(), from the loop, within health.timeout; the outcome is valid during the call. */
struct probe *probe_new(
	struct loop *l, void (*done)(const struct probe_outcome *outcome, void *ctx), void *ctx);
/* From now on. While it is asking: the same texts, elsewhere. */
void probe_aim(struct probe *p, const struct probe_target *target);
/* Once at a time. */
void probe_ask(struct probe *p);
bool probe_is_asking(const struct probe *p);
/* NULLs *pp; done will not be called. NULL is fine. */
void probe_free(struct probe **pp);

#endif
