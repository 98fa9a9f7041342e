/* control/health.h - which backends are up: probes on a schedule, rise and fall, and what is told of it.
 *
 *   CHECKING  new: takes no requests until its first pass; falls to DOWN like an UP one
 *   UP        `fall` failures in a row bring it DOWN
 *   DOWN      `rise` passes in a row bring it UP
 *
 * An address that several pools check in the same way is probed once, and each of them draws its own conclusion. Health belongs to the
 * identity of a backend: a reload keeps it, whatever else it changes. Control decides alone; workers read backend_state(). */
#ifndef WEIR_CONTROL_HEALTH_H
#define WEIR_CONTROL_HEALTH_H

#include <jansson.h>
#include "exchange/snapshot.h"
#include "io/tls.h"
#include "worker/worker.h"

struct io_thread;
struct capacity_engine;
struct check;
struct probe_target;

/* Probes that are under way at once, of who passed the last time and of who did not; the others wait for their turn. */
#define HEALTH_PROBES_MAX   512
#define HEALTH_SUSPECTS_MAX 512

/* Control's record of one backend's checks: backend->health. */
struct health {
	struct list all; /* in engine->all */
	struct list link; /* in check->subscribers */
	struct backend *backend;
	struct check *check;
	const struct conf_health *conf; /* the current snapshot's */
	const struct pool *pool; /* the current snapshot's */
	const struct conf_backend *member; /* the current snapshot's */
	uint64_t serial; /* of the snapshot that last named it */
	bool joins; /* new in a pool that serves already: warms up with its first pass */
	uint32_t streak; /* results in a row that speak against the present state */
	uint16_t why; /* enum reason: of the last probe; NONE: it passed */
	uint16_t status; /* of the last answer; 0: none */
	uint32_t duration_us; /* of the last probe */
	uint64_t since_ms; /* in this state, on control's clock */
};

struct health_engine {
	struct loop *loop;
	struct io_thread *io;
	struct worker *workers;
	uint32_t worker_n;
	struct list all; /* struct health */
	struct map checks; /* by what is asked of whom -> struct check */
	struct list due, suspects; /* checks whose time has come, in turn; the latter failed the last time */
	bool keep; /* connections between probes: there are descriptors enough */
	uint32_t probing, suspected; /* probes under way, likewise */
	struct capacity_engine *capacity; /* is told of every change; NULL: nobody is */
	struct task tell_workers; /* that the state of some backend has changed */
	void (*changed)(
		void *ctx); /* the same, for whoever keeps what health_save() says; NULL: nobody does */
	void *ctx;
	struct tls_clients tls;
};

void health_init(struct health_engine *e, struct loop *l, struct io_thread *io, struct worker *workers,
	uint32_t worker_n);
/* Checks exactly what this snapshot says. Before the snapshot goes to the workers, so that they never see a new
 * backend that nobody has checked. */
void health_follow(struct health_engine *e, struct snapshot *s);
/* How a backend is asked by the rules of policy, whose texts the target borrows; policy->health may say another question than its checks. */
void health_target(struct health_engine *e, const struct conf_backend *b, const struct conf_policy *policy,
	struct probe_target *target);
void health_free(struct health_engine *e);
/* What is thought of each backend, for a successor, and the same as the successor's starting point: {"acme/shop/blue/10.0.0.1:80":
 * {state, streak, since_ms, warm_from_ms}}. Backends that are not checked here, or unknown there, are passed over. */
json_t *health_save(const struct health_engine *e);
void health_load(struct health_engine *e, const json_t *saved);

const char *backend_state_name(enum backend_state state);

#endif
